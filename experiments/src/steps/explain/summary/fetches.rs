//! Summaries of fetching posts with their comments, shape by shape. Pure.

use std::collections::BTreeMap;

use anyhow::Result;
use polars::prelude::{DataType, Expr, col, lit};

use super::{header, paired};
use crate::{
    aggregate::{Frames, to_rows, to_summary},
    results::summary::{Cell, SummaryTable},
    stats::{Direction, SEED, compare, median_interval},
    steps::explain::{measure::ARMS, rows::ShapeRow, shapes},
};

/// One row per shape and arm: the medians over the blocks of fetching one page.
pub(super) fn arms(frames: &Frames) -> Result<SummaryTable> {
    let median = |name: &str| col(name).median().alias(name);
    let frame = frames
        .lazy::<ShapeRow>()?
        .filter(col("scale").eq(lit("page")))
        .group_by_stable([col("shape"), col("arm")])
        .agg([
            median("fetch_us"),
            median("execution_us"),
            median("planning_us"),
            col("touched_blocks").median().cast(DataType::Int64).alias("touched_blocks"),
        ])
        .select([
            (col("shape") + lit("_") + col("arm")).alias("key"),
            col("shape"),
            col("arm"),
            col("fetch_us"),
            col("execution_us"),
            col("planning_us"),
            col("touched_blocks"),
        ])
        .sort(["shape", "arm"], Default::default());
    let columns = [
        ("key", "the shape and the arm"),
        ("shape", "the shape"),
        ("arm", "without or with the secondary indexes"),
        ("fetch_us", "median wall time of fetching a page in the app's own function"),
        ("execution_us", "median execution time of its statements under EXPLAIN, added up"),
        ("planning_us", "median planning time of its statements under EXPLAIN, added up"),
        ("touched_blocks", "median of the blocks that its statements touched"),
    ];
    to_summary("explain", "shape_arms", frame, &columns)
}

/// One row per shape, in the order of the app's list: a page with the indexes, and what they and two queries make of it.
pub(super) fn of_a_page(frames: &Frames, arms: &SummaryTable) -> Result<SummaryTable> {
    let rows: Vec<ShapeRow> = frames.rows::<ShapeRow>()?.into_iter().filter(|row| row.scale == "page").collect();
    let fetches = |shape: &str, arm: &str| -> BTreeMap<u32, u64> {
        rows.iter().filter(|row| row.shape == shape && row.arm == arm).map(|row| (row.block, row.fetch_us)).collect()
    };
    let mut table = Vec::new();
    for shape in shapes::names() {
        let Some(row) = rows.iter().find(|row| row.shape == shape) else { continue };
        let with = fetches(shape, ARMS[1]);
        let against = |baseline: &BTreeMap<u32, u64>| {
            compare(&paired(&with, baseline), Direction::LowerIsBetter, frames.smallest_effect, SEED)
        };
        #[expect(clippy::cast_precision_loss, reason = "times stay far below 2^53")]
        let interval = median_interval(&with.values().map(|time| *time as f64).collect::<Vec<_>>(), 0.95);
        let indexes = against(&fetches(shape, ARMS[0]));
        let two_queries = against(&fetches("two_queries", ARMS[1]));
        let lateral = against(&fetches("lateral", ARMS[1]));
        let side = |arm: usize, column: &str| {
            arms.cell(&format!("{shape}_{}", ARMS[arm]), column).cloned().unwrap_or(Cell::Empty)
        };
        table.push(vec![
            Cell::from(shape),
            Cell::from(row.statements),
            Cell::from(row.posts),
            Cell::from(row.comments),
            Cell::from(row.rows),
            Cell::from(row.row_bytes),
            side(0, "fetch_us"),
            side(1, "fetch_us"),
            Cell::from(interval.map(|interval| interval.low)),
            Cell::from(interval.map(|interval| interval.high)),
            side(1, "execution_us"),
            side(1, "planning_us"),
            side(0, "touched_blocks"),
            side(1, "touched_blocks"),
            Cell::from(indexes.ratio),
            Cell::from(indexes.verdict.word()),
            Cell::from(two_queries.ratio),
            Cell::from(two_queries.interval.map(|interval| interval.low)),
            Cell::from(two_queries.interval.map(|interval| interval.high)),
            Cell::from(two_queries.verdict.word()),
            Cell::from(lateral.ratio),
        ]);
    }
    let columns = [
        ("shape", "the shape, also the function in `app::db::shapes`"),
        ("statements", "statements, one round trip each"),
        ("posts", "posts of the page"),
        ("comments", "comments that were fetched"),
        ("rows", "rows that came over the connection"),
        ("row_bytes", "length of those rows as PostgreSQL writes them as text"),
        ("fetch_without_us", "median wall time of the fetch without the secondary indexes"),
        ("fetch_with_us", "median wall time of the fetch with them"),
        ("fetch_with_low_us", "lower end of its 95 % interval"),
        ("fetch_with_high_us", "upper end of its 95 % interval"),
        ("execution_with_us", "median execution time of the statements under EXPLAIN with the indexes, added up"),
        ("planning_with_us", "median planning time of the statements with the indexes, added up"),
        ("touched_without_blocks", "blocks touched without the secondary indexes"),
        ("touched_with_blocks", "blocks touched with them"),
        ("index_ratio", "typical ratio (Hodges-Lehmann) of wall time, with / without the indexes"),
        ("index_verdict", "what may be said of it"),
        ("two_queries_ratio", "typical ratio (Hodges-Lehmann) of wall time to `two_queries`, with the indexes"),
        ("two_queries_low_ratio", "lower end of its 95 % interval"),
        ("two_queries_high_ratio", "upper end of its 95 % interval"),
        ("verdict", "what may be said of the shape against `two_queries`"),
        ("lateral_ratio", "typical ratio (Hodges-Lehmann) of wall time to `lateral`, with the indexes"),
    ];
    to_rows("explain", "shapes", header(&columns), table)
}

/// Every post of the blog with its comments, fetched once.
pub(super) fn of_all_posts(frames: &Frames) -> Result<SummaryTable> {
    let columns = [
        ("shape", "the shape"),
        ("statements", "statements, one round trip each"),
        ("posts", "posts that were fetched"),
        ("comments", "comments that were fetched"),
        ("rows", "rows that came over the connection"),
        ("row_bytes", "length of those rows as PostgreSQL writes them as text"),
        ("fetch_us", "wall time of the fetch in the app's own function, once"),
        ("execution_us", "execution time of its statements under EXPLAIN, once"),
        ("touched_blocks", "blocks that its statements touched"),
        ("temp_blocks", "blocks of temporary files, for sorting what does not fit into memory"),
    ];
    let selected: Vec<Expr> = columns.iter().map(|(name, _)| col(*name)).collect();
    let frame = frames.lazy::<ShapeRow>()?.filter(col("scale").eq(lit("all"))).select(selected);
    to_summary("explain", "all_posts", frame, &columns)
}
