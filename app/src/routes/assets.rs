//! The files that pages load, compiled in. The address of each holds a hash of its content, so that a browser may keep it for ever: a
//! file that changes has another address.

use std::sync::LazyLock;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::error::AppError;
use crate::server::{self, AppState};

const STYLE: &str = include_str!("../../assets/style.css");
const ICON: &str = include_str!("../../assets/favicon.svg");
const ROBOTS: &str = include_str!("../../assets/robots.txt");

/// Where the style sheet is: `/assets/style-HASH.css`.
pub static STYLE_ADDRESS: LazyLock<String> = LazyLock::new(|| {
    let hash: String = Sha256::digest(STYLE).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("/assets/style-{hash}.css")
});

/// A response that is the same for everybody, ready to be given away.
pub(super) struct Asset {
    headers: HeaderMap,
    body: Bytes,
}

impl Asset {
    pub(super) fn new(content_type: &'static str, cache_control: &'static str, content: &'static str) -> Self {
        let mut headers = HeaderMap::with_capacity(16);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache_control));
        server::prepare_headers(&mut headers);
        Self { headers, body: Bytes::from_static(content.as_bytes()) }
    }

    pub(super) fn response(&self) -> Response {
        // Not as a tuple: that would put every header into another map, one by one.
        let mut response = Response::new(Body::from(self.body.clone()));
        *response.headers_mut() = self.headers.clone();
        response
    }
}

/// What may be kept for ever, because its address names its content.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// What has a fixed address, because browsers and robots look for it there.
const A_DAY: &str = "public, max-age=86400";

static STYLE_ASSET: LazyLock<Asset> = LazyLock::new(|| Asset::new("text/css; charset=utf-8", FOR_EVER, STYLE));
static ICON_ASSET: LazyLock<Asset> = LazyLock::new(|| Asset::new("image/svg+xml", A_DAY, ICON));
static ROBOTS_ASSET: LazyLock<Asset> = LazyLock::new(|| Asset::new("text/plain; charset=utf-8", A_DAY, ROBOTS));

pub(super) fn router() -> Router<AppState> {
    Router::new()
        .route("/assets/{file}", get(file))
        .route("/favicon.svg", get(async || ICON_ASSET.response()))
        .route("/robots.txt", get(async || ROBOTS_ASSET.response()))
}

async fn file(Path(file): Path<String>) -> Result<Response, AppError> {
    // The old style sheet of a page that was kept somewhere is gone with the program that had it; there is nothing to say but 404.
    if STYLE_ADDRESS.strip_prefix("/assets/") == Some(&file) {
        return Ok(STYLE_ASSET.response());
    }
    Err(AppError::NotFound(format!("file “{}”", file.chars().take(40).collect::<String>())))
}
