//! One trial of the blog under load: fresh servers, a warm-up, measured phases, and what all of it cost. A step says what is offered;
//! this gear runs it, checks that it may be believed, tries it again where it may not, and turns what came back into rows.

mod account;
mod checks;
mod freeze;
pub(super) mod metrics;
pub(super) mod mix;
pub(super) mod overview;
mod resources;
mod results;
pub(super) mod rows;

use std::{ops::Range, time::Duration};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    Bench,
    blog::{Servers, Setup},
};
use crate::{
    load::{
        event::Event,
        result::TrialResult,
        run::Runner,
        spec::{Arrivals, Cookies, Endpoint, Method, Phase, SPEC_VERSION, TrialSpec},
    },
    probe::{app::Metrics, component::Component, nginx},
    stack::supervise,
};
pub(super) use freeze::Freeze;
pub(super) use mix::{mix, session_start};
use resources::{Readings, Sources};
use rows::{CounterRow, LatencyRow, ResourceRow, SecondRow, SessionRow, TrialRow};

/// A configuration of the blog under a name.
#[derive(Debug, Clone)]
pub(super) struct Arm {
    pub(super) name: &'static str,
    pub(super) setup: Setup,
}

/// What is offered to an arm.
#[derive(Debug, Clone)]
pub(super) struct Load {
    pub(super) phases: Vec<Phase>,
    pub(super) mix: Vec<Endpoint>,
    pub(super) users: u32,
    pub(super) arrivals: Arrivals,
    pub(super) cookies: Cookies,
    pub(super) requests_per_session: Option<u32>,
    /// What a user without cookies asks for first.
    pub(super) session_start: Option<Endpoint>,
    /// Phases in which failing and being late is an answer to the question, not a fault of the trial.
    pub(super) may_fail: &'static [&'static str],
    /// Whom the generator asks.
    pub(super) target: Target,
    /// SQL statements of a request that no cache answers, where all kinds of requests have the same.
    pub(super) statements_per_miss: Option<u64>,
    /// Whether the servers stand still once in the measured window.
    pub(super) freeze: Option<Freeze>,
}

impl Load {
    /// Requests of `mix` through NGINX, from users that keep nothing, by a Poisson process where a phase has a rate.
    pub(super) fn new(phases: Vec<Phase>, mix: Vec<Endpoint>, users: u32) -> Self {
        Self {
            phases,
            mix,
            users,
            arrivals: Arrivals::Poisson,
            cookies: Cookies::None,
            requests_per_session: None,
            session_start: None,
            may_fail: &[],
            target: Target::Balancer,
            statements_per_miss: None,
            freeze: None,
        }
    }
}

/// Whom the generator asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// NGINX, as readers do.
    Balancer,
    /// The first app server, without NGINX.
    FirstServer,
}

/// Which histogram cells are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// By endpoint and cache status; seconds and servers are merged.
    Endpoint,
    /// By second and server; endpoints and cache status are merged.
    Second,
    /// By server; everything else is merged.
    Server,
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

impl Tried {
    fn problem(&self) -> Option<&str> {
        self.trials.iter().find_map(|trial| trial.error.as_deref())
    }
}

/// Where a trial stands in its step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) block: u32,
    pub(super) place: u32,
    /// Which try it is, from 1.
    pub(super) attempt: u32,
}

/// Tries `arm` once on a fresh copy of the seeded database. What an interrupted run had finished is taken from its journal.
async fn try_once(bench: &mut Bench<'_>, arm: &Arm, load: &Load, place: Place, detail: Detail) -> Result<Tried> {
    let key = format!("{}.{}.{}", place.block, arm.name, place.attempt);
    if let Some(tried) = bench.kept::<Tried>(&key) {
        bench.measured(Duration::from_micros(tried.window_us));
        return Ok(tried);
    }
    let named = || format!("the arm `{}` failed in block {}", arm.name, place.block);
    let database = bench.blog.clone_seeded("trial", app::db::Indexes::With).await.with_context(named)?;
    let servers = bench.blog.serve(&database, arm.setup).await.with_context(named)?;
    let mut spec = specify(bench, &servers, load, place);
    let body_digest = digest(&spec).await.with_context(named)?;
    account::authorise(&mut spec.mix, &spec.base_url).await.with_context(named)?;
    let outcome = observe(bench, &servers, load, &spec, &database).await;
    // A store that died is the cause of what the trial saw, so it is told first.
    bench.blog.check().with_context(named)?;
    let (result, readings) = outcome.with_context(named)?;
    keep_configuration(bench, &servers, arm)?;
    servers.stop().await.with_context(named)?;
    let doubts = checks::doubts(&result, load, &readings);
    let tried = Tried {
        trials: results::trials(&result, arm.name, place, &readings, &doubts, &body_digest),
        latencies: results::latencies(&result, arm.name, place, detail),
        resources: readings.resources(arm.name, place),
        counters: readings.counters(arm.name, place),
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
    let base_url = match (load.target, servers.apps.first()) {
        (Target::FirstServer, Some(first)) => first.url(),
        _ => servers.nginx.url(),
    };
    TrialSpec {
        version: SPEC_VERSION,
        base_url,
        // Arms of one block get the same requests; blocks get others.
        seed: super::bench::seed_for(bench.profile.seed, &format!("requests of block {}", place.block)),
        users: load.users,
        worker: crate::load::spec::WorkerPart::default(),
        arrivals: load.arrivals,
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

/// What the blog answers before it is put under load, as one number: the bodies of those pages of the mix that need no draw. Arms
/// that are compared must serve the same.
async fn digest(spec: &TrialSpec) -> Result<String> {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?;
    let mut bodies = Sha256::new();
    let plain = |endpoint: &&Endpoint| endpoint.method == Method::Get && !endpoint.path.contains(['{', '?']);
    let fixed = spec.mix.iter().filter(plain).map(|endpoint| endpoint.path.clone());
    // The first post has comments of its own, so that its page shows the rest of what the database holds.
    for path in fixed.chain(["/posts/1".to_owned()]) {
        let url = format!("{}{path}", spec.base_url);
        let answer = client.get(&url).send().await.and_then(reqwest::Response::error_for_status);
        let body = answer.with_context(|| format!("cannot read `{url}`"))?.bytes().await?;
        bodies.update(&body);
    }
    let digest = bodies.finalize();
    Ok(digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}

/// Runs the load and reads what it costs: at the edges of each phase, and once a second in between.
async fn observe(
    bench: &Bench<'_>,
    servers: &Servers,
    load: &Load,
    spec: &TrialSpec,
    database: &str,
) -> Result<(TrialResult, Readings)> {
    let supervisor = &bench.blog.folder.programs().supervisor;
    let runner = Runner { binary: supervisor.clone(), prefix: supervise::prefix(supervisor), cpu_list: Vec::new() };
    let components = bench.blog.components(servers);
    let pool = bench.blog.pool(database).await?;
    let metrics = servers.apps.iter().map(|app| Ok((app.name().to_owned(), Metrics::new(app.url() + "/metrics")?)));
    let mut readings = Readings::new(Sources {
        components: components.into_iter().map(|(name, pid)| Component::new(name, pid)).collect(),
        pool: pool.clone(),
        redis_url: bench.blog.stack.redis.url(),
        nginx: nginx::Status::new(servers.nginx.status_url())?,
        apps: metrics.collect::<Result<_>>()?,
    })?;
    readings.begin().await?;
    let measured = |name: &str| spec.phases.iter().any(|phase| phase.measured && phase.name == name);
    let frozen = freeze::Switch::new(load.freeze, servers.apps.iter().map(crate::stack::AppServer::pid).collect());
    let mut trouble = None;
    let outcome = runner
        .run(spec, async |event| {
            let entered = match event {
                Event::Phase { name } if measured(&name) => readings.enter(Some(name)).await,
                Event::Measured => readings.enter(None).await,
                Event::Measuring { .. } => {
                    frozen.start();
                    Ok(())
                }
                Event::Phase { .. } => Ok(()),
            };
            trouble = trouble.take().or(entered.err());
        })
        .await;
    readings.frozen = frozen.end().await?;
    let outcome = outcome?;
    readings.end().await?;
    pool.close().await;
    match trouble {
        Some(error) => Err(error),
        None => Ok((outcome.result, readings)),
    }
}

/// Tries every arm once in each block, in the order given, and once more where a trial must not be used. `part` is which part of the
/// step this is, such as `0.0..1.0` for all of it.
pub(super) async fn run_all(
    bench: &mut Bench<'_>,
    arms: &[Arm],
    order: &[Vec<usize>],
    load: &Load,
    detail: Detail,
    part: Range<f64>,
) -> Result<Vec<Tried>> {
    let trials = order.len() * arms.len();
    let mut tried = Vec::with_capacity(trials);
    let mut done = 0;
    for (block, places) in (1_u32..).zip(order) {
        for (place, &arm) in (0_u32..).zip(places) {
            let arm = &arms[arm];
            let mut again = String::new();
            for attempt in 1..=bench.profile.attempts {
                let what = format!("trial {} of {trials}: `{}` in block {block}{again}", done + 1, arm.name);
                #[expect(clippy::cast_precision_loss, reason = "a few trials")]
                let share = part.start + (part.end - part.start) * done as f64 / trials as f64;
                bench.progress.say(share, &what);
                let one = try_once(bench, arm, load, Place { block, place, attempt }, detail).await?;
                let problem = one.problem().map(str::to_owned);
                tried.push(one);
                match problem {
                    None => break,
                    Some(problem) => again = format!(", again because {problem}"),
                }
            }
            done += 1;
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
