//! How an entry lies in Redis: a version, the generation that it was made under, the body.

use bytes::{BufMut, Bytes, BytesMut};

/// Changes when the layout of an entry changes, so that servers of two versions do not misread each other's entries.
const VERSION: u8 = 1;

/// Puts a body and its generation together. A generation is at most 255 bytes long; ours have 16 or none.
pub(super) fn encode(generation: &[u8], body: &[u8]) -> Vec<u8> {
    let mut entry = BytesMut::with_capacity(2 + generation.len() + body.len());
    entry.put_u8(VERSION);
    entry.put_u8(u8::try_from(generation.len()).unwrap_or(u8::MAX));
    entry.put_slice(generation);
    entry.put_slice(body);
    entry.to_vec()
}

/// The body, if the entry is readable and was made under this very generation.
pub(super) fn decode(entry: &Bytes, generation: &[u8]) -> Option<Bytes> {
    let [version, length, ..] = entry[..] else { return None };
    let body_start = 2 + usize::from(length);
    let made_under = entry.get(2..body_start)?;
    (version == VERSION && made_under == generation).then(|| entry.slice(body_start..))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_body_comes_back_under_its_own_generation_only(
            body: Vec<u8>,
            made in proptest::collection::vec(any::<u8>(), 0..20),
            now in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            let entry = Bytes::from(encode(&made, &body));
            prop_assert_eq!(decode(&entry, &made), Some(Bytes::from(body)));
            prop_assert_eq!(decode(&entry, &now).is_some(), made == now);
        }

        #[test]
        fn any_bytes_are_refused_or_read(entry: Vec<u8>, generation: Vec<u8>) {
            let _ = decode(&Bytes::from(entry), &generation);
        }
    }
}
