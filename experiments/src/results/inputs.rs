//! What a result was made from: the hash of every input file, so that staleness can be told in words. It does not know what the
//! files are for.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// Input files (path relative to the project, `/` between parts) with the SHA-256 of their bytes.
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

/// Hashes `paths` (files, or folders with all that is in them) below `project`.
///
/// # Errors
/// When a path does not exist or cannot be read.
pub fn hash_paths(project: &Path, paths: &[&str]) -> Result<Inputs> {
    let mut inputs = Inputs::new();
    for path in paths {
        hash_below(project, &project.join(path), &mut inputs)?;
    }
    Ok(inputs)
}

fn hash_below(project: &Path, path: &Path, inputs: &mut Inputs) -> Result<()> {
    let named = || format!("cannot read the input `{}`; restore it from the repository", path.display());
    if path.is_dir() {
        let mut entries: Vec<PathBuf> = fs::read_dir(path)
            .with_context(named)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()
            .with_context(named)?;
        entries.sort();
        return entries.iter().try_for_each(|entry| hash_below(project, entry, inputs));
    }
    let bytes = fs::read(path).with_context(named)?;
    let relative = path.strip_prefix(project).unwrap_or(path).to_string_lossy().replace('\\', "/");
    inputs.insert(relative, hash_bytes(&bytes));
    Ok(())
}

/// What is different between the inputs a result was made from and those of now, in words, one per file.
#[must_use]
pub fn changes(recorded: &Inputs, current: &Inputs) -> Vec<String> {
    let mut words = Vec::new();
    for (path, hash) in recorded {
        match current.get(path) {
            None => words.push(format!("`{path}` is gone")),
            Some(now) if now != hash => words.push(format!("`{path}` changed")),
            Some(_) => {}
        }
    }
    words.extend(current.keys().filter(|path| !recorded.contains_key(*path)).map(|path| format!("`{path}` is new")));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_in_words() {
        let project = tempfile::tempdir().unwrap();
        fs::create_dir(project.path().join("queries")).unwrap();
        let write = |name: &str, text: &str| fs::write(project.path().join("queries").join(name), text).unwrap();
        write("a.sql", "SELECT 1");
        write("b.sql", "SELECT 2");
        let before = hash_paths(project.path(), &["queries"]).unwrap();
        assert!(changes(&before, &before).is_empty());
        write("a.sql", "SELECT 3");
        write("c.sql", "SELECT 4");
        fs::remove_file(project.path().join("queries/b.sql")).unwrap();
        let after = hash_paths(project.path(), &["queries"]).unwrap();
        assert_eq!(
            changes(&before, &after),
            ["`queries/a.sql` changed", "`queries/b.sql` is gone", "`queries/c.sql` is new"]
        );
    }

    #[test]
    fn the_hash_is_sha256() {
        assert_eq!(hash_bytes(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
