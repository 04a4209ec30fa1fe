//! The demonstration, in a database.

use app::demo::{self, Filled};
use app::seed;

use crate::harness::{TestApp, TestDatabase, config};

async fn counts(database: &TestDatabase) -> (i64, i64, i64, i64, i64) {
    sqlx::query_as(
        "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM posts), (SELECT count(*) FROM comments),
                (SELECT count(*) FROM tags), (SELECT count(*) FROM post_tags)",
    )
    .fetch_one(&database.pool)
    .await
    .unwrap()
}

/// Running it again changes nothing.
#[tokio::test]
async fn the_same_twice() {
    let database = TestDatabase::migrated().await;
    let filled = demo::fill(&database.pool).await.unwrap();
    let after = counts(&database).await;
    assert!(filled.posts >= 12 && filled.comments >= 2 * filled.posts, "{filled:?}");
    assert_eq!((filled.posts, filled.comments), (after.1.unsigned_abs(), after.2.unsigned_abs()));
    assert_eq!(demo::fill(&database.pool).await.unwrap(), Filled::default());
    assert_eq!(counts(&database).await, after);
}

/// It goes on top of seeded rows, and every page of it comes.
#[tokio::test]
async fn on_top_of_the_seed() {
    let database = TestDatabase::migrated().await;
    seed::seed(&database.pool, &seed::Size { users: 40, posts: 300, comments: 2000, tags: 10 }, 1).await.unwrap();
    let filled = demo::fill(&database.pool).await.unwrap();
    let app = TestApp::start(&database, &[]).await;
    let front = app.get("/").await.body;
    let links: Vec<&str> = front.split("<h2><a href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    let newest: Vec<i64> = links.iter().map(|link| link.rsplit('/').next().unwrap().parse().unwrap()).collect();
    let demo_posts = usize::try_from(filled.posts).unwrap();
    assert!(newest[..demo_posts].iter().all(|id| *id > 300), "{newest:?}");
    for id in &newest[..demo_posts] {
        let page = app.get(&format!("/posts/{id}")).await;
        assert_eq!(page.status, 200);
        assert!(page.body.contains("<pre><code") && page.body.contains("<ol class=\"comments\">"), "post {id}");
    }
}

/// Nobody is made to say what they have not said.
#[tokio::test]
async fn a_stranger_keeps_the_name() {
    let database = TestDatabase::migrated().await;
    let stranger = "INSERT INTO users (username, email, password_hash) VALUES ('Jonas', 'jonas@example.org', '!')";
    database.execute(stranger).await;
    let error = demo::fill(&database.pool).await.unwrap_err();
    assert!(format!("{error:#}").contains("somebody else is called `jonas`"), "{error:#}");
    assert_eq!(counts(&database).await, (1, 0, 0, 0, 0));
}

/// There is an account to log in to, with the password that is printed, also after somebody changed it; but not in production.
#[tokio::test]
async fn the_account_to_log_in_to() {
    let database = TestDatabase::migrated().await;
    let production = config(
        &database,
        &[("APP_MODE", "production"), ("APP_SECRET", &"s".repeat(32)), ("APP_PASSWORD_MEMORY_KIB", "")],
    );
    assert!(!demo::add_login(&database.pool, &production).await.unwrap());
    assert_eq!(counts(&database).await.0, 0);
    let development = config(&database, &[]);
    let app = TestApp::start(&database, &[]).await;
    let mut hashes = Vec::new();
    for change in ["", "", "UPDATE users SET password_hash = '!'"] {
        database.execute(change).await;
        assert!(demo::add_login(&database.pool, &development).await.unwrap());
        let body = format!(r#"{{"username": "{}", "password": "{}"}}"#, demo::LOGIN, demo::PASSWORD);
        let page = app.request("POST", "/api/sessions", &[("content-type", "application/json")], body).await;
        assert_eq!(page.status, 201, "{}", page.body);
        let hash: String =
            sqlx::query_scalar("SELECT password_hash FROM users").fetch_one(&database.pool).await.unwrap();
        hashes.push(hash);
    }
    assert_eq!(hashes[0], hashes[1], "the second time changed something");
}
