//! Whether the server lives, and whether it should be sent requests.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use sqlx::Connection;

use crate::server::AppState;

/// How long the database may take to answer before the server counts as not ready.
const READY_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) fn router() -> Router<AppState> {
    Router::new().route("/livez", get(livez)).route("/readyz", get(readyz))
}

/// The process answers. No input or output, so that a slow database never gets a live server restarted.
async fn livez() -> &'static str {
    "alive\n"
}

/// The server can serve: the database answers and the server is not stopping. Redis does not count, because pages come without it, and
/// a Redis that is away must not take every server out of the balancer.
async fn readyz(State(state): State<AppState>) -> (StatusCode, &'static str) {
    if state.draining.load(Ordering::Relaxed) {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    let ping = async { state.pool.pool().acquire().await?.ping().await };
    match tokio::time::timeout(READY_TIMEOUT, ping).await {
        Ok(Ok(())) => (StatusCode::OK, "ready\n"),
        Ok(Err(error)) => {
            tracing::debug!(%error, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "the database is not reachable\n")
        }
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n"),
    }
}
