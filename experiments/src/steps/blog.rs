//! The specimen at work: services, seeded databases, and the servers of one trial. It knows how to set the blog up, not what is
//! asked of it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use app::db::Indexes;
use sqlx::{PgPool, postgres::PgPoolOptions};

use super::profile::DataParameters;
use crate::load::run::Runner;
use crate::stack::{
    self, AppOptions, AppServer, Balancing, CacheLevels, LocalCache, Nginx, NginxOptions, PostgresSettings,
    RedisSettings, RunFolder, Stack, supervise,
};

/// Programs and files that a run needs.
#[derive(Debug, Clone)]
pub struct Programs {
    /// Those of the stack; its supervisor is this crate's own program.
    pub stack: stack::Programs,
    /// The app.
    pub app: PathBuf,
    /// `nginx/nginx.conf.template`.
    pub nginx_template: PathBuf,
}

/// Where a profile wants the load generator to run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Placing {
    /// On a processor of its own, where there are two or more.
    #[default]
    Pinned,
    /// On all of them, beside the system.
    Shared,
}

/// On which processors the load generator and the system under test run.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Placement {
    /// Apart: what the generator uses is not taken from the system.
    Pinned {
        /// PostgreSQL, Redis, the app servers and NGINX.
        system: Vec<usize>,
        /// The load generator.
        generator: Vec<usize>,
    },
    /// All on every processor.
    Shared,
}

impl Placement {
    /// What is wanted, as far as this machine has it: the generator's own processor is the last one.
    #[must_use]
    pub fn on_this_machine(wanted: Placing) -> Self {
        let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        if wanted == Placing::Pinned && count > 1 && cfg!(target_os = "linux") {
            Self::Pinned { system: (0..count - 1).collect(), generator: vec![count - 1] }
        } else {
            Self::Shared
        }
    }

    /// The system's processors; `None` for all.
    #[must_use]
    pub fn system(&self) -> Option<&[usize]> {
        if let Self::Pinned { system, .. } = self { Some(system) } else { None }
    }

    /// The system's first processor; `None` where it shares all with the generator.
    #[must_use]
    pub fn system_first(&self) -> Option<usize> {
        self.system().and_then(<[usize]>::first).copied()
    }

    /// How many processors the system has; `None` where the machine does not tell.
    #[must_use]
    pub fn system_count(&self) -> Option<usize> {
        let all = || std::thread::available_parallelism().ok().map(usize::from);
        self.system().map(<[usize]>::len).or_else(all)
    }

    /// The generator's processors; empty for all.
    #[must_use]
    pub fn generator(&self) -> &[usize] {
        if let Self::Pinned { generator, .. } = self { generator } else { &[] }
    }
}

/// The running stores with their seeded databases.
#[derive(Debug)]
pub struct Blog {
    /// PostgreSQL and Redis.
    pub stack: Stack,
    /// Their folder.
    pub folder: RunFolder,
    /// Who runs where.
    pub placement: Placement,
    /// How much was seeded.
    pub data: DataParameters,
    programs: Programs,
    seed: u64,
}

/// How the blog is set up for one trial.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Setup {
    /// Which caches are on.
    pub caches: CacheLevels,
    /// Whether they have a first level in each server's own memory.
    pub local_cache: LocalCache,
    /// How NGINX chooses a server.
    pub balancing: Balancing,
    /// App servers, one or two.
    pub servers: usize,
    /// A known delay of every request to the last server, as the calibration asks for.
    pub delay_us: u32,
    /// A known processor time that every request to the last server spends for nothing.
    pub cpu_us: u32,
    /// How much of one processor each app server may use: a virtual node. All that is there if `None`.
    pub cpu_share: Option<f64>,
}

impl Setup {
    /// Without a first level, a handicap or a limit.
    #[must_use]
    pub const fn new(caches: CacheLevels, balancing: Balancing, servers: usize) -> Self {
        Self { caches, local_cache: LocalCache::Off, balancing, servers, delay_us: 0, cpu_us: 0, cpu_share: None }
    }
}

/// The servers of one trial.
#[derive(Debug)]
pub struct Servers {
    /// The balancer.
    pub nginx: Nginx,
    /// The app servers.
    pub apps: Vec<AppServer>,
    /// Their database in Redis.
    pub redis_url: String,
}

const PLAIN: &str = "blog_without_indexes";
const INDEXED: &str = "blog_with_indexes";

impl Blog {
    /// Starts the stores, empty, in a folder of their own below `runs`.
    ///
    /// # Errors
    /// When a store does not start; its log is shown.
    pub async fn start(
        programs: Programs,
        runs: &Path,
        placing: Placing,
        data: DataParameters,
        seed: u64,
    ) -> Result<Self> {
        let folder = RunFolder::temporary(runs, programs.stack.clone())?;
        // Once a minute it would take a dozen milliseconds from whichever arm has its turn. What is measured was vacuumed when it was made.
        let settings = PostgresSettings { autovacuum: false, ..PostgresSettings::default() };
        let stack = Stack::start(&folder, &settings, &RedisSettings::default()).await?;
        let placement = Placement::on_this_machine(placing);
        Ok(Self { stack, folder, placement, data, programs, seed })
    }

    /// The seeded database with or without the secondary indexes, made at its first use. Whoever writes takes a clone.
    ///
    /// # Errors
    /// When the database cannot be made or seeded.
    pub async fn seeded(&mut self, indexes: Indexes) -> Result<String> {
        if !self.stack.postgres.database_exists(PLAIN).await? {
            self.make_plain().await?;
        }
        if indexes == Indexes::Without {
            return Ok(PLAIN.to_owned());
        }
        if !self.stack.postgres.database_exists(INDEXED).await? {
            self.copy(PLAIN, INDEXED).await?;
            let pool = self.pool(INDEXED).await?;
            app::db::migrate(&pool, Indexes::With).await?;
            sqlx::query("VACUUM (ANALYZE)").execute(&pool).await.context("cannot analyse the seeded database")?;
            pool.close().await;
        }
        Ok(INDEXED.to_owned())
    }

    async fn make_plain(&self) -> Result<()> {
        self.stack.postgres.create_database(PLAIN, None).await?;
        let pool = self.pool(PLAIN).await?;
        app::db::migrate(&pool, Indexes::Without).await?;
        // Copies of this database inherit it, and the probe counts statements through it.
        sqlx::query("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
            .execute(&pool)
            .await
            .context("cannot count statements")?;
        let seeded = app::seed::seed(&pool, &self.data.size(), self.seed).await;
        pool.close().await;
        if let Err(error) = seeded {
            self.stack.postgres.drop_database(PLAIN).await?;
            return Err(error).context("cannot seed the blog");
        }
        Ok(())
    }

    /// A copy of the seeded database under `name`, for whoever writes to it.
    ///
    /// # Errors
    /// When the copy cannot be made.
    pub async fn clone_seeded(&mut self, name: &str, indexes: Indexes) -> Result<String> {
        let seeded = self.seeded(indexes).await?;
        if self.stack.postgres.database_exists(name).await? {
            self.stack.postgres.drop_database(name).await?;
        }
        self.copy(&seeded, name).await?;
        Ok(name.to_owned())
    }

    /// A copy of the seeded database for trials that write to it, as it was seeded. It is made once under each name; the next trial
    /// finds it freed of what the one before added, because half a gigabyte of copying before each trial takes longer than the trial.
    ///
    /// # Errors
    /// When the copy cannot be made, or not be freed.
    pub async fn trial_database(&mut self, name: &str) -> Result<String> {
        if !self.stack.postgres.database_exists(name).await? {
            return self.clone_seeded(name, Indexes::With).await;
        }
        let seeded = self.seeded(Indexes::With).await?;
        self.restore(&seeded, name).await.with_context(|| format!("cannot restore the database `{name}`"))?;
        Ok(name.to_owned())
    }

    async fn restore(&self, seeded: &str, name: &str) -> Result<()> {
        let mut original = self.stack.postgres.connect(seeded).await?;
        let last: (i64, i64, i64, i64) =
            sqlx::query_as(include_str!("../../queries/trial_seeded.sql")).fetch_one(&mut original).await?;
        let mut copy = self.stack.postgres.connect(name).await?;
        sqlx::query("SET session_replication_role = replica").execute(&mut copy).await?;
        for statement in
            [include_str!("../../queries/trial_remove_added.sql"), include_str!("../../queries/trial_restart_ids.sql")]
        {
            let (users, posts, comments, tags) = last;
            sqlx::query(statement).bind(users).bind(posts).bind(comments).bind(tags).execute(&mut copy).await?;
        }
        sqlx::raw_sql("VACUUM users, posts, comments, tags, post_tags").execute(&mut copy).await?;
        Ok(())
    }

    /// PostgreSQL copies a database only while nobody is connected to it.
    async fn copy(&self, from: &str, to: &str) -> Result<()> {
        let mut connection = self.stack.postgres.connect("postgres").await?;
        sqlx::query(include_str!("../../queries/disconnect_all.sql"))
            .bind(from)
            .execute(&mut connection)
            .await
            .with_context(|| format!("cannot disconnect from `{from}`"))?;
        self.stack.postgres.create_database(to, Some(from)).await
    }

    /// A small pool on a database.
    ///
    /// # Errors
    /// When it cannot connect.
    pub async fn pool(&self, database: &str) -> Result<PgPool> {
        PgPoolOptions::new()
            .max_connections(2)
            .test_before_acquire(false)
            .connect(&self.stack.postgres.url(database))
            .await
            .with_context(|| format!("cannot connect to the database `{database}`"))
    }

    /// Removes a database.
    ///
    /// # Errors
    /// When PostgreSQL refuses.
    pub async fn drop_database(&self, name: &str) -> Result<()> {
        self.stack.postgres.drop_database(name).await
    }

    /// Starts the app servers on `database` and NGINX in front of them, with a Redis database of their own, which is emptied. Several
    /// such sites can run side by side under different numbers, from 0 to 15.
    ///
    /// # Errors
    /// When a server does not become ready; its log is shown.
    pub async fn serve(&self, database: &str, setup: Setup, number: usize) -> Result<Servers> {
        let redis_url = self.stack.redis.url_of(number);
        empty_cache(&redis_url).await?;
        let url = self.stack.postgres.url(database);
        let handicap = [("APP_HANDICAP_DELAY_US", setup.delay_us), ("APP_HANDICAP_CPU_US", setup.cpu_us)]
            .map(|(name, value)| (name.to_owned(), value.to_string()));
        // When they stop, NGINX has stopped before them, and nobody has to be told.
        let at_once = ("APP_DRAIN_PAUSE_MS".to_owned(), "0".to_owned());
        // Visitors who log in every few seconds would make the hashing of passwords, slow on purpose, the only thing that is measured.
        let easy_hashes = ("APP_PASSWORD_MEMORY_KIB".to_owned(), "8".to_owned());
        let options: Vec<AppOptions> = (1..=setup.servers)
            .zip(["a", "b"])
            .map(|(number, route)| {
                let name = format!("app-{number}");
                AppOptions {
                    log: Some(numbered(&name, number)),
                    caches: setup.caches,
                    local_cache: setup.local_cache,
                    environment: if number == setup.servers { &handicap[..] } else { &[] }
                        .iter()
                        .chain([&at_once, &easy_hashes])
                        .cloned()
                        .collect(),
                    route: Some(route.to_owned()),
                    processors: self.placement.system().map(<[usize]>::to_vec),
                    cpu_share: setup.cpu_share,
                    ..AppOptions::new(self.programs.app.clone(), &name, url.clone(), redis_url.clone())
                }
            })
            .collect();
        let mut apps = Vec::new();
        for options in &options {
            apps.push(AppServer::start(&self.folder, options).await?);
        }
        let upstreams = apps.iter().map(AppServer::address).collect();
        let balancing = setup.balancing;
        let options = NginxOptions {
            name: numbered("nginx", number),
            balancing,
            ..NginxOptions::new(self.programs.nginx_template.clone(), upstreams)
        };
        let nginx = Nginx::start(&self.folder, &options).await?;
        let servers = Servers { nginx, apps, redis_url };
        for (_, pid) in self.components(&servers) {
            self.place(pid)?;
        }
        Ok(servers)
    }

    /// The processes that the probe reads: a name and the root of each component.
    #[must_use]
    pub fn components(&self, servers: &Servers) -> Vec<(String, u32)> {
        let apps = servers.apps.iter().map(|app| (app.name().to_owned(), app.pid()));
        [("nginx".to_owned(), servers.nginx.pid())].into_iter().chain(apps).chain(self.stack.components()).collect()
    }

    /// Moves a component with all its processes and threads to the system's processors.
    fn place(&self, pid: u32) -> Result<()> {
        let Some(system) = self.placement.system() else { return Ok(()) };
        crate::probe::placement::place(pid, system)
            .with_context(|| format!("cannot move the process {pid} to the processors {system:?}"))
    }

    /// Who runs the load generator: this crate's own program, which ends with this process.
    #[must_use]
    pub fn runner(&self) -> Runner {
        let supervisor = &self.folder.programs().supervisor;
        Runner { binary: supervisor.clone(), prefix: supervise::prefix(supervisor), cpu_list: Vec::new() }
    }

    /// Fails if PostgreSQL or Redis has ended, and shows the end of its log.
    ///
    /// # Errors
    /// The component that ended.
    pub fn check(&self) -> Result<()> {
        Ok(self.stack.check()?)
    }

    /// Stops the stores and removes their folder.
    ///
    /// # Errors
    /// When a store had ended before.
    pub async fn stop(self) -> Result<()> {
        let Self { stack, folder, .. } = self;
        let stopped = stack.stop().await;
        folder.remove();
        stopped
    }
}

async fn empty_cache(redis_url: &str) -> Result<()> {
    let client = redis::Client::open(redis_url)?;
    let mut connection = client.get_multiplexed_async_connection().await.context("cannot connect to Redis")?;
    redis::cmd("FLUSHDB").exec_async(&mut connection).await.context("cannot empty Redis")
}

fn numbered(name: &str, number: usize) -> String {
    if number == 0 { name.to_owned() } else { format!("{name}-of-site-{number}") }
}

impl Servers {
    /// Stops NGINX, then the app servers.
    ///
    /// # Errors
    /// When one of them had ended before.
    pub async fn stop(self) -> Result<()> {
        let mut outcomes = vec![self.nginx.stop().await];
        for app in self.apps {
            outcomes.push(app.stop().await);
        }
        outcomes.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_where_the_profile_wants_it() {
        let shared = Placement::on_this_machine(Placing::Shared);
        assert_eq!((shared.system(), shared.generator()), (None, [].as_slice()));
        let count = std::thread::available_parallelism().unwrap().get();
        let pinned = Placement::on_this_machine(Placing::Pinned);
        if count > 1 && cfg!(target_os = "linux") {
            let all: Vec<usize> = pinned.system().unwrap().iter().chain(pinned.generator()).copied().collect();
            assert_eq!((all, pinned.generator().len()), ((0..count).collect(), 1));
        } else {
            assert_eq!(pinned, Placement::Shared);
        }
    }
}
