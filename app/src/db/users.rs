//! Users and their credentials: one function per query. Hashing passwords is not done here.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

/// What is needed to check a password.
#[derive(Clone)]
pub struct Credentials {
    /// The user's id.
    pub user_id: i64,
    /// The user name as its owner writes it.
    pub username: String,
    /// The hash with its parameters, as a PHC string; `!` for a user that nobody can log in as.
    pub password_hash: String,
}

/// A user's own account.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// The user's id.
    pub id: i64,
    /// The user name.
    pub username: String,
    /// The e-mail address. Only its owner sees it.
    pub email: String,
    /// What they say about themselves.
    pub bio: String,
    /// Since when the account exists.
    pub created_at: DateTime<Utc>,
}

/// Why a user was not registered.
#[derive(Debug, thiserror::Error)]
pub enum AddUserError {
    /// Somebody has this name, perhaps in another case.
    #[error("the user name is taken")]
    UsernameTaken,
    /// Somebody has registered with this address.
    #[error("the e-mail address is taken")]
    EmailTaken,
    /// The database could not do it.
    #[error("cannot add a user")]
    Database(#[source] sqlx::Error),
}

/// Registers a user and gives the new id.
pub async fn add_user(
    executor: impl PgExecutor<'_>,
    username: &str,
    email: &str,
    password_hash: &str,
) -> Result<i64, AddUserError> {
    let added =
        sqlx::query_file_scalar!("queries/add_user.sql", username, email, password_hash).fetch_one(executor).await;
    added.map_err(|error| match error.as_database_error().and_then(|error| error.constraint()) {
        Some("users_username_key") => AddUserError::UsernameTaken,
        Some("users_email_key") => AddUserError::EmailTaken,
        _ => AddUserError::Database(error),
    })
}

/// The credentials of the user with this name or e-mail address, in any case.
pub async fn find_credentials(
    executor: impl PgExecutor<'_>,
    username_or_email: &str,
) -> sqlx::Result<Option<Credentials>> {
    sqlx::query_file_as!(Credentials, "queries/find_credentials.sql", username_or_email).fetch_optional(executor).await
}

/// The account of a user, if there is one with this id.
pub async fn find_account(executor: impl PgExecutor<'_>, user_id: i64) -> sqlx::Result<Option<Account>> {
    sqlx::query_file_as!(Account, "queries/find_account.sql", user_id).fetch_optional(executor).await
}

/// Changes what a user says about themselves.
pub async fn update_bio(executor: impl PgExecutor<'_>, user_id: i64, bio: &str) -> sqlx::Result<()> {
    sqlx::query_file!("queries/update_bio.sql", user_id, bio).execute(executor).await.map(|_| ())
}

/// Replaces the hash of a user's password.
pub async fn update_password_hash(
    executor: impl PgExecutor<'_>,
    user_id: i64,
    password_hash: &str,
) -> sqlx::Result<()> {
    sqlx::query_file!("queries/update_password_hash.sql", user_id, password_hash).execute(executor).await.map(|_| ())
}
