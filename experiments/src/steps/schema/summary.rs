//! Summaries of the step `schema`: sizes, and the price of each index. Pure.

use std::collections::BTreeMap;

use anyhow::Result;
use polars::prelude::{Expr, JoinArgs, JoinType, SortMultipleOptions, col, lit};

use super::rows::{ColumnRow, ConstraintRow, IndexBuildRow, IndexRow, PriceRow, RelationRow};
use crate::{
    aggregate::{Frames, column, to_rows, to_summary},
    results::summary::{Cell, SummaryTable},
    stats::{Direction, SEED, compare, median},
};

pub(super) fn summarise(frames: &Frames) -> Result<Vec<SummaryTable>> {
    Ok(vec![
        tables(frames)?,
        columns(frames)?,
        foreign_keys(frames)?,
        indexes(frames)?,
        prices(frames)?,
        totals(frames)?,
    ])
}

fn tables(frames: &Frames) -> Result<SummaryTable> {
    let bytes_per_row =
        (col("heap_bytes").cast(polars::prelude::DataType::Float64) / col("rows")).alias("heap_bytes_per_row");
    let frame = frames.lazy::<RelationRow>()?.select([
        col("table"),
        col("rows"),
        col("heap_bytes"),
        col("index_bytes"),
        bytes_per_row.round(1, polars::prelude::RoundMode::HalfAwayFromZero),
    ]);
    to_summary(
        "schema",
        "tables",
        frame,
        &[
            ("table", "the table"),
            ("rows", "its rows"),
            ("heap_bytes", "bytes of its rows, TOAST included"),
            ("index_bytes", "bytes of all its indexes"),
            ("heap_bytes_per_row", "bytes of the heap per row"),
        ],
    )
}

fn columns(frames: &Frames) -> Result<SummaryTable> {
    let rows = frames.rows::<ColumnRow>()?.into_iter().map(|row| {
        vec![
            Cell::Text(format!("{}.{}", row.table, row.column)),
            Cell::Text(row.data_type),
            Cell::from(if row.nullable { "yes" } else { "no" }),
        ]
    });
    let header = vec![
        column("column", "table and column"),
        column("data_type", "its type"),
        column("nullable", "whether it may be NULL"),
    ];
    to_rows("schema", "columns", header, rows.collect())
}

fn foreign_keys(frames: &Frames) -> Result<SummaryTable> {
    let rows = frames.rows::<ConstraintRow>()?.into_iter().map(|row| {
        vec![Cell::Text(row.constraint), Cell::Text(row.table), Cell::Text(row.kind), Cell::Text(row.definition)]
    });
    let header = vec![
        column("constraint", "the constraint"),
        column("table", "its table"),
        column("kind", "what kind of constraint"),
        column("definition", "its definition"),
    ];
    to_rows("schema", "constraints", header, rows.collect())
}

fn indexes(frames: &Frames) -> Result<SummaryTable> {
    let frame = frames
        .lazy::<IndexRow>()?
        .filter(col("constraint").eq(lit(false)))
        .join(frames.lazy::<IndexBuildRow>()?, [col("index")], [col("index")], JoinArgs::new(JoinType::Left))
        .select([col("index"), col("table"), col("definition"), col("size_bytes"), col("build_us")])
        .sort(["table", "index"], SortMultipleOptions::default());
    to_summary(
        "schema",
        "indexes",
        frame,
        &[
            ("index", "the secondary index"),
            ("table", "its table"),
            ("definition", "its definition"),
            ("size_bytes", "bytes on disk"),
            ("build_us", "time to build it on the seeded data"),
        ],
    )
}

fn totals(frames: &Frames) -> Result<SummaryTable> {
    let sum = |name: &str| -> Expr { col(name).sum() };
    let secondary = frames
        .lazy::<IndexRow>()?
        .filter(col("constraint").eq(lit(false)))
        .select([sum("size_bytes").alias("secondary_bytes")]);
    let frame = polars::prelude::concat_lf_horizontal(
        [
            frames.lazy::<RelationRow>()?.select([
                lit("blog").first().alias("database"),
                sum("rows"),
                sum("heap_bytes"),
                sum("index_bytes"),
            ]),
            secondary,
        ],
        polars::prelude::HConcatOptions::default(),
    )?;
    let share = (col("secondary_bytes").cast(polars::prelude::DataType::Float64)
        / (col("heap_bytes") + col("index_bytes")))
    .alias("secondary_share");
    to_summary(
        "schema",
        "totals",
        frame.with_columns([share]),
        &[
            ("database", "the database"),
            ("rows", "rows of all tables"),
            ("heap_bytes", "bytes of all rows"),
            ("index_bytes", "bytes of all indexes"),
            ("secondary_bytes", "bytes of the secondary indexes"),
            ("secondary_share", "their share of all bytes"),
        ],
    )
}

/// One row per secondary index: inserts with it alone against inserts without any, in the same block.
fn prices(frames: &Frames) -> Result<SummaryTable> {
    let rows = frames.rows::<PriceRow>()?;
    let mut by_arm: BTreeMap<(&str, &str), BTreeMap<u32, &PriceRow>> = BTreeMap::new();
    for row in &rows {
        by_arm.entry((&row.table, &row.arm)).or_default().insert(row.block, row);
    }
    let mut table = Vec::new();
    for ((name, arm), with) in &by_arm {
        let Some(without) = by_arm.get(&(*name, "none")).filter(|_| *arm != "none") else { continue };
        let key = if *arm == "all" { format!("{name}_all") } else { (*arm).to_owned() };
        table.push(price(&key, name, without, with, frames.smallest_effect));
    }
    to_rows(
        "schema",
        "prices",
        vec![
            column("index", "the secondary index, or all of a table"),
            column("table", "the table that is written"),
            column("blocks", "blocks in which both arms were tried"),
            column("without_us_per_row", "median time of inserting a row without secondary indexes"),
            column("with_us_per_row", "median time of inserting a row with it"),
            column("time_ratio", "typical ratio with / without (Hodges-Lehmann estimate over the blocks)"),
            column("time_low_ratio", "lower end of its 95 % interval"),
            column("time_high_ratio", "upper end of its 95 % interval"),
            column("verdict", "what may be said of the time"),
            column("without_wal_bytes_per_row", "write-ahead log of a row without"),
            column("with_wal_bytes_per_row", "write-ahead log of a row with it"),
            column("wal_ratio", "median of the ratios of write-ahead log"),
        ],
        table,
    )
}

type Trials<'a> = BTreeMap<u32, &'a PriceRow>;

fn price(key: &str, table: &str, without: &Trials<'_>, with: &Trials<'_>, smallest_effect: f64) -> Vec<Cell> {
    let ratios = |of: &dyn Fn(&PriceRow) -> f64| -> Vec<f64> {
        with.iter().filter_map(|(block, row)| Some(of(row) / of(without.get(block)?))).collect()
    };
    let per_row = |trials: &Trials<'_>, of: &dyn Fn(&PriceRow) -> f64| {
        let values: Vec<f64> = trials.values().map(|row| of(row) / count(row.batch_rows)).collect();
        Cell::from(median(&values))
    };
    let time = |row: &PriceRow| count(row.execution_us);
    let wal = |row: &PriceRow| count(row.wal_bytes);
    let compared = compare(&ratios(&time), Direction::LowerIsBetter, smallest_effect, SEED);
    vec![
        Cell::from(key),
        Cell::from(table),
        Cell::from(compared.blocks),
        per_row(without, &time),
        per_row(with, &time),
        Cell::from(compared.ratio),
        Cell::from(compared.interval.map(|interval| interval.low)),
        Cell::from(compared.interval.map(|interval| interval.high)),
        Cell::from(compared.verdict.word()),
        per_row(without, &wal),
        per_row(with, &wal),
        Cell::from(median(&ratios(&wal))),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn count(value: u64) -> f64 {
    value as f64
}
