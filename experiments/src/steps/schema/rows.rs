//! The rows of the step `schema`.

use crate::results::row;

row! {
    /// One column of a table of the blog, from PostgreSQL's catalogue.
    pub struct ColumnRow in "columns.csv" {
        /// The table.
        table: String,
        /// Position of the column in the table, from 1.
        position: i64,
        /// The column.
        column: String,
        /// Its type as PostgreSQL prints it.
        data_type: String,
        /// Whether it may be NULL.
        nullable: bool,
        /// Its default expression.
        default_expression: Option<String>,
    }
}

row! {
    /// One constraint of a table, from PostgreSQL's catalogue.
    pub struct ConstraintRow in "constraints.csv" {
        /// The table.
        table: String,
        /// The constraint's name.
        constraint: String,
        /// `primary key`, `foreign key`, `unique` or `check`.
        kind: String,
        /// Its definition as PostgreSQL prints it.
        definition: String,
    }
}

row! {
    /// One index as it is after all secondary indexes were built.
    pub struct IndexRow in "indexes.csv" {
        /// The table.
        table: String,
        /// The index's name.
        index: String,
        /// Whether the schema needs it for a key or for uniqueness; the others are secondary.
        constraint: bool,
        /// Its definition as PostgreSQL prints it.
        definition: String,
        /// Bytes on disk.
        size_bytes: i64,
    }
}

row! {
    /// One table with its size, all secondary indexes built.
    pub struct RelationRow in "relations.csv" {
        /// The table.
        table: String,
        /// Rows, as PostgreSQL's statistics count them.
        rows: i64,
        /// Bytes of the heap, TOAST included.
        heap_bytes: i64,
        /// Bytes of all its indexes.
        index_bytes: i64,
    }
}

row! {
    /// Building one secondary index on the seeded data.
    pub struct IndexBuildRow in "index_builds.csv" {
        /// The index.
        index: String,
        /// Wall time of `CREATE INDEX`.
        build_us: u64,
    }
}

row! {
    /// One batch of inserts, tried in a transaction that is rolled back, while the table has a chosen set of secondary indexes.
    pub struct PriceRow in "prices.csv" {
        /// The block; in each every arm is tried once, in random order.
        block: u32,
        /// Place in the block's order, from 0.
        place: u32,
        /// The table that is written.
        table: String,
        /// The secondary indexes that the table has: `none`, one of them by name, or `all`.
        arm: String,
        /// Rows of the batch.
        batch_rows: u64,
        /// Execution time of the statement, foreign keys and triggers included, as PostgreSQL measured it.
        execution_us: u64,
        /// Bytes of write-ahead log that the batch made.
        wal_bytes: u64,
    }
}
