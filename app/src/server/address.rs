//! Which route an address belongs to, known before the router is asked: admission needs it, and so do the labels of the metrics. It
//! knows no handler.
//!
//! The router could say it as well (`MatchedPath`), but only to what is wrapped around each single route, and each such layer costs every
//! request three allocations. A look-up in a tree of our own costs none.

use matchit::Router;

use crate::routes::{ADDRESSES, LONG_BODIES};

/// What everything that is not in the list counts as.
const OTHER: &str = "other";

/// Finds the route of an address.
pub(super) struct Addresses {
    tree: Router<Address>,
}

/// The route of an address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Address {
    /// Its place in the metrics.
    pub(super) index: usize,
    /// Whether it is let in however busy the server is. Who restarts or empties a busy server makes the others busier.
    pub(super) is_exempt: bool,
    /// The largest body. Routes may bound theirs further.
    pub(super) body_bytes_max: u64,
}

/// The largest body. A comment of 2,000 characters of four bytes, percent-encoded, is 24,000.
const BODY_BYTES_MAX: u64 = 64 * 1024;

/// The largest body where a post is written: 100,000 characters of four bytes, percent-encoded.
const POST_BYTES_MAX: u64 = 1280 * 1024;

impl Addresses {
    pub(super) fn new() -> anyhow::Result<Self> {
        let mut tree = Router::new();
        for (index, template) in ADDRESSES.iter().enumerate() {
            let is_exempt = matches!(*template, "/livez" | "/readyz" | "/metrics");
            let body_bytes_max = if LONG_BODIES.contains(template) { POST_BYTES_MAX } else { BODY_BYTES_MAX };
            tree.insert(*template, Address { index, is_exempt, body_bytes_max })?;
        }
        Ok(Self { tree })
    }

    pub(super) fn find(&self, path: &str) -> Address {
        match self.tree.at(path) {
            Ok(found) => *found.value,
            Err(_) => Address { index: ADDRESSES.len(), is_exempt: false, body_bytes_max: BODY_BYTES_MAX },
        }
    }
}

/// The templates in the order of their indices.
pub(super) fn templates() -> impl Iterator<Item = &'static str> {
    ADDRESSES.iter().copied().chain([OTHER])
}

/// The template with this index.
pub(super) fn template(address: Address) -> &'static str {
    ADDRESSES.get(address.index).copied().unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_by_their_templates() {
        let addresses = Addresses::new().unwrap();
        assert_eq!(template(addresses.find("/")), "/");
        assert_eq!(template(addresses.find("/posts/42")), "/posts/{id}");
        assert_eq!(template(addresses.find("/posts/%FF")), "/posts/{id}");
        assert_eq!(template(addresses.find("/nowhere")), "other");
        assert!(addresses.find("/livez").is_exempt && addresses.find("/metrics").is_exempt);
        assert!(!addresses.find("/").is_exempt && !addresses.find("/livez/x").is_exempt);
        assert_eq!(templates().last(), Some("other"));
    }
}
