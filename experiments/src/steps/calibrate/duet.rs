//! Metrics of the two servers of one trial, side by side: what each answered, and what the two used for it, with PostgreSQL's work for
//! each. What NGINX and Redis do is for both alike and left out. Pure.

use anyhow::Result;
use polars::prelude::{Expr, JoinArgs, JoinType, LazyFrame, col, lit};

use super::super::trial::{
    metrics::{self, PerTrial, of_valid, per_trial},
    rows::{CounterRow, LatencyRow, ResourceRow},
};
use crate::aggregate::{Frames, percentiles};

/// CPU time per request of each server and of PostgreSQL for it, by `arm/server` and block.
pub(super) fn cpu_us_per_request(frames: &Frames) -> Result<PerTrial> {
    let valid = metrics::valid(frames)?;
    let steady = || col("phase").eq(lit("steady"));
    let float = polars::prelude::DataType::Float64;
    let own = of_valid(frames.lazy::<ResourceRow>()?.filter(steady().and(col("second").is_null())), &valid).select([
        col("arm"),
        col("block"),
        col("component"),
        col("cpu_us").cast(float.clone()),
    ]);
    let for_it = of_valid(frames.lazy::<CounterRow>()?, &valid)
        .filter(steady().and(col("counter").eq(lit("postgres_cpu_us"))))
        .select([col("arm"), col("block"), col("component"), col("value").alias("backends_us")]);
    let answered = of_valid(frames.lazy::<LatencyRow>()?.filter(steady()), &valid)
        .group_by([col("arm"), col("block"), col("served_by").alias("component")])
        .agg([col("count").sum().cast(float)]);
    let keys: [Expr; 3] = ["arm", "block", "component"].map(col);
    let inner = |left: LazyFrame, right: LazyFrame| {
        left.join(right, keys.clone(), keys.clone(), JoinArgs::new(JoinType::Inner))
    };
    let per_request = ((col("cpu_us") + col("backends_us")) / col("count")).alias("per_request");
    by_server(inner(inner(own, for_it), answered).with_columns([per_request]), "component", "per_request")
}

/// A percentile of the load time of each server, by `arm/server` and block.
pub(super) fn latency_us(frames: &Frames, quantile: f64) -> Result<PerTrial> {
    let steady = col("phase").eq(lit("steady")).and(col("served_by").is_not_null());
    let answered = of_valid(frames.lazy::<LatencyRow>()?.filter(steady), &metrics::valid(frames)?);
    let keys = ["arm", "block", "served_by"];
    let found = percentiles(&answered, &keys, "bucket_us", "count", &[(quantile, "latency_us")])?;
    by_server(found, "served_by", "latency_us")
}

/// The mean load time of each server, by `arm/server` and block. A mean, because what is added to every request is added to it, whatever
/// the distribution of what is added.
pub(super) fn mean_us(frames: &Frames) -> Result<PerTrial> {
    let steady = col("phase").eq(lit("steady")).and(col("served_by").is_not_null());
    let answered = of_valid(frames.lazy::<LatencyRow>()?.filter(steady), &metrics::valid(frames)?);
    let float = polars::prelude::DataType::Float64;
    let sum_us = (col("bucket_us") * col("count")).sum().cast(float.clone());
    let mean_us = (sum_us / col("count").sum().cast(float)).alias("mean_us");
    by_server(answered.group_by(["arm", "block", "served_by"].map(col)).agg([mean_us]), "served_by", "mean_us")
}

fn by_server(frame: LazyFrame, server: &str, value: &str) -> Result<PerTrial> {
    let mut values = PerTrial::new();
    for name in super::PAIR {
        let of_server = frame.clone().filter(col(server).eq(lit(name))).collect()?;
        let of_server = per_trial(&of_server, value)?;
        values.extend(of_server.into_iter().map(|((arm, block), value)| ((format!("{arm}/{name}"), block), value)));
    }
    Ok(values)
}
