//! What a result was made from: a hash or a version of every input, so that staleness can be told in words. It does not know what the
//! inputs are for, nor how they are hashed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sha2::{Digest, Sha256};

/// Inputs by name: files (path relative to the project, `/` between parts) with the SHA-256 of what they mean, and crates as
/// `Cargo.lock/NAME` with their versions.
pub type Inputs = BTreeMap<String, String>;

/// SHA-256 in hexadecimal digits.
#[must_use]
pub fn hash_bytes(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A reason why a result is not what would be measured now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// In words, such as `app/queries/list_posts.sql` changed.
    pub words: String,
    /// What there was when it was measured, and what there is now, where both can be shown: the hashes of a file, the values of a
    /// parameter.
    pub sides: Option<(String, String)>,
}

impl Change {
    /// A reason that has no two sides.
    pub fn new(words: impl Into<String>) -> Self {
        Self { words: words.into(), sides: None }
    }
}

/// What is different between the inputs a result was made from and those of now, one per file.
#[must_use]
pub fn changes(recorded: &Inputs, current: &Inputs) -> Vec<Change> {
    let mut changes = Vec::new();
    for (path, hash) in recorded {
        match current.get(path) {
            None => changes.push(Change::new(format!("`{path}` is gone"))),
            Some(now) if now != hash => {
                let sides = Some((short(hash), short(now)));
                changes.push(Change { words: format!("`{path}` changed"), sides });
            }
            Some(_) => {}
        }
    }
    let new = current.keys().filter(|path| !recorded.contains_key(*path));
    changes.extend(new.map(|path| Change::new(format!("`{path}` is new"))));
    changes
}

/// As much of a hash as nobody mistakes for another; versions as they are.
fn short(value: &str) -> String {
    let is_hash = value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hash { format!("SHA-256 {}…", &value[..12]) } else { value.to_owned() }
}

/// What is different between the parameters a result was measured with and those of now, one per parameter, by its path.
#[must_use]
pub fn parameter_changes(recorded: &Value, current: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    compare(String::new(), recorded, current, &mut changes);
    changes
}

fn compare(path: String, recorded: &Value, current: &Value, changes: &mut Vec<Change>) {
    if let (Value::Object(old), Value::Object(new)) = (recorded, current) {
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for name in names {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let [old, new] = [old, new].map(|side| side.get(name).unwrap_or(&Value::Null));
            compare(path, old, new, changes);
        }
    } else if recorded != current {
        let text = |value: &Value| if value.is_null() { "nothing".to_owned() } else { value.to_string() };
        let sides = Some((text(recorded), text(current)));
        changes.push(Change { words: format!("the parameter `{path}` changed"), sides });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_in_words() {
        let inputs = |pairs: [(&str, &str); 3]| -> Inputs {
            pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
        };
        let (old, new) = (hash_bytes(b"SELECT 1"), hash_bytes(b"SELECT 3"));
        let before = inputs([("queries/a.sql", &old), ("queries/b.sql", &old), ("Cargo.lock/tokio", "1.53.0")]);
        let after = inputs([("queries/a.sql", &new), ("queries/c.sql", &old), ("Cargo.lock/tokio", "1.54.0")]);
        assert!(changes(&before, &before).is_empty());
        let found = changes(&before, &after);
        let words: Vec<&str> = found.iter().map(|change| change.words.as_str()).collect();
        let expected = [
            "`Cargo.lock/tokio` changed",
            "`queries/a.sql` changed",
            "`queries/b.sql` is gone",
            "`queries/c.sql` is new",
        ];
        assert_eq!(words, expected);
        assert_eq!(found[0].sides, Some(("1.53.0".to_owned(), "1.54.0".to_owned())));
        let (old, new) = found[1].sides.clone().unwrap();
        assert!(old.starts_with("SHA-256 ") && new.starts_with("SHA-256 ") && old != new, "{old}, {new}");
    }

    #[test]
    fn a_parameter_is_named_with_both_its_values() {
        let old = serde_json::json!({ "cache": { "blocks": 8, "users": 32 }, "attempts": 3 });
        let new = serde_json::json!({ "cache": { "blocks": 10, "users": 32, "rounds": 4 }, "attempts": 3 });
        assert_eq!(parameter_changes(&old, &old), []);
        let change = |name: &str, old: &str, new: &str| Change {
            words: format!("the parameter `cache.{name}` changed"),
            sides: Some((old.to_owned(), new.to_owned())),
        };
        assert_eq!(parameter_changes(&old, &new), [change("blocks", "8", "10"), change("rounds", "nothing", "4")]);
    }

    #[test]
    fn the_hash_is_sha256() {
        assert_eq!(hash_bytes(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
