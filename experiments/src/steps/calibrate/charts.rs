//! The figures of the step `calibrate`. Pure.

use crate::{
    figures::{Axis, DotPlot, DotRow, Line, LineChart},
    results::summary::{Cell, SummaryTable},
};

/// Load time by percentile while the server stood still: what the open loop saw, what it must have seen, what the closed loop saw.
pub(super) fn freeze(quantiles: &SummaryTable) -> String {
    let line = |name: &str, column: &str| {
        let of = |key: &str, column: &str| quantiles.cell(key, column).and_then(Cell::number);
        let points = quantiles
            .keys()
            .filter_map(|key| Some((of(&key, "percentile")?, of(&key, column).map(|time_us| time_us / 1000.0))));
        Line { name: name.to_owned(), points: points.collect() }
    };
    LineChart {
        lines: vec![line("open loop", "open_us"), line("closed form", "expected_us"), line("closed loop", "closed_us")],
        spans: Vec::new(),
        x_axis: Axis::percentile("percentile of all requests (%)"),
        y_axis: Axis::linear("load time (ms)"),
    }
    .svg()
}

/// An arm against itself, block by block.
pub(super) fn noise(pairs: &SummaryTable) -> String {
    let columns = ["cpu_ratio", "p50_ratio", "p99_ratio"];
    let rows = pairs.keys().map(|key| DotRow {
        name: format!("block {key}"),
        dots: columns.iter().map(|column| pairs.cell(&key, column).and_then(Cell::number)).collect(),
    });
    let series = ["server CPU a request", "median load time", "p99 of load time"];
    DotPlot {
        series: series.map(str::to_owned).into(),
        rows: rows.collect(),
        axis: Axis::logarithmic("second / first of the same arm").with_reference(1.0, "no difference"),
    }
    .svg()
}
