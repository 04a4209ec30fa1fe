//! Summaries of the step `surge`. Pure.

use anyhow::Result;
use polars::prelude::{DataType, IntoLazy as _, JoinArgs, JoinType, SortMultipleOptions, col, lit};

use super::{
    super::trial::{
        metrics::{self, Metric, Values, of_arm, of_valid},
        rows::{LatencyRow, ResourceRow, SecondRow, SessionRow, TrialRow},
    },
    nodes,
};
use crate::{
    aggregate::{Frames, column, percentiles, to_keyed_summary, to_rows, to_summary},
    results::summary::{Cell, SummaryTable},
    stats::Direction,
};

const PHASES: [&str; 3] = ["before", "surge", "after"];

pub(super) fn summarise(frames: &Frames, arms: &[&str]) -> Result<Vec<SummaryTable>> {
    let load = load(frames)?;
    let seconds = seconds(frames)?;
    let phases = phases(frames, arms, &PHASES)?;
    let recovery = super::recovery::table(frames, arms, &seconds, &load, &phases)?;
    Ok(vec![
        phases,
        servers(frames, arms)?,
        sessions(frames, arms)?,
        recovery,
        comparison(frames, arms)?,
        nodes::table(frames, &self::phases(frames, &nodes::NAMES, &[nodes::OVERLOAD])?)?,
        super::super::trial::overview::trials("surge", frames)?,
        load,
        seconds,
        server_seconds(frames)?,
    ])
}

/// What was offered: one row per phase, the same for every arm.
fn load(frames: &Frames) -> Result<SummaryTable> {
    let trials = frames.rows::<TrialRow>()?;
    let mut start_s = 0.0;
    let mut rows = Vec::new();
    for phase in PHASES {
        let Some(trial) = trials.iter().find(|trial| trial.phase == phase) else { continue };
        let end_s = start_s + trial.duration_s;
        rows.push(vec![Cell::from(phase), Cell::from(trial.offered_per_s), Cell::from(start_s), Cell::from(end_s)]);
        start_s = end_s;
    }
    let columns = vec![
        column("phase", "the phase"),
        column("offered_per_s", "the rate that every arm was offered"),
        column("start_s", "its begin in the measured window"),
        column("end_s", "its end in the measured window"),
    ];
    to_rows("surge", "load", columns, rows)
}

/// One row per arm and phase: load times pooled over blocks, rates and costs as medians over blocks.
fn phases(frames: &Frames, arms: &[&str], names: &[&str]) -> Result<SummaryTable> {
    let valid = metrics::valid(frames)?;
    let answered = metrics::answered(frames, &valid)?;
    let keys = ["arm", "phase"];
    let quantiles = [(0.5, "p50_us"), (0.9, "p90_us"), (0.99, "p99_us")];
    let latency = to_keyed_summary(
        "surge",
        "latency",
        percentiles(&answered, &keys, "bucket_us", "count", &quantiles)?,
        &keys,
        &[("key", ""), ("arm", ""), ("phase", ""), ("p50_us", ""), ("p90_us", ""), ("p99_us", "")],
    )?;
    let unexpected = of_valid(frames.lazy::<TrialRow>()?, &valid)
        .group_by_stable(keys.map(col))
        .agg([
            col("unexpected").sum(),
            col("offered_per_s").median(),
            // Of what was due, not of what was planned: arrivals are random.
            (col("achieved_per_s") * col("duration_s") / col("offered")).median().alias("achieved_share"),
        ])
        .collect()?;
    let counts = to_keyed_summary(
        "surge",
        "counts",
        unexpected.lazy(),
        &keys,
        &[("key", ""), ("arm", ""), ("phase", ""), ("unexpected", ""), ("offered_per_s", ""), ("achieved_share", "")],
    )?;
    let mut rows = Vec::new();
    for &phase in names {
        let achieved = metrics::achieved_per_s(frames, phase)?;
        let cpu = metrics::cpu_us_per_request(frames, phase)?;
        for arm in arms {
            let key = format!("{arm}_{phase}");
            let from = |table: &SummaryTable, column: &str| table.cell(&key, column).cloned().unwrap_or(Cell::Empty);
            rows.push(vec![
                Cell::Text(key.clone()),
                Cell::from(*arm),
                Cell::from(phase),
                from(&counts, "offered_per_s"),
                of_arm(&achieved, arm),
                from(&counts, "achieved_share"),
                from(&latency, "p50_us"),
                from(&latency, "p90_us"),
                from(&latency, "p99_us"),
                from(&counts, "unexpected"),
                of_arm(&cpu, arm),
            ]);
        }
    }
    let columns = vec![
        column("key", "arm and phase"),
        column("arm", "the balancing"),
        column("phase", "before, during or after the surge"),
        column("offered_per_s", "offered rate"),
        column("achieved_per_s", "rate of expected answers that were complete before the phase ended"),
        column("achieved_share", "the share of the requests due that got it by then"),
        column("p50_us", "median load time, from the intended start"),
        column("p90_us", "90th percentile"),
        column("p99_us", "99th percentile"),
        column("unexpected_count", "requests without the expected answer, over all blocks"),
        column("cpu_us_per_request", "CPU time of all servers per request"),
    ];
    to_rows("surge", "phases", columns, rows)
}

/// One row per arm and server: what it answered and what that took. The start of a session has no load time, but it has its turn: without
/// it NGINX would seem to favour a server, because a start goes to one and the request that follows it to the other.
fn servers(frames: &Frames, arms: &[&str]) -> Result<SummaryTable> {
    let valid = metrics::valid(frames)?;
    let keys = [col("arm"), col("served_by")];
    let starts = of_valid(frames.lazy::<SessionRow>()?.filter(col("phase").neq(lit("warm_up"))), &valid)
        .group_by_stable(keys.clone())
        .agg([col("sessions").sum().cast(DataType::Int64)]);
    let answered = of_valid(frames.lazy::<LatencyRow>()?.filter(col("served_by").is_not_null()), &valid)
        .group_by_stable(keys.clone())
        .agg([col("count").sum().cast(DataType::Int64)])
        .join(starts, keys.clone(), keys, JoinArgs::new(JoinType::Left))
        .with_columns([(col("count") + col("sessions").fill_null(lit(0))).alias("requests")]);
    let cpu = of_valid(frames.lazy::<ResourceRow>()?.filter(col("second").is_null()), &valid)
        .group_by_stable([col("arm"), col("component")])
        .agg([col("cpu_us").sum(), col("memory_bytes").max()]);
    let total = col("requests").sum().over([col("arm")])?;
    let frame = answered
        .with_columns([(col("requests").cast(DataType::Float64) / total).alias("request_share")])
        .join(cpu, [col("arm"), col("served_by")], [col("arm"), col("component")], JoinArgs::new(JoinType::Left))
        .with_columns([(col("cpu_us").cast(DataType::Float64) / col("requests")).alias("cpu_us_per_request")])
        .select([
            col("arm"),
            col("served_by").alias("server"),
            col("requests"),
            col("request_share"),
            col("cpu_us_per_request"),
            col("memory_bytes"),
        ])
        .sort(["arm", "server"], SortMultipleOptions::default());
    let columns = [
        ("key", "arm and server"),
        ("arm", "the balancing"),
        ("server", "the server, by its own word"),
        ("requests", "requests that it answered, the starts of sessions among them, over all blocks"),
        ("request_share", "their share of the arm's requests"),
        ("cpu_us_per_request", "the server's own CPU time per request"),
        ("memory_bytes", "its largest memory (proportional set size)"),
    ];
    let mut table = to_keyed_summary("surge", "servers", frame, &["arm", "server"], &columns)?;
    table.rows.retain(|row| is_of(arms, row));
    // An arm of which no trial may be used has its rows all the same, with nothing in them.
    for arm in arms.iter().filter(|arm| !table.rows.iter().any(|row| is_of(&[**arm], row))).collect::<Vec<_>>() {
        for server in if *arm == "single" { &["app-1"][..] } else { &["app-1", "app-2"] } {
            let key = format!("{arm}_{}", server.replace('-', "_"));
            let named = [Cell::Text(key), Cell::from(*arm), Cell::from(*server)];
            let empty = std::iter::repeat_n(Cell::Empty, columns.len() - named.len());
            table.rows.push(named.into_iter().chain(empty).collect());
        }
    }
    table.rows.sort_by_key(|row| arms.iter().position(|arm| row[1].text() == Some(*arm)));
    Ok(table)
}

/// One row per arm: do sessions stay where they began?
fn sessions(frames: &Frames, arms: &[&str]) -> Result<SummaryTable> {
    let frame = of_valid(frames.lazy::<SessionRow>()?, &metrics::valid(frames)?)
        .group_by_stable([col("arm"), col("served_by")])
        .agg([col("sessions").sum(), col("server_changes").sum()])
        .group_by_stable([col("arm")])
        .agg([
            col("sessions").sum(),
            (col("sessions").max().cast(DataType::Float64) / col("sessions").sum()).alias("largest_share"),
            col("server_changes").sum(),
        ])
        .sort(["arm"], SortMultipleOptions::default());
    let mut table = to_summary(
        "surge",
        "sessions",
        frame,
        &[
            ("arm", "the balancing"),
            ("sessions", "sessions of users that keep their cookies"),
            ("largest_share", "share of the sessions that began on the server with the most"),
            ("server_changes", "requests that another server answered than the one before in the same session"),
        ],
    )?;
    table.rows.retain(|row| is_of(arms, row));
    // An arm of which no trial may be used has a row all the same, with nothing in it.
    for arm in arms {
        if !table.rows.iter().any(|row| is_of(&[*arm], row)) {
            let empty = std::iter::repeat_n(Cell::Empty, table.columns.len() - 1);
            table.rows.push([Cell::from(*arm)].into_iter().chain(empty).collect());
        }
    }
    Ok(table)
}

/// Whether a row is about one of these arms.
fn is_of(arms: &[&str], row: &[Cell]) -> bool {
    row.iter().any(|cell| cell.text().is_some_and(|text| arms.contains(&text)))
}

/// One row per arm and second, over all blocks.
fn seconds(frames: &Frames) -> Result<SummaryTable> {
    let valid = metrics::valid(frames)?;
    let answered = metrics::answered(frames, &valid)?;
    let latency =
        percentiles(&answered, &["arm", "second"], "bucket_us", "count", &[(0.5, "p50_us"), (0.9, "p90_us")])?;
    let completed = of_valid(frames.lazy::<SecondRow>()?, &valid)
        .group_by_stable([col("arm"), col("second")])
        .agg([col("completed").cast(DataType::Float64).median().alias("completed_per_s")]);
    let keys = [col("arm"), col("second")];
    let frame = completed
        .join(latency, keys.clone(), keys, JoinArgs::new(JoinType::Left))
        .sort(["arm", "second"], SortMultipleOptions::default())
        .select([col("arm"), col("second"), col("completed_per_s"), col("p50_us"), col("p90_us")]);
    let columns = [
        ("key", "arm and second"),
        ("arm", "the balancing"),
        ("second", "second of the measured window, from 0"),
        ("completed_per_s", "requests that came to an end in it, by whatever answer, median over blocks"),
        ("p50_us", "median load time of the requests that were due in it"),
        ("p90_us", "90th percentile of it"),
    ];
    to_keyed_summary("surge", "seconds", frame, &["arm", "second"], &columns)
}

/// One row per arm, component and second: the processor time that it used, and, of an app server, the share of the requests.
fn server_seconds(frames: &Frames) -> Result<SummaryTable> {
    let valid = metrics::valid(frames)?;
    let keys = [col("arm"), col("component"), col("second")];
    let used = of_valid(frames.lazy::<ResourceRow>()?.filter(col("second").is_not_null()), &valid)
        .group_by_stable(keys.clone())
        .agg([(col("cpu_us").cast(DataType::Float64).median() / lit(1e6)).alias("cpu_share")]);
    let answered = of_valid(frames.lazy::<LatencyRow>()?.filter(col("served_by").is_not_null()), &valid)
        .group_by_stable([col("arm"), col("served_by"), col("second")])
        .agg([col("count").sum().alias("requests")])
        .with_columns([(col("requests").cast(DataType::Float64)
            / col("requests").sum().over([col("arm"), col("second")])?)
        .alias("request_share")]);
    let frame = used
        .join(answered, keys, [col("arm"), col("served_by"), col("second")], JoinArgs::new(JoinType::Left))
        .select([col("arm"), col("component"), col("second"), col("cpu_share"), col("request_share")])
        .sort(["arm", "component", "second"], SortMultipleOptions::default());
    let columns = [
        ("key", "arm, component and second"),
        ("arm", "the balancing"),
        ("component", "the process group"),
        ("second", "second of the measured window, from 0"),
        ("cpu_share", "processor time that it used in it, as a share of one processor, median over blocks"),
        (
            "request_share",
            "share of the requests due in it that this app server answered, without the starts of sessions",
        ),
    ];
    to_keyed_summary("surge", "server_seconds", frame, &["arm", "component", "second"], &columns)
}

fn comparison(frames: &Frames, arms: &[&str]) -> Result<SummaryTable> {
    let lower = Direction::LowerIsBetter;
    let metric =
        |name, meaning, direction, values| Metric { name, meaning, direction, values: Values::PerTrial(values) };
    let metrics = [
        metric(
            "cpu",
            "server CPU time per request before the surge",
            lower,
            metrics::cpu_us_per_request(frames, "before")?,
        ),
        metric("before_p50", "median load time before the surge", lower, metrics::latency_us(frames, "before", 0.5)?),
        metric("surge_p50", "median load time in the surge", lower, metrics::latency_us(frames, "surge", 0.5)?),
        metric("surge_p99", "99th percentile in the surge", lower, metrics::latency_us(frames, "surge", 0.99)?),
        metric(
            "surge_achieved",
            "answers per second in the surge",
            Direction::HigherIsBetter,
            metrics::achieved_per_s(frames, "surge")?,
        ),
    ];
    let mut table = metrics::comparison("surge", arms, "single", &metrics, frames.smallest_effect)?;
    table.rows.extend(nodes::comparison(frames)?.rows);
    Ok(table)
}
