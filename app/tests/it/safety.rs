//! What is refused: what other sites send, what comes too often, what is too long.

use std::time::{Duration, Instant};

use crate::browser::{Browser, Gate, PASSWORD, set_cookies};
use crate::harness::{NOWHERE, TestApp, TestDatabase};

/// Every address that changes something, with fields that would be right.
const CHANGING: [(&str, &[(&str, &str)]); 10] = [
    ("/posts/1/comments", &[("content", "Foreign")]),
    ("/write", &[("title", "Foreign"), ("content", "Text")]),
    ("/posts/4/edit", &[("title", "Foreign"), ("content", "Text")]),
    ("/posts/4/delete", &[]),
    ("/account", &[("bio", "Foreign")]),
    ("/reading-list", &[("post_id", "1")]),
    ("/reading-list/remove", &[("post_id", "1")]),
    ("/login", &[("username", "mirela"), ("password", PASSWORD)]),
    ("/register", &[("username", "foreign"), ("email", "foreign@example.org"), ("password", PASSWORD)]),
    ("/logout", &[]),
];

/// What another site makes a browser send is refused, whatever cookies come with it, and changes nothing.
#[tokio::test]
async fn forms_of_other_sites_are_refused() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    let mut browser = Browser::registered(&app, "mirela").await;
    browser.post("/write", &[("title", "Mine"), ("content", "Text")]).await;
    let own = app.base_url().to_owned();
    let host = own.trim_start_matches("http://");
    let other_port = format!("http://{}", host.replace("127.0.0.1", "localhost"));
    for headers in [
        vec![("sec-fetch-site", "cross-site")],
        vec![("sec-fetch-site", "same-site")],
        vec![("sec-fetch-site", "cross-site"), ("origin", own.as_str())],
        vec![("sec-fetch-site", "Same-Origin")],
        vec![("origin", "https://evil.example")],
        vec![("origin", "null")],
        vec![("origin", other_port.as_str())],
        vec![("origin", host)],
    ] {
        let mut foreign = browser.clone();
        for (name, value) in &headers {
            foreign = foreign.with_header(name, value);
        }
        for (path, fields) in CHANGING {
            let page = foreign.post(path, fields).await;
            assert_eq!(page.status, 403, "{path} {headers:?}");
            assert!(page.body.contains("was sent from another site"), "{path}");
            assert_eq!(set_cookies(&page).len(), 0);
        }
    }
    assert!(browser.is_logged_in_as("mirela").await);
    let page = app.get("/posts/4").await;
    assert!(page.body.contains("Mine") && !page.body.contains("Foreign"));
    assert!(!app.get("/posts/1").await.body.contains("Foreign"));
    // Following a link from another site is no crime.
    assert_eq!(browser.with_header("sec-fetch-site", "cross-site").get("/account").await.status, 200);
}

#[tokio::test]
async fn our_own_forms_and_programs_pass() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[("APP_RATE_LIMITS", "off")]).await;
    let browser = Browser::registered(&app, "mirela").await;
    let own = app.base_url().to_owned();
    for (number, headers) in [
        vec![("sec-fetch-site", "same-origin"), ("origin", own.as_str())],
        vec![("sec-fetch-site", "same-origin")],
        vec![("sec-fetch-site", "none")],
        vec![("origin", own.as_str())],
        vec![],
    ]
    .into_iter()
    .enumerate()
    {
        let mut own = browser.clone();
        for (name, value) in &headers {
            own = own.with_header(name, value);
        }
        let content = format!("Comment {number}");
        assert_eq!(own.post("/posts/1/comments", &[("content", &content)]).await.status, 303, "{headers:?}");
        assert!(app.get("/posts/1").await.body.contains(&content));
    }
}

/// Looking changes nothing, and what is there to be looked at takes no form.
#[tokio::test]
async fn pages_take_no_forms_and_forms_are_no_links() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    for path in ["/", "/posts/1", "/authors/1", "/tags/notes", "/livez", "/readyz"] {
        assert_eq!(app.post(path, &[]).await.status, 405, "{path}");
    }
    for path in ["/logout", "/reading-list/remove"] {
        assert_eq!(app.get(path).await.status, 405, "{path}");
    }
}

/// Two servers count together; another account, from the same address, is not concerned.
#[tokio::test]
async fn guessing_is_slowed_down_over_all_servers() {
    let database = TestDatabase::tiny().await;
    let one = TestApp::start(&database, &[]).await;
    let other = TestApp::start(&database, &[]).await;
    Browser::registered(&one, "mirela").await;
    Browser::registered(&one, "second").await;
    let mut statuses = Vec::new();
    for number in 0..8 {
        let app = if number % 2 == 0 { &one } else { &other };
        let name = if number % 3 == 0 { "mirela" } else { " MIRELA" };
        let page = app.post("/login", &[("username", name), ("password", "wrong horse battery")]).await;
        statuses.push(page.status);
        if page.status == 429 {
            let retry_after_s: u64 = page.header("retry-after").parse().unwrap();
            assert!((1..=12).contains(&retry_after_s), "{retry_after_s}");
            assert!(page.body.contains("too often") && page.body.contains("Please try again in"));
        }
    }
    assert_eq!(statuses, [422, 422, 422, 422, 422, 429, 429, 429]);
    // Even the right password has to wait, or the limit would not be one.
    assert_eq!(Browser::at(&other).log_in("mirela", PASSWORD).await.status, 429);
    assert_eq!(Browser::at(&other).log_in("second", PASSWORD).await.status, 303);
    // An address has a limit of its own, whatever the names. Twenty, of which six were counted; refused ones were not.
    for number in 0..14 {
        assert_eq!(one.post("/login", &[("username", &format!("name-{number}"))]).await.status, 422, "{number}");
    }
    assert_eq!(other.post("/login", &[("username", "name-x")]).await.status, 429);
    // Reading is never limited.
    assert_eq!(one.get("/").await.status, 200);
}

/// A proxy of ours says whom it speaks for; a stranger who says so is not believed.
#[tokio::test]
async fn clients_are_told_apart_by_their_real_address() {
    let database = TestDatabase::tiny().await;
    for (trusted, expected) in [("127.0.0.1", [422, 422]), ("", [429, 429])] {
        let app = TestApp::start(&database, &[("APP_TRUSTED_PROXIES", trusted)]).await;
        let from = |address: &str| Browser::at(&app).with_header("x-real-ip", address);
        for number in 0..20 {
            from("192.0.2.1").log_in(&format!("{trusted}name-{number}"), "x").await;
        }
        for (address, expected) in ["192.0.2.2", "2001:db8::1"].into_iter().zip(expected) {
            let page = from(address).log_in(&format!("{trusted}another-{address}"), "x").await;
            assert_eq!(page.status, expected, "{trusted:?} {address}");
        }
        assert_eq!(from("192.0.2.1").log_in(&format!("{trusted}one-more"), "x").await.status, 429);
    }
}

/// Without Redis each server counts by itself, and nobody waits for Redis.
#[tokio::test]
async fn limits_without_redis() {
    let database = TestDatabase::tiny().await;
    let nowhere = format!("redis://{NOWHERE}/0");
    let replaced = [("REDIS_URL", nowhere.as_str()), ("APP_SESSION_STORE", "memory")];
    let app = TestApp::start(&database, &replaced).await;
    Browser::registered(&app, "mirela").await;
    let started = Instant::now();
    let mut statuses = Vec::new();
    for _ in 0..7 {
        let page = app.post("/login", &[("username", "mirela"), ("password", "wrong horse battery")]).await;
        statuses.push(page.status);
    }
    assert_eq!(statuses, [422, 422, 422, 422, 422, 429, 429]);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

/// What was counted in Redis still counts when it comes back.
#[tokio::test]
async fn limits_while_redis_comes_and_goes() {
    let database = TestDatabase::tiny().await;
    let gate = Gate::open().await;
    let app = TestApp::start(&database, &[("APP_SESSION_REDIS_URL", &gate.url())]).await;
    let attempt = async || app.post("/login", &[("username", "Ada"), ("password", "x")]).await.status;
    for _ in 0..5 {
        assert_eq!(attempt().await, 422);
    }
    assert_eq!(attempt().await, 429);
    gate.set_open(false);
    for _ in 0..5 {
        assert_eq!(attempt().await, 422, "a server of its own starts from nothing");
    }
    assert_eq!(attempt().await, 429);
    gate.set_open(true);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(attempt().await, 429);
}

#[tokio::test]
async fn writing_and_registering_have_limits() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    let mut browser = Browser::registered(&app, "mirela").await;
    let mut second = Browser::registered(&app, "second").await;
    for number in 0..11 {
        let expected = if number < 10 { 303 } else { 429 };
        let content = number.to_string();
        assert_eq!(browser.post("/posts/1/comments", &[("content", &content)]).await.status, expected, "{number}");
        let post = [("title", content.as_str()), ("content", "Text")];
        assert_eq!(browser.post("/write", &post).await.status, expected, "{number}");
    }
    assert_eq!(second.post("/posts/1/comments", &[("content", "x")]).await.status, 303);
    for number in 2..11 {
        let expected = if number < 10 { 303 } else { 429 };
        assert_eq!(Browser::at(&app).register(&format!("name-{number}")).await.status, expected, "{number}");
    }
    for number in 0..31 {
        let expected = if number < 30 { 303 } else { 429 };
        let page = Browser::at(&app).post("/reading-list", &[("post_id", "1")]).await;
        assert_eq!(page.status, expected, "{number}");
    }
    let off = TestApp::start(&database, &[("APP_RATE_LIMITS", "off")]).await;
    assert_eq!(browser.moved_to(&off).post("/posts/1/comments", &[("content", "off")]).await.status, 303);
}

/// Each form has the length that it needs, and a longer one is a page that says so.
#[tokio::test]
async fn bodies_are_bounded() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    let mut browser = Browser::registered(&app, "mirela").await;
    let text = |bytes: usize| "x".repeat(bytes);
    // The longest post that is allowed, in characters of four bytes: each is sent as twelve.
    let longest = "🦀".repeat(100_000);
    assert_eq!(browser.post("/write", &[("title", "Long"), ("content", &longest)]).await.status, 303);
    for (path, field, bytes) in [
        ("/login", "password", 5_000),
        ("/register", "password", 5_000),
        ("/posts/1/comments", "content", 70_000),
        ("/account", "bio", 70_000),
        ("/reading-list", "next", 70_000),
        ("/write", "content", 1_400_000),
        ("/login", "password", 10_000_000),
        ("/write", "content", 10_000_000),
    ] {
        let page = browser.post(path, &[(field, &text(bytes))]).await;
        assert_eq!(page.status, 413, "{path} {bytes}");
        assert!(page.body.contains("</html>"), "{path} {bytes}");
    }
}

/// No page with a form, refused or not, lacks the headers that make browsers careful, and none is kept by anybody else.
#[tokio::test]
async fn pages_with_forms_are_nobody_elses() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    let mut browser = Browser::registered(&app, "mirela").await;
    let mut visitor = Browser::at(&app);
    let mut pages = Vec::new();
    for path in ["/account", "/write", "/reading-list"] {
        pages.push(browser.get(path).await);
    }
    for path in ["/login", "/register"] {
        pages.push(visitor.get(path).await);
        pages.push(visitor.post(path, &[]).await);
    }
    pages.push(browser.post("/write", &[]).await);
    pages.push(browser.post("/posts/1/comments", &[]).await);
    for page in &pages {
        let cache_control = page.header("cache-control");
        assert!(cache_control == "no-store" || cache_control == "private, no-cache", "{cache_control}");
        let policy = page.header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("form-action 'self'"), "{policy}");
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        for inline in ["<script", "style=", "onclick", "javascript:"] {
            assert!(!page.body.contains(inline), "`{inline}` in {}", page.body);
        }
    }
}
