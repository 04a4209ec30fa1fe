//! The routes, one file per resource. A handler reads its input, asks the database through the cache, and renders a page.

mod assets;
mod comments;
mod health;
mod lists;
mod posts;

pub use assets::STYLE_ADDRESS;

use axum::Router;
use axum::extract::Request;
use axum::http::HeaderName;
use axum::response::Response;

use crate::cache::{Level, Outcome, status_header};
use crate::error::AppError;
use crate::server::AppState;

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// The template of every address, as the routers have it: the labels of the metrics. A route that is not here counts as `other`; a test
/// looks for those.
pub const ADDRESSES: &[&str] = &[
    "/",
    "/posts/{id}",
    "/posts/{id}/comments",
    "/authors/{id}",
    "/tags/{name}",
    "/assets/{file}",
    "/favicon.svg",
    "/robots.txt",
    "/livez",
    "/readyz",
    "/metrics",
];

/// Where a body may be as long as a post.
pub const LONG_BODIES: &[&str] = &[];

/// Every route of the app.
pub fn router() -> Router<AppState> {
    Router::new()
        .merge(lists::router())
        .merge(posts::router())
        .merge(comments::router())
        .merge(health::router())
        .merge(assets::router())
        .fallback(not_found)
}

async fn not_found(request: Request) -> AppError {
    let path: String = request.uri().path().chars().take(100).collect();
    AppError::NotFound(format!("page at {path}"))
}

/// An id in an address. What is not a number names nothing, so it is not found rather than wrong.
fn parse_id(what: &str, text: &str) -> Result<i64, AppError> {
    text.parse().map_err(|_| AppError::NotFound(format!("{what} “{}”", text.chars().take(40).collect::<String>())))
}

/// Says in the response what the cache did.
fn with_cache_status(mut response: Response, outcomes: &[(Level, Outcome)]) -> Response {
    if let Ok(value) = status_header(outcomes).parse() {
        response.headers_mut().insert(CACHE_STATUS, value);
    }
    response
}
