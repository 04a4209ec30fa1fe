//! The HTTP client for servers of the same machine. It refuses to know proxies, which are the user's own, and certificates, which no
//! server here has: reading those of the system takes a tenth of a second, and every trial makes a dozen clients.

use reqwest::{Client, ClientBuilder};

/// A client to be refined; what it is for decides about time-outs and connections.
pub fn local() -> ClientBuilder {
    Client::builder().no_proxy().tls_certs_only([])
}
