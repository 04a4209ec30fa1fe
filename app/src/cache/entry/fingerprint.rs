//! What tells two bodies apart, in a cache entry as in an ETag. It knows nothing of either.

use sha2::{Digest, Sha256};

use super::Entry;

/// The fingerprint of a body: equal bodies have equal ones.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fingerprint(pub(super) [u8; 16]);

impl Fingerprint {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut short = [0; 16];
        short.copy_from_slice(&Sha256::digest(bytes)[..16]);
        Self(short)
    }

    /// Of a page that is put together from parts with these fingerprints, by templates that are the same for the same program.
    pub fn joined<'a>(parts: impl IntoIterator<Item = &'a Entry>) -> Self {
        Self::of(&parts.into_iter().flat_map(|entry| entry.fingerprint.0).collect::<Vec<u8>>())
    }

    pub(crate) fn to_u128(self) -> u128 {
        u128::from_be_bytes(self.0)
    }
}
