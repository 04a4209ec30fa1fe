//! Publishing: posts and comments on their way to the database, whoever sends them. Pages and the JSON API go through here, with the same
//! limits, and both forget what the change made old. It knows nothing of HTML, JSON or cookies.

use chrono::Utc;
use uuid::{Builder, Uuid};

use crate::cache::Tag;
use crate::db::{self, AddCommentError, AddedComment, AddedPost, ChangedPost, NewPost};
use crate::error::AppError;
use crate::input::{Bio, CommentInput, PostInput};
use crate::keys::Key;
use crate::limits::{Rule, Subject};
use crate::session::{LoggedIn, User};
use crate::state::AppState;

/// The same comment of the same session within this time is one comment that was sent twice.
const SUBMISSION_WINDOW_S: i64 = 60;

/// Publishes a post. The same submission of the same user makes one post, however often it comes.
pub async fn publish(
    state: &AppState,
    author: &User,
    post: &PostInput,
    submission: Option<Uuid>,
) -> Result<AddedPost, AppError> {
    state.limits.check(&[(Rule::Post, Subject::User(author.id))]).await?;
    let new_post = NewPost {
        author_id: author.id,
        title: post.title.as_str(),
        content: post.content.as_str(),
        tags: post.tags.as_slice(),
        submission,
    };
    let added = db::add_post(&state.pool, new_post).await?;
    // Even if it is not new: whoever sends it again may do so because the server that stored it fell before it came to this.
    forget_post(state, added.id, author.id, &added.tag_ids).await;
    Ok(added)
}

/// Changes a post. None if there is no such post of this user.
pub async fn change(
    state: &AppState,
    author: &User,
    post_id: i64,
    post: &PostInput,
) -> Result<Option<ChangedPost>, AppError> {
    state.limits.check(&[(Rule::Post, Subject::User(author.id))]).await?;
    let (title, content) = (post.title.as_str(), post.content.as_str());
    let changed = db::update_post(&state.pool, post_id, author.id, title, content, post.tags.as_slice()).await?;
    if let Some(changed) = &changed {
        forget_post(state, post_id, author.id, &changed.tag_ids).await;
    }
    Ok(changed)
}

/// Deletes a post with its comments. None if there is no such post of this user.
pub async fn delete(state: &AppState, author: &User, post_id: i64) -> Result<Option<ChangedPost>, AppError> {
    state.limits.check(&[(Rule::Post, Subject::User(author.id))]).await?;
    let deleted = db::delete_post(&state.pool, post_id, author.id).await?;
    if let Some(deleted) = &deleted {
        forget_post(state, post_id, author.id, &deleted.tag_ids).await;
    }
    Ok(deleted)
}

/// Adds a comment. Who names no submission gets one from what is sent: a browser that sends a form twice, because of a second click or
/// because a balancer tried again, makes one comment.
pub async fn comment(
    state: &AppState,
    author: &LoggedIn,
    post_id: i64,
    comment: &CommentInput,
    submission: Option<Uuid>,
) -> Result<AddedComment, AppError> {
    state.limits.check(&[(Rule::Comment, Subject::User(author.user.id))]).await?;
    let added = add_comment(state, author, post_id, comment.content.as_str(), submission).await?;
    // Even if it is not new: whoever sends it again may do so because the server that stored it fell before it came to this.
    state.cache.invalidate(&[Tag::Post(post_id)]).await;
    Ok(added)
}

async fn add_comment(
    state: &AppState,
    author: &LoggedIn,
    post_id: i64,
    content: &str,
    submission: Option<Uuid>,
) -> Result<AddedComment, AppError> {
    let submission = match submission {
        Some(submission) => submission,
        None => {
            let window = Utc::now().timestamp() / SUBMISSION_WINDOW_S;
            // A form that was sent again just after the end of a window belongs to the one before.
            let before = derived_submission(state, author, post_id, content, window - 1);
            if let Some(id) = db::find_submitted_comment(&state.pool, author.user.id, Some(before)).await? {
                return Ok(AddedComment { id, is_new: false });
            }
            derived_submission(state, author, post_id, content, window)
        }
    };
    let added = db::add_comment(&state.pool, post_id, author.user.id, content, Some(submission)).await;
    added.map_err(|error| match error {
        AddCommentError::NoSuchPost => AppError::NotFound(format!("post {post_id}")),
        // The account is gone, so nobody is logged in.
        AddCommentError::NoSuchUser => AppError::LogInFirst { next: format!("/posts/{post_id}#comments") },
        AddCommentError::Database(error) => error.into(),
    })
}

/// Changes what a user says about themselves.
pub async fn change_bio(state: &AppState, user: &User, bio: &Bio) -> Result<(), AppError> {
    state.limits.check(&[(Rule::Post, Subject::User(user.id))]).await?;
    db::update_bio(&state.pool, user.id, bio.as_str()).await?;
    state.cache.invalidate(&[Tag::Author(user.id)]).await;
    Ok(())
}

/// What shows a post: its own page, the lists of everybody, of its author and of its tags.
async fn forget_post(state: &AppState, post_id: i64, author_id: i64, tag_ids: &[i64]) {
    let mut tags = vec![Tag::PostList, Tag::Post(post_id), Tag::Author(author_id)];
    tags.extend(tag_ids.iter().copied().map(Tag::Tag));
    state.cache.invalidate(&tags).await;
}

/// Keyed, so that nobody can choose the submissions of others.
fn derived_submission(state: &AppState, author: &LoggedIn, post_id: i64, content: &str, window: i64) -> Uuid {
    let key = Key::new(state.config.secret.as_bytes()).derive("submissions");
    let token = author.session.id().token();
    let parts = [token.as_bytes(), &post_id.to_be_bytes(), content.as_bytes(), &window.to_be_bytes()];
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&key.authenticate(&parts)[..16]);
    Builder::from_custom_bytes(bytes).into_uuid()
}
