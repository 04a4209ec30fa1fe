//! What a session remembers, for whom, where and for how long.

use std::time::Duration;

use crate::browser::{Browser, Gate, PASSWORD, set_cookies};
use crate::harness::{NOWHERE, TestApp, TestDatabase, redis_url};

fn no_store() -> String {
    format!("redis://{NOWHERE}/0")
}

/// How many posts the reading list shows, and how often it was opened according to it.
async fn reading_list(browser: &mut Browser) -> (usize, Option<u64>) {
    let page = browser.get("/reading-list").await;
    assert_eq!(page.status, 200, "{}", page.body);
    let opened = page.body.split("<dt>Opened in this session</dt><dd>").nth(1).unwrap();
    (page.body.matches("class=\"row-title\"").count(), opened.split(' ').next().unwrap().parse().ok())
}

async fn pick(browser: &mut Browser, post_id: &str) {
    let answer = browser.post("/reading-list", &[("post_id", post_id)]).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/reading-list"));
}

/// A plain page sets no cookie, and does not notice that the store is away, whatever cookie it gets.
#[tokio::test]
async fn plain_pages_know_nothing_of_sessions() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[("APP_SESSION_REDIS_URL", &no_store()), ("APP_ROUTE", "a")]).await;
    let mut browser = Browser::at(&app);
    browser.set_cookie("session", "00112233445566778899aabbccddeeff");
    for path in ["/", "/posts/1", "/authors/1", "/tags/notes", "/posts/1/comments", "/livez", "/nowhere"] {
        let page = browser.get(path).await;
        assert!(matches!(page.status, 200 | 404), "{path}: {}", page.status);
        assert_eq!(set_cookies(&page), [] as [&str; 0], "{path}");
    }
    // Pages of people do notice, and say that it is not their fault.
    for path in ["/account", "/reading-list", "/write", "/login"] {
        let page = browser.get(path).await;
        assert_eq!((page.status, page.header("retry-after")), (503, "1"), "{path}");
        assert!(page.body.contains("nothing in it is lost"), "{path}");
    }
    for path in ["/logout", "/posts/1/comments", "/reading-list"] {
        assert_eq!(browser.post(path, &[("content", "x"), ("post_id", "1")]).await.status, 503, "{path}");
    }
    // Without a session there is nothing to be read.
    assert_eq!(app.get("/login").await.status, 200);
}

#[tokio::test]
async fn a_reading_list_needs_no_account() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[("APP_ROUTE", "a")]).await;
    let mut browser = Browser::at(&app);
    assert_eq!(reading_list(&mut browser).await, (0, None));
    assert_eq!(browser.cookie("session"), None, "looking must not begin a session");
    let answer = browser.post("/reading-list", &[("post_id", "1"), ("next", "/posts/1")]).await;
    assert_eq!(answer.header("location"), "/posts/1");
    let cookies = set_cookies(&answer);
    assert_eq!(cookies.len(), 1, "the way back to a server comes with logging in and not before: {cookies:?}");
    assert!(cookies[0].starts_with("session="), "{}", cookies[0]);
    assert!(cookies[0].ends_with("; HttpOnly; SameSite=Lax; Path=/; Max-Age=7776000"), "{}", cookies[0]);
    pick(&mut browser, "3").await;
    pick(&mut browser, "1").await;
    assert_eq!(reading_list(&mut browser).await, (2, Some(1)));
    assert_eq!(reading_list(&mut browser).await, (2, Some(2)));
    let page = browser.get("/reading-list").await;
    let (engine, bold) = (page.body.find("On the engine").unwrap(), page.body.find("&lt;b&gt;Bold").unwrap());
    assert!(engine < bold, "the latest pick comes first");
    assert_eq!(browser.post("/reading-list/remove", &[("post_id", "1")]).await.status, 303);
    assert_eq!(reading_list(&mut browser).await, (1, Some(4)));
    // Cookies come with the beginning and never again.
    for post_id in ["0", "-1", "99", "x", "", "1 OR 1=1", "99999999999999999999"] {
        let page = browser.post("/reading-list", &[("post_id", post_id)]).await;
        assert_eq!((page.status, set_cookies(&page).len()), (404, 0), "{post_id}");
    }
    // A post that was deleted is no longer shown.
    database.execute("DELETE FROM posts WHERE id = 3").await;
    assert_eq!(reading_list(&mut browser).await.0, 0);
}

/// An id that was slipped to somebody is worth nothing once they have logged in, and what the session held is still there.
#[tokio::test]
async fn logging_in_gives_a_new_id() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    Browser::registered(&app, "mirela").await;
    let mut attacker = Browser::at(&app);
    pick(&mut attacker, "1").await;
    let planted = attacker.cookie("session").unwrap().to_owned();
    let mut victim = Browser::at(&app);
    victim.set_cookie("session", &planted);
    assert_eq!(victim.log_in("mirela", PASSWORD).await.status, 303);
    assert_ne!(victim.cookie("session"), Some(planted.as_str()));
    assert!(victim.is_logged_in_as("mirela").await);
    assert_eq!(reading_list(&mut victim).await.0, 1, "the data are carried over");
    assert!(!attacker.is_logged_in_as("mirela").await);
    assert_eq!(reading_list(&mut attacker).await, (0, None), "the old id must name nothing");
    // Registering logs in, too.
    let mut other = Browser::at(&app);
    pick(&mut other, "2").await;
    let before = other.cookie("session").unwrap().to_owned();
    other.register("other").await;
    assert_ne!(other.cookie("session"), Some(before.as_str()));
    // Whoever logs in at the browser of somebody else does not get their list.
    let mut third = other.clone();
    third.log_in("mirela", PASSWORD).await;
    assert_eq!(reading_list(&mut third).await.0, 0);
}

#[tokio::test]
async fn logging_out_ends_the_session_on_the_server() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[("APP_ROUTE", "a")]).await;
    let mut browser = Browser::registered(&app, "mirela").await;
    assert_eq!(browser.cookie("srv"), Some("a"));
    let mut thief = browser.clone();
    assert!(thief.is_logged_in_as("mirela").await);
    let answer = browser.post("/logout", &[]).await;
    assert_eq!(set_cookies(&answer).len(), 2);
    assert!(browser.cookie("session").is_none() && browser.cookie("srv").is_none());
    assert!(!thief.is_logged_in_as("mirela").await);
    // There is nothing wrong with logging out twice.
    assert_eq!(thief.post("/logout", &[]).await.status, 303);
    assert_eq!(app.get("/logout").await.status, 405);
}

#[tokio::test]
async fn a_session_ends_when_it_is_not_used_and_in_any_case() {
    let database = TestDatabase::tiny().await;
    for store in ["redis", "memory"] {
        let idle = [("APP_SESSION_STORE", store), ("APP_SESSION_IDLE_S", "1")];
        let app = TestApp::start(&database, &idle).await;
        let mut browser = Browser::at(&app);
        pick(&mut browser, "1").await;
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            assert_eq!(reading_list(&mut browser).await.0, 1, "{store}: it is in use");
        }
        tokio::time::sleep(Duration::from_millis(1200)).await;
        assert_eq!(reading_list(&mut browser).await, (0, None), "{store}: it was not used for longer than a second");

        let absolute = [("APP_SESSION_STORE", store), ("APP_SESSION_ABSOLUTE_S", "1")];
        let app = TestApp::start(&database, &absolute).await;
        let mut browser = Browser::at(&app);
        pick(&mut browser, "1").await;
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(400)).await;
            browser.get("/reading-list").await;
        }
        assert_eq!(reading_list(&mut browser).await, (0, None), "{store}: it began more than a second ago");
    }
}

/// Why stickiness matters: what one server keeps in its memory, another does not have. What Redis keeps, all of them have.
#[tokio::test]
async fn data_in_memory_come_and_go_and_data_in_redis_stay() {
    let database = TestDatabase::tiny().await;
    for (store, elsewhere) in [("memory", 0), ("redis", 1)] {
        let one = TestApp::start(&database, &[("APP_SESSION_STORE", store), ("APP_NAME", "app-1")]).await;
        let other = TestApp::start(&database, &[("APP_SESSION_STORE", store), ("APP_NAME", "app-2")]).await;
        let mut at_one = Browser::at(&one);
        pick(&mut at_one, "1").await;
        let mut at_other = at_one.moved_to(&other);
        for _ in 0..2 {
            assert_eq!(reading_list(&mut at_one).await.0, 1, "{store}");
            assert_eq!(reading_list(&mut at_other).await.0, elsewhere, "{store}");
        }
        let page = at_other.get("/reading-list").await;
        assert!(page.body.contains("<dd>app-2</dd>"));
        assert_eq!(page.body.contains("a session that this server does not know"), store == "memory");
    }
}

/// While Redis is away nobody looks logged out; when it is back, everything is where it was.
#[tokio::test]
async fn a_store_that_comes_back_has_lost_nothing() {
    let database = TestDatabase::tiny().await;
    let gate = Gate::open().await;
    let app = TestApp::start(&database, &[("APP_SESSION_REDIS_URL", &gate.url())]).await;
    let mut browser = Browser::registered(&app, "mirela").await;
    pick(&mut browser, "1").await;
    gate.set_open(false);
    for _ in 0..3 {
        let page = browser.get("/account").await;
        assert_eq!((page.status, set_cookies(&page).len()), (503, 0));
        assert_eq!(browser.post("/posts/1/comments", &[("content", "x")]).await.status, 503);
        assert_eq!(app.get("/posts/1").await.status, 200);
    }
    gate.set_open(true);
    let mut status = 0;
    for _ in 0..20 {
        status = browser.get("/account").await.status;
        if status == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(status, 200, "the session must come back within two seconds");
    assert_eq!(reading_list(&mut browser).await.0, 1);
    // A connection that broke between two requests is not the next one's problem.
    gate.set_open(false);
    gate.set_open(true);
    assert!(browser.is_logged_in_as("mirela").await);
}

/// Programs send the id in a header. Then the cookie does not count.
#[tokio::test]
async fn a_token_is_as_good_as_a_cookie() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    let browser = Browser::registered(&app, "mirela").await;
    let token = browser.cookie("session").unwrap().to_owned();
    let bearer = |token: &str| Browser::at(&app).with_header("authorization", &format!("Bearer {token}"));
    assert!(bearer(&token).is_logged_in_as("mirela").await);
    for wrong in ["", "x", &token[1..], &token.to_uppercase().replace(char::is_numeric, "A")] {
        assert!(!bearer(wrong).is_logged_in_as("mirela").await, "{wrong}");
    }
    assert!(!browser.with_header("authorization", "Bearer x").is_logged_in_as("mirela").await);
}

/// A cookie that somebody made up is no session, and nothing breaks.
#[tokio::test]
async fn cookies_that_were_made_up_name_nothing() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    let long = "a".repeat(10_000);
    for value in ["", "x", "00112233445566778899aabbccddeeff", "%00", "*", "../..", "\"", "é", &long] {
        let mut browser = Browser::at(&app);
        browser.set_cookie("session", value);
        assert_eq!(browser.get("/account").await.status, 303, "{value}");
        assert_eq!(reading_list(&mut browser).await, (0, None), "{value}");
    }
}

/// Who reads the store cannot enter a session: the keys are hashes of the ids.
#[tokio::test]
async fn the_store_does_not_hold_the_ids() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    let browser = Browser::registered(&app, "mirela").await;
    let mut redis = redis::Client::open(redis_url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let pattern = format!("{}:session:*", database.name);
    let keys: Vec<String> = redis::cmd("KEYS").arg(pattern).query_async(&mut redis).await.unwrap();
    assert_eq!(keys.len(), 1);
    let value: String = redis::cmd("GET").arg(&keys[0]).query_async(&mut redis).await.unwrap();
    let token = browser.cookie("session").unwrap();
    assert!(!keys[0].contains(token) && !value.contains(token), "{keys:?} {value}");
    let lifetime_s: i64 = redis::cmd("TTL").arg(&keys[0]).query_async(&mut redis).await.unwrap();
    assert!(lifetime_s > 0 && lifetime_s <= 14 * 24 * 60 * 60);
    // Another secret makes other keys of the same ids.
    let secret = "another secret of at least 32 characters";
    let other = TestApp::start(&database, &[("APP_SECRET", secret)]).await;
    assert!(!browser.moved_to(&other).is_logged_in_as("mirela").await);
}

#[tokio::test]
async fn changes_of_many_requests_at_once_are_all_kept() {
    let database = TestDatabase::tiny().await;
    let rows =
        "INSERT INTO posts (author_id, title, content) SELECT 1, 'Post ' || n, 'Text' FROM generate_series(4, 10) AS n";
    database.execute(rows).await;
    for store in ["redis", "memory"] {
        let app = TestApp::start(&database, &[("APP_SESSION_STORE", store)]).await;
        let mut browser = Browser::at(&app);
        pick(&mut browser, "1").await;
        let picking: Vec<_> = (2..=6)
            .map(|post_id| {
                let mut browser = browser.clone();
                tokio::spawn(async move { pick(&mut browser, &post_id.to_string()).await })
            })
            .collect();
        for pick in picking {
            pick.await.unwrap();
        }
        assert_eq!(reading_list(&mut browser).await.0, 6, "{store}");
    }
}

/// Over TLS alone, and for this very host: what other hosts of the domain set is not read.
#[tokio::test]
async fn cookies_in_production() {
    let database = TestDatabase::tiny().await;
    let production = [
        ("APP_MODE", "production"),
        ("APP_SECRET", "a secret of at least 32 characters"),
        ("APP_PASSWORD_MEMORY_KIB", "19456"),
        ("APP_ROUTE", "b"),
    ];
    let app = TestApp::start(&database, &production).await;
    let mut browser = Browser::at(&app);
    let answer = browser.register("mirela").await;
    let cookies = set_cookies(&answer);
    assert!(cookies[0].starts_with("__Host-session="), "{cookies:?}");
    assert!(cookies[0].ends_with("; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=7776000"), "{cookies:?}");
    assert_eq!(cookies[1], "srv=b; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=7776000");
    assert!(browser.is_logged_in_as("mirela").await);
    let mut tossed = Browser::at(&app);
    tossed.set_cookie("session", browser.cookie("__Host-session").unwrap());
    assert!(!tossed.is_logged_in_as("mirela").await);
}
