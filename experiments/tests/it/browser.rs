//! The blog in a real browser, without a line of JavaScript of its own: what a visitor does from registering to logging out, on a phone
//! and on a desk. `SCREENSHOTS=FOLDER` keeps a picture of each page.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use setup::{Program, Search};

use crate::specimen::site::{Setup, Site};
use crate::support::project_root;

/// A running chromedriver; dropping it ends it with its browsers.
pub(crate) struct Driver {
    child: Child,
    url: String,
}

impl Driver {
    pub(crate) fn start() -> Self {
        let mut command = Command::new(program(Program::ChromeDriver));
        command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut ports =
            lines.filter_map(|line| line.rsplit_once("successfully on port ").map(|(_, port)| port.to_owned()));
        let port: u16 = ports.next().expect("chromedriver says its port").trim_end_matches('.').parse().unwrap();
        Self { child, url: format!("http://127.0.0.1:{port}") }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program(program: Program) -> PathBuf {
    let search = Search::for_project(project_root());
    setup::locate(&search, program).unwrap_or_else(|missing| panic!("{missing}")).path
}

/// A screen.
#[derive(Clone, Copy)]
pub(crate) struct Screen {
    name: &'static str,
    width: u32,
    height: u32,
    is_phone: bool,
}

pub(crate) const PHONE: Screen = Screen { name: "phone", width: 390, height: 844, is_phone: true };
pub(crate) const DESK: Screen = Screen { name: "desk", width: 1280, height: 900, is_phone: false };

/// Somebody at a browser.
pub(crate) struct Person {
    pub(crate) client: Client,
    driver_url: String,
    site_url: String,
    screen: Screen,
    pictures: usize,
}

impl Person {
    /// Opens a browser for the site below this address.
    pub(crate) async fn sit_down(driver: &Driver, site_url: String, screen: Screen) -> Self {
        let mut options = json!({
            "binary": program(Program::Chromium),
            // Its own sandbox needs rights that a container does not give; the only page it sees is ours.
            "args": ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars",
                     format!("--window-size={},{}", screen.width, screen.height)],
        });
        if screen.is_phone {
            let metrics = json!({ "width": screen.width, "height": screen.height, "pixelRatio": 2.0, "touch": true });
            options["mobileEmulation"] = json!({ "deviceMetrics": metrics });
        }
        let capabilities = json!({ "goog:chromeOptions": options, "goog:loggingPrefs": { "browser": "ALL" } });
        let Value::Object(capabilities) = capabilities else { unreachable!("it is an object") };
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let client = builder.capabilities(capabilities).connect(&driver.url).await.expect("the browser starts");
        Self { client, driver_url: driver.url.clone(), site_url, screen, pictures: 0 }
    }

    pub(crate) async fn go(&mut self, path: &str) {
        self.client.goto(&format!("{}{path}", self.site_url)).await.unwrap();
        self.look().await;
    }

    /// What must hold for every page: it fits the screen, and the browser has nothing to complain of.
    pub(crate) async fn look(&mut self) {
        let path = self.path().await;
        let script = "const root = document.documentElement; return [root.scrollWidth, root.clientWidth]";
        let widths = self.client.execute(script, Vec::new()).await.unwrap();
        let (content, screen) = (widths[0].as_u64().unwrap(), widths[1].as_u64().unwrap());
        self.picture(&path).await;
        assert!(content <= screen, "`{path}` is {content} wide on a {} of {screen}", self.screen.name);
        let complaints = self.complaints().await;
        assert!(complaints.is_empty(), "the browser complains of `{path}`: {complaints:#?}");
    }

    async fn path(&self) -> String {
        self.client.current_url().await.unwrap().path().to_owned()
    }

    async fn picture(&mut self, path: &str) {
        let Some(folder) = std::env::var_os("SCREENSHOTS").map(PathBuf::from) else { return };
        self.pictures += 1;
        let name = path.trim_matches('/').replace('/', "-");
        let name =
            format!("{}-{:02}-{}.png", self.screen.name, self.pictures, if name.is_empty() { "list" } else { &name });
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), self.client.screenshot().await.unwrap()).unwrap();
    }

    /// Errors of the browser's console since the last look; violations of the content security policy are among them.
    async fn complaints(&self) -> Vec<String> {
        let session = self.client.session_id().await.unwrap().unwrap();
        let request = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = request.post(format!("{}/session/{session}/se/log", self.driver_url));
        let answer = request.body(r#"{"type": "browser"}"#).send().await.unwrap().text().await.unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let entries = answer["value"].as_array().unwrap_or_else(|| panic!("no log: {answer}"));
        let loud = entries.iter().filter(|entry| entry["level"] == "SEVERE" || entry["level"] == "WARNING");
        loud.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Types into the field of this name.
    async fn fill(&self, name: &str, text: &str) {
        let field = self.client.find(Locator::Css(&format!("main [name='{name}']"))).await;
        let field = field.unwrap_or_else(|error| panic!("there is no field `{name}`: {error}"));
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Presses the button of the form that has this field, or of the form that is sent there.
    async fn send(&mut self, form: &str) {
        let button = self.client.find(Locator::Css(&format!("{form} button"))).await;
        let button = button.unwrap_or_else(|error| panic!("`{form}` has no button: {error}"));
        // A click returns before the next page is there; the old one is gone when its button is.
        button.clone().click().await.unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while button.tag_name().await.is_ok() {
            assert!(Instant::now() < deadline, "`{form}` led nowhere");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.look().await;
    }

    async fn sees(&self, text: &str) -> bool {
        let main = self.client.find(Locator::Css("main")).await.unwrap();
        main.text().await.unwrap().contains(text)
    }

    pub(crate) async fn leave(self) {
        self.client.close().await.unwrap();
    }
}

/// Registers, writes, comments, sees both at once, logs out, and is a stranger again.
async fn a_visit(driver: &Driver, site: &Site, screen: Screen) {
    let mut person = Person::sit_down(driver, site.url(), screen).await;
    let username = format!("visitor-{}", screen.name);
    for path in ["/", "/posts/1", "/authors/1", "/login", "/register", "/reading-list", "/account"] {
        person.go(path).await;
    }
    person.go("/register").await;
    person.fill("username", &username).await;
    person.fill("email", &format!("{username}@example.org")).await;
    person.fill("password", "a sentence that nobody guesses").await;
    person.send("main form:has([name='email'])").await;

    person.go("/write").await;
    let title = format!("Written on a {}", screen.name);
    person.fill("title", &title).await;
    person.fill("content", "A **bold** word, and a line of code:\n\n    SELECT 1;\n\n<script>alert(1)</script>").await;
    person.fill("tags", "browser, test").await;
    person.send("main form:has([name='title'])").await;
    assert!(
        person.path().await.starts_with("/posts/"),
        "after writing one sees the post, not `{}`",
        person.path().await
    );
    assert!(person.sees(&title).await && person.sees("A bold word").await);
    let post = person.path().await;
    person.go("/").await;
    assert!(person.sees(&title).await, "the list shows the new post at once");

    person.go(&post).await;
    let comment = format!("Seen on a {}, with <b>markup</b> & more.", screen.name);
    person.fill("content", &comment).await;
    person.send("main form:has([name='content'])").await;
    assert_eq!(person.path().await, post);
    assert!(person.sees(&comment).await, "the comment is there at once, as it was written");

    person.go("/account").await;
    assert!(person.sees(&username).await);
    person.send("form[action='/logout']").await;
    person.go("/account").await;
    assert!(!person.sees(&username).await, "who has logged out is a stranger");
    person.go("/write").await;
    assert_eq!(person.path().await, "/login", "strangers do not write");

    person.fill("username", &username).await;
    person.fill("password", "a sentence that nobody guesses").await;
    person.send("main form:has([name='password'])").await;
    assert_eq!(person.path().await, "/write", "after logging in one is where one wanted to be");
    person.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visitor_writes_and_comments_in_a_browser() {
    let driver = Driver::start();
    let site = Site::start(&Setup::default()).await;
    for screen in [PHONE, DESK] {
        a_visit(&driver, &site, screen).await;
    }
}
