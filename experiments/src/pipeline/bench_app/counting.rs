//! What can be counted instead of timed: statements and commands of a hit, and the memory of a server under load.

use anyhow::{Context, Result, ensure};

use super::{
    asking::{page, run, spec},
    findings::Findings,
    reference::ACCEPT_ENCODING,
    site::{Local, Site},
};
use crate::{
    load::spec::{Endpoint, Ids, Phase},
    probe::{
        component::{Component, Snapshot},
        postgres,
        source::{self, Detail},
    },
};

/// Hits of each page.
const HITS: u32 = 200;

/// Commands of ours and of connections that come and go; none of them is part of a hit.
const NOT_OF_A_HIT: [&str; 8] = ["auth", "client", "command", "config", "hello", "info", "ping", "select"];

/// Connections and seconds of the load under which memory is read.
const USERS: u32 = 256;
const SECONDS: f64 = 5.0;

/// Counts what a hit of each page asks of PostgreSQL and Redis.
pub(super) async fn hits(site: &Site, local: Local, findings: &mut Findings) -> Result<()> {
    let server = site.cached(local)?;
    let pool = site.blog.pool(&site.database).await?;
    let client = crate::http::local().build()?;
    for path in ["/", "/posts/1", "/authors/1", "/tags/postgres"] {
        let url = format!("{}{path}", server.url());
        for _ in 0..3 {
            ask(&client, &url).await?;
        }
        let before = (postgres::read(&pool).await?, commands(&site.blog.stack.redis.url()).await?);
        for _ in 0..HITS {
            ask(&client, &url).await?;
        }
        let after = (postgres::read(&pool).await?, commands(&site.blog.stack.redis.url()).await?);
        let statements = postgres::Counters::difference(&before.0, &after.0).statements;
        let statements = statements.context("the database does not count statements")?.call_count;
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
        findings.hit(local, statements as f64 / f64::from(HITS), (after.1 - before.1) as f64 / f64::from(HITS));
    }
    pool.close().await;
    Ok(())
}

/// Counts the statements of pages that nothing keeps.
pub(super) async fn uncached(site: &Site, findings: &mut Findings) -> Result<()> {
    let pool = site.blog.pool(&site.database).await?;
    let client = crate::http::local().build()?;
    for (name, path, most) in [("the list of posts", "/", 1.0), ("the page of a post", "/posts/1", 3.0)] {
        let url = format!("{}{path}", site.uncached.url());
        ask(&client, &url).await?;
        let before = postgres::read(&pool).await?;
        for _ in 0..HITS {
            ask(&client, &url).await?;
        }
        let statements = postgres::Counters::difference(&before, &postgres::read(&pool).await?).statements;
        let statements = statements.context("the database does not count statements")?.call_count;
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
        findings.uncached(name, statements as f64 / f64::from(HITS), most);
    }
    pool.close().await;
    Ok(())
}

async fn ask(client: &reqwest::Client, url: &str) -> Result<()> {
    let (name, value) = ACCEPT_ENCODING;
    let response = client.get(url).header(name, value).send().await.with_context(|| format!("cannot get `{url}`"))?;
    ensure!(response.status() == 200, "`{url}` answers {}", response.status());
    response.bytes().await?;
    Ok(())
}

/// Commands that Redis has been sent, as `INFO commandstats` counts them.
async fn commands(url: &str) -> Result<u64> {
    let mut connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    let text: String = redis::cmd("INFO").arg("commandstats").query_async(&mut connection).await?;
    Ok(count(&text))
}

/// The sum over lines such as `cmdstat_mget:calls=3,usec=10,…`; subcommands are `cmdstat_client|setinfo`.
fn count(text: &str) -> u64 {
    text.lines()
        .filter_map(|line| line.strip_prefix("cmdstat_")?.split_once(":calls="))
        .filter(|(name, _)| !NOT_OF_A_HIT.contains(&name.split('|').next().unwrap_or_default()))
        .filter_map(|(_, rest)| rest.split(',').next()?.parse::<u64>().ok())
        .sum()
}

/// The most memory that a server held while hundreds of readers asked for everything, with a cache in its own memory.
pub(super) async fn memory_under_load(site: &Site) -> Result<u64> {
    let server = site.cached(Local::Fast)?;
    let popular = |count: u32| Some(Ids::Zipf { count: u64::from(count), exponent: 1.0 });
    let data = site.blog.data;
    let mix = vec![
        Endpoint { weight: 4, ..page("list", "/") },
        Endpoint { weight: 4, ids: popular(data.posts), ..page("post", "/posts/{id}") },
        Endpoint { ids: popular(data.users), ..page("author", "/authors/{id}") },
    ];
    let phases = vec![Phase::new("load", SECONDS, None)];
    let spec = spec(&site.blog, &[server.address()], 1, USERS, phases, mix);
    let result = run(&site.blog, &spec, server.pid(), &mut Vec::new()).await?;
    let phase = result.measured_phases().next().context("nothing was measured")?;
    ensure!(phase.unexpected_count * 100 <= phase.offered_count, "{} requests failed", phase.unexpected_count);
    let component = [Component::new("server", server.pid())];
    let snapshot = Snapshot::read(source::open()?.as_mut(), &component, Detail::Full)?;
    snapshot.components["server"].memory_peak_bytes.context("the system does not tell how much memory was used")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_of_a_hit_are_told_from_others() {
        let text = "# Commandstats\r\ncmdstat_mget:calls=3,usec=10,usec_per_call=3.3\r\ncmdstat_set:calls=2,usec=1\r\n\
                    cmdstat_info:calls=9,usec=1\r\ncmdstat_client|setinfo:calls=4,usec=1\r\n";
        assert_eq!(count(text), 5);
    }
}
