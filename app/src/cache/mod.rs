//! The cache: whole pages, fragments of pages, and values, in Redis. It knows nothing of SQL or HTML: it keeps bytes under keys.
//!
//! Every level can be switched off, and every failure of Redis means that the page is made as if there were no cache.
//!
//! **Invalidation.** What belongs to a post is kept together with the post's *generation*, a random mark in Redis. A reader fetches
//! entries and mark in one `MGET`, before it asks the database; an entry counts only while its mark is the current one. Who adds a
//! comment sets a new mark after the commit. So a slow reader that read the old comments and stores them after the invalidation
//! stores something already dead. The mark outlives every entry that was kept without it or under an older one (see
//! [`GENERATION_LIFETIME`]); only a Redis that evicts the mark early, under memory pressure, leaves the lifetime of the entries as
//! the bound.

mod entry;
mod key;
mod policy;

use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::io::tcp::TcpSettings;
use redis::{Client, IntoConnectionInfo};

pub use key::Key;
pub use policy::{COMMENT_COUNT, Level, Outcome, POST_LIST, Policy, RECENT_COMMENTS, status_header};

use crate::config::CacheConfig;
use crate::error::AppError;

/// The longest that a request waits for Redis. A cache that answers more slowly than the database is none.
const COMMAND_TIMEOUT: Duration = Duration::from_millis(50);

/// The longest that connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(250);

/// How long a generation lives: longer than any entry of a post (300 s), plus the longest request (600 s), so that no entry from before
/// the mark is left when the mark goes.
const GENERATION_LIFETIME: Duration = Duration::from_secs(1000);

/// The cache of one server.
#[derive(Clone)]
pub struct Cache {
    /// None when every level is off: then Redis is never spoken to.
    connection: Option<ConnectionManager>,
    config: CacheConfig,
}

/// What one `MGET` found: the entries of one page and their generation, as they were before the database was asked.
pub struct Lookup {
    /// None if Redis did not answer, or needed not be asked.
    found: Option<Vec<Option<Bytes>>>,
    generation: Vec<u8>,
}

impl Cache {
    /// Prepares the connection, without connecting yet: a server serves while Redis is away. Must be called inside the runtime.
    pub fn connect(config: CacheConfig) -> anyhow::Result<Self> {
        let any = config.view || config.fragment || config.value;
        let connection = match &config.redis_url {
            Some(redis_url) if any => Some(connection_manager(redis_url)?),
            _ => None,
        };
        Ok(Self { connection, config })
    }

    /// Looks up the entries of a page in one round trip. What is switched off is not asked for. `generation` is the key of the mark that
    /// the entries depend on, if they depend on one.
    pub async fn look_up(&self, generation: Option<Key>, entries: &[(Policy, Key)]) -> Lookup {
        let nothing = Lookup { found: None, generation: Vec::new() };
        let asked: Vec<&Key> =
            entries.iter().filter(|(policy, _)| self.is_on(policy.level)).map(|(_, key)| key).collect();
        if asked.is_empty() {
            return nothing;
        }
        let mut command = redis::cmd("MGET");
        for key in asked.into_iter().chain(&generation) {
            command.arg(key.text(&self.config.prefix));
        }
        let Some(mut answers) = self.send::<Vec<Option<Vec<u8>>>>(&command).await else { return nothing };
        let generation = generation.and_then(|_| answers.pop().flatten()).unwrap_or_default();
        let mut answers = answers.into_iter();
        // One place per entry, so that an index means the same whatever is switched off.
        let found = entries.iter().map(|(policy, _)| {
            let answer = if self.is_on(policy.level) { answers.next().flatten() } else { None };
            answer.map(Bytes::from)
        });
        Lookup { found: Some(found.collect()), generation }
    }

    /// Takes entry `index` of a look-up, or computes and keeps it. What a hit saves must happen inside `compute`, queries included.
    pub async fn get_or(
        &self,
        lookup: &Lookup,
        index: usize,
        (policy, key): (Policy, Key),
        compute: impl AsyncFnOnce() -> Result<Bytes, AppError>,
    ) -> Result<(Bytes, Outcome), AppError> {
        let Some(found) = lookup.found.as_ref().filter(|_| self.is_on(policy.level)) else {
            return Ok((compute().await?, Outcome::Bypass));
        };
        let entry = found.get(index).and_then(Option::as_ref);
        if let Some(body) = entry.and_then(|entry| entry::decode(entry, &lookup.generation)) {
            return Ok((body, Outcome::Hit));
        }
        let body = compute().await?;
        let mut command = redis::cmd("SET");
        command.arg(key.text(&self.config.prefix)).arg(entry::encode(&lookup.generation, &body));
        command.arg("PX").arg(milliseconds(policy.lifetime));
        let stored = self.send::<()>(&command).await.is_some();
        Ok((body, Outcome::Miss { stored }))
    }

    /// Makes every entry that depends on this generation worthless. Call after the commit of what made it so.
    ///
    /// If Redis does not answer, the entries live on for what is left of their lifetime; that is logged.
    pub async fn invalidate(&self, generation: Key) {
        let mark: [u8; 16] = rand::random();
        let mut command = redis::cmd("SET");
        command.arg(generation.text(&self.config.prefix)).arg(&mark[..]);
        command.arg("PX").arg(milliseconds(GENERATION_LIFETIME));
        if self.connection.is_some() && self.send::<()>(&command).await.is_none() {
            tracing::warn!(key = generation.text(&self.config.prefix), "an invalidation did not reach Redis");
        }
    }

    fn is_on(&self, level: Level) -> bool {
        match level {
            Level::View => self.config.view,
            Level::Fragment => self.config.fragment,
            Level::Value => self.config.value,
        }
    }

    /// Sends a command; None if there is no answer in time. The time-out is around everything, because a command that is sent while the
    /// connection is down would wait for all attempts to connect again.
    async fn send<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> Option<T> {
        let mut connection = self.connection.clone()?;
        match tokio::time::timeout(COMMAND_TIMEOUT, command.query_async(&mut connection)).await {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(error)) => {
                tracing::debug!(%error, "redis failed");
                None
            }
            Err(_) => {
                tracing::debug!("redis did not answer in time");
                None
            }
        }
    }
}

fn connection_manager(redis_url: &str) -> anyhow::Result<ConnectionManager> {
    let info = redis_url.into_connection_info().context("`REDIS_URL` is not a Redis address")?;
    // Without this, small commands wait for the acknowledgement of the ones before them.
    let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
    let client = Client::open(info).context("cannot prepare the connection to Redis")?;
    let config = ConnectionManagerConfig::new()
        .set_response_timeout(Some(COMMAND_TIMEOUT))
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_number_of_retries(1)
        .set_max_delay(Duration::from_millis(100));
    ConnectionManager::new_lazy_with_config(client, config).context("cannot prepare the connection to Redis")
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
