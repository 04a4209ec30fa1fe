//! What the list page costs PostgreSQL when nothing is cached, beside `pgbench` sending the same statement; and what a page far down
//! the list takes beside the first.

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};
use app::{
    cursor::Cursor,
    db::{Parameter, QUERIES, Query},
};
use chrono::{DateTime, SecondsFormat, Utc};

use super::{
    DEEP_PAGE, POSTS_PER_PAGE,
    asking::{page, run, spec, tool},
    site::Site,
};
use crate::{
    load::spec::Phase,
    probe::{
        component::{Component, Snapshot},
        source::{self, Detail},
    },
};

const WARM_UP_S: f64 = 0.5;

/// How long PostgreSQL takes at most to notice that one of its processes has ended.
const BURIAL: Duration = Duration::from_millis(300);

/// CPU time of PostgreSQL for one page: asked for by the blog, and for the same statement by pgbench.
pub(super) async fn block(site: &Site, seconds: f64) -> Result<(f64, f64)> {
    let (uncached_us, rate_per_s) = uncached(site, seconds).await?;
    Ok((uncached_us, pgbench_us(site, seconds, rate_per_s).await?))
}

/// PostgreSQL's CPU time for a page, and pages per second. One reader who asks again as soon as it is answered, as pgbench's one client
/// does.
async fn uncached(site: &Site, seconds: f64) -> Result<(f64, f64)> {
    let spec = spec(&site.blog, &[site.uncached.address()], 1, 1, alone(seconds), vec![page("list", "/")]);
    let mut cpu_us = Vec::new();
    let result = run(&site.blog, &spec, site.blog.stack.postgres.pid(), &mut cpu_us).await?;
    let phase = result.measured_phases().next().context("nothing was measured")?;
    ensure!(phase.unexpected_count == 0, "{} requests without a cache failed", phase.unexpected_count);
    let cpu_us = *cpu_us.first().context("nothing was read")?;
    Ok((cpu_us as f64 / phase.expected_count.max(1) as f64, phase.expected_count as f64 / phase.duration_s))
}

fn alone(seconds: f64) -> Vec<Phase> {
    [("warm_up", WARM_UP_S, false), ("alone", seconds, true)]
        .map(|(name, duration_s, measured)| Phase { measured, ..Phase::new(name, duration_s, None) })
        .into()
}

/// At the rate at which the blog asked: PostgreSQL spends more on a statement that it has waited for, whoever sends it.
async fn pgbench_us(site: &Site, seconds: f64, rate_per_s: f64) -> Result<f64> {
    let query = QUERIES.iter().find(|query| query.name == "list_posts").context("the app has no query `list_posts`")?;
    let script = site.blog.folder.path().join("list_posts.pgbench");
    fs::write(&script, as_script(query)?).with_context(|| format!("cannot write `{}`", script.display()))?;
    let programs = site.blog.folder.programs();
    let mut arguments = vec!["--no-vacuum".to_owned(), "--protocol=prepared".to_owned(), "--client=1".to_owned()];
    arguments.push(format!("--rate={rate_per_s:.1}"));
    arguments.push(format!("--time={}", seconds.ceil().max(1.0)));
    arguments.push(format!("--file={}", script.display()));
    for parameter in query.parameters {
        let (name, value) = variable(*parameter)?;
        arguments.push(format!("--define={name}={value}"));
    }
    arguments.push(site.blog.stack.postgres.url(&site.database));
    let components = [Component::new("postgres", site.blog.stack.postgres.pid())];
    let mut reader = source::open()?;
    let before = Snapshot::read(reader.as_mut(), &components, Detail::Cpu)?;
    let pgbench = programs.postgres_bin.join("pgbench");
    let process = tool(&site.blog, "pgbench", pgbench, arguments, seconds).await?;
    // The time of the process that served pgbench counts with PostgreSQL's again when that has buried it.
    tokio::time::sleep(BURIAL).await;
    let after = Snapshot::read(reader.as_mut(), &components, Detail::Cpu)?;
    let used = Snapshot::difference(&before, &after).components["postgres"].cpu_us();
    let count = transactions(&process.log_text()).with_context(|| {
        format!("pgbench does not say how many transactions it made; it said:\n{}", process.log_tail())
    })?;
    Ok(used as f64 / count.max(1.0))
}

/// The statement with pgbench's names for its parameters.
fn as_script(query: &Query) -> Result<String> {
    let mut sql = query.sql.trim_end().trim_end_matches(';').to_owned();
    for (number, parameter) in query.parameters.iter().enumerate().rev() {
        sql = sql.replace(&format!("${}", number + 1), &format!(":{}", variable(*parameter)?.0));
    }
    Ok(sql + ";\n")
}

/// The name and value of a parameter: those of the first page, as the blog sends them.
fn variable(parameter: Parameter) -> Result<(&'static str, String)> {
    let start = Cursor::START;
    Ok(match parameter {
        Parameter::BeforeCreatedAt => {
            ("before_created_at", start.created_at().to_rfc3339_opts(SecondsFormat::Micros, true))
        }
        Parameter::BeforeId => ("before_id", start.id().to_string()),
        // One more than is shown, to know whether there are more.
        Parameter::Limit => ("row_limit", (POSTS_PER_PAGE + 1).to_string()),
        other => anyhow::bail!("the list of posts got the parameter {other:?}, of which this bench knows no value"),
    })
}

fn transactions(said: &str) -> Option<f64> {
    let (_, rest) = said.rsplit_once("number of transactions actually processed: ")?;
    rest.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

/// Median time of the first page of the list and of the one far down, one after the other, without a cache.
pub(super) async fn pages(site: &Site, seconds: f64) -> Result<(f64, f64)> {
    let cursor = deep_cursor(site).await?;
    let mix = vec![page("first", "/"), page("deep", &format!("/?before={cursor}"))];
    let spec = spec(&site.blog, &[site.uncached.address()], 1, 1, alone(seconds), mix);
    let result = run(&site.blog, &spec, site.blog.stack.postgres.pid(), &mut Vec::new()).await?;
    ensure!(result.phases.iter().all(|phase| phase.unexpected_count == 0), "the page far down the list is not served");
    let median = |name: &str| {
        let times = result.merged(|cell| &cell.service_us, |cell| cell.endpoint == name);
        times.quantile_us(0.5).map(|time_us| time_us as f64).with_context(|| format!("nobody asked for `{name}`"))
    };
    Ok((median("first")?, median("deep")?))
}

async fn deep_cursor(site: &Site) -> Result<Cursor> {
    let pool = site.blog.pool(&site.database).await?;
    let before = i64::from((DEEP_PAGE - 1) * POSTS_PER_PAGE);
    let found: Option<(DateTime<Utc>, i64)> = sqlx::query_as(include_str!("../../../queries/post_at.sql"))
        .bind(before - 1)
        .fetch_optional(&pool)
        .await
        .context("cannot find the page far down the list")?;
    pool.close().await;
    let (created_at, id) = found.with_context(|| {
        format!("there is no page {DEEP_PAGE}; ask for {} posts with `--posts`", DEEP_PAGE * POSTS_PER_PAGE)
    })?;
    Ok(Cursor::after(created_at, id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_is_the_one_that_is_served() {
        let query = QUERIES.iter().find(|query| query.name == "list_posts").unwrap();
        let script = as_script(query).unwrap();
        assert!(script.contains("WHERE (created_at, id) < (:before_created_at, :before_id)"), "{script}");
        assert!(script.contains("LIMIT :row_limit") && script.ends_with(";\n") && !script.contains('$'), "{script}");
    }

    #[test]
    fn transactions_are_read_from_what_pgbench_says() {
        assert_eq!(transactions("number of transactions actually processed: 5123\nlatency"), Some(5123.0));
        assert_eq!(transactions("number of transactions actually processed: 5123/6000\n"), Some(5123.0));
        assert_eq!(transactions("pgbench: error"), None);
    }
}
