//! Summaries of the step `calibrate`. Pure.

use std::collections::BTreeMap;

use anyhow::Result;
use polars::prelude::{DataType, LazyFrame, col, lit};

use super::{
    super::trial::{
        metrics::{self, PerTrial, of_valid},
        overview, rounds,
        rows::{CounterRow, LatencyRow, ResourceRow, TrialRow},
    },
    rows::CoresRow,
};
use crate::{
    aggregate::{Frames, column, to_rows},
    results::summary::{Cell, SummaryTable},
    stats::{
        Bootstrap, Compared, Direction, Freeze, Interval, RESAMPLES, SEED, Shuffled, compare_family, median,
        noise_floor, percentile, shuffled,
    },
};

/// Re-analyses under shuffled labels.
const SHUFFLES: usize = 200;

/// The percentiles at which the frozen trials are shown: the stall is in the last tenth.
const PERCENTILES: std::ops::RangeInclusive<u32> = 900..=999;

const STEP: &str = "calibrate";

pub(super) fn summarise(frames: &Frames) -> Result<Vec<SummaryTable>> {
    let metrics = same_arm(frames)?;
    let frozen = Frozen::read(frames)?;
    Ok(vec![
        design(frames)?,
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
    let [first, second, ..] = super::COMPARED;
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
    let first = trials.iter().find(|trial| trial.arm == super::COMPARED[0] && trial.phase == "steady");
    let row = vec![
        Cell::from("slices"),
        Cell::from(first.and_then(|trial| trial.offered_per_s)),
        first.map_or(Cell::Empty, |trial| Cell::from(u64::from(trial.slices))),
        Cell::from(first.map(|trial| trial.duration_s)),
    ];
    let columns = vec![
        column("design", "how arms are compared"),
        column("offered_per_s", "the rate that every arm was offered"),
        column("rounds", "slices into which the measured time of an arm was cut"),
        column("measured_s", "measured time of an arm in a block"),
    ];
    to_rows(STEP, "design", columns, vec![row])
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
        column("rounds", "how many, each with the labels of some blocks exchanged"),
        column("verdicts", "verdicts in them, one per metric"),
        column("false_verdicts", "verdicts that found a difference"),
        column("false_rounds", "re-analyses with at least one such verdict"),
        column("false_share", "their share"),
    ];
    to_rows(STEP, "shuffles", columns, vec![row])
}

/// One row per known effect: what the server says it added, and what was found from outside.
fn effects(frames: &Frames) -> Result<SummaryTable> {
    let [first, second, ..] = super::COMPARED;
    let (mean_us, cpu_us) = (mean_us(frames)?, rounds::cpu_us_per_request(frames, "steady")?);
    let rows = [
        Effect {
            name: "delay",
            metric: "mean load time",
            differences: differences(&mean_us, "delayed"),
            base_us: typical_base(&mean_us),
            truth_us: added_us(frames, "delayed", "handicap_delay_seconds")?,
        },
        Effect {
            name: "cpu",
            metric: "server CPU time per request",
            differences: rounds::typical_differences(&cpu_us, "loaded", [first, second]).into_values().collect(),
            base_us: typical_base(&rounds::medians(&cpu_us)),
            truth_us: added_us(frames, "loaded", "handicap_cpu_seconds")?,
        },
    ];
    let rows = rows.iter().map(Effect::row);
    let columns = vec![
        column("effect", "what was added to every request"),
        column("metric", "where it must show"),
        column("blocks", "blocks in which all trials were valid"),
        column("base_us", "the metric without it: the mean of the two arms that are one, median over the blocks"),
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
    /// What the arm has more than the two that are one, block by block.
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

/// The mean of the two arms that are one, in each block.
fn bases(values: &PerTrial) -> BTreeMap<i64, f64> {
    let [first, second, ..] = super::COMPARED;
    let pairs = paired(values, first, second).into_iter();
    pairs.map(|(block, (one, other))| (block, f64::midpoint(one, other))).collect()
}

fn typical_base(values: &PerTrial) -> Option<f64> {
    median(&bases(values).into_values().collect::<Vec<_>>())
}

/// What `arm` has more than the two that are one, in each block.
fn differences(values: &PerTrial, arm: &str) -> Vec<f64> {
    let found = bases(values).into_iter();
    found.filter_map(|(block, base)| Some(values.get(&(arm.to_owned(), block))? - base)).collect()
}

/// The mean load time by arm and block. A mean, because what is added to every request is added to it, whatever the distribution of what
/// is added.
fn mean_us(frames: &Frames) -> Result<PerTrial> {
    let steady = col("phase").eq(lit("steady")).and(col("status").gt(lit(0)));
    let answered = of_valid(frames.lazy::<LatencyRow>()?.filter(steady), &metrics::valid(frames)?);
    let sum_us = (col("bucket_us") * col("count")).sum().cast(DataType::Float64);
    let mean_us = (sum_us / col("count").sum().cast(DataType::Float64)).alias("mean_us");
    metrics::per_trial(&answered.group_by(["arm", "block"].map(col)).agg([mean_us]).collect()?, "mean_us")
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

/// The trials in which the server stood still.
struct Frozen {
    trials: Vec<TrialRow>,
    /// Load times by arm, pooled over the trials.
    times: BTreeMap<String, Vec<(u64, u64)>>,
    /// The part of the window in which the system was at work, by arm, one per trial.
    utilisation: BTreeMap<String, Vec<f64>>,
}

impl Frozen {
    fn read(frames: &Frames) -> Result<Self> {
        let valid = metrics::valid(frames)?;
        let is_frozen = |trial: &TrialRow| trial.phase == "frozen" && trial.error.is_none();
        let trials: Vec<TrialRow> = frames.rows::<TrialRow>()?.into_iter().filter(is_frozen).collect();
        let of_phase = |rows: LazyFrame| of_valid(rows.filter(col("phase").eq(lit("frozen"))), &valid);
        let merged = of_phase(frames.lazy::<LatencyRow>()?)
            .group_by([col("arm"), col("bucket_us")])
            .agg([col("count").sum()])
            .sort(["arm", "bucket_us"], polars::prelude::SortMultipleOptions::default())
            .collect()?;
        let mut times: BTreeMap<String, Vec<(u64, u64)>> = BTreeMap::new();
        let (arms, buckets, counts) =
            (merged.column("arm")?.str()?, merged.column("bucket_us")?.i64()?, merged.column("count")?.i64()?);
        for ((arm, bucket), count) in arms.iter().zip(buckets.iter()).zip(counts.iter()) {
            let (Some(arm), Some(bucket), Some(count)) = (arm, bucket, count) else { continue };
            times.entry(arm.to_owned()).or_default().push((bucket.unsigned_abs(), count.unsigned_abs()));
        }
        let used = of_phase(frames.lazy::<ResourceRow>()?.filter(col("second").is_null()))
            .group_by([col("arm"), col("block")])
            .agg([col("cpu_us").sum().cast(DataType::Float64)])
            .collect()?;
        let mut utilisation: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for ((arm, _), cpu_us) in metrics::per_trial(&used, "cpu_us")? {
            let window_s = trials.iter().find(|trial| trial.arm == arm).map_or(f64::NAN, |trial| trial.duration_s);
            utilisation.entry(arm).or_default().push(cpu_us / 1e6 / window_s);
        }
        Ok(Self { trials, times, utilisation })
    }

    /// The closed form for the open loop; `None` where no trial is valid.
    fn closed_form(&self) -> Option<Freeze> {
        let open: Vec<&TrialRow> = self.trials.iter().filter(|trial| trial.arm == "open").collect();
        let stall_s = median(&open.iter().filter_map(|trial| trial.frozen_s).collect::<Vec<_>>())?;
        let utilisation = median(self.utilisation.get("open")?)?;
        Freeze::new(stall_s, open.first()?.duration_s, utilisation)
    }

    fn quantile_us(&self, arm: &str, quantile: f64) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "a minute has 6e7 µs")]
        percentile(self.times.get(arm)?, quantile).map(|time_us| time_us as f64)
    }

    /// What the closed form adds to what a request takes anyway.
    fn expected_us(&self, quantile: f64) -> Option<f64> {
        Some(self.closed_form()?.wait_s(quantile) * 1e6 + self.quantile_us("open", 0.5)?)
    }

    /// One row per kind of loop.
    fn loops(&self) -> Result<SummaryTable> {
        let rows = super::FROZEN.iter().map(|arm| {
            let trials: Vec<&TrialRow> = self.trials.iter().filter(|trial| trial.arm == *arm).collect();
            let p99_us = self.quantile_us(arm, 0.99);
            let expected_us = self.expected_us(0.99).filter(|_| *arm == "open");
            vec![
                Cell::from(*arm),
                Cell::from(trials.len()),
                Cell::from(trials.iter().map(|trial| trial.expected).sum::<u64>()),
                Cell::from(median(&trials.iter().filter_map(|trial| trial.frozen_s).collect::<Vec<_>>())),
                Cell::from(trials.first().map(|trial| trial.duration_s)),
                Cell::from(self.utilisation.get(*arm).and_then(|values| median(values))),
                Cell::from(self.quantile_us(arm, 0.5)),
                Cell::from(p99_us),
                Cell::from(expected_us),
                Cell::from(p99_us.zip(expected_us).map(|(found, expected)| found / expected - 1.0)),
            ]
        });
        let columns = vec![
            column("loop", "whether the generator goes by its schedule (open) or waits for answers (closed)"),
            column("trials_count", "valid trials"),
            column("requests", "requests in them"),
            column("frozen_s", "for how long the server stood still, once in each"),
            column("window_s", "length of the window"),
            column("utilisation_share", "the part of the window in which the system's processor was busy"),
            column("p50_us", "median load time"),
            column("p99_us", "99th percentile of the load time"),
            column("expected_p99_us", "what the closed form says it must be, with what a request takes anyway"),
            column("error_share", "by how much the two differ"),
        ];
        to_rows(STEP, "freeze", columns, rows.collect())
    }

    fn quantiles(&self) -> Result<SummaryTable> {
        let rows = PERCENTILES.map(|permille| {
            let quantile = f64::from(permille) / 1000.0;
            vec![
                Cell::Integer(i64::from(permille)),
                Cell::from(f64::from(permille) / 10.0),
                Cell::from(self.quantile_us("open", quantile)),
                Cell::from(self.expected_us(quantile)),
                Cell::from(self.quantile_us("closed", quantile)),
            ]
        });
        let columns = vec![
            column("permille", "the quantile, in thousandths"),
            column("percentile", "the same in hundredths"),
            column("open_us", "load time in the open loop"),
            column("expected_us", "load time by the closed form"),
            column("closed_us", "load time in the closed loop"),
        ];
        to_rows(STEP, "quantiles", columns, rows.collect())
    }
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
