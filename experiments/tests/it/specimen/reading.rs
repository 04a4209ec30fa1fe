//! Readers who check that no page is older than what was acknowledged before they asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use experiments::stack::LocalCache;
use tokio::task::JoinSet;

use super::site::{Account, Page, Setup, Site, client};
use super::size;

/// Posts that are read and commented on.
const POSTS: u64 = 8;
const READERS: usize = 24;

/// In this mode a page may be older than what was acknowledged, but not by more than this: the second for which an entry is believed, and
/// time for the answer that it was checked with.
const FAST_BOUND: Duration = Duration::from_millis(1_250);

/// What is known of one post: the number of the last comment that was acknowledged, and when each was.
#[derive(Default)]
struct Acknowledged {
    last: AtomicU64,
    at: std::sync::Mutex<Vec<Instant>>,
}

struct Shared {
    posts: Vec<Acknowledged>,
    left: AtomicU64,
    done: AtomicBool,
}

/// Writes comment after comment, numbered for each post, until the readers have enough.
async fn write(account: Account, shared: Arc<Shared>) -> u64 {
    let mut number = 0;
    while !shared.done.load(Ordering::Relaxed) {
        number += 1;
        for post in 1..=POSTS {
            let page = account.comment(post, &format!("checked-{number}-end"), None).await.unwrap();
            assert_eq!(page.status, 303, "{}", page.body);
            let acknowledged = &shared.posts[post as usize - 1];
            acknowledged.at.lock().unwrap().push(Instant::now());
            acknowledged.last.store(number, Ordering::SeqCst);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    number
}

/// Reads until nothing is left to read; gives how late each stale page was.
async fn read(url: String, shared: Arc<Shared>, reader: u64) -> Vec<Duration> {
    let client = client();
    let mut stale = Vec::new();
    let mut turn = reader;
    while shared.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
        turn += 1;
        let post = turn % POSTS + 1;
        let acknowledged = &shared.posts[post as usize - 1];
        let least = acknowledged.last.load(Ordering::SeqCst);
        let asked = Instant::now();
        let page = Page::read(client.get(format!("{url}/posts/{post}")).send().await.unwrap()).await.unwrap();
        assert_eq!(page.status, 200, "{}", page.body);
        let shown = latest(&page.body);
        if shown < least {
            // Comment `shown + 1` was acknowledged, and a page that was asked for later does not show it.
            let missed = acknowledged.at.lock().unwrap()[shown as usize];
            stale.push(asked.saturating_duration_since(missed));
        }
    }
    shared.done.store(true, Ordering::Relaxed);
    stale
}

/// The highest number of the comments on a page; 0 without any.
fn latest(body: &str) -> u64 {
    let numbers = body.split("checked-").skip(1).filter_map(|rest| rest.split_once("-end")?.0.parse().ok());
    numbers.max().unwrap_or(0)
}

async fn staleness(local: LocalCache, reads: u64) -> Vec<Duration> {
    let site = Site::start(&Setup { local, ..Setup::default() }).await;
    let account = Account::make(&site, "writer").await;
    let posts = (0..POSTS).map(|_| Acknowledged::default()).collect();
    let shared = Arc::new(Shared { posts, left: AtomicU64::new(reads), done: AtomicBool::new(false) });
    let started = Instant::now();
    let writer = tokio::spawn(write(account, Arc::clone(&shared)));
    let mut readers = JoinSet::new();
    for reader in 0..READERS {
        readers.spawn(read(site.url(), Arc::clone(&shared), reader as u64));
    }
    let mut stale = readers.join_all().await.concat();
    let written = writer.await.unwrap() * POSTS;
    stale.sort_unstable();
    println!(
        "{local:?}: {reads} reads, {written} comments in {:.1?}; {} stale, by {:?} at most, {:?} in the middle",
        started.elapsed(),
        stale.len(),
        stale.last(),
        stale.get(stale.len() / 2)
    );
    assert!(written >= POSTS * 3, "only {written} comments were written");
    stale
}

/// Asking Redis each time, or keeping nothing, no page is older than what was acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_page_is_older_than_an_acknowledged_comment() {
    for (local, reads) in [(LocalCache::Strict, size(10_000, 1_000_000)), (LocalCache::Off, size(4_000, 100_000))] {
        let stale = staleness(local, reads).await;
        assert!(
            stale.is_empty(),
            "{local:?}: {} of {reads} pages were stale, by {:?} at most",
            stale.len(),
            stale.last()
        );
    }
}

/// Told by Redis, a page may be older for the time that the message takes, and never for longer than the bound.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_fast_mode_staleness_is_bounded() {
    let stale = staleness(LocalCache::Fast, size(10_000, 200_000)).await;
    assert!(stale.last().is_none_or(|most| *most <= FAST_BOUND), "a page was stale by {:?}", stale.last());
}
