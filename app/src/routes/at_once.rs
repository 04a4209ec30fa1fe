//! The short ways of pages that are kept as a whole. The router finds a handler by putting half a dozen things on the heap, which is as
//! much as all the rest of a page from the cache; so the addresses of these pages, written plainly, do not pass it.
//!
//! What lies in this server's memory, and need not be asked about, is answered at once. Everything else goes straight to its handler,
//! which is the same function that the router would have called in the end. A test holds all ways against each other.

use std::convert::Infallible;
use std::pin::Pin;

use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};

use super::{feed, lists};
use crate::cache::{FEEDS, Key, LISTS, Policy};
use crate::cursor::Cursor;
use crate::error::AppError;
use crate::http::{self, Content, Page, Wants};
use crate::input::TagName;
use crate::state::AppState;

/// Answers a GET request without a body, from its address and headers, if that can be done at once.
pub type AtOnce = Box<dyn Fn(&Uri, &HeaderMap) -> Option<Response> + Send + Sync>;

/// Calls the handler of a GET request without a body, if its address is one of these.
pub type Straight = Box<dyn Fn(&Uri, &HeaderMap) -> Option<Handling> + Send + Sync>;

/// A handler at work.
pub type Handling = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

/// The way to an answer without waiting for anybody, if this server ever shows something without asking whether it still counts.
pub fn at_once(state: &AppState) -> Option<AtOnce> {
    let cache = state.cache.clone();
    let answer = move |uri: &Uri, headers: &HeaderMap| {
        let (policy, content, key) = kept_as(uri)?;
        let found = cache.at_once(policy, key)?;
        Some(http::respond(&Wants::of(headers), Page::cached(content, &found)))
    };
    state.cache.is_trusting().then(|| Box::new(answer) as AtOnce)
}

/// The way to a handler without the router.
pub fn straight(state: &AppState) -> Straight {
    let state = state.clone();
    Box::new(move |uri: &Uri, headers: &HeaderMap| {
        let (_, _, key) = kept_as(uri)?;
        let (state, wants) = (state.clone(), Wants::of(headers));
        match key {
            Key::PostList(before) => Some(boxed(lists::show_all(state, wants, before))),
            Key::AuthorPage(author_id, before) => Some(boxed(lists::show_by_author(state, wants, author_id, before))),
            Key::TagPage(name, before) => Some(boxed(lists::show_by_tag(state, wants, name, before))),
            Key::Feed => Some(boxed(feed::show_all(state, wants))),
            Key::AuthorFeed(author_id) => Some(boxed(feed::show_by_author(state, wants, author_id))),
            Key::TagFeed(name) => Some(boxed(feed::show_by_tag(state, wants, name))),
            // Parts of a page, and a page that is put together from them, need more than their key.
            Key::Article(_) | Key::RecentComments(_) | Key::CommentCount(_) | Key::PostPage(_) => None,
        }
    })
}

fn boxed(handling: impl Future<Output = Result<Response, AppError>> + Send + 'static) -> Handling {
    Box::pin(async { Ok(handling.await.into_response()) })
}

/// What the handler of an address keeps its page as. None if it keeps no whole page, and for every address that is not written in the
/// plainest way: the handlers know better what to make of it.
fn kept_as(uri: &Uri) -> Option<(&'static Policy, Content, Key)> {
    let before = match uri.query() {
        None => Cursor::START,
        Some(query) => query.strip_prefix("before=")?.parse().ok()?,
    };
    let list = |key| Some((&LISTS, Content::Html, key));
    let feed = |key| Some((&FEEDS, Content::Atom, key));
    match uri.path() {
        "/" => list(Key::PostList(before)),
        "/feed.atom" => feed(Key::Feed),
        path => {
            let (kind, name) = path.strip_prefix('/')?.split_once('/')?;
            match (kind, name.strip_suffix("/feed.atom")) {
                ("authors", None) => list(Key::AuthorPage(name.parse().ok()?, before)),
                ("authors", Some(id)) => feed(Key::AuthorFeed(id.parse().ok()?)),
                ("tags", None) => list(Key::TagPage(TagName::new(name)?, before)),
                ("tags", Some(name)) => feed(Key::TagFeed(TagName::new(name)?)),
                _ => None,
            }
        }
    }
}
