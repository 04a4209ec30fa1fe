//! Reading and adding comments: one function per query.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

/// A comment as the post page shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Comment {
    /// The comment's id.
    pub id: i64,
    /// What it says.
    pub content: String,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// Who wrote it.
    pub author_id: i64,
    /// The author's user name.
    pub author: String,
}

/// Why a comment was not added.
#[derive(Debug, thiserror::Error)]
pub enum AddCommentError {
    /// The post does not exist, or no longer.
    #[error("there is no such post")]
    NoSuchPost,
    /// The user does not exist.
    #[error("there is no user of this name")]
    NoSuchUser,
    /// The database could not do it.
    #[error("cannot add a comment")]
    Database(#[source] sqlx::Error),
}

/// The most recent comments of a post, newest first.
pub async fn latest_comments(pool: &PgPool, post_id: i64, limit: i64) -> sqlx::Result<Vec<Comment>> {
    sqlx::query_file_as!(Comment, "queries/latest_comments.sql", post_id, limit).fetch_all(pool).await
}

/// The number of comments of a post.
pub async fn count_comments(pool: &PgPool, post_id: i64) -> sqlx::Result<i64> {
    sqlx::query_file_scalar!("queries/count_comments.sql", post_id).fetch_one(pool).await
}

/// Adds a comment and gives its id. When this returns, the comment is committed.
pub async fn add_comment(pool: &PgPool, post_id: i64, username: &str, content: &str) -> Result<i64, AddCommentError> {
    let added =
        sqlx::query_file_scalar!("queries/add_comment.sql", post_id, username, content).fetch_optional(pool).await;
    match added {
        Ok(Some(id)) => Ok(id),
        Ok(None) => Err(AddCommentError::NoSuchUser),
        Err(sqlx::Error::Database(error)) if error.constraint() == Some("comments_post_fkey") => {
            Err(AddCommentError::NoSuchPost)
        }
        Err(error) => Err(AddCommentError::Database(error)),
    }
}
