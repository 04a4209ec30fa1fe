//! The page of one post: the text, the number of comments, the most recent ones, and the form that adds one.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use minijinja::{Value, context};

use super::{parse_id, with_cache_status};
use crate::cache::{COMMENT_COUNT, Key, Level, Outcome, RECENT_COMMENTS};
use crate::cursor::Cursor;
use crate::db::{self, Comment, Post};
use crate::error::AppError;
use crate::pages;
use crate::state::AppState;

/// How many of the most recent comments the page shows.
const RECENT_COMMENTS_SHOWN: i64 = 20;

pub(super) fn router() -> Router<AppState> {
    Router::new().route("/posts/{id}", get(show))
}

/// What the form under a post shows: empty at first, and after a refusal what was sent and what was wrong with it.
#[derive(Default)]
pub(super) struct CommentForm {
    pub(super) username: String,
    pub(super) content: String,
    pub(super) problem: Option<String>,
}

async fn show(State(state): State<AppState>, Path(id): Path<String>) -> Result<Response, AppError> {
    let post_id = parse_id("post", &id)?;
    post_page(&state, post_id, StatusCode::OK, &CommentForm::default()).await
}

/// The page of a post, from at most three queries: the post itself, which is never cached, and two that are.
pub(super) async fn post_page(
    state: &AppState,
    post_id: i64,
    status: StatusCode,
    form: &CommentForm,
) -> Result<Response, AppError> {
    let fragment_entry = (RECENT_COMMENTS, Key::RecentComments(post_id));
    let value_entry = (COMMENT_COUNT, Key::CommentCount(post_id));
    let lookup = state.cache.look_up(Some(Key::PostGeneration(post_id)), &[fragment_entry, value_entry]).await;

    let post = db::find_post(&state.pool, post_id).await?;
    let post = post.ok_or_else(|| AppError::NotFound(format!("post {post_id}")))?;
    let make_fragment = async || {
        let comments = db::latest_comments(&state.pool, post_id, Cursor::START, RECENT_COMMENTS_SHOWN).await?;
        recent_comments(&comments)
    };
    let (fragment, fragment_outcome) = state.cache.get_or(&lookup, 0, fragment_entry, make_fragment).await?;
    let make_value = async || Ok(Bytes::from(db::count_comments(&state.pool, post_id).await?.to_string()));
    let (comment_count, value_outcome) = state.cache.get_or(&lookup, 1, value_entry, make_value).await?;

    let body = page(&post, &text(&fragment)?, &text(&comment_count)?, form)?;
    let outcomes: [(Level, Outcome); 2] = [(Level::Fragment, fragment_outcome), (Level::Value, value_outcome)];
    Ok(with_cache_status(pages::html_response(status, body), &outcomes))
}

fn recent_comments(comments: &[Comment]) -> Result<Bytes, AppError> {
    let comments: Vec<Value> = comments
        .iter()
        .map(|comment| {
            context! {
                id => comment.id,
                content => comment.content.as_str(),
                created_at => pages::time(comment.created_at),
                author_id => comment.author_id,
                author => comment.author.as_str(),
            }
        })
        .collect();
    Ok(pages::render("fragments/recent_comments.html", context! { comments })?.into())
}

fn page(post: &Post, recent_comments: &str, comment_count: &str, form: &CommentForm) -> Result<Bytes, AppError> {
    let paragraphs = post.content.split("\n\n").map(str::trim).filter(|text| !text.is_empty());
    let paragraphs: Vec<Value> = paragraphs.map(Value::from).collect();
    let context = context! {
        post => context! {
            id => post.id,
            title => post.title.as_str(),
            paragraphs,
            created_at => pages::time(post.created_at),
            author_id => post.author_id,
            author => post.author.as_str(),
            tags => post.tags.clone(),
        },
        comment_count,
        // Rendered, and so escaped, by its own template.
        recent_comments => Value::from_safe_string(recent_comments.to_owned()),
        recent_comments_shown => RECENT_COMMENTS_SHOWN,
        form => context! {
            username => form.username.as_str(),
            content => form.content.as_str(),
            problem => form.problem.as_deref(),
        },
    };
    Ok(pages::render("post.html", context)?.into())
}

fn text(bytes: &Bytes) -> Result<String, AppError> {
    String::from_utf8(bytes.to_vec())
        .map_err(|error| AppError::Internal(anyhow::Error::new(error).context("a cache entry is not text")))
}
