//! Any text in any field of any form.

use app::input::{Bio, CommentContent, Email, PostInput, Username};
use proptest::prelude::*;

use crate::browser::{Browser, PASSWORD};
use crate::harness::{TestApp, TestDatabase};

const NO_LIMITS: (&str, &str) = ("APP_RATE_LIMITS", "off");

/// Texts that have broken something somewhere.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "\\PC{0,80}",
        "[a-zA-Z0-9 ,_@.-]{0,40}",
        "[\\x00-\\x20\\u{7f}-\\u{a0}\\u{ad}\\u{1680}\\u{180e}\\u{2000}-\\u{200f}\\u{2028}-\\u{202f}\\u{205f}-\\u{2060}\\u{3000}\\u{feff}]{0,6}a?",
        proptest::sample::select(vec![
            "'; DROP TABLE posts; --",
            "<script>alert(1)</script>",
            "\"><img src=x onerror=alert(1)>",
            "</textarea><script>alert(1)</script>",
            "{{ 7 * 7 }}{% raw %}",
            "%00%0d%0aSet-Cookie: a=b",
            "\u{202e}\u{feff}",
            "a\0b",
            "\\x00\\u0000",
            "[a](javascript:alert(1))",
            "https://evil.example",
        ])
        .prop_map(str::to_owned),
        (0..3_usize, "[a-z漢🦀<]").prop_map(|(size, text)| text.repeat([300, 30_000, 200_000][size])),
    ]
}

/// Whatever is sent in whichever field: it is refused with a 4xx, or stored and shown escaped; never a 5xx.
#[test]
fn any_text_in_any_field_is_refused_or_stored() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (database, app, browser) = runtime.block_on(async {
        let database = TestDatabase::tiny().await;
        let app = TestApp::start(&database, &[NO_LIMITS]).await;
        let browser = Browser::registered(&app, "mirela").await;
        (database, app, browser)
    });
    runtime.block_on(browser.clone().post("/write", &[("title", "Mine"), ("content", "Text")]));
    const FORMS: [(&str, &[&str]); 9] = [
        ("/register", &["username", "email", "password", "next"]),
        ("/login", &["username", "password", "next"]),
        ("/account", &["bio"]),
        ("/write", &["title", "content", "tags", "submission", "preview"]),
        ("/posts/4/edit", &["title", "content", "tags"]),
        ("/posts/1/comments", &["content", "submission"]),
        ("/reading-list", &["post_id", "next"]),
        ("/reading-list/remove", &["post_id"]),
        ("/posts/1/delete", &["x"]),
    ];
    let config = ProptestConfig { failure_persistence: None, max_shrink_iters: 64, ..ProptestConfig::with_cases(250) };
    proptest!(config, |(form in 0..FORMS.len(), field: proptest::sample::Index, text in texts())| {
        let (path, names) = FORMS[form];
        let wrong = names[field.index(names.len())];
        let right = |name: &str| match name {
            "username" => "mirela".to_owned(),
            "email" => "new@example.org".to_owned(),
            "password" => PASSWORD.to_owned(),
            "post_id" => "1".to_owned(),
            "submission" | "next" | "tags" | "preview" => String::new(),
            _ => "Some text".to_owned(),
        };
        let values: Vec<String> = names.iter().map(|name| if *name == wrong { text.clone() } else { right(name) }).collect();
        let fields: Vec<(&str, &str)> = names.iter().copied().zip(values.iter().map(String::as_str)).collect();
        // Logging in would end the session of the one who does the rest.
        let mut sender = if matches!(path, "/register" | "/login") { Browser::at(&app) } else { browser.clone() };
        let page = runtime.block_on(sender.post(path, &fields));
        prop_assert!(!page.header("location").starts_with("/login"));
        prop_assert!(matches!(page.status, 303 | 400..=499) || (wrong == "preview" && page.status == 200), "{} {}: {}", path, wrong, page.status);
        for raw in ["<script>alert", "<img src=x", "49{%"] {
            prop_assert!(!page.body.contains(raw), "{} {} shows `{}`", path, wrong, raw);
        }
        let kept = text.replace("\r\n", "\n").replace('\r', "\n").trim().to_owned();
        if page.status == 303 && path == "/posts/1/comments" && wrong == "content" {
            // Not always the newest one: the same text sent again within a minute is the same comment.
            let stored = sqlx::query_scalar("SELECT EXISTS (SELECT FROM comments WHERE content = $1)").bind(&kept);
            let is_stored: bool = runtime.block_on(stored.fetch_one(&database.pool)).unwrap();
            prop_assert!(is_stored, "`{}` is not there as it was sent", kept);
        }
        if page.status == 303 && path == "/posts/4/edit" {
            let query = "SELECT title, content FROM posts WHERE id = 4";
            let (title, content): (String, String) = runtime.block_on(sqlx::query_as(query).fetch_one(&database.pool)).unwrap();
            if wrong == "title" {
                prop_assert_eq!(title, text.trim());
            } else if wrong == "content" {
                prop_assert_eq!(&content, &kept);
            }
        }
    });
    for path in ["/", "/posts/1", "/posts/4", "/posts/1/comments", "/authors/3"] {
        let page = runtime.block_on(app.get(path));
        assert_eq!(page.status, 200, "{path}");
        assert!(!page.body.contains("<script") && !page.body.contains("<img src=x"), "{path}");
    }
}

/// What the types of the input accept, the constraints of the database accept.
#[test]
fn the_database_accepts_what_the_input_accepts() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let database = runtime.block_on(TestDatabase::tiny());
    let accepted = std::cell::Cell::new([0; 5]);
    let count = |index: usize| {
        let mut counts = accepted.get();
        counts[index] += 1;
        accepted.set(counts);
    };
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(600) };
    proptest!(config, |(
        username in prop_oneof!["[a-zA-Z0-9_-]{1,34}", texts()],
        email in prop_oneof!["[a-z+.é]{1,5}@[a-z.ü-]{1,5}", "\\PC{1,5}@\\PC{1,5}", texts()],
        text in texts(),
        tags in prop_oneof!["[a-zA-Z0-9 _,-]{0,40}", texts()],
    )| {
        runtime.block_on(async {
            let mut transaction = database.pool.begin().await.unwrap();
            if let Ok(username) = Username::parse(&username) {
                count(0);
                let sql = "UPDATE users SET username = $1 WHERE id = 2 AND NOT EXISTS (SELECT FROM users WHERE lower(username) = lower($1))";
                sqlx::query(sql).bind(username.as_str()).execute(&mut *transaction).await.unwrap();
            }
            if let Ok(email) = Email::parse(&email) {
                count(1);
                let sql = "UPDATE users SET email = $1 WHERE id = 2";
                sqlx::query(sql).bind(email.as_str()).execute(&mut *transaction).await.unwrap();
            }
            if let Ok(bio) = Bio::parse(&text) {
                count(2);
                let sql = "UPDATE users SET bio = $1 WHERE id = 2";
                sqlx::query(sql).bind(bio.as_str()).execute(&mut *transaction).await.unwrap();
            }
            if let Ok(comment) = CommentContent::parse(&text) {
                count(3);
                let sql = "INSERT INTO comments (post_id, author_id, content) VALUES (1, 1, $1)";
                sqlx::query(sql).bind(comment.as_str()).execute(&mut *transaction).await.unwrap();
            }
            if let Ok(post) = PostInput::parse(&text, &text, &tags) {
                count(4);
                let sql = "INSERT INTO posts (author_id, title, content) VALUES (1, $1, $2)";
                sqlx::query(sql).bind(post.title.as_str()).bind(post.content.as_str()).execute(&mut *transaction).await.unwrap();
                let sql = "INSERT INTO tags (name) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING";
                sqlx::query(sql).bind(post.tags.as_slice()).execute(&mut *transaction).await.unwrap();
            }
            transaction.rollback().await.unwrap();
        });
    });
    // Or the test would be about nothing.
    assert!(accepted.get().iter().all(|count| *count > 50), "{accepted:?}");
}
