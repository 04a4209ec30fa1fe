//! Fills an empty database: the same numbers and the same seed give the same bytes, on every machine and every day.
//!
//! Each table draws from its own stream of random numbers, so that more comments do not change the posts. Times count back from a fixed
//! day, never from now. Comments and authors follow Zipf's law, as they do on a real blog: few posts have most comments. Which posts
//! these are is shuffled, so that it says nothing about their age.

mod rows;
mod text;

use std::fmt::Write;

use anyhow::{Context, bail};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, PgPool};

pub use text::{tag_name, username};

use crate::db::SECONDARY_INDEXES;

/// How many rows of each kind.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Size {
    /// Users, who write posts and comments. At least 1 if there are any.
    pub users: u32,
    /// Posts, written over three years.
    pub posts: u32,
    /// Comments.
    pub comments: u32,
    /// Tags; a post has up to four.
    pub tags: u32,
}

/// How much of a table is sent at a time.
const CHUNK_BYTES: usize = 256 * 1024;

/// The random numbers of one table.
fn stream(rng_seed: u64, table: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(rng_seed);
    rng.set_stream(table);
    rng
}

/// Fills the database, which must have the schema and no rows, and leaves it vacuumed and analysed.
///
/// Secondary indexes and foreign keys are taken away while the rows are loaded and put back afterwards, since building them once is
/// several times faster than keeping them up to date a million times. All of it is one transaction: after a failure the database is
/// as before. A database without secondary indexes stays without.
pub async fn seed(pool: &PgPool, size: &Size, rng_seed: u64) -> anyhow::Result<()> {
    if size.users == 0 && (size.posts > 0 || size.comments > 0) || size.posts == 0 && size.comments > 0 {
        bail!("posts need users, and comments need posts; ask for at least one of each");
    }
    let mut connection = pool.acquire().await.context("cannot connect to the database")?;
    let mut transaction = connection.begin().await?;
    refuse_rows(&mut transaction).await?;
    let put_back = take_away(&mut transaction).await?;
    // Rows that are loaded into a table emptied by the same transaction can be frozen at once: no later reader has to mark them.
    sqlx::raw_sql("TRUNCATE users, posts, comments, tags, post_tags RESTART IDENTITY")
        .execute(&mut *transaction)
        .await?;
    load(&mut transaction, size, rng_seed).await?;
    for statement in put_back {
        sqlx::raw_sql(AssertSqlSafe(statement.clone()))
            .execute(&mut *transaction)
            .await
            .with_context(|| format!("cannot put back what was taken away for loading: `{statement}`"))?;
    }
    transaction.commit().await?;
    // So that the first queries are planned as later ones are, and index-only scans need not visit the tables.
    let vacuum = "VACUUM (ANALYZE) users, posts, comments, tags, post_tags";
    sqlx::raw_sql(vacuum).execute(&mut *connection).await.context("cannot vacuum the database")?;
    Ok(())
}

async fn refuse_rows(connection: &mut PgConnection) -> anyhow::Result<()> {
    let has_rows: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM users) OR EXISTS (SELECT FROM tags)")
        .fetch_one(connection)
        .await
        .context("cannot read the tables; run `app migrate` first")?;
    if has_rows {
        bail!("the database already has rows; seed an empty one");
    }
    Ok(())
}

/// Drops the secondary indexes and the foreign keys, silences the notifications, and gives the statements that bring them back. The catalogue says what there is, so
/// that nothing is written here a second time.
async fn take_away(connection: &mut PgConnection) -> anyhow::Result<Vec<String>> {
    let names: Vec<&str> = SECONDARY_INDEXES.iter().map(|index| index.name).collect();
    let indexes: Vec<(String, String)> = sqlx::query_as(
        "SELECT format('DROP INDEX %I', indexname), indexdef FROM pg_indexes
         WHERE schemaname = current_schema() AND indexname = ANY ($1) ORDER BY array_position($1, indexname::text)",
    )
    .bind(&names)
    .fetch_all(&mut *connection)
    .await?;
    let foreign_keys: Vec<(String, String)> = sqlx::query_as(
        "SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname),
                format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
         FROM pg_constraint WHERE contype = 'f' AND connamespace = current_schema()::regnamespace ORDER BY conname",
    )
    .fetch_all(&mut *connection)
    .await?;
    // What would tell the caches of a million comments, one by one, has nobody to tell.
    let notifications: Vec<(String, String)> = sqlx::query_as(
        "SELECT format('ALTER TABLE %s DISABLE TRIGGER %I', tgrelid::regclass, tgname),
                format('ALTER TABLE %s ENABLE TRIGGER %I', tgrelid::regclass, tgname)
         FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid
         WHERE NOT tgisinternal AND proname LIKE '%\\_notify\\_cache' AND pronamespace = current_schema()::regnamespace ORDER BY tgname",
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut put_back = Vec::new();
    for (drop, create) in indexes.into_iter().chain(foreign_keys).chain(notifications) {
        sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut *connection).await?;
        put_back.push(create);
    }
    Ok(put_back)
}

async fn load(connection: &mut PgConnection, size: &Size, rng_seed: u64) -> anyhow::Result<()> {
    let users = rows::users(size, stream(rng_seed, 1));
    copy(connection, "COPY users (username, email, password_hash, bio, created_at) FROM STDIN WITH (FREEZE)", users)
        .await?;
    let tags = rows::tags(size);
    copy(connection, "COPY tags (name) FROM STDIN WITH (FREEZE)", tags).await?;
    let times_us = rows::post_times_us(size, stream(rng_seed, 2));
    let posts = rows::posts(size, &times_us, stream(rng_seed, 3));
    copy(connection, "COPY posts (author_id, title, content, created_at) FROM STDIN WITH (FREEZE)", posts).await?;
    let post_tags = rows::post_tags(size, stream(rng_seed, 4));
    copy(connection, "COPY post_tags (post_id, tag_id) FROM STDIN WITH (FREEZE)", post_tags).await?;
    let comments = rows::comments(size, &times_us, stream(rng_seed, 5));
    copy(connection, "COPY comments (post_id, author_id, content, created_at) FROM STDIN WITH (FREEZE)", comments).await
}

/// Sends rows in the text format of COPY. A row is a line without its end.
async fn copy(
    connection: &mut PgConnection,
    statement: &'static str,
    rows: impl Iterator<Item = String>,
) -> anyhow::Result<()> {
    let mut copy = connection.copy_in_raw(statement).await.with_context(|| format!("cannot begin `{statement}`"))?;
    let mut chunk = String::with_capacity(CHUNK_BYTES * 2);
    for row in rows {
        // Writing to a `String` cannot fail.
        let _ = writeln!(chunk, "{row}");
        if chunk.len() >= CHUNK_BYTES {
            copy.send(chunk.as_bytes()).await?;
            chunk.clear();
        }
    }
    copy.send(chunk.as_bytes()).await?;
    copy.finish().await.with_context(|| format!("the database refused `{statement}`"))?;
    Ok(())
}
