//! The plain interface of the cache: `get`, `set` and the like, for what is not a page. Nothing in the database invalidates what is kept
//! here, and nobody is kept waiting for it: whoever asks is told when Redis is not there.
//!
//! The names and their meaning are those of Django's cache, where they are well known. What differs: `incr` and `get_or_set` are atomic,
//! and `clear` forgets what was kept through this interface instead of emptying the Redis database.

use std::time::Duration;

use redis::{Cmd, FromRedisValue, ToSingleRedisArg, Value};
use sha2::{Digest, Sha256};

use super::counters::Counters;
use super::entry::millis;
use super::store::Store;

/// How long a value is kept by those who have no opinion.
pub const DEFAULT_TIMEOUT: Option<Duration> = Some(Duration::from_secs(300));

/// A longer key is replaced by its hash.
const KEY_BYTES_MAX: usize = 200;

/// Runs one command on keys that hold the present epoch, so that a new epoch forgets them all. `INCRBY` and `RENAME` change only what
/// is there.
const SCRIPT: &str = r"
local epoch = redis.call('GET', KEYS[1])
if not epoch then
    epoch = ARGV[1]
    redis.call('SET', KEYS[1], epoch)
end
local command, key_count, arguments = ARGV[3], tonumber(ARGV[4]), {}
for place = 5, #ARGV do
    local is_key = place < 5 + key_count
    arguments[place - 4] = is_key and (ARGV[2] .. epoch .. ':' .. ARGV[place]) or ARGV[place]
end
local must_exist = command == 'INCRBY' or command == 'RENAME'
if must_exist and redis.call('EXISTS', arguments[1]) == 0 then return false end
return redis.call(command, unpack(arguments))
";

/// Redis did not answer in time, or is not used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the cache is not reachable")]
pub struct Unavailable;

/// Values under names, in one version of them.
///
/// A timeout of None keeps a value for ever; a timeout of zero does not keep it.
#[derive(Clone, Copy)]
pub struct Values<'a> {
    store: Option<(&'a Store, &'a Counters)>,
    version: u32,
}

impl<'a> Values<'a> {
    pub(super) fn new(store: Option<(&'a Store, &'a Counters)>) -> Self {
        Self { store, version: 1 }
    }

    /// The values of another version. The same name means another value in each.
    pub fn version(self, version: u32) -> Self {
        Self { version, ..self }
    }

    /// The value; None if there is none.
    pub async fn get<T: FromRedisValue>(&self, key: &str) -> Result<Option<T>, Unavailable> {
        self.run("GET", &[key], |_| ()).await
    }

    /// The values in the order of their names.
    pub async fn get_many<T: FromRedisValue>(&self, keys: &[&str]) -> Result<Vec<Option<T>>, Unavailable> {
        if keys.is_empty() { Ok(Vec::new()) } else { self.run("MGET", keys, |_| ()).await }
    }

    /// Whether there is a value.
    pub async fn has(&self, key: &str) -> Result<bool, Unavailable> {
        self.run("EXISTS", &[key], |_| ()).await
    }

    /// Keeps a value.
    pub async fn set(
        &self,
        key: &str,
        value: impl ToSingleRedisArg,
        timeout: Option<Duration>,
    ) -> Result<(), Unavailable> {
        if is_zero(timeout) {
            return self.delete(key).await.map(|_| ());
        }
        self.run("SET", &[key], |command| with_timeout(command.arg(value), timeout)).await
    }

    /// Keeps several values.
    pub async fn set_many(
        &self,
        values: &[(&str, impl ToSingleRedisArg)],
        timeout: Option<Duration>,
    ) -> Result<(), Unavailable> {
        if values.is_empty() {
            return Ok(());
        }
        if is_zero(timeout) {
            let keys: Vec<&str> = values.iter().map(|(key, _)| *key).collect();
            return self.delete_many(&keys).await.map(|_| ());
        }
        let (store, counters) = self.store.ok_or(Unavailable)?;
        // Redis has no command that sets several with a time, so several commands make one round trip.
        let mut pipeline = redis::pipe();
        for (key, value) in values {
            let mut command = Self::command(store, "SET", &[self.name(key)]);
            with_timeout(command.arg(value), timeout);
            pipeline.add_command(command);
        }
        store.send_all::<Vec<Value>>(counters, &pipeline).await.map(|_| ()).ok_or(Unavailable)
    }

    /// Keeps a value unless there is one. Tells whether it did: of all who try at once, exactly one is told so.
    pub async fn add(
        &self,
        key: &str,
        value: impl ToSingleRedisArg,
        timeout: Option<Duration>,
    ) -> Result<bool, Unavailable> {
        if is_zero(timeout) {
            return self.has(key).await.map(|has| !has);
        }
        let set = |command: &mut Cmd| with_timeout(command.arg(value).arg("NX"), timeout);
        self.run("SET", &[key], set).await.map(|answer: Value| answer == Value::Okay)
    }

    /// The value, or what `make` gives, which is then kept. If two make it at once, both get the one that was kept first. Without
    /// Redis, `make` is asked each time.
    pub async fn get_or_set<T, E>(
        &self,
        key: &str,
        timeout: Option<Duration>,
        make: impl AsyncFnOnce() -> Result<T, E>,
    ) -> Result<T, E>
    where
        T: FromRedisValue + ToSingleRedisArg + Clone,
    {
        if let Ok(Some(value)) = self.get(key).await {
            return Ok(value);
        }
        let made = make().await?;
        match self.add(key, made.clone(), timeout).await {
            Ok(false) => Ok(self.get(key).await.ok().flatten().unwrap_or(made)),
            _ => Ok(made),
        }
    }

    /// Adds to a number and gives the sum; None if there is no value. Its time stays as it is.
    pub async fn incr(&self, key: &str, by: i64) -> Result<Option<i64>, Unavailable> {
        self.run("INCRBY", &[key], |command| {
            command.arg(by);
        })
        .await
    }

    /// Takes from a number and gives the rest; None if there is no value.
    pub async fn decr(&self, key: &str, by: i64) -> Result<Option<i64>, Unavailable> {
        self.incr(key, by.saturating_neg()).await
    }

    /// Gives a value another time. Tells whether there is one.
    pub async fn touch(&self, key: &str, timeout: Option<Duration>) -> Result<bool, Unavailable> {
        match timeout {
            _ if is_zero(timeout) => self.delete(key).await,
            // PERSIST says 0 for a value that had no time to lose, too.
            None => {
                self.run::<Value>("PERSIST", &[key], |_| ()).await?;
                self.has(key).await
            }
            Some(timeout) => {
                self.run("PEXPIRE", &[key], |command| {
                    command.arg(millis(timeout));
                })
                .await
            }
        }
    }

    /// Forgets a value. Tells whether there was one.
    pub async fn delete(&self, key: &str) -> Result<bool, Unavailable> {
        self.delete_many(&[key]).await.map(|count| count > 0)
    }

    /// Forgets several values. Tells how many there were.
    pub async fn delete_many(&self, keys: &[&str]) -> Result<u64, Unavailable> {
        if keys.is_empty() { Ok(0) } else { self.run("DEL", keys, |_| ()).await }
    }

    /// Moves a value to the version that is this much higher, and gives that; None if there is no value.
    pub async fn incr_version(&self, key: &str, by: u32) -> Result<Option<u32>, Unavailable> {
        let version = self.version.saturating_add(by);
        let names = [self.name(key), self.version(version).name(key)];
        let moved: Option<String> = self.send("RENAME", &names, |_| ()).await?;
        Ok(moved.map(|_| version))
    }

    /// Forgets every value of every version.
    pub async fn clear(&self) -> Result<(), Unavailable> {
        let (store, counters) = self.store.ok_or(Unavailable)?;
        let mut command = redis::cmd("SET");
        command.arg(epoch_key(store)).arg(new_epoch());
        store.send(counters, &command).await.ok_or(Unavailable)
    }

    async fn run<T: FromRedisValue>(
        &self,
        command: &str,
        keys: &[&str],
        arguments: impl FnOnce(&mut Cmd),
    ) -> Result<T, Unavailable> {
        let names: Vec<String> = keys.iter().map(|key| self.name(key)).collect();
        self.send(command, &names, arguments).await
    }

    async fn send<T: FromRedisValue>(
        &self,
        command: &str,
        names: &[String],
        arguments: impl FnOnce(&mut Cmd),
    ) -> Result<T, Unavailable> {
        let (store, counters) = self.store.ok_or(Unavailable)?;
        let mut command = Self::command(store, command, names);
        arguments(&mut command);
        store.send(counters, &command).await.ok_or(Unavailable)
    }

    fn command(store: &Store, command: &str, names: &[String]) -> Cmd {
        let mut script = redis::cmd("EVAL");
        script.arg(SCRIPT).arg(1).arg(epoch_key(store)).arg(new_epoch()).arg(format!("{}:value:", store.prefix()));
        script.arg(command).arg(names.len()).arg(names);
        script
    }

    /// The version cannot be taken for a part of the key, because it has no colon and comes first; a hash cannot be taken for a key,
    /// because it comes after another letter.
    fn name(&self, key: &str) -> String {
        if key.len() <= KEY_BYTES_MAX {
            format!("{}:k:{key}", self.version)
        } else {
            let hash: String = Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{}:h:{hash}", self.version)
        }
    }
}

fn is_zero(timeout: Option<Duration>) -> bool {
    timeout.is_some_and(|timeout| timeout.as_millis() == 0)
}

fn with_timeout(command: &mut Cmd, timeout: Option<Duration>) {
    if let Some(timeout) = timeout {
        command.arg("PX").arg(millis(timeout));
    }
}

fn epoch_key(store: &Store) -> String {
    format!("{}:epoch", store.prefix())
}

fn new_epoch() -> String {
    format!("{:032x}", rand::random::<u128>())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn different_keys_have_different_names(
            (one, other) in prop_oneof![("[1:kh]{0,6}", "[1:kh]{0,6}"), ("\\PC{190,210}", "\\PC{190,210}")],
            (one_version, other_version) in (1..12_u32, 1..12_u32),
        ) {
            let name = |key: &str, version| Values::new(None).version(version).name(key);
            let is_same = one == other && one_version == other_version;
            prop_assert_eq!(is_same, name(&one, one_version) == name(&other, other_version));
        }
    }
}
