//! The lists of posts: all, by author, by tag. Newest first, cut by a cursor and never by an offset.

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use minijinja::{Value, context};
use serde::Deserialize;

use super::parse_id;
use crate::cache::{Key, LISTS};
use crate::cursor::Cursor;
use crate::db::{self, PostSummary};
use crate::error::AppError;
use crate::http::{self, Content, Page, Wants};
use crate::input::TagName;
use crate::state::AppState;
use crate::{markdown, pages};

/// How many posts a page shows.
const PAGE_POSTS: usize = 20;

/// One more than a page shows is fetched: if it is there, there is a next page.
const FETCH_POSTS: i64 = PAGE_POSTS as i64 + 1;

/// How much of a post the database gives.
const EXCERPT_CHARACTERS: usize = 240;

pub(super) fn router() -> Router<AppState> {
    Router::new().route("/", get(all)).route("/authors/{id}", get(by_author)).route("/tags/{name}", get(by_tag))
}

/// What an address of a list may say. Other parameters are ignored, and are no part of a cache key.
#[derive(Deserialize)]
struct ListParameters {
    before: Option<String>,
}

async fn all(State(state): State<AppState>, wants: Wants, parameters: Parameters) -> Result<Response, AppError> {
    show_all(state, wants, cursor(parameters)?).await
}

/// A page of all posts.
pub(super) async fn show_all(state: AppState, wants: Wants, before: Cursor) -> Result<Response, AppError> {
    let cache = state.cache.clone();
    let make = move || async move {
        let posts = db::list_posts(&state.pool, before, FETCH_POSTS).await?;
        list_page(before, posts, context! { path => "/", feed => "/feed.atom", title => "Latest posts", lead => () })
    };
    let found = cache.get_or_make(&LISTS, Key::PostList(before), make).await?;
    Ok(http::respond(&wants, Page::cached(Content::Html, &found)))
}

async fn by_author(
    State(state): State<AppState>,
    wants: Wants,
    Path(id): Path<String>,
    parameters: Parameters,
) -> Result<Response, AppError> {
    let before = cursor(parameters)?;
    show_by_author(state, wants, parse_id("author", &id)?, before).await
}

/// A page of the posts of an author.
pub(super) async fn show_by_author(
    state: AppState,
    wants: Wants,
    author_id: i64,
    before: Cursor,
) -> Result<Response, AppError> {
    let cache = state.cache.clone();
    let make = move || async move {
        let author = db::find_author(&state.pool, author_id).await?;
        let author = author.ok_or_else(|| AppError::NotFound(format!("author {author_id}")))?;
        let posts = db::list_posts_by_author(&state.pool, author_id, before, FETCH_POSTS).await?;
        let head = context! {
            path => format!("/authors/{author_id}"),
            feed => format!("/authors/{author_id}/feed.atom"),
            title => format!("Posts by {}", author.username),
            lead => author.bio,
        };
        list_page(before, posts, head)
    };
    let found = cache.get_or_make(&LISTS, Key::AuthorPage(author_id, before), make).await?;
    Ok(http::respond(&wants, Page::cached(Content::Html, &found)))
}

async fn by_tag(
    State(state): State<AppState>,
    wants: Wants,
    Path(name): Path<String>,
    parameters: Parameters,
) -> Result<Response, AppError> {
    let before = cursor(parameters)?;
    // What cannot be a name is not looked for, and leaves nothing in the cache.
    let name = TagName::new(&name).ok_or_else(|| no_tag(&name))?;
    show_by_tag(state, wants, name, before).await
}

fn no_tag(name: &str) -> AppError {
    AppError::NotFound(format!("tag “{}”", name.chars().take(40).collect::<String>()))
}

/// A page of the posts that carry a tag.
pub(super) async fn show_by_tag(
    state: AppState,
    wants: Wants,
    name: TagName,
    before: Cursor,
) -> Result<Response, AppError> {
    let cache = state.cache.clone();
    let make = move || async move {
        let tag = db::find_tag(&state.pool, name.as_str()).await?.ok_or_else(|| no_tag(name.as_str()))?;
        let posts = db::list_posts_by_tag(&state.pool, tag.id, before, FETCH_POSTS).await?;
        let head = context! {
            path => format!("/tags/{}", tag.name),
            feed => format!("/tags/{}/feed.atom", tag.name),
            title => format!("Posts tagged {}", tag.name),
            lead => (),
        };
        list_page(before, posts, head)
    };
    let found = cache.get_or_make(&LISTS, Key::TagPage(name, before), make).await?;
    Ok(http::respond(&wants, Page::cached(Content::Html, &found)))
}

type Parameters = Result<Query<ListParameters>, QueryRejection>;

fn cursor(parameters: Parameters) -> Result<Cursor, AppError> {
    let refused = |message: String| AppError::Refused { status: StatusCode::BAD_REQUEST, message };
    let Query(parameters) =
        parameters.map_err(|_| refused("The parameters of this address cannot be read.".to_owned()))?;
    match parameters.before {
        None => Ok(Cursor::START),
        Some(text) => text.parse().map_err(|error| refused(format!("The parameter “before” is wrong: {error}."))),
    }
}

fn list_page(before: Cursor, mut posts: Vec<PostSummary>, head: Value) -> Result<Bytes, AppError> {
    let has_more = posts.len() > PAGE_POSTS;
    posts.truncate(PAGE_POSTS);
    let next = posts.last().filter(|_| has_more).map(|post| Cursor::after(post.created_at, post.id).to_string());
    let page = context! {
        posts => posts.iter().map(summary).collect::<Vec<Value>>(),
        next,
        is_first => before == Cursor::START,
        ..head
    };
    Ok(pages::render("list.html", page)?.into())
}

/// A post as lists show it.
pub(super) fn summary(post: &PostSummary) -> Value {
    context! {
        id => post.id,
        title => post.title.as_str(),
        excerpt => markdown::excerpt(&post.excerpt, EXCERPT_CHARACTERS),
        created_at => pages::time(post.created_at),
        author_id => post.author_id,
        author => post.author.as_str(),
        tags => post.tags.clone(),
        comment_count => post.comment_count,
    }
}
