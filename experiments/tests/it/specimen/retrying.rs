//! A comment that is sent twice is there once.

use sqlx::PgPool;
use tokio::task::JoinSet;

use super::site::{Account, Setup, Site};
use super::size;

async fn count(pool: &PgPool, content: &str) -> i64 {
    let query = "SELECT count(*) FROM comments WHERE content = $1";
    sqlx::query_scalar(query).bind(content).fetch_one(pool).await.unwrap()
}

/// The ways of sending a comment.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// The form of a page, which names nothing: the same text within a minute is the same comment.
    Form,
    /// A form that names its submission.
    NamedForm,
    /// The API, with an `Idempotency-Key`.
    Api,
}

async fn send(account: &Account, way: Way, content: &str, key: &str) -> u16 {
    let sent = match way {
        Way::Form => account.comment(3, content, None).await,
        Way::NamedForm => account.comment(3, content, Some(key)).await,
        Way::Api => account.comment_as_json(3, content, key).await,
    };
    sent.unwrap().status
}

/// Sent again by a client that got no answer, or by a finger that was pressed twice: at once and later, to both servers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comment_that_is_sent_again_is_there_once() {
    let site = Site::start(&Setup::default()).await;
    let pool = site.pool().await;
    let account = Account::make(&site, "twice").await;
    for round in 0..size(4, 100) {
        for (number, way) in [Way::Form, Way::NamedForm, Way::Api].into_iter().enumerate() {
            let (content, key) = (format!("{way:?}, {round}."), format!("0195d3f0-0000-7000-800{number}-{round:012x}"));
            let mut attempts = JoinSet::new();
            for _ in 0..8 {
                let (account, content, key) = (account.clone(), content.clone(), key.clone());
                attempts.spawn(async move { send(&account, way, &content, &key).await });
            }
            let mut statuses = attempts.join_all().await;
            statuses.push(send(&account, way, &content, &key).await);
            statuses.sort_unstable();
            let expected = if way == Way::Api { [[200; 8].as_slice(), &[201]].concat() } else { vec![303; 9] };
            assert_eq!(statuses, expected, "{way:?}");
            assert_eq!(count(&pool, &content).await, 1, "{content}");
        }
    }
    // Another comment is another comment.
    assert_eq!(send(&account, Way::Form, "Something else.", "").await, 303);
    assert_eq!(count(&pool, "Something else.").await, 1);
    pool.close().await;
}
