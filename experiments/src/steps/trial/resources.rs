//! What a trial costs: readings at the edges of each phase, and once a second in between, turned into rows.

use std::time::Instant;

use anyhow::{Context, Result};
use sqlx::PgPool;

use super::rows::{CounterRow, ResourceRow};
use crate::probe::{
    component::{Component, Snapshot},
    nginx, postgres, redis,
    sampler::{self, Sampler},
    source::{self, Source},
};

/// Whom to ask.
pub(super) struct Sources {
    pub(super) components: Vec<Component>,
    pub(super) pool: PgPool,
    pub(super) redis_url: String,
    pub(super) nginx: nginx::Status,
}

/// The readings of one trial in the making.
pub(super) struct Readings {
    sources: Sources,
    reader: Box<dyn Source>,
    sampler: Option<Sampler>,
    /// The measured phase that is under way, and the reading at its start.
    open: Option<(String, Edge)>,
    done: Vec<(String, Edge, Edge)>,
    seconds: Vec<sampler::Row>,
}

/// Everything that is counted, at one moment.
struct Edge {
    snapshot: Snapshot,
    postgres: postgres::Counters,
    redis: redis::Counters,
    nginx: nginx::Counters,
}

impl Readings {
    pub(super) fn new(sources: Sources) -> Result<Self> {
        Ok(Self { sources, reader: source::open()?, sampler: None, open: None, done: Vec::new(), seconds: Vec::new() })
    }

    /// A phase begins, which ends the one before it. Phases outside of the measured window are not read.
    pub(super) async fn enter(&mut self, phase: Option<String>) -> Result<()> {
        if self.open.is_none() && phase.is_none() {
            return Ok(());
        }
        let now = Instant::now();
        if let Some((name, start)) = self.open.take() {
            let end = self.read(true).await?;
            self.done.push((name, start, end));
        }
        let Some(name) = phase else {
            self.seconds = self.sampler.take().map(Sampler::stop).transpose()?.unwrap_or_default();
            return Ok(());
        };
        if self.sampler.is_none() {
            self.sampler = Some(Sampler::start(source::open()?, self.sources.components.clone(), now)?);
        }
        let start = self.read(false).await?;
        self.open = Some((name, start));
        Ok(())
    }

    /// Memory is read at the end only: walking through it takes processor time, which the window would have to pay.
    async fn read(&mut self, with_memory: bool) -> Result<Edge> {
        let read = if with_memory { Snapshot::read } else { Snapshot::read_counters };
        let snapshot = read(self.reader.as_mut(), &self.sources.components)?;
        let (postgres, redis, nginx) = tokio::try_join!(
            postgres::read(&self.sources.pool),
            redis::read(&self.sources.redis_url),
            self.sources.nginx.read()
        )
        .context("cannot read the counters of a service")?;
        Ok(Edge { snapshot, postgres, redis, nginx })
    }

    /// Rows of each phase as a whole, and of each second.
    pub(super) fn resources(&self, arm: &str, block: u32) -> Vec<ResourceRow> {
        let mut rows = Vec::new();
        for (phase, start, end) in &self.done {
            for (component, usage) in Snapshot::difference(&start.snapshot, &end.snapshot).components {
                rows.push(ResourceRow {
                    block,
                    arm: arm.to_owned(),
                    phase: phase.clone(),
                    second: None,
                    component,
                    cpu_us: usage.cpu_us(),
                    cpu_kernel_us: Some(usage.cpu_kernel_us),
                    memory_bytes: usage.memory_bytes,
                });
            }
        }
        let of_second = |row: &sampler::Row| {
            Some(ResourceRow {
                block,
                arm: arm.to_owned(),
                phase: "each_second".to_owned(),
                second: Some(row.second),
                component: row.component.clone(),
                cpu_us: row.cpu_user_us? + row.cpu_kernel_us?,
                cpu_kernel_us: row.cpu_kernel_us,
                memory_bytes: row.memory_bytes,
            })
        };
        rows.extend(self.seconds.iter().filter_map(of_second));
        rows
    }

    /// Rows of what the services counted in each phase.
    pub(super) fn counters(&self, arm: &str, block: u32) -> Vec<CounterRow> {
        let mut rows = Vec::new();
        for (phase, start, end) in &self.done {
            for (component, counter, value) in counted(start, end) {
                rows.push(CounterRow {
                    block,
                    arm: arm.to_owned(),
                    phase: phase.clone(),
                    component: component.to_owned(),
                    counter: counter.to_owned(),
                    value,
                });
            }
        }
        rows
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn counted(start: &Edge, end: &Edge) -> Vec<(&'static str, &'static str, f64)> {
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
    counted
}
