//! The step `surge`: the balancer in front of one server, of two in turn, and of two with sticky sessions, while the offered rate
//! jumps and falls back; and of one and two servers that are limited like small machines.

mod charts;
mod nodes;
mod recovery;
mod summary;

use anyhow::Result;

use super::{
    Bench, Figure, Measuring, Profile, Setup, Step,
    bench::blocks,
    find,
    trial::{
        self, Arm, Detail, Load,
        rows::{LatencyRow, ResourceRow, SecondRow, SessionRow, TrialRow},
    },
};
use nodes::NodeRow;

use crate::{
    aggregate::Frames,
    load::spec::{Cookies, Phase},
    results::{Row, Table, summary::SummaryTable},
    stack::{Balancing, CacheLevels},
};

/// The step.
pub struct SurgeStep;

/// The arms; the first is the baseline. Every cache is off, so that a request costs enough to overload something.
const ARMS: [Arm; 3] = [
    arm("single", Balancing::RoundRobin, 1),
    arm("round_robin", Balancing::RoundRobin, 2),
    arm("sticky", Balancing::Sticky, 2),
];

/// A user forgets its cookies after so many requests, and is a new client to the balancer.
const REQUESTS_PER_SESSION: u32 = 10;

const fn arm(name: &'static str, balancing: Balancing, servers: usize) -> Arm {
    Arm { name, setup: Setup::new(CacheLevels::OFF, balancing, servers) }
}

impl Step for SurgeStep {
    fn name(&self) -> &'static str {
        "surge"
    }

    fn title(&self) -> &'static str {
        "Balancing and a surge of traffic"
    }

    fn question(&self) -> &'static str {
        "How evenly does NGINX spread requests over two servers, do sticky sessions stick, and what does a surge of traffic do to load times, and what would a second machine add?"
    }

    fn tables(&self) -> &'static [Table] {
        &[TrialRow::TABLE, LatencyRow::TABLE, ResourceRow::TABLE, SecondRow::TABLE, SessionRow::TABLE, NodeRow::TABLE]
    }

    fn figure_names(&self) -> &'static [&'static str] {
        &["latency", "throughput", "servers", "components"]
    }

    fn arms(&self) -> Vec<String> {
        ARMS.iter().map(|arm| arm.name).chain(nodes::NAMES).map(str::to_owned).collect()
    }

    fn own_parameters(&self, profile: &Profile) -> Result<Vec<(&'static str, serde_json::Value)>> {
        Ok(vec![("surge", serde_json::to_value(profile.surge)?)])
    }

    fn planned_s(&self, profile: &Profile) -> f64 {
        let surge = &profile.surge;
        let trial_s = surge.warm_up_s + surge.baseline_s + surge.surge_s + surge.recovery_s + trial::START_S;
        f64::from(surge.blocks) * 3.0 * trial_s + nodes::planned_s(&surge.nodes)
    }

    fn measure<'a>(&'a self, bench: &'a mut Bench<'_>) -> Measuring<'a> {
        Box::pin(measure(bench))
    }

    fn summarise(&self, frames: &Frames) -> Result<Vec<SummaryTable>> {
        summary::summarise(frames, &ARMS.map(|arm| arm.name))
    }

    fn draw(&self, summaries: &[SummaryTable]) -> Result<Vec<Figure>> {
        let (seconds, phases) = (find(summaries, "seconds")?, find(summaries, "load")?);
        let arms = ARMS.map(|arm| arm.name);
        Ok(vec![
            Figure { name: "latency".to_owned(), svg: charts::latency(seconds, phases, &arms) },
            Figure { name: "throughput".to_owned(), svg: charts::throughput(seconds, phases, &arms) },
            Figure { name: "servers".to_owned(), svg: charts::servers(find(summaries, "servers")?, &arms) },
            Figure {
                name: "components".to_owned(),
                svg: charts::components(find(summaries, "server_seconds")?, phases, "round_robin"),
            },
        ])
    }
}

async fn measure(bench: &mut Bench<'_>) -> Result<()> {
    let surge = bench.profile.surge;
    let phases = vec![
        Phase::warm_up(surge.warm_up_s, Some(surge.rate_per_s)),
        Phase::new("before", surge.baseline_s, Some(surge.rate_per_s)),
        Phase::new("surge", surge.surge_s, Some(surge.rate_per_s * surge.surge_factor)),
        Phase::new("after", surge.recovery_s, Some(surge.rate_per_s)),
    ];
    let load = Load {
        cookies: Cookies::PerUser,
        requests_per_session: Some(REQUESTS_PER_SESSION),
        session_start: Some(trial::log_in()),
        may_fail: &["surge", "after"],
        ..Load::new(phases, trial::mix(bench).await?, surge.users)
    };
    let order = blocks(bench.profile.seed, "surge", ARMS.len(), surge.blocks);
    let mut tried = trial::run_in_turn(bench, &ARMS, &order, &load, Detail::Second, 0.0..0.8).await?;
    tried.extend(nodes::measure(bench).await?);
    trial::write(bench, &tried)?;
    bench.out.rows(&tried.iter().flat_map(|tried| tried.seconds.clone()).collect::<Vec<_>>())?;
    bench.out.rows(&tried.iter().flat_map(|tried| tried.sessions.clone()).collect::<Vec<_>>())
}
