//! What an index costs the writer: batches of inserts while the table has none, one or all of its secondary indexes.
//!
//! Dropping an index is transactional in PostgreSQL, so each trial is `BEGIN; DROP INDEX …; INSERT …; ROLLBACK`: every arm starts
//! from the same table, and nothing has to be built again.

use std::time::Instant;

use anyhow::{Context, Result};
use app::db::{SECONDARY_INDEXES, SecondaryIndex};
use sqlx::{Connection as _, PgConnection, PgPool};

use super::super::{Bench, bench::blocks};
use super::rows::PriceRow;

/// A table whose inserts are priced: the statement takes the number of rows as `$1`.
struct Writer {
    table: &'static str,
    insert_sql: &'static str,
    batch_rows: u32,
}

/// One trial's place: which table, which indexes stay.
struct Arm<'a> {
    writer: &'a Writer,
    name: &'static str,
    dropped: Vec<&'static SecondaryIndex>,
}

pub(super) async fn measure(bench: &mut Bench<'_>, pool: &PgPool) -> Result<Vec<PriceRow>> {
    let parameters = bench.profile.schema;
    let writers = [
        Writer {
            table: "comments",
            insert_sql: include_str!("../../../queries/schema/insert_comments.sql"),
            batch_rows: parameters.comments_per_batch,
        },
        Writer {
            table: "posts",
            insert_sql: include_str!("../../../queries/schema/insert_posts.sql"),
            batch_rows: parameters.posts_per_batch,
        },
        Writer {
            table: "post_tags",
            insert_sql: include_str!("../../../queries/schema/insert_post_tags.sql"),
            batch_rows: parameters.posts_per_batch,
        },
    ];
    let arms: Vec<Arm<'_>> = writers.iter().flat_map(arms).collect();
    let order = blocks(bench.profile.seed, "schema", arms.len(), parameters.repeats);
    let mut connection = pool.acquire().await.context("cannot connect to measure inserts")?;
    let mut rows = Vec::new();
    // Block 0 only warms buffers and files up.
    for (block, places) in (0_u32..).zip(std::iter::once(&order[0]).chain(&order)) {
        bench.progress.say(0.5 + 0.5 * f64::from(block) / f64::from(parameters.repeats + 1), "pricing inserts");
        for (place, &arm) in (0_u32..).zip(places) {
            let started = Instant::now();
            let row = trial(&mut connection, &arms[arm], block, place).await?;
            if block > 0 {
                bench.measured(started.elapsed());
                rows.push(row);
            }
        }
        // What was rolled back is dead weight that later inserts would have to walk around.
        for writer in &writers {
            let vacuum = format!("VACUUM {}", writer.table);
            sqlx::raw_sql(sqlx::AssertSqlSafe(vacuum)).execute(&mut *connection).await.context("cannot vacuum")?;
        }
    }
    Ok(rows)
}

fn arms(writer: &Writer) -> Vec<Arm<'_>> {
    let own: Vec<&'static SecondaryIndex> =
        SECONDARY_INDEXES.iter().filter(|index| index.table == writer.table).collect();
    let mut arms = vec![Arm { writer, name: "none", dropped: own.clone() }];
    for index in &own {
        let dropped = own.iter().copied().filter(|other| other.name != index.name).collect();
        arms.push(Arm { writer, name: index.name, dropped });
    }
    if own.len() > 1 {
        arms.push(Arm { writer, name: "all", dropped: Vec::new() });
    }
    arms
}

async fn trial(connection: &mut PgConnection, arm: &Arm<'_>, block: u32, place: u32) -> Result<PriceRow> {
    let named = || format!("cannot insert into `{}` with the indexes `{}`", arm.writer.table, arm.name);
    let mut transaction = connection.begin().await.with_context(named)?;
    for index in &arm.dropped {
        sqlx::raw_sql(index.drop_sql).execute(&mut *transaction).await.with_context(named)?;
    }
    let explain = format!("EXPLAIN (ANALYZE, WAL, TIMING OFF, FORMAT JSON) {}", arm.writer.insert_sql);
    let plan: serde_json::Value = sqlx::query_scalar(sqlx::AssertSqlSafe(explain))
        .bind(i64::from(arm.writer.batch_rows))
        .fetch_one(&mut *transaction)
        .await
        .with_context(named)?;
    transaction.rollback().await.with_context(named)?;
    let execution_ms = plan[0]["Execution Time"].as_f64().context("PostgreSQL's plan has no `Execution Time`")?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a duration of seconds in µs")]
    Ok(PriceRow {
        block,
        place,
        table: arm.writer.table.to_owned(),
        arm: arm.name.to_owned(),
        batch_rows: u64::from(arm.writer.batch_rows),
        execution_us: (execution_ms * 1000.0).round() as u64,
        wal_bytes: plan[0]["Plan"]["WAL Bytes"].as_u64().context("PostgreSQL's plan has no `WAL Bytes`")?,
    })
}
