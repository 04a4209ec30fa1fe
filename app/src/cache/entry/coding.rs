//! How an entry lies in Redis: a head of fixed length, the body, and the compressed body if there is one. It knows nothing of what is in
//! them.

use std::sync::OnceLock;

use bytes::{BufMut, Bytes, BytesMut};

use super::{Entry, Fingerprint};
use crate::http::Prepared;

/// Changes when the layout of an entry changes, so that servers of two versions do not misread each other's entries.
const VERSION: u8 = 2;
const IS_NEGATIVE: u8 = 1;
const HAS_GZIP: u8 = 2;
const HEADER_BYTES: usize = 66;

impl Entry {
    /// As Redis keeps it; None if it must not be kept.
    pub(in crate::cache) fn encode(&self) -> Option<Vec<u8>> {
        let gzip = self.gzip.get().filter(|gzip| !gzip.is_empty());
        let mut entry = BytesMut::with_capacity(HEADER_BYTES + self.body.len() + gzip.map_or(0, Bytes::len));
        entry.put_u8(VERSION);
        entry.put_u8(if self.is_negative { IS_NEGATIVE } else { 0 } | gzip.map_or(0, |_| HAS_GZIP));
        entry.put_u64(self.computed_at_ms);
        entry.put_u32(self.cost_us);
        entry.put_slice(self.marks?.as_flattened());
        entry.put_slice(&self.fingerprint.0);
        entry.put_u32(u32::try_from(self.body.len()).ok()?);
        entry.put_slice(&self.body);
        entry.put_slice(gzip.unwrap_or(&Bytes::new()));
        Some(entry.into())
    }

    /// What `encode` has written; None for anything else. The bodies are not copied.
    pub(in crate::cache) fn decode(entry: Vec<u8>) -> Option<Self> {
        let entry = Bytes::from(entry);
        let header: &[u8; HEADER_BYTES] = entry.first_chunk()?;
        let (version, flags) = (header[0], header[1]);
        let length = usize::try_from(u32::from_be_bytes(*header.last_chunk()?)).ok()?;
        let body_end = HEADER_BYTES.checked_add(length)?;
        if version != VERSION || entry.len() < body_end || (flags & HAS_GZIP == 0) != (entry.len() == body_end) {
            return None;
        }
        let gzip = if flags & HAS_GZIP == 0 { OnceLock::new() } else { OnceLock::from(entry.slice(body_end..)) };
        Some(Self {
            body: entry.slice(HEADER_BYTES..body_end),
            gzip,
            fingerprint: Fingerprint(*header[46..].first_chunk()?),
            is_negative: flags & IS_NEGATIVE != 0,
            computed_at_ms: u64::from_be_bytes(*header[2..].first_chunk()?),
            cost_us: u32::from_be_bytes(*header[10..].first_chunk()?),
            marks: Some([*header[14..].first_chunk()?, *header[30..].first_chunk()?]),
            prepared: Prepared::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::any_entry;
    use super::*;

    proptest! {
        #[test]
        fn an_entry_survives_being_written_and_read(entry in any_entry()) {
            let read = Entry::decode(entry.encode().unwrap()).unwrap();
            prop_assert_eq!(read.body(), entry.body());
            prop_assert_eq!(read.fingerprint(), entry.fingerprint());
            prop_assert_eq!(
                (read.is_negative, read.computed_at_ms, read.cost_us, read.marks),
                (entry.is_negative, entry.computed_at_ms, entry.cost_us, entry.marks)
            );
            prop_assert_eq!(read.gzip.get(), entry.gzip.get().filter(|gzip| !gzip.is_empty()));
        }

        #[test]
        fn what_was_cut_off_is_not_read(entry in any_entry(), cut in any::<prop::sample::Index>()) {
            let whole = entry.encode().unwrap();
            let cut = cut.index(whole.len());
            if let Some(read) = Entry::decode(whole[..cut].to_vec()) {
                // Only the compressed form can be cut without being noticed here, and Redis does not cut.
                prop_assert!(entry.gzip.get().is_some() && read.body() == entry.body());
            }
        }

        #[test]
        fn any_bytes_are_refused_or_read(mut entry: Vec<u8>) {
            if let Some(version) = entry.first_mut() {
                *version = VERSION;
            }
            let _ = Entry::decode(entry);
        }
    }
}
