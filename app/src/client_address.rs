//! Who is at the other end: the address by which clients are counted. It is the one that connected, unless that is a proxy of ours, which
//! then says whom it speaks for. What a stranger writes into the same header is not believed.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};

use crate::server::PeerAddress;
use crate::state::AppState;

const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// The address of the client of a request.
#[derive(Clone, Copy, Debug)]
pub struct ClientAddress(pub IpAddr);

impl FromRequestParts<AppState> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<PeerAddress>().map(|peer| peer.0.ip());
        Ok(Self(client_address(peer, &parts.headers, &state.config.trusted_proxies)))
    }
}

/// Without a peer, which only a server that is not ours would leave out, everybody counts as one client.
fn client_address(peer: Option<IpAddr>, headers: &HeaderMap, trusted_proxies: &[IpAddr]) -> IpAddr {
    let peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)).to_canonical();
    if !trusted_proxies.contains(&peer) {
        return peer;
    }
    let told = headers.get(X_REAL_IP).and_then(|value| value.to_str().ok()).and_then(|text| text.trim().parse().ok());
    told.map_or(peer, |address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_proxies_are_believed() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let told = |text: &str| HeaderMap::from_iter([(X_REAL_IP, text.parse().unwrap())]);
        let trusted = [ip("127.0.0.1")];
        let found = |peer: &str, header: &str| client_address(Some(ip(peer)), &told(header), &trusted).to_string();
        assert_eq!(found("127.0.0.1", "192.0.2.7"), "192.0.2.7");
        assert_eq!(found("::ffff:127.0.0.1", "192.0.2.7"), "192.0.2.7");
        assert_eq!(found("198.51.100.1", "192.0.2.7"), "198.51.100.1", "a stranger claims to be a proxy");
        assert_eq!(found("127.0.0.1", "192.0.2.7, 10.0.0.1"), "127.0.0.1");
        assert_eq!(found("127.0.0.1", "x"), "127.0.0.1");
        assert_eq!(client_address(None, &told("192.0.2.7"), &trusted).to_string(), "0.0.0.0");
    }
}
