//! The step `explain`: what each query of the app does with and without the secondary indexes, read off PostgreSQL's own plans, and
//! how the ways of fetching posts with their comments compare. What an index costs the writer is the business of `schema`.

mod cases;
mod measure;
mod plan;
mod rows;
mod shapes;
mod summary;
mod tree;

use anyhow::Result;

use super::{Bench, Figure, Measuring, Profile, Step, find};
use crate::{
    aggregate::Frames,
    figures::{Axis, Bar, BarChart, BarSeries, DotPlot, DotRow, Orientation},
    results::{
        Row, Table,
        summary::{Cell, SummaryTable},
    },
};
use rows::{NodeRow, ParameterRow, PlanRow, QueryRow, ShapeRow};

/// The step.
pub struct ExplainStep;

impl Step for ExplainStep {
    fn name(&self) -> &'static str {
        "explain"
    }

    fn title(&self) -> &'static str {
        "Queries, plans and indexes"
    }

    fn question(&self) -> &'static str {
        "What does each query do with and without the secondary indexes, and how should posts be fetched with their comments?"
    }

    fn tables(&self) -> &'static [Table] {
        &[QueryRow::TABLE, ParameterRow::TABLE, PlanRow::TABLE, NodeRow::TABLE, ShapeRow::TABLE]
    }

    fn figure_names(&self) -> &'static [&'static str] {
        &["buffers", "shapes"]
    }

    fn arms(&self) -> Vec<String> {
        measure::ARMS.map(str::to_owned).to_vec()
    }

    fn own_parameters(&self, profile: &Profile) -> Result<Vec<(&'static str, serde_json::Value)>> {
        Ok(vec![("explain", serde_json::to_value(profile.explain)?)])
    }

    fn planned_s(&self, profile: &Profile) -> f64 {
        // Without an index, nearly every query reads all comments; a page reads them once per post.
        let million_comments = f64::from(profile.data.comments) / 1e6;
        // Of some 38 cases.
        let short_s = 38.0 * profile.explain.enough_s;
        1.0 + 50.0 * million_comments + short_s + 22.0 * million_comments * f64::from(profile.explain.repeats)
    }

    fn measure<'a>(&'a self, bench: &'a mut Bench<'_>) -> Measuring<'a> {
        Box::pin(measure::measure(bench))
    }

    fn summarise(&self, frames: &Frames) -> Result<Vec<SummaryTable>> {
        summary::summarise(frames)
    }

    fn draw(&self, summaries: &[SummaryTable]) -> Result<Vec<Figure>> {
        let queries = find(summaries, "queries")?;
        let buffers = ["touched_without_blocks", "touched_with_blocks"];
        Ok(vec![
            figure("buffers", dots(queries, buffers, "blocks touched by one execution").svg()),
            figure("shapes", bars(find(summaries, "shapes")?).svg()),
        ])
    }
}

fn figure(name: &str, svg: String) -> Figure {
    Figure { name: name.to_owned(), svg }
}

fn number(table: &SummaryTable, key: &str, column: &str) -> Option<f64> {
    table.cell(key, column).and_then(Cell::number)
}

/// A row of two dots per case: without the indexes and with them.
fn dots(queries: &SummaryTable, columns: [&str; 2], axis: &str) -> DotPlot {
    let row = |key: String| DotRow { dots: columns.map(|column| number(queries, &key, column)).to_vec(), name: key };
    DotPlot {
        series: vec!["without the secondary indexes".to_owned(), "with them".to_owned()],
        rows: queries.keys().map(row).collect(),
        axis: Axis::logarithmic(axis),
    }
}

/// A bar per shape: the wall time of fetching a page with the indexes.
fn bars(shapes: &SummaryTable) -> BarChart {
    let bar = |key: &String| {
        let interval = number(shapes, key, "fetch_with_low_us").zip(number(shapes, key, "fetch_with_high_us"));
        number(shapes, key, "fetch_with_us").map(|value| Bar { value, interval })
    };
    let groups: Vec<String> = shapes.keys().collect();
    BarChart {
        series: vec![BarSeries {
            name: "with the secondary indexes".to_owned(),
            bars: groups.iter().map(bar).collect(),
        }],
        groups,
        axis: Axis::linear("wall time of fetching a page of posts with their comments (µs)"),
        orientation: Orientation::Horizontal,
    }
}
