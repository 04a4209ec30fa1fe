//! The servers that belong together. Knows the order in which they start and stop, and nothing of what they are used for.

use anyhow::Result;

use super::app::AppServer;
use super::folder::RunFolder;
use super::nginx::Nginx;
use super::postgres::Postgres;
use super::postgres_settings::PostgresSettings;
use super::process::{Ended, Process};
use super::redis::{Redis, RedisSettings};

/// The stores, and what was started on them. Fields are dropped from top to bottom: whoever uses a server goes before it.
#[derive(Debug)]
pub struct Stack {
    /// The balancer, if there is one.
    pub nginx: Option<Nginx>,
    /// The app servers.
    pub apps: Vec<AppServer>,
    /// The cache, and the sessions unless they have one of their own.
    pub redis: Redis,
    /// The sessions', if it is another.
    pub session_redis: Option<Redis>,
    /// The database.
    pub postgres: Postgres,
}

impl Stack {
    /// Starts PostgreSQL and Redis at the same time. The rest is the caller's, because it needs a seeded database.
    pub async fn start(folder: &RunFolder, postgres: &PostgresSettings, redis: &RedisSettings) -> Result<Self> {
        let (postgres, redis) = tokio::try_join!(Postgres::start(folder, postgres), Redis::start(folder, redis))?;
        Ok(Self { nginx: None, apps: Vec::new(), redis, session_redis: None, postgres })
    }

    fn processes(&self) -> impl Iterator<Item = &Process> {
        let nginx = self.nginx.iter().map(Nginx::process);
        let apps = self.apps.iter().map(AppServer::process);
        let session_redis = self.session_redis.iter().map(Redis::process);
        nginx.chain(apps).chain([self.redis.process()]).chain(session_redis).chain([self.postgres.process()])
    }

    /// Names and process numbers, for whoever measures them.
    pub fn components(&self) -> Vec<(String, u32)> {
        self.processes().map(|process| (process.name().to_owned(), process.pid())).collect()
    }

    /// Fails if one of them has ended, and shows the end of its log.
    pub fn check(&self) -> Result<(), Ended> {
        self.processes().try_for_each(Process::check)
    }

    /// Stops all, each in its orderly way, and reports the first that had ended before.
    pub async fn stop(self) -> Result<()> {
        let mut outcomes = Vec::new();
        if let Some(nginx) = self.nginx {
            outcomes.push(nginx.stop().await);
        }
        for app in self.apps {
            outcomes.push(app.stop().await);
        }
        for redis in [Some(self.redis), self.session_redis].into_iter().flatten() {
            outcomes.push(redis.stop().await);
        }
        outcomes.push(self.postgres.stop().await);
        outcomes.into_iter().collect()
    }
}
