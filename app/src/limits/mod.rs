//! How often something may be done: by one address, and by or to one account. It knows nothing of what is done.
//!
//! The counts are shared by all servers, in Redis: a limit per server would be as many times as large as there are servers. When Redis
//! is away each server counts by itself, which is that much more lenient and far better than nothing. Reading is never limited.
//!
//! The algorithm is GCRA: so many at once, then one per interval. Its state is one time per key, and there is no window at whose
//! edge twice as many could come.

mod local;

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use redis::Script;

use crate::config::Config;
use crate::keys::{Key, hexadecimal};
use crate::redis_link::RedisLink;
use local::LocalLimits;

/// The longest that a request waits for the shared counts.
const REDIS_TIMEOUT: Duration = Duration::from_millis(100);

static GCRA: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("gcra.lua")));

/// What is limited, and how much.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Rule {
    /// Trying to log in, from one address. Behind it may be a whole school.
    LogInFromAddress,
    /// Trying to log in to one account, from anywhere. Low, since guessing is worth it here; it also slows the owner down while
    /// somebody guesses, but never locks them out.
    LogInToAccount,
    /// Making an account, from one address. Each costs a password hash and a name.
    Register,
    /// Beginning a session as a visitor, from one address. Each takes room in the store.
    VisitorSession,
    /// Writing, changing or deleting a post, or changing one's bio, by one account.
    Post,
    /// Commenting, by one account.
    Comment,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::LogInFromAddress, Self::LogInToAccount, Self::Register, Self::VisitorSession, Self::Post, Self::Comment];

    /// How many may come at once, and then one per how long.
    pub fn quota(self) -> (u32, Duration) {
        match self {
            Self::LogInFromAddress => (20, Duration::from_secs(3)),
            Self::LogInToAccount => (5, Duration::from_secs(12)),
            Self::Register => (10, Duration::from_secs(180)),
            Self::VisitorSession => (30, Duration::from_secs(2)),
            Self::Post => (10, Duration::from_secs(15)),
            Self::Comment => (10, Duration::from_secs(6)),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::LogInFromAddress => "log-in-address",
            Self::LogInToAccount => "log-in-account",
            Self::Register => "register",
            Self::VisitorSession => "visitor",
            Self::Post => "post",
            Self::Comment => "comment",
        }
    }
}

/// Who is counted.
#[derive(Clone, Debug)]
pub enum Subject<'a> {
    /// The client of a request.
    Address(IpAddr),
    /// A user who is logged in.
    User(i64),
    /// The name or e-mail address that somebody typed to log in. There need not be such an account.
    Account(&'a str),
}

impl Subject<'_> {
    fn text(&self) -> String {
        match self {
            Self::Address(IpAddr::V4(address)) => format!("address {address}"),
            // A connection has a whole network of 64 bits, and could come from another address each time.
            Self::Address(IpAddr::V6(address)) => match address.to_ipv4_mapped() {
                Some(address) => format!("address {address}"),
                None => format!("network {:x?}", &address.segments()[..4]),
            },
            Self::User(id) => format!("user {id}"),
            Self::Account(name) => format!("account {}", name.trim().to_lowercase()),
        }
    }
}

/// Too often. The same request may pass after a while.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("too many requests; the next one may come in {} s", .retry_after.as_secs())]
pub struct TooOften {
    /// How long to wait.
    pub retry_after: Duration,
}

/// The limits of the site. A clone shares them.
#[derive(Clone)]
pub struct Limits {
    /// None when limits are switched off.
    counts: Option<Arc<Counts>>,
}

struct Counts {
    /// None when there is no Redis at all.
    shared: Option<RedisLink>,
    prefix: String,
    /// Subjects are hashed: keys stay short, and who reads Redis learns neither addresses nor what was typed into a form.
    key: Key,
    local: LocalLimits,
}

impl Limits {
    /// No limits: for measuring, and never for the public.
    pub fn off() -> Self {
        Self { counts: None }
    }

    /// Prepares what the configuration says, without connecting yet. Must be called inside the runtime.
    pub fn from_config(config: &Config) -> anyhow::Result<Self> {
        if !config.rate_limits {
            return Ok(Self::off());
        }
        let redis_url = config.session.redis_url.as_ref().or(config.cache.redis_url.as_ref());
        let shared = redis_url.map(|redis_url| RedisLink::new(redis_url, REDIS_TIMEOUT)).transpose()?;
        Ok(Self::new(shared, &config.cache.prefix, &Key::new(config.secret.as_bytes())))
    }

    /// Limits that are counted in Redis if there is one, under keys that begin with a prefix.
    pub fn new(shared: Option<RedisLink>, prefix: &str, secret: &Key) -> Self {
        let key = secret.derive("rate limits");
        let counts = Counts { shared, prefix: prefix.to_owned(), key, local: LocalLimits::new() };
        Self { counts: Some(Arc::new(counts)) }
    }

    /// Counts a request against every rule given, if all of them let it pass.
    pub async fn check(&self, rules: &[(Rule, Subject<'_>)]) -> Result<(), TooOften> {
        let Some(counts) = &self.counts else { return Ok(()) };
        let wait = match counts.check_shared(rules).await {
            Some(wait) => wait,
            None => counts.check_local(rules),
        };
        if wait.is_zero() { Ok(()) } else { Err(TooOften { retry_after: wait }) }
    }
}

impl Counts {
    /// How long to wait, according to Redis; None if it does not answer.
    async fn check_shared(&self, rules: &[(Rule, Subject<'_>)]) -> Option<Duration> {
        let link = self.shared.as_ref()?;
        let mut script = GCRA.prepare_invoke();
        for (rule, subject) in rules {
            let (burst, interval) = rule.quota();
            script.key(format!("{}:limit:{}:{}", self.prefix, rule.name(), hexadecimal(&self.hash(subject)[..16])));
            script.arg(interval.as_micros().to_string()).arg(burst);
        }
        match link.run::<i64>(&script).await {
            Ok(wait_us) => Some(Duration::from_micros(wait_us.unsigned_abs())),
            Err(error) => {
                tracing::debug!(error = %anyhow::Error::new(error), "the shared rate limits are away");
                None
            }
        }
    }

    fn check_local(&self, rules: &[(Rule, Subject<'_>)]) -> Duration {
        // All rules are asked, though only the last refusal is told: what passes one and not the other is counted by the one, which
        // is a little stricter than Redis is.
        rules.iter().map(|(rule, subject)| self.local.check(*rule, self.hash(subject))).max().unwrap_or_default()
    }

    fn hash(&self, subject: &Subject<'_>) -> [u8; 32] {
        self.key.authenticate(&[subject.text().as_bytes()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_rules_differ() {
        let mut names = Rule::ALL.map(Rule::name);
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn the_readme_lists_the_quotas() {
        for rule in Rule::ALL {
            let (burst, interval) = rule.quota();
            let row = format!("| {burst} | {} s |", interval.as_secs());
            assert!(include_str!("../../README.md").contains(&row), "app/README.md has no row `{row}` for {rule:?}");
        }
    }

    #[test]
    fn subjects_are_told_apart_or_not() {
        let text = |subject: Subject<'_>| subject.text();
        assert_eq!(text(Subject::Account(" Ada ")), text(Subject::Account("ada")));
        assert_ne!(text(Subject::Account("1")), text(Subject::User(1)));
        let address = |text: &str| Subject::Address(text.parse().unwrap()).text();
        assert_eq!(address("2001:db8:1:2::1"), address("2001:db8:1:2:ffff::9"));
        assert_ne!(address("2001:db8:1:2::1"), address("2001:db8:1:3::1"));
        assert_eq!(address("::ffff:192.0.2.7"), address("192.0.2.7"));
        assert_ne!(address("192.0.2.7"), address("192.0.2.8"));
    }

    #[tokio::test]
    async fn without_redis_a_server_counts_by_itself() {
        let limits = Limits::new(None, "test", &Key::new(b"s"));
        let (burst, interval) = Rule::LogInToAccount.quota();
        let from = |host: u8| (Rule::LogInFromAddress, Subject::Address(IpAddr::from([192, 0, 2, host])));
        for host in 0..u8::try_from(burst).unwrap() {
            let rules = [from(host), (Rule::LogInToAccount, Subject::Account("ada"))];
            limits.check(&rules).await.unwrap();
        }
        let refused = limits.check(&[from(100), (Rule::LogInToAccount, Subject::Account("Ada"))]).await.unwrap_err();
        assert!(refused.retry_after <= interval && refused.retry_after > interval / 2, "{refused:?}");
        limits.check(&[from(101), (Rule::LogInToAccount, Subject::Account("grace"))]).await.unwrap();
        Limits::off().check(&[(Rule::Comment, Subject::User(1))]).await.unwrap();
    }
}
