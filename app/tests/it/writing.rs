//! Posts and comments: publishing, changing, deleting, and refusing to.

use std::collections::BTreeSet;

use sqlx::PgPool;

use crate::browser::Browser;
use crate::harness::{TestApp, TestDatabase};

async fn count(pool: &PgPool, table: &'static str) -> i64 {
    let count = match table {
        "posts" => "SELECT count(*) FROM posts",
        _ => "SELECT count(*) FROM comments",
    };
    sqlx::query_scalar(count).fetch_one(pool).await.unwrap()
}

fn hidden<'a>(body: &'a str, name: &str) -> &'a str {
    let value = body.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap();
    value.split('"').next().unwrap()
}

#[tokio::test]
async fn a_post_is_written_changed_and_deleted() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    let mut author = Browser::registered(&app, "mirela").await;
    let form = author.get("/write").await;
    assert!(form.status == 200 && form.body.contains("How Markdown is written"));
    let fields = [
        ("title", " On <caches> "),
        ("content", "First.\r\n\r\nSecond."),
        ("tags", "Notes, query  planner,,notes"),
        ("submission", hidden(&form.body, "submission")),
    ];
    let answer = author.post("/write", &fields).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/posts/4"));
    let page = app.get("/posts/4").await;
    for expected in ["On &lt;caches&gt;</h1>", "First.", "/tags/notes", "/tags/query-planner", ">mirela</a>"] {
        assert!(page.body.contains(expected), "no `{expected}` in {}", page.body);
    }
    assert!(app.get("/tags/query-planner").await.body.contains("On &lt;caches&gt;"));
    let account = author.get("/account").await;
    assert!(account.body.contains("/posts/4/edit") && account.body.contains("/posts/4/delete"));

    let form = author.get("/posts/4/edit").await;
    for expected in [r#"value="On &lt;caches&gt;""#, "First.\n\nSecond.</textarea>", r#"value="notes, query-planner""#]
    {
        assert!(form.body.contains(expected), "no `{expected}` in {}", form.body);
    }
    let fields = [("title", "On stores"), ("content", "Third."), ("tags", "engines")];
    let answer = author.post("/posts/4/edit", &fields).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/posts/4"));
    let page = app.get("/posts/4").await;
    assert!(page.body.contains("On stores") && page.body.contains("Third.") && page.body.contains("/tags/engines"));
    assert!(!page.body.contains("/tags/notes"));

    let question = author.get("/posts/4/delete").await;
    assert!(question.status == 200 && question.body.contains("Delete this post?"));
    assert_eq!(app.get("/posts/4").await.status, 200, "asking must not delete");
    let answer = author.post("/posts/4/delete", &[]).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/account"));
    assert_eq!(app.get("/posts/4").await.status, 404);
    for path in ["/posts/4/edit", "/posts/4/delete"] {
        assert_eq!(author.get(path).await.status, 404);
        assert_eq!(author.post(path, &[("title", "a"), ("content", "b")]).await.status, 404);
    }
}

/// A preview shows what the page would show, and changes nothing.
#[tokio::test]
async fn a_post_is_shown_before_it_is_published() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    let mut author = Browser::registered(&app, "mirela").await;
    author.post("/write", &[("title", "Mine"), ("content", "Text")]).await;
    for path in ["/write", "/posts/4/edit"] {
        let content = "Some *words*.\n\n<script>alert(1)</script>";
        let fields = [("title", "A <draft>"), ("content", content), ("tags", "New tag"), ("preview", "yes")];
        let page = author.post(path, &fields).await;
        assert_eq!(page.status, 200, "{path}");
        for expected in
            ["Nothing is published yet", "<em>words</em>", "A &lt;draft&gt;</h2>", "Tags: new-tag", "Some *words*."]
        {
            assert!(page.body.contains(expected), "no `{expected}` in {}", page.body);
        }
        assert!(!page.body.contains("<script"));
        let page = author.post(path, &[("title", ""), ("content", "Text"), ("preview", "yes")]).await;
        assert!(page.status == 422 && page.body.contains("Please give a title."));
    }
    assert_eq!(author.post("/posts/1/edit", &[("title", "a"), ("content", "b"), ("preview", "yes")]).await.status, 403);
    assert_eq!(count(&database.pool, "posts").await, 4);
    assert!(app.get("/posts/4").await.body.contains("Mine"));
}

#[tokio::test]
async fn only_its_author_may_change_a_post() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    let mut stranger = Browser::registered(&app, "stranger").await;
    let fields = [("title", "Mine now"), ("content", "Text"), ("tags", "")];
    for path in ["/posts/1/edit", "/posts/1/delete"] {
        assert_eq!(stranger.get(path).await.status, 403, "{path}");
        let answer = stranger.post(path, &fields).await;
        assert!(answer.status == 403 && answer.body.contains("Only its author"), "{path}");
        assert_eq!(stranger.post(path, &[("title", "")]).await.status, 403, "{path}");
        let login = format!("/login?next={path}");
        assert_eq!(app.get(path).await.header("location"), login);
        assert_eq!(app.post(path, &fields).await.header("location"), login);
    }
    assert_eq!(app.get("/write").await.header("location"), "/login?next=/write");
    assert_eq!(app.post("/write", &fields).await.header("location"), "/login?next=/write");
    assert!(app.get("/posts/1").await.body.contains("On the engine"));
    assert_eq!(count(&database.pool, "posts").await, 3);
}

#[tokio::test]
async fn a_wrong_post_comes_back_with_its_problems() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    let mut author = Browser::registered(&app, "mirela").await;
    let (long_title, long_content) = ("x".repeat(201), "é".repeat(100_001));
    for (title, content, tags, reason) in [
        ("", "Text", "", "Please give a title."),
        ("\u{200b} ", "Text", "", "Please give a title."),
        ("a\nb", "Text", "", "A title is a single line."),
        (&long_title, "Text", "", "A title has at most 200 characters; this one has 201."),
        ("a\0b", "Text", "", "A title contains a character that cannot be kept (U+0000)"),
        ("Title", " \r\n ", "", "Please write something."),
        ("Title", &long_content, "", "A post has at most 100,000 characters; this one has 100,001."),
        ("Title", "\u{7}", "", "Please write something."),
        ("Title", "a\u{1b}b", "", "(U+001B)"),
        ("Title", "Text", "c++", "A tag consists of the letters a to z"),
        ("Title", "Text", "a,b,c,d,e,f,g,h,i", "A post has at most 8 tags."),
    ] {
        let page = author.post("/write", &[("title", title), ("content", content), ("tags", tags)]).await;
        assert_eq!(page.status, 422, "{reason}");
        assert!(page.body.contains(reason), "no `{reason}` in {}", &page.body[..2000]);
        assert!(page.body.contains("role=\"alert\"") && page.body.contains("aria-invalid=\"true\""));
    }
    let page = author.post("/write", &[("title", ""), ("content", "\nMy <text>"), ("tags", "c++, <i>")]).await;
    for kept in ["\n\nMy &lt;text&gt;</textarea>", "value=\"c++, &lt;i&gt;\""] {
        assert!(page.body.contains(kept), "no `{kept}` in {}", page.body);
    }
    let page = author.post("/posts/1/edit", &[]).await;
    assert_eq!(page.status, 403);
    assert_eq!(count(&database.pool, "posts").await, 3);
}

/// The same form twice, one after the other, at once, and through two servers, makes one post.
#[tokio::test]
async fn a_submission_makes_one_post() {
    let database = TestDatabase::tiny().await;
    let one = TestApp::start(&database, &[]).await;
    let other = TestApp::start(&database, &[]).await;
    let mut author = Browser::registered(&one, "mirela").await;
    let form = author.get("/write").await;
    let submission = hidden(&form.body, "submission").to_owned();
    let sending: Vec<_> = (0..6)
        .map(|number| {
            let mut author = author.moved_to(if number % 2 == 0 { &one } else { &other });
            let submission = submission.clone();
            tokio::spawn(async move {
                let fields = [("title", "Once"), ("content", "Text"), ("tags", "new"), ("submission", &submission)];
                author.post("/write", &fields).await.header("location").to_owned()
            })
        })
        .collect();
    let mut places = BTreeSet::new();
    for sending in sending {
        places.insert(sending.await.unwrap());
    }
    assert_eq!(places.len(), 1, "{places:?}");
    assert_eq!(count(&database.pool, "posts").await, 4);
    // A new form is a new post. The name of a submission belongs to its author: others do not meet in it.
    let again = hidden(&author.get("/write").await.body, "submission").to_owned();
    assert_ne!(again, submission);
    let mut second = Browser::registered(&one, "second").await;
    for (browser, submission) in [(&mut author, &again), (&mut second, &submission)] {
        let fields = [("title", "Once"), ("content", "Text"), ("submission", submission)];
        assert_eq!(browser.post("/write", &fields).await.status, 303);
    }
    assert_eq!(count(&database.pool, "posts").await, 6);
}

#[tokio::test]
async fn a_comment_is_there_at_once() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    app.get("/posts/2").await;
    let comment = [("content", "Well <found>.\r\nTruly. ")];
    let answer = app.post("/posts/2/comments", &comment).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/login?next=/posts/2%23comments"));
    assert!(!app.get("/posts/2").await.body.contains("Truly."));
    let mut browser = Browser::registered(&app, "mirela").await;
    let answer = browser.post("/posts/2/comments", &comment).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/posts/2#comments"));
    let page = app.get("/posts/2").await;
    assert!(page.body.contains("Well &lt;found&gt;.\nTruly.</p>") && page.body.contains("1 comment<"));
    assert!(app.get("/posts/2/comments").await.body.contains("Truly."));
}

/// A form that is sent again, because of a second click or because a balancer tried again, makes one comment.
#[tokio::test]
async fn a_comment_that_is_sent_twice_is_one() {
    let database = TestDatabase::tiny().await;
    let one = TestApp::start(&database, &[]).await;
    let other = TestApp::start(&database, &[]).await;
    let mut browser = Browser::registered(&one, "mirela").await;
    for _ in 0..2 {
        assert_eq!(browser.post("/posts/2/comments", &[("content", "Once.")]).await.status, 303);
    }
    assert_eq!(count(&database.pool, "comments").await, 3);
    let sending: Vec<_> = (0..6)
        .map(|number| {
            let mut browser = browser.moved_to(if number % 2 == 0 { &one } else { &other });
            tokio::spawn(async move { browser.post("/posts/2/comments", &[("content", "At once.")]).await.status })
        })
        .collect();
    for sending in sending {
        assert_eq!(sending.await.unwrap(), 303);
    }
    assert_eq!(count(&database.pool, "comments").await, 4);
    // Another text, another post, another person: another comment.
    browser.post("/posts/2/comments", &[("content", "Twice.")]).await;
    browser.post("/posts/3/comments", &[("content", "Once.")]).await;
    let mut second = Browser::registered(&one, "second").await;
    second.post("/posts/2/comments", &[("content", "Once.")]).await;
    assert_eq!(count(&database.pool, "comments").await, 7);
}

#[tokio::test]
async fn a_wrong_comment_comes_back_with_its_problem() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    let mut browser = Browser::registered(&app, "mirela").await;
    let long = "x".repeat(2001);
    for (content, reason) in [
        ("", "Please write something."),
        (" \r\n\t ", "Please write something."),
        (long.as_str(), "A comment has at most 2,000 characters; this one has 2,001."),
        ("My <long>\0 text", "A comment contains a character that cannot be kept (U+0000)."),
    ] {
        let page = browser.post("/posts/1/comments", &[("content", content)]).await;
        assert_eq!(page.status, 422, "{reason}");
        assert!(page.body.contains(reason), "no `{reason}` in {}", page.body);
        assert!(page.body.contains(&content.replace('<', "&lt;").replace('>', "&gt;")));
    }
    assert_eq!(browser.post("/posts/999/comments", &[("content", "x")]).await.status, 404);
    assert_eq!(browser.post("/posts/999/comments", &[("content", "")]).await.status, 404);
    assert_eq!(browser.post("/posts/x/comments", &[("content", "x")]).await.status, 404);
    assert_eq!(count(&database.pool, "comments").await, 2);
}

#[tokio::test]
async fn what_is_no_form_is_refused() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    for path in ["/login", "/register"] {
        assert_eq!(app.post_raw(path, "application/json", "{}".to_owned()).await.status, 415, "{path}");
        let twice = app.post_raw(path, "application/x-www-form-urlencoded", "username=a&username=b".to_owned()).await;
        assert!(twice.status == 422 && twice.body.contains("This form cannot be read."), "{path}: {}", twice.status);
        for body in ["%", "&&&", "=", "\0", "username=%ff%fe", "username"] {
            let page = app.post_raw(path, "application/x-www-form-urlencoded", body.to_owned()).await;
            assert_eq!(page.status, 422, "{path} {body:?}");
        }
    }
}

/// The pages of all comments show each of them once, newest first.
#[tokio::test]
async fn all_comments_are_there() {
    let database = TestDatabase::tiny().await;
    database
        .execute(
            "INSERT INTO comments (post_id, author_id, content, created_at)
             SELECT 2, 1, 'Comment ' || n, timestamptz '2025-01-01' + (n / 3) * interval '1 microsecond'
             FROM generate_series(1, 120) AS n",
        )
        .await;
    let app = TestApp::start(&database, &[]).await;
    assert!(app.get("/posts/2").await.body.contains("href=\"/posts/2/comments\""));
    let (mut path, mut seen) = ("/posts/2/comments".to_owned(), Vec::new());
    for expected in [50, 50, 20] {
        let page = app.get(&path).await;
        assert_eq!(page.status, 200);
        let links = page.body.split("<li id=\"comment-").skip(1);
        let ids: Vec<i64> = links.map(|rest| rest.split('"').next().unwrap().parse().unwrap()).collect();
        assert_eq!(ids.len(), expected);
        seen.extend(ids);
        if let Some(rest) = page.body.split("class=\"next\" href=\"").nth(1) {
            path = rest.split('"').next().unwrap().replace("&#x2f;", "/");
        }
    }
    assert_eq!(seen, (3..=122).rev().collect::<Vec<i64>>());
    assert_eq!(app.get("/posts/2/comments?before=x").await.status, 400);
    assert_eq!(app.get("/posts/2/comments?before=1.1&before=1.1").await.status, 400);
    assert_eq!(app.get("/posts/99/comments").await.status, 404);
    assert!(app.get("/posts/2/comments?before=1.1").await.body.contains("There are no older comments."));
    assert!(app.get("/posts/3/comments").await.body.contains("Nobody has commented yet."));
}
