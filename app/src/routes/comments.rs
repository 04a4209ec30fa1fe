//! Adding a comment. There is no login yet: whoever knows a user name may comment under it.

use axum::Router;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::post;
use serde::Deserialize;

use super::parse_id;
use super::posts::{CommentForm, post_page};
use crate::cache::Key;
use crate::db::{self, AddCommentError};
use crate::error::AppError;
use crate::server::AppState;

/// The longest comment, in characters, as in the schema.
const CONTENT_CHARACTERS_MAX: usize = 2000;

pub(super) fn router() -> Router<AppState> {
    Router::new().route("/posts/{id}/comments", post(add))
}

#[derive(Deserialize)]
struct NewComment {
    username: String,
    content: String,
}

async fn add(
    State(state): State<AppState>,
    Path(id): Path<String>,
    form: Result<Form<NewComment>, FormRejection>,
) -> Result<Response, AppError> {
    let post_id = parse_id("post", &id)?;
    let Form(comment) = form.map_err(|rejection| unreadable(&rejection))?;
    // Browsers send line ends as CR LF; kept, they would count twice against the limit.
    let content = comment.content.replace("\r\n", "\n").trim().to_owned();
    let username = comment.username.trim().to_owned();
    let problem = match problem_with(&username, &content) {
        Some(problem) => problem,
        None => match author(&state, &username).await? {
            None => "There is no user of this name.".to_owned(),
            Some(author_id) => match db::add_comment(&state.pool, post_id, author_id, &content, None).await {
                Ok(_) => {
                    state.cache.invalidate(Key::PostGeneration(post_id)).await;
                    return Ok(Redirect::to(&format!("/posts/{post_id}#comments")).into_response());
                }
                Err(AddCommentError::NoSuchPost) => return Err(AppError::NotFound(format!("post {post_id}"))),
                Err(AddCommentError::NoSuchUser) => "There is no user of this name.".to_owned(),
                Err(AddCommentError::Database(error)) => return Err(error.into()),
            },
        },
    };
    let form = CommentForm { username, content, problem: Some(problem) };
    post_page(&state, post_id, StatusCode::UNPROCESSABLE_ENTITY, &form).await
}

async fn author(state: &AppState, username: &str) -> Result<Option<i64>, AppError> {
    Ok(db::find_credentials(&state.pool, username).await?.map(|credentials| credentials.user_id))
}

fn problem_with(username: &str, content: &str) -> Option<String> {
    let length = content.chars().count();
    if username.is_empty() {
        Some("Please give your user name.".to_owned())
    } else if username.contains('\0') {
        Some("There is no user of this name.".to_owned())
    } else if content.is_empty() {
        Some("Please write something.".to_owned())
    } else if length > CONTENT_CHARACTERS_MAX {
        Some(format!("A comment has at most {CONTENT_CHARACTERS_MAX} characters; this one has {length}."))
    } else if content.contains('\0') {
        Some("The comment contains a character that cannot be kept.".to_owned())
    } else {
        None
    }
}

/// The body is not a form with these fields, or is too large.
fn unreadable(rejection: &FormRejection) -> AppError {
    let status = rejection.status();
    let message = if status == StatusCode::PAYLOAD_TOO_LARGE {
        "This is too long for a comment.".to_owned()
    } else {
        "A comment is a form with the fields `username` and `content`.".to_owned()
    };
    AppError::Refused { status, message }
}
