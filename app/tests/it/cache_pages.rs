//! What is kept, and what is forgotten.

use std::time::{Duration, Instant};

use app::cache::Tag;
use app::db::RETURN_SEEN_WITHIN;

use crate::browser::Browser;
use crate::harness::{Page, TestApp, TestDatabase};

/// The three ways of keeping entries in the memory of a server.
const LOCAL: [&str; 3] = ["off", "strict", "fast"];

fn is_hit(page: &Page) -> bool {
    let status = page.header("cache-status");
    status.contains("; hit; ttl=") && !status.contains("fwd=")
}

/// Asks until a page is as it should be. What others change is heard after milliseconds, but when exactly is up to the machine.
async fn eventually(app: &TestApp, path: &str, is_right: impl Fn(&Page) -> bool) -> Duration {
    let started = Instant::now();
    loop {
        let page = app.get(path).await;
        if is_right(&page) {
            return started.elapsed();
        }
        assert!(started.elapsed() < Duration::from_secs(5), "{path} is {} {}", page.header("cache-status"), page.body);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Every combination of the three switches: what is on is stored and then hit, what is off is bypassed.
#[tokio::test]
async fn each_level_has_its_switch() {
    let database = TestDatabase::tiny().await;
    for combination in 0..8 {
        let switch = |bit: u32| if combination & (1 << bit) == 0 { "off" } else { "on" };
        let switches = [
            ("APP_CACHE_VIEW", switch(0)),
            ("APP_CACHE_FRAGMENT", switch(1)),
            ("APP_CACHE_VALUE", switch(2)),
            ("APP_CACHE_PREFIX", &format!("{}_{combination}", database.name)),
        ];
        let app = TestApp::start(&database, &switches).await;
        for (time, on) in [(1, "fwd=miss; stored"), (2, "hit; ttl=")] {
            let expected = |bit: u32| if switch(bit) == "on" { on } else { "fwd=bypass" };
            let list = app.get("/").await;
            assert!(list.header("cache-status").starts_with(&format!("app; {}", expected(0))), "{switches:?} {time}");
            let post = app.get("/posts/1").await;
            let (fragment, value) = post.header("cache-status").split_once(", ").unwrap();
            assert!(fragment.starts_with(&format!("app-fragment; {}", expected(1))), "{switches:?} {time}: {fragment}");
            assert!(value.starts_with(&format!("app-value; {}", expected(2))), "{switches:?} {time}: {value}");
        }
    }
}

/// A page from the cache is the page that was kept, and says how old it is and for how long it is fresh.
#[tokio::test]
async fn a_hit_is_the_same_page() {
    let database = TestDatabase::tiny().await;
    for local in LOCAL {
        let prefix = format!("{}_{local}", database.name);
        let app = TestApp::start(&database, &[("APP_CACHE_LOCAL", local), ("APP_CACHE_PREFIX", &prefix)]).await;
        for path in ["/", "/posts/1", "/?before=1740909600000000.3", "/authors/1", "/tags/notes"] {
            let made = app.get(path).await;
            assert!(made.header("cache-status").contains("fwd=miss; stored"), "{path}");
            assert_eq!(made.header("age"), "");
            let kept = app.get(path).await;
            assert!(is_hit(&kept), "{path} {local}: {}", kept.header("cache-status"));
            assert!(kept.header("age").parse::<u32>().unwrap() < 5);
            assert_eq!(made.body, kept.body);
            assert_eq!(made.header("etag"), kept.header("etag"));
            assert_eq!(kept.header("vary"), "accept-encoding");
        }
    }
}

/// A comment makes everything of its post worthless, on every server, and of no other post. The list may show the old number for its
/// 60 seconds.
#[tokio::test]
async fn a_comment_invalidates_its_post_on_every_server() {
    let database = TestDatabase::tiny().await;
    for local in LOCAL {
        let prefix = format!("{}_{local}", database.name);
        let variables = [("APP_CACHE_LOCAL", local), ("APP_CACHE_PREFIX", &prefix)];
        let one = TestApp::start(&database, &variables).await;
        let other = TestApp::start(&database, &[&variables[..], &[("APP_NAME", "app-2")]].concat()).await;
        for path in ["/", "/posts/1", "/posts/2"] {
            one.get(path).await;
            assert!(is_hit(&other.get(path).await), "servers do not share what is kept");
        }
        let mut writer = Browser::registered(&one, &format!("writer-{local}")).await;
        let count = |page: &Page| page.body.matches("<li id=\"comment-").count();
        let before = count(&one.get("/posts/1").await);
        let list = one.get("/").await.body;
        assert_eq!(writer.post("/posts/1/comments", &[("content", local)]).await.status, 303);
        // The one who wrote sees it at once; so does the other server, unless it believes what it has heard.
        assert_eq!(count(&one.get("/posts/1").await), before + 1, "{local}");
        if local == "fast" {
            eventually(&other, "/posts/1", |page| count(page) == before + 1).await;
        } else {
            assert_eq!(count(&other.get("/posts/1").await), before + 1, "{local}");
        }
        assert!(is_hit(&other.get("/posts/2").await), "another post was forgotten");
        let page = other.get("/").await;
        assert!(is_hit(&page) && page.body == list, "the list was forgotten");
        // What is stored under the new mark counts from now on.
        eventually(&one, "/posts/1", is_hit).await;
        eventually(&other, "/posts/1", is_hit).await;
    }
}

/// What is changed behind the app's back, as with psql, is heard from the database.
#[tokio::test]
async fn writes_of_others_are_heard() {
    let database = TestDatabase::tiny().await;
    for local in LOCAL {
        let prefix = format!("{}_{local}", database.name);
        let app = TestApp::start(&database, &[("APP_CACHE_LOCAL", local), ("APP_CACHE_PREFIX", &prefix)]).await;
        for path in ["/", "/posts/2", "/authors/1", "/tags/engines", "/tags/notes"] {
            app.get(path).await;
            assert!(is_hit(&app.get(path).await), "{path}");
        }
        let text = format!("From behind, {local}.");
        database.execute(&format!("INSERT INTO comments (post_id, author_id, content) VALUES (2, 1, '{text}')")).await;
        eventually(&app, "/posts/2", |page| page.body.contains(&text)).await;
        assert!(is_hit(&app.get("/").await), "a comment is no reason to forget the list");

        let title = format!("A title, {local}");
        database.execute(&format!("UPDATE posts SET title = '{title}' WHERE id = 1")).await;
        for path in ["/", "/posts/1", "/authors/1", "/tags/engines", "/tags/notes"] {
            eventually(&app, path, |page| page.body.contains(&title)).await;
        }
        database.execute(&format!("UPDATE users SET bio = 'A life, {local}' WHERE id = 1")).await;
        eventually(&app, "/authors/1", |page| page.body.contains(&format!("A life, {local}"))).await;
    }
}

/// What is changed while nobody listens is forgotten as well, but not before every server has had the time to see that the database is
/// there: until then pages are shown as before.
#[tokio::test]
async fn what_was_missed_is_forgotten_when_the_database_is_seen_by_all() {
    let database = TestDatabase::tiny().await;
    for local in LOCAL {
        let prefix = format!("{}_{local}", database.name);
        let app = TestApp::start(&database, &[("APP_CACHE_LOCAL", local), ("APP_CACHE_PREFIX", &prefix)]).await;
        let title = format!("Said to nobody, {local}");
        app.get("/posts/1").await;
        let before = app.get("/posts/1").await;
        assert!(is_hit(&before), "{}", before.header("cache-status"));
        // In one statement, so that nobody begins to listen between the two.
        database
            .execute(&format!(
                "WITH ended AS (SELECT pg_terminate_backend(pid) AS done FROM pg_stat_activity
                                WHERE datname = current_database() AND query LIKE 'LISTEN %')
                 UPDATE posts SET title = '{title}' WHERE id = 1 AND (SELECT bool_or(done) FROM ended)"
            ))
            .await;
        let since = Instant::now();
        while since.elapsed() < RETURN_SEEN_WITHIN.mul_f64(0.7) {
            let page = app.get("/posts/1").await;
            assert!(is_hit(&page), "{local}: after {:?} {}", since.elapsed(), page.header("cache-status"));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        eventually(&app, "/posts/1", |page| page.body.contains(&title)).await;
    }
}

/// That there is no such thing is kept, too, until there is.
#[tokio::test]
async fn what_is_not_there_is_kept_until_it_is() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    let outcomes = || ["negative", "miss"].map(|outcome| app.cache.counters().total(outcome));
    for path in ["/posts/4", "/authors/3", "/tags/new"] {
        let [negative, miss] = outcomes();
        let pages = [app.get(path).await, app.get(path).await];
        assert_eq!(pages.map(|page| (page.status, page.body.contains("There is no"))), [(404, true), (404, true)]);
        let [negative_now, miss_now] = outcomes();
        // A post is looked for in three parts, in one round trip; the two that are not needed are not made.
        assert_eq!((negative_now - negative, miss_now - miss), (2, 1), "{path}");
    }
    database
        .execute(
            "INSERT INTO posts (author_id, title, content) VALUES (1, 'New', 'Text');
             INSERT INTO tags (name) VALUES ('new');
             INSERT INTO post_tags (post_id, tag_id) SELECT 4, id FROM tags WHERE name = 'new';
             INSERT INTO users (username, email, password_hash) VALUES ('new', 'new@example.org', '!')",
        )
        .await;
    // A user is added by the app alone, which says so itself.
    app.cache.invalidate(&[Tag::Author(3)]).await;
    for path in ["/posts/4", "/tags/new", "/authors/3"] {
        eventually(&app, path, |page| page.status == 200).await;
    }
}

/// What no policy names, what is wrong, and what failed is not kept.
#[tokio::test]
async fn only_pages_are_kept() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    for (path, status) in
        [("/livez", 200), ("/readyz", 200), ("/nowhere", 404), ("/?before=x", 400), ("/tags/No%20Tag", 404)]
    {
        for _ in 0..2 {
            let page = app.get(path).await;
            assert_eq!((page.status, page.header("cache-status")), (status, ""), "{path}");
        }
    }
    assert_eq!(app.cache.counters().total("hit") + app.cache.counters().total("miss"), 0);
    database.execute("ALTER TABLE posts RENAME TO gone").await;
    assert_eq!(app.get("/").await.status, 500);
    database.execute("ALTER TABLE gone RENAME TO posts").await;
    assert_eq!(app.get("/").await.status, 200);
}

/// What is kept ends by itself: an entry after its time and its grace, a mark after a day, and the mark of everything never.
#[tokio::test]
async fn everything_has_a_lifetime() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    for path in ["/", "/posts/1", "/authors/1", "/tags/notes", "/posts/9"] {
        app.get(path).await;
    }
    let client = redis::Client::open(crate::harness::redis_url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let pattern = format!("{}:*", database.name);
    let mut keys: Vec<String> = redis::cmd("KEYS").arg(pattern).query_async(&mut connection).await.unwrap();
    keys.sort();
    let prefix = format!("{}:v2:", database.name);
    let expected = [
        ("entry:article:1", 360),
        ("entry:article:9", 10),
        ("entry:author-page:1:253402300799999999.9223372036854775807", 90),
        ("entry:comment-count:1", 360),
        ("entry:post-list:253402300799999999.9223372036854775807", 90),
        ("entry:recent-comments:1", 360),
        ("entry:tag-page:notes:253402300799999999.9223372036854775807", 90),
        ("mark:all", -1),
        ("mark:author:1", 86_400),
        ("mark:post-list", 86_400),
        ("mark:post:1", 86_400),
        ("mark:post:9", 86_400),
        ("mark:tag:0", 86_400),
    ];
    let names: Vec<&str> = keys.iter().map(|key| key.strip_prefix(&prefix).unwrap()).collect();
    assert_eq!(names, expected.map(|(name, _)| name));
    for (key, (name, expected_s)) in keys.iter().zip(expected) {
        let lifetime_s: i64 = redis::cmd("TTL").arg(key).query_async(&mut connection).await.unwrap();
        assert!((expected_s - 5..=expected_s).contains(&lifetime_s), "{name} lives for {lifetime_s} s");
    }
}

/// To forget everything, nothing is deleted, and nothing of others is touched.
#[tokio::test]
async fn clearing_is_no_deleting() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    let client = redis::Client::open(crate::harness::redis_url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let foreign = format!("{}_session", database.name);
    let _: () =
        redis::cmd("SET").arg(&foreign).arg("mine").arg("EX").arg(60).query_async(&mut connection).await.unwrap();
    for path in ["/", "/posts/1"] {
        app.get(path).await;
        assert!(is_hit(&app.get(path).await));
    }
    app.cache.values().set("name", "value", None).await.unwrap();
    app.cache.clear().await;
    for path in ["/", "/posts/1"] {
        assert!(!is_hit(&app.get(path).await), "{path} was not forgotten");
    }
    assert_eq!(app.cache.values().get::<String>("name").await, Ok(None));
    let kept: String = redis::cmd("GET").arg(&foreign).query_async(&mut connection).await.unwrap();
    assert_eq!(kept, "mine");
}

/// Who has a page already is told so, without its body, whether it is kept or not.
#[tokio::test]
async fn a_page_that_the_reader_has_is_not_sent_again() {
    let database = TestDatabase::tiny().await;
    let off = [("APP_CACHE_VIEW", "off"), ("APP_CACHE_FRAGMENT", "off"), ("APP_CACHE_VALUE", "off")];
    for variables in [&[][..], &off] {
        let app = TestApp::start(&database, variables).await;
        for path in ["/", "/posts/1", "/authors/1", "/tags/notes"] {
            let page = app.get(path).await;
            let etag = page.header("etag");
            assert!(etag.starts_with('"') && etag.len() == 34, "{path}: {etag}");
            assert_eq!(page.header("cache-control"), "public, no-cache");
            for known in [etag.to_owned(), format!("W/{etag}"), format!("\"x\" , {etag}"), "*".to_owned()] {
                let again = app.get_with(path, &[("if-none-match", &known)]).await;
                assert_eq!((again.status, again.body.as_str()), (304, ""), "{path} {known}");
                for name in ["etag", "cache-control", "vary"] {
                    assert_eq!(again.header(name), page.header(name), "{path} {name}");
                }
                assert!(again.header("cache-status").starts_with("app"), "{path}");
            }
            for unknown in ["\"x\"", "", &etag[1..33], "W/*"] {
                assert_eq!(app.get_with(path, &[("if-none-match", unknown)]).await.body, page.body, "{path} {unknown}");
            }
        }
        let before = app.get("/posts/1").await.header("etag").to_owned();
        let mut writer = Browser::registered(&app, &format!("writer{}", variables.len())).await;
        assert_eq!(writer.post("/posts/1/comments", &[("content", "A third one.")]).await.status, 303);
        assert_ne!(app.get("/posts/1").await.header("etag"), before);
    }
}

/// HEAD is GET without the body, and finds what GET has kept.
#[tokio::test]
async fn head_is_get_without_the_body() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    for path in ["/", "/posts/1"] {
        app.get(path).await;
        let page = app.get(path).await;
        let request = app.client.head(format!("{}{path}", app.base_url));
        let head = crate::harness::read(request).await;
        assert_eq!((head.status, head.body.as_str()), (200, ""));
        assert_eq!(head.header("content-length"), page.body.len().to_string());
        assert!(is_hit(&head));
        for name in ["etag", "content-type", "cache-control", "vary"] {
            assert_eq!(head.header(name), page.header(name), "{path} {name}");
        }
    }
}

/// Who understands gzip is sent that, under an ETag of its own; who refuses it is not.
#[tokio::test]
async fn pages_are_compressed_for_those_who_ask() {
    let database = TestDatabase::tiny().await;
    for local in LOCAL {
        let app = TestApp::start(&database, &[("APP_CACHE_LOCAL", local)]).await;
        for path in ["/", "/posts/1", "/"] {
            let plain = app.get(path).await;
            assert_eq!(plain.header("content-encoding"), "");
            for (accepted, is_compressed) in [
                ("gzip", true),
                ("br, GZIP;q=0.5", true),
                ("deflate", false),
                ("gzip;q=0", false),
                ("gzip; q=0.0, br", false),
            ] {
                let request = app.client.get(format!("{}{path}", app.base_url)).header("accept-encoding", accepted);
                let response = request.send().await.unwrap();
                let headers = response.headers().clone();
                let body = response.bytes().await.unwrap();
                let header = |name: &str| headers.get(name).map_or("", |value| value.to_str().unwrap());
                assert_eq!(header("content-length"), body.len().to_string());
                assert_eq!(header("vary"), "accept-encoding");
                if !is_compressed {
                    assert_eq!((header("content-encoding"), &body[..]), ("", plain.body.as_bytes()), "{accepted}");
                    continue;
                }
                assert_eq!(header("content-encoding"), "gzip", "{path} {accepted}");
                assert_ne!(header("etag"), plain.header("etag"));
                let mut text = String::new();
                std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&body[..]), &mut text).unwrap();
                assert_eq!(text, plain.body);
                let again = [("accept-encoding", accepted), ("if-none-match", header("etag"))];
                let again = app.get_with(path, &again).await;
                assert_eq!((again.status, again.header("etag")), (304, header("etag")));
            }
        }
    }
}
