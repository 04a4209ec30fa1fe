//! What a trial costs: readings at the edges of each phase, and once a second in between, turned into rows.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use anyhow::{Context, Result};
use sqlx::PgPool;

use super::{
    Place,
    rows::{CounterRow, ResourceRow},
};
use crate::{
    probe::{
        app::{self, Metrics},
        canary::{self, Canary},
        component::{Component, Snapshot, Usage},
        hiccup::Meter,
        nginx, postgres, redis,
        sampler::{self, Sampler},
        source::{self, Detail, Source},
    },
    stats::median,
};

/// Whom to ask.
pub(super) struct Sources {
    pub(super) components: Vec<Component>,
    pub(super) pool: PgPool,
    pub(super) redis_url: String,
    pub(super) nginx: nginx::Status,
    /// The app servers by name.
    pub(super) apps: Vec<(String, Metrics)>,
    /// The system's processor, to be asked how fast it is; absent where it shares all with the generator.
    pub(super) processor: Option<usize>,
    /// What sees that processor stand still, where somebody looks.
    pub(super) hiccups: Option<Arc<Meter>>,
}

/// When a trial is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sampling {
    /// At the edges of each slice, between those of other arms. There is no time for memory then, which is read once at the end.
    Edges,
    /// At the edges of each phase and once a second in between.
    EachSecond,
}

/// Which end of a window is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Start,
    End,
}

/// The readings of one trial in the making.
pub(super) struct Readings {
    sources: Sources,
    reader: Box<dyn Source>,
    pub(super) sampling: Sampling,
    sampler: Option<Sampler>,
    /// The measured phase that is under way, and the reading at its start.
    open: Option<(String, Edge)>,
    /// What was measured: a phase in one piece or in several.
    done: Vec<(String, Edge, Edge)>,
    /// The phases of the pieces that were left out.
    left_out: Vec<String>,
    seconds: Vec<sampler::Row>,
    /// Before the first request and after the last answer.
    whole: (Option<Edge>, Option<Edge>),
    /// Readings in between; each is a request to NGINX and to every server, which the load did not make.
    between: u64,
    /// How fast the system's processor was before and after.
    canaries: Vec<Canary>,
    /// For how long the servers were frozen.
    pub(super) frozen: Option<f64>,
}

/// What the components counted from before the first request until after the last answer, without the probe's own questions.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Totals {
    pub(super) nginx_requests: u64,
    pub(super) app_requests: u64,
    /// SQL statements; absent where the database does not count them. Those of the measured slices only, where others ask the same
    /// database in between.
    pub(super) statements: Option<u64>,
}

/// What a piece of a phase cost.
pub(super) struct Cost {
    /// CPU time of all components together.
    pub(super) cpu_us: u64,
    /// What the servers say that they added to each request; absent where they have no handicap.
    pub(super) added_us: Option<f64>,
    /// The part of the processors' time that the host gave to others, by its own word.
    pub(super) steal_share: Option<f64>,
    /// The part of the time in which the system's processor stood still.
    pub(super) hiccup_share: Option<f64>,
}

impl Cost {
    /// How much the host took away, whether it says so or not.
    pub(super) fn lost_share(&self) -> f64 {
        self.steal_share.into_iter().chain(self.hiccup_share).fold(0.0, f64::max)
    }
}

/// Everything that is counted, at one moment.
#[derive(Clone)]
struct Edge {
    snapshot: Snapshot,
    stood_still_us: Option<u64>,
    postgres: postgres::Counters,
    redis: redis::Counters,
    nginx: nginx::Counters,
    apps: Vec<(String, app::Counters)>,
}

impl Readings {
    pub(super) fn new(sources: Sources, sampling: Sampling) -> Result<Self> {
        Ok(Self {
            sources,
            reader: source::open()?,
            sampling,
            sampler: None,
            open: None,
            done: Vec::new(),
            left_out: Vec::new(),
            seconds: Vec::new(),
            whole: (None, None),
            between: 0,
            canaries: Vec::new(),
            frozen: None,
        })
    }

    /// Before the first request.
    pub(super) async fn begin(&mut self) -> Result<()> {
        self.listen()?;
        self.whole.0 = Some(self.read(Detail::Counters, Side::Start).await?);
        Ok(())
    }

    /// After the last answer.
    pub(super) async fn end(&mut self) -> Result<()> {
        let detail = if self.sampling == Sampling::Edges { Detail::Full } else { Detail::Counters };
        self.whole.1 = Some(self.read(detail, Side::End).await?);
        self.listen()
    }

    fn listen(&mut self) -> Result<()> {
        self.canaries.extend(self.sources.processor.map(canary::read).transpose()?);
        Ok(())
    }

    /// The time of a fixed piece of work, before and after together: of arithmetic or of system calls.
    pub(super) fn canary_us(&self, of: fn(&Canary) -> f64) -> Option<f64> {
        median(&self.canaries.iter().map(of).collect::<Vec<_>>())
    }

    /// What was counted in all; nothing before [`Self::end`].
    pub(super) fn totals(&self) -> Option<Totals> {
        let (Some(start), Some(end)) = &self.whole else { return None };
        // The difference leaves out the later reading. NGINX counts a reading at its start, a server when it has answered.
        let nginx = nginx::Counters::difference(&start.nginx, &end.nginx).request_count;
        let apps = differences(start, end).map(|(_, counted)| counted.get("http_requests").copied().unwrap_or(0.0));
        let (app_requests, servers) = apps.fold((0.0, 0), |(sum, count), requests| (sum + requests, count + 1));
        let counted = |start: &Edge, end: &Edge| {
            let statements = postgres::Counters::difference(&start.postgres, &end.postgres).statements?;
            u64::try_from(statements.call_count).ok()
        };
        let statements = match self.sampling {
            Sampling::Edges => self.done.iter().map(|(_, start, end)| counted(start, end)).sum(),
            Sampling::EachSecond => counted(start, end),
        };
        Some(Totals {
            nginx_requests: nginx.saturating_sub(self.between),
            app_requests: (app_requests as u64).saturating_sub((self.between + 1) * servers),
            statements,
        })
    }

    /// What the machine went through in a phase: the part of its processors' time that the host gave to others.
    pub(super) fn steal_share(&self, phase: &str) -> Option<f64> {
        stolen(self.pieces(phase))
    }

    /// What was counted in each piece that was measured, in order.
    pub(super) fn costs(&self) -> impl Iterator<Item = Cost> {
        self.done.iter().map(|(_, start, end)| {
            let used = Snapshot::difference(&start.snapshot, &end.snapshot);
            Cost {
                cpu_us: used.components.values().map(Usage::cpu_us).sum(),
                added_us: added_us(start, end),
                steal_share: used.noise.steal_share(),
                hiccup_share: stood_still_us(start, end)
                    .map(|still_us| still_us as f64 / used.elapsed_us.max(1) as f64),
            }
        })
    }

    /// Forgets the pieces that are marked, in the order in which they were measured.
    pub(super) fn leave_out(&mut self, marked: &[bool]) {
        let (left_out, done): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.done).into_iter().zip(marked).partition(|(_, is_marked)| **is_marked);
        self.left_out.extend(left_out.into_iter().map(|((phase, ..), _)| phase));
        self.done.extend(done.into_iter().map(|(piece, _)| piece));
    }

    /// A measured phase, or a piece of one, begins. One that was under way ends at the same moment.
    pub(super) async fn enter(&mut self, phase: String) -> Result<()> {
        let now = Instant::now();
        let ended = self.shut().await?;
        if self.sampling == Sampling::EachSecond && self.sampler.is_none() {
            self.sampler = Some(Sampler::start(source::open()?, self.sources.components.clone(), now)?);
        }
        let start = match ended {
            Some(edge) => edge,
            None => {
                self.between += 1;
                self.read(self.detail(Detail::Counters), Side::Start).await?
            }
        };
        self.open = Some((phase, start));
        Ok(())
    }

    /// What was entered ends and nothing follows at once.
    pub(super) async fn leave(&mut self) -> Result<()> {
        drop(self.shut().await?);
        self.seconds.extend(self.sampler.take().map(Sampler::stop).transpose()?.unwrap_or_default());
        Ok(())
    }

    async fn shut(&mut self) -> Result<Option<Edge>> {
        let Some((name, start)) = self.open.take() else { return Ok(None) };
        let end = self.read(self.detail(Detail::Full), Side::End).await?;
        self.between += 1;
        self.done.push((name, start, end.clone()));
        Ok(Some(end))
    }

    /// Between slices there is time for nothing but what a slice is measured for.
    fn detail(&self, wanted: Detail) -> Detail {
        if self.sampling == Sampling::Edges { Detail::Cpu } else { wanted }
    }

    /// In how many pieces a phase was measured.
    pub(super) fn slices(&self, phase: &str) -> u32 {
        u32::try_from(self.pieces(phase).count()).unwrap_or(u32::MAX)
    }

    /// How many pieces of a phase were left out.
    pub(super) fn left_out(&self, phase: &str) -> u32 {
        u32::try_from(self.left_out.iter().filter(|of| *of == phase).count()).unwrap_or(u32::MAX)
    }

    /// The names of what was measured, in order.
    fn phases(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for (name, ..) in &self.done {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        names
    }

    fn pieces(&self, phase: &str) -> impl Iterator<Item = (&Edge, &Edge)> {
        self.done.iter().filter(move |(name, ..)| name == phase).map(|(_, start, end)| (start, end))
    }

    /// Whoever is asked for its counters works for the answer. So processor time is read last at the start and first at the end, and the
    /// window does not pay for the questions.
    async fn read(&mut self, detail: Detail, side: Side) -> Result<Edge> {
        let Self { sources, reader, .. } = self;
        let mut snapshot = || Snapshot::read(reader.as_mut(), &sources.components, detail);
        let first = if side == Side::End { Some(snapshot()?) } else { None };
        let apps = async {
            let mut apps = Vec::with_capacity(sources.apps.len());
            for (name, metrics) in &sources.apps {
                apps.push((name.clone(), metrics.read().await?));
            }
            Ok(apps)
        };
        let (postgres, redis, nginx, apps) = tokio::try_join!(
            postgres::read(&sources.pool),
            redis::read(&sources.redis_url),
            sources.nginx.read(),
            apps
        )
        .context("cannot read the counters of a service")?;
        let snapshot = first.map_or_else(snapshot, Ok)?;
        let stood_still_us = sources.hiccups.as_ref().map(|meter| meter.stood_still_us());
        Ok(Edge { snapshot, stood_still_us, postgres, redis, nginx, apps })
    }

    /// Rows of each phase as a whole, and of each second.
    pub(super) fn resources(&self, arm: &str, place: Place) -> Vec<ResourceRow> {
        let Place { block, attempt, .. } = place;
        let mut rows = Vec::new();
        for phase in self.phases() {
            let mut used: BTreeMap<String, Usage> = BTreeMap::new();
            for (start, end) in self.pieces(phase) {
                for (component, usage) in Snapshot::difference(&start.snapshot, &end.snapshot).components {
                    let sum = used.entry(component).or_default();
                    *sum = Usage::sum(sum, &usage);
                }
            }
            rows.extend(used.into_iter().map(|(component, usage)| ResourceRow {
                block,
                arm: arm.to_owned(),
                attempt,
                phase: phase.to_owned(),
                second: None,
                cpu_us: usage.cpu_us(),
                cpu_kernel_us: Some(usage.cpu_kernel_us),
                voluntary_switches: usage.voluntary_switch_count,
                involuntary_switches: usage.involuntary_switch_count,
                memory_bytes: usage.memory_bytes.or_else(|| self.at_end(&component)?.memory_bytes),
                memory_peak_bytes: usage.memory_peak_bytes.or_else(|| self.at_end(&component)?.memory_peak_bytes),
                component,
            }));
        }
        let of_second = |row: &sampler::Row| {
            Some(ResourceRow {
                block,
                arm: arm.to_owned(),
                attempt,
                phase: "each_second".to_owned(),
                second: Some(row.second),
                component: row.component.clone(),
                cpu_us: row.cpu_user_us? + row.cpu_kernel_us?,
                cpu_kernel_us: row.cpu_kernel_us,
                voluntary_switches: None,
                involuntary_switches: None,
                memory_bytes: row.memory_bytes,
                memory_peak_bytes: None,
            })
        };
        rows.extend(self.seconds.iter().filter_map(of_second));
        rows
    }

    /// What a component used and held after the last answer.
    fn at_end(&self, component: &str) -> Option<&Usage> {
        self.whole.1.as_ref()?.snapshot.components.get(component)
    }

    /// Rows of what the services counted in each phase.
    pub(super) fn counters(&self, arm: &str, place: Place) -> Vec<CounterRow> {
        let Place { block, attempt, .. } = place;
        let mut rows = Vec::new();
        for phase in self.phases() {
            let mut sums: BTreeMap<(String, String), f64> = BTreeMap::new();
            for (component, counter, value) in self.pieces(phase).flat_map(|(start, end)| counted(start, end)) {
                *sums.entry((component, counter)).or_default() += value;
            }
            rows.extend(sums.into_iter().map(|((component, counter), value)| CounterRow {
                block,
                arm: arm.to_owned(),
                attempt,
                phase: phase.to_owned(),
                component,
                counter,
                value,
            }));
        }
        rows
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn counted(start: &Edge, end: &Edge) -> Vec<(String, String, f64)> {
    let postgres = postgres::Counters::difference(&start.postgres, &end.postgres);
    let redis = redis::Counters::difference(&start.redis, &end.redis);
    let nginx = nginx::Counters::difference(&start.nginx, &end.nginx);
    let mut counted = vec![
        ("postgres", "transactions", (postgres.database.commit_count + postgres.database.rollback_count) as f64),
        ("postgres", "blocks_hit", postgres.database.block_hit_count as f64),
        ("postgres", "blocks_read", postgres.database.block_read_count as f64),
        ("redis", "commands", redis.command_count as f64),
        ("redis", "keyspace_hits", redis.hit_count as f64),
        ("redis", "keyspace_misses", redis.miss_count as f64),
        ("redis", "evicted", redis.evicted_count as f64),
        ("nginx", "requests", nginx.request_count as f64),
    ];
    if let Some(statements) = postgres.statements {
        counted.push(("postgres", "statements", statements.call_count as f64));
        counted.push(("postgres", "execution_us", statements.execution_us));
    }
    let named = |(component, counter, value): (&str, &str, f64)| (component.to_owned(), counter.to_owned(), value);
    let mut counted: Vec<_> = counted.into_iter().map(named).collect();
    for (name, counters) in differences(start, end) {
        let handicap = counters.into_iter().filter(|(counter, _)| counter.starts_with("handicap_"));
        counted.extend(handicap.map(|(counter, value)| (name.to_owned(), counter, value)));
    }
    counted
}

/// What the servers added to each request between two readings, delay and processor time together.
fn added_us(start: &Edge, end: &Edge) -> Option<f64> {
    let (mut added_s, mut requests) = (0.0, 0.0);
    for (_, counted) in differences(start, end) {
        let of = |name: &str| counted.get(name).copied().unwrap_or(0.0);
        added_s += of("handicap_delay_seconds") + of("handicap_cpu_seconds");
        requests += of("handicap_requests");
    }
    (requests > 0.0).then(|| 1e6 * added_s / requests)
}

/// The part of the processors' time that the host gave to others between these readings.
fn stolen<'a>(pieces: impl Iterator<Item = (&'a Edge, &'a Edge)>) -> Option<f64> {
    let (mut steal_us, mut all_us) = (0, 0);
    for (start, end) in pieces {
        let noise = Snapshot::difference(&start.snapshot, &end.snapshot).noise;
        steal_us += noise.steal_us?;
        all_us += noise.steal_us? + noise.busy_us + noise.idle_us;
    }
    (all_us > 0).then(|| steal_us as f64 / all_us as f64)
}

/// For how long the system's processor stood still between two readings.
fn stood_still_us(start: &Edge, end: &Edge) -> Option<u64> {
    Some(end.stood_still_us?.saturating_sub(start.stood_still_us?))
}

/// What each server counted between two readings.
fn differences<'a>(start: &'a Edge, end: &'a Edge) -> impl Iterator<Item = (&'a str, app::Counters)> {
    let between = |((name, before), (_, after)): (&'a (String, app::Counters), &'a (String, app::Counters))| {
        (name.as_str(), app::difference(before, after))
    };
    start.apps.iter().zip(&end.apps).map(between)
}
