//! Adding, changing and deleting posts. Each function is one transaction: a post and its tags change together or not at all.

use sqlx::PgConnection;
use uuid::Uuid;

use super::Database;

/// A post that somebody wants to publish. What it holds has been checked; the database checks again.
#[derive(Clone, Copy, Debug)]
pub struct NewPost<'a> {
    /// Who writes it.
    pub author_id: i64,
    /// Its title.
    pub title: &'a str,
    /// Its text, in Markdown.
    pub content: &'a str,
    /// The names of its tags, without repetition.
    pub tags: &'a [String],
    /// The name of this submission, so that sending it twice makes one post.
    pub submission: Option<Uuid>,
}

/// A post that is stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AddedPost {
    /// The post's id.
    pub id: i64,
    /// Whether this call has stored it; otherwise the same submission had come before.
    pub is_new: bool,
    /// The ids of its tags, whose pages show it now. Empty if it is not new.
    pub tag_ids: Vec<i64>,
}

/// A post that was changed or deleted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ChangedPost {
    /// The ids of the tags that it had before or has now, whose pages show something else now.
    pub tag_ids: Vec<i64>,
}

/// Adds a post with its tags, making those that do not exist yet. When this returns, it is committed.
pub async fn add_post(database: &Database, post: NewPost<'_>) -> sqlx::Result<AddedPost> {
    let mut transaction = database.begin().await?;
    let added =
        sqlx::query_file_scalar!("queries/add_post.sql", post.author_id, post.title, post.content, post.submission)
            .fetch_optional(&mut *transaction)
            .await?;
    let Some(id) = added else {
        let id = sqlx::query_file_scalar!("queries/find_submitted_post.sql", post.author_id, post.submission)
            .fetch_one(&mut *transaction)
            .await?;
        return Ok(AddedPost { id, is_new: false, tag_ids: Vec::new() });
    };
    let tag_ids = add_tags(&mut transaction, post.tags).await?;
    sqlx::query_file!("queries/tag_post.sql", id, &tag_ids).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(AddedPost { id, is_new: true, tag_ids })
}

/// Changes a post and its tags. None if there is no such post of this author.
pub async fn update_post(
    database: &Database,
    post_id: i64,
    author_id: i64,
    title: &str,
    content: &str,
    tags: &[String],
) -> sqlx::Result<Option<ChangedPost>> {
    let mut transaction = database.begin().await?;
    let updated = sqlx::query_file_scalar!("queries/update_post.sql", post_id, author_id, title, content)
        .fetch_optional(&mut *transaction)
        .await?;
    if updated.is_none() {
        return Ok(None);
    }
    let mut concerned = tags_of_post(&mut transaction, post_id).await?;
    let tag_ids = add_tags(&mut transaction, tags).await?;
    sqlx::query_file!("queries/untag_post.sql", post_id, &tag_ids).execute(&mut *transaction).await?;
    sqlx::query_file!("queries/tag_post.sql", post_id, &tag_ids).execute(&mut *transaction).await?;
    transaction.commit().await?;
    concerned.extend(tag_ids);
    concerned.sort_unstable();
    concerned.dedup();
    Ok(Some(ChangedPost { tag_ids: concerned }))
}

/// Deletes a post with its comments. None if there is no such post of this author.
pub async fn delete_post(database: &Database, post_id: i64, author_id: i64) -> sqlx::Result<Option<ChangedPost>> {
    let mut transaction = database.begin().await?;
    let tag_ids = tags_of_post(&mut transaction, post_id).await?;
    let deleted = sqlx::query_file_scalar!("queries/delete_post.sql", post_id, author_id)
        .fetch_optional(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(deleted.map(|_| ChangedPost { tag_ids }))
}

async fn tags_of_post(connection: &mut PgConnection, post_id: i64) -> sqlx::Result<Vec<i64>> {
    sqlx::query_file_scalar!("queries/tags_of_post.sql", post_id).fetch_all(connection).await
}

async fn add_tags(connection: &mut PgConnection, names: &[String]) -> sqlx::Result<Vec<i64>> {
    sqlx::query_file_scalar!("queries/add_tags.sql", names).fetch_all(connection).await
}
