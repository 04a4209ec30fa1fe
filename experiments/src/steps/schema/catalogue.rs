//! What PostgreSQL's catalogue says about the blog. Only reading, apart from building the indexes whose bytes are asked for.

use std::time::Instant;

use anyhow::{Context, Result};
use app::db::SECONDARY_INDEXES;
use sqlx::{PgPool, Row as _, postgres::PgRow};

use super::rows::{ColumnRow, ConstraintRow, IndexBuildRow, IndexRow, RelationRow};

/// Builds every secondary index and says how long each took.
pub(super) async fn build_indexes(pool: &PgPool) -> Result<Vec<IndexBuildRow>> {
    let mut builds = Vec::new();
    for index in SECONDARY_INDEXES {
        let started = Instant::now();
        index.create(pool).await?;
        let build_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        builds.push(IndexBuildRow { index: index.name.to_owned(), build_us });
    }
    // Sizes and row counts are statistics; without this they would be those of the time before the indexes.
    sqlx::query("VACUUM (ANALYZE)").execute(pool).await.context("cannot analyse the database")?;
    Ok(builds)
}

pub(super) async fn columns(pool: &PgPool) -> Result<Vec<ColumnRow>> {
    fetch(pool, include_str!("../../../queries/schema/columns.sql"), |row| {
        Ok(ColumnRow {
            table: row.try_get("table")?,
            position: row.try_get("position")?,
            column: row.try_get("column")?,
            data_type: row.try_get("data_type")?,
            nullable: row.try_get("nullable")?,
            default_expression: row.try_get("default_expression")?,
        })
    })
    .await
}

pub(super) async fn constraints(pool: &PgPool) -> Result<Vec<ConstraintRow>> {
    fetch(pool, include_str!("../../../queries/schema/constraints.sql"), |row| {
        Ok(ConstraintRow {
            table: row.try_get("table")?,
            constraint: row.try_get("constraint")?,
            kind: row.try_get("kind")?,
            definition: row.try_get("definition")?,
        })
    })
    .await
}

pub(super) async fn indexes(pool: &PgPool) -> Result<Vec<IndexRow>> {
    fetch(pool, include_str!("../../../queries/schema/indexes.sql"), |row| {
        let index: String = row.try_get("index")?;
        Ok(IndexRow {
            table: row.try_get("table")?,
            constraint: SECONDARY_INDEXES.iter().all(|secondary| secondary.name != index),
            index,
            definition: row.try_get("definition")?,
            size_bytes: row.try_get("size_bytes")?,
        })
    })
    .await
}

pub(super) async fn relations(pool: &PgPool) -> Result<Vec<RelationRow>> {
    fetch(pool, include_str!("../../../queries/schema/relations.sql"), |row| {
        Ok(RelationRow {
            table: row.try_get("table")?,
            rows: row.try_get("rows")?,
            heap_bytes: row.try_get("heap_bytes")?,
            index_bytes: row.try_get("index_bytes")?,
        })
    })
    .await
}

async fn fetch<T>(pool: &PgPool, sql: &'static str, read: impl Fn(&PgRow) -> sqlx::Result<T>) -> Result<Vec<T>> {
    let rows = sqlx::query(sql).fetch_all(pool).await.context("cannot read the catalogue")?;
    rows.iter().map(read).collect::<sqlx::Result<_>>().context("the catalogue is not as expected")
}
