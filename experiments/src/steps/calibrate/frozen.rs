//! The summaries of the trials in which the server stood still: what an open and a closed loop saw of the stall, and what it must have
//! been. Pure.

use std::collections::BTreeMap;

use anyhow::Result;
use polars::prelude::{DataType, LazyFrame, col, lit};

use super::{
    super::trial::{
        metrics::{self, of_valid},
        rows::{LatencyRow, ResourceRow, TrialRow},
    },
    summary::STEP,
};
use crate::{
    aggregate::{Frames, column, to_rows},
    results::summary::{Cell, SummaryTable},
    stats::{Freeze, median, percentile},
};

/// The percentiles at which the frozen trials are shown: the stall is in the last tenth.
const PERCENTILES: std::ops::RangeInclusive<u32> = 900..=999;

/// The trials in which the server stood still.
pub(super) struct Frozen {
    trials: Vec<TrialRow>,
    /// Load times by arm, pooled over the trials.
    times: BTreeMap<String, Vec<(u64, u64)>>,
    /// The part of the window in which the system was at work, by arm, one per trial.
    utilisation: BTreeMap<String, Vec<f64>>,
}

impl Frozen {
    /// Those that are valid.
    pub(super) fn read(frames: &Frames) -> Result<Self> {
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
    pub(super) fn loops(&self) -> Result<SummaryTable> {
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

    /// One row per percentile, for both kinds of loop.
    pub(super) fn quantiles(&self) -> Result<SummaryTable> {
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
