//! The routes, one file per resource. A handler reads its input, asks the database through the cache, and renders a page.

mod accounts;
pub mod api;
mod assets;
mod at_once;
mod comments;
mod feed;
mod forms;
mod health;
mod lists;
mod next;
mod posts;
mod reading_list;
mod writing;

pub use assets::STYLE_ADDRESS;
pub use at_once::{AtOnce, Handling, Straight, at_once, straight};

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tower_http::csrf::{CsrfLayer, ProtectionError};

use crate::error::AppError;
use crate::state::AppState;

/// The template of every address, as the routers have it: the labels of the metrics. A route that is not here counts as `other`; a test
/// looks for those.
pub const ADDRESSES: &[&str] = &[
    "/",
    "/posts/{id}",
    "/posts/{id}/comments",
    "/authors/{id}",
    "/tags/{name}",
    "/register",
    "/login",
    "/logout",
    "/account",
    "/write",
    "/posts/{id}/edit",
    "/posts/{id}/delete",
    "/reading-list",
    "/reading-list/remove",
    "/feed.atom",
    "/authors/{id}/feed.atom",
    "/tags/{name}/feed.atom",
    "/api/openapi.json",
    "/api/posts",
    "/api/posts/{id}",
    "/api/posts/{id}/comments",
    "/api/users",
    "/api/users/{id}",
    "/api/users/me",
    "/api/sessions",
    "/api/tags",
    "/assets/{file}",
    "/favicon.svg",
    "/robots.txt",
    "/livez",
    "/readyz",
    "/metrics",
];

/// Where a body may be as long as a post.
pub const LONG_BODIES: &[&str] = &["/write", "/posts/{id}/edit", "/api/posts", "/api/posts/{id}"];

/// Every route of the app.
pub fn router() -> Router<AppState> {
    Router::new()
        .merge(lists::router())
        .merge(posts::router())
        .merge(health::router())
        .merge(feed::router())
        .merge(assets::router())
        .merge(api::router())
        .merge(changing())
        .fallback(not_found)
}

/// Every route that changes something. What another site makes a browser send to one of them is refused, whatever cookies come with it.
///
/// The browser says where a request comes from, in `Sec-Fetch-Site` or at least in `Origin`; clients that are no browsers say neither, and
/// carry no cookies that somebody else could use. So no form needs a token, and a page with a form can be the same for everybody.
fn changing() -> Router<AppState> {
    Router::new()
        .merge(accounts::router())
        .merge(writing::router())
        .merge(comments::router())
        .merge(reading_list::router())
        .layer(CsrfLayer::new().with_rejection_response(refuse_foreign))
}

fn refuse_foreign(_: ProtectionError) -> Response {
    let message = "This form was sent from another site, so nothing was changed. Please use the one on our own pages.";
    AppError::Refused { status: StatusCode::FORBIDDEN, message: message.to_owned() }.into_response()
}

async fn not_found(request: Request) -> AppError {
    let path: String = request.uri().path().chars().take(100).collect();
    AppError::NotFound(format!("page at {path}"))
}

/// An id in an address. What is not a number names nothing, so it is not found rather than wrong.
fn parse_id(what: &str, text: &str) -> Result<i64, AppError> {
    text.parse().map_err(|_| AppError::NotFound(format!("{what} “{}”", text.chars().take(40).collect::<String>())))
}
