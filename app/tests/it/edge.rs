//! What holds for every route: names of requests, headers, limits, and errors that are pages.

use std::time::{Duration, Instant};

use crate::harness::{TestApp, TestDatabase, read};
use crate::wire::Wire;

const NO_CACHE: [(&str, &str); 3] =
    [("APP_CACHE_VIEW", "off"), ("APP_CACHE_FRAGMENT", "off"), ("APP_CACHE_VALUE", "off")];

async fn get_with(app: &TestApp, path: &str, name: &str, value: &str) -> crate::harness::Page {
    read(app.client.get(format!("{}{path}", app.base_url)).header(name, value)).await
}

/// A name is taken over from a trusted proxy if it is well-formed; everything else gets a new one, of its own.
#[tokio::test]
async fn requests_have_names() {
    let database = TestDatabase::migrated().await;
    let trusting = TestApp::start(&database, &[("APP_TRUSTED_PROXIES", "127.0.0.1")]).await;
    for name in ["0123456789abcdef0123456789abcdef", "a", "Trace_1-2"] {
        assert_eq!(get_with(&trusting, "/livez", "x-request-id", name).await.header("x-request-id"), name);
    }
    let too_long = "x".repeat(65);
    for name in ["a b", "*/ DROP TABLE posts; --", "a\"b", "", &too_long] {
        let made = get_with(&trusting, "/livez", "x-request-id", name).await;
        assert_eq!(made.header("x-request-id").len(), 32, "{name}");
        assert_ne!(made.header("x-request-id"), name);
    }
    let doubting = TestApp::start(&database, &[]).await;
    let (one, other) = (
        get_with(&doubting, "/livez", "x-request-id", "mine").await,
        get_with(&doubting, "/livez", "x-request-id", "mine").await,
    );
    assert_ne!(one.header("x-request-id"), "mine");
    assert_ne!(one.header("x-request-id"), other.header("x-request-id"));
}

/// Whatever is answered, the answer says what browsers are to refuse, who answered, and which request it was.
#[tokio::test]
async fn every_answer_has_its_headers() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    let asset = app.get("/").await.body.split('"').find(|text| text.starts_with("/assets/style-")).unwrap().to_owned();
    for path in ["/", "/", "/posts/1", "/nowhere", "/livez", "/readyz", "/metrics", "/posts/%ff", "/robots.txt", &asset]
    {
        let page = app.get(path).await;
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; style-src 'self'; img-src 'self'"), "{path}: {policy}");
        assert!(!policy.contains("script"), "{path}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("x-served-by", "app-1"),
        ] {
            let values: Vec<_> = page.headers.get_all(name).iter().collect();
            assert_eq!(values, [value], "{path}");
        }
        assert!(page.header("permissions-policy").contains("geolocation=()"), "{path}");
        assert_eq!(page.headers.get_all("x-request-id").iter().count(), 1, "{path}");
        assert_eq!(page.header("x-request-id").len(), 32, "{path}");
    }
}

/// What the router and the extractors refuse in plain words is a page as well, the same for everybody: it does not name the request.
#[tokio::test]
async fn errors_are_pages() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    for (path, status) in [("/nowhere", 404), ("/posts/%ff", 400), ("/tags/%C3%28", 400), ("/posts/x", 404)] {
        let page = app.get(path).await;
        assert_eq!((page.status, page.header("content-type")), (status, "text/html; charset=utf-8"), "{path}");
        let name = page.header("x-request-id").to_owned();
        assert!(!page.body.contains(&name), "{path} names its request: {}", page.body);
    }
    let page = read(app.client.delete(format!("{}/posts/1", app.base_url))).await;
    assert_eq!((page.status, page.header("content-type")), (405, "text/html; charset=utf-8"));
    assert_eq!(page.header("allow"), "GET,HEAD");
    assert!(page.body.contains("Method Not Allowed"));
}

/// A path that is not even encoded is refused, and the connection that it came on is not.
#[tokio::test]
async fn raw_bytes_in_a_path() {
    let database = TestDatabase::migrated().await;
    let app = TestApp::start(&database, &[]).await;
    for request in ["GET /posts/\u{7f} HTTP/1.1\r\nhost: test\r\n\r\n", "GET nowhere HTTP/1.1\r\nhost: test\r\n\r\n"] {
        let mut wire = Wire::connect(&app.base_url).await.unwrap();
        wire.send(request).await.unwrap();
        let answer = wire.receive().await.unwrap();
        assert!((400..500).contains(&answer.status), "{}", answer.head);
    }
}

/// A HEAD is answered as a GET is, without the body.
#[tokio::test]
async fn head() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    for path in ["/livez", "/nowhere", "/posts/1"] {
        let get = app.get(path).await;
        let mut wire = Wire::connect(&app.base_url).await.unwrap();
        wire.send(&format!("HEAD {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n")).await.unwrap();
        let mut text = String::new();
        tokio::io::AsyncReadExt::read_to_string(wire.stream(), &mut text).await.unwrap();
        assert!(text.starts_with(&format!("HTTP/1.1 {}", get.status)), "{path}: {text}");
        assert!(text.ends_with("\r\n\r\n"), "{path} has a body: {text}");
    }
}

/// Who is above the limit is told at once to come back; health is told to everybody.
#[tokio::test]
async fn too_many_requests_at_once() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[&NO_CACHE[..], &[("APP_REQUESTS_MAX", "2")]].concat()).await;
    let mut blocker = database.pool.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE posts IN ACCESS EXCLUSIVE MODE").execute(&mut *blocker).await.unwrap();
    let waiting = async { tokio::join!(app.get("/"), app.get("/posts/1")) };
    let looking = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let started = Instant::now();
        let page = app.get("/tags/notes").await;
        assert_eq!((page.status, page.header("retry-after")), (503, "1"));
        assert!(started.elapsed() < Duration::from_millis(200), "{:?}", started.elapsed());
        assert_eq!(app.get("/livez").await.status, 200);
        assert_eq!(app.get("/readyz").await.status, 200);
        let metrics = app.get("/metrics").await.body;
        assert!(metrics.contains("\nhttp_requests_shed_total 1\n"), "{metrics}");
        assert!(metrics.contains("\nhttp_requests_in_flight 3.0\n"), "{metrics}");
        blocker.rollback().await.unwrap();
    };
    let ((list, post), ()) = tokio::join!(waiting, looking);
    assert_eq!((list.status, post.status), (200, 200));
    assert_eq!(app.get("/tags/notes").await.status, 200);
}

/// A request that takes too long is given up.
#[tokio::test]
async fn a_request_that_takes_too_long() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[&NO_CACHE[..], &[("APP_REQUEST_TIMEOUT_MS", "100")]].concat()).await;
    let mut blocker = database.pool.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE posts IN ACCESS EXCLUSIVE MODE").execute(&mut *blocker).await.unwrap();
    let page = app.get("/").await;
    assert_eq!((page.status, page.header("retry-after")), (503, "1"));
    assert!(page.body.contains(page.header("x-request-id")));
    blocker.rollback().await.unwrap();
    assert!(app.get("/metrics").await.body.contains("\nhttp_requests_timed_out_total 1\n"));
}

/// A body that is too large is refused with a page, whether its length was said before or not, also when nobody would have read it.
#[tokio::test]
async fn a_body_that_is_too_large() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    for size in [65 * 1024, 10 * 1024 * 1024] {
        for path in ["/posts/1/comments", "/nowhere"] {
            let body = format!("content={}", "a".repeat(size));
            let page = app.post_raw(path, "application/x-www-form-urlencoded", body).await;
            assert_eq!(page.status, 413, "{path} with {size} bytes");
            assert!(page.body.contains("This is too long."), "{}", page.body);
        }
    }
    let mut wire = Wire::connect(&app.base_url).await.unwrap();
    let head = "POST /posts/1/comments HTTP/1.1\r\nhost: test\r\ncontent-type: application/x-www-form-urlencoded\r\n\
                transfer-encoding: chunked\r\n\r\n";
    let chunk = format!("11000\r\n{}\r\n", "a".repeat(0x11000));
    wire.send(head).await.unwrap();
    wire.send(&chunk).await.unwrap();
    let answer = wire.receive().await.unwrap();
    assert_eq!((answer.status, answer.is_last()), (413, true), "{}", answer.head);
}

/// A body that does not come is waited for, but not for long.
#[tokio::test]
async fn a_body_that_does_not_come() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    let mut wire = Wire::connect(&app.base_url).await.unwrap();
    let head = "POST /posts/1/comments HTTP/1.1\r\nhost: test\r\ncontent-type: application/x-www-form-urlencoded\r\n\
                content-length: 20\r\n\r\ncontent=";
    let started = Instant::now();
    wire.send(head).await.unwrap();
    let answer = wire.receive().await.unwrap();
    assert_eq!((answer.status, answer.is_last()), (408, true), "{}", answer.head);
    assert!((4.0..7.0).contains(&started.elapsed().as_secs_f64()), "{:?}", started.elapsed());
}

/// The style sheet is at an address of its own content, and may be kept for ever.
#[tokio::test]
async fn assets_are_kept_by_their_content() {
    let database = TestDatabase::migrated().await;
    let app = TestApp::start(&database, &[]).await;
    let home = app.get("/").await.body;
    let address = home.split('"').find(|text| text.starts_with("/assets/style-")).unwrap();
    let style = app.get(address).await;
    assert_eq!((style.status, style.header("content-type")), (200, "text/css; charset=utf-8"));
    assert_eq!(style.header("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(style.body, include_str!("../../assets/style.css"));
    assert_eq!(app.get("/assets/style-0000000000000000.css").await.status, 404);
    assert_eq!(app.get("/assets/style.css").await.status, 404);
    for (path, kind) in [("/favicon.svg", "image/svg+xml"), ("/robots.txt", "text/plain; charset=utf-8")] {
        let page = app.get(path).await;
        assert_eq!((page.status, page.header("content-type")), (200, kind));
    }
}
