//! The cached list page from everybody who can answer with it, at the same rate and then as fast as the generator can ask. All of them are
//! up, and the load goes round them in slices of a fraction of a second, in an order that is drawn anew for each round: what the
//! machine goes through in ten seconds meets all of them alike.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::{
    asking::{page, spec},
    reference::Page,
    site::{Local, Site},
};
use crate::{
    load::{event::Event, recorder::CacheStatus, result::TrialResult, spec::Phase},
    probe::{
        component::{Component, Snapshot},
        source::{self, Detail},
    },
    steps::{
        Blog, blocks,
        slices::{self, PAUSE_S, Slice},
    },
};

/// Connections of the generator.
const USERS: u32 = 32;
const WARM_UP_S: f64 = 0.2;

/// Slices of each contender in a block, at the rate.
const ROUNDS: u32 = 10;

/// The closed loop gets this part of the time.
const CLOSED_SHARE: f64 = 1.0 / 3.0;

/// The requests of the slice before have so long to end before the counters are read.
const TAIL: Duration = Duration::from_millis(40);

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

/// What the server whose turn it was used in a slice, and what the host took away meanwhile.
#[derive(Debug, Clone, Copy)]
struct Used {
    cpu_us: u64,
    /// The part of the processors' time that the host gave to others.
    lost_share: f64,
}

impl<'a> Contest<'a> {
    pub(super) fn new(site: &'a Site, rate: Rate) -> Self {
        Self { site, rate, tried: BTreeMap::new() }
    }

    /// Tries everybody once.
    pub(super) async fn block(&mut self, seed: u64, block: u32) -> Result<()> {
        let contenders = contenders(self.site)?;
        let names: Vec<&str> = contenders.iter().map(|contender| contender.name).collect();
        let order = blocks(seed, &format!("bench app {block}"), contenders.len(), ROUNDS);
        let phases = [
            Phase::warm_up(WARM_UP_S, Some(self.rate.per_s)),
            Phase::new("rate", self.rate.seconds, Some(self.rate.per_s)),
            Phase::new("closed", self.rate.seconds * CLOSED_SHARE, None),
        ];
        let mut slices = slices::cut(&phases, &names, &order, PAUSE_S);
        // One of them asks Redis for the page without ever making it. Whoever had it made last may have done so long ago.
        Page::fetch(self.site.cached(Local::Off)?.address()).await?;
        let (mut seen, used) = ask(&self.site.blog, &contenders, &slices, block).await?;
        slices::mark(&mut slices, &used.iter().map(|used| used.lost_share).collect::<Vec<_>>());
        for (phase, slice) in seen.phases.iter_mut().zip(&slices) {
            phase.measured &= !slice.left_out;
        }
        for (place, contender) in contenders.iter().enumerate() {
            let own = |slice: &&Slice| slice.planned.target == place;
            let name_of = |name: &str| slices.iter().filter(own).find(|slice| slice.planned.name == name);
            let part = seen.part(|name| Some(name_of(name)?.kept_as()));
            check(&part, contender, self.site.page.body.len() as u64)
                .with_context(|| format!("`{}` failed in block {block}", contender.name))?;
            let measured = slices.iter().filter(|slice| slice.planned.measured).zip(&used);
            let own = measured.filter(|(slice, _)| own(slice) && !slice.left_out);
            let cpu_us = |phase: &str| -> u64 {
                own.clone().filter(|(slice, _)| slice.of == phase).map(|(_, used)| used.cpu_us).sum()
            };
            let tried = conclude(&part, cpu_us("rate"), cpu_us("closed"));
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

/// Asks everybody in turns, and reads at the edges of the measured slices what the one whose turn it is has used. A reading that comes
/// too late counts as if the host had taken all away: it belongs to two slices, so that its round is left out.
async fn ask(blog: &Blog, contenders: &[Contender], slices: &[Slice], block: u32) -> Result<(TrialResult, Vec<Used>)> {
    let components: Vec<Component> =
        contenders.iter().map(|contender| Component::new(contender.name, contender.pid)).collect();
    let addresses: Vec<SocketAddr> = contenders.iter().map(|contender| contender.address).collect();
    let phases = slices.iter().map(|slice| slice.planned.clone()).collect();
    let spec = spec(blog, &addresses, u64::from(block), USERS, phases, vec![page("list", "/")]);
    let mut reader = source::open()?;
    let mut used = Vec::new();
    let mut open: Option<(&Slice, Snapshot)> = None;
    let mut trouble = None;
    let runner = blog.runner();
    let outcome = runner.run(&spec, async |event| {
        let next = match event {
            Event::Phase { name } => slices.iter().find(|slice| slice.planned.name == name),
            Event::Measured => None,
            Event::Measuring { .. } => return,
        };
        let pause_ends = Instant::now() + Duration::from_secs_f64(PAUSE_S);
        tokio::time::sleep(TAIL).await;
        let now = match Snapshot::read(reader.as_mut(), &components, Detail::Cpu) {
            Ok(now) => now,
            Err(error) => return trouble = trouble.take().or(Some(error)),
        };
        let is_late = next.is_some() && Instant::now() > pause_ends;
        if let Some((slice, before)) = open.take() {
            let difference = Snapshot::difference(&before, &now);
            let own = difference.components.get(contenders[slice.planned.target].name);
            let lost_share = if is_late { 1.0 } else { difference.noise.steal_share().unwrap_or(0.0) };
            used.push(Used { cpu_us: own.map_or(0, |own| own.cpu_us()), lost_share });
        }
        open = next.filter(|slice| slice.planned.measured).map(|slice| (slice, now));
    });
    let result = outcome.await?.result;
    match trouble {
        Some(error) => Err(error),
        None => Ok((result, used)),
    }
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

fn conclude(part: &TrialResult, rate_cpu_us: u64, closed_cpu_us: u64) -> Tried {
    let phase = |name: &str| part.phases.iter().find(|phase| phase.name == name);
    let answers = |name: &str| phase(name).map_or(0, |phase| phase.expected_count) as f64;
    let [at_rate, closed] = [rate_cpu_us, closed_cpu_us].map(|cpu_us| cpu_us.max(1) as f64 / 1e6);
    let closed_s = phase("closed").map_or(f64::NAN, |phase| phase.duration_s);
    let latency = part.merged(|cell| &cell.latency_us, |cell| cell.phase == "rate");
    let quantile = |share| latency.quantile_us(share).unwrap_or(0) as f64;
    Tried {
        per_cpu_s: answers("rate") / at_rate,
        p50_us: quantile(0.5),
        p99_us: quantile(0.99),
        closed_per_cpu_s: answers("closed") / closed,
        closed_per_s: answers("closed") / closed_s,
        closed_share: closed / closed_s,
    }
}
