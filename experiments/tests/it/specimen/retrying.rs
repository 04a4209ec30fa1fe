//! A comment that is sent twice is there once.

use sqlx::PgPool;
use tokio::task::JoinSet;

use super::site::{Account, Setup, Site};
use super::size;

async fn count(pool: &PgPool, content: &str) -> i64 {
    let query = "SELECT count(*) FROM comments WHERE content = $1";
    sqlx::query_scalar(query).bind(content).fetch_one(pool).await.unwrap()
}

/// Sent again by a client that got no answer, or by a finger that was pressed twice: at once and later, to both servers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comment_that_is_sent_again_is_there_once() {
    let site = Site::start(&Setup::default()).await;
    let pool = site.pool().await;
    let account = Account::make(&site, "twice").await;
    for round in 0..size(5, 100) {
        let key = format!("0195d3f0-0000-7000-8000-{round:012x}");
        for (content, key) in [(format!("With a key, {round}."), Some(key)), (format!("Without a key, {round}."), None)]
        {
            let mut attempts = JoinSet::new();
            for _ in 0..8 {
                let (account, content, key) = (account.clone(), content.clone(), key.clone());
                attempts.spawn(async move { account.comment(3, &content, key.as_deref()).await.unwrap() });
            }
            for page in attempts.join_all().await {
                assert_eq!(page.status, 303, "{}", page.body);
            }
            let again = account.comment(3, &content, key.as_deref()).await.unwrap();
            assert_eq!(again.status, 303);
            assert_eq!(count(&pool, &content).await, 1, "{content}");
        }
    }
    // Another comment is another comment.
    account.comment(3, "Something else.", None).await.unwrap();
    assert_eq!(count(&pool, "Something else.").await, 1);
    pool.close().await;
}
