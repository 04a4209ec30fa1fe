//! What the value of each variable may be, and what is said of one that may not. It asks somebody else for the values, and opens nothing.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use tracing_subscriber::EnvFilter;

use super::{
    CacheConfig, ConfigError, DEVELOPMENT_SECRET, HandicapConfig, LocalCache, Mode, Secret, SessionConfig,
    SessionStoreKind,
};

/// OWASP's minimum for argon2id with two passes and one lane.
const PASSWORD_MEMORY_KIB: u32 = 19_456;

/// Reads variables and remembers every problem, so that all of them are reported at once.
pub(super) struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { lookup, problems: Vec::new() }
    }

    fn get(&self, variable: &str) -> Option<String> {
        (self.lookup)(variable).filter(|value| !value.is_empty())
    }

    fn wrong(&mut self, variable: &str, value: &str, accepted: &str) {
        self.problems.push(format!("`{variable}` is `{}`, but must be {accepted}", without_password(value)));
    }

    fn missing(&mut self, variable: &str, accepted: &str) {
        self.problems.push(format!("`{variable}` is not set; set it to {accepted}"));
    }

    pub(super) fn checked(
        &mut self,
        variable: &str,
        default: &str,
        accepted: &str,
        is_accepted: fn(&str) -> bool,
    ) -> String {
        let value = self.get(variable).unwrap_or_else(|| default.to_owned());
        if !is_accepted(&value) {
            self.wrong(variable, &value, accepted);
        }
        value
    }

    pub(super) fn number<N: FromStr + PartialOrd + Copy + fmt::Display>(
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

    pub(super) fn switch(&mut self, variable: &str, default: bool) -> bool {
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

    pub(super) fn choice<T: Copy>(&mut self, variable: &str, default: T, accepted: &[(&str, T)]) -> T {
        let Some(value) = self.get(variable) else { return default };
        if let Some((_, choice)) = accepted.iter().find(|(word, _)| *word == value) {
            return *choice;
        }
        let words: Vec<String> = accepted.iter().map(|(word, _)| format!("`{word}`")).collect();
        self.wrong(variable, &value, &words.join(" or "));
        default
    }

    pub(super) fn secret(&mut self, mode: Mode) -> Secret {
        let accepted = "32 to 1024 characters that nobody can guess, such as the output of `openssl rand -hex 32`";
        match self.get("APP_SECRET") {
            Some(value) if !(32..=1024).contains(&value.len()) => {
                // The value stays out of the message: it may be a secret, if not a good one.
                self.problems.push(format!("`APP_SECRET` has {} characters, but must be {accepted}", value.len()));
                Secret(value)
            }
            Some(value) if mode == Mode::Production && value == DEVELOPMENT_SECRET => {
                self.problems.push(format!("`APP_SECRET` is the one for development, but must be {accepted}"));
                Secret(value)
            }
            Some(value) => Secret(value),
            None if mode == Mode::Production => {
                self.missing("APP_SECRET", &format!("{accepted}, or `APP_MODE` to `development`"));
                Secret(String::new())
            }
            None => Secret(DEVELOPMENT_SECRET.to_owned()),
        }
    }

    pub(super) fn public_url(&mut self) -> String {
        let value = self.get("APP_PUBLIC_URL").unwrap_or_else(|| "http://127.0.0.1:8080".to_owned());
        let value = value.trim_end_matches('/').to_owned();
        let is_origin = value.parse::<axum::http::Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some() && uri.path() == "/"
        });
        if !is_origin {
            self.wrong("APP_PUBLIC_URL", &value, "an address without a path, such as `https://blog.example.org`");
        }
        value
    }

    pub(super) fn trusted_proxies(&mut self) -> Vec<IpAddr> {
        let Some(value) = self.get("APP_TRUSTED_PROXIES") else { return Vec::new() };
        let addresses: Result<Vec<IpAddr>, _> = value.split(',').map(|address| address.trim().parse()).collect();
        addresses.unwrap_or_else(|_| {
            self.wrong("APP_TRUSTED_PROXIES", &value, "IP addresses separated by commas, such as `127.0.0.1,::1`");
            Vec::new()
        })
    }

    pub(super) fn password_memory_kib(&mut self, mode: Mode) -> u32 {
        let min = if mode == Mode::Production { PASSWORD_MEMORY_KIB } else { 8 };
        self.number("APP_PASSWORD_MEMORY_KIB", PASSWORD_MEMORY_KIB, min, 1_048_576)
    }

    pub(super) fn handicap(&mut self, mode: Mode) -> HandicapConfig {
        let max = if mode == Mode::Production { 0 } else { 1_000_000 };
        let [delay, cpu] = ["APP_HANDICAP_DELAY_US", "APP_HANDICAP_CPU_US"]
            .map(|variable| Duration::from_micros(self.number(variable, 0, 0, max)));
        HandicapConfig { delay, cpu }
    }

    pub(super) fn session(&mut self) -> SessionConfig {
        const DAY_S: u64 = 24 * 60 * 60;
        let accepted = "a Redis address, `REDIS_URL` to one, or `APP_SESSION_STORE` to `memory`";
        let session = SessionConfig {
            store: self.choice(
                "APP_SESSION_STORE",
                SessionStoreKind::Redis,
                &[("redis", SessionStoreKind::Redis), ("memory", SessionStoreKind::Memory)],
            ),
            redis_url: self.get("APP_SESSION_REDIS_URL").or_else(|| self.get("REDIS_URL")),
            idle_timeout: Duration::from_secs(self.number("APP_SESSION_IDLE_S", 14 * DAY_S, 1, 365 * DAY_S)),
            absolute_timeout: Duration::from_secs(self.number("APP_SESSION_ABSOLUTE_S", 90 * DAY_S, 1, 365 * DAY_S)),
            route: self.get("APP_ROUTE"),
        };
        if let Some(route) = session.route.as_deref().filter(|route| !is_route(route)) {
            self.wrong("APP_ROUTE", route, "1 to 16 letters or digits");
        }
        if session.store == SessionStoreKind::Redis {
            match &session.redis_url {
                Some(value)
                    if redis::Client::open(value.as_str()).is_err() && self.get("APP_SESSION_REDIS_URL").is_some() =>
                {
                    self.wrong("APP_SESSION_REDIS_URL", value, "a Redis address such as `redis://127.0.0.1:6379/0`");
                }
                None => self.missing("APP_SESSION_REDIS_URL", accepted),
                _ => {}
            }
        }
        session
    }

    pub(super) fn listen(&mut self) -> SocketAddr {
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

    pub(super) fn database_url(&mut self) -> String {
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

    pub(super) fn cache(&mut self) -> CacheConfig {
        let accepted = "a Redis address such as `redis://127.0.0.1:6379/0` or `redis+unix:///path/to/socket`";
        let config = CacheConfig {
            redis_url: self.get("REDIS_URL"),
            view: self.switch("APP_CACHE_VIEW", true),
            fragment: self.switch("APP_CACHE_FRAGMENT", true),
            value: self.switch("APP_CACHE_VALUE", true),
            prefix: self.checked("APP_CACHE_PREFIX", "blog", "1 to 64 letters, digits, `-`, `_` or `.`", is_name),
            local: self.choice(
                "APP_CACHE_LOCAL",
                LocalCache::Strict,
                &[("off", LocalCache::Off), ("strict", LocalCache::Strict), ("fast", LocalCache::Fast)],
            ),
            local_mib: self.number("APP_CACHE_LOCAL_MIB", 16, 1, 1024),
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

    pub(super) fn finish<T>(self, value: T) -> Result<T, ConfigError> {
        if self.problems.is_empty() { Ok(value) } else { Err(ConfigError { problems: self.problems }) }
    }
}

/// Names travel in HTTP headers and in cache keys, where other characters would have a meaning.
pub(super) fn is_name(value: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=64).contains(&value.len()) && value.bytes().all(allowed)
}

/// A cookie's value that NGINX compares as it is.
fn is_route(value: &str) -> bool {
    (1..=16).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

pub(super) fn is_filter(value: &str) -> bool {
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
