//! Reading and adding comments: one function per query.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::Database;
use crate::cursor::Cursor;

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

/// A comment that is stored.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AddedComment {
    /// The comment's id.
    pub id: i64,
    /// Whether this call has stored it; otherwise the same submission had come before.
    pub is_new: bool,
}

/// Why a comment was not added.
#[derive(Debug, thiserror::Error)]
pub enum AddCommentError {
    /// The post does not exist, or no longer.
    #[error("there is no such post")]
    NoSuchPost,
    /// The user does not exist, or no longer.
    #[error("there is no such user")]
    NoSuchUser,
    /// The database could not do it.
    #[error("cannot add a comment")]
    Database(#[source] sqlx::Error),
}

/// The comments of a post that are older than the cursor, newest first.
pub async fn latest_comments(
    executor: impl PgExecutor<'_>,
    post_id: i64,
    before: Cursor,
    limit: i64,
) -> sqlx::Result<Vec<Comment>> {
    sqlx::query_file_as!(Comment, "queries/latest_comments.sql", post_id, before.created_at(), before.id(), limit)
        .fetch_all(executor)
        .await
}

/// The number of comments of a post.
pub async fn count_comments(executor: impl PgExecutor<'_>, post_id: i64) -> sqlx::Result<i64> {
    sqlx::query_file_scalar!("queries/count_comments.sql", post_id).fetch_one(executor).await
}

/// The id of the comment that a submission has made, if it has made one.
pub async fn find_submitted_comment(
    executor: impl PgExecutor<'_>,
    author_id: i64,
    submission: Option<Uuid>,
) -> sqlx::Result<Option<i64>> {
    sqlx::query_file_scalar!("queries/find_submitted_comment.sql", author_id, submission).fetch_optional(executor).await
}

/// Adds a comment. When this returns, the comment is committed. The same submission of the same author is stored once, however often and
/// through however many servers it comes.
pub async fn add_comment(
    database: &Database,
    post_id: i64,
    author_id: i64,
    content: &str,
    submission: Option<Uuid>,
) -> Result<AddedComment, AddCommentError> {
    let added = sqlx::query_file_scalar!("queries/add_comment.sql", post_id, author_id, content, submission)
        .fetch_optional(database)
        .await;
    match added {
        Ok(Some(id)) => Ok(AddedComment { id, is_new: true }),
        Ok(None) => {
            let found = find_submitted_comment(database, author_id, submission).await;
            // Found nothing: the comment was removed in the instant between the two statements.
            let id = found.and_then(|id| id.ok_or(sqlx::Error::RowNotFound)).map_err(AddCommentError::Database)?;
            Ok(AddedComment { id, is_new: false })
        }
        Err(sqlx::Error::Database(error)) if error.constraint() == Some("comments_post_fkey") => {
            Err(AddCommentError::NoSuchPost)
        }
        Err(sqlx::Error::Database(error)) if error.constraint() == Some("comments_author_fkey") => {
            Err(AddCommentError::NoSuchUser)
        }
        Err(error) => Err(AddCommentError::Database(error)),
    }
}
