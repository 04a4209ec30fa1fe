//! How the trials of a step went as a whole. Pure.

use anyhow::Result;
use polars::prelude::{Expr, col, len, lit};

use super::rows::TrialRow;
use crate::{
    aggregate::{Frames, to_summary},
    results::summary::SummaryTable,
};

/// One row for the step: how many trials, how many of them may be used, and what the generator itself took.
pub(in crate::steps) fn trials(step: &str, frames: &Frames) -> Result<SummaryTable> {
    let frame = frames
        .lazy::<TrialRow>()?
        .group_by_stable([col("block"), col("arm"), col("attempt")])
        .agg([
            col("error").count().alias("errors"),
            col("settled_tenths").is_null().all(true).alias("unsettled"),
            col("unexpected").sum(),
            col("offered_per_s").max(),
            col("steal_share").max(),
            col("slices").sum(),
            col("slices_left_out").sum(),
            col("canary_user_us").first(),
            col("canary_kernel_us").first(),
            col("generator_cpu_share").max(),
            col("generator_lag_p99_us").max(),
        ])
        .select([
            lit("all").first().alias("trials"),
            len().alias("trials_count"),
            col("errors").gt(lit(0)).sum().alias("invalid_count"),
            col("unsettled").sum().alias("unsettled_count"),
            col("steal_share").max(),
            col("slices").sum().alias("slices_count"),
            col("slices_left_out").sum().alias("left_out_count"),
            col("unexpected").sum().alias("unexpected_count"),
            col("offered_per_s").max(),
            col("generator_cpu_share").max(),
            col("generator_lag_p99_us").max(),
            spread("canary_user_us").alias("canary_user_spread_share"),
            spread("canary_kernel_us").alias("canary_kernel_spread_share"),
        ]);
    to_summary(
        step,
        "trials",
        frame,
        &[
            ("trials", "all trials of the step"),
            ("trials_count", "how many"),
            ("invalid_count", "how many of them must not be used"),
            ("unsettled_count", "how many had not settled, as far as their length allows to tell"),
            ("steal_share", "largest part of the processors' time that the host gave to others"),
            ("slices_count", "slices that were measured, where trials are cut"),
            ("left_out_count", "slices that were left out because the host took a processor away in their round"),
            ("unexpected_count", "requests without the expected answer"),
            ("offered_per_s", "the rate that every arm was offered"),
            ("generator_cpu_share", "largest share of its processor that the load generator used, peak included"),
            ("generator_lag_p99_us", "largest 99th percentile of its send lag"),
            (
                "canary_user_spread_share",
                "by how much a fixed piece of arithmetic took longer at one trial than at another, at most",
            ),
            ("canary_kernel_spread_share", "the same of a fixed number of system calls"),
        ],
    )
}

/// How far the largest value is above the smallest, as a share of it.
fn spread(column: &str) -> Expr {
    col(column).max() / col(column).min() - lit(1.0)
}
