//! Redis, as the cache uses it: which keys there are, what is sent in one round trip, and for how long anybody waits. It knows nothing of
//! pages, and an answer that does not come is None, never an error: without Redis there is no cache, and that is all.

mod breaker;
mod heartbeat;

use std::fmt::Display;
use std::time::Duration;

use anyhow::Context;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::io::tcp::TcpSettings;
use redis::{
    Client, Cmd, FromRedisValue, IntoConnectionInfo, Pipeline, ProtocolVersion, RedisResult, RedisWrite, Value,
};

use breaker::Breaker;
pub use breaker::BreakerState;
use heartbeat::Heartbeat;

use super::counters::{Count, Counters};
use super::entry::{Entry, Mark, Marks, millis};
use super::key::{Key, Tag};
use super::policy::Policy;

/// Changes when what is kept under a key changes its meaning, so that a new version never reads what an old one has kept.
const VERSION: &str = "v2";

/// The longest that a reader waits for Redis. A cache that answers more slowly than the database is none.
const READ_TIMEOUT: Duration = Duration::from_millis(50);

/// The longest that a writer waits for a bump. Longer, because others may be shown what is old until it has arrived.
const BUMP_TIMEOUT: Duration = Duration::from_millis(250);

/// The longest that connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(250);

/// How long Redis may leave what was sent unacknowledged before the connection counts as broken.
const SILENCE_MAX: Duration = Duration::from_secs(2);

/// How long a mark lives. Longer than any entry, or entries would die early; a mark that is gone makes its entries worthless.
const MARK_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// How long one server may take to make an entry before another tries.
const LEASE_LIFETIME: Duration = Duration::from_secs(3);

/// Deletes a lease that is still one's own.
const RELEASE: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end";

pub(super) struct Store {
    connection: ConnectionManager,
    prefix: String,
    breaker: Breaker,
    heartbeat: Heartbeat,
}

/// What was found by one who asked for the right to make an entry.
pub(super) struct Claim {
    pub(super) is_won: bool,
    pub(super) entry: Option<Entry>,
    pub(super) marks: Marks,
}

/// What a reader finds.
pub(super) struct Read {
    /// The entries as they were asked for, not yet read.
    pub(super) entries: Vec<Option<Vec<u8>>>,
    /// The marks of the tags, in their order.
    pub(super) marks: Vec<Option<Mark>>,
}

/// The right to make an entry: whoever holds the token under which it was set.
pub(super) type Token = u64;

impl Store {
    /// Prepares the connection, without connecting yet: a server serves while Redis is away. Must be called inside the runtime.
    pub(super) fn new(redis_url: &str, prefix: &str) -> anyhow::Result<Self> {
        let config = ConnectionManagerConfig::new()
            // Each command has a time-out around it, see `guarded`; a second one inside would be one more timer for each page.
            .set_response_timeout(None)
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_number_of_retries(1)
            .set_min_delay(Duration::from_millis(20))
            .set_max_delay(Duration::from_millis(100))
            .set_pipeline_buffer_size(1024);
        let connection = ConnectionManager::new_lazy_with_config(client(redis_url)?, config)
            .context("cannot prepare the connection to Redis")?;
        Ok(Self {
            connection,
            prefix: format!("{prefix}:{VERSION}"),
            breaker: Breaker::new(),
            heartbeat: Heartbeat::default(),
        })
    }

    pub(super) fn breaker_state(&self) -> BreakerState {
        self.breaker.state()
    }

    /// How every key of this cache begins.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The channel on which servers tell each other which tags they have bumped.
    pub(super) fn channel(&self) -> String {
        format!("{}:bumps", self.prefix)
    }

    /// Entries, then the marks of tags, all as they were at one instant.
    pub(super) async fn read(
        &self,
        counters: &Counters,
        entries: impl Iterator<Item = Key>,
        tags: &[Tag],
    ) -> Option<Read> {
        let mut command = Cmd::with_capacity(6, 256);
        command.arg("MGET");
        entries.for_each(|key| self.write_entry_key(&mut command, key));
        tags.iter().for_each(|tag| self.write_mark_key(&mut command, *tag));
        let mut entries: Vec<Option<Vec<u8>>> = self.send(counters, &command).await?;
        let marks = entries.split_off(entries.len().saturating_sub(tags.len()));
        Some(Read { entries, marks: marks.into_iter().map(mark).collect() })
    }

    /// Asks for the right to make an entry and looks once more whether somebody else has made it, in one round trip.
    pub(super) async fn claim(&self, counters: &Counters, key: Key, token: Token) -> Option<Claim> {
        let mut pipeline = redis::pipe();
        let lease = pipeline.cmd("SET");
        lease.arg(self.lease_key(key)).arg(token).arg("NX").arg("PX").arg(millis(LEASE_LIFETIME));
        let mut look = redis::cmd("MGET");
        self.write_entry_key(&mut look, key);
        self.write_mark_key(&mut look, key.tag());
        self.write_mark_key(&mut look, Tag::All);
        pipeline.add_command(look);
        let (lease, [entry, own, all]): (Value, [Option<Vec<u8>>; 3]) = self.send_all(counters, &pipeline).await?;
        Some(Claim { is_won: lease == Value::Okay, entry: entry.and_then(Entry::decode), marks: [own, all].map(mark) })
    }

    /// Sets the marks that are missing, unless somebody else has set them by now. Gives all of them.
    pub(super) async fn complete(&self, counters: &Counters, tags: [Tag; 2], marks: Marks) -> Option<[Mark; 2]> {
        if let [Some(own), Some(all)] = marks {
            return Some([own, all]);
        }
        let mut pipeline = redis::pipe();
        let fresh: [Mark; 2] = rand::random();
        for (tag, mark) in tags.iter().zip(&fresh) {
            self.set_mark(&mut pipeline, *tag, mark).arg("NX").arg("GET");
        }
        let found: [Option<Vec<u8>>; 2] = self.send_all(counters, &pipeline).await?;
        let [own, all] = found;
        let mark = |found: Option<Vec<u8>>, fresh| found.map_or(Some(fresh), |found| found.try_into().ok());
        Some([mark(own, fresh[0])?, mark(all, fresh[1])?])
    }

    /// Keeps an entry and gives the lease back, if there is one. Tells whether it is kept.
    pub(super) async fn keep(
        &self,
        counters: &Counters,
        policy: &Policy,
        key: Key,
        entry: &Entry,
        token: Option<Token>,
    ) -> bool {
        let Some(bytes) = entry.encode() else { return false };
        let mut pipeline = redis::pipe();
        let mut command = Cmd::with_capacity(6, bytes.len() + 256);
        command.arg("SET");
        self.write_entry_key(&mut command, key);
        command.arg(bytes).arg("PX").arg(entry.lifetime_ms(policy));
        pipeline.add_command(command);
        if let Some(token) = token {
            self.release_in(&mut pipeline, key, token);
        }
        self.send_all::<Vec<Value>>(counters, &pipeline).await.is_some()
    }

    /// Gives a lease back.
    pub(super) async fn release(&self, counters: &Counters, key: Key, token: Token) {
        let mut pipeline = redis::pipe();
        self.release_in(&mut pipeline, key, token);
        self.send_all::<Vec<Value>>(counters, &pipeline).await;
    }

    /// Gives tags new marks and tells the other servers. Tried even while the breaker is open, because another server may well reach
    /// Redis and show what is there.
    pub(super) async fn bump(&self, counters: &Counters, tags: &[Tag]) -> bool {
        let mut pipeline = redis::pipe();
        for tag in tags.iter().map(|tag| tag.shared()) {
            self.set_mark(&mut pipeline, tag, &rand::random::<Mark>());
            pipeline.cmd("PUBLISH").arg(self.channel()).arg(tag.to_string());
        }
        let mut connection = self.connection.clone();
        let sent = pipeline.query_async::<Vec<Value>>(&mut connection);
        self.guarded(counters, BUMP_TIMEOUT, Urgency::Always, sent).await.is_some()
    }

    /// Sends one command of a reader.
    pub(super) async fn send<T: FromRedisValue>(&self, counters: &Counters, command: &Cmd) -> Option<T> {
        let mut connection = self.connection.clone();
        self.guarded(counters, READ_TIMEOUT, Urgency::WhenClosed, command.query_async(&mut connection)).await
    }

    /// Sends several commands of a reader in one round trip.
    pub(super) async fn send_all<T: FromRedisValue>(&self, counters: &Counters, pipeline: &Pipeline) -> Option<T> {
        let mut connection = self.connection.clone();
        self.guarded(counters, READ_TIMEOUT, Urgency::WhenClosed, pipeline.query_async(&mut connection)).await
    }

    /// The time-out is around everything, because a command that is sent while the connection is down would wait for all attempts to
    /// connect again.
    async fn guarded<T>(
        &self,
        counters: &Counters,
        limit: Duration,
        urgency: Urgency,
        command: impl Future<Output = RedisResult<T>>,
    ) -> Option<T> {
        if !self.breaker.allows() && urgency == Urgency::WhenClosed {
            return None;
        }
        self.heartbeat.touch();
        match tokio::time::timeout(limit, command).await {
            Ok(Ok(answer)) => {
                self.breaker.succeeded();
                return Some(answer);
            }
            Ok(Err(error)) => tracing::debug!(%error, "redis failed"),
            Err(_) => tracing::debug!("redis did not answer in time"),
        }
        counters.add(Count::RedisError, 1);
        if self.breaker.failed() {
            counters.add(Count::BreakerOpened, 1);
        }
        None
    }

    fn set_mark<'a>(&self, pipeline: &'a mut Pipeline, tag: Tag, mark: &Mark) -> &'a mut Pipeline {
        let key = format!("{}:mark:{}", self.prefix, tag.shared());
        let command = pipeline.cmd("SET").arg(key).arg(&mark[..]);
        // If the mark of everything ended, everything would end with it, at one instant.
        if tag == Tag::All { command } else { command.arg("PX").arg(millis(MARK_LIFETIME)) }
    }

    fn release_in(&self, pipeline: &mut Pipeline, key: Key, token: Token) {
        pipeline.cmd("EVAL").arg(RELEASE).arg(1).arg(self.lease_key(key)).arg(token);
    }

    fn write_entry_key(&self, command: &mut Cmd, key: Key) {
        self.write_key(command, "entry", key);
    }

    fn write_mark_key(&self, command: &mut Cmd, tag: Tag) {
        self.write_key(command, "mark", tag.shared());
    }

    /// Writes a key into the command's own buffer.
    fn write_key(&self, command: &mut Cmd, kind: &str, name: impl Display) {
        command.write_arg_fmt(format_args!("{}:{kind}:{name}", self.prefix));
    }

    fn lease_key(&self, key: Key) -> String {
        format!("{}:lease:{key}", self.prefix)
    }
}

/// A mark as Redis has it. What is no mark is none.
fn mark(bytes: Option<Vec<u8>>) -> Option<Mark> {
    bytes?.try_into().ok()
}

/// Whether a command respects the breaker.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Urgency {
    WhenClosed,
    Always,
}

/// A client that is told what is published. The protocol of old cannot do that on a connection that is asked things, too.
pub(super) fn subscriber(redis_url: &str) -> anyhow::Result<Client> {
    let info = client(redis_url)?.get_connection_info().clone();
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    Client::open(info.set_redis_settings(settings)).context("cannot prepare the connection to Redis")
}

/// A client that neither waits for acknowledgements nor waits for ever.
fn client(redis_url: &str) -> anyhow::Result<Client> {
    let info = redis_url.into_connection_info().context("`REDIS_URL` is not a Redis address")?;
    let settings = TcpSettings::default();
    // Without the first, small commands wait for the acknowledgement of the ones before them.
    let settings = settings.set_nodelay(true).set_user_timeout(SILENCE_MAX);
    Client::open(info.set_tcp_settings(settings)).context("cannot prepare the connection to Redis")
}
