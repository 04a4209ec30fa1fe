//! Accounts, sessions, posts and comments.

use serde_json::json;

use super::{Client, check_problem, check_wrong, json_of};
use crate::harness::{TestApp, TestDatabase};

/// Somebody registers, logs in, says something about themselves, and logs out, after which the token is worth nothing.
#[tokio::test]
async fn an_account_from_beginning_to_end() {
    let database = TestDatabase::migrated().await;
    let app = TestApp::start(&database, &[]).await;
    let anonymous = Client::anonymous(&app);
    let user = json!({ "username": "eva", "email": "eva@example.org", "password": "three words and more" });
    let page = anonymous.send("POST", "/api/users", &user).await;
    assert_eq!((page.status, page.header("location"), page.header("cache-control")), (201, "/api/users/1", "no-store"));
    assert_eq!(json_of(&page)["username"], "eva");
    assert!(!page.body.contains("words") && page.header("set-cookie").is_empty());

    let page = anonymous
        .send("POST", "/api/sessions", &json!({ "username": "EVA", "password": "three words and more" }))
        .await;
    assert_eq!((page.status, page.header("cache-control")), (201, "no-store"));
    assert_eq!(json_of(&page)["user"], json!({ "id": 1, "username": "eva" }));
    let token = json_of(&page)["token"].as_str().unwrap().to_owned();
    assert!(page.header("set-cookie").contains(&token) && page.header("set-cookie").contains("HttpOnly"));

    let eva = Client { app: &app, token: Some(token) };
    let page = eva.get("/api/users/me").await;
    assert_eq!((page.status, page.header("cache-control")), (200, "no-store"));
    assert_eq!(json_of(&page)["email"], "eva@example.org");
    let page = eva.send("PUT", "/api/users/me", &json!({ "bio": " Reads plans.\r\nAll day. " })).await;
    assert_eq!((page.status, &json_of(&page)["bio"]), (200, &json!("Reads plans.\nAll day.")));
    let public = json_of(&anonymous.get("/api/users/1").await);
    assert_eq!((&public["bio"], public.get("email")), (&json!("Reads plans.\nAll day."), None));

    assert_eq!(eva.send("DELETE", "/api/sessions", &json!(null)).await.status, 204);
    let page = eva.get("/api/users/me").await;
    assert_eq!(page.status, 401);
    check_problem(&page);
    // There is nothing to end, and that is fine.
    assert_eq!(eva.send("DELETE", "/api/sessions", &json!(null)).await.status, 204);
}

/// The cookie is as good as the token.
#[tokio::test]
async fn a_browser_uses_the_cookie() {
    let database = TestDatabase::migrated().await;
    let app = TestApp::start(&database, &[]).await;
    let eva = Client::registered(&app, "eva").await;
    let cookie = format!("session={}", eva.token.unwrap());
    assert_eq!(app.request("GET", "/api/users/me", &[("cookie", &cookie)], "").await.status, 200);
    let headers = [("cookie", cookie.as_str()), ("content-type", "application/json"), ("sec-fetch-site", "cross-site")];
    let page = app.request("PUT", "/api/users/me", &headers, r#"{"bio": "x"}"#).await;
    assert_eq!(page.status, 403);
    check_problem(&page);
}

/// Whether there is such an account is nobody's business.
#[tokio::test]
async fn wrong_credentials() {
    let database = TestDatabase::migrated().await;
    let app = TestApp::start(&database, &[]).await;
    Client::registered(&app, "eva").await;
    let anonymous = Client::anonymous(&app);
    let mut answers = Vec::new();
    for (username, password) in [("eva", "three words and mure"), ("adam", "three words and more"), ("e\0va", "\0")] {
        let page =
            anonymous.send("POST", "/api/sessions", &json!({ "username": username, "password": password })).await;
        check_wrong(&page, 401, "password");
        assert!(page.header("set-cookie").is_empty());
        answers.push(page.body);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
    for token in ["", "x", "0123456789abcdef0123456789abcdef", "\u{e9}"] {
        let client = Client { app: &app, token: Some(token.to_owned()) };
        assert_eq!(client.get("/api/users/me").await.status, 401, "{token}");
    }
}

/// Registering says what is wrong with each field, and what is taken.
#[tokio::test]
async fn wrong_registrations() {
    let database = TestDatabase::migrated().await;
    let app = TestApp::start(&database, &[("APP_RATE_LIMITS", "off")]).await;
    Client::registered(&app, "eva").await;
    let anonymous = Client::anonymous(&app);
    let page =
        anonymous.send("POST", "/api/users", &json!({ "username": "", "email": "x", "password": "short" })).await;
    let problem = json_of(&page);
    let fields: Vec<&str> =
        problem["errors"].as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap()).collect();
    assert_eq!((page.status, fields), (422, vec!["username", "email", "password"]));
    for (user, field) in [
        (json!({ "username": "Eva", "email": "b@example.org", "password": "three words and more" }), "username"),
        (json!({ "username": "b", "email": "EVA@example.org", "password": "three words and more" }), "username"),
        (json!({ "username": "bob", "email": "EVA@example.org", "password": "three words and more" }), "email"),
        (json!({ "username": "bob", "email": "b@example.org" }), "password"),
        (json!({ "username": "bob", "email": "b@example.org", "password": 1_234_567_890 }), "password"),
        (
            json!({ "username": "bob", "email": "b@example.org", "password": "three words and more", "is_admin": true }),
            "is_admin",
        ),
    ] {
        check_wrong(&anonymous.send("POST", "/api/users", &user).await, 422, field);
    }
}

/// A post is written, read, changed and deleted by its author, and by nobody else.
#[tokio::test]
async fn a_post_from_beginning_to_end() {
    let database = TestDatabase::migrated().await;
    let app = TestApp::start(&database, &[]).await;
    let (eva, bob) = (Client::registered(&app, "eva").await, Client::registered(&app, "bob").await);
    let anonymous = Client::anonymous(&app);
    let written =
        json!({ "title": " A title ", "content": "Some *text*.\r\n\r\n<b>", "tags": ["SQL", "Query planner", "sql"] });
    let page = eva.send("POST", "/api/posts", &written).await;
    assert_eq!((page.status, page.header("location"), page.header("cache-control")), (201, "/api/posts/1", "no-store"));
    let post = json_of(&page);
    assert_eq!((&post["title"], &post["content"]), (&json!("A title"), &json!("Some *text*.\n\n<b>")));
    assert_eq!(post["content_html"], "<p>Some <em>text</em>.</p>\n<p>&lt;b&gt;</p>\n");
    assert_eq!((&post["tags"], &post["updated_at"]), (&json!(["query-planner", "sql"]), &json!(null)));
    assert_eq!(json_of(&anonymous.get("/api/posts/1").await), post);
    assert_eq!(json_of(&anonymous.get("/api/posts?tag=sql").await)["posts"][0]["excerpt"], "Some text. <b>");

    let changed = json!({ "title": "Another", "content": "Text" });
    for (client, status) in [(&anonymous, 401), (&bob, 403)] {
        for page in [
            client.send("PUT", "/api/posts/1", &changed).await,
            client.send("DELETE", "/api/posts/1", &json!(null)).await,
        ] {
            assert_eq!(page.status, status, "{}", page.body);
            check_problem(&page);
        }
    }
    let page = eva.send("PUT", "/api/posts/1", &changed).await;
    let post = json_of(&page);
    assert_eq!((page.status, &post["title"], &post["tags"]), (200, &json!("Another"), &json!([])));
    assert!(post["updated_at"].is_string());
    assert_eq!(json_of(&anonymous.get("/api/posts?tag=sql").await)["posts"], json!([]));

    assert_eq!(eva.send("DELETE", "/api/posts/1", &json!(null)).await.status, 204);
    for page in [anonymous.get("/api/posts/1").await, eva.send("DELETE", "/api/posts/1", &json!(null)).await] {
        assert_eq!(page.status, 404);
        check_problem(&page);
    }
    assert_eq!(eva.send("PUT", "/api/posts/9", &changed).await.status, 404);
}

/// What is wrong with a post or a comment is named, whatever is wrong with it.
#[tokio::test]
async fn wrong_bodies_are_named() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[("APP_RATE_LIMITS", "off")]).await;
    let eva = Client::registered(&app, "eva").await;
    for (path, body, status, field) in [
        ("/api/posts", "", 400, ""),
        ("/api/posts", "{", 400, ""),
        ("/api/posts", "[]", 422, ""),
        ("/api/posts", "{}", 422, "title"),
        ("/api/posts", r#"{"title": "t"}"#, 422, "content"),
        ("/api/posts", r#"{"title": "t", "content": "c", "author_id": 1}"#, 422, "author_id"),
        ("/api/posts", r#"{"title": "t", "content": "c", "tags": "sql"}"#, 422, "tags"),
        ("/api/posts", r#"{"title": "t", "content": "c", "tags": ["a", 1]}"#, 422, "tags[1]"),
        ("/api/posts", r#"{"title": "t", "content": "c", "tags": ["c++"]}"#, 422, "tags"),
        ("/api/posts", r#"{"title": "", "content": "c"}"#, 422, "title"),
        ("/api/posts", r#"{"title": "t", "content": "a\u0000b"}"#, 422, "content"),
        ("/api/posts/1/comments", r#"{"content": " \n "}"#, 422, "content"),
        ("/api/posts/1/comments", r#"{"text": "x"}"#, 422, "text"),
        ("/api/posts/1/comments", r#"{"content": 1e400}"#, 400, ""),
    ] {
        let page = eva.send_with("POST", path, &[("content-type", "application/json")], body).await;
        assert_eq!(page.status, status, "{body}: {}", page.body);
        check_problem(&page);
        if status == 422 {
            check_wrong(&page, status, field);
        }
    }
    for content_type in
        ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "multipart/form-data"]
    {
        let page = eva.send_with("POST", "/api/posts", &[("content-type", content_type)], "{}").await;
        assert_eq!(page.status, 415, "{content_type}");
        check_problem(&page);
    }
    let body = r#"{"content": "Kind."}"#;
    let headers = [("content-type", "application/merge-patch+JSON; charset=utf-8")];
    assert_eq!(eva.send_with("POST", "/api/posts/1/comments", &headers, body).await.status, 201);
    let headers = [("content-type", "application/json"), ("idempotency-key", "once")];
    check_wrong(&eva.send_with("POST", "/api/posts/1/comments", &headers, body).await, 400, "Idempotency-Key");
    let page = eva.send("POST", "/api/posts/999/comments", &json!({ "content": "x" })).await;
    assert_eq!(page.status, 404);
    check_problem(&page);
}

/// What is too large is refused, up to the largest that may be: 100,000 characters, however they are written.
#[tokio::test]
async fn large_bodies() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[("APP_RATE_LIMITS", "off")]).await;
    let eva = Client::registered(&app, "eva").await;
    let escaped = format!(r#"{{"title": "t", "content": "{}"}}"#, r"\ud83e\udd80".repeat(100_000));
    let headers = [("content-type", "application/json")];
    let page = eva.send_with("POST", "/api/posts", &headers, escaped).await;
    assert_eq!(page.status, 201, "{}", page.body.chars().take(300).collect::<String>());
    assert_eq!(json_of(&page)["content"], "🦀".repeat(100_000));
    let page = eva.send("POST", "/api/posts", &json!({ "title": "t", "content": "x".repeat(100_001) })).await;
    check_wrong(&page, 422, "content");
    let ten_mebibytes = format!(r#"{{"content": "{}"}}"#, "x".repeat(10 << 20));
    for path in ["/api/posts", "/api/posts/1/comments", "/api/users", "/api/sessions", "/api/nothing"] {
        let page = eva.send_with("POST", path, &headers, ten_mebibytes.clone()).await;
        assert_eq!(page.status, 413, "{path}");
        check_problem(&page);
    }
}

/// A submission that is sent twice is stored once, and the second answer says so.
#[tokio::test]
async fn the_same_submission_twice() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    let (eva, bob) = (Client::registered(&app, "eva").await, Client::registered(&app, "bob").await);
    let key = "4f1c3a52-6a0e-4a3c-9a64-0d6fbb0d2c11";
    for (path, body) in [
        ("/api/posts/1/comments", r#"{"content": "Once."}"#),
        ("/api/posts", r#"{"title": "Once", "content": "Once."}"#),
    ] {
        let send = async |client: &Client<'_>, key: &str| {
            let headers = [("content-type", "application/json"), ("idempotency-key", key)];
            let page = client.send_with("POST", path, &headers, body).await;
            (page.status, json_of(&page)["id"].as_i64().unwrap())
        };
        let (first, second) = (send(&eva, key).await, send(&eva, &format!("\"{key}\"")).await);
        assert_eq!((first.0, second), (201, (200, first.1)), "{path}");
        // The name belongs to whoever chose it.
        assert_eq!(send(&bob, key).await.0, 201, "{path}");
        assert_eq!(send(&eva, "5f1c3a52-6a0e-4a3c-9a64-0d6fbb0d2c11").await.0, 201, "{path}");
    }
}

/// Who asks too often is told when to come back.
#[tokio::test]
async fn too_often() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    let anonymous = Client::anonymous(&app);
    let credentials = json!({ "username": "Ada", "password": "a wrong password" });
    let mut last = anonymous.send("POST", "/api/sessions", &credentials).await;
    for _ in 0..30 {
        if last.status == 429 {
            break;
        }
        last = anonymous.send("POST", "/api/sessions", &credentials).await;
    }
    assert_eq!(last.status, 429, "{}", last.body);
    check_problem(&last);
    assert!(last.header("retry-after").parse::<u64>().unwrap() > 0);
}
