//! The cached list page from everybody who can answer with it: in each block every contender once, in random order, at the same rate
//! and then as fast as the generator can ask.

use std::{collections::BTreeMap, net::SocketAddr};

use anyhow::{Context, Result, ensure};

use super::{
    reference::{ACCEPT_ENCODING, Page},
    site::{Local, Site},
};
use crate::{
    load::{
        event::Event,
        recorder::CacheStatus,
        result::TrialResult,
        spec::{Arrivals, Cookies, Endpoint, Expect, Method, Phase, SPEC_VERSION, Target, TrialSpec, WorkerPart},
    },
    probe::{
        component::{Component, Snapshot},
        source::{self, Detail},
    },
    steps::{Blog, blocks},
};

/// Connections of the generator.
const USERS: u32 = 32;
const WARM_UP_S: f64 = 0.5;

/// What is offered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    pub(super) per_s: f64,
    pub(super) seconds: f64,
}

/// What one contender did in one block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tried {
    /// At the offered rate: answers per second of the server's CPU time.
    pub(super) per_cpu_s: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    /// In the closed loop: the same, answers per second, and the share of its processor that the server used.
    pub(super) closed_per_cpu_s: f64,
    pub(super) closed_per_s: f64,
    pub(super) closed_share: f64,
}

/// The contenders and what they did so far.
pub(super) struct Contest<'a> {
    site: &'a Site,
    rate: Rate,
    tried: BTreeMap<&'static str, Vec<Tried>>,
}

struct Contender {
    name: &'static str,
    address: SocketAddr,
    pid: u32,
    /// Whether it says of itself that it answers from a cache.
    caches: bool,
}

impl<'a> Contest<'a> {
    pub(super) fn new(site: &'a Site, rate: Rate) -> Self {
        Self { site, rate, tried: BTreeMap::new() }
    }

    /// Tries everybody once.
    pub(super) async fn block(&mut self, seed: u64, block: u32) -> Result<()> {
        let contenders = contenders(self.site)?;
        let order = blocks(seed, "bench app", contenders.len(), block).pop().context("there is no block")?;
        for place in order {
            let contender = &contenders[place];
            // One of them asks Redis for the page without ever making it. Whoever had it made last may have done so long ago.
            Page::fetch(self.site.cached(Local::Off)?.address()).await?;
            let tried = try_one(&self.site.blog, contender, self.rate, self.site.page.body.len() as u64, block)
                .await
                .with_context(|| format!("`{}` failed in block {block}", contender.name))?;
            self.tried.entry(contender.name).or_default().push(tried);
        }
        Ok(())
    }

    /// What everybody did, by name, in the order of the blocks.
    pub(super) fn tried(self) -> BTreeMap<&'static str, Vec<Tried>> {
        self.tried
    }
}

fn contenders(site: &Site) -> Result<Vec<Contender>> {
    let mut contenders = Vec::new();
    for local in Local::ALL {
        let app = site.cached(local)?;
        contenders.push(Contender { name: local.word(), address: app.address(), pid: app.pid(), caches: true });
    }
    let others = site.bare.iter().map(|bare| (bare.name, bare.address, bare.process.pid()));
    let others = others.chain([("nginx_file", site.file.address, site.file.process.pid())]);
    contenders.extend(others.map(|(name, address, pid)| Contender { name, address, pid, caches: false }));
    Ok(contenders)
}

async fn try_one(blog: &Blog, contender: &Contender, rate: Rate, body_bytes: u64, block: u32) -> Result<Tried> {
    let phases = vec![
        Phase::warm_up(WARM_UP_S, Some(rate.per_s)),
        Phase::new("rate", rate.seconds, Some(rate.per_s)),
        Phase::new("closed", rate.seconds / 2.0, None),
    ];
    let spec = spec(blog, contender.address, u64::from(block), USERS, phases, vec![page("list", "/")]);
    let mut cpu_us = Vec::new();
    let result = run(blog, &spec, contender.pid, &mut cpu_us).await?;
    check(&result, contender, body_bytes)?;
    let [at_rate, closed] = [0, 1].map(|phase| cpu_us.get(phase).copied().unwrap_or(0).max(1) as f64 / 1e6);
    let [rated, looped] = ["rate", "closed"].map(|name| {
        result.phases.iter().find(|phase| phase.name == name).map_or(0, |phase| phase.expected_count) as f64
    });
    let latency = result.merged(|cell| &cell.latency_us, |cell| cell.phase == "rate");
    let quantile = |share| latency.quantile_us(share).unwrap_or(0) as f64;
    let closed_s = rate.seconds / 2.0;
    Ok(Tried {
        per_cpu_s: rated / at_rate,
        p50_us: quantile(0.5),
        p99_us: quantile(0.99),
        closed_per_cpu_s: looped / closed,
        closed_per_s: looped / closed_s,
        closed_share: closed / closed_s,
    })
}

/// Everybody answers everything, with the same body, and the blog does so from its cache.
fn check(result: &TrialResult, contender: &Contender, body_bytes: u64) -> Result<()> {
    for phase in result.measured_phases() {
        ensure!(
            phase.unexpected_count + phase.unsent_count == 0,
            "{} of {} requests got no expected answer",
            phase.unexpected_count + phase.unsent_count,
            phase.offered_count
        );
        let mean_bytes = phase.body_bytes as f64 / phase.expected_count.max(1) as f64;
        let differs = (mean_bytes - body_bytes as f64).abs() / body_bytes as f64;
        ensure!(differs < 0.02, "bodies have {mean_bytes:.0} bytes, those of the others {body_bytes}");
    }
    let all: u64 = result.measured_cells().map(|cell| cell.count).sum();
    let hits: u64 = result.measured_cells().filter(|cell| cell.cache == CacheStatus::Hit).map(|cell| cell.count).sum();
    ensure!(!contender.caches || hits * 1000 >= all * 995, "only {hits} of {all} answers came from the cache");
    Ok(())
}

/// A page of the site, as a browser asks for it.
pub(super) fn page(name: &str, path: &str) -> Endpoint {
    let (header, value) = ACCEPT_ENCODING;
    Endpoint {
        name: name.to_owned(),
        weight: 1,
        method: Method::Get,
        path: path.to_owned(),
        ids: None,
        form: BTreeMap::new(),
        headers: [(header.to_owned(), value.to_owned())].into(),
        expect: Expect::default(),
    }
}

/// A trial of one server without a balancer.
pub(super) fn spec(
    blog: &Blog,
    server: SocketAddr,
    seed: u64,
    users: u32,
    phases: Vec<Phase>,
    mix: Vec<Endpoint>,
) -> TrialSpec {
    TrialSpec {
        version: SPEC_VERSION,
        targets: vec![Target::new(format!("http://{server}"))],
        seed,
        users,
        worker: WorkerPart::default(),
        arrivals: Arrivals::Poisson,
        cookies: Cookies::None,
        requests_per_session: None,
        timeout_s: 10,
        drain_limit_s: 20,
        cpu_list: blog.placement.generator().to_vec(),
        phases,
        mix,
        session_start: None,
        output: blog.folder.path().join("bench.json"),
    }
}

/// Runs a trial, and reads what the processes of `pid` used in each of its measured phases.
pub(super) async fn run(blog: &Blog, spec: &TrialSpec, pid: u32, cpu_us: &mut Vec<u64>) -> Result<TrialResult> {
    let components = [Component::new("server", pid)];
    let mut reader = source::open()?;
    let mut edges = Vec::new();
    let mut trouble = None;
    let measured = |name: &str| spec.phases.iter().any(|phase| phase.measured && phase.name == name);
    let outcome = blog
        .runner()
        .run(spec, async |event| {
            let is_edge = match &event {
                Event::Phase { name } => measured(name),
                Event::Measured => true,
                Event::Measuring { .. } => false,
            };
            if is_edge {
                match Snapshot::read(reader.as_mut(), &components, Detail::Cpu) {
                    Ok(snapshot) => edges.push(snapshot),
                    Err(error) => trouble = trouble.take().or(Some(error)),
                }
            }
        })
        .await?;
    if let Some(error) = trouble {
        return Err(error);
    }
    let used = |pair: &[Snapshot]| {
        Snapshot::difference(&pair[0], &pair[1]).components.values().map(crate::probe::component::Usage::cpu_us).sum()
    };
    *cpu_us = edges.windows(2).map(used).collect();
    Ok(outcome.result)
}
