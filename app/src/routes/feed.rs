//! The feeds: the latest posts of all, of an author, of a tag, as Atom, for those who rather read elsewhere.
//!
//! Addresses in a feed are absolute, and begin with the configured address of the blog: what a client writes into `Host` must not become
//! a link for others. The address of a post is its name for good, so a reader never shows a post twice.

use atom_syndication::{Category, Entry, Feed, FixedDateTime, Generator, Link, Person, Text, WriteConfig};
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::parse_id;
use crate::cache::{FEEDS, Key};
use crate::cursor::Cursor;
use crate::db::{self, PostSummary};
use crate::error::AppError;
use crate::http::{self, Content, Page, Wants};
use crate::input::TagName;
use crate::markdown;
use crate::state::AppState;

/// How many posts a feed holds.
const FEED_POSTS: i64 = 20;

/// How much of a post the lists of the database give.
const EXCERPT_CHARACTERS: usize = 240;

pub(super) fn router() -> Router<AppState> {
    Router::new()
        .route("/feed.atom", get(all))
        .route("/authors/{id}/feed.atom", get(by_author))
        .route("/tags/{name}/feed.atom", get(by_tag))
}

async fn all(State(state): State<AppState>, wants: Wants) -> Result<Response, AppError> {
    show_all(state, wants).await
}

/// The feed of all posts.
pub(super) async fn show_all(state: AppState, wants: Wants) -> Result<Response, AppError> {
    let cache = state.cache.clone();
    let make = move || async move {
        let posts = db::list_posts(&state.pool, Cursor::START, FEED_POSTS).await?;
        write(&state, &Head { title: "Loadbook blog".to_owned(), path: "/" }, &posts)
    };
    let found = cache.get_or_make(&FEEDS, Key::Feed, make).await?;
    Ok(http::respond(&wants, Page::cached(Content::Atom, &found)))
}

async fn by_author(State(state): State<AppState>, wants: Wants, Path(id): Path<String>) -> Result<Response, AppError> {
    show_by_author(state, wants, parse_id("author", &id)?).await
}

/// The feed of an author.
pub(super) async fn show_by_author(state: AppState, wants: Wants, author_id: i64) -> Result<Response, AppError> {
    let cache = state.cache.clone();
    let make = move || async move {
        let author = db::find_author(&state.pool, author_id).await?;
        let author = author.ok_or_else(|| AppError::NotFound(format!("author {author_id}")))?;
        let posts = db::list_posts_by_author(&state.pool, author_id, Cursor::START, FEED_POSTS).await?;
        let head = Head { title: format!("Posts by {}", author.username), path: &format!("/authors/{author_id}") };
        write(&state, &head, &posts)
    };
    let found = cache.get_or_make(&FEEDS, Key::AuthorFeed(author_id), make).await?;
    Ok(http::respond(&wants, Page::cached(Content::Atom, &found)))
}

async fn by_tag(State(state): State<AppState>, wants: Wants, Path(name): Path<String>) -> Result<Response, AppError> {
    // What cannot be a name is not looked for, and leaves nothing in the cache.
    show_by_tag(state, wants, TagName::new(&name).ok_or_else(no_tag)?).await
}

fn no_tag() -> AppError {
    AppError::NotFound("tag of this name".to_owned())
}

/// The feed of a tag.
pub(super) async fn show_by_tag(state: AppState, wants: Wants, name: TagName) -> Result<Response, AppError> {
    let cache = state.cache.clone();
    let make = move || async move {
        let tag = db::find_tag(&state.pool, name.as_str()).await?.ok_or_else(no_tag)?;
        let posts = db::list_posts_by_tag(&state.pool, tag.id, Cursor::START, FEED_POSTS).await?;
        let head = Head { title: format!("Posts tagged {}", tag.name), path: &format!("/tags/{}", tag.name) };
        write(&state, &head, &posts)
    };
    let found = cache.get_or_make(&FEEDS, Key::TagFeed(name), make).await?;
    Ok(http::respond(&wants, Page::cached(Content::Atom, &found)))
}

/// What a feed says about itself.
struct Head<'a> {
    title: String,
    /// The page that shows the same posts.
    path: &'a str,
}

fn write(state: &AppState, head: &Head<'_>, posts: &[PostSummary]) -> Result<Bytes, AppError> {
    let feed = feed(&state.config.public_url, head, posts);
    let config = WriteConfig { write_document_declaration: true, indent_size: Some(1) };
    let body = feed.write_with_config(Vec::new(), config).map_err(|error| AppError::Internal(error.into()))?;
    Ok(body.into())
}

/// Makes a feed. Pure, so that what it is made of can be anything.
fn feed(public_url: &str, head: &Head<'_>, posts: &[PostSummary]) -> Feed {
    let base = public_url.trim_end_matches('/');
    let page = format!("{base}{}", head.path);
    let address = format!("{base}{}/feed.atom", head.path.trim_end_matches('/'));
    let updated = posts.iter().map(updated_at).max().unwrap_or(DateTime::UNIX_EPOCH);
    Feed {
        title: Text::plain(legal(&head.title)),
        subtitle: Some(Text::plain("notes on backends under load")),
        id: address.clone(),
        updated: fixed(updated),
        links: vec![link("self", address, "application/atom+xml"), link("alternate", page, "text/html")],
        generator: Some(Generator { value: "Loadbook".to_owned(), uri: None, version: None }),
        entries: posts.iter().map(|post| entry(base, post)).collect(),
        ..Feed::default()
    }
}

fn entry(base: &str, post: &PostSummary) -> Entry {
    let address = format!("{base}/posts/{}", post.id);
    let author = Person {
        name: legal(&post.author),
        email: None,
        uri: Some(format!("{base}/authors/{}", post.author_id)),
        ..Person::default()
    };
    let category = |tag: &String| Category { term: tag.clone(), scheme: Some(format!("{base}/tags/")), label: None };
    Entry {
        title: Text::plain(legal(&post.title)),
        id: address.clone(),
        published: Some(fixed(post.created_at)),
        updated: fixed(updated_at(post)),
        authors: vec![author],
        categories: post.tags.iter().map(category).collect(),
        links: vec![link("alternate", address, "text/html")],
        summary: Some(Text::plain(legal(&markdown::excerpt(&post.excerpt, EXCERPT_CHARACTERS)))),
        ..Entry::default()
    }
}

fn link(rel: &str, href: String, mime_type: &str) -> Link {
    Link { href, rel: rel.to_owned(), mime_type: Some(mime_type.to_owned()), ..Link::default() }
}

fn updated_at(post: &PostSummary) -> DateTime<Utc> {
    post.updated_at.unwrap_or(post.created_at)
}

/// XML has no sign for "Z" that the library would write, and `+00:00` means the same.
fn fixed(time: DateTime<Utc>) -> FixedDateTime {
    time.fixed_offset()
}

/// The text without the characters that XML cannot carry at all, not even escaped: one of them would break the feed for everybody.
fn legal(text: &str) -> String {
    let is_legal = |character: &char| matches!(character, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    text.chars().filter(is_legal).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn post(title: String, excerpt: String) -> PostSummary {
        PostSummary {
            id: 42,
            title,
            excerpt,
            created_at: DateTime::from_timestamp(1_767_225_600, 0).unwrap(),
            updated_at: None,
            author_id: 7,
            author: "ada".to_owned(),
            tags: vec!["rust".to_owned()],
            comment_count: 0,
        }
    }

    fn written(feed: &Feed) -> Vec<u8> {
        feed.write_to(Vec::new()).unwrap()
    }

    #[test]
    fn an_empty_feed_is_a_feed() {
        let head = Head { title: "None".to_owned(), path: "/" };
        let read = Feed::read_from(&written(&feed("https://blog.example/", &head, &[]))[..]).unwrap();
        assert_eq!(read.id, "https://blog.example/feed.atom");
        assert_eq!(read.links[1].href, "https://blog.example/");
    }

    #[test]
    fn a_post_that_was_changed_says_so() {
        let mut changed = post("t".to_owned(), "x".to_owned());
        changed.updated_at = DateTime::from_timestamp(1_767_300_000, 0);
        let head = Head { title: "All".to_owned(), path: "/" };
        let feed = feed("https://blog.example", &head, &[post("u".to_owned(), "y".to_owned()), changed]);
        assert_eq!(feed.updated.timestamp(), 1_767_300_000);
        assert_eq!(feed.entries[0].updated, feed.entries[0].published.unwrap());
        assert!(feed.entries[1].updated > feed.entries[1].published.unwrap());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever authors write, the feed is one that a reader can read, and it says what they wrote.
        #[test]
        fn any_post_makes_a_feed(title: String, excerpt in any::<String>()) {
            let head = Head { title: title.clone(), path: "/tags/x" };
            let made = feed("https://blog.example", &head, &[post(title.clone(), excerpt)]);
            let read = Feed::read_from(&written(&made)[..]).unwrap();
            prop_assert_eq!(read.entries.len(), 1);
            // Line ends are one kind in XML, and space around a text does not count for those who read feeds.
            let seen = |text: &str| legal(text).replace("\r\n", "\n").replace('\r', "\n").trim().to_owned();
            prop_assert_eq!(seen(&read.entries[0].title.value), seen(&title));
            prop_assert_eq!(&read.entries[0].id, "https://blog.example/posts/42");
            prop_assert_eq!(&read.id, "https://blog.example/tags/x/feed.atom");
        }
    }
}
