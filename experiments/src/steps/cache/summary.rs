//! Summaries of the step `cache`. Pure.

use anyhow::Result;
use polars::prelude::{DataType, JoinArgs, JoinType, LazyFrame, SortMultipleOptions, col, lit, when};

use super::super::trial::{
    metrics::{self, Metric, Values, of_arm, of_valid},
    overview, rounds,
    rows::{ResourceRow, TrialRow},
};
use crate::{
    aggregate::{Frames, column, percentiles, to_keyed_summary, to_rows, to_summary},
    results::summary::{Cell, SummaryTable},
    stats::Direction,
};

const QUANTILES: [(f64, &str); 3] = [(0.5, "p50_us"), (0.9, "p90_us"), (0.99, "p99_us")];

pub(super) fn summarise(frames: &Frames, arms: &[&str]) -> Result<Vec<SummaryTable>> {
    Ok(vec![
        arms_table(frames, arms)?,
        components(frames, arms)?,
        endpoints(frames)?,
        comparison(frames, arms)?,
        overview::trials("cache", frames)?,
    ])
}

fn comparison(frames: &Frames, arms: &[&str]) -> Result<SummaryTable> {
    let lower = Direction::LowerIsBetter;
    let metrics = [
        Metric {
            name: "cpu",
            meaning: "server CPU time per request",
            direction: lower,
            values: Values::PerRound(rounds::cpu_us_per_request(frames, "steady")?),
        },
        Metric {
            name: "p50",
            meaning: "median load time",
            direction: lower,
            values: Values::PerTrial(metrics::latency_us(frames, "steady", 0.5)?),
        },
        Metric {
            name: "p99",
            meaning: "99th percentile of load time",
            direction: lower,
            values: Values::PerTrial(metrics::latency_us(frames, "steady", 0.99)?),
        },
        Metric {
            name: "peak",
            meaning: "peak throughput",
            direction: Direction::HigherIsBetter,
            values: Values::PerTrial(metrics::achieved_per_s(frames, "peak")?),
        },
    ];
    metrics::comparison("cache", arms, "off", &metrics, frames.smallest_effect)
}

/// One row per arm: load times pooled over its blocks, costs as medians over its blocks.
fn arms_table(frames: &Frames, arms: &[&str]) -> Result<SummaryTable> {
    let valid = metrics::valid(frames)?;
    let answered = metrics::answered(frames, &valid)?.filter(col("phase").eq(lit("steady")));
    let latency = to_summary(
        "cache",
        "latency",
        percentiles(&answered, &["arm"], "bucket_us", "count", &QUANTILES)?,
        &[("arm", ""), ("p50_us", ""), ("p90_us", ""), ("p99_us", "")],
    )?;
    let hits = to_summary(
        "cache",
        "hits",
        hit_shares(answered, &["arm"]),
        &[("arm", ""), ("requests", ""), ("hit_share", "")],
    )?;
    let cpu = metrics::cpu_us_per_request(frames, "steady")?;
    let peak = metrics::achieved_per_s(frames, "peak")?;
    let achieved = metrics::achieved_per_s(frames, "steady")?;
    let statements = metrics::counter_per_request(frames, "steady", "postgres", "statements")?;
    let commands = metrics::counter_per_request(frames, "steady", "redis", "commands")?;
    let memory = memory_of_apps(frames, &valid)?;
    let rows = arms.iter().map(|arm| {
        let from = |table: &SummaryTable, column: &str| table.cell(arm, column).cloned().unwrap_or(Cell::Empty);
        vec![
            Cell::from(*arm),
            from(&hits, "requests"),
            of_arm(&achieved, arm),
            from(&latency, "p50_us"),
            from(&latency, "p90_us"),
            from(&latency, "p99_us"),
            of_arm(&cpu, arm),
            of_arm(&statements, arm),
            of_arm(&commands, arm),
            from(&hits, "hit_share"),
            of_arm(&memory, arm),
            of_arm(&peak, arm),
        ]
    });
    let columns = vec![
        column("arm", "the cache levels that are on"),
        column("requests", "requests at the offered rate, over all blocks"),
        column("achieved_per_s", "rate of expected answers; the offered rate when the system keeps up"),
        column("p50_us", "median load time"),
        column("p90_us", "90th percentile of the load time"),
        column("p99_us", "99th percentile of the load time"),
        column("cpu_us_per_request", "CPU time of all servers per request"),
        column("statements_per_request", "SQL statements per request"),
        column("commands_per_request", "Redis commands per request"),
        column("hit_share", "share of responses whose first cache was hit"),
        column("app_memory_bytes", "memory of both app servers"),
        column("peak_per_s", "throughput without a rate, closed loop"),
    ];
    to_rows("cache", "arms", columns, rows.collect())
}

/// Requests and the share of them that hit, by `keys`.
fn hit_shares(answered: LazyFrame, keys: &[&str]) -> LazyFrame {
    let by: Vec<_> = keys.iter().map(|key| col(*key)).collect();
    let hit = when(col("cache").eq(lit("hit"))).then(col("count")).otherwise(lit(0));
    answered
        .with_columns([hit.alias("hits")])
        .group_by_stable(by.clone())
        .agg([col("count").sum().alias("requests"), col("hits").sum()])
        .with_columns([(col("hits").cast(DataType::Float64) / col("requests")).alias("hit_share")])
        .sort(keys.to_vec(), SortMultipleOptions::default())
        .select(by.into_iter().chain([col("requests"), col("hit_share")]).collect::<Vec<_>>())
}

fn memory_of_apps(frames: &Frames, valid: &metrics::Valid) -> Result<metrics::PerTrial> {
    let apps = col("component").eq(lit("app-1")).or(col("component").eq(lit("app-2")));
    let memory =
        frames.lazy::<ResourceRow>()?.filter(col("phase").eq(lit("steady")).and(col("second").is_null()).and(apps));
    let memory = of_valid(memory, valid).group_by_stable([col("block"), col("arm")]).agg([col("memory_bytes").sum()]);
    metrics::per_trial(&memory.collect()?, "memory_bytes")
}

/// One row per arm and component: what each process group used.
fn components(frames: &Frames, arms: &[&str]) -> Result<SummaryTable> {
    let valid = metrics::valid(frames)?;
    let keys = [col("block"), col("arm")];
    let expected = frames.lazy::<TrialRow>()?.filter(col("phase").eq(lit("steady"))).select([
        col("block"),
        col("arm"),
        col("expected"),
    ]);
    let used = frames.lazy::<ResourceRow>()?.filter(col("phase").eq(lit("steady")).and(col("second").is_null()));
    let joined = of_valid(used, &valid).join(expected, keys.clone(), keys, JoinArgs::new(JoinType::Inner));
    let frame = joined
        .with_columns([
            (col("cpu_us").cast(DataType::Float64) / col("expected")).alias("per_request"),
            (col("cpu_kernel_us").cast(DataType::Float64) / col("cpu_us")).alias("kernel"),
        ])
        .group_by_stable([col("arm"), col("component")])
        .agg([
            col("per_request").median().alias("cpu_us_per_request"),
            col("kernel").median().alias("kernel_share"),
            col("memory_bytes").median().alias("memory_bytes"),
        ])
        .select([col("arm"), col("component"), col("cpu_us_per_request"), col("kernel_share"), col("memory_bytes")]);
    let columns = [
        ("key", "arm and component"),
        ("arm", "the cache levels that are on"),
        ("component", "the process group"),
        ("cpu_us_per_request", "its CPU time per request"),
        ("kernel_share", "the share of it that was spent in the kernel"),
        ("memory_bytes", "its memory at the end (proportional set size)"),
    ];
    let mut table = to_keyed_summary("cache", "components", frame, &["arm", "component"], &columns)?;
    // In the order in which a request meets them, arm by arm.
    let place =
        |row: &[Cell], column: usize, order: &[&str]| order.iter().position(|name| row[column].text() == Some(*name));
    table.rows.sort_by_key(|row| (place(row, 1, arms), place(row, 2, &super::COMPONENTS)));
    Ok(table)
}

/// One row per arm and kind of request.
fn endpoints(frames: &Frames) -> Result<SummaryTable> {
    let answered = metrics::answered(frames, &metrics::valid(frames)?)?.filter(col("phase").eq(lit("steady")));
    let keys = ["arm", "endpoint"];
    let latency = percentiles(&answered, &keys, "bucket_us", "count", &QUANTILES)?;
    let by = keys.map(col);
    let frame = hit_shares(answered, &keys)
        .join(latency, by.clone(), by, JoinArgs::new(JoinType::Left))
        .select([
            col("arm"),
            col("endpoint"),
            col("requests"),
            col("hit_share"),
            col("p50_us"),
            col("p90_us"),
            col("p99_us"),
        ])
        .sort(["arm", "endpoint"], SortMultipleOptions::default());
    to_keyed_summary(
        "cache",
        "endpoints",
        frame,
        &keys,
        &[
            ("key", "arm and kind of request"),
            ("arm", "the cache levels that are on"),
            ("endpoint", "the kind of request"),
            ("requests", "how many, over all blocks"),
            ("hit_share", "share of them whose first cache was hit"),
            ("p50_us", "median load time"),
            ("p90_us", "90th percentile of the load time"),
            ("p99_us", "99th percentile of the load time"),
        ],
    )
}
