//! The handle to the database: a pool that can sign each statement with the request that sends it. It knows no query.

use std::pin::Pin;

use futures_core::Stream;
use futures_core::future::BoxFuture;
use sqlx::postgres::{PgArguments, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Describe, Either, Execute, Executor, PgPool, Postgres, SqlStr, Transaction};

use crate::telemetry;

type BoxStream<'e, T> = Pin<Box<dyn Stream<Item = T> + Send + 'e>>;

/// The database of a server. `&Database` is an executor, as `&PgPool` is.
///
/// With comments on, a statement ends in `/* request_id='…' */`, so that a line of the database's log, or of `pg_stat_activity`, leads
/// back to the request. Such a statement is parsed and planned each time, because its text is never the same twice; that is why
/// comments are off by default and meant for looking for something. `pg_stat_statements` counts it with its uncommented twin.
#[derive(Clone, Debug)]
pub struct Database {
    pool: PgPool,
    comments: bool,
}

impl Database {
    /// A handle to this pool.
    pub fn new(pool: PgPool, comments: bool) -> Self {
        Self { pool, comments }
    }

    /// The pool itself, for its counters and for closing it.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Begins a transaction. Its statements carry no comment.
    pub async fn begin(&self) -> sqlx::Result<Transaction<'static, Postgres>> {
        self.pool.begin().await
    }

    /// The statement with its comment, or the statement as it is: when comments are off, outside of a request, and when it has no
    /// arguments to take over.
    fn signed<'q, E: Execute<'q, Postgres> + 'q>(&self, mut query: E) -> Signed<'q, E> {
        let request_id = if self.comments { telemetry::request_id() } else { None };
        let Some(request_id) = request_id else { return Signed::Plain(query) };
        match query.take_arguments() {
            Ok(Some(arguments)) => {
                // A request id has letters, digits and hyphens only, so it cannot end the comment.
                let text = format!("{} /* request_id='{request_id}' */", query.sql().as_str());
                Signed::Commented(
                    sqlx::query_with(AssertSqlSafe(text), arguments).persistent(false),
                    std::marker::PhantomData,
                )
            }
            // Arguments that cannot be encoded are reported by the statement itself: it lacks them.
            Ok(None) | Err(_) => Signed::Plain(query),
        }
    }
}

enum Signed<'q, E> {
    Plain(E),
    Commented(Query<'static, Postgres, PgArguments>, std::marker::PhantomData<&'q ()>),
}

impl<'c> Executor<'c> for &Database {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, sqlx::Result<Either<PgQueryResult, PgRow>>>
    where
        'c: 'e,
        E: Execute<'q, Postgres> + 'q,
    {
        match self.signed(query) {
            Signed::Plain(query) => (&self.pool).fetch_many(query),
            Signed::Commented(query, _) => (&self.pool).fetch_many(query),
        }
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<PgRow>>>
    where
        'c: 'e,
        E: Execute<'q, Postgres> + 'q,
    {
        match self.signed(query) {
            Signed::Plain(query) => (&self.pool).fetch_optional(query),
            Signed::Commented(query, _) => (&self.pool).fetch_optional(query),
        }
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, sqlx::Result<PgStatement>>
    where
        'c: 'e,
    {
        (&self.pool).prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, sqlx::Result<Describe<Postgres>>>
    where
        'c: 'e,
    {
        (&self.pool).describe(sql)
    }
}
