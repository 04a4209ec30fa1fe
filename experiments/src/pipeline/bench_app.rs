//! `experiments bench app`: what the blog costs beside what its parts can do. Everything is measured on the same machine, in the
//! same run, in blocks that try every contender once; what is promised of the blog stands here as a number, and missing it is an
//! exit code. It leaves no rows: the notebook's steps compare configurations of the blog, this compares it with others.

mod agreement;
mod asking;
mod contest;
mod counting;
mod database;
mod findings;
mod reference;
mod site;

use std::path::Path;

use anyhow::Result;

use super::{Project, interrupted, programs};
use crate::steps::DataParameters;

use contest::{Contest, Rate};
use findings::Findings;
use site::{Local, Site};

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct BenchAppOptions {
    /// Blocks; in each every contender is tried once. Fewer than six give no interval.
    pub blocks: u32,
    /// Measured seconds of each contender at the offered rate in a block; the closed loop gets a third of it.
    pub seconds: f64,
    /// Offered rate.
    pub rate_per_s: f64,
    /// Posts of the blog; page 10,000 of the list needs 200,000.
    pub posts: u32,
}

/// Seed of the data and of the order of trials.
const SEED: u64 = 20_260_101;

/// Posts that a page of the list shows.
const POSTS_PER_PAGE: u32 = 20;

/// The page far down the list.
const DEEP_PAGE: u32 = 10_000;

/// Measures everything, prints the table and a line of JSON, and says whether every promise was kept.
///
/// # Errors
/// When something cannot be started or measured.
pub async fn bench_app(project: &Project, options: BenchAppOptions) -> Result<bool> {
    let programs = programs(project)?;
    let reference = reference::program()?;
    let data = DataParameters { users: 5_000, posts: options.posts, comments: options.posts * 2, tags: 500 };
    let wrk = agreement::wrk(project);
    if wrk.is_none() {
        remark!("`wrk` is missing, so that the generator is not held against it; `apt-get install wrk` brings it");
    }
    let stop = interrupted()?;
    let measuring = async {
        remark!("filling a blog with {} posts; this takes about half a minute", options.posts);
        let site = Site::start(project, programs, reference, data, SEED).await?;
        let measured = measure(&site, options, wrk.as_deref()).await;
        site.stop().await?;
        measured
    };
    let findings = tokio::select! {
        findings = measuring => findings?,
        () = stop => anyhow::bail!("interrupted; nothing is kept of a bench that did not finish"),
    };
    say!("{}", findings.table());
    say!("{}", findings.json()?);
    Ok(findings.all_kept())
}

async fn measure(site: &Site, options: BenchAppOptions, wrk: Option<&Path>) -> Result<Findings> {
    let mut findings = Findings::default();
    // Counted first: later every page is in somebody's memory.
    for local in Local::ALL {
        counting::hits(site, local, &mut findings).await?;
    }
    findings.counted_all();
    counting::uncached(site, &mut findings).await?;
    let rate = Rate { per_s: options.rate_per_s, seconds: options.seconds };
    let mut contest = Contest::new(site, rate);
    for block in 1..=options.blocks {
        remark!("block {block} of {}", options.blocks);
        contest.block(SEED, block).await?;
        let (uncached, pgbench) = database::block(site, options.seconds).await?;
        findings.postgres(uncached, pgbench);
        let (first, deep) = database::pages(site, options.seconds).await?;
        findings.pages(first, deep);
        if let Some(wrk) = wrk {
            let (ours, theirs) = agreement::block(site, wrk, options.seconds).await?;
            findings.peaks(ours, theirs);
        }
    }
    findings.contest(contest.tried());
    findings.memory(counting::memory_under_load(site).await?);
    Ok(findings)
}
