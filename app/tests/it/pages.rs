//! What the pages say, to people and to browsers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::harness::{TestApp, TestDatabase};

const NO_CACHE: [(&str, &str); 3] =
    [("APP_CACHE_VIEW", "off"), ("APP_CACHE_FRAGMENT", "off"), ("APP_CACHE_VALUE", "off")];

/// The list shows title, author, day, tags and number of comments of each post, newest first; of two posts of the same instant the
/// younger id comes first.
#[tokio::test]
async fn the_list() {
    let database = TestDatabase::tiny().await;
    let page = TestApp::start(&database, &[]).await.get("/").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(page.header("x-served-by"), "app-1");
    insta::assert_snapshot!("list", without_style_hash(&page.body));
}

/// The post page shows the text, the tags, the comments newest first, and the form.
#[tokio::test]
async fn the_post() {
    let database = TestDatabase::tiny().await;
    let page = TestApp::start(&database, &[]).await.get("/posts/1").await;
    assert_eq!(page.status, 200);
    insta::assert_snapshot!("post", without_style_hash(&page.body));
}

/// The pages of an author and of a tag show their posts and no others.
#[tokio::test]
async fn authors_and_tags() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    let author = app.get("/authors/1").await;
    assert!(author.body.contains("Posts by Ada") && author.body.contains("Writes about engines."));
    assert!(author.body.contains("On the engine") && !author.body.contains("A moth in the relay"));
    let tag = app.get("/tags/engines").await;
    assert!(tag.body.contains("On the engine") && !tag.body.contains("A moth in the relay"));
    assert!(app.get("/tags/notes").await.body.contains("A moth in the relay"));
}

/// Whatever users wrote is shown and never run.
#[tokio::test]
async fn text_of_users_is_escaped() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    for path in ["/", "/posts/3", "/posts/1", "/authors/1"] {
        // Twice, because the second time fragments come from the cache.
        for _ in 0..2 {
            let page = app.get(path).await;
            for raw in ["<script>alert", "<b>Bold", "<i>Second"] {
                assert!(!page.body.contains(raw), "{path} has `{raw}` unescaped");
            }
            assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
        }
    }
    assert!(app.get("/posts/1").await.body.contains("&lt;i&gt;Second&lt;&#x2f;i&gt; &amp; last."));
}

/// An address that names nothing is a 404 with a page, whatever it contains.
#[tokio::test]
async fn what_is_not_there() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    for path in [
        "/posts/999",
        "/posts/abc",
        "/posts/99999999999999999999",
        "/posts/-1",
        "/posts/1%00",
        "/authors/999",
        "/authors/x",
        "/tags/nothing",
        "/tags/a%00b",
        "/tags/%3Cscript%3E",
        "/nowhere",
        "/posts/1/comments/2",
    ] {
        let page = app.get(path).await;
        assert_eq!(page.status, 404, "{path}");
        assert_eq!(page.header("x-served-by"), "app-1");
        assert!(page.body.contains("There is no"), "{path}: {}", page.body);
        assert!(!page.body.contains("<script"));
    }
}

/// A cursor that no link contains is a 400 that says so; parameters that nobody asked for are ignored.
#[tokio::test]
async fn wrong_and_unknown_parameters() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    for query in [
        "before=",
        "before=yesterday",
        "before=1",
        "before=1.x",
        "before=%00",
        "before=1.1&before=2.2",
        "before=%3Cb%3E",
    ] {
        for path in ["/", "/authors/1", "/tags/notes"] {
            let page = app.get(&format!("{path}?{query}")).await;
            assert_eq!(page.status, 400, "{path}?{query}");
            assert!(!page.body.contains("<b>"));
        }
    }
    assert_eq!(app.get("/?utm_source=x").await.status, 200);
}

/// The page with a plain address of the style sheet, so that another colour is not another page.
fn without_style_hash(body: &str) -> String {
    body.replace(app::routes::STYLE_ADDRESS.as_str(), "/assets/style.css")
}

/// The style sheet is there, and nothing else is loaded.
#[tokio::test]
async fn the_style_sheet() {
    let database = TestDatabase::migrated().await;
    let app = TestApp::start(&database, &[]).await;
    let page = app.get("/").await;
    assert!(page.body.contains("There are no posts yet."));
    let (_, rest) = page.body.split_once("<link rel=\"stylesheet\" href=\"").unwrap();
    let style = app.get(rest.split_once('"').unwrap().0).await;
    assert_eq!((style.status, style.header("content-type")), (200, "text/css; charset=utf-8"));
}

/// Counts the statements that are sent on this thread.
struct Statements(Arc<AtomicUsize>);

impl<S: tracing::Subscriber> Layer<S> for Statements {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "sqlx::query" {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The list takes one statement, a post three, a list of an author or a tag two, however many rows there are.
#[tokio::test]
async fn pages_take_few_statements() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &NO_CACHE).await;
    let count = Arc::new(AtomicUsize::new(0));
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(Statements(Arc::clone(&count))));
    for (path, expected) in [("/", 1), ("/posts/1", 3), ("/authors/1", 2), ("/tags/notes", 2), ("/livez", 0)] {
        count.store(0, Ordering::Relaxed);
        assert_eq!(app.get(path).await.status, 200);
        assert_eq!(count.load(Ordering::Relaxed), expected, "statements of {path}");
    }
}

/// With the cache warm, no page takes any statement.
#[tokio::test]
async fn cached_pages_take_fewer_statements() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    let count = Arc::new(AtomicUsize::new(0));
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(Statements(Arc::clone(&count))));
    for (path, expected) in [("/", 0), ("/posts/1", 0), ("/authors/1", 0), ("/tags/notes", 0)] {
        app.get(path).await;
        count.store(0, Ordering::Relaxed);
        assert_eq!(app.get(path).await.status, 200);
        assert_eq!(count.load(Ordering::Relaxed), expected, "statements of {path}");
    }
}
