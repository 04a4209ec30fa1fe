//! The short way of a page that lies whole in this server's memory: from its address to the answer without the router, which finds a
//! handler by putting half a dozen things on the heap. It asks nobody and makes nothing: what it does not find, or what may soon have
//! to be made anew, goes the long way. Both answer alike; a test compares them.

use axum::http::{HeaderMap, Uri};
use axum::response::Response;

use crate::cache::{FEEDS, Key, LISTS, Policy};
use crate::cursor::Cursor;
use crate::http::{self, Content, Page, Wants};
use crate::input::TagName;
use crate::state::AppState;

/// Answers a GET request without a body, from its address and headers, if that can be done at once.
pub type AtOnce = Box<dyn Fn(&Uri, &HeaderMap) -> Option<Response> + Send + Sync>;

/// The short way, if this server ever shows something without asking whether it still counts.
pub fn at_once(state: &AppState) -> Option<AtOnce> {
    let cache = state.cache.clone();
    let answer = move |uri: &Uri, headers: &HeaderMap| {
        let (policy, content, key) = kept_as(uri)?;
        let found = cache.at_once(policy, key)?;
        Some(http::respond(&Wants::of(headers), Page::cached(content, &found)))
    };
    state.cache.is_trusting().then(|| Box::new(answer) as AtOnce)
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
