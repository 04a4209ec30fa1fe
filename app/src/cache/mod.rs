//! The cache: whole pages, fragments of pages, and values, in Redis and in the memory of the server. It knows nothing of SQL or HTML: it
//! keeps bytes under keys.
//!
//! Every level can be switched off, and every failure of Redis means that the page is made as if there were no cache.
//!
//! `README.md` is the map of this folder: which files are the core, to be read in one sitting, and which only serve it.
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

mod counters;
mod entry;
mod feed;
mod flight;
mod key;
mod local;
mod making;
mod policy;
mod reading;
mod store;
mod values;

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use counters::{Count, Event};
pub use counters::{Counters, Family};
pub use entry::{Entry, Fingerprint};
use entry::{Freshness, now_ms};
use flight::Flights;
pub use key::{Key, Tag};
use local::{Heard, Local};
pub use making::Make;
use making::{Flight, Landed};
pub use policy::{ARTICLE, COMMENT_COUNT, FEEDS, LISTS, Level, Outcome, Policy, RECENT_COMMENTS};
pub use reading::Probe;
use reading::State;
pub use store::BreakerState;
use store::Store;
pub use values::{DEFAULT_TIMEOUT, Unavailable, Values};

use crate::config::CacheConfig;
use crate::error::AppError;

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
    listeners: OnceLock<JoinSet<()>>,
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

impl Cache {
    /// Prepares the cache. Neither Redis nor the database need be there yet. Waits for at most a second for the database to tell what it
    /// changes, so that a server that is ready also listens.
    ///
    /// `connections` is how many connections to the database requests have.
    pub async fn connect(config: &CacheConfig, database: PgConnectOptions, connections: u32) -> anyhow::Result<Self> {
        let is_used = config.view || config.fragment || config.value;
        let redis_url = config.redis_url.as_deref().filter(|_| is_used);
        let cache = Self(Arc::new(Inner {
            config: config.clone(),
            store: redis_url.map(|redis_url| Store::new(redis_url, &config.prefix)).transpose()?,
            local: Local::new(config.local, config.local_mib).filter(|_| is_used),
            heard: Heard::new(),
            flights: Flights::new(),
            computing: Semaphore::new(connections as usize),
            unsent: feed::Unsent::default(),
            counters: Counters::default(),
            listeners: OnceLock::new(),
        }));
        let redis_url = redis_url.filter(|_| cache.is_trusting());
        let listeners = feed::listen(&cache.0, is_used.then_some(database), redis_url).await?;
        let _ = cache.0.listeners.set(listeners);
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
    pub async fn get_or_make(&self, policy: &'static Policy, key: Key, make: impl Make) -> Result<Found, AppError> {
        let [probe] = self.look_up([(policy, key)]).await;
        self.resolve(probe, make).await
    }

    /// Looks up everything that a page is put together from, in at most one round trip. What is switched off is not asked for.
    pub async fn look_up<const N: usize>(&self, wanted: [(&'static Policy, Key); N]) -> [Probe; N] {
        let probes = wanted.map(|(policy, key)| self.0.probe(policy, key));
        if probes.iter().any(Probe::is_unknown) { self.0.ask(probes).await } else { probes }
    }

    /// Takes what was looked up, or makes it and keeps it: see [`Self::get_or_make`].
    pub async fn resolve(&self, probe: Probe, make: impl Make) -> Result<Found, AppError> {
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
                    self.make_meanwhile(policy, Flight::refreshing(key, stamp, &entry), make);
                }
                let ttl_s = entry.ttl_s(policy, now_ms());
                (entry, Outcome::Hit { ttl_s })
            }
            State::Unknown(_) => self.make_or_wait(policy, Flight::of(key, stamp, None), make).await?,
            State::Dead(marks) => self.make_or_wait(policy, Flight::of(key, stamp, Some(marks)), make).await?,
        };
        if entry.is_negative() {
            self.0.counters.read(level, Event::Negative);
            return Err(AppError::NotFound(String::from_utf8_lossy(entry.body()).into_owned()));
        }
        let age_s = entry.age_s(now_ms());
        Ok(Found { entry, level, outcome, age_s })
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
        let (kept, now_ms) = (local.get(&key)?, now_ms());
        let entry = &kept.entry;
        let may_be_shown = local.trusts(&kept, &inner.heard, key.tag())
            && !entry.is_negative()
            && entry.is_fresh_for_everybody(policy, now_ms);
        may_be_shown.then(|| {
            inner.counters.read(policy.level, Event::Local);
            inner.counters.read(policy.level, Event::Hit);
            let (outcome, age_s) = (Outcome::Hit { ttl_s: entry.ttl_s(policy, now_ms) }, entry.age_s(now_ms));
            Found { entry: Arc::clone(entry), level: policy.level, outcome, age_s }
        })
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
        let tags = &Tag::distinct(tags.iter().copied())[..];
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

#[cfg(test)]
mod tests {
    /// The core as the map has it.
    const CORE: [&str; 5] = [
        include_str!("entry/mod.rs"),
        include_str!("mod.rs"),
        include_str!("reading.rs"),
        include_str!("flight.rs"),
        include_str!("making.rs"),
    ];

    /// Lines that are neither empty, nor comments, nor tests.
    fn code(text: &str) -> usize {
        let (code, _) = text.split_once("#[cfg(test)]").unwrap_or((text, ""));
        code.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")).count()
    }

    #[test]
    fn the_core_can_be_read_in_one_sitting() {
        let lines: usize = CORE.into_iter().map(code).sum();
        assert!(lines <= 600, "the core has {lines} lines of code; move out what it does not decide");
    }
}
