//! What every handler can reach. It is cheap to clone, and it knows no route.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::accounts::Passwords;
use crate::cache::Cache;
use crate::config::Config;
use crate::db::Database;
use crate::limits::Limits;
use crate::server::Metrics;
use crate::session::Sessions;

/// What every handler can reach.
#[derive(Clone)]
pub struct AppState {
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
    /// The configuration, as it was read.
    pub config: Arc<Config>,
    /// Whether the server is stopping: readiness says so, so that a balancer looks elsewhere.
    pub draining: Arc<AtomicBool>,
}

impl AppState {
    /// Prepares everything that a server uses. The database and Redis need not be there yet.
    pub fn prepare(config: Config) -> anyhow::Result<Self> {
        let pool = Database::connect_lazily(
            &config.database_url,
            &config.name,
            config.database_connections,
            config.sql_comments,
        )?;
        Ok(Self {
            cache: Cache::connect(config.cache.clone())?,
            sessions: Sessions::from_config(&config)?,
            passwords: Passwords::from_config(&config)?,
            limits: Limits::from_config(&config)?,
            metrics: Arc::new(metrics(&config, &pool)),
            pool,
            draining: Arc::default(),
            config: Arc::new(config),
        })
    }
}

/// The metrics, with what is read from its owners whenever somebody asks.
fn metrics(config: &Config, pool: &Database) -> Metrics {
    let mut metrics = Metrics::new(&config.name, config.requests_max);
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
    metrics
}
