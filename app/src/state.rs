//! What every handler can reach. It is cheap to clone, and it knows no route.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use prometheus_client::metrics::MetricType;

use crate::accounts::Passwords;
use crate::cache::Cache;
use crate::config::Config;
use crate::db::{self, Database};
use crate::limits::Limits;
use crate::server::{Handicap, Metrics, Sample};
use crate::session::Sessions;

/// What every handler can reach: `state.pool`, `state.cache`, … A clone is one count, since the router clones it for every request.
#[derive(Clone)]
pub struct AppState(Arc<Parts>);

impl Deref for AppState {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// The parts of the state.
pub struct Parts {
    /// The database.
    pub pool: Database,
    /// The cache.
    pub cache: Cache,
    /// The sessions.
    pub sessions: Sessions,
    /// The hashing of passwords.
    pub passwords: Passwords,
    /// How often something may be done.
    pub limits: Limits,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What each request bears besides its work.
    pub handicap: Arc<Handicap>,
    /// The configuration, as it was read.
    pub config: Arc<Config>,
    /// Whether the server is stopping: readiness says so, so that a balancer looks elsewhere.
    pub draining: Arc<AtomicBool>,
}

impl AppState {
    /// Prepares everything that a server uses. The database and Redis need not be there yet.
    pub async fn prepare(config: Config) -> anyhow::Result<Self> {
        let pool = Database::connect_lazily(
            &config.database_url,
            &config.name,
            config.database_connections,
            config.sql_comments,
        )?;
        let listen = db::connect_options(&config.database_url, &config.name)?;
        let cache = Cache::connect(&config.cache, listen, config.database_connections).await?;
        let sessions = Sessions::from_config(&config)?;
        let passwords = Passwords::from_config(&config)?;
        let mut metrics = Metrics::new(&config.name, config.requests_max);
        count_database(&mut metrics, &pool);
        count_cache(&mut metrics, &cache);
        count_accounts(&mut metrics, &sessions, &passwords);
        let handicap = Handicap::new(&config.handicap)?;
        handicap.count(&mut metrics);
        Ok(Self(Arc::new(Parts {
            cache,
            limits: Limits::from_config(&config)?,
            sessions,
            passwords,
            metrics: Arc::new(metrics),
            handicap: Arc::new(handicap),
            pool,
            draining: Arc::default(),
            config: Arc::new(config),
        })))
    }
}

fn count_database(metrics: &mut Metrics, pool: &Database) {
    let (open, idle, away) = (pool.clone(), pool.clone(), pool.clone());
    metrics.gauge("database_connections_open", "Connections to PostgreSQL", move || {
        Some(f64::from(open.pool_state().open))
    });
    metrics.gauge("database_connections_idle", "Connections that nobody uses", move || {
        Some(idle.pool_state().idle as f64)
    });
    metrics.gauge("database_away", "1 while PostgreSQL cannot be reached", move || {
        Some(f64::from(u8::from(away.pool_state().is_away)))
    });
    let (waits, waited) = (pool.clone(), pool.clone());
    metrics.counter("database_waits", "Requests that had to wait for a connection", move || {
        Some(waits.pool_state().waits as f64)
    });
    metrics.counter("database_wait_seconds", "For how long they waited", move || Some(waited.pool_state().waited_s));
}

fn count_cache(metrics: &mut Metrics, cache: &Cache) {
    for (place, family) in cache.counters().families().into_iter().enumerate() {
        let cache = cache.clone();
        metrics.sampled(family.name, family.help, MetricType::Counter, move || {
            let samples = cache.counters().families().swap_remove(place).samples;
            let owned = |labels: Vec<(&'static str, &'static str)>| {
                labels.into_iter().map(|(name, value)| (name, value.to_owned())).collect()
            };
            samples.into_iter().map(|(labels, number)| Sample { labels: owned(labels), value: number as f64 }).collect()
        });
    }
    let cache = cache.clone();
    let help = "Whether Redis is asked: 0 it is, 1 it is left alone, 2 one command is trying";
    metrics.gauge("cache_breaker", help, move || cache.breaker_state().map(|state| f64::from(state as u8)));
}

fn count_accounts(metrics: &mut Metrics, sessions: &Sessions, passwords: &Passwords) {
    let (sessions, in_work, refused) = (sessions.clone(), passwords.clone(), passwords.clone());
    metrics.counter("sessions_begun", "Sessions that this server began", move || Some(sessions.begun() as f64));
    metrics
        .gauge("passwords_in_work", "Passwords that are hashed or wait for it", move || Some(in_work.in_work() as f64));
    metrics.counter("passwords_refused", "Passwords that had no turn in time", move || Some(refused.refused() as f64));
}
