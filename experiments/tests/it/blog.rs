//! The databases of trials, in a real PostgreSQL.

use std::path::PathBuf;

use experiments::steps::{Blog, DataParameters, Placing, Programs};
use sqlx::PgPool;

use crate::support;

/// Every row of every table, as one text.
async fn content(pool: &PgPool) -> String {
    let all = "SELECT concat_ws(' ', \
        (SELECT md5(string_agg(users::text, ' ' ORDER BY id)) FROM users), \
        (SELECT md5(string_agg(posts::text, ' ' ORDER BY id)) FROM posts), \
        (SELECT md5(string_agg(comments::text, ' ' ORDER BY id)) FROM comments), \
        (SELECT md5(string_agg(tags::text, ' ' ORDER BY id)) FROM tags), \
        (SELECT md5(string_agg(post_tags::text, ' ' ORDER BY post_id, tag_id)) FROM post_tags))";
    sqlx::query_scalar(all).fetch_one(pool).await.unwrap()
}

#[tokio::test]
async fn what_a_trial_wrote_is_gone_for_the_next() {
    let runs = support::open_folder();
    let nginx_template = support::project_root().join("nginx/nginx.conf.template");
    // No server is started here.
    let programs = Programs { stack: support::programs(), app: PathBuf::new(), nginx_template };
    let data = DataParameters { users: 20, posts: 50, comments: 200, tags: 10 };
    let mut blog = Blog::start(programs, runs.path(), Placing::Pinned, data, 1).await.unwrap();
    let name = blog.trial_database("trial_0").await.unwrap();
    let pool = blog.pool(&name).await.unwrap();
    let seeded = content(&pool).await;

    let trial = "INSERT INTO users (username, email, password_hash) VALUES ('late', 'late@example.org', '!'); \
        INSERT INTO posts (author_id, title, content) SELECT max(id), 'late', 'late' FROM users; \
        INSERT INTO comments (post_id, author_id, content) SELECT 1, max(id), 'late' FROM users; \
        INSERT INTO tags (name) VALUES ('late'); \
        INSERT INTO post_tags (post_id, tag_id) SELECT (SELECT max(id) FROM posts), (SELECT max(id) FROM tags)";
    for attempt in 1..=2 {
        sqlx::raw_sql(trial).execute(&pool).await.unwrap();
        assert_ne!(content(&pool).await, seeded);
        assert_eq!(blog.trial_database("trial_0").await.unwrap(), name);
        assert_eq!(content(&pool).await, seeded, "after trial {attempt}");
    }
    let next = "INSERT INTO comments (post_id, author_id, content) VALUES (1, 1, 'next') RETURNING id";
    let id: i64 = sqlx::query_scalar(next).fetch_one(&pool).await.unwrap();
    assert_eq!(id, 201, "the numbers begin again");
    pool.close().await;
    blog.stop().await.unwrap();
}
