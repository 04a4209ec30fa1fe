//! What belongs to one reader reaches no other. The classes of fault are those that Django's cache had to have fixed in 2026; nearly all came
//! from guessing by the headers of a request or a response whether and under which name it may be kept. Here nothing is guessed: a route
//! names a policy and a key made of typed values, and what makes the page is given nothing else.

use axum::body::Body;
use axum::http::Response;
use proptest::prelude::*;

use crate::browser::Browser;
use crate::harness::{Page, TestApp, TestDatabase};

/// Routes whose pages are kept.
const KEPT: [&str; 6] = ["/", "/?before=1740909600000000.3", "/posts/1", "/authors/1", "/tags/notes", "/posts/99"];

const SECRET: &str = "s3cr3t-0f-0ne";

/// What a page says besides the name of its request, which an error page shows.
fn text(page: &Page) -> String {
    page.body.replace(page.header("x-request-id"), "")
}

/// What everybody is to see, in the order of [`KEPT`].
async fn plain(app: &TestApp) -> Vec<Page> {
    let mut pages = Vec::new();
    for path in KEPT {
        app.get(path).await;
        pages.push(app.get(path).await);
    }
    pages
}

/// A page is the same, byte for byte and under the same ETag, whatever else the request says; and it does not make another entry.
async fn assert_plain(app: &TestApp, expected: &[Page], headers: &[(&str, &str)]) {
    let made = || app.cache.counters().total("cache_computed");
    let before = made();
    for (path, expected) in KEPT.iter().zip(expected) {
        for _ in 0..2 {
            let page = app.get_with(path, headers).await;
            let is_same = page.status == expected.status && text(&page) == text(expected);
            assert!(is_same, "{path} with {headers:?}");
            assert_eq!(page.header("etag"), expected.header("etag"));
            assert_eq!(page.header("set-cookie"), "");
            assert_eq!(page.header("vary"), expected.header("vary"));
        }
    }
    assert_eq!(made(), before, "{headers:?} made other entries");
}

/// Class 1, what may be kept is guessed, as it was behind all seven: a page that no policy names is not kept, whatever its headers say.
#[tokio::test]
async fn nothing_is_kept_unless_its_route_says_so() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    for path in ["/livez", "/readyz", "/assets/style.css", "/nowhere"] {
        for _ in 0..2 {
            assert_eq!(app.get(path).await.header("cache-status"), "");
        }
    }
    assert_eq!(app.cache.counters().total("cache_computed"), 0);
}

/// Class 2, a page that depends on cookies is stored because the request brought other ones (CVE-2026-48588): no cookie changes a page that is
/// kept.
#[tokio::test]
async fn cookies_change_nothing() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    let expected = plain(&app).await;
    for cookie in [
        format!("session={SECRET}"),
        format!("__Host-session={SECRET}; srv=a; theme=dark"),
        "session=".to_owned(),
        "; ;=;".to_owned(),
    ] {
        assert_plain(&app, &expected, &[("cookie", &cookie)]).await;
    }
}

/// Class 3, a response that sets a cookie is stored (CVE-2026-35192, a session that was written at each request): an entry holds a body and nothing else, so no cookie can be in it; and a response that
/// sets one is marked as nobody's to keep, whatever its page meant.
#[test]
fn who_sets_a_cookie_is_kept_by_nobody() {
    let mut response = Response::builder()
        .header("cache-control", "public, no-cache")
        .header("set-cookie", format!("session={SECRET}"))
        .body(Body::empty())
        .unwrap();
    app::http::protect(&mut response);
    let values: Vec<_> = response.headers().get_all("cache-control").iter().collect();
    assert_eq!(values, ["no-store"]);
    let mut response = Response::builder().header("cache-control", "public, no-cache").body(Body::empty()).unwrap();
    app::http::protect(&mut response);
    assert_eq!(response.headers()["cache-control"], "public, no-cache");
}

/// Class 4, `Cache-Control` is compared with regard to case (CVE-2026-8404): it is not compared at all. What a request says about caches is
/// no way to make the server work, and what a response says is one of three constants.
#[tokio::test]
async fn cache_control_of_a_request_changes_nothing() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    let expected = plain(&app).await;
    for value in ["no-cache", "No-Cache", "NO-STORE", "private", "Private, max-age=0", " no-store ", "max-age=\"0\""] {
        assert_plain(&app, &expected, &[("cache-control", value), ("pragma", "no-cache")]).await;
    }
}

/// Class 5, `Vary: *` is stored, plainly or with a space before it (CVE-2026-6907, CVE-2026-48587): the only header that a kept page varies by is the one that it is kept in two
/// forms for.
#[tokio::test]
async fn what_a_page_varies_by_is_known() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    let expected = plain(&app).await;
    for page in expected.iter().filter(|page| page.status == 200) {
        assert_eq!(page.header("vary"), "accept-encoding");
    }
    for (name, value) in [
        ("accept-language", "de"),
        ("user-agent", SECRET),
        ("accept", "application/json"),
        ("x-requested-with", "XMLHttpRequest"),
        ("range", "bytes=0-3"),
    ] {
        assert_plain(&app, &expected, &[(name, value)]).await;
    }
}

/// Class 6, a page that was made for an `Authorization` is stored (CVE-2026-35193): no page that is kept knows who asks.
#[tokio::test]
async fn who_asks_changes_nothing() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    // The one who is somebody comes first, and fills the cache.
    let bearer = format!("Bearer {SECRET}");
    for path in KEPT {
        app.get_with(path, &[("authorization", &bearer)]).await;
    }
    let expected = plain(&app).await;
    assert!(expected.iter().all(|page| !page.body.contains(SECRET)));
    for value in [bearer.as_str(), "Basic YTpi", "bearer", ""] {
        assert_plain(&app, &expected, &[("authorization", value)]).await;
    }
}

/// Class 7, two requests that differ share a key, as one without a header and one with an empty header did (CVE-2026-113593): nothing is kept
/// that differs between the two.
#[tokio::test]
async fn an_empty_header_is_none() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    let expected = plain(&app).await;
    for name in
        ["accept-encoding", "accept-language", "authorization", "cookie", "if-none-match", "origin", "x-real-ip"]
    {
        assert_plain(&app, &expected, &[(name, "")]).await;
    }
}

/// The same of keys: two spellings of an address or a host meet under one key, or one page lies under as many keys as there are spellings: keys are
/// made of what an address means, and hosts are no part of them.
#[tokio::test]
async fn spellings_neither_meet_nor_multiply() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    let expected = plain(&app).await;
    for (name, value) in [
        ("host", "evil.example.org"),
        ("x-forwarded-host", "evil.example.org"),
        ("x-original-url", "/account"),
        ("x-forwarded-prefix", "/evil"),
    ] {
        assert_plain(&app, &expected, &[(name, value)]).await;
    }
    let made = || app.cache.counters().total("cache_computed");
    let before = made();
    for (other, plain_path) in [
        ("/?utm_source=s3cr3t-0f-0ne", 0),
        ("/?a=1&b=2", 0),
        ("/?b=2&a=1", 0),
        ("/?", 0),
        ("/?x=1&before=1740909600000000.3&y", 1),
        ("/?before=1740909600000000%2e3", 1),
        ("/%70osts/1", 2),
        ("/posts/1?preview=1", 2),
    ] {
        let page = app.get(other).await;
        if page.status == 404 {
            // Another spelling may be another address; it may not be another page of this one.
            continue;
        }
        assert_eq!(page.body, expected[plain_path].body, "{other}");
    }
    assert_eq!(made(), before, "a spelling made an entry of its own");
    // What looks alike and means something else is never the same page.
    for other in [
        "/posts/01",
        "/posts/+1",
        "/posts/1%20",
        "/posts/%201",
        "/posts/1.0",
        "/posts/1%00",
        "/tags/notes%20",
        "/tags/Notes",
    ] {
        let page = app.get(other).await;
        assert!(page.status == 404 || page.body == expected[2].body, "{other}");
        assert!(page.status == 404 || other.starts_with("/posts/"), "{other}");
    }
}

/// Whatever a request says in its headers, its cookies and its parameters: no byte of it is in what others see.
#[test]
fn nothing_of_a_request_reaches_another() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (_database, app, expected) = runtime.block_on(async {
        let database = TestDatabase::tiny().await;
        let app = TestApp::start(&database, &[]).await;
        let expected = plain(&app).await;
        app.cache.clear().await;
        (database, app, expected)
    });
    let names = prop::sample::select(vec![
        "cookie",
        "authorization",
        "accept-language",
        "x-forwarded-for",
        "x-real-ip",
        "x-request-id",
        "referer",
        "user-agent",
        "cache-control",
        "if-modified-since",
        "x-forwarded-host",
        "origin",
        "te",
        "x-http-method-override",
    ]);
    let headers = proptest::collection::vec((names, "[ -~]{0,30}"), 0..4);
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) };
    proptest!(config, |(route in 0..KEPT.len(), headers in headers, parameter in "[a-z]{1,5}=[a-z0-9]{0,9}", forget: bool)| {
        let marked: Vec<(&str, String)> =
            headers.iter().map(|(name, value)| (*name, format!("{SECRET}{}", value.trim()))).collect();
        let marked: Vec<(&str, &str)> = marked.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let separator = if KEPT[route].contains('?') { '&' } else { '?' };
        let path = if parameter.starts_with("before=") { KEPT[route].to_owned() } else { format!("{}{separator}{parameter}{SECRET}", KEPT[route]) };
        runtime.block_on(async {
            if forget {
                // So that this very request fills the cache.
                app.cache.clear().await;
            }
            app.get_with(&path, &marked).await;
            for (path, expected) in KEPT.iter().zip(&expected) {
                let page = app.get(path).await;
                assert!(page.status == expected.status && text(&page) == text(expected), "{path}");
                let headers: String = page.headers.values().map(|value| value.to_str().unwrap()).collect();
                assert!(!page.body.contains(SECRET) && !headers.contains(SECRET), "{path}");
            }
        });
    });
}

/// Pages of one reader: each is somebody's own, and of no cache.
const OWN: [&str; 4] = ["/account", "/reading-list", "/write", "/login"];

/// Many readers, logged in and not, at two servers, in any order, with any headers: the pages that are kept are the same for all of them,
/// byte for byte, and nothing that is one reader's alone is in any page of another.
#[test]
fn nothing_of_a_reader_reaches_another() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (_database, servers, people, expected) = runtime.block_on(async {
        let database = TestDatabase::tiny().await;
        let servers = [
            TestApp::start(&database, &[("APP_CACHE_LOCAL", "strict"), ("APP_RATE_LIMITS", "off")]).await,
            TestApp::start(&database, &[("APP_CACHE_LOCAL", "fast"), ("APP_RATE_LIMITS", "off")]).await,
        ];
        let mut people = Vec::new();
        for (place, name) in ["mirela", "sanne", "teodor"].into_iter().enumerate() {
            let mut browser = Browser::registered(&servers[place % 2], name).await;
            // A list of their own, which each can see and nobody else.
            assert_eq!(browser.post("/reading-list", &[("post_id", &(place + 1).to_string())]).await.status, 303);
            people.push((browser, name));
        }
        people.push((Browser::at(&servers[0]), "nobody"));
        let expected = plain(&servers[0]).await;
        (database, servers, people, expected)
    });
    let secrets: Vec<[String; 2]> = people
        .iter()
        .map(|(browser, name)| {
            [format!("{name}@example.org"), browser.cookie("session").unwrap_or("no session").to_owned()]
        })
        .collect();
    let header = prop::sample::select(vec![
        "accept-language",
        "x-forwarded-for",
        "cache-control",
        "x-forwarded-host",
        "referer",
    ]);
    let step = (0..people.len(), 0..servers.len(), 0..KEPT.len() + OWN.len(), header, "[a-z]{0,8}", 0..20_u8);
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) };
    proptest!(config, |(steps in proptest::collection::vec(step, 1..25))| {
        runtime.block_on(async {
            for (person, server, route, header, value, forget) in steps {
                if forget == 0 {
                    // So that whoever comes next fills the cache.
                    servers[server].cache.clear().await;
                }
                let path = KEPT.iter().chain(&OWN).nth(route).unwrap();
                let mut browser = people[person].0.moved_to(&servers[server]).with_header(header, &value);
                let page = browser.get(path).await;
                let headers: String = page.headers.iter().map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap())).collect();
                for (other, secrets) in secrets.iter().enumerate().filter(|(other, _)| *other != person) {
                    for secret in secrets {
                        assert!(!page.body.contains(secret) && !headers.contains(secret), "{other}'s in {person}'s {path}");
                    }
                }
                if route < KEPT.len() {
                    assert!(text(&page) == text(&expected[route]), "{path} of {}", people[person].1);
                    assert!(!headers.contains("set-cookie"), "{path} {headers}");
                    for secret in &secrets[person] {
                        assert!(!page.body.contains(secret) && !headers.contains(secret), "{person}'s in everybody's {path}");
                    }
                } else {
                    let control = page.header("cache-control");
                    assert!(control.contains("private") || control.contains("no-store") || page.status == 303, "{path} {control}");
                    assert_eq!(page.header("cache-status"), "", "{path}");
                }
            }
        });
    });
}
