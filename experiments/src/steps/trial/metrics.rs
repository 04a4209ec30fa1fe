//! From the rows of trials to one number per trial and metric, and from those to comparisons. Pure.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use polars::prelude::{DataFrame, JoinArgs, JoinType, LazyFrame, col, lit};

use crate::{
    aggregate::{Frames, column, percentiles, to_rows},
    results::summary::{Cell, SummaryTable},
    stats::{Compared, Direction, SEED, compare_family, median},
};

use super::{
    rounds::{self, PerRound},
    rows::{CounterRow, LatencyRow, ResourceRow, TrialRow},
};

/// One number per trial: `(arm, block)` → value.
pub(in crate::steps) type PerTrial = BTreeMap<(String, i64), f64>;

/// A metric that arms are compared by.
pub(in crate::steps) struct Metric {
    pub(in crate::steps) name: &'static str,
    pub(in crate::steps) meaning: &'static str,
    pub(in crate::steps) direction: Direction,
    pub(in crate::steps) values: Values,
}

/// What a metric was in each trial, or in each of its slices where arms were tried side by side.
pub(in crate::steps) enum Values {
    PerTrial(PerTrial),
    PerRound(PerRound),
}

impl Values {
    /// The ratios of the blocks in which both arms have a value.
    fn ratios(&self, arm: &str, baseline: &str) -> Vec<f64> {
        match self {
            Self::PerTrial(values) => ratios(values, arm, baseline),
            Self::PerRound(values) => rounds::typical_ratios(values, arm, baseline).into_values().collect(),
        }
    }
}

/// Which trials must not be used.
pub(in crate::steps) struct Valid {
    /// By block, arm and attempt.
    invalid: BTreeSet<(u32, String, u32)>,
}

/// Reads which trials may be used.
pub(in crate::steps) fn valid(frames: &Frames) -> Result<Valid> {
    let trials = frames.rows::<TrialRow>()?;
    let invalid =
        trials.into_iter().filter(|trial| trial.error.is_some()).map(|trial| (trial.block, trial.arm, trial.attempt));
    Ok(Valid { invalid: invalid.collect() })
}

impl Valid {
    /// Whether the trial may be used: none of its phases has an error.
    pub(in crate::steps) fn holds(&self, block: u32, arm: &str, attempt: u32) -> bool {
        !self.invalid.contains(&(block, arm.to_owned(), attempt))
    }
}

/// Keeps the rows of valid trials. Few are invalid, so filtering them out is cheaper than a join.
pub(in crate::steps) fn of_valid(rows: LazyFrame, valid: &Valid) -> LazyFrame {
    valid.invalid.iter().fold(rows, |rows, (block, arm, attempt)| {
        let another = col("block").neq(lit(*block)).or(col("arm").neq(lit(arm.as_str())));
        rows.filter(another.or(col("attempt").neq(lit(*attempt))))
    })
}

/// The load times of the requests of valid trials that were answered.
pub(in crate::steps) fn answered(frames: &Frames, valid: &Valid) -> Result<LazyFrame> {
    Ok(of_valid(frames.lazy::<LatencyRow>()?.filter(col("status").gt(lit(0))), valid))
}

/// Server CPU time per expected answer in `phase`, over all components.
pub(in crate::steps) fn cpu_us_per_request(frames: &Frames, phase: &str) -> Result<PerTrial> {
    let valid = valid(frames)?;
    let used = frames.lazy::<ResourceRow>()?.filter(col("phase").eq(lit(phase)).and(col("second").is_null()));
    let cpu = of_valid(used, &valid).group_by_stable([col("block"), col("arm")]).agg([col("cpu_us").sum()]);
    let keys = [col("block"), col("arm")];
    let expected = of_valid(frames.lazy::<TrialRow>()?.filter(col("phase").eq(lit(phase))), &valid);
    let joined =
        expected.join(cpu, keys.clone(), keys, JoinArgs::new(JoinType::Inner)).filter(col("expected").gt(lit(0)));
    per_trial(&joined.with_columns([ratio("cpu_us", "expected")]).collect()?, "cpu_us_per_expected")
}

/// CPU time by component in `phase`, as a share of one processor: `(arm, block)` → component → share.
pub(in crate::steps) fn cpu_shares(
    frames: &Frames,
    phase: &str,
) -> Result<BTreeMap<(String, u32), BTreeMap<String, f64>>> {
    let valid = valid(frames)?;
    let trials = frames.rows::<TrialRow>()?.into_iter().filter(|row| row.phase == phase);
    let trials = trials.filter(|row| valid.holds(row.block, &row.arm, row.attempt));
    let durations_s: BTreeMap<_, _> = trials.map(|row| ((row.arm, row.block), row.duration_s)).collect();
    let mut shares: BTreeMap<_, BTreeMap<String, f64>> = BTreeMap::new();
    for row in frames.rows::<ResourceRow>()?.into_iter().filter(|row| row.phase == phase && row.second.is_none()) {
        if !valid.holds(row.block, &row.arm, row.attempt) {
            continue;
        }
        let trial = (row.arm, row.block);
        if let Some(duration_s) = durations_s.get(&trial) {
            #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
            let share = row.cpu_us as f64 / 1e6 / duration_s;
            shares.entry(trial).or_default().insert(row.component, share);
        }
    }
    Ok(shares)
}

/// A percentile of the latency in `phase`.
pub(in crate::steps) fn latency_us(frames: &Frames, phase: &str, quantile: f64) -> Result<PerTrial> {
    let answered = answered(frames, &valid(frames)?)?.filter(col("phase").eq(lit(phase)));
    let found = percentiles(&answered, &["arm", "block"], "bucket_us", "count", &[(quantile, "latency_us")])?;
    per_trial(&found.collect()?, "latency_us")
}

/// The rate of expected answers in `phase`.
pub(in crate::steps) fn achieved_per_s(frames: &Frames, phase: &str) -> Result<PerTrial> {
    let trials = of_valid(frames.lazy::<TrialRow>()?.filter(col("phase").eq(lit(phase))), &valid(frames)?);
    per_trial(&trials.collect()?, "achieved_per_s")
}

/// By how much `counter` of `component` grew in `phase` per expected answer.
pub(in crate::steps) fn counter_per_request(
    frames: &Frames,
    phase: &str,
    component: &str,
    counter: &str,
) -> Result<PerTrial> {
    let counted = frames.lazy::<CounterRow>()?.filter(
        col("phase").eq(lit(phase)).and(col("component").eq(lit(component))).and(col("counter").eq(lit(counter))),
    );
    let keys = [col("block"), col("arm")];
    let valid = valid(frames)?;
    let counted = of_valid(counted, &valid);
    let trials = of_valid(frames.lazy::<TrialRow>()?.filter(col("phase").eq(lit(phase))), &valid);
    let joined =
        trials.join(counted, keys.clone(), keys, JoinArgs::new(JoinType::Inner)).filter(col("expected").gt(lit(0)));
    per_trial(&joined.with_columns([ratio("value", "expected")]).collect()?, "value_per_expected")
}

fn ratio(above: &str, below: &str) -> polars::prelude::Expr {
    (col(above).cast(polars::prelude::DataType::Float64) / col(below)).alias(format!("{above}_per_{below}"))
}

/// The column `value` of a frame with one row per trial.
pub(in crate::steps) fn per_trial(frame: &DataFrame, value: &str) -> Result<PerTrial> {
    let (arms, blocks) = (frame.column("arm")?.str()?, frame.column("block")?.i64()?);
    let values = frame.column(value)?.cast(&polars::prelude::DataType::Float64)?;
    let values = values.f64()?;
    Ok(arms
        .iter()
        .zip(blocks.iter())
        .zip(values.iter())
        .filter_map(|((arm, block), value)| Some(((arm?.to_owned(), block?), value?)))
        .collect())
}

/// The median over blocks of one arm.
pub(in crate::steps) fn of_arm(values: &PerTrial, arm: &str) -> Cell {
    let values: Vec<f64> = values.iter().filter(|((name, _), _)| name == arm).map(|(_, value)| *value).collect();
    Cell::from(median(&values))
}

/// Every arm against `baseline`, by every metric: the ratios are taken within blocks. All of them are one family, since
/// whoever reads the table looks at all of them: the more there are, the clearer each must be
/// (`stats::smallest_blocks_of_family`).
pub(in crate::steps) fn comparison(
    step: &str,
    arms: &[&str],
    baseline: &str,
    metrics: &[Metric],
    smallest_effect: f64,
) -> Result<SummaryTable> {
    let mut rows = Vec::new();
    // An arm is a question of its own, so the metrics of one arm are the family that is corrected for.
    for arm in arms.iter().filter(|arm| **arm != baseline) {
        let ratios: Vec<Vec<f64>> = metrics.iter().map(|metric| metric.values.ratios(arm, baseline)).collect();
        let family: Vec<Compared<'_>> = metrics
            .iter()
            .zip(&ratios)
            .map(|(metric, ratios)| Compared { ratios, direction: metric.direction, smallest_effect })
            .collect();
        rows.extend(metrics.iter().zip(compare_family(&family, SEED)).map(|(metric, compared)| {
            vec![
                Cell::Text(format!("{arm}_{}", metric.name)),
                Cell::from(*arm),
                Cell::from(metric.meaning),
                Cell::from(compared.blocks),
                Cell::from(compared.ratio),
                Cell::from(compared.interval.map(|interval| interval.low)),
                Cell::from(compared.interval.map(|interval| interval.high)),
                Cell::from(compared.adjusted_p_value),
                Cell::from(compared.smallest_detectable),
                Cell::from(compared.verdict.word()),
            ]
        }));
    }
    let columns = vec![
        column("comparison", "arm and metric"),
        column("arm", "the arm"),
        column("metric", "what is compared"),
        column("blocks", "blocks in which both arms were valid"),
        column("ratio", "typical ratio arm / baseline (Hodges-Lehmann estimate over the blocks)"),
        column("low_ratio", "lower end of its 95 % interval"),
        column("high_ratio", "upper end of its 95 % interval"),
        column("p", "of the exact sign-flip test, corrected for the metrics of the arm (Holm)"),
        column("detectable_share", "the change that as many blocks of this noise reveal in four of five attempts"),
        column("verdict", "what may be said"),
    ];
    to_rows(step, "comparison", columns, rows)
}

/// The ratios of the blocks in which both arms have a value.
fn ratios(values: &PerTrial, arm: &str, baseline: &str) -> Vec<f64> {
    values
        .iter()
        .filter(|((name, _), _)| name == arm)
        .filter_map(|((_, block), value)| Some(value / values.get(&(baseline.to_owned(), *block))?))
        .collect()
}
