//! A browser without a screen: it keeps cookies, sends forms, and shows redirects instead of following them. And a gate, through which a
//! server reaches Redis as long as it is open.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::harness::{Page, TestApp, client, form, read, redis_url};

/// A password that is right.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// The browser of one person.
#[derive(Clone)]
pub(crate) struct Browser {
    base_url: String,
    client: reqwest::Client,
    cookies: BTreeMap<String, String>,
    headers: Vec<(&'static str, String)>,
}

impl Browser {
    /// A new one, which knows nothing.
    pub(crate) fn at(app: &TestApp) -> Self {
        Self::at_url(app.base_url())
    }

    /// A new one, at a server that is not of this process.
    pub(crate) fn at_url(base_url: &str) -> Self {
        Self { base_url: base_url.to_owned(), client: client(), cookies: BTreeMap::new(), headers: Vec::new() }
    }

    /// The browser of somebody who has just registered under this name.
    pub(crate) async fn registered(app: &TestApp, username: &str) -> Self {
        let mut browser = Self::at(app);
        let page = browser.register(username).await;
        assert_eq!(page.status, 303, "{}", page.body);
        browser
    }

    /// The same browser at another server of the same site.
    pub(crate) fn moved_to(&self, app: &TestApp) -> Self {
        self.moved_to_url(app.base_url())
    }

    /// The same, at a server that is not of this process.
    pub(crate) fn moved_to_url(&self, base_url: &str) -> Self {
        Self { base_url: base_url.to_owned(), ..self.clone() }
    }

    /// The same browser, which sends this header too.
    pub(crate) fn with_header(&self, name: &'static str, value: &str) -> Self {
        let mut browser = self.clone();
        browser.headers.push((name, value.to_owned()));
        browser
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.get(name).map(String::as_str)
    }

    pub(crate) fn set_cookie(&mut self, name: &str, value: &str) {
        self.cookies.insert(name.to_owned(), value.to_owned());
    }

    pub(crate) async fn get(&mut self, path: &str) -> Page {
        let request = self.client.get(format!("{}{path}", self.base_url));
        self.send(request).await
    }

    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let request = self.client.post(format!("{}{path}", self.base_url));
        self.send(request.header("content-type", "application/x-www-form-urlencoded").body(form(fields))).await
    }

    async fn send(&mut self, mut request: reqwest::RequestBuilder) -> Page {
        if !self.cookies.is_empty() {
            let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header("cookie", cookies.join("; "));
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let page = read(request).await;
        for cookie in set_cookies(&page) {
            let (name, rest) = cookie.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if cookie.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.set_cookie(name, value);
            }
        }
        page
    }

    pub(crate) async fn register(&mut self, username: &str) -> Page {
        let email = format!("{username}@example.org");
        self.post("/register", &[("username", username), ("email", &email), ("password", PASSWORD)]).await
    }

    pub(crate) async fn log_in(&mut self, username: &str, password: &str) -> Page {
        self.post("/login", &[("username", username), ("password", password)]).await
    }

    /// Whether the account page is this person's.
    pub(crate) async fn is_logged_in_as(&mut self, username: &str) -> bool {
        let page = self.get("/account").await;
        page.status == 200 && page.body.contains(&format!("<h1>{username}</h1>"))
    }
}

/// What a response tells a browser to remember.
pub(crate) fn set_cookies(page: &Page) -> Vec<String> {
    page.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

/// A way to Redis that can be closed: then every connection breaks, and no new one comes to be.
pub(crate) struct Gate {
    address: SocketAddr,
    is_open: watch::Sender<bool>,
}

impl Gate {
    pub(crate) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (is_open, watched) = watch::channel(true);
        let redis = redis_url().trim_start_matches("redis://").split('/').next().unwrap().to_owned();
        tokio::spawn(async move {
            loop {
                let Ok((mut client, _)) = listener.accept().await else { continue };
                let (mut watched, redis) = (watched.clone(), redis.clone());
                tokio::spawn(async move {
                    if !*watched.borrow() {
                        return;
                    }
                    let mut server = TcpStream::connect(redis).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                        _ = watched.wait_for(|is_open| !is_open) => {}
                    }
                });
            }
        });
        Self { address, is_open }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}/0", self.address)
    }

    pub(crate) fn set_open(&self, is_open: bool) {
        self.is_open.send_replace(is_open);
    }
}
