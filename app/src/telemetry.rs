//! The log: one JSON object per line on stderr. Nothing is written per request at the default level, since requests are measured.

use anyhow::Context;
use axum::http::HeaderValue;
use tracing_subscriber::EnvFilter;

/// Starts writing the log. Call once.
pub fn start(filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::builder().parse(filter).with_context(|| format!("`{filter}` is not a log filter"))?;
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init()
        .map_err(|error| anyhow::anyhow!("cannot start the log: {error}"))
}

tokio::task_local! {
    /// The name of the request that the present task works for, as NGINX gave it or as the server made it.
    pub static REQUEST_ID: HeaderValue;
}

/// The name of the present request; None outside of one.
pub fn request_id() -> Option<String> {
    REQUEST_ID.try_with(|request_id| request_id.to_str().ok().map(str::to_owned)).ok().flatten()
}
