//! A page that nobody has asked for yet, and a thousand who ask at once.

use std::collections::BTreeSet;
use std::time::Duration;

use app::db::QUERIES;
use experiments::stack::LocalCache;
use sqlx::PgPool;
use tokio::task::JoinSet;

use super::site::{Page, Setup, Site, client};
use super::size;

/// So long the query is held up, so that everybody comes before it is answered.
const HOLD: Duration = Duration::from_millis(400);

/// One query for all of them, over both servers, however the servers keep what they have fetched.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_readers_of_a_cold_page_ask_the_database_once() {
    for local in [LocalCache::Off, LocalCache::Strict, LocalCache::Fast] {
        let environment = vec![("APP_REQUESTS_MAX".to_owned(), "4000".to_owned())];
        let site = Site::start(&Setup { local, environment, ..Setup::default() }).await;
        let pool = site.pool().await;
        sqlx::query("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").execute(&pool).await.unwrap();
        for round in 0..size(1, 10) {
            empty_cache(&site).await;
            sqlx::query("SELECT pg_stat_statements_reset()").execute(&pool).await.unwrap();
            let mut blocker = pool.begin().await.unwrap();
            sqlx::raw_sql("LOCK TABLE posts IN ACCESS EXCLUSIVE MODE").execute(&mut *blocker).await.unwrap();
            let readers = tokio::spawn(read_at_once(site.url(), 1_000));
            tokio::time::sleep(HOLD).await;
            blocker.rollback().await.unwrap();
            let (bodies, servers) = readers.await.unwrap();
            assert_eq!(bodies.len(), 1, "{local:?}: all readers see the same page");
            assert_eq!(servers, BTreeSet::from(["app-1".to_owned(), "app-2".to_owned()]), "{local:?}");
            let asked = list_queries(&pool).await;
            assert_eq!(asked, 1, "{local:?}, round {round}: the list was asked for {asked} times");
            // In its own memory a server may keep a page for a moment longer than Redis does.
            tokio::time::sleep(Duration::from_secs(if round + 1 < size(1, 10) { 3 } else { 0 })).await;
        }
        pool.close().await;
    }
}

async fn read_at_once(url: String, readers: usize) -> (BTreeSet<String>, BTreeSet<String>) {
    let client = client();
    let mut tasks = JoinSet::new();
    for _ in 0..readers {
        let request = client.get(&url);
        tasks.spawn(async move { Page::read(request.send().await.unwrap()).await.unwrap() });
    }
    let (mut bodies, mut servers) = (BTreeSet::new(), BTreeSet::new());
    while let Some(page) = tasks.join_next().await {
        let page = page.unwrap();
        assert_eq!(page.status, 200, "{}", page.body);
        servers.insert(page.header("x-served-by").to_owned());
        bodies.insert(page.body);
    }
    (bodies, servers)
}

async fn empty_cache(site: &Site) {
    let client = redis::Client::open(site.stack.redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd("FLUSHALL").exec_async(&mut connection).await.unwrap();
}

/// How often the list of posts was asked for: its statement begins with the comment of its file.
async fn list_queries(pool: &PgPool) -> i64 {
    let list = QUERIES.iter().find(|query| query.name == "list_posts").unwrap();
    let comment = list.sql.lines().next().unwrap();
    sqlx::query_scalar(
        "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements
         WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND strpos(query, $1) > 0",
    )
    .bind(comment)
    .fetch_one(pool)
    .await
    .unwrap()
}
