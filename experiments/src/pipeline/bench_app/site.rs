//! What runs while the blog is held against others: the stores, a server of the blog for each way of caching, and those it is compared
//! with. All of it is on the system's processors, the generator is on its own.

use anyhow::{Context, Result, ensure};
use app::db::Indexes;

use super::{
    super::Project,
    reference::{Bare, FileServer, Page},
};
use crate::{
    probe::placement,
    stack::{AppOptions, AppServer, CacheLevels, LocalCache, Process},
    steps::{Blog, DataParameters, Placing, Programs},
};

/// Ways of keeping the cache in a server's own memory, as the contenders are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Local {
    /// Nothing is asked on a hit.
    Fast,
    /// Redis is asked whether the page still holds.
    Strict,
    /// Redis has the page.
    Off,
}

impl Local {
    pub(super) const ALL: [Self; 3] = [Self::Fast, Self::Strict, Self::Off];

    /// The word in tables.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Strict => "strict",
            Self::Off => "redis_only",
        }
    }

    fn setting(self) -> LocalCache {
        match self {
            Self::Fast => LocalCache::Fast,
            Self::Strict => LocalCache::Strict,
            Self::Off => LocalCache::Off,
        }
    }
}

/// Everything that runs.
pub(super) struct Site {
    /// The stores with the seeded database.
    pub(super) blog: Blog,
    /// Its name.
    pub(super) database: String,
    /// A server without any cache.
    pub(super) uncached: AppServer,
    cached: Vec<(Local, AppServer)>,
    /// A server that does nothing but answer, one that asks Redis for marks first, and one that asks it for the page too.
    pub(super) bare: [Bare; 3],
    /// NGINX with the page as a file.
    pub(super) file: FileServer,
    /// The page that everybody answers with.
    pub(super) page: Page,
}

impl Site {
    pub(super) async fn start(
        project: &Project,
        programs: Programs,
        reference: std::path::PathBuf,
        data: DataParameters,
        seed: u64,
    ) -> Result<Self> {
        let mut blog = Blog::start(programs.clone(), &project.runs(), Placing::Pinned, data, seed).await?;
        ensure!(
            blog.placement.system().is_some(),
            "the generator needs a processor of its own; run this on Linux with two processors or more"
        );
        let database = blog.seeded(Indexes::With).await?;
        for (_, pid) in blog.stack.components() {
            place(&blog, pid)?;
        }
        let uncached = start_app(&blog, &programs, &database, None).await?;
        let mut cached = Vec::new();
        for local in Local::ALL {
            cached.push((local, start_app(&blog, &programs, &database, Some(local)).await?));
        }
        let server = |wanted: Local| server_of(&cached, wanted);
        let page = Page::fetch(server(Local::Fast)?.address()).await?;
        let mut bare = Vec::new();
        for (name, of, local) in [
            ("bare", Local::Fast, None),
            ("bare_marks", Local::Strict, Some(Local::Strict)),
            ("bare_page", Local::Off, Some(Local::Off)),
        ] {
            let page = Page::fetch(server(of)?.address()).await?;
            let keys = match local {
                Some(local) => super::reference::keys_of_a_hit(&blog.stack.redis, server(local)?.address()).await?,
                None => Vec::new(),
            };
            bare.push(Bare::start(&blog, &reference, name, &page, &keys).await?);
        }
        let bare = bare.try_into().map_err(|_| anyhow::anyhow!("there are three bare servers"))?;
        let file = FileServer::start(&blog, &programs, &page).await?;
        Ok(Self { blog, database, uncached, cached, bare, file, page })
    }

    /// The server that caches in this way.
    pub(super) fn cached(&self, local: Local) -> Result<&AppServer> {
        server_of(&self.cached, local)
    }

    /// Stops everything, those first that use others.
    pub(super) async fn stop(self) -> Result<()> {
        let Self { blog, uncached, cached, bare, file, .. } = self;
        let mut outcomes = vec![file.process.stop().await];
        for bare in &bare {
            outcomes.push(bare.process.stop().await);
        }
        for (_, app) in cached {
            outcomes.push(app.stop().await);
        }
        outcomes.push(uncached.stop().await);
        outcomes.push(blog.stop().await);
        outcomes.into_iter().collect()
    }
}

fn server_of(cached: &[(Local, AppServer)], wanted: Local) -> Result<&AppServer> {
    let found = cached.iter().find(|(local, _)| *local == wanted).map(|(_, app)| app);
    found.with_context(|| format!("no server caches as `{}`", wanted.word()))
}

/// Each has a room of its own in Redis, so that none finds what another has put there. The one without a cache is where pgbench
/// is too, so that PostgreSQL has its processor, and what is in its caches, for itself when the two are compared.
async fn start_app(blog: &Blog, programs: &Programs, database: &str, local: Option<Local>) -> Result<AppServer> {
    let (url, redis) = (blog.stack.postgres.url(database), blog.stack.redis.url());
    let name = local.map_or("uncached", Local::word);
    let on = local.is_some();
    let generator = blog.placement.generator().to_vec();
    let options = AppOptions {
        caches: CacheLevels { view: on, fragment: on, value: on },
        local_cache: local.map_or(LocalCache::Off, Local::setting),
        processors: local.map_or(Some(generator), |_| blog.placement.system().map(<[usize]>::to_vec)),
        environment: vec![("APP_CACHE_PREFIX".to_owned(), name.to_owned()), ("RUST_LOG".to_owned(), "warn".to_owned())],
        ..AppOptions::new(programs.app.clone(), name, url, redis)
    };
    AppServer::start(&blog.folder, &options).await
}

/// Moves a process with its descendants to the system's processors.
pub(super) fn place(blog: &Blog, pid: u32) -> Result<()> {
    placement::place(pid, blog.placement.system().context("there is only one processor")?)
}

/// The process of a server that is not one of the blog's.
pub(super) fn started(process: &Process, blog: &Blog) -> Result<()> {
    process.check()?;
    place(blog, process.pid())
}
