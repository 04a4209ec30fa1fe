//! Summaries of the search: every trial of it, what was found, and who was busy then. Pure: the search is told again what it was told
//! when it was measured.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use super::{
    super::{
        cache::COMPONENTS,
        trial::{
            metrics, overview,
            rows::{LatencyRow, TrialRow},
        },
    },
    OFFERED, WARM_UP_SHARE,
    objective::{ObjectiveRow, Outcome, merged},
};
use crate::{
    aggregate::{Frames, column, slug, to_rows},
    results::summary::{Cell, SummaryTable},
    stats::{Capacity, Limits, Search, median},
};

const STEP: &str = "capacity";

pub(super) fn summarise(frames: &Frames, arms: &[&str]) -> Result<Vec<SummaryTable>> {
    let objective = frames.rows::<ObjectiveRow>()?.pop().context("`objective.csv` is empty; measure the step again")?;
    let tried = tried(frames, &objective)?;
    let found: Vec<Found> = arms.iter().map(|arm| Found::new(arm, &tried)).collect();
    Ok(vec![
        objective_table(&objective, &tried)?,
        search(&tried)?,
        rates(&found, &objective)?,
        gain(&found)?,
        components(&found)?,
        overview::trials(STEP, frames)?,
    ])
}

/// One valid trial of the search.
struct Tried {
    trial: TrialRow,
    rate_per_s: f64,
    outcome: Outcome,
    /// What of the objective it missed.
    missed: Vec<&'static str>,
    /// Processor time by component, as a share of one processor.
    cpu_shares: BTreeMap<String, f64>,
}

/// The valid trials in the order in which they were tried, arm by arm.
fn tried(frames: &Frames, objective: &ObjectiveRow) -> Result<Vec<Tried>> {
    let valid = metrics::valid(frames)?;
    let mut latencies: BTreeMap<(String, u32, u32), Vec<LatencyRow>> = BTreeMap::new();
    for row in frames.rows::<LatencyRow>()?.into_iter().filter(|row| row.phase == OFFERED) {
        latencies.entry((row.arm.clone(), row.block, row.attempt)).or_default().push(row);
    }
    let mut cpu_shares = metrics::cpu_shares(frames, OFFERED)?;
    let of_search = |row: &TrialRow| row.phase == OFFERED && valid.holds(row.block, &row.arm, row.attempt);
    let mut tried = Vec::new();
    for trial in frames.rows::<TrialRow>()?.into_iter().filter(of_search) {
        let rate_per_s = trial.offered_per_s.context("a trial of the search has no rate; measure the step again")?;
        let key = (trial.arm.clone(), trial.block, trial.attempt);
        let outcome = Outcome::new(&trial, &merged(latencies.get(&key).into_iter().flatten()));
        let cpu_shares = cpu_shares.remove(&(key.0, key.1)).unwrap_or_default();
        let missed = objective.missed(&outcome);
        tried.push(Tried { trial, rate_per_s, outcome, missed, cpu_shares });
    }
    tried.sort_by(|one, other| (&one.trial.arm, one.trial.block).cmp(&(&other.trial.arm, other.trial.block)));
    Ok(tried)
}

/// What the search found for one arm.
struct Found<'a> {
    arm: &'a str,
    tried: Vec<&'a Tried>,
    rates: usize,
    capacity: Option<Capacity>,
}

impl<'a> Found<'a> {
    fn new(arm: &'a str, tried: &'a [Tried]) -> Self {
        let tried: Vec<&Tried> = tried.iter().filter(|tried| tried.trial.arm == arm).collect();
        let rates = || tried.iter().map(|tried| tried.rate_per_s);
        let (lowest, highest) = (rates().fold(f64::INFINITY, f64::min), rates().fold(0.0, f64::max));
        // Only what was found is asked of it, not what to try next, so that any limits around the rates will do.
        let search = Search::new(Limits::new(lowest, lowest, highest)).map(|mut search| {
            tried.iter().for_each(|tried| search.record(tried.rate_per_s, tried.missed.is_empty()));
            search
        });
        let count = search.as_ref().map_or(0, |search| search.tried().len());
        Self { arm, rates: count, capacity: search.map(|search| search.capacity()), tried }
    }

    fn highest_met(&self) -> Option<f64> {
        self.capacity?.highest_met
    }

    fn lowest_missed(&self) -> Option<f64> {
        self.capacity?.lowest_missed
    }

    /// The median of what its trials at a rate have.
    fn median_at(&self, rate_per_s: Option<f64>, of: impl Fn(&Tried) -> Option<f64>) -> Option<f64> {
        let at = self.tried.iter().filter(|tried| Some(tried.rate_per_s) == rate_per_s);
        median(&at.filter_map(|tried| of(tried)).collect::<Vec<_>>())
    }

    /// The processor time of all components together, as a share of the processors that they have.
    fn busy(&self, rate_per_s: Option<f64>, processors: Option<u64>) -> Option<f64> {
        let share = self.median_at(rate_per_s, |tried| Some(tried.cpu_shares.values().sum()))?;
        Some(share / processors? as f64)
    }

    /// What most trials at the lowest rate that misses have missed.
    fn reason(&self) -> Option<&'static str> {
        let at = self.tried.iter().filter(|tried| Some(tried.rate_per_s) == self.lowest_missed());
        let mut counts: BTreeMap<&'static str, u32> = BTreeMap::new();
        at.flat_map(|tried| &tried.missed).for_each(|part| *counts.entry(part).or_default() += 1);
        counts.into_iter().max_by_key(|(_, count)| *count).map(|(part, _)| part)
    }
}

fn objective_table(objective: &ObjectiveRow, tried: &[Tried]) -> Result<SummaryTable> {
    let row = vec![
        Cell::from("all"),
        Cell::from(objective.largest_p99_us),
        Cell::from(objective.largest_error_share),
        Cell::from(objective.smallest_achieved_share),
        Cell::from(objective.warm_up_s),
        Cell::from(WARM_UP_SHARE),
        Cell::from(tried.first().map(|tried| tried.trial.duration_s)),
        Cell::from(tried.first().map(|tried| f64::from(tried.trial.users))),
        objective.system_processors.map_or(Cell::Empty, Cell::from),
    ];
    let columns = vec![
        column("objective", "what a rate must keep to"),
        column("largest_p99_us", "the largest 99th percentile of load time"),
        column("largest_error_share", "the share of requests without the expected answer that is too much"),
        column(
            "smallest_achieved_share",
            "the smallest share of what is due that is answered by the end of the window",
        ),
        column("warm_up_s", "length of the warm-up of a trial"),
        column("warm_up_share", "the share of the rate at which the warm-up goes"),
        column("window_s", "length of the measured window"),
        column("users", "connections that share the schedule"),
        column("system_processors", "processors on which all servers ran"),
    ];
    to_rows(STEP, "objective", columns, vec![row])
}

/// One row per trial of the search, in its order.
fn search(tried: &[Tried]) -> Result<SummaryTable> {
    let rows = tried.iter().map(|Tried { trial, rate_per_s, outcome, missed, .. }| {
        vec![
            Cell::Text(format!("{}_{}", slug(&trial.arm), trial.block)),
            Cell::from(trial.arm.as_str()),
            Cell::from(u64::from(trial.block)),
            Cell::from(*rate_per_s),
            Cell::from(trial.achieved_per_s),
            outcome.p99_us.map_or(Cell::Empty, Cell::from),
            Cell::from(outcome.error_share),
            Cell::from(outcome.achieved_share),
            Cell::from(if missed.is_empty() { "yes" } else { "no" }),
            if missed.is_empty() { Cell::Empty } else { Cell::Text(missed.join(", ")) },
        ]
    });
    let columns = vec![
        column("key", "arm and number"),
        column("arm", "the cache levels that are on"),
        column("number", "which trial of the search it was"),
        column("offered_per_s", "offered rate"),
        column("achieved_per_s", "rate of expected answers that were complete before the window ended"),
        column("p99_us", "99th percentile of the load time"),
        column("error_share", "share of the requests without the expected answer"),
        column("achieved_share", "share of what was due that was answered by the end of the window"),
        column("met", "whether the objective was met"),
        column("missed", "what of it was missed"),
    ];
    to_rows(STEP, "search", columns, rows.collect())
}

/// One row per arm: what was found.
fn rates(found: &[Found<'_>], objective: &ObjectiveRow) -> Result<SummaryTable> {
    let rows = found.iter().map(|found| {
        let (met, missed) = (found.highest_met(), found.lowest_missed());
        let busiest = COMPONENTS
            .iter()
            .filter_map(|name| Some((*name, found.median_at(met, |tried| tried.cpu_shares.get(*name).copied())?)))
            .max_by(|one, other| one.1.total_cmp(&other.1));
        vec![
            Cell::from(found.arm),
            Cell::from(found.tried.len()),
            Cell::from(found.rates),
            Cell::from(met),
            Cell::from(found.capacity.and_then(|capacity| capacity.never_missed)),
            Cell::from(found.capacity.and_then(|capacity| capacity.never_met)),
            Cell::from(missed),
            found.reason().map_or(Cell::Empty, Cell::from),
            Cell::from(found.median_at(met, |tried| tried.outcome.p99_us.map(|p99_us| p99_us as f64))),
            Cell::from(found.median_at(missed, |tried| tried.outcome.p99_us.map(|p99_us| p99_us as f64))),
            Cell::from(found.busy(met, objective.system_processors)),
            Cell::from(found.busy(missed, objective.system_processors)),
            busiest.map_or(Cell::Empty, |(name, _)| Cell::from(name)),
            Cell::from(busiest.map(|(_, share)| share)),
        ]
    });
    let columns = vec![
        column("arm", "the cache levels that are on"),
        column("trials_count", "valid trials of the search"),
        column("rates_count", "different rates among them"),
        column(
            "capacity_per_s",
            "the highest rate that met the objective in most of its trials, below all that did not",
        ),
        column("low_per_s", "the highest rate up to which no trial missed"),
        column("high_per_s", "the lowest rate from which on no trial met; empty where the highest one met"),
        column("missed_per_s", "the lowest rate that missed in half of its trials or more"),
        column("reason", "what of the objective most of these missed"),
        column("p99_us", "99th percentile of the load time at the capacity, median over its trials"),
        column("missed_p99_us", "the same at the lowest rate that missed"),
        column(
            "busy_share",
            "processor time of all servers at the capacity, as a share of what they have; median over its trials",
        ),
        column("missed_busy_share", "the same at the lowest rate that missed"),
        column("busiest", "the component that uses most of it at the capacity"),
        column("busiest_share", "its processor time, as a share of one processor"),
    ];
    to_rows(STEP, "rates", columns, rows.collect())
}

/// How many times the rate of the baseline the other arm carries.
fn gain(found: &[Found<'_>]) -> Result<SummaryTable> {
    let mut rows = Vec::new();
    if let [baseline, other] = found {
        let ends = |found: &Found<'_>| Some((found.capacity?.never_missed?, found.capacity?.never_met?));
        let reach = ends(baseline).zip(ends(other));
        rows.push(vec![
            Cell::Text(format!("{}_{}", other.arm, baseline.arm)),
            Cell::from(other.highest_met().zip(baseline.highest_met()).map(|(other, baseline)| other / baseline)),
            Cell::from(reach.map(|((_, baseline_high), (low, _))| low / baseline_high)),
            Cell::from(reach.map(|((baseline_low, _), (_, high))| high / baseline_low)),
        ]);
    }
    let columns = vec![
        column("arms", "the arm and the baseline"),
        column("ratio", "the capacity of the one over that of the other"),
        column("low_ratio", "the least that it can be: the low end of the one over the high end of the other"),
        column("high_ratio", "the most that it can be"),
    ];
    to_rows(STEP, "gain", columns, rows)
}

/// One row per arm and component: who is busy at the capacity, and just above it.
fn components(found: &[Found<'_>]) -> Result<SummaryTable> {
    let mut rows = Vec::new();
    for found in found {
        for component in COMPONENTS {
            let at = |rate| found.median_at(rate, |tried| tried.cpu_shares.get(component).copied());
            rows.push(vec![
                Cell::Text(format!("{}_{}", found.arm, slug(component))),
                Cell::from(found.arm),
                Cell::from(component),
                Cell::from(at(found.highest_met())),
                Cell::from(at(found.lowest_missed())),
            ]);
        }
    }
    let columns = vec![
        column("key", "arm and component"),
        column("arm", "the cache levels that are on"),
        column("component", "the process group"),
        column(
            "capacity_cpu_share",
            "its processor time at the capacity, as a share of one processor; median over the trials",
        ),
        column("missed_cpu_share", "the same at the lowest rate that missed"),
    ];
    to_rows(STEP, "components", columns, rows)
}
