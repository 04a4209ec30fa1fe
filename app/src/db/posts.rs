//! Reading posts, authors and tags: one function per query.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use crate::cursor::Cursor;

/// A post as the lists show it.
#[derive(Clone, Debug, PartialEq)]
pub struct PostSummary {
    /// The post's id, also its address.
    pub id: i64,
    /// Its title.
    pub title: String,
    /// The first 240 characters of its content.
    pub excerpt: String,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// When it was last changed; None if never.
    pub updated_at: Option<DateTime<Utc>>,
    /// Who wrote it.
    pub author_id: i64,
    /// The author's user name.
    pub author: String,
    /// The names of its tags, in alphabetical order.
    pub tags: Vec<String>,
    /// How many comments it has.
    pub comment_count: i64,
}

/// A post as its own page shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Post {
    /// The post's id, also its address.
    pub id: i64,
    /// Its title.
    pub title: String,
    /// The whole text: paragraphs with an empty line between them.
    pub content: String,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// When it was last changed; None if never.
    pub updated_at: Option<DateTime<Utc>>,
    /// Who wrote it.
    pub author_id: i64,
    /// The author's user name.
    pub author: String,
    /// The names of its tags, in alphabetical order.
    pub tags: Vec<String>,
}

/// An author as the page of their posts shows them.
#[derive(Clone, Debug, PartialEq)]
pub struct Author {
    /// The user's id, also the address of their posts.
    pub id: i64,
    /// The user name.
    pub username: String,
    /// What they say about themselves.
    pub bio: String,
    /// Since when the account exists.
    pub created_at: DateTime<Utc>,
}

/// A tag with the number of its posts.
#[derive(Clone, Debug, PartialEq)]
pub struct PopularTag {
    /// The tag's id.
    pub id: i64,
    /// Its name, also its address.
    pub name: String,
    /// How many posts carry it.
    pub post_count: i64,
}

/// A tag.
#[derive(Clone, Debug, PartialEq)]
pub struct Tag {
    /// The tag's id.
    pub id: i64,
    /// Its name, also its address.
    pub name: String,
}

/// One page of all posts, newest first.
pub async fn list_posts(executor: impl PgExecutor<'_>, before: Cursor, limit: i64) -> sqlx::Result<Vec<PostSummary>> {
    sqlx::query_file_as!(PostSummary, "queries/list_posts.sql", before.created_at(), before.id(), limit)
        .fetch_all(executor)
        .await
}

/// One page of the posts of an author, newest first.
pub async fn list_posts_by_author(
    executor: impl PgExecutor<'_>,
    author_id: i64,
    before: Cursor,
    limit: i64,
) -> sqlx::Result<Vec<PostSummary>> {
    sqlx::query_file_as!(
        PostSummary,
        "queries/list_posts_by_author.sql",
        author_id,
        before.created_at(),
        before.id(),
        limit
    )
    .fetch_all(executor)
    .await
}

/// One page of the posts of a tag, newest first.
pub async fn list_posts_by_tag(
    executor: impl PgExecutor<'_>,
    tag_id: i64,
    before: Cursor,
    limit: i64,
) -> sqlx::Result<Vec<PostSummary>> {
    sqlx::query_file_as!(PostSummary, "queries/list_posts_by_tag.sql", tag_id, before.created_at(), before.id(), limit)
        .fetch_all(executor)
        .await
}

/// The posts with these ids that exist, newest first.
pub async fn pick_posts(executor: impl PgExecutor<'_>, post_ids: &[i64]) -> sqlx::Result<Vec<PostSummary>> {
    sqlx::query_file_as!(PostSummary, "queries/pick_posts.sql", post_ids).fetch_all(executor).await
}

/// One post, if there is one with this id.
pub async fn find_post(executor: impl PgExecutor<'_>, post_id: i64) -> sqlx::Result<Option<Post>> {
    sqlx::query_file_as!(Post, "queries/find_post.sql", post_id).fetch_optional(executor).await
}

/// One author, if there is one with this id.
pub async fn find_author(executor: impl PgExecutor<'_>, author_id: i64) -> sqlx::Result<Option<Author>> {
    sqlx::query_file_as!(Author, "queries/find_author.sql", author_id).fetch_optional(executor).await
}

/// One tag, if there is one with this name.
pub async fn find_tag(executor: impl PgExecutor<'_>, name: &str) -> sqlx::Result<Option<Tag>> {
    sqlx::query_file_as!(Tag, "queries/find_tag.sql", name).fetch_optional(executor).await
}

/// The tags that most posts carry. It reads every link between posts and tags, so it belongs behind a cache.
pub async fn popular_tags(executor: impl PgExecutor<'_>, limit: i64) -> sqlx::Result<Vec<PopularTag>> {
    sqlx::query_file_as!(PopularTag, "queries/popular_tags.sql", limit).fetch_all(executor).await
}

/// The names of the tags that come after the given one, in alphabetical order.
pub async fn list_tags(executor: impl PgExecutor<'_>, after: &str, limit: i64) -> sqlx::Result<Vec<String>> {
    sqlx::query_file_scalar!("queries/list_tags.sql", after, limit).fetch_all(executor).await
}
