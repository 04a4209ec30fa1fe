//! The cache: whole pages, fragments of pages, and values, in Redis and in the memory of the server. It knows nothing of SQL or HTML: it
//! keeps bytes under keys.
//!
//! Every level can be switched off, and every failure of Redis means that the page is made as if there were no cache.
//!
//! # Layout
//!
//! - [`key`]: what entries are about, and the tags under which they are forgotten together.
//! - [`policy`]: what is kept, and for how long.
//! - [`entry`]: what an entry holds, and whether it may be shown.
//! - [`store`]: Redis; [`breaker`]: when to leave it alone; [`heartbeat`]: cheap time-outs.
//! - [`local`]: the first level, in memory.
//! - [`flight`]: one makes it, the others wait; [`making`]: how it is made.
//! - [`feed`]: what is heard from PostgreSQL and from other servers, and bumps that have to be tried again.
//! - [`values`]: the plain interface, `get` and `set` and the like.
//! - [`counters`]: numbers for whoever watches.
//!
//! # Why nothing that was invalidated is shown
//!
//! Every entry belongs to a tag, and every tag has a *mark* in Redis, a random number. A reader fetches entry and marks in one `MGET`,
//! before it asks the database; the entry counts only while the marks are those that it was made under. Who writes gives the tag a new
//! mark after the commit and before it answers.
//!
//! - A reader that took the old mark may have read old rows. What it stores is dead as soon as the mark is new, which is before the
//!   writer was answered.
//! - A reader that took the new mark asks the database after the commit, and sees what was written.
//! - A mark that Redis has lost is never equal to anything, and the new one is random, so nothing comes back to life.
//!
//! An entry whose *time* has run out may be shown for its grace; one whose *mark* has changed never is.

mod breaker;
mod counters;
mod entry;
mod feed;
mod flight;
mod heartbeat;
mod key;
mod local;
mod making;
mod policy;
mod store;
mod values;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::AbortHandle;

pub use breaker::BreakerState;
use counters::{Count, Event};
pub use counters::{Counters, Family};
pub use entry::{Entry, Fingerprint};
use entry::{Freshness, Marks, now_ms};
use flight::{Boarding, Flights};
pub use key::{Key, Tag, TagName};
use local::{Heard, Kept, Local, Stamp};
pub use policy::{ARTICLE, COMMENT_COUNT, FEEDS, LISTS, Level, Outcome, Policy, RECENT_COMMENTS};
use store::Store;
pub use values::{DEFAULT_TIMEOUT, Unavailable, Values};

use crate::config::CacheConfig;
use crate::error::AppError;

/// How long a server waits at its start until it hears of what others change.
const START_TIMEOUT: Duration = Duration::from_secs(1);

/// The cache of one server.
#[derive(Clone)]
pub struct Cache(Arc<Inner>);

struct Inner {
    config: CacheConfig,
    /// None when every level is off: then Redis is never spoken to.
    store: Option<Store>,
    local: Option<Local>,
    heard: Heard,
    flights: Arc<Flights<Flight, Landed>>,
    /// One permit per connection to the database, so that a Redis that is away does not become a database that is overrun.
    computing: Semaphore,
    unsent: feed::Unsent,
    counters: Counters,
    /// The tasks that hear of what others change. They end with the cache.
    listeners: OnceLock<Vec<AbortHandle>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.listeners.get().into_iter().flatten().for_each(AbortHandle::abort);
    }
}

/// What was found of one thing that is wanted, before the database was asked.
pub struct Probe {
    policy: &'static Policy,
    key: Key,
    stamp: Stamp,
    state: State,
}

enum State {
    /// The level is off.
    Off,
    /// An entry that may be shown.
    Alive(Arc<Entry>, Freshness),
    /// Nothing that may be shown. None if Redis did not answer.
    Dead(Option<Marks>),
}

/// What was found or made.
#[derive(Debug)]
pub struct Found {
    /// The entry.
    pub entry: Arc<Entry>,
    /// The level that it is kept on.
    pub level: Level,
    /// What the cache did.
    pub outcome: Outcome,
    /// For how long the entry had been there when it was found, in seconds.
    pub age_s: u64,
}

/// What is in flight: a thing, as it is under these marks. Who has seen a newer mark must not be given what was begun under an older one.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
struct Flight {
    key: Key,
    marks: Option<Marks>,
    stamp: Stamp,
    /// If an entry is shown meanwhile, the one that is to be made anew: when it was made.
    refreshed: Option<u64>,
}

/// What comes of a flight. None if another server is at it and nobody here waits.
type Landed = Result<Option<(Arc<Entry>, Outcome)>, Arc<AppError>>;

impl Cache {
    /// Prepares the cache. Neither Redis nor the database need be there yet. Waits for at most a second for the database to tell what it
    /// changes, so that a server that is ready also listens.
    ///
    /// `connections` is how many connections to the database requests have.
    pub async fn connect(config: &CacheConfig, database: PgConnectOptions, connections: u32) -> anyhow::Result<Self> {
        let is_used = config.view || config.fragment || config.value;
        let redis_url = config.redis_url.as_deref().filter(|_| is_used);
        let store = redis_url.map(|redis_url| Store::new(redis_url, &config.prefix)).transpose()?;
        let local = Local::new(config.local, config.local_mib).filter(|_| is_used);
        let subscriber = redis_url.filter(|_| local.as_ref().is_some_and(Local::is_fast));
        let subscriber = subscriber.map(store::subscriber).transpose()?;
        let channel = store.as_ref().map(Store::channel);
        let cache = Self(Arc::new(Inner {
            config: config.clone(),
            store,
            local,
            heard: Heard::new(),
            flights: Flights::new(),
            computing: Semaphore::new(connections as usize),
            unsent: feed::Unsent::default(),
            counters: Counters::default(),
            listeners: OnceLock::new(),
        }));
        let (database_started, database_start) = oneshot::channel();
        let (redis_started, redis_start) = oneshot::channel();
        let mut listeners = Vec::new();
        if is_used {
            let listening = feed::listen_to_database(Arc::downgrade(&cache.0), database, database_started);
            listeners.push(tokio::spawn(listening).abort_handle());
        } else {
            drop(database_started);
        }
        if let (Some(client), Some(channel)) = (subscriber, channel) {
            let listening = feed::listen_to_redis(Arc::downgrade(&cache.0), client, channel, redis_started);
            listeners.push(tokio::spawn(listening).abort_handle());
        } else {
            drop(redis_started);
        }
        let _ = cache.0.listeners.set(listeners);
        // Whoever does not listen has dropped its sender, and is not waited for.
        let both = async { (database_start.await, redis_start.await) };
        let _ = tokio::time::timeout(START_TIMEOUT, both).await;
        Ok(cache)
    }

    /// The numbers that it counts.
    pub fn counters(&self) -> &Counters {
        &self.0.counters
    }

    /// Whether Redis is asked; None if there is none.
    pub fn breaker_state(&self) -> Option<BreakerState> {
        self.0.store.as_ref().map(Store::breaker_state)
    }

    /// The plain interface: `get`, `set` and the like, for what is not a page.
    pub fn values(&self) -> Values<'_> {
        Values::new(self.0.store.as_ref().map(|store| (store, &self.0.counters)))
    }

    /// Takes an entry, or makes it and keeps it. What a hit saves must happen inside `make`, queries included. `make` must not ask the
    /// cache for anything itself: as many entries as there are connections to the database are made at once, and each would wait for
    /// the other.
    ///
    /// `make` is given nothing: what it makes must depend on the key alone, because others will be shown it. If it fails because there
    /// is no such thing, that is kept too, for a short time.
    pub async fn get_or_make<F, M>(&self, policy: &'static Policy, key: Key, make: F) -> Result<Found, AppError>
    where
        F: FnOnce() -> M + Send + 'static,
        M: Future<Output = Result<Bytes, AppError>> + Send + 'static,
    {
        let (mut probe, kept) = self.0.probe(policy, key);
        if matches!(probe.state, State::Dead(_)) {
            [probe] = self.0.ask([(probe, kept)]).await;
        }
        self.resolve(probe, make).await
    }

    /// Whether anything is ever shown without asking Redis, so that [`Self::at_once`] may find something.
    pub fn is_trusting(&self) -> bool {
        self.0.local.as_ref().is_some_and(Local::is_fast)
    }

    /// Takes an entry that can be shown without waiting for anybody and without a reason to make it anew. If there is none, nothing has
    /// happened, and [`Self::get_or_make`] knows what to do.
    pub fn at_once(&self, policy: &'static Policy, key: Key) -> Option<Found> {
        let inner = &*self.0;
        let local = inner.local.as_ref().filter(|_| inner.is_on(policy.level))?;
        let kept = local.get(&key)?;
        let (entry, now_ms) = (&kept.entry, now_ms());
        let may_be_shown = local.trusts(&kept, &inner.heard, key.tag())
            && !entry.is_negative()
            && entry.is_fresh_for_everybody(policy, now_ms);
        if !may_be_shown {
            return None;
        }
        inner.counters.read(policy.level, Event::Local);
        inner.counters.read(policy.level, Event::Hit);
        let (outcome, age_s) = (Outcome::Hit { ttl_s: entry.ttl_s(policy, now_ms) }, entry.age_s(now_ms));
        Some(Found { entry: Arc::clone(entry), level: policy.level, outcome, age_s })
    }

    /// Looks up everything that a page is put together from, in at most one round trip. What is switched off is not asked for.
    pub async fn look_up<const N: usize>(&self, wanted: [(&'static Policy, Key); N]) -> [Probe; N] {
        let probes = wanted.map(|(policy, key)| self.0.probe(policy, key));
        if probes.iter().any(|(probe, _)| matches!(probe.state, State::Dead(_))) {
            self.0.ask(probes).await
        } else {
            probes.map(|(probe, _)| probe)
        }
    }

    /// Takes what was looked up, or makes it and keeps it: see [`Self::get_or_make`].
    pub async fn resolve<F, M>(&self, probe: Probe, make: F) -> Result<Found, AppError>
    where
        F: FnOnce() -> M + Send + 'static,
        M: Future<Output = Result<Bytes, AppError>> + Send + 'static,
    {
        let Probe { policy, key, stamp, state } = probe;
        let level = policy.level;
        let (entry, outcome) = match state {
            State::Off => {
                self.0.counters.read(level, Event::Bypass);
                (Arc::new(Entry::of(make().await?)), Outcome::Bypass)
            }
            State::Alive(entry, freshness) => {
                self.0.counters.read(level, Event::Hit);
                if freshness != Freshness::Fresh {
                    let is_stale = freshness == Freshness::Stale;
                    self.0.counters.read(level, if is_stale { Event::Stale } else { Event::Early });
                    let flight = Flight { key, marks: None, stamp, refreshed: Some(entry.computed_at_ms()) };
                    if let Boarding::Leader(landing, _) = self.0.flights.board(flight) {
                        self.take_off(policy, flight, landing, make);
                    }
                }
                let ttl_s = entry.ttl_s(policy, now_ms());
                (entry, Outcome::Hit { ttl_s })
            }
            State::Dead(marks) => {
                self.0.counters.read(level, if marks.is_some() { Event::Miss } else { Event::Bypass });
                self.make_or_wait(policy, Flight { key, marks, stamp, refreshed: None }, make).await?
            }
        };
        if entry.is_negative() {
            self.0.counters.read(level, Event::Negative);
            return Err(AppError::NotFound(String::from_utf8_lossy(entry.body()).into_owned()));
        }
        let age_s = entry.age_s(now_ms());
        Ok(Found { entry, level, outcome, age_s })
    }

    /// A page that is put together from parts, which are what the cache has found. It is the same as long as they are, so it is kept in
    /// memory together with their fingerprint, and nobody has to invalidate it. Only while fragments and values are on, so that the
    /// levels can be told apart.
    pub fn assemble(
        &self,
        key: Key,
        parts: Fingerprint,
        make: impl FnOnce() -> Result<Bytes, AppError>,
    ) -> Result<Arc<Entry>, AppError> {
        let local = self.0.local.as_ref().filter(|_| self.0.config.fragment && self.0.config.value);
        if let Some(entry) = local.and_then(|local| local.assembled(&key, parts)) {
            return Ok(entry);
        }
        let entry = Arc::new(Entry::new(make()?, parts));
        if let Some(local) = local {
            local.keep_assembled(key, &entry, self.0.heard.stamp(key.tag()));
        }
        Ok(entry)
    }

    /// Makes every entry under these tags worthless. Call after the commit of what made it so, and before answering.
    ///
    /// If Redis does not answer, it is tried again until it does; meanwhile this server takes nothing under these tags from Redis,
    /// while another one may still show what is old, for what is left of its time.
    pub async fn invalidate(&self, tags: &[Tag]) {
        if self.0.store.is_none() || tags.is_empty() {
            return;
        }
        let (cache, tags) = (self.clone(), tags.to_vec());
        // In a task of its own, so that a client who leaves does not leave what is old behind.
        let _ = tokio::spawn(async move { cache.bump(&tags).await }).await;
    }

    /// Forgets everything, the plain values included. Nothing is deleted: what is there is no longer found, and ends by itself. What
    /// others keep in the same Redis stays.
    pub async fn clear(&self) {
        self.values().clear().await.ok();
        self.invalidate(&[Tag::All]).await;
    }

    async fn bump(&self, tags: &[Tag]) {
        let Inner { store: Some(store), heard, counters, .. } = &*self.0 else { return };
        let mut unique: Vec<Tag> = Vec::with_capacity(tags.len());
        for tag in tags.iter().map(|tag| tag.shared()) {
            if !unique.contains(&tag) {
                unique.push(tag);
            }
        }
        let tags = &unique[..];
        // Before, for the case that Redis takes its time; after, because a reader in between has still found the old mark.
        tags.iter().for_each(|tag| heard.bumped(*tag));
        // What waits to be sent again is sent in order, and nobody waits for a Redis that is known to be away.
        let is_sent = !self.0.unsent.is_any() && store.bump(counters, tags).await;
        counters.add(Count::Bump, tags.len());
        if !is_sent {
            counters.add(Count::BumpFailed, tags.len());
            if self.0.unsent.add(tags) {
                tracing::warn!(?tags, "an invalidation did not reach Redis and will be tried again");
                feed::send_again(Arc::clone(&self.0));
            }
        }
        tags.iter().for_each(|tag| heard.bumped(*tag));
    }
}

impl Inner {
    fn is_on(&self, level: Level) -> bool {
        let is_on = match level {
            Level::View => self.config.view,
            Level::Fragment => self.config.fragment,
            Level::Value => self.config.value,
        };
        is_on && self.store.is_some()
    }

    /// What can be said without asking Redis.
    fn probe(&self, policy: &'static Policy, key: Key) -> (Probe, Option<Arc<Kept>>) {
        let tag = key.tag();
        let probe = |state| Probe { policy, key, stamp: self.heard.stamp(tag), state };
        if !self.is_on(policy.level) {
            return (probe(State::Off), None);
        }
        let Some((local, kept)) = self.local.as_ref().and_then(|local| Some((local, local.get(&key)?))) else {
            return (probe(State::Dead(None)), None);
        };
        if local.trusts(&kept, &self.heard, tag) {
            let freshness = freshness(&kept.entry, policy);
            if freshness != Freshness::TooOld {
                self.counters.read(policy.level, Event::Local);
                return (probe(State::Alive(Arc::clone(&kept.entry), freshness)), None);
            }
        }
        (probe(State::Dead(None)), Some(kept))
    }

    /// Asks Redis, in one round trip, for all that is not known yet: for the entries that are not in memory, and for the marks of all.
    async fn ask<const N: usize>(&self, probes: [(Probe, Option<Arc<Kept>>); N]) -> [Probe; N] {
        let is_open = |probe: &Probe| matches!(probe.state, State::Dead(_));
        let mut tags: Vec<Tag> = Vec::with_capacity(N + 1);
        for (probe, _) in probes.iter().filter(|(probe, _)| is_open(probe)) {
            if !tags.contains(&probe.key.tag()) {
                tags.push(probe.key.tag());
            }
        }
        tags.push(Tag::All);
        let fetched =
            probes.iter().filter(|(probe, kept)| is_open(probe) && kept.is_none()).map(|(probe, _)| probe.key);
        let store = self.store.as_ref().filter(|_| !self.unsent.has_any(&tags));
        let answers = match store {
            Some(store) => store.read(&self.counters, fetched, tags.iter().copied()).await,
            None => None,
        };
        let Some(mut answers) = answers else { return probes.map(|(probe, _)| probe) };
        let marks = answers.split_off(answers.len().saturating_sub(tags.len()));
        let marks: Vec<_> = marks.into_iter().map(|mark| mark.and_then(|mark| mark.try_into().ok())).collect();
        let mut answers = answers.into_iter();
        probes.map(|(probe, kept)| {
            if !is_open(&probe) {
                return probe;
            }
            let place = tags.iter().position(|tag| *tag == probe.key.tag());
            let marks = [place.and_then(|place| marks[place]), marks.last().copied().flatten()];
            let is_kept = kept.is_some();
            let entry = match kept {
                Some(kept) => Some(Arc::clone(&kept.entry)),
                None => answers.next().flatten().and_then(Entry::decode).map(Arc::new),
            };
            let state = self.judge(&probe, entry, marks, is_kept);
            Probe { state, ..probe }
        })
    }

    /// Whether an entry may be shown under these marks. If so, it is kept in memory, too, unless it comes from there and when it was
    /// checked does not matter.
    fn judge(&self, probe: &Probe, entry: Option<Arc<Entry>>, marks: Marks, is_kept: bool) -> State {
        let Some(entry) = entry.filter(|entry| entry.is_under(&marks)) else { return State::Dead(Some(marks)) };
        let freshness = freshness(&entry, probe.policy);
        if freshness == Freshness::TooOld {
            return State::Dead(Some(marks));
        }
        if !is_kept || self.local.as_ref().is_some_and(Local::is_fast) {
            self.keep_in_memory(probe.key, &entry, probe.stamp);
        }
        State::Alive(entry, freshness)
    }

    fn keep_in_memory(&self, key: Key, entry: &Arc<Entry>, stamp: Stamp) {
        if let Some(local) = &self.local {
            local.keep(key, Arc::clone(entry), stamp);
        }
    }
}

fn freshness(entry: &Entry, policy: &Policy) -> Freshness {
    // A logarithm of 0 would be infinite.
    entry.freshness(policy, now_ms(), || 1.0 - rand::random::<f64>())
}
