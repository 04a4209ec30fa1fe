//! Keys, each derived from the secret of the servers for one purpose. They are never shown.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};

/// SHA-256 works on blocks of this many bytes, and HMAC is defined in terms of them.
const BLOCK_BYTES: usize = 64;

/// Bytes that nobody else must know. A clone shares them.
#[derive(Clone)]
pub struct Key(Arc<[u8]>);

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Key(***)")
    }
}

impl Key {
    /// The secret itself as a key, to derive others from.
    pub fn new(secret: &[u8]) -> Self {
        Self(secret.into())
    }

    /// The key for one purpose. Whoever learns it learns nothing about the others.
    pub fn derive(&self, purpose: &str) -> Self {
        Self(self.authenticate(&[purpose.as_bytes()]).as_slice().into())
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// HMAC-SHA-256 of the parts with this key. Each part is preceded by its length, so that no two lists of parts are the same
    /// message.
    pub fn authenticate(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.hmac(|inner| {
            for part in parts {
                inner.update((part.len() as u64).to_be_bytes());
                inner.update(part);
            }
        })
    }

    /// RFC 2104, in the ten lines that it takes.
    fn hmac(&self, message: impl FnOnce(&mut Sha256)) -> [u8; 32] {
        let mut key = [0_u8; BLOCK_BYTES];
        if self.0.len() > BLOCK_BYTES {
            key[..32].copy_from_slice(&Sha256::digest(&self.0));
        } else {
            key[..self.0.len()].copy_from_slice(&self.0);
        }
        let mut inner = Sha256::new_with_prefix(key.map(|byte| byte ^ 0x36));
        message(&mut inner);
        let mut outer = Sha256::new_with_prefix(key.map(|byte| byte ^ 0x5c));
        outer.update(inner.finalize());
        outer.finalize().into()
    }
}

/// Bytes as lower-case hexadecimal digits.
pub fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |half: u8| char::from(DIGITS[usize::from(half)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Test cases 1, 2 and 6 of RFC 4231.
    #[test]
    fn hmac_is_the_one_of_the_rfc() {
        for (key, message, expected) in [
            ("\u{b}".repeat(20), "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (
                "Jefe".to_owned(),
                "what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
        ] {
            let hmac = Key::new(key.as_bytes()).hmac(|inner| inner.update(message));
            assert_eq!(hexadecimal(&hmac), expected);
        }
        let long = Key::new(&[0xaa; 131]);
        let hmac = long.hmac(|inner| inner.update("Test Using Larger Than Block-Size Key - Hash Key First"));
        assert_eq!(hexadecimal(&hmac), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    }

    #[test]
    fn parts_do_not_run_together() {
        let key = Key::new(b"s");
        assert_ne!(key.authenticate(&[b"ab", b"c"]), key.authenticate(&[b"a", b"bc"]));
        assert_ne!(key.derive("a").as_bytes(), key.derive("b").as_bytes());
        assert_eq!(format!("{key:?}"), "Key(***)");
    }
}
