//! Nobody is shown less than what was acknowledged: readers and writers at two servers, every answer checked.
//!
//! `APP_TEST_READS` sets how many answers are checked per mode; `just test` takes a few thousand, the full measure is a million.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::browser::Browser;
use crate::harness::{TestDatabase, client, read, variables};
use crate::operation::serve;

/// The posts that are read and commented on.
const POSTS: usize = 3;

/// How many comments are added at least, however soon the reads are done.
const WRITES_MIN: u64 = 100;

/// The longest that fast mode may be behind: one second, for which it believes what it has heard, and the time that an answer takes.
const BEHIND_MAX: Duration = Duration::from_millis(1500);

fn reads_wanted() -> u64 {
    std::env::var("APP_TEST_READS").map_or(6_000, |text| text.parse().expect("`APP_TEST_READS` is not a number"))
}

/// What has been acknowledged of the comments of a post.
#[derive(Default)]
struct Acknowledged {
    count: AtomicU64,
    /// When each was, in microseconds since the start: the n-th comment at place n.
    at_us: std::sync::Mutex<Vec<u64>>,
}

/// The number of comments that a page says it has.
fn shown(body: &str) -> u64 {
    let rest = body.split("id=\"comments-title\">").nth(1).expect("the page has no comments");
    rest.split(' ').next().unwrap().parse().unwrap()
}

struct Measured {
    reads: u64,
    hits: u64,
    writes: u64,
    /// How far behind each answer was that was behind, in microseconds.
    behind_us: Vec<u64>,
    took: Duration,
}

async fn measure(database: &TestDatabase, local: &str, reads_wanted: u64) -> Measured {
    let start = |name: &str| {
        let mut variables = variables(database);
        variables.retain(|(variable, _)| !["APP_NAME", "APP_CACHE_PREFIX"].contains(variable));
        variables.push(("APP_NAME", name.to_owned()));
        variables.push(("APP_CACHE_LOCAL", local.to_owned()));
        variables.push(("APP_RATE_LIMITS", "off".to_owned()));
        variables.push(("APP_CACHE_PREFIX", format!("{}_{local}", database.name)));
        serve(&variables)
    };
    let servers = [start("app-1"), start("app-2")];
    let urls: Vec<String> = servers.iter().map(|(_, url)| url.clone()).collect();
    let acknowledged: Arc<[Acknowledged; POSTS]> = Arc::default();
    for (place, post) in acknowledged.iter().enumerate() {
        let existing = shown(&read(client().get(format!("{}/posts/{}", urls[0], place + 1))).await.body);
        post.count.store(existing, Ordering::SeqCst);
        post.at_us.lock().unwrap().resize(usize::try_from(existing).unwrap() + 1, 0);
    }
    let writes = Arc::new(AtomicU64::new(0));
    let (reads, is_over, started) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)), Instant::now());

    let writer = tokio::spawn({
        let (acknowledged, is_over) = (Arc::clone(&acknowledged), Arc::clone(&is_over));
        let written = Arc::clone(&writes);
        let mut first = Browser::at_url(&urls[0]);
        assert_eq!(first.register(&format!("writer-{local}")).await.status, 303);
        let mut writers = [first.clone(), first.moved_to_url(&urls[1])];
        async move {
            let mut writes = 0_u64;
            while !is_over.load(Ordering::Relaxed) {
                let post = usize::try_from(writes).unwrap() % POSTS;
                let server = rand::random_range(0..writers.len());
                let (path, content) = (format!("/posts/{}/comments", post + 1), format!("comment {writes}"));
                assert_eq!(writers[server].post(&path, &[("content", &content)]).await.status, 303);
                let now_us = u64::try_from(started.elapsed().as_micros()).unwrap();
                acknowledged[post].at_us.lock().unwrap().push(now_us);
                // Only now may nobody be shown less.
                acknowledged[post].count.fetch_add(1, Ordering::SeqCst);
                writes = written.fetch_add(1, Ordering::Relaxed) + 1;
                tokio::time::sleep(Duration::from_millis(rand::random_range(0..20))).await;
            }
        }
    });
    let readers = (0..8).map(|number| {
        let (acknowledged, reads, is_over) = (Arc::clone(&acknowledged), Arc::clone(&reads), Arc::clone(&is_over));
        let writes = Arc::clone(&writes);
        let url = urls[number % urls.len()].clone();
        tokio::spawn(async move {
            let (client, mut hits, mut behind_us) = (client(), 0, Vec::new());
            while reads.fetch_add(1, Ordering::Relaxed) < reads_wanted || writes.load(Ordering::Relaxed) < WRITES_MIN {
                let post = rand::random_range(0..POSTS);
                let expected = acknowledged[post].count.load(Ordering::SeqCst);
                let asked_us = u64::try_from(started.elapsed().as_micros()).unwrap();
                let page = read(client.get(format!("{url}/posts/{}", post + 1))).await;
                assert_eq!(page.status, 200);
                hits += u64::from(page.header("cache-status").starts_with("app-fragment; hit"));
                let shown = shown(&page.body);
                if shown < expected {
                    // The first that it does not show was acknowledged so long before the question.
                    let at_us = acknowledged[post].at_us.lock().unwrap()[usize::try_from(shown).unwrap() + 1];
                    behind_us.push(asked_us.saturating_sub(at_us).max(1));
                }
            }
            is_over.store(true, Ordering::Relaxed);
            (hits, behind_us)
        })
    });
    let (mut hits, mut behind_us) = (0, Vec::new());
    for reader in readers.collect::<Vec<_>>() {
        let (more_hits, more_behind) = reader.await.unwrap();
        hits += more_hits;
        behind_us.extend(more_behind);
    }
    behind_us.sort_unstable();
    writer.await.unwrap();
    let (reads, writes) = (reads.load(Ordering::Relaxed), writes.load(Ordering::Relaxed));
    Measured { reads, hits, writes, behind_us, took: started.elapsed() }
}

impl Measured {
    fn print(&self, local: &str) {
        let at =
            |share: f64| self.behind_us.get((self.behind_us.len() as f64 * share) as usize).map_or(0, |us| us / 1000);
        println!(
            "{local}: {} reads, {:.1} % hits, {} writes in {:.1} s; {} reads behind, by 50/90/99 % {} {} {} ms, at most {} ms",
            self.reads,
            self.hits as f64 * 100.0 / self.reads as f64,
            self.writes,
            self.took.as_secs_f64(),
            self.behind_us.len(),
            at(0.5),
            at(0.9),
            at(0.99),
            self.behind_us.last().map_or(0, |us| us / 1000),
        );
    }
}

/// Without a first level, and in strict mode, no answer is behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strict_is_never_behind() {
    let database = TestDatabase::tiny().await;
    for local in ["off", "strict"] {
        let measured = measure(&database, local, reads_wanted()).await;
        measured.print(local);
        assert!(measured.hits > measured.reads / 4, "too little was tried");
        assert_eq!(measured.behind_us, [] as [u64; 0], "{local}");
    }
}

/// In fast mode an answer may be behind for as long as a message takes, and for no longer than what was heard is believed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fast_is_behind_within_bounds() {
    let database = TestDatabase::tiny().await;
    let measured = measure(&database, "fast", reads_wanted()).await;
    measured.print("fast");
    assert!(measured.hits > measured.reads / 4, "too little was tried");
    let worst = Duration::from_micros(measured.behind_us.last().copied().unwrap_or(0));
    assert!(worst < BEHIND_MAX, "an answer was {worst:?} behind");
}
