//! The configuration: the one file that reads the environment, once, into a struct. It opens nothing.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZero;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use tracing_subscriber::EnvFilter;

/// Everything that a server needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// `APP_NAME`: the name that responses and database connections carry. Default `app`.
    pub name: String,
    /// `APP_LISTEN`: address and port; port 0 takes a free one. Default `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// `DATABASE_URL`: the PostgreSQL database. Required.
    pub database_url: String,
    /// `APP_DATABASE_CONNECTIONS`: the most connections to it, 1 to 1000. Default 8.
    pub database_connections: u32,
    /// `APP_CACHE_VIEW`, `APP_CACHE_FRAGMENT`, `APP_CACHE_VALUE`, `APP_CACHE_PREFIX` and `REDIS_URL`.
    pub cache: CacheConfig,
    /// `APP_WORKER_THREADS`: threads that serve requests, 1 to 256. Default: one per core.
    pub worker_threads: usize,
    /// `APP_REQUEST_TIMEOUT_MS`: the longest that a request may take, 10 to 600000. Default 10000.
    pub request_timeout: Duration,
    /// `RUST_LOG`: which log lines are written. Default `info`.
    pub log_filter: String,
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
        let mut reader = Reader { lookup: &lookup, problems: Vec::new() };
        let cores = std::thread::available_parallelism().map_or(2, NonZero::get);
        let config = Self {
            name: reader.checked("APP_NAME", "app", "1 to 64 letters, digits, `-`, `_` or `.`", is_name),
            listen: reader.listen(),
            database_url: reader.database_url(),
            database_connections: reader.number("APP_DATABASE_CONNECTIONS", 8, 1, 1000),
            cache: reader.cache(),
            worker_threads: reader.number("APP_WORKER_THREADS", cores, 1, 256),
            request_timeout: Duration::from_millis(reader.number("APP_REQUEST_TIMEOUT_MS", 10_000, 10, 600_000)),
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
    let mut reader = Reader { lookup: &environment, problems: Vec::new() };
    let database_url = reader.database_url();
    reader.finish(database_url)
}

/// A variable whose bytes are not text counts as wrong later, since its replacement characters fit nothing that is accepted.
fn environment(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// Reads variables and remembers every problem, so that all of them are reported at once.
struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<String>,
}

impl Reader<'_> {
    fn get(&self, variable: &str) -> Option<String> {
        (self.lookup)(variable).filter(|value| !value.is_empty())
    }

    fn wrong(&mut self, variable: &str, value: &str, accepted: &str) {
        self.problems.push(format!("`{variable}` is `{}`, but must be {accepted}", without_password(value)));
    }

    fn missing(&mut self, variable: &str, accepted: &str) {
        self.problems.push(format!("`{variable}` is not set; set it to {accepted}"));
    }

    fn checked(&mut self, variable: &str, default: &str, accepted: &str, is_accepted: fn(&str) -> bool) -> String {
        let value = self.get(variable).unwrap_or_else(|| default.to_owned());
        if !is_accepted(&value) {
            self.wrong(variable, &value, accepted);
        }
        value
    }

    fn number<N: FromStr + PartialOrd + Copy + fmt::Display>(
        &mut self,
        variable: &str,
        default: N,
        min: N,
        max: N,
    ) -> N {
        let Some(value) = self.get(variable) else { return default };
        match value.parse() {
            Ok(number) if number >= min && number <= max => number,
            _ => {
                self.wrong(variable, &value, &format!("a whole number from {min} to {max}"));
                default
            }
        }
    }

    fn switch(&mut self, variable: &str, default: bool) -> bool {
        match self.get(variable).as_deref() {
            None => default,
            Some("on") => true,
            Some("off") => false,
            Some(value) => {
                self.wrong(variable, value, "`on` or `off`");
                default
            }
        }
    }

    fn listen(&mut self) -> SocketAddr {
        let default = SocketAddr::from(([127, 0, 0, 1], 8080));
        let allow_public = self.switch("APP_ALLOW_PUBLIC", false);
        let Some(value) = self.get("APP_LISTEN") else { return default };
        match value.parse::<SocketAddr>() {
            Ok(address) if address.ip().is_loopback() || allow_public => address,
            Ok(_) => {
                self.wrong("APP_LISTEN", &value, "a loopback address, or `APP_ALLOW_PUBLIC` must be `on`");
                default
            }
            Err(_) => {
                self.wrong("APP_LISTEN", &value, "an IP address and a port, such as `127.0.0.1:8080`");
                default
            }
        }
    }

    fn database_url(&mut self) -> String {
        let accepted = "a PostgreSQL address such as `postgres://user@localhost/blog`";
        let Some(value) = self.get("DATABASE_URL") else {
            self.missing("DATABASE_URL", accepted);
            return String::new();
        };
        let scheme_fits = value.starts_with("postgres://") || value.starts_with("postgresql://");
        if !scheme_fits || PgConnectOptions::from_str(&value).is_err() {
            self.wrong("DATABASE_URL", &value, accepted);
        }
        value
    }

    fn cache(&mut self) -> CacheConfig {
        let accepted = "a Redis address such as `redis://127.0.0.1:6379/0` or `redis+unix:///path/to/socket`";
        let config = CacheConfig {
            redis_url: self.get("REDIS_URL"),
            view: self.switch("APP_CACHE_VIEW", true),
            fragment: self.switch("APP_CACHE_FRAGMENT", true),
            value: self.switch("APP_CACHE_VALUE", true),
            prefix: self.checked("APP_CACHE_PREFIX", "blog", "1 to 64 letters, digits, `-`, `_` or `.`", is_name),
        };
        match &config.redis_url {
            Some(value) if redis::Client::open(value.as_str()).is_err() => self.wrong("REDIS_URL", value, accepted),
            None if config.view || config.fragment || config.value => {
                self.missing("REDIS_URL", &format!("{accepted}, or switch all three levels of the cache off"));
            }
            _ => {}
        }
        config
    }

    fn finish<T>(self, value: T) -> Result<T, ConfigError> {
        if self.problems.is_empty() { Ok(value) } else { Err(ConfigError { problems: self.problems }) }
    }
}

/// Names travel in HTTP headers and in cache keys, where other characters would have a meaning.
fn is_name(value: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=64).contains(&value.len()) && value.bytes().all(allowed)
}

fn is_filter(value: &str) -> bool {
    EnvFilter::builder().parse(value).is_ok()
}

/// An address in an error message must not carry its password into a log.
fn without_password(value: &str) -> String {
    let Some((scheme, rest)) = value.split_once("://") else { return value.to_owned() };
    let Some((credentials, host)) = rest.rsplit_once('@') else { return value.to_owned() };
    match credentials.split_once(':') {
        Some((user, _)) => format!("{scheme}://{user}:***@{host}"),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Config, String> {
        let lookup = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Config::from_lookup(lookup).map_err(|error| error.to_string())
    }

    const NEEDED: [(&str, &str); 2] =
        [("DATABASE_URL", "postgres://me@localhost/blog"), ("REDIS_URL", "redis://127.0.0.1/0")];

    #[test]
    fn two_variables_are_enough() {
        let config = read(&NEEDED).unwrap();
        assert_eq!(config.name, "app");
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.database_connections, 8);
        assert!(config.cache.view && config.cache.fragment && config.cache.value);
    }

    #[test]
    fn redis_is_not_needed_when_nothing_is_cached() {
        let off = [("APP_CACHE_VIEW", "off"), ("APP_CACHE_FRAGMENT", "off"), ("APP_CACHE_VALUE", "off")];
        read(&[&NEEDED[..1], &off].concat()).unwrap();
        assert!(read(&[&NEEDED[..1], &off[..2]].concat()).unwrap_err().contains("`REDIS_URL` is not set"));
    }

    #[test]
    fn all_problems_are_reported_at_once_with_what_is_accepted() {
        let error = read(&[
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
          `APP_NAME` is `two words`, but must be 1 to 64 letters, digits, `-`, `_` or `.`
          `APP_LISTEN` is `localhost`, but must be an IP address and a port, such as `127.0.0.1:8080`
          `DATABASE_URL` is `mysql://me:***@localhost/blog`, but must be a PostgreSQL address such as `postgres://user@localhost/blog`
          `APP_DATABASE_CONNECTIONS` is `many`, but must be a whole number from 1 to 1000
          `APP_CACHE_VIEW` is `yes`, but must be `on` or `off`
          `REDIS_URL` is `http://localhost`, but must be a Redis address such as `redis://127.0.0.1:6379/0` or `redis+unix:///path/to/socket`
          `APP_WORKER_THREADS` is `0`, but must be a whole number from 1 to 256
          `APP_REQUEST_TIMEOUT_MS` is `-1`, but must be a whole number from 10 to 600000
          `RUST_LOG` is `app=loud`, but must be a filter such as `info` or `app=debug,sqlx=warn`
        ");
    }

    #[test]
    fn a_public_address_must_be_allowed() {
        let public = [("APP_LISTEN", "0.0.0.0:80")];
        assert!(read(&[&NEEDED[..], &public].concat()).unwrap_err().contains("APP_ALLOW_PUBLIC"));
        let allowed = [("APP_LISTEN", "0.0.0.0:80"), ("APP_ALLOW_PUBLIC", "on")];
        assert_eq!(read(&[&NEEDED[..], &allowed].concat()).unwrap().listen.port(), 80);
    }
}
