//! Summaries of the step `calibrate`. Pure.

use std::collections::BTreeMap;

use anyhow::Result;
use polars::prelude::{DataType, JoinArgs, JoinType, col, lit};

use super::{
    super::trial::{
        metrics::{self, PerTrial},
        overview, rounds,
        rows::{CounterRow, TrialRow},
    },
    frozen::Frozen,
    rows::CoresRow,
};
use crate::{
    aggregate::{Frames, column, percentiles, to_rows, to_summary},
    results::summary::{Cell, SummaryTable},
    stats::{
        Bootstrap, Compared, Direction, Interval, RESAMPLES, SEED, Shuffled, compare_family, median, noise_floor,
        shuffled,
    },
};

/// Re-analyses under shuffled labels, at most: all that there are of twelve blocks. Of a few hundred drawn ones the share of false verdicts
/// would vary by more than a hundredth, and exceed what the method keeps to as often as not.
const SHUFFLES: usize = 2_048;

pub(super) const STEP: &str = "calibrate";

pub(super) fn summarise(frames: &Frames) -> Result<Vec<SummaryTable>> {
    let metrics = same_arm(frames)?;
    let frozen = Frozen::read(frames)?;
    Ok(vec![
        design(frames)?,
        answers(frames)?,
        noise(&metrics)?,
        pairs(&metrics)?,
        shuffles(&metrics)?,
        effects(frames)?,
        frozen.loops()?,
        frozen.quantiles()?,
        lag(frames)?,
        cores(frames)?,
        overview::trials(STEP, frames)?,
    ])
}

/// A metric of two arms that are one.
struct SameArm {
    name: &'static str,
    meaning: &'static str,
    /// Block by block; where rounds are compared, the typical ratio over one.
    pairs: BTreeMap<i64, (f64, f64)>,
}

fn same_arm(frames: &Frames) -> Result<[SameArm; 3]> {
    let [first, second] = super::ALIKE;
    let metric = |name, meaning, values: PerTrial| SameArm { name, meaning, pairs: paired(&values, first, second) };
    let cpu_ratios = rounds::typical_ratios(&rounds::cpu_us_per_request(frames, "steady")?, second, first);
    Ok([
        SameArm {
            name: "cpu",
            meaning: "server CPU time per request",
            pairs: cpu_ratios.into_iter().map(|(block, ratio)| (block, (1.0, ratio))).collect(),
        },
        metric("p50", "median load time", metrics::latency_us(frames, "steady", 0.5)?),
        metric("p99", "99th percentile of load time", metrics::latency_us(frames, "steady", 0.99)?),
    ])
}

fn paired(values: &PerTrial, first: &str, second: &str) -> BTreeMap<i64, (f64, f64)> {
    let of = |arm: &str, block: i64| values.get(&(arm.to_owned(), block)).copied();
    let blocks = values.keys().filter(|(arm, _)| arm == first).map(|(_, block)| *block);
    blocks.filter_map(|block| Some((block, (of(first, block)?, of(second, block)?)))).collect()
}

/// One row: how the arms that are one were tried.
fn design(frames: &Frames) -> Result<SummaryTable> {
    let trials = frames.rows::<TrialRow>()?;
    let first = trials.iter().find(|trial| trial.arm == super::ALIKE[0] && trial.phase == "steady");
    let row = vec![
        Cell::from("slices"),
        Cell::from(first.and_then(|trial| trial.offered_per_s)),
        first.map_or(Cell::Empty, |trial| Cell::from(u64::from(trial.slices + trial.slices_left_out))),
        Cell::from(first.map(|trial| trial.duration_s)),
    ];
    let columns = vec![
        column("design", "how arms are compared"),
        column("offered_per_s", "the rate that every arm was offered"),
        column("rounds", "slices into which the measured time of an arm was cut, those that were left out as well"),
        column("measured_s", "measured time of an arm in a block"),
    ];
    to_rows(STEP, "design", columns, vec![row])
}

/// One row for each kind of request, in the two arms that are one: among which of them their p99 stands.
fn answers(frames: &Frames) -> Result<SummaryTable> {
    let [first, second] = super::ALIKE;
    let of_both = col("arm").eq(lit(first)).or(col("arm").eq(lit(second)));
    let answered = metrics::answered(frames, &metrics::valid(frames)?)?;
    let answered = answered.filter(col("phase").eq(lit("steady")).and(of_both));
    let requests = answered.clone().group_by_stable([col("endpoint")]).agg([col("count").sum().alias("requests")]);
    let share = (col("requests").cast(DataType::Float64) / col("requests").sum()).alias("share");
    let times = percentiles(&answered, &["endpoint"], "bucket_us", "count", &[(0.5, "p50_us"), (0.9, "p90_us")])?;
    let key = [col("endpoint")];
    let joined = times.join(requests.with_columns([share]), key.clone(), key, JoinArgs::new(JoinType::Inner));
    let columns = [
        ("endpoint", "the kind of request"),
        ("requests", "timed requests of both arms in all blocks"),
        ("share", "their share"),
        ("p50_us", "median load time"),
        ("p90_us", "90th percentile of the load time"),
    ];
    to_summary(STEP, "answers", joined.select(columns.map(|(name, _)| col(name))), &columns)
}

/// One row per metric: an arm against itself. Every effect matters here, so that nothing hides behind what does not.
fn noise(metrics: &[SameArm]) -> Result<SummaryTable> {
    let ratios = |metric: &SameArm| metric.pairs.values().map(|(first, second)| second / first).collect();
    let ratios: Vec<Vec<f64>> = metrics.iter().map(ratios).collect();
    let compared = |ratios| Compared { ratios, direction: Direction::LowerIsBetter, smallest_effect: 0.0 };
    let family: Vec<Compared<'_>> = ratios.iter().map(|ratios| compared(ratios.as_slice())).collect();
    let rows = metrics.iter().zip(compare_family(&family, SEED)).map(|(metric, compared)| {
        vec![
            Cell::from(metric.name),
            Cell::from(metric.meaning),
            Cell::from(compared.blocks),
            Cell::from(compared.ratio),
            Cell::from(compared.interval.map(|interval| interval.low)),
            Cell::from(compared.interval.map(|interval| interval.high)),
            Cell::from(compared.interval.map(noise_floor)),
            Cell::from(compared.smallest_detectable),
            Cell::from(compared.adjusted_p_value),
        ]
    });
    let columns = vec![
        column("metric", "the metric"),
        column("meaning", "what is compared"),
        column("blocks", "blocks in which both trials were valid"),
        column("ratio", "typical ratio second / first (Hodges-Lehmann estimate over the blocks)"),
        column("low_ratio", "lower end of its 95 % interval"),
        column("high_ratio", "upper end of its 95 % interval"),
        column("floor_share", "half the width of the interval: the noise floor"),
        column("detectable_share", "the change that as many blocks reveal in four of five attempts"),
        column("p", "of the sign-flip test, corrected for the three metrics (Holm)"),
    ];
    to_rows(STEP, "noise", columns, rows.collect())
}

/// One row per block: the ratios of the two trials of one arm.
fn pairs(metrics: &[SameArm]) -> Result<SummaryTable> {
    let blocks = metrics.iter().flat_map(|metric| metric.pairs.keys().copied());
    let blocks: std::collections::BTreeSet<i64> = blocks.collect();
    let ratio = |metric: &SameArm, block: i64| metric.pairs.get(&block).map(|(first, second)| second / first);
    let rows = blocks.into_iter().map(|block| {
        std::iter::once(Cell::Integer(block))
            .chain(metrics.iter().map(|metric| Cell::from(ratio(metric, block))))
            .collect()
    });
    let columns = vec![
        column("block", "the block"),
        column("cpu_ratio", "server CPU time per request, second trial / first"),
        column("p50_ratio", "median load time, second trial / first"),
        column("p99_ratio", "99th percentile of load time, second trial / first"),
    ];
    to_rows(STEP, "pairs", columns, rows.collect())
}

/// One row: verdicts on data in which there is nothing to find.
fn shuffles(metrics: &[SameArm]) -> Result<SummaryTable> {
    let data: Vec<Vec<(f64, f64)>> = metrics.iter().map(|metric| metric.pairs.values().copied().collect()).collect();
    let Shuffled { rounds, verdicts, false_rounds, better, worse } = shuffled(&data, 0.0, SHUFFLES, SEED);
    #[expect(clippy::cast_precision_loss, reason = "some hundred")]
    let share = false_rounds as f64 / rounds as f64;
    let counts = [rounds, verdicts, better + worse, false_rounds].map(Cell::from);
    let row = [Cell::from("all")].into_iter().chain(counts).chain([Cell::from(share)]).collect();
    let columns = vec![
        column("shuffles", "all re-analyses"),
        column("rounds", "how many, each with the labels of other blocks exchanged"),
        column("verdicts", "verdicts in them, one per metric"),
        column("false_verdicts", "verdicts that found a difference"),
        column("false_rounds", "re-analyses with at least one such verdict"),
        column("false_share", "their share"),
    ];
    to_rows(STEP, "shuffles", columns, vec![row])
}

/// One row per known effect: what the server says it added, and what was found from outside.
fn effects(frames: &Frames) -> Result<SummaryTable> {
    let [plain, delayed, loaded] = super::BURDENED;
    let (mean_us, cpu_us) = (rounds::mean_us(frames, "steady")?, rounds::cpu_us_per_request(frames, "steady")?);
    let delays_us = rounds::found_beside(&mean_us, &rounds::added_us(frames, "steady")?, delayed, plain);
    let cpus_us = rounds::typical_differences(&cpu_us, loaded, plain);
    let rows = [
        Effect {
            name: "delay",
            metric: "mean load time",
            differences: delays_us.into_values().collect(),
            base_us: typical_base(&rounds::medians(&mean_us)),
            truth_us: added_us(frames, delayed, "handicap_delay_seconds")?,
        },
        Effect {
            name: "cpu",
            metric: "server CPU time per request",
            differences: cpus_us.into_values().collect(),
            base_us: typical_base(&rounds::medians(&cpu_us)),
            truth_us: added_us(frames, loaded, "handicap_cpu_seconds")?,
        },
    ];
    let rows = rows.iter().map(Effect::row);
    let columns = vec![
        column("effect", "what was added to every request"),
        column("metric", "where it must show"),
        column("blocks", "blocks in which all trials were valid"),
        column("base_us", "the metric without it, median over the blocks"),
        column("added_us", "what was added, by the server's own clock, median over the trials"),
        column("found_us", "what was found (Hodges-Lehmann estimate over the blocks)"),
        column("low_us", "lower end of its 95 % interval"),
        column("high_us", "upper end of its 95 % interval"),
        column("error_share", "by how much what was found differs from what was added"),
        column("covered", "whether the interval holds what was added"),
    ];
    to_rows(STEP, "effects", columns, rows.collect())
}

/// Something that was added to every request of an arm.
struct Effect {
    name: &'static str,
    metric: &'static str,
    /// What the arm has more than the plain one, block by block.
    differences: Vec<f64>,
    base_us: Option<f64>,
    truth_us: Option<f64>,
}

impl Effect {
    fn row(&self) -> Vec<Cell> {
        let Self { name, metric, differences, base_us, truth_us } = self;
        let drawn = Bootstrap::new(differences, RESAMPLES, SEED);
        let interval = drawn.as_ref().map(|drawn| drawn.interval(0.95));
        let found = crate::stats::hodges_lehmann(differences);
        let covered = interval.zip(*truth_us).map(|(Interval { low, high, .. }, truth)| low <= truth && truth <= high);
        vec![
            Cell::from(*name),
            Cell::from(*metric),
            Cell::from(differences.len()),
            Cell::from(*base_us),
            Cell::from(*truth_us),
            Cell::from(found),
            Cell::from(interval.map(|interval| interval.low)),
            Cell::from(interval.map(|interval| interval.high)),
            Cell::from(found.zip(*truth_us).map(|(found, truth)| found / truth - 1.0)),
            covered.map_or(Cell::Empty, |covered| Cell::from(if covered { "yes" } else { "no" })),
        ]
    }
}

/// What the plain arm has of it, in the typical block.
fn typical_base(values: &PerTrial) -> Option<f64> {
    let plain = values.iter().filter(|((arm, _), _)| arm == super::BURDENED[0]);
    median(&plain.map(|(_, value)| *value).collect::<Vec<_>>())
}

/// What a server really added to each request, from its own counters.
fn added_us(frames: &Frames, arm: &str, counter: &str) -> Result<Option<f64>> {
    let rows = frames.rows::<CounterRow>()?;
    let of = |trial: &CounterRow, name: &str| {
        let same = |row: &&CounterRow| {
            (row.block, row.attempt, row.arm.as_str(), row.counter.as_str()) == (trial.block, trial.attempt, arm, name)
        };
        rows.iter().filter(same).map(|row| row.value).sum::<f64>()
    };
    let trials = rows.iter().filter(|row| row.arm == arm && row.counter == counter && row.value > 0.0);
    let added: Vec<f64> = trials.map(|row| 1e6 * row.value / of(row, "handicap_requests").max(1.0)).collect();
    Ok(median(&added))
}

/// How late the generator was where the server is not the reason.
fn lag(frames: &Frames) -> Result<SummaryTable> {
    let trials: Vec<TrialRow> =
        frames.rows::<TrialRow>()?.into_iter().filter(|trial| trial.arm == super::PACED).collect();
    #[expect(clippy::cast_precision_loss, reason = "microseconds")]
    let largest = |of: fn(&TrialRow) -> Option<u64>| trials.iter().filter_map(of).max().map(|lag_us| lag_us as f64);
    let middle = |of: fn(&TrialRow) -> f64| median(&trials.iter().map(of).collect::<Vec<_>>());
    let row = vec![
        Cell::from(super::PACED),
        Cell::from(trials.len()),
        Cell::from(trials.first().and_then(|trial| trial.offered_per_s)),
        Cell::from(middle(|trial| trial.achieved_per_s)),
        Cell::from(middle(|trial| trial.generator_cpu_share)),
        Cell::from(largest(|trial| trial.generator_lag_p50_us)),
        Cell::from(largest(|trial| trial.generator_lag_p99_us)),
    ];
    let columns = vec![
        column("trials", "the trials"),
        column("trials_count", "how many, those that were too late as well"),
        column("offered_per_s", "offered rate"),
        column("achieved_per_s", "rate of answers, median over the trials"),
        column("generator_share", "the share of its processor that the generator used, median over the trials"),
        column("lag_p50_us", "median of its send lag, the largest of the trials"),
        column("lag_p99_us", "99th percentile of its send lag, the largest of the trials"),
    ];
    to_rows(STEP, "lag", columns, vec![row])
}

fn cores(frames: &Frames) -> Result<SummaryTable> {
    #[expect(clippy::cast_precision_loss, reason = "some thousand rounds")]
    let share = |row: &CoresRow| row.both as f64 / (row.first_alone + row.second_alone).max(1) as f64;
    let shares: Vec<f64> = frames.rows::<CoresRow>()?.iter().map(share).collect();
    let row = vec![
        Cell::from("all"),
        Cell::from(shares.len()),
        Cell::from(median(&shares)),
        Cell::from(shares.iter().copied().reduce(f64::min)),
        Cell::from(shares.iter().copied().reduce(f64::max)),
    ];
    let columns = vec![
        column("cores", "all comparisons"),
        column("repeats", "how many"),
        column("share", "what two processors do side by side, as a share of what they do alone; median"),
        column("low_share", "the least"),
        column("high_share", "the most"),
    ];
    to_rows(STEP, "cores", columns, vec![row])
}
