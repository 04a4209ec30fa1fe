//! A known cost on top of every request: a delay, processor time, or both. It is for whoever measures and must know whether the
//! measurement finds what is there, and how large. It knows no request; without `APP_HANDICAP_…` it does nothing.
//!
//! What was really added is counted, by this server's own clocks, because no sleep and no loop is exact: the counters are the truth that
//! a measurement from outside is held against.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::time::{ClockId, clock_gettime};
use tokio::sync::oneshot;

use super::metrics::Metrics;
use crate::config::HandicapConfig;

/// What each request has to bear besides its work.
#[derive(Debug)]
pub struct Handicap {
    cpu: Duration,
    delay: Duration,
    /// Where who waits says until when. None without a delay.
    waiting: Option<Sender<Waiting>>,
    borne: Arc<Borne>,
}

/// One who waits.
#[derive(Debug)]
struct Waiting {
    until: Instant,
    woken: oneshot::Sender<()>,
}

/// What was really added so far.
#[derive(Debug, Default)]
struct Borne {
    requests: AtomicU64,
    delay_ns: AtomicU64,
    cpu_ns: AtomicU64,
}

impl Handicap {
    /// Starts the thread that keeps the time of the delays, if there are any.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn new(config: &HandicapConfig) -> anyhow::Result<Self> {
        let waiting = if config.delay.is_zero() {
            None
        } else {
            let (sender, receiver) = mpsc::channel();
            let thread = std::thread::Builder::new().name("handicap".to_owned());
            thread.spawn(move || wake(&receiver)).context("cannot start the thread of the handicap")?;
            Some(sender)
        };
        Ok(Self { cpu: config.cpu, delay: config.delay, waiting, borne: Arc::default() })
    }

    /// Whether there is anything to bear.
    pub(super) fn is_any(&self) -> bool {
        self.waiting.is_some() || !self.cpu.is_zero()
    }

    /// Lets one request bear it.
    pub(super) async fn bear(&self) {
        if !self.cpu.is_zero() {
            let spent = spend(self.cpu);
            self.borne.cpu_ns.fetch_add(nanoseconds(spent), Ordering::Relaxed);
        }
        if let Some(waiting) = &self.waiting {
            let since = Instant::now();
            let (woken, waking) = oneshot::channel();
            if waiting.send(Waiting { until: since + self.delay, woken }).is_ok() {
                let _ = waking.await;
            }
            self.borne.delay_ns.fetch_add(nanoseconds(since.elapsed()), Ordering::Relaxed);
        }
        self.borne.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Puts what was really added among the metrics, if there is anything to bear.
    pub fn count(&self, metrics: &mut Metrics) {
        if !self.is_any() {
            return;
        }
        let read = |number: fn(&Borne) -> &AtomicU64, unit: f64| {
            let borne = Arc::clone(&self.borne);
            move || Some(number(&borne).load(Ordering::Relaxed) as f64 * unit)
        };
        let requests = read(|borne| &borne.requests, 1.0);
        let (delay_s, cpu_s) = (read(|borne| &borne.delay_ns, 1e-9), read(|borne| &borne.cpu_ns, 1e-9));
        metrics.counter("handicap_requests", "Requests that bore the handicap", requests);
        metrics.counter("handicap_delay_seconds", "For how long they were delayed", delay_s);
        metrics.counter("handicap_cpu_seconds", "Processor time that they spent for nothing", cpu_s);
    }
}

/// For the last part of a delay nobody sleeps: a processor that has slept is slower for a moment, also for whoever comes next, and nobody
/// counts by how much. Longer than a sleep is ever late.
const AWAKE: Duration = Duration::from_micros(500);

/// Wakes everybody when it is time. All delays are equal, so that who came first is first. tokio's own timers would add up to a
/// millisecond, which is more than what is to be added.
fn wake(waiting: &Receiver<Waiting>) {
    for Waiting { until, woken } in waiting {
        let left = until.saturating_duration_since(Instant::now());
        if left > AWAKE {
            std::thread::sleep(left - AWAKE);
        }
        while Instant::now() < until {
            // Whoever has something to do goes first.
            std::thread::yield_now();
        }
        // Whoever has left is not told.
        let _ = woken.send(());
    }
}

/// Keeps this thread busy until it has used so much processor time, and tells how much it was.
fn spend(cpu: Duration) -> Duration {
    let Some(start) = thread_cpu() else { return Duration::ZERO };
    loop {
        let Some(now) = thread_cpu() else { return cpu };
        if now.saturating_sub(start) >= cpu {
            // The way back from the first reading and the way into the last lie between the two, the other halves do not: together they
            // are as long as one more reading takes, which is itself spent on top.
            let last = thread_cpu().unwrap_or(now);
            return last.saturating_sub(start) + last.saturating_sub(now);
        }
        std::hint::spin_loop();
    }
}

/// Processor time of this thread so far. The clock on the wall would count what others do on the same processor.
fn thread_cpu() -> Option<Duration> {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).ok().map(Duration::from)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handicap(delay_us: u64, cpu_us: u64) -> Handicap {
        let [delay, cpu] = [delay_us, cpu_us].map(Duration::from_micros);
        Handicap::new(&HandicapConfig { delay, cpu }).unwrap()
    }

    #[tokio::test]
    async fn nothing_is_borne_unless_it_is_asked_for() {
        assert!(!handicap(0, 0).is_any());
        assert!(handicap(1, 0).is_any() && handicap(0, 1).is_any());
    }

    #[tokio::test]
    async fn what_is_borne_is_counted_and_is_at_least_what_was_asked_for() {
        let handicap = handicap(2_000, 1_000);
        let since = Instant::now();
        for _ in 0..5 {
            handicap.bear().await;
        }
        let elapsed = since.elapsed();
        let read = |number: &AtomicU64| Duration::from_nanos(number.load(Ordering::Relaxed));
        let (delay, cpu) = (read(&handicap.borne.delay_ns), read(&handicap.borne.cpu_ns));
        assert_eq!(handicap.borne.requests.load(Ordering::Relaxed), 5);
        assert!(delay >= Duration::from_millis(10) && cpu >= Duration::from_millis(5), "{delay:?} {cpu:?}");
        assert!(delay + cpu <= elapsed, "{delay:?} and {cpu:?} in {elapsed:?}");
    }

    #[tokio::test]
    async fn delays_run_side_by_side() {
        let handicap = handicap(50_000, 0);
        let since = Instant::now();
        let all: Vec<_> = (0..20).map(|_| handicap.bear()).collect();
        let mut all = all.into_iter().map(Box::pin).collect::<Vec<_>>();
        std::future::poll_fn(|context| {
            all.retain_mut(|one| one.as_mut().poll(context).is_pending());
            if all.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
        assert!(since.elapsed() < Duration::from_millis(500), "one after the other they would take a second");
    }
}
