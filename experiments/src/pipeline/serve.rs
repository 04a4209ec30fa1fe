//! The blog for people: stores, two servers and NGINX with data that stays, until somebody says stop.

use std::{
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    time::Duration,
};

use anyhow::{Context, Result};
use app::db::Indexes;

use super::{Project, interrupted, programs};
use crate::{
    stack::{
        AppOptions, AppServer, Balancing, CacheLevels, Nginx, NginxOptions, PortInUse, PostgresSettings, RedisSettings,
        RunFolder, Stack,
    },
    steps::{Profile, Programs},
};

/// How the blog is served.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Port of the address that is printed; 0 for any free one.
    pub port: u16,
    /// Whether a client stays with the server of its first request.
    pub sticky: bool,
}

const DATABASE: &str = "blog";
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Serves until a signal. The data lies in `.run/serve` and is found again the next time.
///
/// # Errors
/// When a port is in use, a server does not start, or one ends by itself.
pub async fn serve(project: &Project, options: &ServeOptions) -> Result<()> {
    let programs = programs(project)?;
    // Asked before anything is filled, so that the answer does not come after a minute.
    if TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).is_err_and(|error| error.kind() == ErrorKind::AddrInUse) {
        return Err(PortInUse { port: options.port }.into());
    }
    let folder = RunFolder::persistent(&project.runs(), "serve", programs.stack.clone())?;
    let stop = interrupted()?;
    tokio::pin!(stop);
    let stack = tokio::select! {
        stack = start(project, &folder, &programs, options) => stack?,
        () = &mut stop => return Ok(()),
    };
    let url = stack.nginx.as_ref().map(Nginx::url).context("NGINX was started")?;
    println!("the blog is at {url}/ (stop with Ctrl-C); its logs are in {}", folder.logs().display());
    let mut look = tokio::time::interval(LOOK_INTERVAL);
    loop {
        tokio::select! {
            _ = look.tick() => stack.check()?,
            () = &mut stop => break,
        }
    }
    stack.stop().await
}

async fn start(project: &Project, folder: &RunFolder, programs: &Programs, options: &ServeOptions) -> Result<Stack> {
    let mut stack = Stack::start(folder, &PostgresSettings::default(), &RedisSettings::default()).await?;
    prepare(project, &stack).await?;
    let url = stack.postgres.url(DATABASE);
    for number in 1..=2 {
        let options = AppOptions {
            caches: CacheLevels { view: true, fragment: true, value: true },
            ..AppOptions::new(programs.app.clone(), &format!("app-{number}"), url.clone(), stack.redis.url())
        };
        stack.apps.push(AppServer::start(folder, &options).await?);
    }
    let upstreams = stack.apps.iter().map(AppServer::address).collect();
    let options = NginxOptions {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, options.port)),
        balancing: if options.sticky { Balancing::Sticky } else { Balancing::RoundRobin },
        access_log: true,
        ..NginxOptions::new(programs.nginx_template.clone(), upstreams)
    };
    stack.nginx = Some(Nginx::start(folder, &options).await?);
    Ok(stack)
}

/// Makes and fills the database at the first start; later it only brings the schema up to date.
async fn prepare(project: &Project, stack: &Stack) -> Result<()> {
    if stack.postgres.database_exists(DATABASE).await? {
        let pool = sqlx::PgPool::connect(&stack.postgres.url(DATABASE)).await?;
        app::db::migrate(&pool, Indexes::With).await?;
        pool.close().await;
        return Ok(());
    }
    let profile = Profile::read(&project.profiles(), "quick")?;
    eprintln!("filling the blog with {} posts and {} comments", profile.data.posts, profile.data.comments);
    // Under another name until it is complete, so that an interrupted start leaves no half-filled blog.
    let filling = format!("{DATABASE}_filling");
    if stack.postgres.database_exists(&filling).await? {
        stack.postgres.drop_database(&filling).await?;
    }
    stack.postgres.create_database(&filling, None).await?;
    let pool = sqlx::PgPool::connect(&stack.postgres.url(&filling)).await?;
    app::db::migrate(&pool, Indexes::With).await?;
    let size = profile.data.size();
    app::seed::seed(&pool, &size, profile.seed).await.context("cannot fill the blog")?;
    pool.close().await;
    stack.postgres.create_database(DATABASE, Some(&filling)).await?;
    stack.postgres.drop_database(&filling).await
}
