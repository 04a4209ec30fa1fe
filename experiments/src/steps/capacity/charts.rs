//! The figures of the step `capacity`. Pure.

use crate::{
    figures::{Axis, Line, LineChart},
    results::summary::{Cell, SummaryTable},
};

/// Points with a gap after each of them: nothing was measured in between.
fn dots(points: Vec<(f64, f64)>) -> Vec<(f64, Option<f64>)> {
    points.into_iter().flat_map(|(place, value)| [(place, Some(value)), (place, None)]).collect()
}

/// The 99th percentile over the offered rate, a dot a trial, on a logarithmic axis, since the last step to too much moves it by orders of magnitude.
pub(super) fn latency(search: &SummaryTable, objective: &SummaryTable, arms: &[&str]) -> String {
    let of = |key: &str, column: &str| search.cell(key, column).and_then(Cell::number);
    let line = |arm: &&str| {
        let keys = search.keys().filter(|key| search.cell(key, "arm").and_then(Cell::text) == Some(*arm));
        let points = keys.filter_map(|key| Some((of(&key, "offered_per_s")?, of(&key, "p99_us")? / 1000.0)));
        let mut points: Vec<(f64, f64)> = points.collect();
        points.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.total_cmp(&other.1)));
        Line { name: (*arm).to_owned(), points: dots(points) }
    };
    let largest_ms = objective.cell("all", "largest_p99_us").and_then(Cell::number).map(|p99_us| p99_us / 1000.0);
    let axis = Axis::logarithmic("99th percentile of the load time (ms)");
    LineChart {
        lines: arms.iter().map(line).collect(),
        spans: Vec::new(),
        x_axis: Axis::logarithmic("offered rate (requests per second)"),
        y_axis: match largest_ms {
            Some(largest_ms) => axis.with_reference(largest_ms, "objective"),
            None => axis,
        },
    }
    .svg()
}

/// Throughput over users: what was measured as dots, the law as a line.
pub(super) fn throughput(users: &SummaryTable, curve: &SummaryTable) -> String {
    let points = |table: &SummaryTable, column: &str| -> Vec<(f64, f64)> {
        let of = |key: &str, column: &str| table.cell(key, column).and_then(Cell::number);
        table.keys().filter_map(|key| Some((of(&key, "users")?, of(&key, column)?))).collect()
    };
    let measured = ["least_per_s", "measured_per_s", "most_per_s"].map(|column| points(users, column)).concat();
    let law = points(curve, "fitted_per_s").into_iter().map(|(users, per_s)| (users, Some(per_s))).collect();
    LineChart {
        lines: vec![
            Line { name: "law".to_owned(), points: law },
            Line { name: "measured".to_owned(), points: dots(measured) },
        ],
        spans: Vec::new(),
        x_axis: Axis::logarithmic("users"),
        y_axis: Axis::linear("expected answers per second"),
    }
    .svg()
}
