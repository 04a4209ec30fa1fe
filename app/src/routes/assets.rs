//! The one asset: the style sheet, compiled in.

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::routing::get;

use crate::server::AppState;

pub(super) fn router() -> Router<AppState> {
    Router::new().route("/assets/style.css", get(style))
}

async fn style() -> ([(axum::http::HeaderName, &'static str); 2], &'static str) {
    let headers = [(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, "public, max-age=300")];
    (headers, include_str!("../../assets/style.css"))
}
