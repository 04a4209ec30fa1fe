//! Redis and PostgreSQL die under load and come back.

use std::time::{Duration, Instant};

use experiments::stack::{Redis, RedisSettings};

use super::site::{Setup, Site};
use super::size;
use super::traffic::{Traffic, between, hit_share, others, quantile};

/// Pages that the cache soon has.
fn popular(number: u64) -> String {
    match number % 10 {
        0..=3 => "/".to_owned(),
        number => format!("/posts/{}", 1 + number % 5),
    }
}

async fn pause(duration: Duration) -> Instant {
    tokio::time::sleep(duration).await;
    Instant::now()
}

/// Without Redis every page still comes, soon as fast as before; with it again, so do the hits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_dies_and_comes_back() {
    let mut site = Site::start(&Setup::default()).await;
    let traffic = Traffic::start(&site.url(), size(8, 32), popular);
    pause(Duration::from_secs(1)).await;
    let warm = Instant::now();
    let died = pause(Duration::from_secs(size(2, 10))).await;
    site.stack.redis.process().crash();
    let back = pause(Duration::from_secs(size(4, 15))).await;
    let settings = RedisSettings { port: Some(site.stack.redis.port()), ..RedisSettings::default() };
    site.stack.redis = Redis::start(&site.folder, &settings).await.unwrap();
    let returned = Instant::now();
    let end = pause(Duration::from_secs(size(5, 15))).await;
    let seen = traffic.stop().await;

    let failed = others(&between(&seen, warm, end), &[200]);
    assert!(failed.is_empty(), "{} of {} requests failed, such as {:?}", failed.len(), seen.len(), failed[0]);
    let second = Duration::from_secs(1);
    let before = between(&seen, warm, died);
    let without = between(&seen, died + second, back);
    let after = between(&seen, returned + 2 * second, end);
    // A page that is made costs a few queries, which is more than a hit; a wait for Redis would be far more.
    let bound = (quantile(&before, 0.99) * 3).max(Duration::from_millis(100));
    println!(
        "p99 {:?} before, {:?} without Redis, {:?} after; hits {:.3} before, {:.3} after",
        quantile(&before, 0.99),
        quantile(&without, 0.99),
        quantile(&after, 0.99),
        hit_share(&before),
        hit_share(&after)
    );
    assert!(quantile(&without, 0.99) <= bound, "a second after its end, p99 is {:?}", quantile(&without, 0.99));
    assert!(quantile(&after, 0.99) <= bound, "two seconds after its return, p99 is {:?}", quantile(&after, 0.99));
    assert!(hit_share(&before) > 0.9, "hits before: {:.3}", hit_share(&before));
    assert!(hit_share(&after) >= hit_share(&before) - 0.05, "hits after: {:.3}", hit_share(&after));
}

/// Pages that are kept go on coming while PostgreSQL is away; the others are told so, and come by themselves when it is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_dies_and_comes_back() {
    let mut site = Site::start(&Setup::default()).await;
    let url = site.url();
    for number in 0..20 {
        assert_eq!(reqwest::get(format!("{url}{}", popular(number))).await.unwrap().status(), 200);
    }
    let kept = Traffic::start(&url, size(4, 16), popular);
    // Each page of this list is asked for once, so that no cache has it.
    let unknown = Traffic::start(&url, 4, |number| format!("/?before={}.{}", 1_800_000_000_000_000 + number, 1));
    let died = pause(Duration::from_secs(2)).await;
    site.stack.postgres.process().crash();
    let back = pause(Duration::from_secs(size(3, 10))).await;
    site.stack.postgres.start_again(&site.folder).await.unwrap();
    let returned = Instant::now();
    let end = pause(Duration::from_secs(size(5, 10))).await;
    let (kept, unknown) = (kept.stop().await, unknown.stop().await);

    let failed = others(&between(&kept, died, end), &[200]);
    assert!(failed.is_empty(), "{} pages that are kept did not come, such as {:?}", failed.len(), failed[0]);
    let refused = others(&between(&unknown, died, returned), &[200]);
    assert!(!refused.is_empty(), "nobody noticed that PostgreSQL was away");
    for one in &refused {
        assert!(one.status == Ok(503) && one.retry_after, "not a clean refusal: {one:?}");
    }
    let slowest = between(&unknown, died, back).iter().map(|one| one.took).max().unwrap();
    println!("{} refused, the slowest after {slowest:?}", refused.len());
    assert!(slowest < Duration::from_secs(6), "a reader waited {slowest:?} to be refused");
    let late = others(&between(&unknown, returned + Duration::from_secs(3), end), &[200]);
    assert!(late.is_empty(), "three seconds after its return {} requests failed, such as {:?}", late.len(), late[0]);
}
