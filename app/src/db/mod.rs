//! The database: connecting, the schema, every query and the list of them. It knows nothing of pages or caches.
//!
//! Every statement is a file in `queries/` or `migrations/`, checked against the schema when the app is compiled and compiled into
//! it, so that what others explain is what is served.

mod availability;
mod comments;
mod database;
mod posts;
mod registry;
mod schema;
pub mod shapes;
mod users;
mod warm;
mod writing;

use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

pub use availability::RETURN_SEEN_WITHIN;
pub use comments::{
    AddCommentError, AddedComment, Comment, add_comment, count_comments, find_submitted_comment, latest_comments,
};
pub use database::{Database, PoolState};
pub use posts::{
    Author, PopularTag, Post, PostSummary, Tag, find_author, find_post, find_tag, list_posts, list_posts_by_author,
    list_posts_by_tag, list_tags, pick_posts, popular_tags,
};
pub use registry::{Parameter, QUERIES, Query, Role, Shape};
pub use schema::{Indexes, SECONDARY_INDEXES, SecondaryIndex, migrate};
pub use users::{
    Account, AddUserError, Credentials, add_user, find_account, find_credentials, update_bio, update_password_hash,
};
pub use writing::{AddedPost, ChangedPost, NewPost, add_post, delete_post, update_post};

/// How long a request waits for a free connection before it is told to come back later. It only waits while all of them are busy: a
/// database that is away is noticed within a tenth of this.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a connection is kept that nobody needs. Each holds some megabytes in the database.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// How long a connection is used at most, so that what a session of PostgreSQL gathers (plans, the catalogue's cache) is dropped now and
/// then, and a database that has moved is found.
const LIFETIME_MAX: Duration = Duration::from_secs(30 * 60);

/// How the pool of a server behaves.
fn server_pool(connections: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(IDLE_TIMEOUT)
        .max_lifetime(LIFETIME_MAX)
        // The default pings the server before each use, one more round trip per query. Here only connections that were idle before there
        // was doubt are tried.
        .test_before_acquire(false)
}

/// How the connections of a server behave.
fn server_options(database_url: &str, application_name: &str) -> anyhow::Result<PgConnectOptions> {
    Ok(connect_options(database_url, application_name)?.options([
        // Bounds on what one request can do to the database, whatever its query.
        ("statement_timeout", "5s"),
        ("lock_timeout", "2s"),
        ("idle_in_transaction_session_timeout", "10s"),
        // A server that vanished without a word, or whose network did, must not hold its connections and their locks for hours.
        ("tcp_keepalives_idle", "30"),
        ("tcp_keepalives_interval", "10"),
        ("tcp_keepalives_count", "3"),
        ("tcp_user_timeout", "20s"),
        // Notices within this time that the client of a long statement has gone, and stops working for it.
        ("client_connection_check_interval", "5s"),
    ]))
}

/// Opens a pool for migrating and seeding, whose statements may take long.
pub async fn connect_for_maintenance(database_url: &str) -> anyhow::Result<PgPool> {
    PgPoolOptions::new()
        .max_connections(2)
        .acquire_timeout(Duration::from_secs(5))
        .connect_with(connect_options(database_url, "app-maintenance")?)
        .await
        .context("cannot connect to the database; check that PostgreSQL runs and that `DATABASE_URL` is right")
}

/// How to connect under this name.
pub(crate) fn connect_options(database_url: &str, application_name: &str) -> anyhow::Result<PgConnectOptions> {
    let options = PgConnectOptions::from_str(database_url)
        .context("`DATABASE_URL` is not a PostgreSQL address, such as `postgres://user@localhost/blog`")?;
    Ok(options.application_name(application_name))
}
