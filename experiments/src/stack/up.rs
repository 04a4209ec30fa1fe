//! `experiments stack up`: PostgreSQL and Redis alone, until somebody says stop. For looking around, and for tests that want
//! services.

use std::time::Duration;

use anyhow::Result;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::interval;

use super::folder::RunFolder;
use super::postgres_settings::PostgresSettings;
use super::redis::RedisSettings;
use super::servers::Stack;

const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Starts both with the default settings, prints their addresses, and stops them on Ctrl-C, SIGTERM or SIGHUP.
///
/// # Errors
/// If a server does not start, or ends by itself later.
pub async fn up(folder: RunFolder) -> Result<()> {
    if let Some(note) = folder.note() {
        say!("{note}");
    }
    let (mut interrupt, mut terminate, mut hang_up) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    let mut look = interval(LOOK_INTERVAL);
    let stop = async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    };
    tokio::pin!(stop);
    // A signal during the start drops what has been started so far, which ends it.
    let (postgres, redis) = (PostgresSettings::default(), RedisSettings::default());
    let stack = tokio::select! {
        stack = Stack::start(&folder, &postgres, &redis) => stack?,
        () = &mut stop => return Ok(()),
    };
    say!("postgres  process {}  {}", stack.postgres.pid(), stack.postgres.maintenance_url());
    say!("redis     process {}  {}", stack.redis.pid(), stack.redis.url());
    say!("ready; stop with Ctrl-C");
    loop {
        tokio::select! {
            _ = look.tick() => stack.check()?,
            () = &mut stop => break,
        }
    }
    stack.stop().await?;
    folder.remove();
    Ok(())
}
