//! The server: binds, serves, and drains. What is served is none of its business.

use std::any::Any;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tower_http::catch_panic::CatchPanicLayer;

use crate::accounts::Passwords;
use crate::cache::Cache;
use crate::config::Config;
use crate::db::Database;
use crate::error::AppError;
use crate::limits::Limits;
use crate::session::Sessions;
use crate::{db, routes};

/// The largest body of a request. A comment of 2,000 characters of four bytes, percent-encoded, is 24,000.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// How long requests that are under way may take after a stop signal. Longer than a request is allowed to take by default.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(15);

const X_SERVED_BY: HeaderName = HeaderName::from_static("x-served-by");

/// What every handler can reach.
#[derive(Clone)]
pub struct AppState {
    /// The database.
    pub pool: Database,
    /// The cache.
    pub cache: Cache,
    /// The sessions.
    pub sessions: Sessions,
    /// The hashing of passwords.
    pub passwords: Passwords,
    /// How often something may be done.
    pub limits: Limits,
    /// The configuration, as it was read.
    pub config: Arc<Config>,
    /// Whether the server is stopping: readiness says so, so that a balancer looks elsewhere.
    pub draining: Arc<AtomicBool>,
}

/// A server that is bound and not yet serving.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
    state: AppState,
}

impl Server {
    /// Binds the address. The database and Redis need not be there yet.
    pub async fn bind(config: Config) -> anyhow::Result<Self> {
        let pool = db::connect_lazily(&config.database_url, &config.name, config.database_connections)?;
        let state = AppState {
            pool: Database::new(pool, config.sql_comments),
            cache: Cache::connect(config.cache.clone())?,
            sessions: Sessions::from_config(&config)?,
            passwords: Passwords::from_config(&config)?,
            limits: Limits::from_config(&config)?,
            config: Arc::new(config.clone()),
            draining: Arc::default(),
        };
        let listener = TcpListener::bind(config.listen).await.with_context(|| {
            format!(
                "cannot listen on `{}`; choose another address with `APP_LISTEN`, or port 0 for a free one",
                config.listen
            )
        })?;
        let address = listener.local_addr().context("cannot read the address that was bound")?;
        let name = HeaderValue::from_str(&config.name).context("`APP_NAME` does not fit into a header")?;
        let router = with_layers(routes::router().with_state(state.clone()), name, config.request_timeout);
        Ok(Self { listener, address, router, state })
    }

    /// The address that was bound, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` completes, then finishes the requests that are under way.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> anyhow::Result<()> {
        let Self { listener, address, router, state } = self;
        tracing::info!(%address, "serving");
        let (stopping, stopped) = tokio::sync::oneshot::channel::<()>();
        let draining = Arc::clone(&state.draining);
        let stop = async move {
            stop.await;
            draining.store(true, Ordering::Relaxed);
            tracing::info!("stopping");
            let _ = stopping.send(());
        };
        let listener = listener.tap_io(|stream| {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "cannot switch TCP_NODELAY on");
            }
        });
        let serving = axum::serve(listener, router).with_graceful_shutdown(stop);
        let deadline = async move {
            // An error means that serving ended by itself, and then the other branch wins.
            let _ = stopped.await;
            tokio::time::sleep(DRAIN_TIMEOUT).await;
        };
        tokio::select! {
            result = serving => result.context("serving failed")?,
            () = deadline => tracing::warn!("some requests did not end in time and were cut off"),
        }
        state.pool.pool().close().await;
        Ok(())
    }
}

/// Completes on SIGTERM or SIGINT. The handlers are in place when this returns, so that no signal is lost afterwards.
pub fn stop_signal() -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => (),
            _ = interrupt.recv() => (),
        }
    })
}

/// Puts around the routes what holds for all of them, innermost first.
fn with_layers(router: Router, name: HeaderValue, request_timeout: Duration) -> Router {
    router
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(request_timeout, limit_time))
        .layer(CatchPanicLayer::custom(answer_panic))
        .layer(middleware::from_fn_with_state(name, stamp))
}

async fn limit_time(State(request_timeout): State<Duration>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(request_timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => AppError::TimedOut.into_response(),
    }
}

/// Says which server answered.
async fn stamp(State(name): State<HeaderValue>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(X_SERVED_BY, name);
    response
}

/// A panic is a mistake of ours in one request; the others go on.
fn answer_panic(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    AppError::Internal(anyhow::anyhow!("panic: {}", text.unwrap_or("no message"))).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::StatusCode;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    async fn answer(path: &str) -> Response {
        let router = Router::new()
            .route(
                "/panic",
                get(|| async {
                    if true {
                        panic!("as intended")
                    }
                }),
            )
            .route("/slow", get(|| tokio::time::sleep(Duration::from_secs(60))));
        let router = with_layers(router, HeaderValue::from_static("app-7"), Duration::from_millis(20));
        router.oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn a_panic_is_one_500() {
        let response = answer("/panic").await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.headers()["x-served-by"], "app-7");
    }

    #[tokio::test]
    async fn a_request_that_takes_too_long_is_a_503() {
        let response = answer("/slow").await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()["retry-after"], "1");
    }
}
