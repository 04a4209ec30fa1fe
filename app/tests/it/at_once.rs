//! The short ways of pages that are kept as a whole: nobody can tell which way an answer came.

use std::time::{Duration, Instant};

use app::cache::Tag;
use app::routes::{AtOnce, at_once, straight};
use app::server::Server;
use axum::http::HeaderMap;

use crate::harness::{Page, TestApp, TestDatabase, config};

const KEPT: [&str; 7] = [
    "/",
    "/?before=1740909600000000.3",
    "/authors/1",
    "/tags/notes",
    "/feed.atom",
    "/authors/1/feed.atom",
    "/tags/notes/feed.atom",
];

/// What goes the long way however often it was asked for: it is no whole page, it is not there, or it is written in an odd way.
const NOT_KEPT: [&str; 9] = [
    "/posts/1",
    "/authors/9",
    "/authors/x",
    "/authors/%31",
    "/authors/1/",
    "/tags/No%20Tag",
    "/tags/notes/feed.atom/x",
    "/?before=x",
    "/nowhere",
];

async fn start(database: &TestDatabase, local: &str) -> (TestApp, Option<AtOnce>) {
    let prefix = format!("{}_{local}", database.name);
    let variables = [("APP_CACHE_LOCAL", local), ("APP_CACHE_PREFIX", &prefix)];
    let server = Server::bind(config(database, &variables)).await.unwrap();
    let short = at_once(server.state());
    (TestApp::serve(server), short)
}

fn is_short(short: &AtOnce, path: &str) -> bool {
    short(&path.parse().unwrap(), &HeaderMap::new()).is_some()
}

/// Asks until a page goes the short way.
async fn shorten(app: &TestApp, short: &AtOnce, path: &str) {
    let started = Instant::now();
    while !is_short(short, path) {
        assert_eq!(app.get(path).await.status, 200, "{path}");
        assert!(started.elapsed() < Duration::from_secs(5), "{path} never goes the short way");
    }
}

/// Everything but the moment and the name of the request.
fn told(page: &Page) -> (u16, Vec<(&str, &str)>, String) {
    let of_the_moment = ["age", "cache-status", "date", "x-request-id"];
    let mut headers: Vec<(&str, &str)> = page
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .map(|(name, value)| (name, if of_the_moment.contains(&name) { "" } else { value }))
        .collect();
    headers.sort_unstable();
    (page.status, headers, page.body.replace(page.header("x-request-id"), ""))
}

#[tokio::test]
async fn both_ways_answer_alike() {
    let database = TestDatabase::tiny().await;
    let (app, short) = start(&database, "fast").await;
    let short = short.unwrap();
    for path in KEPT {
        assert!(!is_short(&short, path), "{path} is not there yet");
        // Only the long way knows that a parameter of no meaning is ignored.
        let long = format!("{path}{}x=y", if path.contains('?') { '&' } else { '?' });
        for headers in [&[][..], &[("accept-encoding", "gzip")], &[("if-none-match", "*")]] {
            shorten(&app, &short, path).await;
            let pages = [app.get_with(path, headers).await, app.get_with(&long, headers).await];
            assert!(!is_short(&short, &long));
            assert_eq!(told(&pages[0]), told(&pages[1]), "{path} {headers:?}");
            assert!(pages.iter().all(|page| page.header("cache-status").starts_with("app; hit; ttl=")), "{path}");
        }
    }
    for path in NOT_KEPT {
        for _ in 0..2 {
            app.get(path).await;
            assert!(!is_short(&short, path), "{path}");
        }
    }
}

#[tokio::test]
async fn the_short_way_is_counted_and_ends_with_the_mark() {
    let database = TestDatabase::tiny().await;
    let (app, short) = start(&database, "fast").await;
    let short = short.unwrap();
    shorten(&app, &short, "/").await;
    let counts = || ["local", "hit", "miss"].map(|outcome| app.cache.counters().total(outcome));
    let [local, hit, miss] = counts();
    assert!(is_short(&short, "/"));
    assert_eq!(counts(), [local + 1, hit + 1, miss]);
    app.cache.invalidate(&[Tag::PostList]).await;
    assert!(!is_short(&short, "/"));
    // Who was sent the long way counts there, and not twice.
    assert_eq!(counts(), [local + 1, hit + 1, miss]);
}

#[tokio::test]
async fn who_asks_redis_each_time_has_no_short_way() {
    let database = TestDatabase::tiny().await;
    for local in ["off", "strict"] {
        assert!(start(&database, local).await.1.is_none(), "{local}");
    }
}

#[tokio::test]
async fn who_does_not_pass_the_router_is_answered_alike() {
    let database = TestDatabase::tiny().await;
    for local in ["off", "strict"] {
        let server = Server::bind(config(&database, &[("APP_CACHE_LOCAL", local)])).await.unwrap();
        let straight = straight(server.state());
        let app = TestApp::serve(server);
        let is_straight = |path: &str| straight(&path.parse().unwrap(), &HeaderMap::new()).is_some();
        for path in KEPT.into_iter().chain(["/authors/9", "/tags/gone", "/authors/9/feed.atom", "/tags/gone/feed.atom"])
        {
            let long = format!("{path}{}x=y", if path.contains('?') { '&' } else { '?' });
            assert!(is_straight(path) && !is_straight(&long), "{path}");
            // Made on the straight way, found on both.
            let made = app.get(path).await;
            for headers in [&[][..], &[("accept-encoding", "gzip")], &[("if-none-match", "*")]] {
                let pages = [app.get_with(path, headers).await, app.get_with(&long, headers).await];
                assert_eq!(told(&pages[0]), told(&pages[1]), "{local}: {path} {headers:?}");
                assert!(!headers.is_empty() || told(&made).2 == told(&pages[0]).2, "{local}: {path}");
            }
        }
        for path in NOT_KEPT.into_iter().filter(|path| *path != "/authors/9") {
            assert!(!is_straight(path), "{path}");
        }
    }
}
