//! A connection to Redis for what is not a cache: sessions and rate limits. It bounds how long a request waits, and says whether it got
//! an answer; what that means is for its users to decide.

use std::time::Duration;

use anyhow::Context;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::io::tcp::TcpSettings;
use redis::{Client, Cmd, FromRedisValue, IntoConnectionInfo, RedisError, ScriptInvocation};

/// The longest that connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(250);

/// Redis gave no answer, or not the expected one.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// No answer in time.
    #[error("redis did not answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// No connection, or an error as the answer.
    #[error("redis failed")]
    Failed(#[from] RedisError),
}

/// A connection that comes back by itself. A clone shares it.
#[derive(Clone)]
pub struct RedisLink {
    manager: ConnectionManager,
    timeout: Duration,
}

impl RedisLink {
    /// Prepares the connection, without connecting yet: a server starts while Redis is away. Must be called inside the runtime.
    pub fn new(redis_url: &str, timeout: Duration) -> anyhow::Result<Self> {
        let info = redis_url.into_connection_info().context("the address of Redis is wrong")?;
        // Without this, small commands wait for the acknowledgement of the ones before them.
        let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        let client = Client::open(info).context("cannot prepare the connection to Redis")?;
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(timeout))
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_number_of_retries(1)
            .set_max_delay(Duration::from_millis(100));
        let manager = ConnectionManager::new_lazy_with_config(client, config);
        Ok(Self { manager: manager.context("cannot prepare the connection to Redis")?, timeout })
    }

    /// Sends a command.
    pub async fn send<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, LinkError> {
        let mut manager = self.manager.clone();
        self.in_time(async {
            match command.query_async(&mut manager).await {
                Err(error) if was_broken(&error) => command.query_async(&mut manager).await,
                result => result,
            }
        })
        .await
    }

    /// Runs a script.
    pub async fn run<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, LinkError> {
        let mut manager = self.manager.clone();
        self.in_time(async {
            match script.invoke_async(&mut manager).await {
                Err(error) if was_broken(&error) => script.invoke_async(&mut manager).await,
                result => result,
            }
        })
        .await
    }

    /// The time-out is around everything, because a command that is sent while the connection is down waits for all attempts to connect.
    async fn in_time<T>(&self, work: impl Future<Output = Result<T, RedisError>>) -> Result<T, LinkError> {
        match tokio::time::timeout(self.timeout, work).await {
            Ok(result) => Ok(result?),
            Err(_) => Err(LinkError::TimedOut(self.timeout)),
        }
    }
}

/// A connection that broke while nobody used it is noticed by the first one who does. That one tries again, once, so that a restart of
/// Redis is not an error of the next request.
fn was_broken(error: &RedisError) -> bool {
    error.is_connection_dropped() || error.is_io_error()
}
