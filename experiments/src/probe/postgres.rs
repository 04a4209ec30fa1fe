//! The counters that PostgreSQL keeps of one database. The probe's own queries are left out of the statements.
//!
//! `pg_stat_database` is late: a busy backend reports to it once a second. `pg_stat_statements` is exact at once; it is absent
//! unless the database has the extension.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

const DATABASE: &str = include_str!("../../queries/probe_database.sql");
const HAS_STATEMENTS: &str = include_str!("../../queries/probe_has_statements.sql");
const STATEMENTS: &str = include_str!("../../queries/probe_statements.sql");

/// What one database has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counters {
    /// From `pg_stat_database`.
    pub database: Database,
    /// From `pg_stat_statements`, if the database has it.
    pub statements: Option<Statements>,
}

/// A row of `pg_stat_database`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow)]
pub struct Database {
    /// Transactions that were committed.
    pub commit_count: i64,
    /// Transactions that were rolled back.
    pub rollback_count: i64,
    /// Blocks found in shared buffers.
    pub block_hit_count: i64,
    /// Blocks read from the operating system.
    pub block_read_count: i64,
    /// Rows that scans went through.
    pub row_returned_count: i64,
    /// Rows that index scans fetched.
    pub row_fetched_count: i64,
    /// Rows that were inserted.
    pub row_inserted_count: i64,
    /// Rows that were updated.
    pub row_updated_count: i64,
    /// Rows that were deleted.
    pub row_deleted_count: i64,
    /// Written to temporary files.
    pub temporary_bytes: i64,
}

/// The sum of `pg_stat_statements`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, sqlx::FromRow)]
pub struct Statements {
    /// Statements that were executed.
    pub call_count: i64,
    /// Time spent in them.
    pub execution_us: f64,
    /// Rows that they returned or changed.
    pub row_count: i64,
    /// Blocks found in shared buffers.
    pub block_hit_count: i64,
    /// Blocks read from the operating system.
    pub block_read_count: i64,
}

impl Counters {
    /// What happened between two readings.
    #[must_use]
    pub fn difference(before: &Self, after: &Self) -> Self {
        let (b, a) = (&before.database, &after.database);
        let database = Database {
            commit_count: a.commit_count - b.commit_count,
            rollback_count: a.rollback_count - b.rollback_count,
            block_hit_count: a.block_hit_count - b.block_hit_count,
            block_read_count: a.block_read_count - b.block_read_count,
            row_returned_count: a.row_returned_count - b.row_returned_count,
            row_fetched_count: a.row_fetched_count - b.row_fetched_count,
            row_inserted_count: a.row_inserted_count - b.row_inserted_count,
            row_updated_count: a.row_updated_count - b.row_updated_count,
            row_deleted_count: a.row_deleted_count - b.row_deleted_count,
            temporary_bytes: a.temporary_bytes - b.temporary_bytes,
        };
        let statements = before.statements.zip(after.statements).map(|(b, a)| Statements {
            call_count: a.call_count - b.call_count,
            execution_us: a.execution_us - b.execution_us,
            row_count: a.row_count - b.row_count,
            block_hit_count: a.block_hit_count - b.block_hit_count,
            block_read_count: a.block_read_count - b.block_read_count,
        });
        Self { database, statements }
    }
}

/// Reads the counters of the database that the pool is connected to.
///
/// # Errors
/// When the database does not answer.
pub async fn read(pool: &PgPool) -> Result<Counters> {
    let database = sqlx::query_as(DATABASE).fetch_one(pool).await.context("could not read `pg_stat_database`")?;
    let has_statements: bool =
        sqlx::query_scalar(HAS_STATEMENTS).fetch_one(pool).await.context("could not look for `pg_stat_statements`")?;
    let statements = match has_statements {
        true => Some(
            sqlx::query_as(STATEMENTS)
                .fetch_one(pool)
                .await
                .context("could not read `pg_stat_statements`; is it in `shared_preload_libraries`?")?,
        ),
        false => None,
    };
    Ok(Counters { database, statements })
}
