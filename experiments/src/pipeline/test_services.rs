//! Services for a command, such as the tests: a private PostgreSQL and Redis that live as long as it does.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{Project, interrupted, stack_programs};
use crate::{
    stack::{PostgresSettings, RedisSettings, RunFolder, Stack},
    steps::Usage,
};

/// Starts the services, runs `command` with `TEST_DATABASE_URL` and `TEST_REDIS_URL`, stops the services, and gives the
/// command's exit code.
///
/// # Errors
/// When a service or the command cannot be started.
pub async fn with_services(project: &Project, command: &[String]) -> Result<u8> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(Usage("there is no command; use `experiments stack exec -- COMMAND`".to_owned()).into());
    };
    let folder = RunFolder::temporary(&project.runs(), stack_programs(project)?)?;
    let stop = interrupted()?;
    let stack = Stack::start(&folder, &PostgresSettings::default(), &RedisSettings::default()).await?;
    let mut child = tokio::process::Command::from(Command::new(program))
        .args(arguments)
        .env("TEST_DATABASE_URL", stack.postgres.maintenance_url())
        .env("TEST_REDIS_URL", stack.redis.url())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start `{program}`"))?;
    let status = tokio::select! {
        status = child.wait() => Some(status?),
        () = stop => None,
    };
    if status.is_none() {
        // The terminal has told the command too; it gets the time to end by itself.
        let _ = tokio::time::timeout(std::time::Duration::from_secs(10), child.wait()).await;
    }
    drop(child);
    stack.stop().await?;
    folder.remove();
    let Some(status) = status else { return Ok(130) };
    ensure!(status.code().is_some(), "`{program}` was ended by a signal: {status}");
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
