//! Virtual nodes: app servers that may each use a share of one processor, so that a second one brings what it would bring as a second
//! machine. Without the limit all servers draw on the same processors, and a second one can bring nothing.

use std::collections::BTreeMap;

use anyhow::Result;

use super::super::{
    Bench, Setup,
    bench::blocks,
    profile::NodeParameters,
    trial::{
        self, Arm, Detail, Load, Tried,
        metrics::{self, Metric, PerTrial, Values, of_arm},
    },
};
use crate::{
    aggregate::{Frames, column, to_rows},
    cgroup,
    load::spec::Phase,
    results::{
        row,
        summary::{Cell, SummaryTable},
    },
    stack::{Balancing, CacheLevels},
    stats::Direction,
};

row! {
    /// An arm of limited servers. There is none where the machine does not let processes be limited.
    pub struct NodeRow in "nodes.csv" {
        /// The arm.
        arm: String,
        /// Its app servers.
        servers: u32,
        /// How much of one processor each of them may use.
        limit_share: f64,
        /// Processors that these servers share with NGINX and the stores.
        processors: u32,
    }
}

/// The arms; the first is the baseline.
pub(super) const NAMES: [&str; 2] = ["node", "nodes"];

/// The measured phase.
pub(super) const OVERLOAD: &str = "overload";

/// The warm-up offers this part of the overload's rate.
const WARM_UP_SHARE: f64 = 0.1;

/// One limited server, and two. Every cache is on: what both arms share, PostgreSQL above all, should not be the limit.
fn arms(limit_share: f64) -> [Arm; 2] {
    let arm = |name, servers| {
        let setup = Setup::new(CacheLevels::ALL, Balancing::RoundRobin, servers);
        Arm { name, setup: Setup { cpu_share: Some(limit_share), ..setup } }
    };
    [arm(NAMES[0], 1), arm(NAMES[1], 2)]
}

/// About how long it takes: what is left of the queue when the overload ends has to be answered, too.
pub(super) fn planned_s(nodes: &NodeParameters) -> f64 {
    // What a server has not answered by the end of the overload it answers afterwards.
    f64::from(nodes.blocks) * 2.0 * (nodes.warm_up_s + 1.5 * nodes.overload_s + trial::START_S)
}

/// Tries both arms in each block, and writes what was limited. Where nothing can be limited they are left out, and the run says why.
pub(super) async fn measure(bench: &mut Bench<'_>) -> Result<Vec<Tried>> {
    let nodes = bench.profile.surge.nodes;
    if let Err(reason) = cgroup::limits_available() {
        bench.warn(format!("virtual nodes (`{}`) were left out: {reason}", NAMES.join("`, `")));
        bench.out.rows::<NodeRow>(&[])?;
        return Ok(Vec::new());
    }
    let arms = arms(nodes.limit_share);
    let phases = vec![
        // A server that has just started is slow, and its limit makes it slower still: the warm-up must leave no queue.
        Phase::warm_up(nodes.warm_up_s, Some(nodes.rate_per_s * WARM_UP_SHARE)),
        Phase::new(OVERLOAD, nodes.overload_s, Some(nodes.rate_per_s)),
    ];
    let mix = trial::mix(bench).await?;
    let load = Load { may_fail: &[OVERLOAD], ..Load::new(phases, mix, bench.profile.surge.users) };
    let order = blocks(bench.profile.seed, "nodes", arms.len(), nodes.blocks);
    let tried = trial::run_in_turn(bench, &arms, &order, &load, Detail::Second, 0.8..1.0).await?;
    bench.out.rows(&rows(&arms, bench.blog.placement.system_count().unwrap_or(1)))?;
    Ok(tried)
}

/// What was limited, on a system with so many processors.
fn rows(arms: &[Arm], processors: usize) -> Vec<NodeRow> {
    let row = |arm: &Arm| {
        Some(NodeRow {
            arm: arm.name.to_owned(),
            servers: u32::try_from(arm.setup.servers).ok()?,
            limit_share: arm.setup.cpu_share?,
            processors: u32::try_from(processors).ok()?,
        })
    };
    arms.iter().filter_map(row).collect()
}

/// One row per arm, with empty cells where nothing could be limited. `phases` are those of these arms.
pub(super) fn table(frames: &Frames, phases: &SummaryTable) -> Result<SummaryTable> {
    let limits = frames.rows::<NodeRow>()?;
    let shares = metrics::cpu_shares(frames, OVERLOAD)?;
    let (servers_cpu, system_cpu) = (sum(&shares, |component| component.starts_with("app-")), sum(&shares, |_| true));
    let achieved = metrics::achieved_per_s(frames, OVERLOAD)?;
    let per_answer = achieved
        .iter()
        .filter(|(_, rate)| **rate > 0.0)
        .filter_map(|(trial, rate)| Some((trial.clone(), servers_cpu.get(trial)? * 1e6 / rate)));
    let per_answer: PerTrial = per_answer.collect();
    let row = |arm: &str| {
        let limit = limits.iter().find(|row| row.arm == arm);
        let of_overload =
            |column: &str| phases.cell(&format!("{arm}_{OVERLOAD}"), column).cloned().unwrap_or(Cell::Empty);
        vec![
            Cell::from(arm),
            limit.map_or(Cell::Empty, |row| Cell::from(u64::from(row.servers))),
            Cell::from(limit.map(|row| row.limit_share)),
            of_overload("offered_per_s"),
            of_overload("achieved_per_s"),
            of_overload("achieved_share"),
            of_overload("p50_us"),
            of_overload("p99_us"),
            of_overload("unexpected_count"),
            of_arm(&servers_cpu, arm),
            of_arm(&per_answer, arm),
            of_arm(&system_cpu, arm),
            limit.map_or(Cell::Empty, |row| Cell::from(u64::from(row.processors))),
        ]
    };
    let columns = vec![
        column("arm", "the arm"),
        column("servers", "its app servers"),
        column("limit_share", "how much of one processor each of them may use"),
        column("offered_per_s", "offered rate"),
        column(
            "achieved_per_s",
            "rate of expected answers that were complete before the phase ended, median over blocks",
        ),
        column("achieved_share", "the share of the requests due that got it by then"),
        column("p50_us", "median load time, from the intended start"),
        column("p99_us", "99th percentile"),
        column("unexpected_count", "requests without the expected answer, over all blocks"),
        column("servers_cpu_share", "processor time that its app servers used, as a share of one processor"),
        column("cpu_us_per_answer", "processor time of the app servers for each answer in time, median over blocks"),
        column("system_cpu_share", "processor time that all components used, as a share of one processor"),
        column("processors", "processors that all components share"),
    ];
    to_rows("surge", "nodes", columns, NAMES.map(row).into())
}

/// What a second node brings. One metric, so that few blocks can decide.
pub(super) fn comparison(frames: &Frames) -> Result<SummaryTable> {
    let metric = Metric {
        name: "achieved",
        meaning: "answers per second of limited servers",
        direction: Direction::HigherIsBetter,
        values: Values::PerTrial(metrics::achieved_per_s(frames, OVERLOAD)?),
    };
    metrics::comparison("surge", &NAMES, NAMES[0], &[metric], frames.smallest_effect)
}

/// The sum over some components: one number for each trial.
fn sum(shares: &BTreeMap<(String, u32), BTreeMap<String, f64>>, is_counted: impl Fn(&str) -> bool) -> PerTrial {
    let counted = |shares: &BTreeMap<String, f64>| {
        shares.iter().filter(|(component, _)| is_counted(component)).map(|(_, share)| share).sum()
    };
    shares.iter().map(|((arm, block), shares)| ((arm.clone(), i64::from(*block)), counted(shares))).collect()
}
