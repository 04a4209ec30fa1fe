//! How an entry comes to be: one reader's task makes it, here and among all servers, and everybody else waits for it. What is looked up
//! and what may be shown is decided before; this knows nothing of that.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::time::sleep;

use super::counters::{Count, Event};
use super::entry::{Entry, Freshness, Mark, Marks, now_ms};
use super::flight::{Boarding, Landing};
use super::key::{Key, Tag};
use super::local::Stamp;
use super::policy::{Level, Outcome, Policy};
use super::reading::freshness;
use super::{Cache, Inner};
use crate::error::AppError;

/// How long one who lost the lease waits for the one who has it, before it makes the entry itself.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// What makes a body when it is called. A closure, so that a hit does not carry the future around that it does not need.
pub trait Make: FnOnce() -> Self::Making + Send + 'static {
    /// The making.
    type Making: Future<Output = Result<Bytes, AppError>> + Send + 'static;
}

impl<F, M> Make for F
where
    F: FnOnce() -> M + Send + 'static,
    M: Future<Output = Result<Bytes, AppError>> + Send + 'static,
{
    type Making = M;
}

/// What is in flight: a thing, as it is under these marks. Who has seen a newer mark must not be given what was begun under an older one.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub(super) struct Flight {
    key: Key,
    /// None if Redis did not answer.
    marks: Option<Marks>,
    stamp: Stamp,
    /// If an entry is shown meanwhile, the one that is to be made anew: when it was made.
    refreshed: Option<u64>,
}

impl Flight {
    pub(super) fn of(key: Key, stamp: Stamp, marks: Option<Marks>) -> Self {
        Self { key, marks, stamp, refreshed: None }
    }

    pub(super) fn refreshing(key: Key, stamp: Stamp, shown: &Entry) -> Self {
        Self { key, marks: None, stamp, refreshed: Some(shown.computed_at_ms()) }
    }
}

/// What comes of a flight. None if another server is at it and nobody here waits.
pub(super) type Landed = Result<Option<(Arc<Entry>, Outcome)>, Arc<AppError>>;

impl Cache {
    /// Has an entry made, or waits for whoever is making it.
    pub(super) async fn make_or_wait(
        &self,
        policy: &'static Policy,
        flight: Flight,
        make: impl Make,
    ) -> Result<(Arc<Entry>, Outcome), AppError> {
        let key = flight.key;
        self.0.counters.read(policy.level, if flight.marks.is_some() { Event::Miss } else { Event::Bypass });
        let (waiting, is_leader) = match self.0.flights.board(flight) {
            Boarding::Leader(landing, waiting) => {
                self.take_off(policy, flight, landing, make);
                (waiting, true)
            }
            Boarding::Follower(waiting) => {
                self.0.counters.read(policy.level, Event::Coalesced);
                (waiting, false)
            }
        };
        let landed = waiting.wait().await.ok_or_else(|| anyhow::anyhow!("making `{key}` panicked"))?;
        let (entry, outcome) =
            landed.map_err(AppError::Shared)?.ok_or_else(|| anyhow::anyhow!("nobody made `{key}`"))?;
        match outcome {
            Outcome::Miss { stored, .. } if !is_leader => Ok((entry, Outcome::Miss { stored, collapsed: true })),
            outcome => Ok((entry, outcome)),
        }
    }

    /// Has an entry made anew that is shown meanwhile, unless somebody does already.
    pub(super) fn make_meanwhile(&self, policy: &'static Policy, flight: Flight, make: impl Make) {
        if let Boarding::Leader(landing, _) = self.0.flights.board(flight) {
            self.take_off(policy, flight, landing, make);
        }
    }

    /// Begins to make an entry, in a task of its own, so that a client who leaves does not take the work of all who wait with it.
    fn take_off(&self, policy: &'static Policy, flight: Flight, landing: Landing<Flight, Landed>, make: impl Make) {
        let inner = Arc::clone(&self.0);
        let flying = async move { landing.land(inner.fly(policy, flight, make).await.map_err(Arc::new)) };
        tokio::spawn(crate::telemetry::in_this_request(flying));
    }
}

impl Inner {
    /// Makes an entry, unless another server is making it or has made it.
    async fn fly(
        &self,
        policy: &'static Policy,
        flight: Flight,
        make: impl Make,
    ) -> Result<Option<(Arc<Entry>, Outcome)>, AppError> {
        let key = flight.key;
        let Some(store) = self.store.as_ref().filter(|_| flight.refreshed.is_some() || flight.marks.is_some()) else {
            let entry = self.compute(policy, make, None).await?;
            self.keep_in_memory(key, &entry, flight.stamp);
            return Ok(Some((entry, Outcome::Bypass)));
        };
        let token = rand::random();
        let started = Instant::now();
        let (lease, marks, stamp) = loop {
            // Before the marks are read, so that whatever is heard from now on is not missed.
            let stamp = self.heard.stamp(key.tag());
            let Some(claim) = store.claim(&self.counters, key, token).await else { break (None, None, stamp) };
            let lease = claim.is_won.then_some(token);
            self.counters.add(if claim.is_won { Count::LeaseWon } else { Count::LeaseLost }, 1);
            let entry = claim.entry.filter(|entry| entry.is_under(&claim.marks));
            // One who was to make it anew takes only what is newer; one who has nothing takes what may be shown.
            let is_newer =
                |entry: &Entry| flight.refreshed.is_none_or(|made_at_ms| entry.computed_at_ms() > made_at_ms);
            let is_alive = |entry: &Entry| freshness(entry, policy) != Freshness::TooOld;
            if let Some(entry) = entry.filter(|entry| is_newer(entry) && is_alive(entry)) {
                if claim.is_won {
                    store.release(&self.counters, key, token).await;
                }
                let entry = Arc::new(entry);
                self.keep_in_memory(key, &entry, stamp);
                let ttl_s = entry.ttl_s(policy, now_ms());
                return Ok(Some((entry, Outcome::Hit { ttl_s })));
            }
            if claim.is_won || started.elapsed() > WAIT_MAX {
                let marks = store.complete(&self.counters, [key.tag(), Tag::All], claim.marks).await;
                break (lease, marks, stamp);
            }
            if flight.refreshed.is_some() {
                return Ok(None);
            }
            sleep(Duration::from_millis(rand::random_range(5..15))).await;
        };
        let made = self.compute(policy, make, marks).await;
        match (&made, lease) {
            // A refresh that failed keeps its lease, so that the next one is not tried before the lease ends.
            (Err(_), Some(token)) if flight.refreshed.is_none() => store.release(&self.counters, key, token).await,
            _ => {}
        }
        let entry = made?;
        let stored = store.keep(&self.counters, policy, key, &entry, lease).await;
        self.keep_in_memory(key, &entry, stamp);
        let outcome = if marks.is_some() { Outcome::Miss { stored, collapsed: false } } else { Outcome::Bypass };
        Ok(Some((entry, outcome)))
    }

    /// Asks for the thing itself, as one of as many as there are connections to the database.
    async fn compute(
        &self,
        policy: &Policy,
        make: impl Make,
        marks: Option<[Mark; 2]>,
    ) -> Result<Arc<Entry>, AppError> {
        let _permit = self.computing.acquire().await;
        self.counters.add(Count::Computed, 1);
        let started = Instant::now();
        let (body, is_negative) = match make().await {
            Ok(body) => (body, false),
            Err(AppError::NotFound(what)) => (what.into(), true),
            Err(error) => return Err(error),
        };
        let entry = Entry::made(body, is_negative, started.elapsed(), marks);
        if policy.level == Level::View && !is_negative {
            // Once here instead of once per reader.
            entry.gzip();
        }
        Ok(Arc::new(entry))
    }
}
