//! The configuration: the one file that reads the environment, once, into a struct. It opens nothing.

mod reader;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZero;
use std::time::Duration;

use self::reader::{Reader, is_filter, is_name};

/// Everything that a server needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// `APP_MODE`: `production`, where cookies are secure and nothing has a default that must be secret, or `development`. Default
    /// `production`.
    pub mode: Mode,
    /// `APP_SECRET`: the key under which passwords and session ids are hashed, 32 to 1024 characters. Required in production; in development
    /// it has a default, which production refuses.
    pub secret: Secret,
    /// `APP_PUBLIC_URL`: the address at which readers find the blog, for links that leave it, such as those of a feed. Default
    /// `http://127.0.0.1:8080`.
    pub public_url: String,
    /// `APP_TRUSTED_PROXIES`: the addresses, separated by commas, whose `X-Real-IP` and `X-Request-Id` are believed. Default: none.
    pub trusted_proxies: Vec<IpAddr>,
    /// `APP_REQUESTS_MAX`: how many requests may be under way at once before more are refused, 1 to 100000. Default 1024.
    pub requests_max: usize,
    /// `APP_RATE_LIMITS`: whether one client can be told that it asks too often. Default `on`.
    pub rate_limits: bool,
    /// `APP_PASSWORD_MEMORY_KIB`: memory for hashing one password, 8 to 1048576. Default 19456, and production refuses less.
    pub password_memory_kib: u32,
    /// `APP_SQL_COMMENTS`: whether each statement carries the name of its request, at the price of being planned each time. Default
    /// `off`.
    pub sql_comments: bool,
    /// What begins with `APP_SESSION_`, and `APP_ROUTE`.
    pub session: SessionConfig,
    /// `APP_NAME`: the name that responses and database connections carry. Default `app`.
    pub name: String,
    /// `APP_LISTEN`: address and port; port 0 takes a free one, which is printed on stdout. Default `127.0.0.1:8080`.
    /// `APP_ALLOW_PUBLIC`: `on` permits an address that is not loopback. Default `off`.
    pub listen: SocketAddr,
    /// `DATABASE_URL`: the PostgreSQL database. Required.
    pub database_url: String,
    /// `APP_DATABASE_CONNECTIONS`: the most connections to it, 1 to 1000. Default 8.
    pub database_connections: u32,
    /// What begins with `APP_CACHE_`, and `REDIS_URL`.
    pub cache: CacheConfig,
    /// `APP_WORKER_THREADS`: threads that serve requests, 1 to 256. Default: one per core.
    pub worker_threads: usize,
    /// `APP_REQUEST_TIMEOUT_MS`: the longest that a request may take, 10 to 600000. Default 10000.
    pub request_timeout: Duration,
    /// `APP_DRAIN_PAUSE_MS`: how long a stopping server goes on accepting, 0 to 15000, so that whoever asks for its readiness learns of it
    /// first. Default 250: enough to tell every busy connection; somewhat more than the time between two looks, where somebody looks.
    pub drain_pause: Duration,
    /// What begins with `APP_HANDICAP_`.
    pub handicap: HandicapConfig,
    /// `RUST_LOG`: which log lines are written. Default `info`.
    pub log_filter: String,
}

/// A known cost of every request, by which whoever measures can find out whether the measurement finds it.
#[derive(Clone, Copy, Debug)]
pub struct HandicapConfig {
    /// `APP_HANDICAP_DELAY_US`: for how long each request waits, 0 to 1000000. Default 0, and production refuses more.
    pub delay: Duration,
    /// `APP_HANDICAP_CPU_US`: how much processor time each request spends for nothing, 0 to 1000000. Default 0, and production refuses
    /// more.
    pub cpu: Duration,
}

/// Whether strangers can reach the server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// On somebody's own machine: cookies work without TLS, secrets have defaults.
    Development,
    /// Behind TLS: cookies are sent over it alone, secrets must be given.
    Production,
}

/// A secret, which no log and no error message shows.
#[derive(Clone, Eq, PartialEq)]
pub struct Secret(String);

impl Secret {
    /// The secret's bytes, as a key.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(***)")
    }
}

/// What is the secret when nobody has one to keep.
const DEVELOPMENT_SECRET: &str = "no secret at all, for development only";

/// What sessions need to know.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// `APP_SESSION_STORE`: `memory` of this server alone, or `redis`, which all servers share. Default `redis`.
    pub store: SessionStoreKind,
    /// `APP_SESSION_REDIS_URL`: the Redis server that keeps them. Default: `REDIS_URL`. Required if they are kept in Redis.
    pub redis_url: Option<String>,
    /// `APP_SESSION_IDLE_S`: how long a session outlives its last request, 1 to 31536000. Default two weeks.
    pub idle_timeout: Duration,
    /// `APP_SESSION_ABSOLUTE_S`: how long a session lives at most, 1 to 31536000. Default 90 days.
    pub absolute_timeout: Duration,
    /// `APP_ROUTE`: the value of the cookie `srv`, by which a balancer finds the server that logged somebody in: 1 to 16 letters or digits.
    /// Default: no such cookie.
    pub route: Option<String>,
}

/// Where sessions are kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SessionStoreKind {
    /// In the memory of this server: lost when it stops, unknown to other servers.
    Memory,
    /// In Redis.
    Redis,
}

/// Whether a server keeps what it has fetched from the cache in its own memory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LocalCache {
    /// It does not.
    Off,
    /// It does, and asks Redis each time whether that still counts.
    Strict,
    /// It does, and is told by Redis what no longer counts: nothing is asked, and what is shown may be older by that message's way.
    Fast,
}

/// What the cache needs to know.
#[derive(Clone, Debug)]
pub struct CacheConfig {
    /// `REDIS_URL`: the Redis server. Required unless every level is off.
    pub redis_url: Option<String>,
    /// `APP_CACHE_VIEW`: whether whole pages are kept. Default `on`.
    pub view: bool,
    /// `APP_CACHE_FRAGMENT`: whether parts of pages are kept. Default `on`.
    pub fragment: bool,
    /// `APP_CACHE_VALUE`: whether results of queries are kept. Default `on`.
    pub value: bool,
    /// `APP_CACHE_PREFIX`: how every key begins. Servers that share it share the cache. Default `blog`.
    pub prefix: String,
    /// `APP_CACHE_LOCAL`: `off`, `strict` or `fast`: see [`LocalCache`]. Default `strict`.
    pub local: LocalCache,
    /// `APP_CACHE_LOCAL_MIB`: the memory for that, 1 to 1024. Default 16.
    pub local_mib: u32,
}

/// One or more variables are wrong.
#[derive(Debug, Eq, PartialEq)]
pub struct ConfigError {
    problems: Vec<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the environment is not usable")?;
        for problem in &self.problems {
            write!(formatter, "\n  {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads the environment of the process.
    pub fn from_environment() -> Result<Self, ConfigError> {
        Self::from_lookup(environment)
    }

    /// Reads from any source of variables. A variable that is empty counts as not set.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(&lookup);
        let cores = std::thread::available_parallelism().map_or(2, NonZero::get);
        let mode = reader.choice(
            "APP_MODE",
            Mode::Production,
            &[("production", Mode::Production), ("development", Mode::Development)],
        );
        let config = Self {
            mode,
            secret: reader.secret(mode),
            public_url: reader.public_url(),
            trusted_proxies: reader.trusted_proxies(),
            requests_max: reader.number("APP_REQUESTS_MAX", 1024, 1, 100_000),
            rate_limits: reader.switch("APP_RATE_LIMITS", true),
            password_memory_kib: reader.password_memory_kib(mode),
            sql_comments: reader.switch("APP_SQL_COMMENTS", false),
            session: reader.session(),
            name: reader.checked("APP_NAME", "app", "1 to 64 letters, digits, `-`, `_` or `.`", is_name),
            listen: reader.listen(),
            database_url: reader.database_url(),
            database_connections: reader.number("APP_DATABASE_CONNECTIONS", 8, 1, 1000),
            cache: reader.cache(),
            worker_threads: reader.number("APP_WORKER_THREADS", cores, 1, 256),
            request_timeout: Duration::from_millis(reader.number("APP_REQUEST_TIMEOUT_MS", 10_000, 10, 600_000)),
            drain_pause: Duration::from_millis(reader.number("APP_DRAIN_PAUSE_MS", 250, 0, 15_000)),
            handicap: reader.handicap(mode),
            log_filter: reader.checked(
                "RUST_LOG",
                "info",
                "a filter such as `info` or `app=debug,sqlx=warn`",
                is_filter,
            ),
        };
        reader.finish(config)
    }
}

/// Reads the one variable that the commands without a server need: `DATABASE_URL`.
pub fn database_url_from_environment() -> Result<String, ConfigError> {
    let mut reader = Reader::new(&environment);
    let database_url = reader.database_url();
    reader.finish(database_url)
}

/// A variable whose bytes are not text counts as wrong later, since its replacement characters fit nothing that is accepted.
fn environment(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Config, String> {
        let lookup = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Config::from_lookup(lookup).map_err(|error| error.to_string())
    }

    const NEEDED: [(&str, &str); 3] = [
        ("DATABASE_URL", "postgres://me@localhost/blog"),
        ("APP_SECRET", "0123456789abcdef0123456789abcdef"),
        ("REDIS_URL", "redis://127.0.0.1/0"),
    ];

    #[test]
    fn three_variables_are_enough() {
        let config = read(&NEEDED).unwrap();
        assert_eq!(config.name, "app");
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.database_connections, 8);
        assert!(config.cache.view && config.cache.fragment && config.cache.value);
    }

    #[test]
    fn redis_is_not_needed_when_nothing_is_cached() {
        let off = [
            ("APP_SESSION_STORE", "memory"),
            ("APP_CACHE_VIEW", "off"),
            ("APP_CACHE_FRAGMENT", "off"),
            ("APP_CACHE_VALUE", "off"),
        ];
        read(&[&NEEDED[..2], &off].concat()).unwrap();
        assert!(read(&[&NEEDED[..2], &off[..3]].concat()).unwrap_err().contains("`REDIS_URL` is not set"));
        assert!(read(&[&NEEDED[..2], &off[1..]].concat()).unwrap_err().contains("`APP_SESSION_REDIS_URL` is not set"));
    }

    #[test]
    fn all_problems_are_reported_at_once_with_what_is_accepted() {
        let error = read(&[
            ("APP_MODE", "debug"),
            ("APP_SECRET", "short"),
            ("APP_PUBLIC_URL", "blog"),
            ("APP_TRUSTED_PROXIES", "127.0.0.1, nginx"),
            ("APP_REQUESTS_MAX", "0"),
            ("APP_RATE_LIMITS", "true"),
            ("APP_PASSWORD_MEMORY_KIB", "64"),
            ("APP_SESSION_STORE", "cookie"),
            ("APP_ROUTE", "a b"),
            ("APP_CACHE_LOCAL", "on"),
            ("APP_NAME", "two words"),
            ("APP_LISTEN", "localhost"),
            ("DATABASE_URL", "mysql://me:secret@localhost/blog"),
            ("REDIS_URL", "http://localhost"),
            ("APP_CACHE_VIEW", "yes"),
            ("APP_WORKER_THREADS", "0"),
            ("APP_DATABASE_CONNECTIONS", "many"),
            ("APP_REQUEST_TIMEOUT_MS", "-1"),
            ("RUST_LOG", "app=loud"),
        ])
        .unwrap_err();
        insta::assert_snapshot!(error, @r"
        the environment is not usable
          `APP_MODE` is `debug`, but must be `production` or `development`
          `APP_SECRET` has 5 characters, but must be 32 to 1024 characters that nobody can guess, such as the output of `openssl rand -hex 32`
          `APP_PUBLIC_URL` is `blog`, but must be an address without a path, such as `https://blog.example.org`
          `APP_TRUSTED_PROXIES` is `127.0.0.1, nginx`, but must be IP addresses separated by commas, such as `127.0.0.1,::1`
          `APP_REQUESTS_MAX` is `0`, but must be a whole number from 1 to 100000
          `APP_RATE_LIMITS` is `true`, but must be `on` or `off`
          `APP_PASSWORD_MEMORY_KIB` is `64`, but must be a whole number from 19456 to 1048576
          `APP_SESSION_STORE` is `cookie`, but must be `redis` or `memory`
          `APP_ROUTE` is `a b`, but must be 1 to 16 letters or digits
          `APP_NAME` is `two words`, but must be 1 to 64 letters, digits, `-`, `_` or `.`
          `APP_LISTEN` is `localhost`, but must be an IP address and a port, such as `127.0.0.1:8080`
          `DATABASE_URL` is `mysql://me:***@localhost/blog`, but must be a PostgreSQL address such as `postgres://user@localhost/blog`
          `APP_DATABASE_CONNECTIONS` is `many`, but must be a whole number from 1 to 1000
          `APP_CACHE_VIEW` is `yes`, but must be `on` or `off`
          `APP_CACHE_LOCAL` is `on`, but must be `off` or `strict` or `fast`
          `REDIS_URL` is `http://localhost`, but must be a Redis address such as `redis://127.0.0.1:6379/0` or `redis+unix:///path/to/socket`
          `APP_WORKER_THREADS` is `0`, but must be a whole number from 1 to 256
          `APP_REQUEST_TIMEOUT_MS` is `-1`, but must be a whole number from 10 to 600000
          `RUST_LOG` is `app=loud`, but must be a filter such as `info` or `app=debug,sqlx=warn`
        ");
    }

    #[test]
    fn production_takes_no_secret_from_a_default() {
        assert!(read(&[NEEDED[0], NEEDED[2]]).unwrap_err().contains("`APP_SECRET` is not set"));
        let of_development = [NEEDED[0], NEEDED[2], ("APP_SECRET", DEVELOPMENT_SECRET)];
        assert!(read(&of_development).unwrap_err().contains("is the one for development"));
        let config = read(&[NEEDED[0], NEEDED[2], ("APP_MODE", "development")]).unwrap();
        assert_eq!(config.secret.as_bytes(), DEVELOPMENT_SECRET.as_bytes());
        assert_eq!(format!("{:?}", config.secret), "Secret(***)");
    }

    #[test]
    fn production_bears_no_handicap() {
        let handicap = [("APP_HANDICAP_DELAY_US", "200")];
        assert!(read(&[&NEEDED[..], &handicap].concat()).unwrap_err().contains("a whole number from 0 to 0"));
        let config = read(&[&NEEDED[..], &handicap, &[("APP_MODE", "development")]].concat()).unwrap();
        assert_eq!((config.handicap.delay, config.handicap.cpu), (Duration::from_micros(200), Duration::ZERO));
    }

    #[test]
    fn a_public_address_must_be_allowed() {
        let public = [("APP_LISTEN", "0.0.0.0:80")];
        assert!(read(&[&NEEDED[..], &public].concat()).unwrap_err().contains("APP_ALLOW_PUBLIC"));
        let allowed = [("APP_LISTEN", "0.0.0.0:80"), ("APP_ALLOW_PUBLIC", "on")];
        assert_eq!(read(&[&NEEDED[..], &allowed].concat()).unwrap().listen.port(), 80);
    }
}
