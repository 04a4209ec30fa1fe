//! The JSON API under `/api`, and the document that describes it.
//!
//! Routes and document come from the same lines: a handler carries its description, and `routes!` registers both. Whatever goes wrong under
//! `/api` is answered with `application/problem+json`, also by the router and by the edge of the server.

mod comments;
mod extract;
mod failures;
mod posts;
mod problem;
mod respond;
mod sessions;
mod tags;
mod users;

use std::sync::LazyLock;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use tower_http::csrf::CsrfLayer;
use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::forms::CREDENTIALS_BYTES_MAX;
use super::refuse_foreign;
use crate::error::AppError;
use crate::http::Wants;
use crate::state::AppState;

pub use problem::as_problem;

/// The largest body with a post: 100,000 characters, each as the twelve of `\\ud83e\\udd80`, and a title.
const POST_BYTES_MAX: usize = 1280 * 1024;

/// The head of the document. Everything else comes from the handlers.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Loadbook blog",
        version = "1",
        description = "Posts, comments, users and tags of the blog. Lists are cut by a cursor: pass `next` of one page as `before` of \
                       the following one. Everything that fails is answered with `application/problem+json` (RFC 9457)."
    ),
    servers((url = "/api")),
    tags(
        (name = "posts", description = "What authors write"),
        (name = "comments", description = "What readers answer"),
        (name = "users", description = "Who writes"),
        (name = "sessions", description = "Logging in and out"),
        (name = "tags", description = "Subjects of posts"),
    )
)]
struct Head;

/// Routes and document, not yet taken apart.
fn described() -> OpenApiRouter<AppState> {
    let credentials = OpenApiRouter::new()
        .routes(routes!(users::create))
        .routes(routes!(sessions::create, sessions::delete))
        .layer(DefaultBodyLimit::max(CREDENTIALS_BYTES_MAX));
    OpenApiRouter::with_openapi(Head::openapi())
        .routes(routes!(posts::list, posts::create))
        .routes(routes!(posts::show, posts::replace, posts::delete))
        .layer(DefaultBodyLimit::max(POST_BYTES_MAX))
        .routes(routes!(comments::list, comments::create))
        .routes(routes!(users::show))
        .routes(routes!(users::show_own, users::change_own))
        .routes(routes!(tags::list))
        .merge(credentials)
}

/// The document as it is served.
static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| {
    let mut document = described().into_openapi();
    let components = document.components.get_or_insert_default();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("The token of a session")).build();
    components.add_security_scheme("token", SecurityScheme::Http(bearer));
    let cookie = ApiKey::Cookie(ApiKeyValue::with_description("session", "The same token, as browsers send it"));
    components.add_security_scheme("cookie", SecurityScheme::ApiKey(cookie));
    match document.to_json() {
        Ok(text) => text.into(),
        Err(error) => panic!("the document of the API cannot be written: {error}"),
    }
});

/// Whether an address is one of the API, even if there is nothing.
pub fn is_here(path: &str) -> bool {
    path.strip_prefix("/api").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

pub(super) fn router() -> Router<AppState> {
    let (routes, _) = described().split_for_parts();
    let routes = routes.fallback(not_found).layer(CsrfLayer::new().with_rejection_response(refuse_foreign));
    Router::new().nest("/api", routes).route("/api/openapi.json", get(document))
}

/// The document itself.
async fn document(wants: Wants) -> Response {
    respond::public(&wants, DOCUMENT.clone())
}

async fn not_found(request: Request) -> AppError {
    let path: String = request.uri().path().chars().take(100).collect();
    AppError::NotFound(format!("resource at /api{path}"))
}
