//! A server of the app under measurement. Knows the app only by its environment variables, one line of its log, and `/readyz`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use super::folder::RunFolder;
use super::process::{Launch, Process};

const START_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(15);
/// The server chooses its own port and says so.
const ANNOUNCEMENT: &str = "listening on http://";

/// Which of the app's caches are on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheLevels {
    /// Whole pages of the post list.
    pub view: bool,
    /// The part of the post page with the recent comments.
    pub fragment: bool,
    /// The number of comments of a post.
    pub value: bool,
}

impl CacheLevels {
    /// None.
    pub const OFF: Self = Self { view: false, fragment: false, value: false };
    /// All of them.
    pub const ALL: Self = Self { view: true, fragment: true, value: true };
}

/// Where the app keeps its sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionStore {
    /// In each server by itself: whoever meets another server, or comes after a restart, has lost what was kept.
    Memory,
    /// In Redis, shared by all servers.
    Redis,
}

/// Whether the app keeps entries of the cache in its own memory too, before Redis.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LocalCache {
    /// It does not.
    #[default]
    Off,
    /// It does, and asks Redis before each use whether the entry still holds.
    Strict,
    /// It does, and believes an entry until it hears otherwise.
    Fast,
}

/// The secret of servers that nobody but their own machine can reach. One for all: a session that one server makes is read by
/// the others.
const SECRET: &str = "a secret of servers that only this machine can reach";

/// How an app server is started.
#[derive(Debug, Clone)]
pub struct AppOptions {
    /// The app's program.
    pub binary: PathBuf,
    /// The server's name, which its responses carry as `X-Served-By`.
    pub name: String,
    /// The name of its log and in messages, where several sites have a server of this name; else its own.
    pub log: Option<String>,
    /// See [`super::Postgres::url`].
    pub database_url: String,
    /// See [`super::Redis::url`].
    pub redis_url: String,
    /// Which caches are on.
    pub caches: CacheLevels,
    /// Whether they have a first level in the server's own memory.
    pub local_cache: LocalCache,
    /// Where sessions are kept.
    pub sessions: SessionStore,
    /// The Redis of the sessions, if it is not that of the cache.
    pub session_redis_url: Option<String>,
    /// What the cookie `srv` of those who log in says, for a balancer that keeps clients with their server.
    pub route: Option<String>,
    /// Signs and hashes; the same for all servers of a site.
    pub secret: String,
    /// Whether it limits how often one client may ask. The clients of a measurement share one address.
    pub rate_limits: bool,
    /// Threads of the runtime. One, so that two servers on two processors are a fair pair.
    pub worker_threads: u32,
    /// The size of the pool.
    pub database_connections: u32,
    /// Further variables of its environment.
    pub environment: Vec<(String, String)>,
    /// The processors it stays on; all if `None`.
    pub processors: Option<Vec<usize>>,
    /// How much of one processor it may use; all that is there if `None`.
    pub cpu_share: Option<f64>,
}

impl AppOptions {
    /// A server with every cache off, sessions in Redis, no rate limits, one thread and eight connections.
    pub fn new(binary: PathBuf, name: &str, database_url: String, redis_url: String) -> Self {
        Self {
            binary,
            name: name.to_owned(),
            log: None,
            database_url,
            redis_url,
            caches: CacheLevels::default(),
            local_cache: LocalCache::Off,
            sessions: SessionStore::Redis,
            session_redis_url: None,
            route: None,
            secret: SECRET.to_owned(),
            rate_limits: false,
            worker_threads: 1,
            database_connections: 8,
            environment: Vec::new(),
            processors: None,
            cpu_share: None,
        }
    }

    /// The variables of its environment.
    pub fn variables(&self) -> Vec<(String, String)> {
        let on = |value: bool| if value { "on" } else { "off" }.to_owned();
        let local_cache = match self.local_cache {
            LocalCache::Off => "off",
            LocalCache::Strict => "strict",
            LocalCache::Fast => "fast",
        };
        let sessions = match self.sessions {
            SessionStore::Memory => "memory",
            SessionStore::Redis => "redis",
        };
        let own = [
            ("APP_NAME", self.name.clone()),
            // Plain HTTP on loopback: browsers would not send back the cookies of production.
            ("APP_MODE", "development".to_owned()),
            ("APP_LISTEN", "127.0.0.1:0".to_owned()),
            ("APP_SECRET", self.secret.clone()),
            // The balancer of the same stack.
            ("APP_TRUSTED_PROXIES", "127.0.0.1".to_owned()),
            ("APP_RATE_LIMITS", on(self.rate_limits)),
            ("APP_SESSION_STORE", sessions.to_owned()),
            ("DATABASE_URL", self.database_url.clone()),
            ("REDIS_URL", self.redis_url.clone()),
            ("APP_CACHE_VIEW", on(self.caches.view)),
            ("APP_CACHE_FRAGMENT", on(self.caches.fragment)),
            ("APP_CACHE_VALUE", on(self.caches.value)),
            ("APP_CACHE_LOCAL", local_cache.to_owned()),
            ("APP_WORKER_THREADS", self.worker_threads.to_string()),
            ("APP_DATABASE_CONNECTIONS", self.database_connections.to_string()),
        ];
        let route = self.route.as_ref().map(|route| ("APP_ROUTE".to_owned(), route.clone()));
        let session_redis =
            self.session_redis_url.as_ref().map(|url| ("APP_SESSION_REDIS_URL".to_owned(), url.clone()));
        let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
        let further = self.environment.iter().cloned();
        own.chain(route).chain(session_redis).chain(further).collect()
    }
}

/// A running app server.
#[derive(Debug)]
pub struct AppServer {
    name: String,
    process: Process,
    address: SocketAddr,
}

impl AppServer {
    /// Starts one on a port of its own choice, and waits until it says that it is ready.
    pub async fn start(folder: &RunFolder, options: &AppOptions) -> Result<Self> {
        let launch = Launch {
            name: options.log.as_ref().unwrap_or(&options.name).clone(),
            program: options.binary.clone(),
            arguments: vec!["serve".into()],
            environment: options.variables().into_iter().map(|(name, value)| (name, value.into())).collect(),
            // It lies where the runner's user has built it, which an unprivileged user may be unable to reach.
            unprivileged: false,
            stop_signal: Signal::SIGTERM,
            // It has no children, and a frozen one reacts to nothing else.
            abandon_signal: Signal::SIGKILL,
            stop_limit: STOP_LIMIT,
            processors: options.processors.clone(),
            cpu_share: options.cpu_share,
        };
        let process = Process::start(folder, launch)?;
        let find = async || announced(&process.log_text()).context("it has not said where it listens");
        let address = process.wait_ready(START_LIMIT, async || find().await.map_err(|error| error.to_string())).await?;
        let url = format!("http://{address}/readyz");
        // A proxy of the user's environment has no business between us and our own server.
        let client = crate::http::local().build()?;
        let ask = async || match client.get(&url).send().await {
            Ok(response) if response.status().is_success() => Ok(()),
            Ok(response) => Err(format!("`{url}` answers {}", response.status())),
            Err(error) => Err(format!("{:#}", anyhow::Error::new(error))),
        };
        process.wait_ready(START_LIMIT, ask).await?;
        Ok(Self { name: options.name.clone(), process, address })
    }

    /// Its address as the start of a URL, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Whether it is still there.
    pub fn is_running(&self) -> bool {
        self.process.is_running()
    }

    /// The supervised process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Lets it finish its requests and end.
    pub async fn stop(self) -> Result<()> {
        self.process.stop().await
    }
}

/// The address in the server's announcement, once its whole line is there.
fn announced(log: &str) -> Option<SocketAddr> {
    let (_, rest) = log.split_once(ANNOUNCEMENT)?;
    let (address, _) = rest.split_once('\n')?;
    address.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_when_the_line_is_complete() {
        assert_eq!(announced("starting\nlistening on http://127.0.0.1:80"), None);
        let log = "starting\nlistening on http://127.0.0.1:8081\nmore\n";
        assert_eq!(announced(log), Some("127.0.0.1:8081".parse().unwrap()));
    }
}
