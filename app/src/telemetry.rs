//! The log: one JSON object per line on stderr. Nothing is written per request at the default level, since requests are measured.

use anyhow::Context;
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
