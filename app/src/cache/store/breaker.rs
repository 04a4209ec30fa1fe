//! The circuit breaker: after five failures in a row Redis is left alone for a moment, so that its outage costs a request nothing. It
//! knows nothing of Redis: it counts what it is told.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How many failures in a row open it.
const FAILURES_MAX: u32 = 5;

/// How long it stays open before one request may try again. Short, so that the hit rate is back soon after Redis is.
const OPEN_FOR: Duration = Duration::from_millis(200);

/// Whether Redis is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BreakerState {
    /// Every command is sent.
    Closed,
    /// No command is sent.
    Open,
    /// One command is sent, and what becomes of it decides.
    HalfOpen,
}

#[derive(Debug)]
pub(super) struct Breaker {
    started: Instant,
    failures: AtomicU32,
    /// When the next try is allowed, in milliseconds since the start; 0 while it is closed.
    retry_at_ms: AtomicU64,
}

impl Breaker {
    pub(super) fn new() -> Self {
        Self { started: Instant::now(), failures: AtomicU32::new(0), retry_at_ms: AtomicU64::new(0) }
    }

    /// Whether a command may be sent now. While it is half open, exactly one caller is told yes.
    pub(super) fn allows(&self) -> bool {
        let retry_at_ms = self.retry_at_ms.load(Ordering::Relaxed);
        retry_at_ms == 0 || self.is_probe(retry_at_ms, self.now_ms())
    }

    pub(super) fn succeeded(&self) {
        // Reading is cheaper than writing what is there already: this is on the way of every hit.
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
            if self.retry_at_ms.swap(0, Ordering::Relaxed) != 0 {
                tracing::info!("redis answers again");
            }
        }
    }

    /// Tells whether this failure opened it.
    pub(super) fn failed(&self) -> bool {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if failures < FAILURES_MAX {
            return false;
        }
        let retry_at_ms = self.now_ms() + millis(OPEN_FOR);
        let is_opened = self.retry_at_ms.swap(retry_at_ms, Ordering::Relaxed) == 0;
        if is_opened {
            tracing::warn!("redis failed {failures} times in a row; pages are made without it");
        }
        is_opened
    }

    pub(super) fn state(&self) -> BreakerState {
        match self.retry_at_ms.load(Ordering::Relaxed) {
            0 => BreakerState::Closed,
            retry_at_ms if self.now_ms() < retry_at_ms => BreakerState::Open,
            _ => BreakerState::HalfOpen,
        }
    }

    /// The one who moves the time of the next try is the one who tries.
    fn is_probe(&self, retry_at_ms: u64, now_ms: u64) -> bool {
        let next = now_ms + millis(OPEN_FOR);
        let exchange = |()| self.retry_at_ms.compare_exchange(retry_at_ms, next, Ordering::Relaxed, Ordering::Relaxed);
        now_ms >= retry_at_ms && exchange(()).is_ok()
    }

    /// Never 0, which means closed.
    fn now_ms(&self) -> u64 {
        millis(self.started.elapsed()) + 1
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_lets_one_try_and_closes() {
        let breaker = Breaker::new();
        for _ in 1..FAILURES_MAX {
            assert!(!breaker.failed() && breaker.allows());
        }
        breaker.succeeded();
        for _ in 1..FAILURES_MAX {
            assert!(!breaker.failed(), "a success did not end the row of failures");
        }
        assert!(breaker.failed());
        assert!(!breaker.allows());
        assert_eq!(breaker.state(), BreakerState::Open);

        std::thread::sleep(OPEN_FOR + Duration::from_millis(5));
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        assert_eq!((0..10).filter(|_| breaker.allows()).count(), 1, "more than one command was let through");
        assert!(!breaker.failed(), "it was open already");
        assert!(!breaker.allows());

        std::thread::sleep(OPEN_FOR + Duration::from_millis(5));
        assert!(breaker.allows());
        breaker.succeeded();
        assert_eq!(breaker.state(), BreakerState::Closed);
        assert!(breaker.allows() && breaker.allows());
    }
}
