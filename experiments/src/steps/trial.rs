//! One trial of the blog under load: fresh servers, a warm-up, measured phases, and what all of it cost. The steps `cache` and
//! `surge` say what is offered; this gear runs it and turns what came back into rows.

mod account;
pub(super) mod metrics;
pub(super) mod mix;
pub(super) mod overview;
mod resources;
mod results;
pub(super) mod rows;

use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::{Bench, blog::Servers};
use crate::{
    load::{
        event::Event,
        result::TrialResult,
        run::Runner,
        spec::{Cookies, Endpoint, Phase, SPEC_VERSION, TrialSpec},
    },
    probe::{component::Component, nginx},
    stack::{Balancing, CacheLevels, supervise},
};
pub(super) use mix::{mix, session_start};
use resources::{Readings, Sources};
use rows::{CounterRow, LatencyRow, ResourceRow, SecondRow, SessionRow, TrialRow};

/// A configuration of the blog.
#[derive(Debug, Clone)]
pub(super) struct Arm {
    pub(super) name: &'static str,
    pub(super) caches: CacheLevels,
    pub(super) balancing: Balancing,
    /// App servers, one or two.
    pub(super) servers: usize,
}

/// What is offered to an arm.
#[derive(Debug, Clone)]
pub(super) struct Load {
    pub(super) phases: Vec<Phase>,
    pub(super) mix: Vec<Endpoint>,
    pub(super) users: u32,
    pub(super) cookies: Cookies,
    pub(super) requests_per_session: Option<u32>,
    /// What a user without cookies asks for first.
    pub(super) session_start: Option<Endpoint>,
    /// Phases in which failing is an answer to the question, not a fault of the trial.
    pub(super) may_fail: &'static [&'static str],
}

/// Which histogram cells are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// By endpoint and cache status; seconds and servers are merged.
    ByEndpoint,
    /// By second and server; endpoints and cache status are merged.
    BySecond,
}

/// All rows of one trial.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Tried {
    pub(super) trials: Vec<TrialRow>,
    pub(super) latencies: Vec<LatencyRow>,
    pub(super) resources: Vec<ResourceRow>,
    pub(super) counters: Vec<CounterRow>,
    pub(super) seconds: Vec<SecondRow>,
    pub(super) sessions: Vec<SessionRow>,
    /// Length of the measured window.
    pub(super) window_us: u64,
    pub(super) warnings: Vec<String>,
}

/// Where a trial stands in its step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) block: u32,
    pub(super) place: u32,
}

/// Tries `arm` once on a fresh copy of the seeded database. What an interrupted run had finished is taken from its journal.
pub(super) async fn run(bench: &mut Bench<'_>, arm: &Arm, load: &Load, place: Place, detail: Detail) -> Result<Tried> {
    let key = format!("{}.{}", place.block, arm.name);
    if let Some(tried) = bench.kept::<Tried>(&key) {
        bench.measured(Duration::from_micros(tried.window_us));
        return Ok(tried);
    }
    let named = || format!("the arm `{}` failed in block {}", arm.name, place.block);
    let database = bench.blog.clone_seeded("trial", app::db::Indexes::With).await.with_context(named)?;
    let servers = bench.blog.serve(&database, arm.caches, arm.balancing, arm.servers).await.with_context(named)?;
    let mut spec = specify(bench, &servers, load, place);
    account::authorise(&mut spec.mix, &spec.base_url).await.with_context(named)?;
    let outcome = observe(bench, &servers, &spec, &database).await;
    // A store that died is the cause of what the trial saw, so it is told first.
    bench.blog.check().with_context(named)?;
    let (result, readings) = outcome.with_context(named)?;
    keep_configuration(bench, &servers, arm)?;
    servers.stop().await.with_context(named)?;
    let tried = Tried {
        trials: results::trials(&result, arm.name, place, load.may_fail),
        latencies: results::latencies(&result, arm.name, place, detail),
        resources: readings.resources(arm.name, place.block),
        counters: readings.counters(arm.name, place.block),
        seconds: results::seconds(&result, arm.name, place),
        sessions: results::sessions(&result, arm.name, place),
        window_us: result.window_us,
        warnings: result.warnings.iter().map(|text| format!("block {}, {}: {text}", place.block, arm.name)).collect(),
    };
    bench.measured(Duration::from_micros(tried.window_us));
    bench.keep(&key, &tried)?;
    Ok(tried)
}

/// The balancer's configuration as it ran, for the report.
fn keep_configuration(bench: &mut Bench<'_>, servers: &Servers, arm: &Arm) -> Result<()> {
    let path = servers.nginx.configuration_path();
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    bench.out.text(&format!("nginx_{}.conf", arm.name), &text)
}

fn specify(bench: &Bench<'_>, servers: &Servers, load: &Load, place: Place) -> TrialSpec {
    TrialSpec {
        version: SPEC_VERSION,
        base_url: servers.nginx.url(),
        // Arms of one block get the same requests; blocks get others.
        seed: super::bench::seed_for(bench.profile.seed, &format!("requests of block {}", place.block)),
        users: load.users,
        worker: crate::load::spec::WorkerPart::default(),
        arrivals: crate::load::spec::Arrivals::Poisson,
        cookies: load.cookies,
        requests_per_session: load.requests_per_session,
        timeout_s: 10,
        drain_limit_s: 20,
        cpu_list: bench.blog.placement.generator().to_vec(),
        phases: load.phases.clone(),
        mix: load.mix.clone(),
        session_start: load.session_start.clone(),
        output: bench.blog.folder.path().join("trial.json"),
    }
}

/// Runs the load and reads what it costs: at the edges of each phase, and once a second in between.
async fn observe(
    bench: &Bench<'_>,
    servers: &Servers,
    spec: &TrialSpec,
    database: &str,
) -> Result<(TrialResult, Readings)> {
    let supervisor = &bench.blog.folder.programs().supervisor;
    let runner = Runner { binary: supervisor.clone(), prefix: supervise::prefix(supervisor), cpu_list: Vec::new() };
    let components = bench.blog.components(servers);
    let pool = bench.blog.pool(database).await?;
    let mut readings = Readings::new(Sources {
        components: components.into_iter().map(|(name, pid)| Component::new(name, pid)).collect(),
        pool: pool.clone(),
        redis_url: bench.blog.stack.redis.url(),
        nginx: nginx::Status::new(servers.nginx.status_url())?,
    })?;
    let measured = |name: &str| spec.phases.iter().any(|phase| phase.measured && phase.name == name);
    let mut trouble = None;
    let outcome = runner
        .run(spec, async |event| {
            let entered = match event {
                Event::Phase { name } if measured(&name) => readings.enter(Some(name)).await,
                Event::Measured => readings.enter(None).await,
                Event::Phase { .. } | Event::Measuring { .. } => Ok(()),
            };
            trouble = trouble.take().or(entered.err());
        })
        .await;
    pool.close().await;
    let outcome = outcome?;
    match trouble {
        Some(error) => Err(error),
        None => Ok((outcome.result, readings)),
    }
}

/// Tries every arm once in each block, in the order given.
pub(super) async fn run_all(
    bench: &mut Bench<'_>,
    arms: &[Arm],
    order: &[Vec<usize>],
    load: &Load,
    detail: Detail,
) -> Result<Vec<Tried>> {
    let trials = order.len() * arms.len();
    let mut tried = Vec::with_capacity(trials);
    for (block, places) in (1_u32..).zip(order) {
        for (place, &arm) in (0_u32..).zip(places) {
            let what = format!("trial {} of {trials}: `{}` in block {block}", tried.len() + 1, arms[arm].name);
            #[expect(clippy::cast_precision_loss, reason = "a few trials")]
            bench.progress.say(tried.len() as f64 / trials as f64, &what);
            tried.push(run(bench, &arms[arm], load, Place { block, place }, detail).await?);
        }
    }
    Ok(tried)
}

/// Writes the rows that every step with trials has.
pub(super) fn write(bench: &mut Bench<'_>, tried: &[Tried]) -> Result<()> {
    for warning in tried.iter().flat_map(|tried| &tried.warnings) {
        bench.warn(warning.clone());
    }
    bench.out.rows(&tried.iter().flat_map(|tried| tried.trials.clone()).collect::<Vec<_>>())?;
    bench.out.rows(&tried.iter().flat_map(|tried| tried.latencies.clone()).collect::<Vec<_>>())?;
    bench.out.rows(&tried.iter().flat_map(|tried| tried.resources.clone()).collect::<Vec<_>>())
}
