//! The page of one post: the text, the number of comments, the most recent ones, and the form that adds one.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use minijinja::{Value, context};

use super::parse_id;
use crate::cache::{ARTICLE, COMMENT_COUNT, Entry, Fingerprint, Found, Key, RECENT_COMMENTS};
use crate::cursor::Cursor;
use crate::db::{self, Comment, Post};
use crate::error::AppError;
use crate::http::{self, Content, Page, Wants};
use crate::state::AppState;
use crate::{markdown, pages};

/// How many of the most recent comments the page shows.
const RECENT_COMMENTS_SHOWN: i64 = 20;

/// Between the title and the text of an article, as the cache keeps them. The database keeps no text with this character.
const SEPARATOR: char = '\0';

pub(super) fn router() -> Router<AppState> {
    Router::new().route("/posts/{id}", get(show))
}

async fn show(State(state): State<AppState>, wants: Wants, Path(id): Path<String>) -> Result<Response, AppError> {
    let post_id = parse_id("post", &id)?;
    // Three parts, which one round trip finds. What it does not find is made by one query each.
    let [article, comments, count] = state
        .cache
        .look_up([
            (&ARTICLE, Key::Article(post_id)),
            (&RECENT_COMMENTS, Key::RecentComments(post_id)),
            (&COMMENT_COUNT, Key::CommentCount(post_id)),
        ])
        .await;
    // First, because the others are not worth a query if there is no such post.
    let database = state.pool.clone();
    let make_article = move || async move {
        let post = db::find_post(&database, post_id).await?;
        render_article(&post.ok_or_else(|| AppError::NotFound(format!("post {post_id}")))?)
    };
    let article = state.cache.resolve(article, make_article).await?;
    let database = state.pool.clone();
    let make_comments = move || async move {
        render_comments(&db::latest_comments(&database, post_id, Cursor::START, RECENT_COMMENTS_SHOWN).await?)
    };
    let database = state.pool.clone();
    let make_count = move || async move { Ok(db::count_comments(&database, post_id).await?.to_string().into()) };
    let (comments, count) =
        tokio::try_join!(state.cache.resolve(comments, make_comments), state.cache.resolve(count, make_count))?;

    let fingerprint = Fingerprint::joined([&*article.entry, &*comments.entry, &*count.entry]);
    let entry = if wants.has(fingerprint) {
        // What the reader has already is not put together again.
        Arc::new(Entry::new(Bytes::new(), fingerprint))
    } else {
        state.cache.assemble(Key::PostPage(post_id), fingerprint, || page(post_id, &article, &comments, &count))?
    };
    Ok(http::respond(&wants, Page::assembled(Content::Html, &entry, &[&article, &comments, &count])))
}

fn render_article(post: &Post) -> Result<Bytes, AppError> {
    let post_value = context! {
        id => post.id,
        title => post.title.as_str(),
        // Sanitised by the renderer.
        content => Value::from_safe_string(markdown::render(&post.content)),
        created_at => pages::time(post.created_at),
        updated_at => post.updated_at.map(pages::time),
        author_id => post.author_id,
        author => post.author.as_str(),
        tags => post.tags.clone(),
    };
    let article = pages::render("fragments/article.html", context! { post => post_value })?;
    Ok(format!("{}{SEPARATOR}{article}", post.title).into())
}

fn render_comments(comments: &[Comment]) -> Result<Bytes, AppError> {
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

fn page(post_id: i64, article: &Found, comments: &Found, count: &Found) -> Result<Bytes, AppError> {
    let [article, recent_comments, comment_count] = [text(article)?, text(comments)?, text(count)?];
    let (title, article) = article.split_once(SEPARATOR).unwrap_or(("", article));
    let context = context! {
        post_id,
        title,
        // Rendered, and so escaped, by their own templates.
        article => Value::from_safe_string(article.to_owned()),
        recent_comments => Value::from_safe_string(recent_comments.to_owned()),
        comment_count,
        recent_comments_shown => RECENT_COMMENTS_SHOWN,
    };
    Ok(pages::render("post.html", context)?.into())
}

fn text(found: &Found) -> Result<&str, AppError> {
    str::from_utf8(found.entry.body())
        .map_err(|error| AppError::Internal(anyhow::Error::new(error).context("a cache entry is not text")))
}
