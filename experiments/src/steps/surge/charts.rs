//! The figures of the step `surge`: seconds on the x axis, the surge shaded. Pure.

use crate::{
    figures::{Axis, Bar, BarChart, BarSeries, Line, LineChart, Orientation, Span},
    results::summary::{Cell, SummaryTable},
};

/// Load time of each second, on a logarithmic axis, since a surge moves it by orders of magnitude.
pub(super) fn latency(seconds: &SummaryTable, load: &SummaryTable, arms: &[&str]) -> String {
    LineChart {
        lines: lines(seconds, load, arms, "p90_us", 1000.0),
        spans: spans(load),
        x_axis: Axis::linear("second of the measured window"),
        y_axis: Axis::logarithmic("90th percentile of the load time (ms)"),
    }
    .svg()
}

/// Answers of each second, refusals among them.
pub(super) fn throughput(seconds: &SummaryTable, load: &SummaryTable, arms: &[&str]) -> String {
    LineChart {
        lines: lines(seconds, load, arms, "completed_per_s", 1.0),
        spans: spans(load),
        x_axis: Axis::linear("second of the measured window"),
        y_axis: Axis::linear("answers of any kind per second"),
    }
    .svg()
}

/// The share of the requests that each server answered.
pub(super) fn servers(servers: &SummaryTable, arms: &[&str]) -> String {
    let series = ["app-1", "app-2"].map(|server| BarSeries {
        name: server.to_owned(),
        bars: arms
            .iter()
            .map(|arm| {
                let key = format!("{arm}_{}", crate::aggregate::slug(server));
                servers.cell(&key, "request_share").and_then(Cell::number).map(|share| Bar::new(share * 100.0))
            })
            .collect(),
    });
    BarChart {
        groups: arms.iter().map(|arm| (*arm).to_owned()).collect(),
        series: series.into(),
        axis: Axis::linear("share of the requests (%)"),
        orientation: Orientation::Horizontal,
    }
    .svg()
}

/// The processor time of each component in each second of one arm: who is busy when it gets tight.
pub(super) fn components(server_seconds: &SummaryTable, load: &SummaryTable, arm: &str) -> String {
    let of = |key: &str, column: &str| server_seconds.cell(key, column).and_then(Cell::number);
    let is =
        |key: &str, column: &str, wanted: &str| server_seconds.cell(key, column).and_then(Cell::text) == Some(wanted);
    let lines = super::super::cache::COMPONENTS
        .iter()
        .map(|component| {
            let keys = server_seconds.keys().filter(|key| is(key, "arm", arm) && is(key, "component", component));
            let points =
                keys.filter_map(|key| Some((of(&key, "second")?, of(&key, "cpu_share").map(|share| share * 100.0))));
            Line { name: (*component).to_owned(), points: points.collect() }
        })
        .collect();
    LineChart {
        lines,
        spans: spans(load),
        x_axis: Axis::linear("second of the measured window"),
        y_axis: Axis::linear("processor time (% of one processor)"),
    }
    .svg()
}

/// Only whole seconds of the window: answers that come after it belong to no rate.
fn lines(seconds: &SummaryTable, load: &SummaryTable, arms: &[&str], column: &str, divisor: f64) -> Vec<Line> {
    let end_s = load.cell("after", "end_s").and_then(Cell::number).unwrap_or(f64::INFINITY);
    let of = |key: &str, column: &str| seconds.cell(key, column).and_then(Cell::number);
    arms.iter()
        .map(|arm| {
            let keys = seconds.keys().filter(|key| seconds.cell(key, "arm").and_then(Cell::text) == Some(*arm));
            let points =
                keys.filter_map(|key| Some((of(&key, "second")?, of(&key, column).map(|value| value / divisor))));
            let points = points.filter(|(second, _): &(f64, Option<f64>)| *second < end_s);
            Line { name: (*arm).to_owned(), points: points.collect() }
        })
        .collect()
}

fn spans(load: &SummaryTable) -> Vec<Span> {
    let edge = |column: &str| load.cell("surge", column).and_then(Cell::number);
    let span = edge("start_s").zip(edge("end_s"));
    span.map(|(from, to)| Span { from, to, label: "surge".to_owned() }).into_iter().collect()
}
