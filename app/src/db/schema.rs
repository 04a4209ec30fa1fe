//! The schema: migrations, and the secondary indexes one by one. The SQL is in `migrations/` and nowhere else.

use std::borrow::Cow;

use anyhow::Context;
use sqlx::PgPool;
use sqlx::migrate::Migrator;

/// Tables, keys and constraints.
static SCHEMA: Migrator = sqlx::migrate!("./migrations");

/// The secondary indexes. They are migrations too, so that a database remembers which it has been given.
static INDEXES: Migrator = sqlx::migrate!("./migrations/indexes");

/// Whether a database gets the secondary indexes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Indexes {
    /// Primary keys and uniqueness only: everything is correct, and slow.
    Without,
    /// The schema that is meant to be served.
    With,
}

/// An index that makes reading faster and is not needed for correctness.
#[derive(Debug)]
pub struct SecondaryIndex {
    /// Its name in the database.
    pub name: &'static str,
    /// The table it belongs to.
    pub table: &'static str,
    /// The file in `migrations/indexes/`, comments and all: the reason, then the statement.
    pub create_sql: &'static str,
    /// The statement that removes it.
    pub drop_sql: &'static str,
    /// The page that it is for.
    pub reason: &'static str,
}

macro_rules! secondary_index {
    ($number:literal, $name:literal, $table:literal, $reason:literal) => {
        SecondaryIndex {
            name: $name,
            table: $table,
            create_sql: include_str!(concat!("../../migrations/indexes/", $number, "_", $name, ".sql")),
            drop_sql: concat!("DROP INDEX ", $name),
            reason: $reason,
        }
    };
}

/// Every secondary index, in the order of their migrations.
pub const SECONDARY_INDEXES: &[SecondaryIndex] = &[
    secondary_index!("0101", "posts_newest", "posts", "the list of posts, newest first, cut at a cursor"),
    secondary_index!("0102", "posts_by_author", "posts", "the posts of one author, newest first"),
    secondary_index!("0103", "post_tags_by_tag", "post_tags", "the posts of one tag, newest first"),
    secondary_index!("0104", "comments_by_post", "comments", "the latest comments of a post, and their number"),
];

impl SecondaryIndex {
    /// Creates this index on a database that is without it.
    pub async fn create(&self, pool: &PgPool) -> anyhow::Result<()> {
        sqlx::raw_sql(self.create_sql)
            .execute(pool)
            .await
            .with_context(|| format!("cannot create the index `{}`", self.name))?;
        Ok(())
    }

    /// Removes this index from a database that has it. The migrations still count it as applied: meant for a database that is thrown
    /// away after an experiment.
    pub async fn drop(&self, pool: &PgPool) -> anyhow::Result<()> {
        sqlx::raw_sql(self.drop_sql)
            .execute(pool)
            .await
            .with_context(|| format!("cannot drop the index `{}`", self.name))?;
        Ok(())
    }
}

/// Brings a database to the current schema. Running it again changes nothing; several servers may run it at a time, since the
/// migrations hold an advisory lock.
///
/// `Indexes::Without` leaves alone what is there: it does not remove the indexes of a database that has them.
pub async fn migrate(pool: &PgPool, indexes: Indexes) -> anyhow::Result<()> {
    let migrations = match indexes {
        Indexes::Without => SCHEMA.migrations.to_vec(),
        Indexes::With => SCHEMA.iter().chain(INDEXES.iter()).cloned().collect(),
    };
    let mut migrator = Migrator { migrations: Cow::Owned(migrations), ..Migrator::DEFAULT };
    // A database with indexes has more migrations than the plain schema lists.
    migrator.set_ignore_missing(indexes == Indexes::Without);
    migrator.run(pool).await.context("cannot bring the database to the current schema")
}
