//! Posts: reading, writing, changing, deleting.

use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::{self, Id, Json, Parameters, Submission};
use super::{failures, respond};
use crate::cursor::Cursor;
use crate::db::{self, Post, PostSummary};
use crate::error::AppError;
use crate::http::Wants;
use crate::input::PostInput;
use crate::routes::writing::not_yours;
use crate::session::LoggedIn;
use crate::state::AppState;
use crate::{markdown, writing};

/// How much of a post the lists of the database give.
const EXCERPT_CHARACTERS: usize = 240;

/// Somebody, by name.
#[derive(Serialize, ToSchema)]
pub(super) struct Person {
    /// The user's id.
    pub(super) id: i64,
    /// The user name.
    pub(super) username: String,
}

/// A post in a list.
#[derive(Serialize, ToSchema)]
struct ListedPost {
    /// The post's id.
    id: i64,
    /// Its title.
    title: String,
    /// How it begins, as plain text.
    excerpt: String,
    /// Who wrote it.
    author: Person,
    /// Its tags, in alphabetical order.
    tags: Vec<String>,
    /// How many comments it has.
    comment_count: i64,
    /// When it was written.
    created_at: DateTime<Utc>,
}

/// A page of a list of posts, newest first.
#[derive(Serialize, ToSchema)]
struct PostPage {
    /// The posts.
    posts: Vec<ListedPost>,
    /// What to pass as `before` for the page after this one; null if this is the last one.
    #[schema(example = "1767225600000000.42")]
    next: Option<String>,
}

/// A post.
#[derive(Serialize, ToSchema)]
struct FullPost {
    /// The post's id.
    id: i64,
    /// Its title.
    title: String,
    /// Its text, in Markdown, as its author wrote it.
    content: String,
    /// Its text as HTML that is safe to show.
    content_html: String,
    /// Who wrote it.
    author: Person,
    /// Its tags, in alphabetical order.
    tags: Vec<String>,
    /// When it was written.
    created_at: DateTime<Utc>,
    /// When it was last changed; null if never.
    updated_at: Option<DateTime<Utc>>,
}

/// Which posts.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParameters {
    /// The `next` of the page before; the newest posts without it.
    #[param(example = "1767225600000000.42")]
    before: Option<String>,
    /// How many posts, 1 to 100. Default 20.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    limit: Option<String>,
    /// Only the posts of the author with this id.
    #[param(value_type = Option<i64>)]
    author: Option<String>,
    /// Only the posts with this tag. Not together with `author`.
    tag: Option<String>,
}

/// A page of posts, newest first.
///
/// All posts, or those of one author, or those with one tag.
#[utoipa::path(
    get, path = "/posts", tag = "posts", params(ListParameters),
    responses((status = 200, body = PostPage), (status = 304, description = "As before"), failures::Parameters, failures::One,
              failures::Common)
)]
pub(super) async fn list(
    State(state): State<AppState>,
    wants: Wants,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Response, AppError> {
    let before = extract::cursor(parameters.before.as_deref())?;
    let (limit, fetched) = extract::limit(parameters.limit.as_deref())?;
    let posts = match (&parameters.author, &parameters.tag) {
        (None, None) => db::list_posts(&state.pool, before, fetched).await?,
        (Some(author), None) => {
            let wrong = |_| extract::wrong_parameter("author", "`author` is the id of a user, a whole number.");
            let author_id = author.parse().map_err(wrong)?;
            let posts = db::list_posts_by_author(&state.pool, author_id, before, fetched).await?;
            // Only a list without posts can be one of nobody.
            if posts.is_empty() && db::find_author(&state.pool, author_id).await?.is_none() {
                return Err(AppError::NotFound(format!("author {author_id}")));
            }
            posts
        }
        (None, Some(name)) => {
            // A NUL cannot be asked for: PostgreSQL refuses it in any text.
            let tag = if name.contains('\0') { None } else { db::find_tag(&state.pool, name).await? };
            let tag = tag.ok_or_else(|| AppError::NotFound("tag of this name".to_owned()))?;
            db::list_posts_by_tag(&state.pool, tag.id, before, fetched).await?
        }
        (Some(_), Some(_)) => {
            return Err(extract::wrong_parameter("tag", "`author` and `tag` cannot be asked for together."));
        }
    };
    respond::public_json(&wants, &page(posts, limit))
}

fn page(mut posts: Vec<PostSummary>, limit: usize) -> PostPage {
    let has_more = posts.len() > limit;
    posts.truncate(limit);
    let next = posts.last().filter(|_| has_more).map(|post| Cursor::after(post.created_at, post.id).to_string());
    let listed = |post: PostSummary| ListedPost {
        id: post.id,
        title: post.title,
        excerpt: markdown::excerpt(&post.excerpt, EXCERPT_CHARACTERS),
        author: Person { id: post.author_id, username: post.author },
        tags: post.tags,
        comment_count: post.comment_count,
        created_at: post.created_at,
    };
    PostPage { posts: posts.into_iter().map(listed).collect(), next }
}

/// A post.
#[utoipa::path(
    get, path = "/posts/{id}", tag = "posts", params(("id" = i64, Path, description = "The post's id")),
    responses((status = 200, body = FullPost), (status = 304, description = "As before"), failures::One, failures::Common)
)]
pub(super) async fn show(State(state): State<AppState>, wants: Wants, Id(post_id): Id) -> Result<Response, AppError> {
    respond::public_json(&wants, &find(&state, post_id).await?)
}

async fn find(state: &AppState, post_id: i64) -> Result<FullPost, AppError> {
    let post = db::find_post(&state.pool, post_id).await?;
    post.map(full).ok_or_else(|| AppError::NotFound(format!("post {post_id}")))
}

fn full(post: Post) -> FullPost {
    FullPost {
        id: post.id,
        title: post.title,
        content_html: markdown::render(&post.content),
        content: post.content,
        author: Person { id: post.author_id, username: post.author },
        tags: post.tags,
        created_at: post.created_at,
        updated_at: post.updated_at,
    }
}

/// A post as its author wrote it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenPost {
    /// One line.
    #[schema(min_length = 1, max_length = 200, example = "At 80 % you wait twice as long as at 60 %")]
    title: String,
    /// Markdown. HTML in it is shown as it is written, and images become links.
    #[schema(min_length = 1, max_length = 100_000, example = "Capacity runs out *linearly*. Patience does not.")]
    content: String,
    /// Letters, digits and hyphens; other spellings are brought to this one. Those that do not exist yet are made.
    #[serde(default)]
    #[schema(max_items = 8, example = json!(["queueing", "capacity"]))]
    tags: Vec<String>,
}

impl WrittenPost {
    fn check(&self) -> Result<PostInput, AppError> {
        Ok(PostInput::parse_with_list(&self.title, &self.content, &self.tags)?)
    }
}

/// Publish a post.
///
/// With an `Idempotency-Key`, sending it again does not make a second post: the one that is there comes back, with the status 200.
#[utoipa::path(
    post, path = "/posts", tag = "posts", request_body = WrittenPost, security(("token" = []), ("cookie" = [])),
    params(("Idempotency-Key" = Option<uuid::Uuid>, Header, description = "A new name for each submission")),
    responses((status = 201, body = FullPost, headers(("Location" = String, description = "The address of the post"))),
              (status = 200, body = FullPost, description = "It was there already"),
              failures::Authorized, failures::Body, failures::Change, failures::Common)
)]
pub(super) async fn create(
    State(state): State<AppState>,
    LoggedIn { user, .. }: LoggedIn,
    Submission(submission): Submission,
    Json(post): Json<WrittenPost>,
) -> Result<Response, AppError> {
    let added = writing::publish(&state, &user, &post.check()?, submission).await?;
    let status = if added.is_new { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = respond::private_json(status, &find(&state, added.id).await?)?;
    if let Ok(address) = HeaderValue::try_from(format!("/api/posts/{}", added.id)) {
        response.headers_mut().insert(LOCATION, address);
    }
    Ok(response)
}

/// Replace a post: its title, its text and its tags.
#[utoipa::path(
    put, path = "/posts/{id}", tag = "posts", request_body = WrittenPost, security(("token" = []), ("cookie" = [])),
    params(("id" = i64, Path, description = "The post's id")),
    responses((status = 200, body = FullPost), failures::One, failures::Authorized, failures::Body, failures::Change,
              failures::Common)
)]
pub(super) async fn replace(
    State(state): State<AppState>,
    Id(post_id): Id,
    LoggedIn { user, .. }: LoggedIn,
    Json(post): Json<WrittenPost>,
) -> Result<Response, AppError> {
    match writing::change(&state, &user, post_id, &post.check()?).await? {
        Some(_) => respond::private_json(StatusCode::OK, &find(&state, post_id).await?),
        None => Err(not_yours(&state, post_id).await?),
    }
}

/// Delete a post and its comments.
#[utoipa::path(
    delete, path = "/posts/{id}", tag = "posts", security(("token" = []), ("cookie" = [])),
    params(("id" = i64, Path, description = "The post's id")),
    responses((status = 204, description = "It is gone"), failures::One, failures::Authorized, failures::Change, failures::Common)
)]
pub(super) async fn delete(
    State(state): State<AppState>,
    Id(post_id): Id,
    LoggedIn { user, .. }: LoggedIn,
) -> Result<Response, AppError> {
    match writing::delete(&state, &user, post_id).await? {
        Some(_) => Ok(StatusCode::NO_CONTENT.into_response()),
        None => Err(not_yours(&state, post_id).await?),
    }
}
