//! Comments on a post: reading and adding.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::{self, Id, Json, Parameters, Submission};
use super::posts::Person;
use super::{failures, respond};
use crate::cursor::Cursor;
use crate::error::AppError;
use crate::http::Wants;
use crate::input::CommentInput;
use crate::session::LoggedIn;
use crate::state::AppState;
use crate::{db, writing};

/// A comment.
#[derive(Serialize, ToSchema)]
struct ListedComment {
    /// The comment's id.
    id: i64,
    /// What it says, as plain text.
    content: String,
    /// Who wrote it.
    author: Person,
    /// When it was written.
    created_at: DateTime<Utc>,
}

/// A page of the comments of a post, newest first.
#[derive(Serialize, ToSchema)]
struct CommentPage {
    /// The comments.
    comments: Vec<ListedComment>,
    /// What to pass as `before` for the page after this one; null if this is the last one.
    #[schema(example = "1767225600000000.42")]
    next: Option<String>,
}

/// Which comments.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParameters {
    /// The `next` of the page before; the newest comments without it.
    #[param(example = "1767225600000000.42")]
    before: Option<String>,
    /// How many comments, 1 to 100. Default 20.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    limit: Option<String>,
}

/// A page of the comments of a post, newest first.
#[utoipa::path(
    get, path = "/posts/{id}/comments", tag = "comments",
    params(("id" = i64, Path, description = "The post's id"), ListParameters),
    responses((status = 200, body = CommentPage), (status = 304, description = "As before"), failures::Parameters, failures::One,
              failures::Common)
)]
pub(super) async fn list(
    State(state): State<AppState>,
    wants: Wants,
    Id(post_id): Id,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Response, AppError> {
    let before = extract::cursor(parameters.before.as_deref())?;
    let (limit, fetched) = extract::limit(parameters.limit.as_deref())?;
    let mut comments = db::latest_comments(&state.pool, post_id, before, fetched).await?;
    // Only a list without comments can be one of no post.
    if comments.is_empty() && db::find_post(&state.pool, post_id).await?.is_none() {
        return Err(AppError::NotFound(format!("post {post_id}")));
    }
    let has_more = comments.len() > limit;
    comments.truncate(limit);
    let next = comments.last().filter(|_| has_more);
    let next = next.map(|comment| Cursor::after(comment.created_at, comment.id).to_string());
    let comments = comments.into_iter().map(|comment| ListedComment {
        id: comment.id,
        content: comment.content,
        author: Person { id: comment.author_id, username: comment.author },
        created_at: comment.created_at,
    });
    respond::public_json(&wants, &CommentPage { comments: comments.collect(), next })
}

/// A comment as its author wrote it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenComment {
    /// Plain text. Line breaks stay.
    #[schema(min_length = 1, max_length = 2000, example = "I feel seen.")]
    content: String,
}

/// A comment that is stored.
#[derive(Serialize, ToSchema)]
struct AddedComment {
    /// The comment's id.
    id: i64,
    /// The post on which it is.
    post_id: i64,
}

/// Comment on a post.
///
/// With an `Idempotency-Key`, sending it again does not make a second comment: the one that is there is named, with the status 200.
/// Without one, the same text on the same post from the same session within a minute is one comment.
#[utoipa::path(
    post, path = "/posts/{id}/comments", tag = "comments", request_body = WrittenComment,
    security(("token" = []), ("cookie" = [])),
    params(("id" = i64, Path, description = "The post's id"),
           ("Idempotency-Key" = Option<uuid::Uuid>, Header, description = "A new name for each submission")),
    responses((status = 201, body = AddedComment), (status = 200, body = AddedComment, description = "It was there already"),
              failures::One, failures::Authorized, failures::Body, failures::Change, failures::Common)
)]
pub(super) async fn create(
    State(state): State<AppState>,
    Id(post_id): Id,
    author: LoggedIn,
    Submission(submission): Submission,
    Json(comment): Json<WrittenComment>,
) -> Result<Response, AppError> {
    let comment = CommentInput::parse(&comment.content)?;
    let added = writing::comment(&state, &author, post_id, &comment, submission).await?;
    let status = if added.is_new { StatusCode::CREATED } else { StatusCode::OK };
    respond::private_json(status, &AddedComment { id: added.id, post_id })
}
