//! Adding comments, and refusing to.

use proptest::prelude::*;

use crate::harness::{TestApp, TestDatabase};

#[tokio::test]
async fn a_comment_is_there_at_once() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    app.get("/posts/2").await;
    // The name is found whatever its case, and line ends of browsers are understood.
    let answer = app.post("/posts/2/comments", &[("username", " ADA "), ("content", "Well found.\r\nTruly. ")]).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/posts/2#comments"));
    let page = app.get("/posts/2").await;
    assert!(page.body.contains("Well found.\nTruly.</p>") && page.body.contains("1 comment<"));
    let stored: Vec<(String, i64)> = sqlx::query_as("SELECT content, author_id FROM comments WHERE post_id = 2")
        .fetch_all(&database.pool)
        .await
        .unwrap();
    assert_eq!(stored, [("Well found.\nTruly.".to_owned(), 1)]);
}

/// What is wrong is said on the page of the post, and what was written is not lost.
#[tokio::test]
async fn a_wrong_comment_is_refused_with_a_reason() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    let long = "x".repeat(2001);
    for (username, content, reason) in [
        ("", "Text", "Please give your user name."),
        ("nobody", "My <long> text", "There is no user of this name."),
        ("a\0b", "Text", "There is no user of this name."),
        ("Ada", "", "Please write something."),
        ("Ada", " \r\n\t ", "Please write something."),
        ("Ada", long.as_str(), "A comment has at most 2000 characters; this one has 2001."),
        ("Ada", "a\0b", "The comment contains a character that cannot be kept."),
    ] {
        let page = app.post("/posts/1/comments", &[("username", username), ("content", content)]).await;
        assert_eq!(page.status, 422, "{username} {content}");
        assert!(page.body.contains(reason), "no `{reason}` in {}", page.body);
    }
    let page = app.post("/posts/1/comments", &[("username", "nobody"), ("content", "My <long> text")]).await;
    assert!(page.body.contains("My &lt;long&gt; text"));
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM comments").fetch_one(&database.pool).await.unwrap();
    assert_eq!(count, 2);
}

#[tokio::test]
async fn what_is_no_comment_is_refused() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    let comment = [("username", "Ada"), ("content", "Text")];
    assert_eq!(app.post("/posts/999/comments", &comment).await.status, 404);
    assert_eq!(app.post("/posts/x/comments", &comment).await.status, 404);
    assert_eq!(app.post("/posts/1/comments", &comment[..1]).await.status, 422);
    assert_eq!(app.get("/posts/1/comments").await.status, 405);
    let json = app.post_raw("/posts/1/comments", "application/json", "{}".to_owned()).await;
    assert_eq!(json.status, 415);
    let large = app.post("/posts/1/comments", &[("username", "Ada"), ("content", &"x".repeat(100_000))]).await;
    assert_eq!(large.status, 413);
    assert!(large.body.contains("This is too long for a comment."));
}

/// Any text is refused with a 4xx, or stored as it is and shown escaped; never a 5xx.
#[test]
fn any_text_is_refused_or_stored() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (database, app) = runtime.block_on(async {
        let database = TestDatabase::tiny().await;
        let app = TestApp::start(&database, &[]).await;
        (database, app)
    });
    let text = prop_oneof![
        any::<String>(),
        "\\PC{0,50}",
        Just("'; DROP TABLE posts; --".to_owned()),
        Just("\u{202e}\u{feff}".to_owned())
    ];
    let username = prop_oneof![Just("Ada".to_owned()), any::<String>()];
    proptest!(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) }, |(username in username, content in text)| {
        let fields = [("username", username.as_str()), ("content", content.as_str())];
        let page = runtime.block_on(app.post("/posts/1/comments", &fields));
        prop_assert!(matches!(page.status, 303 | 422), "{}", page.status);
        if page.status == 303 {
            let newest = "SELECT content FROM comments ORDER BY id DESC LIMIT 1";
            let stored: String = runtime.block_on(sqlx::query_scalar(newest).fetch_one(&database.pool)).unwrap();
            let expected = content.replace("\r\n", "\n").trim().to_owned();
            prop_assert_eq!(stored, expected);
            prop_assert_eq!(runtime.block_on(app.get("/posts/1")).status, 200);
        }
    });
}
