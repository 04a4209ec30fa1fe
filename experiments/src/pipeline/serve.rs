//! The blog for people: stores, two servers and NGINX with data that stays, until somebody says stop.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result};
use app::db::Indexes;

use super::{Project, interrupted, programs};
use crate::{
    stack::{
        AppOptions, AppServer, Balancing, CacheLevels, LocalCache, Nginx, NginxOptions, PortInUse, PostgresSettings,
        Redis, RedisSettings, RunFolder, SessionStore, Stack,
    },
    steps::Programs,
};

/// How the blog is served.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Port of the address that is printed; 0 for any free one.
    pub port: u16,
    /// Whether a client who has logged in stays with the server that did it.
    pub sticky: bool,
    /// Whether each server keeps sessions in its own memory: to see what is lost then.
    pub memory_sessions: bool,
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
        stack = start(&folder, &programs, options) => stack?,
        () = &mut stop => return Ok(()),
    };
    let url = stack.nginx.as_ref().map(Nginx::url).context("NGINX was started")?;
    say!("the blog is at {url}/ (stop with Ctrl-C); its logs are in {}", folder.logs().display());
    say!("log in as `{}` with the password `{}`", app::demo::LOGIN, app::demo::PASSWORD);
    if options.memory_sessions {
        say!(
            "each server keeps sessions in its own memory: {}",
            if options.sticky {
                "who has logged in keeps theirs until it stops, everybody else finds none at every other request"
            } else {
                "every other request finds none"
            }
        );
    }
    let mut look = tokio::time::interval(LOOK_INTERVAL);
    loop {
        tokio::select! {
            _ = look.tick() => stack.check()?,
            () = &mut stop => break,
        }
    }
    stack.stop().await
}

async fn start(folder: &RunFolder, programs: &Programs, options: &ServeOptions) -> Result<Stack> {
    let mut stack = Stack::start(folder, &PostgresSettings::default(), &RedisSettings::default()).await?;
    let sessions = Redis::start(folder, &RedisSettings::for_sessions()).await?;
    // Chosen here, because the app tells its readers where they are.
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
    let public_url = (listen.port() != 0).then(|| ("APP_PUBLIC_URL".to_owned(), format!("http://{listen}")));
    let (url, redis) = (stack.postgres.url(DATABASE), stack.redis.url());
    let server = |name: &str, route: &str, secret: &str| AppOptions {
        caches: CacheLevels { view: true, fragment: true, value: true },
        local_cache: LocalCache::Strict,
        sessions: if options.memory_sessions { SessionStore::Memory } else { SessionStore::Redis },
        session_redis_url: Some(sessions.url()),
        route: Some(route.to_owned()),
        secret: secret.to_owned(),
        rate_limits: true,
        environment: public_url.clone().into_iter().collect(),
        ..AppOptions::new(programs.app.clone(), name, url.clone(), redis.clone())
    };
    let secret = secret(&folder.path().join("secret"))?;
    let servers = [server("app-1", "a", &secret), server("app-2", "b", &secret)];
    stack.session_redis = Some(sessions);
    prepare(&stack, &servers[0]).await?;
    for options in &servers {
        stack.apps.push(AppServer::start(folder, options).await?);
    }
    let upstreams = stack.apps.iter().map(AppServer::address).collect();
    let options = NginxOptions {
        listen,
        balancing: if options.sticky { Balancing::Sticky } else { Balancing::RoundRobin },
        access_log: true,
        ..NginxOptions::new(programs.nginx_template.clone(), upstreams)
    };
    stack.nginx = Some(Nginx::start(folder, &options).await?);
    Ok(stack)
}

/// The key under which sessions and passwords are hashed: made once, so that both outlive a restart, and readable by its owner alone.
fn secret(path: &Path) -> Result<String> {
    let named = || format!("cannot keep the secret in `{}`", path.display());
    match fs::read_to_string(path) {
        Ok(secret) => return Ok(secret.trim().to_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(named),
    }
    let secret: String = rand::random::<[u8; 32]>().iter().map(|byte| format!("{byte:02x}")).collect();
    // Written aside and renamed: a start that is interrupted leaves no half of a secret.
    let aside = path.with_extension("new");
    let _ = fs::remove_file(&aside);
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&aside)
        .and_then(|mut file| writeln!(file, "{secret}"))
        .and_then(|()| fs::rename(&aside, path))
        .with_context(named)?;
    Ok(secret)
}

/// Makes the database at the first start, brings its schema up to date at every one, and adds what is missing of the demonstration:
/// what visitors have written stays, and so does a blog that an earlier version has filled in another way.
async fn prepare(stack: &Stack, server: &AppOptions) -> Result<()> {
    if !stack.postgres.database_exists(DATABASE).await? {
        stack.postgres.create_database(DATABASE, None).await?;
    }
    let pool =
        sqlx::PgPool::connect(&stack.postgres.url(DATABASE)).await.context("cannot connect to the blog's database")?;
    app::db::migrate(&pool, Indexes::With).await?;
    let filled = app::demo::fill(&pool).await.context("cannot fill the blog")?;
    if filled.posts + filled.comments > 0 {
        remark!("filled the blog with {} posts and {} comments", filled.posts, filled.comments);
    }
    // The account must be one that the servers can read, so it is made with their configuration.
    let variables = server.variables();
    let lookup = |name: &str| variables.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let config = app::config::Config::from_lookup(lookup)?;
    app::demo::add_login(&pool, &config).await.context("cannot make the account of the demonstration")?;
    pool.close().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_made_once_and_nobody_else_may_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let first = secret(&path).unwrap();
        assert!(first.len() == 64 && first.bytes().all(|byte| byte.is_ascii_hexdigit()), "{first}");
        assert_eq!(secret(&path).unwrap(), first);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_ne!(secret(&folder.path().join("another")).unwrap(), first);
    }
}
