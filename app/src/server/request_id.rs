//! The name of a request, the same in the log of the balancer, in ours, in the comments of SQL statements and on error pages. It knows
//! nothing of who may choose one: that is decided at the edge.

use std::fmt;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::HeaderValue;

/// The longest name that is taken from outside.
const LENGTH_MAX: usize = 64;

/// A request id: 1 to 64 letters, digits, `-` and `_`. So it can stand in a log line, in a header and in a comment of SQL without escaping.
///
/// It lies where it is used, because everybody who gets a copy would otherwise count the copies of something on the heap.
#[derive(Clone, Eq, PartialEq)]
pub struct RequestId {
    /// The name, then zeros.
    text: [u8; LENGTH_MAX],
    length: u8,
}

impl RequestId {
    /// A new one: 32 hexadecimal digits, as NGINX makes them. The first half is random and the same for the whole process, the second
    /// half counts. Nobody gains by guessing one, so that a random number for each request would be paid for nothing.
    pub fn next() -> Self {
        static PROCESS: LazyLock<u64> = LazyLock::new(rand::random);
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let mut text = [0; LENGTH_MAX];
        write_hexadecimal(*PROCESS, &mut text[..16]);
        write_hexadecimal(COUNT.fetch_add(1, Ordering::Relaxed), &mut text[16..32]);
        Self { text, length: 32 }
    }

    /// Takes a name that somebody else has chosen, if it is well-formed.
    pub fn accept(value: &HeaderValue) -> Option<Self> {
        let bytes = value.as_bytes();
        let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let mut text = [0; LENGTH_MAX];
        text.get_mut(..bytes.len())?.copy_from_slice(bytes);
        let length = u8::try_from(bytes.len()).ok()?;
        (length > 0 && bytes.iter().all(is_allowed)).then_some(Self { text, length })
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        str::from_utf8(self.bytes()).unwrap_or("-")
    }

    /// The name as the value of a header.
    pub(super) fn header(&self) -> HeaderValue {
        // What is allowed in a name always fits into a header; the other branch is for the compiler.
        HeaderValue::from_bytes(self.bytes()).unwrap_or(HeaderValue::from_static("-"))
    }

    fn bytes(&self) -> &[u8] {
        &self.text[..usize::from(self.length)]
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RequestId({self})")
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

fn write_hexadecimal(number: u64, text: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (place, digit) in text.iter_mut().rev().enumerate() {
        *digit = DIGITS[(number >> (4 * place) & 0xf) as usize];
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn new_ones_differ_and_are_well_formed() {
        let (one, other) = (RequestId::next(), RequestId::next());
        assert_ne!(one, other);
        assert_eq!(one.as_str().len(), 32);
        assert_eq!(RequestId::accept(&one.header()), Some(one));
    }

    #[test]
    fn hexadecimal_digits_are_those_of_the_standard_library() {
        let mut text = [0; 16];
        for number in [0, 1, 0x0123_4567_89ab_cdef, u64::MAX] {
            write_hexadecimal(number, &mut text);
            assert_eq!(std::str::from_utf8(&text).unwrap(), format!("{number:016x}"));
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_can_stand_in_a_comment(bytes in proptest::collection::vec(32..=255_u8, 0..80)) {
            let Ok(value) = HeaderValue::from_bytes(&bytes) else { return Ok(()) };
            if let Some(id) = RequestId::accept(&value) {
                prop_assert_eq!(id.as_str().as_bytes(), &bytes[..]);
                prop_assert!(!id.as_str().is_empty() && !id.as_str().contains(['*', '/', '\'', '"', ' ']));
            }
        }
    }
}
