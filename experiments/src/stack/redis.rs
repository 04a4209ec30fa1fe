//! A private Redis (or Valkey) on a loopback port. Knows nothing of what is kept in it.
//!
//! TCP, not a unix socket: that is how the app meets its Redis in production, and the price of the loopback is part of what
//! a cache costs.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use super::folder::RunFolder;
use super::port::{ATTEMPTS, free_address};
use super::process::{Launch, Process};

const START_LIMIT: Duration = Duration::from_secs(20);
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// What the server says when another program was faster.
const PORT_TAKEN: &str = "Address already in use";
/// What is read back from the server and recorded.
const RECORDED: [&str; 8] =
    ["appendonly", "bind", "io-threads", "maxmemory", "maxmemory-policy", "protected-mode", "save", "timeout"];
/// What is read of how it was built. Valkey tells the same under the same names.
const OF_BUILD: [&str; 7] = [
    "redis_build_id",
    "redis_git_sha1",
    "redis_git_dirty",
    "mem_allocator",
    "gcc_version",
    "multiplexing_api",
    "arch_bits",
];

/// What a run may choose. The default is a cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedisSettings {
    /// The log's name, that of the folder, and the name in messages; two instances of a stack need two.
    pub name: String,
    /// The port, for one that takes the place of another; a free one if absent.
    pub port: Option<u16>,
    /// The memory for data, after which keys are evicted.
    pub max_memory_mib: u32,
    /// Which keys are evicted. The least frequently used ones are right for a cache of pages of which few are popular.
    pub eviction: String,
    /// Whether its data are on disk too and there again after the next start in the same folder.
    pub persistent: bool,
}

impl RedisSettings {
    /// One for sessions: they may not be evicted to make room, and they outlive a restart.
    pub fn for_sessions() -> Self {
        Self {
            name: "redis-sessions".to_owned(),
            eviction: "noeviction".to_owned(),
            persistent: true,
            ..Self::default()
        }
    }
}

impl Default for RedisSettings {
    fn default() -> Self {
        Self {
            name: "redis".to_owned(),
            port: None,
            max_memory_mib: 128,
            eviction: "allkeys-lfu".to_owned(),
            persistent: false,
        }
    }
}

/// A running Redis.
#[derive(Debug)]
pub struct Redis {
    process: Process,
    address: SocketAddr,
    settings: BTreeMap<String, String>,
}

impl Redis {
    /// Starts one: empty, unless it is persistent and was here before.
    pub async fn start(folder: &RunFolder, settings: &RedisSettings) -> Result<Self> {
        let mut attempt = 1;
        loop {
            let address = settings.port.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
            let redis = Self::launch(folder, settings, address.map_or_else(free_address, Ok)?)?;
            match redis.wait_ready().await {
                Ok(settings) => return Ok(Self { settings, ..redis }),
                Err(_) if attempt < ATTEMPTS && redis.process.log_text().contains(PORT_TAKEN) => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    fn launch(folder: &RunFolder, settings: &RedisSettings, address: SocketAddr) -> Result<Self> {
        let port = address.port().to_string();
        let max_memory = format!("{}mb", settings.max_memory_mib);
        let home = folder.service_folder(&settings.name)?;
        let arguments = [
            ["--bind", "127.0.0.1"],
            ["--port", &port],
            ["--protected-mode", "yes"],
            ["--daemonize", "no"],
            ["--dir", home.to_str().context("the path of the run folder is not text")?],
            ["--save", ""],
            // Every command goes to a log that is written to disk once a second.
            ["--appendonly", if settings.persistent { "yes" } else { "no" }],
            ["--maxmemory", &max_memory],
            ["--maxmemory-policy", &settings.eviction],
        ];
        let launch = Launch {
            name: settings.name.clone(),
            program: folder.programs().redis.clone(),
            arguments: arguments.as_flattened().iter().map(OsString::from).collect(),
            environment: vec![("LC_ALL".to_owned(), "C".into())],
            unprivileged: true,
            stop_signal: Signal::SIGTERM,
            // What is to be kept is in the log already, and a rewrite of it is a child in the same group.
            abandon_signal: Signal::SIGKILL,
            stop_limit: STOP_LIMIT,
            processors: None,
            cpu_share: None,
        };
        Ok(Self { process: Process::start(folder, launch)?, address, settings: BTreeMap::new() })
    }

    /// Asks until the server answers, and reads its settings.
    async fn wait_ready(&self) -> Result<BTreeMap<String, String>> {
        let client = redis::Client::open(self.url())?;
        let ask = async || self.greet(&client).await.map_err(|error| format!("{error:#}"));
        self.process.wait_ready(START_LIMIT, ask).await
    }

    async fn greet(&self, client: &redis::Client) -> Result<BTreeMap<String, String>> {
        let mut connection = client.get_multiplexed_async_connection().await?;
        let information: redis::InfoDict = redis::cmd("INFO").arg("server").query_async(&mut connection).await?;
        // Whoever took the port between its choice and now may be a Redis too.
        let pid: u32 = information.get("process_id").context("no process number in the answer")?;
        anyhow::ensure!(pid == self.process.pid(), "another Redis answers on port {}", self.address.port());
        let mut settings: BTreeMap<String, String> =
            redis::cmd("CONFIG").arg("GET").arg(&RECORDED).query_async(&mut connection).await?;
        for key in ["redis_version", "valkey_version"] {
            if let Some(version) = information.get(key) {
                settings.insert(key.to_owned(), version);
            }
        }
        Ok(settings)
    }

    /// Its address, for the `redis` crate and for `REDIS_URL`.
    pub fn url(&self) -> String {
        self.url_of(0)
    }

    /// The address of one of its sixteen databases, for a site that shares the server and nothing else.
    pub fn url_of(&self, database: usize) -> String {
        format!("redis://{}/{database}", self.address)
    }

    /// Its port, for the one that is to take its place.
    pub fn port(&self) -> u16 {
        self.address.port()
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

    /// The settings that matter to a cache, as the server told them after its start, and its version.
    pub fn settings(&self) -> &BTreeMap<String, String> {
        &self.settings
    }

    /// How it was built: its number, its source, allocator, compiler and event loop, as the server itself tells.
    pub async fn build(&self) -> Result<BTreeMap<String, String>> {
        let mut connection = redis::Client::open(self.url())?.get_multiplexed_async_connection().await?;
        let mut found = BTreeMap::new();
        for section in ["server", "memory"] {
            let told: redis::InfoDict = redis::cmd("INFO").arg(section).query_async(&mut connection).await?;
            found.extend(OF_BUILD.iter().filter_map(|name| Some(((*name).to_owned(), told.get(name)?))));
        }
        Ok(found)
    }

    /// Ends it; its data is gone unless it is persistent.
    pub async fn stop(self) -> Result<()> {
        self.process.stop().await
    }
}
