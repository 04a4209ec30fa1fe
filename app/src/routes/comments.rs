//! Comments: adding one, and the pages of all of them. The form is on the page of the post, which is the same for everybody; one that
//! was wrong comes back on a page of its own.

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use minijinja::{Value, context};
use serde::Deserialize;

use super::forms::{Form, field, form_page, status, summary};
use super::parse_id;
use crate::cursor::Cursor;
use crate::db::{self, Comment, Post};
use crate::error::AppError;
use crate::input::{CommentInput, Problems};
use crate::session::CurrentSession;
use crate::state::AppState;
use crate::{pages, writing};

/// How many comments a page shows.
const PAGE_COMMENTS: usize = 50;

/// One more than a page shows is fetched: if it is there, there is a next page.
const FETCH_COMMENTS: i64 = PAGE_COMMENTS as i64 + 1;

pub(super) fn router() -> Router<AppState> {
    Router::new().route("/posts/{id}/comments", get(list).post(add))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CommentForm {
    content: String,
    /// Names the submission; our own form leaves it out, because its page is the same for everybody.
    submission: String,
}

async fn add(
    State(state): State<AppState>,
    session: CurrentSession,
    Path(id): Path<String>,
    Form(form): Form<CommentForm>,
) -> Result<Response, AppError> {
    let post_id = parse_id("post", &id)?;
    // The form is on the page of the post, and so is the way back to it.
    let author = session.logged_in(&format!("/posts/{post_id}#comments"))?;
    match CommentInput::parse(&form.content) {
        Ok(comment) => {
            writing::comment(&state, &author, post_id, &comment, form.submission.parse().ok()).await?;
            Ok(Redirect::to(&format!("/posts/{post_id}#comments")).into_response())
        }
        Err(problems) => {
            let post = find_post(&state, post_id).await?;
            refused_page(&post, &form, &problems)
        }
    }
}

fn refused_page(post: &Post, form: &CommentForm, problems: &Problems) -> Result<Response, AppError> {
    let context = context! {
        problems => summary(Some(problems)),
        post => context! { id => post.id, title => post.title.as_str() },
        content => field("content", &form.content, Some(problems)),
    };
    form_page(status(Some(problems)), "comment.html", context)
}

#[derive(Deserialize)]
struct ListParameters {
    before: Option<String>,
}

async fn list(
    State(state): State<AppState>,
    Path(id): Path<String>,
    parameters: Result<Query<ListParameters>, QueryRejection>,
) -> Result<Response, AppError> {
    let post_id = parse_id("post", &id)?;
    let before = cursor(parameters)?;
    let post = find_post(&state, post_id).await?;
    let mut comments = db::latest_comments(&state.pool, post_id, before, FETCH_COMMENTS).await?;
    let has_more = comments.len() > PAGE_COMMENTS;
    comments.truncate(PAGE_COMMENTS);
    let last = comments.last().filter(|_| has_more);
    let context = context! {
        post => context! { id => post.id, title => post.title.as_str() },
        comments => comments.iter().map(shown).collect::<Vec<Value>>(),
        is_first => before == Cursor::START,
        next => last.map(|comment| Cursor::after(comment.created_at, comment.id).to_string()),
    };
    Ok(pages::html_response(StatusCode::OK, pages::render("comments.html", context)?.into()))
}

fn shown(comment: &Comment) -> Value {
    context! {
        id => comment.id,
        content => comment.content.as_str(),
        created_at => pages::time(comment.created_at),
        author_id => comment.author_id,
        author => comment.author.as_str(),
    }
}

async fn find_post(state: &AppState, post_id: i64) -> Result<Post, AppError> {
    let post = db::find_post(&state.pool, post_id).await?;
    post.ok_or_else(|| AppError::NotFound(format!("post {post_id}")))
}

fn cursor(parameters: Result<Query<ListParameters>, QueryRejection>) -> Result<Cursor, AppError> {
    let refused = |message: String| AppError::Refused { status: StatusCode::BAD_REQUEST, message };
    let Query(parameters) =
        parameters.map_err(|_| refused("The parameters of this address cannot be read.".to_owned()))?;
    let Some(text) = parameters.before else { return Ok(Cursor::START) };
    text.parse().map_err(|error| refused(format!("The parameter “before” is wrong: {error}.")))
}
