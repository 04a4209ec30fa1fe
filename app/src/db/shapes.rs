//! Five ways to fetch a page of posts with their comments: one function per shape, all with the same result.
//!
//! They are here to be compared. Every shape starts at the same cursor and ends after the same number of posts; `lateral` alone
//! stops after a few comments of each post, which is the shape that a page should use.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use sqlx::PgPool;
use sqlx::types::Json;

use crate::cursor::Cursor;

/// A post with its comments, newest first.
#[derive(Clone, Debug, PartialEq)]
pub struct PostWithComments {
    /// The post's id.
    pub id: i64,
    /// Its title.
    pub title: String,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// Its comments.
    pub comments: Vec<CommentBody>,
}

/// What the shapes fetch of a comment.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct CommentBody {
    /// The comment's id.
    pub id: i64,
    /// What it says.
    pub content: String,
    /// When it was written.
    pub created_at: DateTime<Utc>,
}

struct PostRow {
    id: i64,
    title: String,
    created_at: DateTime<Utc>,
}

struct CommentRow {
    post_id: i64,
    id: i64,
    content: String,
    created_at: DateTime<Utc>,
}

struct JoinedRow {
    post_id: i64,
    title: String,
    post_created_at: DateTime<Utc>,
    comment_id: Option<i64>,
    comment_content: Option<String>,
    comment_created_at: Option<DateTime<Utc>>,
}

struct JsonRow {
    post_id: i64,
    title: String,
    post_created_at: DateTime<Utc>,
    comments: Json<Vec<CommentBody>>,
}

/// One query for the posts, then one for the comments of each: 1 + N round trips.
pub async fn n_plus_one(pool: &PgPool, before: Cursor, posts: i64) -> sqlx::Result<Vec<PostWithComments>> {
    let mut page = Vec::new();
    for post in posts_page(pool, before, posts).await? {
        let comments =
            sqlx::query_file_as!(CommentRow, "queries/comments_of_one_post.sql", post.id).fetch_all(pool).await?;
        page.push(post.with(comments.into_iter().map(CommentBody::from).collect()));
    }
    Ok(page)
}

/// One JOIN. Every row carries its post again.
pub async fn join(pool: &PgPool, before: Cursor, posts: i64) -> sqlx::Result<Vec<PostWithComments>> {
    let rows = sqlx::query_file_as!(
        JoinedRow,
        "queries/posts_with_comments_join.sql",
        before.created_at(),
        before.id(),
        posts
    )
    .fetch_all(pool)
    .await?;
    Ok(group(rows))
}

/// One query for the posts, one for the comments of all of them.
pub async fn two_queries(pool: &PgPool, before: Cursor, posts: i64) -> sqlx::Result<Vec<PostWithComments>> {
    let page = posts_page(pool, before, posts).await?;
    let post_ids: Vec<i64> = page.iter().map(|post| post.id).collect();
    let rows =
        sqlx::query_file_as!(CommentRow, "queries/comments_of_many_posts.sql", &post_ids).fetch_all(pool).await?;
    let mut comments: HashMap<i64, Vec<CommentBody>> = HashMap::with_capacity(page.len());
    for row in rows {
        comments.entry(row.post_id).or_default().push(row.into());
    }
    Ok(page
        .into_iter()
        .map(|post| {
            let comments = comments.remove(&post.id).unwrap_or_default();
            post.with(comments)
        })
        .collect())
}

/// One row per post, its comments as JSON.
pub async fn json_agg(pool: &PgPool, before: Cursor, posts: i64) -> sqlx::Result<Vec<PostWithComments>> {
    let rows =
        sqlx::query_file_as!(JsonRow, "queries/posts_with_comments_json.sql", before.created_at(), before.id(), posts)
            .fetch_all(pool)
            .await?;
    let page = rows.into_iter().map(|row| PostWithComments {
        id: row.post_id,
        title: row.title,
        created_at: row.post_created_at,
        comments: row.comments.0,
    });
    Ok(page.collect())
}

/// One query with the latest few comments of each post.
pub async fn lateral(pool: &PgPool, before: Cursor, posts: i64, comments: i64) -> sqlx::Result<Vec<PostWithComments>> {
    let rows = sqlx::query_file_as!(
        JoinedRow,
        "queries/posts_with_comments_lateral.sql",
        before.created_at(),
        before.id(),
        posts,
        comments
    )
    .fetch_all(pool)
    .await?;
    Ok(group(rows))
}

async fn posts_page(pool: &PgPool, before: Cursor, posts: i64) -> sqlx::Result<Vec<PostRow>> {
    sqlx::query_file_as!(PostRow, "queries/posts_page.sql", before.created_at(), before.id(), posts)
        .fetch_all(pool)
        .await
}

/// Puts the rows of a JOIN, which come post by post, back into posts.
fn group(rows: Vec<JoinedRow>) -> Vec<PostWithComments> {
    let mut page: Vec<PostWithComments> = Vec::new();
    for row in rows {
        if page.last().is_none_or(|post| post.id != row.post_id) {
            let post = PostRow { id: row.post_id, title: row.title, created_at: row.post_created_at };
            page.push(post.with(Vec::new()));
        }
        let comment = row.comment_id.zip(row.comment_content).zip(row.comment_created_at);
        if let (Some(post), Some(((id, content), created_at))) = (page.last_mut(), comment) {
            post.comments.push(CommentBody { id, content, created_at });
        }
    }
    page
}

impl PostRow {
    fn with(self, comments: Vec<CommentBody>) -> PostWithComments {
        PostWithComments { id: self.id, title: self.title, created_at: self.created_at, comments }
    }
}

impl From<CommentRow> for CommentBody {
    fn from(row: CommentRow) -> Self {
        Self { id: row.id, content: row.content, created_at: row.created_at }
    }
}
