//! Paging walks through everything once.

use std::collections::BTreeSet;

use crate::harness::{TestApp, TestDatabase};

/// 107 posts, three at each instant so that pages are cut between posts of the same time; every second is by user 1, every third has
/// the tag.
const MANY: &str = "
    INSERT INTO users (username, email, password_hash) VALUES ('one', 'one@example.org', '!'), ('two', 'two@example.org', '!');
    INSERT INTO tags (name) VALUES ('third');
    INSERT INTO posts (author_id, title, content, created_at)
        SELECT 1 + n % 2, 'Post ' || n, 'Text', timestamptz '2025-01-01 00:00:00+00' + (n / 3) * interval '1 microsecond'
        FROM generate_series(1, 107) AS n;
    INSERT INTO post_tags (post_id, tag_id) SELECT id, 1 FROM posts WHERE id % 3 = 0;
";

/// The ids of the posts of a page, in order.
fn ids(body: &str) -> Vec<i64> {
    let links = body.split("<h2><a href=\"/posts/").skip(1);
    links.map(|rest| rest.split('"').next().unwrap().parse().unwrap()).collect()
}

/// Follows the links to older posts from a first page to the last.
async fn walk(app: &TestApp, first: &str) -> Vec<i64> {
    let mut path = first.to_owned();
    let mut seen = Vec::new();
    loop {
        let page = app.get(&path).await;
        assert_eq!(page.status, 200, "{path}");
        let ids = ids(&page.body);
        assert!((1..=20).contains(&ids.len()), "{path} shows {} posts", ids.len());
        seen.extend(ids);
        let Some(rest) = page.body.split("class=\"next\" href=\"").nth(1) else { return seen };
        path = rest.split('"').next().unwrap().replace("&#x2f;", "/");
    }
}

#[tokio::test]
async fn every_post_comes_exactly_once_and_in_order() {
    let database = TestDatabase::migrated().await;
    database.execute(MANY).await;
    let app = TestApp::start(&database, &[]).await;
    let expected = |keep: fn(&i64) -> bool| (1..=107).rev().filter(keep).collect::<Vec<i64>>();
    assert_eq!(walk(&app, "/").await, expected(|_| true));
    assert_eq!(walk(&app, "/authors/1").await, expected(|id| id % 2 == 0));
    assert_eq!(walk(&app, "/authors/2").await, expected(|id| id % 2 == 1));
    assert_eq!(walk(&app, "/tags/third").await, expected(|id| id % 3 == 0));
}

/// Posts that are added while somebody pages neither repeat nor hide others, as they would with an offset.
#[tokio::test]
async fn a_new_post_does_not_shift_the_pages() {
    let database = TestDatabase::migrated().await;
    database.execute(MANY).await;
    let app = TestApp::start(&database, &[]).await;
    let first = app.get("/").await;
    database.execute("INSERT INTO posts (author_id, title, content) VALUES (1, 'New', 'Text')").await;
    let older =
        first.body.split("class=\"next\" href=\"").nth(1).unwrap().split('"').next().unwrap().replace("&#x2f;", "/");
    let both: Vec<i64> = ids(&first.body).into_iter().chain(ids(&app.get(&older).await.body)).collect();
    assert_eq!(both, (68..=107).rev().collect::<Vec<i64>>());
    assert_eq!(both.iter().collect::<BTreeSet<_>>().len(), 40);
}

/// A page past the end is empty and says so.
#[tokio::test]
async fn past_the_end() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    assert!(app.get("/?before=0.1").await.body.contains("There are no older posts."));
}
