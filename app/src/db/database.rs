//! The handle to the database: a pool that can sign each statement with the request that sends it. It knows no query.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_core::future::BoxFuture;
use sqlx::postgres::{PgArguments, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Connection, Describe, Either, Execute, Executor, PgPool, Postgres, SqlStr, Transaction};

use super::availability::Availability;
use super::warm::{Lent, Warm};
use crate::telemetry;

type BoxStream<'e, T> = Pin<Box<dyn Stream<Item = T> + Send + 'e>>;

/// The database of a server. `&Database` is an executor, as `&PgPool` is.
///
/// With comments on, a statement ends in `/* request_id='…' */`, so that a line of the database's log, or of `pg_stat_activity`, leads
/// back to the request. Such a statement is parsed and planned each time, because its text is never the same twice; that is why
/// comments are off by default and meant for looking for something. `pg_stat_statements` counts it with its uncommented twin.
///
/// While the database is away, everything fails at once: see [`Availability`].
#[derive(Clone, Debug)]
pub struct Database {
    pool: PgPool,
    warm: Warm,
    availability: Availability,
    comments: bool,
}

/// What the pool is doing, for the metrics.
#[derive(Clone, Copy, Debug)]
pub struct PoolState {
    /// Connections that are open.
    pub open: u32,
    /// Of those, connections that nobody uses.
    pub idle: usize,
    /// How many requests had to wait for one so far.
    pub waits: u64,
    /// For how long they waited, all together.
    pub waited_s: f64,
    /// Whether the database cannot be reached at present.
    pub is_away: bool,
}

impl Database {
    /// A handle to this pool.
    pub fn new(pool: PgPool, comments: bool) -> Self {
        let availability = Availability::new(pool.connect_options().as_ref().clone());
        Self { pool, warm: Warm::default(), availability, comments }
    }

    /// Opens the pool of a server, without connecting yet: a server starts while its database is still starting, and says so through its
    /// readiness.
    pub fn connect_lazily(
        database_url: &str,
        application_name: &str,
        connections: u32,
        comments: bool,
    ) -> anyhow::Result<Self> {
        let options = super::server_options(database_url, application_name)?;
        let availability = Availability::new(options.clone());
        let pool = availability.guard(super::server_pool(connections)).connect_lazy_with(options);
        Ok(Self { pool, warm: Warm::default(), availability, comments })
    }

    /// Closes all connections, each when its statement has ended.
    pub async fn close(&self) {
        self.warm.close();
        self.pool.close().await;
    }

    /// Begins a transaction. Its statements carry no comment.
    pub async fn begin(&self) -> sqlx::Result<Transaction<'static, Postgres>> {
        let _waiting = self.warm.wait();
        self.availability.wait_for(self.pool.begin()).await
    }

    /// Asks the database for a sign of life.
    pub async fn ping(&self) -> sqlx::Result<()> {
        let mut lent = self.acquire().await?;
        self.considered(lent.connection.ping().await)
    }

    /// What the pool is doing now.
    pub fn pool_state(&self) -> PoolState {
        let (waits, waited_s) = self.availability.waits();
        let is_away = self.availability.is_away();
        let idle = self.pool.num_idle() + self.warm.count();
        PoolState { open: self.pool.size(), idle, waits, waited_s, is_away }
    }

    async fn acquire(&self) -> sqlx::Result<Lent> {
        if let Some(lent) = self.warm.take(|idle_for| self.availability.is_doubtful(idle_for)) {
            return Ok(lent);
        }
        let _waiting = self.warm.wait();
        self.availability.wait_for(self.pool.acquire()).await.map(Lent::new)
    }

    fn considered<T>(&self, result: sqlx::Result<T>) -> sqlx::Result<T> {
        result.inspect_err(|error| self.availability.consider(error))
    }

    async fn fetch_rows<'q, E: Execute<'q, Postgres> + 'q>(self, query: E) -> sqlx::Result<Vec<Outcome>> {
        let mut lent = self.acquire().await?;
        let mut rows = Vec::new();
        let mut stream = lent.connection.fetch_many(query);
        while let Some(row) = poll_fn(|context| stream.as_mut().poll_next(context)).await {
            rows.push(self.considered(row)?);
        }
        drop(stream);
        self.warm.give(lent);
        Ok(rows)
    }

    async fn fetch_row<'q, E: Execute<'q, Postgres> + 'q>(self, query: E) -> sqlx::Result<Option<PgRow>> {
        let mut lent = self.acquire().await?;
        let row = self.considered(lent.connection.fetch_optional(query).await)?;
        self.warm.give(lent);
        Ok(row)
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

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, sqlx::Result<Outcome>>
    where
        'c: 'e,
        E: Execute<'q, Postgres> + 'q,
    {
        let database = self.clone();
        match self.signed(query) {
            Signed::Plain(query) => Box::pin(Rows::Coming(Box::pin(database.fetch_rows(query)))),
            Signed::Commented(query, _) => Box::pin(Rows::Coming(Box::pin(database.fetch_rows(query)))),
        }
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<PgRow>>>
    where
        'c: 'e,
        E: Execute<'q, Postgres> + 'q,
    {
        let database = self.clone();
        match self.signed(query) {
            Signed::Plain(query) => Box::pin(database.fetch_row(query)),
            Signed::Commented(query, _) => Box::pin(database.fetch_row(query)),
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

/// What a statement yields: its rows, and how many it touched.
type Outcome = Either<PgQueryResult, PgRow>;

/// The rows of a statement, all of them before the first one. What a page shows is small, and the connection is free for the next request
/// while it is worked on.
enum Rows<'e> {
    Coming(BoxFuture<'e, sqlx::Result<Vec<Outcome>>>),
    There(std::vec::IntoIter<Outcome>),
}

impl Stream for Rows<'_> {
    type Item = sqlx::Result<Outcome>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Self::Coming(rows) = &mut *self {
            match ready!(rows.as_mut().poll(context)) {
                Ok(rows) => *self = Self::There(rows.into_iter()),
                Err(error) => {
                    *self = Self::There(Vec::new().into_iter());
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        match &mut *self {
            Self::There(rows) => Poll::Ready(rows.next().map(Ok)),
            Self::Coming(_) => Poll::Ready(None),
        }
    }
}
