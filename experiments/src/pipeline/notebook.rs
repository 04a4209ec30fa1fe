//! The notebook as a page that a server on loopback keeps up to date: with the run, with the results, and with every edit of the text.
//! It starts no service and measures nothing.

mod live;
mod site;
mod watch;

use std::{io::ErrorKind, net::Ipv4Addr, path::PathBuf, sync::Arc};

use anyhow::{Context, Result};
use tokio::{net::TcpListener, sync::watch as channel};

use self::{site::Site, watch::Watcher};
use super::{Project, interrupted};
use crate::stack::PortInUse;

/// How the notebook is served.
#[derive(Debug, Clone)]
pub struct NotebookOptions {
    /// The port; 0 for any free one.
    pub port: u16,
    /// The folder of results.
    pub results: PathBuf,
}

/// Serves until a signal. The address is printed as soon as there is a page.
///
/// # Errors
/// When the port is in use.
pub async fn notebook(project: &Project, options: &NotebookOptions) -> Result<()> {
    let stop = interrupted()?;
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await.map_err(|error| match error.kind() {
            ErrorKind::AddrInUse => PortInUse { port: options.port }.into(),
            _ => anyhow::Error::from(error).context(format!("cannot listen on 127.0.0.1:{}", options.port)),
        })?;
    let address = listener.local_addr().context("cannot tell the port")?;
    let mut watcher = Watcher::new(project, &options.results);
    let (sender, receiver) = channel::channel(Arc::new(watcher.first()));
    // A thread of its own, which ends with the program: what it waits for is the disk and Typst.
    std::thread::spawn(move || watcher.watch(&sender));
    say!("the notebook is at http://{address}/ (stop with Ctrl-C)");
    let site = Site { port: address.port(), results: options.results.clone(), shown: receiver };
    tokio::select! {
        served = async { axum::serve(listener, site.router()).await } => served.context("the notebook's server failed"),
        () = stop => Ok(()),
    }
}
