//! A seeded blog with two servers behind NGINX, and people who visit it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use app::db::{Indexes, migrate};
use app::seed::{Size, seed};
use experiments::stack::{
    AppOptions, AppServer, Balancing, CacheLevels, LocalCache, Nginx, NginxOptions, PostgresSettings, RedisSettings,
    RunFolder, SessionStore, Stack,
};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, SET_COOKIE};
use sqlx::PgPool;
use tempfile::TempDir;

use crate::support::{open_folder, project_root, run_folder};

/// Enough for lists with more than one page.
pub(super) const DATA: Size = Size { users: 20, posts: 200, comments: 1_000, tags: 10 };
const DATABASE: &str = "blog";

/// How the blog runs.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) local: LocalCache,
    pub(crate) sessions: SessionStore,
    pub(crate) balancing: Balancing,
    /// Further variables of the servers.
    pub(crate) environment: Vec<(String, String)>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            local: LocalCache::Strict,
            sessions: SessionStore::Redis,
            balancing: Balancing::RoundRobin,
            environment: Vec::new(),
        }
    }
}

/// A running blog.
pub(crate) struct Site {
    pub(crate) stack: Stack,
    pub(crate) folder: RunFolder,
    /// Removed after the servers are gone.
    _runs: TempDir,
}

impl Site {
    /// Starts everything on fresh data.
    pub(crate) async fn start(setup: &Setup) -> Self {
        let runs = open_folder();
        let folder = run_folder(&runs);
        let mut stack = Stack::start(&folder, &PostgresSettings::default(), &RedisSettings::default()).await.unwrap();
        stack.postgres.create_database(DATABASE, None).await.unwrap();
        let pool = PgPool::connect(&stack.postgres.url(DATABASE)).await.unwrap();
        migrate(&pool, Indexes::With).await.unwrap();
        seed(&pool, &DATA, 1).await.unwrap();
        pool.close().await;
        for (name, route) in [("app-1", "a"), ("app-2", "b")] {
            let options = AppOptions {
                caches: CacheLevels { view: true, fragment: true, value: true },
                local_cache: setup.local,
                sessions: setup.sessions,
                route: Some(route.to_owned()),
                environment: setup.environment.clone(),
                ..AppOptions::new(app_binary(), name, stack.postgres.url(DATABASE), stack.redis.url())
            };
            stack.apps.push(AppServer::start(&folder, &options).await.unwrap());
        }
        let upstreams = stack.apps.iter().map(AppServer::address).collect();
        let template = project_root().join("nginx/nginx.conf.template");
        let options = NginxOptions { balancing: setup.balancing, ..NginxOptions::new(template, upstreams) };
        stack.nginx = Some(Nginx::start(&folder, &options).await.unwrap());
        Self { stack, folder, _runs: runs }
    }

    /// The address of the balancer, without a slash at the end.
    pub(crate) fn url(&self) -> String {
        self.stack.nginx.as_ref().unwrap().url()
    }

    /// Connections to the database of the blog.
    pub(crate) async fn pool(&self) -> PgPool {
        PgPool::connect(&self.stack.postgres.url(DATABASE)).await.unwrap()
    }
}

/// The app is built beside the program under test.
fn app_binary() -> PathBuf {
    let binary = Path::new(env!("CARGO_BIN_EXE_experiments")).with_file_name("app");
    assert!(binary.is_file(), "`{}` is missing; run `cargo build --release --workspace`", binary.display());
    binary
}

/// A client that shows redirects instead of following them.
pub(crate) fn client() -> reqwest::Client {
    let builder = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    builder.timeout(Duration::from_secs(20)).build().unwrap()
}

/// A response that was read to its end.
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: String,
}

impl Page {
    pub(crate) async fn read(response: reqwest::Response) -> reqwest::Result<Self> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Self { status, headers, body: response.text().await? })
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Whether the first thing that its cache says is that it had the answer.
    pub(crate) fn is_hit(&self) -> bool {
        self.header("cache-status").split(',').next().is_some_and(|first| first.contains("; hit"))
    }
}

/// Somebody with a browser: keeps cookies, follows nothing.
pub(crate) struct Visitor {
    client: reqwest::Client,
    url: String,
    cookies: BTreeMap<String, String>,
}

impl Visitor {
    pub(crate) fn new(site: &Site) -> Self {
        Self { client: client(), url: site.url(), cookies: BTreeMap::new() }
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.get(name).map(String::as_str)
    }

    pub(crate) async fn get(&mut self, path: &str) -> Page {
        let request = self.client.get(format!("{}{path}", self.url));
        self.send(request).await
    }

    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let request = self.client.post(format!("{}{path}", self.url));
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form(fields));
        self.send(request).await
    }

    async fn send(&mut self, request: reqwest::RequestBuilder) -> Page {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = if cookies.is_empty() { request } else { request.header(COOKIE, cookies.join("; ")) };
        let page = Page::read(request.send().await.unwrap()).await.unwrap();
        for header in page.headers.get_all(SET_COOKIE) {
            let (name, value) = header.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        page
    }
}

/// A user with a session, for requests that need one.
#[derive(Clone)]
pub(crate) struct Account {
    client: reqwest::Client,
    url: String,
    token: String,
}

impl Account {
    /// Registers a user, which begins a session.
    pub(crate) async fn make(site: &Site, username: &str) -> Self {
        let mut visitor = Visitor::new(site);
        let email = format!("{username}@example.org");
        let fields = [("username", username), ("email", &*email), ("password", "correct horse battery staple")];
        let page = visitor.post("/register", &fields).await;
        assert_eq!(page.status, 303, "{}", page.body);
        let token = visitor.cookie("session").expect("a registration begins a session").to_owned();
        Self { client: visitor.client, url: visitor.url, token }
    }

    /// Comments through the API; the header `Idempotency-Key` names the attempt.
    pub(crate) async fn comment_as_json(&self, post_id: u64, content: &str, key: &str) -> reqwest::Result<Page> {
        let request = self.client.post(format!("{}/api/posts/{post_id}/comments", self.url));
        let request = request.header(AUTHORIZATION, format!("Bearer {}", self.token)).header("Idempotency-Key", key);
        let request = request.header(CONTENT_TYPE, "application/json");
        let body = serde_json::json!({ "content": content }).to_string();
        Page::read(request.body(body).send().await?).await
    }

    /// Comments as a form does; `submission` names the attempt, so that it can be repeated.
    pub(crate) async fn comment(&self, post_id: u64, content: &str, submission: Option<&str>) -> reqwest::Result<Page> {
        let fields = [("content", content), ("submission", submission.unwrap_or_default())];
        let request = self.client.post(format!("{}/posts/{post_id}/comments", self.url));
        let request = request.header(AUTHORIZATION, format!("Bearer {}", self.token));
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form(&fields));
        Page::read(request.send().await?).await
    }
}

/// The values may hold any character.
fn form(fields: &[(&str, &str)]) -> String {
    let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    fields.join("&")
}
