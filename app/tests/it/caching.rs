//! What is kept, and what is forgotten.

use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use crate::harness::{NOWHERE, TestApp, TestDatabase};

const COMMENT: [(&str, &str); 2] = [("username", "Ada"), ("content", "A third one.")];

/// Every combination of the three switches: what is on is stored and then hit, what is off is bypassed.
#[tokio::test]
async fn each_level_has_its_switch() {
    for combination in 0..8 {
        let database = TestDatabase::tiny().await;
        let switch = |bit: u32| if combination & (1 << bit) == 0 { "off" } else { "on" };
        let switches =
            [("APP_CACHE_VIEW", switch(0)), ("APP_CACHE_FRAGMENT", switch(1)), ("APP_CACHE_VALUE", switch(2))];
        let app = TestApp::start(&database, &switches).await;
        for (time, on) in [(1, "fwd=miss; stored"), (2, "hit")] {
            let expected = |bit: u32| if switch(bit) == "on" { on } else { "fwd=bypass" };
            let (list, post) = (app.get("/").await, app.get("/posts/1").await);
            assert_eq!(list.header("cache-status"), format!("app; {}", expected(0)), "{switches:?}, request {time}");
            let parts = format!("app-fragment; {}, app-value; {}", expected(1), expected(2));
            assert_eq!(post.header("cache-status"), parts, "{switches:?}, request {time}");
        }
    }
}

/// A page from the cache is the page that was kept.
#[tokio::test]
async fn a_hit_is_the_same_page() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    for path in ["/", "/posts/1", "/?before=1740909600000000.3"] {
        let made = app.get(path).await;
        let kept = app.get(path).await;
        assert!(
            made.header("cache-status").contains("stored") && kept.header("cache-status").contains("hit"),
            "{path}"
        );
        assert_eq!(made.body, kept.body);
    }
    // Neither of these is kept: no policy names them.
    for path in ["/authors/1", "/tags/notes"] {
        assert_eq!(app.get(path).await.header("cache-status"), "app; fwd=bypass");
    }
}

/// A comment makes fragment and value of its post worthless, on every server, and of no other post. The list may show the old number for
/// its 60 seconds.
#[tokio::test]
async fn a_comment_invalidates_its_post_on_every_server() {
    let database = TestDatabase::tiny().await;
    let one = TestApp::start(&database, &[]).await;
    let other = TestApp::start(&database, &[("APP_NAME", "app-2")]).await;
    for path in ["/", "/posts/1", "/posts/2"] {
        one.get(path).await;
        assert!(other.get(path).await.header("cache-status").contains("hit"), "servers do not share what is kept");
    }
    assert_eq!(one.post("/posts/1/comments", &COMMENT).await.status, 303);
    let page = other.get("/posts/1").await;
    assert_eq!(page.header("cache-status"), "app-fragment; fwd=miss; stored, app-value; fwd=miss; stored");
    assert!(page.body.contains("A third one.") && page.body.contains("3 comments"));
    assert!(other.get("/posts/2").await.header("cache-status").starts_with("app-fragment; hit"));
    let list = other.get("/").await;
    assert_eq!(list.header("cache-status"), "app; hit");
    assert!(list.body.contains("2 comments"));
    // What is stored under the new generation counts from now on.
    assert!(one.get("/posts/1").await.header("cache-status").starts_with("app-fragment; hit, app-value; hit"));
}

/// A reader that asked the database before a comment and stores its answer after the invalidation stores something dead.
#[tokio::test]
async fn a_slow_reader_cannot_bring_back_what_is_old() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    // The reader waits for the table of comments, behind a lock that it has already passed for the post.
    let mut blocker = database.pool.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE comments IN ACCESS EXCLUSIVE MODE").execute(&mut *blocker).await.unwrap();
    let reader = app.get("/posts/1");
    let writer = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        // The comment is added by the transaction that holds the lock; the invalidation reaches Redis before the reader goes on.
        let cache = app::cache::Cache::connect(cache_config(&database)).unwrap();
        cache.invalidate(app::cache::Key::PostGeneration(1)).await;
        blocker.rollback().await.unwrap();
    };
    let (page, ()) = tokio::join!(reader, writer);
    assert_eq!(page.header("cache-status"), "app-fragment; fwd=miss; stored, app-value; fwd=miss; stored");
    let next = app.get("/posts/1").await;
    assert_eq!(next.header("cache-status"), "app-fragment; fwd=miss; stored, app-value; fwd=miss; stored");
}

fn cache_config(database: &TestDatabase) -> app::config::CacheConfig {
    app::config::CacheConfig {
        redis_url: Some(crate::harness::redis_url()),
        view: true,
        fragment: true,
        value: true,
        prefix: database.name.clone(),
        local: app::config::LocalCache::Off,
        local_mib: 16,
    }
}

/// What is kept ends by itself: the list after 60 seconds, the parts of a post after 300.
#[tokio::test]
async fn everything_has_a_lifetime() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    app.get("/").await;
    app.get("/posts/1").await;
    app.post("/posts/1/comments", &COMMENT).await;
    let client = redis::Client::open(crate::harness::redis_url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let pattern = format!("{}:*", database.name);
    let mut keys: Vec<String> = redis::cmd("KEYS").arg(pattern).query_async(&mut connection).await.unwrap();
    keys.sort();
    let kinds: Vec<&str> = keys.iter().map(|key| key.split(':').nth(2).unwrap()).collect();
    assert_eq!(kinds, ["comment-count", "post-generation", "post-list", "recent-comments"]);
    for key in &keys {
        let lifetime_s: i64 = redis::cmd("TTL").arg(key).query_async(&mut connection).await.unwrap();
        let expected_s = if key.contains("post-list") {
            60
        } else if key.contains("generation") {
            1000
        } else {
            300
        };
        assert!((expected_s - 5..=expected_s).contains(&lifetime_s), "{key} lives for {lifetime_s} s");
    }
}

/// Without Redis every page still comes, and says that nothing was kept.
#[tokio::test]
async fn without_redis_the_pages_still_come() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[("REDIS_URL", &format!("redis://{NOWHERE}"))]).await;
    for _ in 0..3 {
        let list = app.get("/").await;
        assert_eq!((list.status, list.header("cache-status")), (200, "app; fwd=bypass"));
        let post = app.get("/posts/1").await;
        assert_eq!(
            (post.status, post.header("cache-status")),
            (200, "app-fragment; fwd=bypass, app-value; fwd=bypass")
        );
    }
    assert_eq!(app.post("/posts/1/comments", &COMMENT).await.status, 303);
    assert!(app.get("/posts/1").await.body.contains("A third one."));
    assert_eq!(app.get("/readyz").await.status, 200);
}

/// A Redis that accepts and never answers costs a page at most a few time-outs of 50 ms.
#[tokio::test]
async fn a_redis_that_hangs_does_not_hang_the_pages() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let redis_url = format!("redis://{}", silent.local_addr().unwrap());
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[("REDIS_URL", &redis_url)]).await;
    for path in ["/", "/posts/1", "/"] {
        let started = Instant::now();
        let page = app.get(path).await;
        assert_eq!(page.status, 200);
        assert!(page.header("cache-status").contains("fwd=bypass"));
        assert!(started.elapsed() < Duration::from_secs(1), "{path} took {:?}", started.elapsed());
    }
}
