//! The counters that Redis keeps of itself. Each reading opens a connection and sends a few commands, which are counted too.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// What a Redis has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Look-ups that found their key.
    pub hit_count: u64,
    /// Look-ups that did not.
    pub miss_count: u64,
    /// Commands of all kinds.
    pub command_count: u64,
    /// Keys that ran out of time.
    pub expired_count: u64,
    /// Keys that were dropped for want of memory.
    pub evicted_count: u64,
    /// Sent to clients.
    pub sent_bytes: u64,
    /// Memory in use now.
    pub memory_bytes: u64,
}

impl Counters {
    /// What happened between two readings; of the memory, the later reading.
    #[must_use]
    pub fn difference(before: &Self, after: &Self) -> Self {
        Self {
            hit_count: after.hit_count.saturating_sub(before.hit_count),
            miss_count: after.miss_count.saturating_sub(before.miss_count),
            command_count: after.command_count.saturating_sub(before.command_count),
            expired_count: after.expired_count.saturating_sub(before.expired_count),
            evicted_count: after.evicted_count.saturating_sub(before.evicted_count),
            sent_bytes: after.sent_bytes.saturating_sub(before.sent_bytes),
            memory_bytes: after.memory_bytes,
        }
    }

    /// Reads the text that `INFO` answers.
    ///
    /// # Errors
    /// When a counter is missing.
    pub fn parse(text: &str) -> Result<Self> {
        let field = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            value
                .and_then(|value| value.trim().parse().ok())
                .with_context(|| format!("the answer to `INFO` has no number for `{name}`"))
        };
        Ok(Self {
            hit_count: field("keyspace_hits")?,
            miss_count: field("keyspace_misses")?,
            command_count: field("total_commands_processed")?,
            expired_count: field("expired_keys")?,
            evicted_count: field("evicted_keys")?,
            sent_bytes: field("total_net_output_bytes")?,
            memory_bytes: field("used_memory")?,
        })
    }
}

/// Reads the counters of the Redis at an address such as `redis://127.0.0.1:6379/0`.
///
/// # Errors
/// When it does not answer.
pub async fn read(url: &str) -> Result<Counters> {
    let client = redis::Client::open(url).with_context(|| format!("`{url}` is not an address of Redis"))?;
    let mut connection = client
        .get_multiplexed_async_connection()
        .await
        .with_context(|| format!("could not connect to Redis at `{url}`"))?;
    let text: String =
        redis::cmd("INFO").query_async(&mut connection).await.context("could not ask Redis for `INFO`")?;
    Counters::parse(&text)
}
