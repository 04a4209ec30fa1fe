//! The feeds, from outside.

use crate::harness::{TestApp, TestDatabase};

const PUBLIC: [(&str, &str); 1] = [("APP_PUBLIC_URL", "https://blog.example")];

/// The feed of all posts, whole: absolute addresses, names that stay, times, authors, categories, summaries without markup.
#[tokio::test]
async fn the_feed() {
    let database = TestDatabase::tiny().await;
    database.execute("UPDATE posts SET updated_at = '2025-03-04 10:00:00+00' WHERE id = 1").await;
    let app = TestApp::start(&database, &PUBLIC).await;
    let page = app.get("/feed.atom").await;
    assert_eq!((page.status, page.header("content-type")), (200, "application/atom+xml; charset=utf-8"));
    insta::assert_snapshot!("feed", page.body);
}

/// The feeds of an author and of a tag hold their posts and no others.
#[tokio::test]
async fn feeds_of_authors_and_tags() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &PUBLIC).await;
    let author = app.get("/authors/1/feed.atom").await;
    assert!(author.body.contains("Posts by Ada") && author.body.contains("https://blog.example/posts/1"));
    assert!(!author.body.contains("https://blog.example/posts/2<"));
    let tag = app.get("/tags/engines/feed.atom").await;
    assert!(tag.body.contains("Posts tagged engines") && tag.body.contains("https://blog.example/posts/1"));
    assert!(!tag.body.contains("https://blog.example/posts/2<"));
    for path in ["/authors/9/feed.atom", "/authors/x/feed.atom", "/tags/nothing/feed.atom", "/tags/%00/feed.atom"] {
        assert_eq!(app.get(path).await.status, 404, "{path}");
    }
}

/// What a client says about the host is nobody else's business.
#[tokio::test]
async fn addresses_do_not_come_from_the_request() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &PUBLIC).await;
    let headers = [("host", "evil.example"), ("x-forwarded-host", "evil.example"), ("forwarded", "host=evil.example")];
    let page = app.request("GET", "/feed.atom", &headers, String::new()).await;
    assert!(page.body.contains("https://blog.example/posts/1") && !page.body.contains("evil"));
}

/// A reader that asks every hour gets an answer without a body until something changes.
#[tokio::test]
async fn a_feed_that_is_known_is_not_sent_again() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &PUBLIC).await;
    let etag = app.get("/feed.atom").await.header("etag").to_owned();
    let again = app.request("GET", "/feed.atom", &[("if-none-match", &etag)], String::new()).await;
    assert_eq!((again.status, again.body.as_str(), again.header("etag")), (304, "", etag.as_str()));
}

/// Pages name their feed, so that readers find it.
#[tokio::test]
async fn pages_lead_to_their_feeds() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &PUBLIC).await;
    for (page, feed) in
        [("/", "/feed.atom"), ("/authors/1", "/authors/1/feed.atom"), ("/tags/notes", "/tags/notes/feed.atom")]
    {
        let body = app.get(page).await.body.replace("&#x2f;", "/");
        assert!(body.contains("type=\"application/atom+xml\""), "{page}");
        assert!(body.contains(&format!("href=\"{feed}\"")), "{page}");
    }
}
