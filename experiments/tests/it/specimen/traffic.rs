//! Readers who ask for pages without a pause, and a record of what each of them got.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::site::{Page, client};

/// What came of one request.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) took: Duration,
    #[expect(dead_code, reason = "it is shown when a test fails")]
    pub(crate) path: String,
    /// The status, or why there was none.
    pub(crate) status: Result<u16, String>,
    pub(crate) hit: bool,
    pub(crate) retry_after: bool,
}

/// Readers at work; they stop when told to.
pub(crate) struct Traffic {
    stop: Arc<AtomicBool>,
    readers: JoinSet<Vec<Seen>>,
}

impl Traffic {
    /// `readers` at `url`, each pausing a moment between two requests; `path` says what the n-th request is for.
    pub(crate) fn start(url: &str, readers: usize, path: impl Fn(u64) -> String + Send + Sync + 'static) -> Self {
        let (stop, next, path) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)), Arc::new(path));
        let client = client();
        let mut tasks = JoinSet::new();
        for _ in 0..readers {
            let (url, stop, next, path, client) =
                (url.to_owned(), Arc::clone(&stop), Arc::clone(&next), Arc::clone(&path), client.clone());
            tasks.spawn(async move {
                let mut seen = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    seen.push(ask(&client, &url, path(next.fetch_add(1, Ordering::Relaxed))).await);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                seen
            });
        }
        Self { stop, readers: tasks }
    }

    /// Waits for the requests under way, and gives what all readers have seen.
    pub(crate) async fn stop(self) -> Vec<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        let mut seen = self.readers.join_all().await.concat();
        seen.sort_by_key(|one| one.at);
        seen
    }
}

async fn ask(client: &reqwest::Client, url: &str, path: String) -> Seen {
    let at = Instant::now();
    let answer = async { Page::read(client.get(format!("{url}{path}")).send().await?).await };
    let page = answer.await;
    let (hit, retry_after) =
        page.as_ref().map_or((false, false), |page| (page.is_hit(), page.headers.contains_key("retry-after")));
    let status = page.map(|page| page.status).map_err(|error| format!("{error:?}"));
    Seen { at, took: at.elapsed(), path, status, hit, retry_after }
}

/// The part of the record between two moments.
pub(crate) fn between(seen: &[Seen], from: Instant, to: Instant) -> Vec<&Seen> {
    seen.iter().filter(|one| from <= one.at && one.at < to).collect()
}

/// The time that this share of the requests did not exceed.
pub(crate) fn quantile(seen: &[&Seen], share: f64) -> Duration {
    let mut times: Vec<Duration> = seen.iter().map(|one| one.took).collect();
    times.sort_unstable();
    assert!(times.len() >= 20, "only {} requests", times.len());
    times[((times.len() as f64 * share) as usize).min(times.len() - 1)]
}

/// The share that came from the cache.
pub(crate) fn hit_share(seen: &[&Seen]) -> f64 {
    seen.iter().filter(|one| one.hit).count() as f64 / seen.len().max(1) as f64
}

/// Those that were not answered with one of these.
pub(crate) fn others<'a>(seen: &[&'a Seen], expected: &[u16]) -> Vec<&'a Seen> {
    seen.iter().copied().filter(|one| !one.status.as_ref().is_ok_and(|status| expected.contains(status))).collect()
}
