//! The server: binds, accepts, and drains. What is served is none of its business; what holds for every request is in [`edge`].
//!
//! # The end
//!
//! A stop signal begins an order of steps in which no request is lost: readiness turns to 503 and every answer closes its connection,
//! but new connections are still taken, for as long as `APP_DRAIN_PAUSE_MS` says; then nothing more is accepted, idle connections are
//! closed, and what is under way is finished; then the database's connections are closed. Whatever is left 20 s after the
//! signal is cut off.

mod address;
mod admission;
mod body;
mod connection;
mod edge;
mod handicap;
mod headers;
mod listener;
mod metrics;
mod request_id;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;
use axum::http::HeaderValue;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::Instant;

pub use self::edge::PeerAddress;
pub use self::handicap::Handicap;
pub use self::headers::prepare as prepare_headers;
pub use self::metrics::{Metrics, OPENMETRICS, Sample};
pub use self::request_id::RequestId;
pub use crate::state::AppState;

use self::address::Addresses;
use self::connection::{Signal, TICK};
use self::edge::Edge;
use crate::config::Config;
use crate::routes;

/// How long everything may take after a stop signal. Longer than a request may take by default, shorter than the 30 s after which most
/// supervisors kill.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);

/// How long accepting rests when the system has no file or memory left for a connection.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// A server that is bound and not yet serving.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    edge: Arc<Edge>,
    state: AppState,
}

impl Server {
    /// Binds the address. The database and Redis need not be there yet.
    pub async fn bind(config: Config) -> anyhow::Result<Self> {
        let state = AppState::prepare(config).await?;
        let config = &state.config;
        let listener = listener::listen(config.listen).with_context(|| {
            format!(
                "cannot listen on `{}`; choose another address with `APP_LISTEN`, or port 0 for a free one",
                config.listen
            )
        })?;
        let edge = Edge {
            at_once: routes::at_once(&state),
            straight: Some(routes::straight(&state)),
            router: routes::router().with_state(state.clone()),
            addresses: Addresses::new()?,
            admission: Arc::clone(&state.metrics.admission),
            metrics: Arc::clone(&state.metrics),
            trusted_proxies: config.trusted_proxies.clone(),
            served_by: HeaderValue::from_str(&config.name).context("`APP_NAME` does not fit into a header")?,
            request_timeout: config.request_timeout,
            draining: Arc::clone(&state.draining),
            handicap: Arc::clone(&state.handicap),
        };
        let address = listener.local_addr().context("cannot read the address that was bound")?;
        Ok(Self { listener, address, edge: Arc::new(edge), state })
    }

    /// The address that was bound, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What its handlers reach.
    pub fn state(&self) -> &AppState {
        &self.state
    }

    /// Serves until `stop` completes, then finishes the requests that are under way.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> anyhow::Result<()> {
        let Self { listener, address, edge, state } = self;
        // Each connection holds a receiver, so that the sender knows when the last one is over.
        let (signals, _) = watch::channel(Signal::default());
        tracing::info!(%address, "serving");
        {
            let mut accepting = pin!(accept(&listener, &edge, &signals));
            tokio::select! {
                () = &mut accepting => (),
                () = stop => (),
            }
            state.draining.store(true, Ordering::Relaxed);
            let pause = state.config.drain_pause;
            tracing::info!(connections = signals.receiver_count(), pause_ms = pause.as_millis(), "stopping");
            let _ = tokio::time::timeout(pause, accepting).await;
        }
        let deadline = Instant::now() + DRAIN_TIMEOUT.saturating_sub(state.config.drain_pause);
        if let Err(error) = listener::begin_no_more(&listener) {
            tracing::debug!(%error, "cannot filter new connections; some may be reset");
        }
        let _ = tokio::time::timeout(listener::LAST_HANDSHAKES, accept(&listener, &edge, &signals)).await;
        while let Some((stream, peer)) = listener::take_waiting(&listener) {
            start(stream, peer, &edge, &signals);
        }
        drop(listener);
        signals.send_modify(|signal| signal.is_closing = true);
        let finish = async {
            signals.closed().await;
            state.pool.close().await;
        };
        match tokio::time::timeout_at(deadline, finish).await {
            Ok(()) => tracing::info!("stopped"),
            Err(_) => tracing::warn!(connections = signals.receiver_count(), "some requests were cut off"),
        }
        Ok(())
    }
}

/// Accepts for ever, and gives the connections their clock.
async fn accept(listener: &TcpListener, edge: &Arc<Edge>, signals: &watch::Sender<Signal>) {
    let mut clock = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => start(stream, peer, edge, signals),
                Err(error) if listener::is_of_one_connection(&error) => tracing::debug!(%error, "a connection was gone at once"),
                Err(error) => {
                    // Most likely too many open files. Those who are connected go on, and some of them will leave.
                    tracing::error!(%error, "cannot accept connections");
                    tokio::time::sleep(ACCEPT_REST).await;
                }
            },
            _ = clock.tick() => signals.send_modify(|signal| signal.ticks += 1),
        }
    }
}

fn start(stream: tokio::net::TcpStream, peer: SocketAddr, edge: &Arc<Edge>, signals: &watch::Sender<Signal>) {
    // Small answers must not wait for the acknowledgement of the ones before them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot switch TCP_NODELAY on");
    }
    edge.metrics.connections.inc();
    tokio::spawn(connection::serve(stream, peer, Arc::clone(edge), signals.subscribe()));
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
