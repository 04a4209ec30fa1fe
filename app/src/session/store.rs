//! Where sessions are kept: the memory of this server, or Redis. A store keeps bytes under keys for a while, and knows nothing of what
//! they mean.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::Script;

use crate::keys::hexadecimal;
use crate::redis_link::{LinkError, RedisLink};

/// The most sessions in memory. With the bound on each, they take less than 100 MiB at the very worst, and usually 20.
const MEMORY_SESSIONS_MAX: usize = 100_000;

/// Replaces a value if it is still the one that was read. One that is gone stays gone: a log-out is not undone by a slower request.
static REPLACE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("replace.lua")));

/// The hash of a session's id.
pub(super) struct StoreKey(pub(super) [u8; 32]);

/// Why a store could not do its work. The request that needed it is told to come back later.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Redis does not answer.
    #[error("the session store does not answer")]
    Away(#[from] LinkError),
    /// There is no room for another session.
    #[error("the session store is full with {MEMORY_SESSIONS_MAX} sessions")]
    Full,
    /// Too many requests change one session at once.
    #[error("a session was changed by too many requests at once")]
    Contended,
    /// A mistake of ours.
    #[error("a session cannot be written")]
    Failed(#[source] anyhow::Error),
}

/// The two places.
#[derive(Clone)]
pub(super) enum Store {
    Memory(Arc<Mutex<Memory>>),
    Redis { link: RedisLink, prefix: Arc<str> },
}

/// Sessions in memory. A plain mutex will do: it is held for the time of one look-up, and never across an await.
#[derive(Default)]
pub(super) struct Memory {
    entries: HashMap<[u8; 32], Entry>,
}

struct Entry {
    value: Vec<u8>,
    ends_at: Instant,
}

impl Store {
    pub(super) fn memory() -> Self {
        Self::Memory(Arc::default())
    }

    pub(super) fn redis(link: RedisLink, prefix: &str) -> Self {
        Self::Redis { link, prefix: prefix.into() }
    }

    pub(super) async fn get(&self, key: &StoreKey) -> Result<Option<Vec<u8>>, StoreError> {
        match self {
            Self::Memory(memory) => Ok(lock(memory).get(key)),
            Self::Redis { link, prefix } => Ok(link.send(redis::cmd("GET").arg(redis_key(prefix, key))).await?),
        }
    }

    pub(super) async fn insert(&self, key: &StoreKey, value: &[u8], lifetime: Duration) -> Result<(), StoreError> {
        match self {
            Self::Memory(memory) => lock(memory).insert(key, value, lifetime),
            Self::Redis { link, prefix } => {
                let mut command = redis::cmd("SET");
                command.arg(redis_key(prefix, key)).arg(value).arg("PX").arg(whole_milliseconds(lifetime));
                Ok(link.send(&command).await?)
            }
        }
    }

    /// Says whether the value was still the old one, and so was replaced.
    pub(super) async fn replace(
        &self,
        key: &StoreKey,
        old: &[u8],
        new: &[u8],
        lifetime: Duration,
    ) -> Result<bool, StoreError> {
        match self {
            Self::Memory(memory) => Ok(lock(memory).replace(key, old, new, lifetime)),
            Self::Redis { link, prefix } => {
                let mut script = REPLACE.key(redis_key(prefix, key));
                script.arg(old).arg(new).arg(whole_milliseconds(lifetime));
                Ok(link.run(&script).await?)
            }
        }
    }

    pub(super) async fn remove(&self, key: &StoreKey) -> Result<(), StoreError> {
        match self {
            Self::Memory(memory) => {
                lock(memory).entries.remove(&key.0);
                Ok(())
            }
            Self::Redis { link, prefix } => Ok(link.send(redis::cmd("DEL").arg(redis_key(prefix, key))).await?),
        }
    }
}

impl Memory {
    fn get(&self, key: &StoreKey) -> Option<Vec<u8>> {
        self.entries.get(&key.0).filter(|entry| entry.ends_at > Instant::now()).map(|entry| entry.value.clone())
    }

    fn insert(&mut self, key: &StoreKey, value: &[u8], lifetime: Duration) -> Result<(), StoreError> {
        let now = Instant::now();
        // Reading all of them is only due once as many again have come, so it costs each a constant time.
        let is_due = self.entries.len() >= self.entries.capacity() || self.entries.len() >= MEMORY_SESSIONS_MAX;
        if is_due {
            self.entries.retain(|_, entry| entry.ends_at > now);
        }
        if self.entries.len() >= MEMORY_SESSIONS_MAX {
            return Err(StoreError::Full);
        }
        self.entries.insert(key.0, Entry { value: value.to_vec(), ends_at: now + lifetime });
        Ok(())
    }

    fn replace(&mut self, key: &StoreKey, old: &[u8], new: &[u8], lifetime: Duration) -> bool {
        let now = Instant::now();
        let Some(entry) = self.entries.get_mut(&key.0).filter(|entry| entry.ends_at > now && entry.value == old) else {
            return false;
        };
        *entry = Entry { value: new.to_vec(), ends_at: now + lifetime };
        true
    }
}

/// A panic while the lock was held leaves the map as it was: every change to it is one call.
fn lock(memory: &Mutex<Memory>) -> std::sync::MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

fn redis_key(prefix: &str, key: &StoreKey) -> String {
    format!("{prefix}:session:{}", hexadecimal(&key.0))
}

/// Redis refuses a lifetime of zero.
fn whole_milliseconds(lifetime: Duration) -> u64 {
    u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX).max(1)
}
