//! Writing a post, changing it, deleting it. Only its author may; others are told so.

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use minijinja::{Value, context};
use serde::Deserialize;
use uuid::Uuid;

use super::forms::{Form, POST_BYTES_MAX, field, form_page, personal_page, status, summary};
use super::parse_id;
use crate::db::{self, Post};
use crate::error::AppError;
use crate::input::{PostInput, Problems};
use crate::session::{LoggedIn, User};
use crate::state::AppState;
use crate::{markdown, writing};

pub(super) fn router() -> Router<AppState> {
    Router::new()
        .route("/write", get(show_empty).post(publish))
        .route("/posts/{id}/edit", get(show_post).post(change))
        .layer(DefaultBodyLimit::max(POST_BYTES_MAX))
        .route("/posts/{id}/delete", get(ask).post(delete))
}

/// The fields of a post as they are sent, right or wrong.
#[derive(Default, Deserialize)]
#[serde(default)]
struct PostForm {
    title: String,
    content: String,
    tags: String,
    /// Names the submission, so that sending the form twice makes one post.
    submission: String,
    /// Not empty if the author wants to see the post before anybody else does.
    preview: String,
}

async fn show_empty(_: LoggedIn) -> Result<Response, AppError> {
    new_page(&PostForm::default(), None, None)
}

async fn publish(
    State(state): State<AppState>,
    LoggedIn { user, .. }: LoggedIn,
    Form(form): Form<PostForm>,
) -> Result<Response, AppError> {
    match PostInput::parse(&form.title, &form.content, &form.tags) {
        Ok(post) if !form.preview.is_empty() => new_page(&form, None, Some(&post)),
        Ok(post) => {
            let added = writing::publish(&state, &user, &post, form.submission.parse().ok()).await?;
            Ok(Redirect::to(&format!("/posts/{}", added.id)).into_response())
        }
        Err(problems) => new_page(&form, Some(&problems), None),
    }
}

async fn show_post(
    State(state): State<AppState>,
    user: LoggedIn,
    Path(id): Path<String>,
) -> Result<Response, AppError> {
    let post = own_post(&state, &user.user, &id).await?;
    let (id, tags) = (post.id, post.tags.join(", "));
    let form = PostForm { title: post.title, content: post.content, tags, ..PostForm::default() };
    edit_page(id, &form, None, None)
}

async fn change(
    State(state): State<AppState>,
    LoggedIn { user, .. }: LoggedIn,
    Path(id): Path<String>,
    Form(form): Form<PostForm>,
) -> Result<Response, AppError> {
    let post_id = parse_id("post", &id)?;
    match PostInput::parse(&form.title, &form.content, &form.tags) {
        Ok(post) if !form.preview.is_empty() => {
            own_post(&state, &user, &id).await?;
            edit_page(post_id, &form, None, Some(&post))
        }
        Ok(post) => match writing::change(&state, &user, post_id, &post).await? {
            Some(_) => Ok(Redirect::to(&format!("/posts/{post_id}")).into_response()),
            None => Err(not_yours(&state, post_id).await?),
        },
        Err(problems) => {
            own_post(&state, &user, &id).await?;
            edit_page(post_id, &form, Some(&problems), None)
        }
    }
}

async fn ask(State(state): State<AppState>, user: LoggedIn, Path(id): Path<String>) -> Result<Response, AppError> {
    let post = own_post(&state, &user.user, &id).await?;
    let comment_count = db::count_comments(&state.pool, post.id).await?;
    let context = context! { post => context! { id => post.id, title => post.title }, comment_count };
    personal_page(StatusCode::OK, "delete_post.html", context)
}

async fn delete(
    State(state): State<AppState>,
    LoggedIn { user, .. }: LoggedIn,
    Path(id): Path<String>,
) -> Result<Response, AppError> {
    let post_id = parse_id("post", &id)?;
    match writing::delete(&state, &user, post_id).await? {
        Some(_) => Ok(Redirect::to("/account").into_response()),
        None => Err(not_yours(&state, post_id).await?),
    }
}

async fn own_post(state: &AppState, user: &User, id: &str) -> Result<Post, AppError> {
    let post_id = parse_id("post", id)?;
    let post = db::find_post(&state.pool, post_id).await?;
    let post = post.ok_or_else(|| AppError::NotFound(format!("post {post_id}")))?;
    if post.author_id == user.id { Ok(post) } else { Err(forbidden()) }
}

/// Nothing was changed: because there is no such post, or because it is somebody else's.
pub(super) async fn not_yours(state: &AppState, post_id: i64) -> Result<AppError, AppError> {
    let exists = db::find_post(&state.pool, post_id).await?.is_some();
    Ok(if exists { forbidden() } else { AppError::NotFound(format!("post {post_id}")) })
}

fn forbidden() -> AppError {
    let message = "Only its author may change or delete a post.".to_owned();
    AppError::Refused { status: StatusCode::FORBIDDEN, message }
}

fn new_page(form: &PostForm, problems: Option<&Problems>, preview: Option<&PostInput>) -> Result<Response, AppError> {
    let submission = form.submission.parse().unwrap_or_else(|_| Uuid::new_v4());
    let head = context! { title_of_page => "Write a post", action => "/write", button => "Publish", post_id => () };
    post_page(form, problems, preview, context! { submission => submission.to_string(), ..head })
}

fn edit_page(
    post_id: i64,
    form: &PostForm,
    problems: Option<&Problems>,
    preview: Option<&PostInput>,
) -> Result<Response, AppError> {
    let action = format!("/posts/{post_id}/edit");
    let head = context! { title_of_page => "Edit your post", action, button => "Save the changes", post_id };
    post_page(form, problems, preview, context! { submission => (), ..head })
}

fn post_page(
    form: &PostForm,
    problems: Option<&Problems>,
    preview: Option<&PostInput>,
    head: Value,
) -> Result<Response, AppError> {
    let preview = preview.map(|post| {
        // Sanitised by the same code as the page of the post.
        let content = Value::from_safe_string(markdown::render(post.content.as_str()));
        context! { title => post.title.as_str(), content, tags => post.tags.as_slice().to_vec() }
    });
    let context = context! {
        problems => summary(problems),
        preview,
        title => field("title", &form.title, problems),
        content => field("content", &form.content, problems),
        tags => field("tags", &form.tags, problems),
        tags_max => crate::input::TAGS_MAX,
        ..head
    };
    form_page(status(problems), "write.html", context)
}
