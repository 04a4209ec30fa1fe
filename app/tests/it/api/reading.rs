//! Reading, and being told what is wrong.

use super::{check_problem, check_wrong, json_of};
use crate::harness::{TestApp, TestDatabase};

#[tokio::test]
async fn a_post_a_list_comments_a_user_and_tags() {
    let database = TestDatabase::tiny().await;
    database.execute("UPDATE users SET created_at = '2025-01-01 00:00:00+00'").await;
    let app = TestApp::start(&database, &[]).await;
    let mut answers = String::new();
    for path in ["/api/posts/1", "/api/posts?limit=2", "/api/posts/1/comments", "/api/users/1", "/api/tags"] {
        let page = app.get(path).await;
        assert_eq!((page.status, page.header("content-type")), (200, "application/json"), "{path}");
        assert_eq!(page.header("cache-control"), "public, no-cache");
        assert!(!page.body.contains("example.org"), "{path} shows an e-mail address");
        answers.push_str(&format!("{path}\n{}\n\n", serde_json::to_string_pretty(&json_of(&page)).unwrap()));
    }
    insta::assert_snapshot!("api_reading", answers);
}

#[tokio::test]
async fn lists_are_walked_by_cursor() {
    let database = TestDatabase::migrated().await;
    database
        .execute(
            "INSERT INTO users (username, email, password_hash) VALUES ('one', 'one@example.org', '!'), ('two', 'two@example.org', '!');
             INSERT INTO tags (name) SELECT 'tag-' || n FROM generate_series(10, 32) AS n;
             INSERT INTO posts (author_id, title, content, created_at)
                SELECT 1 + n % 2, 'Post ' || n, 'Text', timestamptz '2025-01-01' + (n / 3) * interval '1 microsecond'
                FROM generate_series(1, 53) AS n;
             INSERT INTO post_tags (post_id, tag_id) SELECT id, 1 FROM posts WHERE id % 3 = 0;
             INSERT INTO comments (post_id, author_id, content, created_at)
                SELECT 1, 1, 'Comment', timestamptz '2025-01-02' + (n / 3) * interval '1 microsecond' FROM generate_series(1, 29) AS n;",
        )
        .await;
    let app = TestApp::start(&database, &[]).await;
    for (path, list, cursor, expected) in [
        ("/api/posts?limit=7", "posts", "before", 53),
        ("/api/posts?author=1&limit=5", "posts", "before", 26),
        ("/api/posts?tag=tag-10&limit=5", "posts", "before", 17),
        ("/api/posts/1/comments?limit=4", "comments", "before", 29),
        ("/api/tags?limit=5", "tags", "after", 23),
    ] {
        let (mut next, mut seen) = (None::<String>, Vec::new());
        loop {
            let address = next.map_or(path.to_owned(), |next| format!("{path}&{cursor}={next}"));
            let page = json_of(&app.get(&address).await);
            seen.extend(page[list].as_array().unwrap().iter().map(ToString::to_string));
            next = page["next"].as_str().map(str::to_owned);
            if next.is_none() {
                break;
            }
        }
        assert_eq!(seen.len(), expected, "{path}");
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), expected, "{path} repeats");
    }
}

/// What is wrong with an address is a problem that names the parameter.
#[tokio::test]
async fn wrong_parameters_are_named() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    for (path, field) in [
        ("/api/posts?before=yesterday", "before"),
        ("/api/posts?before=", "before"),
        ("/api/posts?before=1.1&before=2.2", "before"),
        ("/api/posts?limit=0", "limit"),
        ("/api/posts?limit=101", "limit"),
        ("/api/posts?limit=many", "limit"),
        ("/api/posts?limit=99999999999999999999", "limit"),
        ("/api/posts?author=ada", "author"),
        ("/api/posts?author=1&tag=notes", "tag"),
        ("/api/posts?page=2", "page"),
        ("/api/posts/1/comments?limit=-1", "limit"),
        ("/api/posts/1/comments?after=1.1", "after"),
        ("/api/tags?after=%00", "after"),
    ] {
        check_wrong(&app.get(path).await, 400, field);
    }
}

/// Everything under `/api` that is not there, or not like that, is a problem too; and outside it, pages are pages.
#[tokio::test]
async fn whatever_fails_is_a_problem() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    for path in [
        "/api",
        "/api/",
        "/api/nothing",
        "/api/posts/",
        "/api/posts/999",
        "/api/posts/x",
        "/api/posts/%00",
        "/api/posts/%FF",
        "/api/posts/99999999999999999999",
        "/api/posts/1/comments/1",
        "/api/posts/999/comments",
        "/api/posts?author=999",
        "/api/posts?tag=nothing",
        "/api/posts?tag=%00",
        "/api/users/999",
        "/api/users/x",
    ] {
        let page = app.get(path).await;
        assert_eq!(page.status, 404, "{path}: {}", page.body);
        check_problem(&page);
    }
    assert_eq!(json_of(&app.get("/api/nothing").await)["detail"], "There is no resource at /api/nothing.");
    let page = app.request("PATCH", "/api/tags", &[], "").await;
    assert_eq!((page.status, page.header("allow")), (405, "GET,HEAD"));
    check_problem(&page);
    assert!(app.get("/nowhere").await.header("content-type").starts_with("text/html"));
}

/// What has not changed is not sent again, and HEAD says the same without the body.
#[tokio::test]
async fn conditional_requests() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    for path in ["/api/posts", "/api/posts/1", "/api/openapi.json"] {
        let first = app.get(path).await;
        let etag = first.header("etag");
        for tags in [etag.to_owned(), format!("\"x\", W/{etag}"), "*".to_owned()] {
            let again = app.request("GET", path, &[("if-none-match", &tags)], "").await;
            assert_eq!((again.status, again.body.as_str(), again.header("etag")), (304, "", etag), "{path} {tags}");
        }
        assert_eq!(app.request("GET", path, &[("if-none-match", "\"x\"")], "").await.body, first.body);
        let head = app.request("HEAD", path, &[], "").await;
        assert_eq!((head.status, head.body.as_str(), head.header("etag")), (200, "", etag), "{path}");
    }
    let before = app.get("/api/posts/1").await.header("etag").to_owned();
    database.execute("UPDATE posts SET title = 'Another' WHERE id = 1").await;
    assert_eq!(app.request("GET", "/api/posts/1", &[("if-none-match", &before)], "").await.status, 200);
}

/// Without the database the API says so, and does not say why.
#[tokio::test]
async fn without_the_database() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start_without_database(&database).await;
    let page = app.get("/api/posts").await;
    assert_eq!((page.status, page.header("retry-after")), (503, "1"));
    check_problem(&page);
    assert!(!page.body.contains("nobody") && !page.body.contains("onnect"));
}
