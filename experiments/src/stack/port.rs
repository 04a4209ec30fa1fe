//! Ports on the loopback interface, for servers that cannot choose one and tell it.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::{Context as _, Result};

/// Between finding a free port and its use another program may take it; then another one is tried.
pub(super) const ATTEMPTS: usize = 5;

/// The port that the user asked for is taken.
#[derive(Debug, thiserror::Error)]
#[error("port `{port}` is in use; choose another with `--port` or stop what listens there")]
pub struct PortInUse {
    /// The port.
    pub port: u16,
}

/// An address that nobody listened on a moment ago.
pub(super) fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on 127.0.0.1")?;
    Ok(listener.local_addr()?)
}

/// Fails if somebody listens on the address, or if we may not.
pub(super) fn check_free(address: SocketAddr) -> Result<()> {
    let port = address.port();
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Err(PortInUse { port }.into()),
        Err(error) => Err(error).with_context(|| format!("cannot listen on `{address}`; choose another with `--port`")),
    }
}
