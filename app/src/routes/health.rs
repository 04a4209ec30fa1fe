//! Whether the server lives, whether it should be sent requests, and what it has counted.

use std::sync::LazyLock;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::extract::{Extension, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::assets::Asset;
use crate::error::AppError;
use crate::server::{AppState, OPENMETRICS, PeerAddress};

static ALIVE: LazyLock<Asset> = LazyLock::new(|| Asset::new("text/plain; charset=utf-8", "no-store", "alive\n"));

/// How long the database may take to answer before the server counts as not ready.
const READY_TIMEOUT: Duration = Duration::from_secs(1);

/// What a proxy adds to what it passes on.
const FORWARDING_HEADERS: [&str; 5] =
    ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"];

pub(super) fn router() -> Router<AppState> {
    Router::new().route("/livez", get(livez)).route("/readyz", get(readyz)).route("/metrics", get(metrics))
}

/// The process answers. No input or output, so that a slow database never gets a live server restarted.
async fn livez() -> Response {
    ALIVE.response()
}

/// The server can serve: the database answers and the server is not stopping. Redis does not count, because pages come without it, and
/// a Redis that is away must not take every server out of the balancer.
async fn readyz(State(state): State<AppState>) -> (StatusCode, &'static str) {
    if state.draining.load(Ordering::Relaxed) {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    match tokio::time::timeout(READY_TIMEOUT, state.pool.ping()).await {
        Ok(Ok(())) => (StatusCode::OK, "ready\n"),
        Ok(Err(error)) => {
            tracing::debug!(%error, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "the database is not reachable\n")
        }
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n"),
    }
}

/// What the server has counted, for somebody who asks it directly: from this machine, or from an address that is trusted. What came
/// through a proxy came from somewhere else, so for that, and for everybody else, there is no such page.
async fn metrics(
    State(state): State<AppState>,
    Extension(PeerAddress(peer)): Extension<PeerAddress>,
    headers: HeaderMap,
) -> Result<Response, AppError> {
    let is_near = peer.ip().is_loopback() || state.config.trusted_proxies.contains(&peer.ip());
    let is_forwarded = FORWARDING_HEADERS.iter().any(|name| headers.contains_key(*name));
    if !is_near || is_forwarded {
        return Err(AppError::NotFound("page at /metrics".to_owned()));
    }
    Ok(([(CONTENT_TYPE, OPENMETRICS), (CACHE_CONTROL, "no-store")], state.metrics.render()).into_response())
}
