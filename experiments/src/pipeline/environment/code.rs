//! The code that measured: its commit, the files that differ from it, the crates, the compiler. Outside of a checkout or without git it
//! says so.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use super::{text, why};
use crate::{probe::machine::Fact, results::hash_bytes};

/// So many changed files are named.
const MOST_NAMED: usize = 40;

/// What is known besides the commit.
pub(super) fn read(root: &Path) -> BTreeMap<String, String> {
    let lock = fs::read(root.join("Cargo.lock")).map_err(why);
    BTreeMap::from([
        ("cargo_lock_sha256".to_owned(), text(lock.map(|bytes| hash_bytes(&bytes)))),
        ("changed_files".to_owned(), text(changed_files(root))),
    ])
}

/// The commit of the checkout, with `+` when files differ from it; `None` outside of a checkout or without git.
pub(in crate::pipeline) fn commit(root: &Path) -> Option<String> {
    let commit = git(root, &["rev-parse", "--short=12", "HEAD"]).ok()?;
    let dirty = git(root, &["status", "--porcelain", "--untracked-files=no"]).is_ok_and(|text| !text.is_empty());
    Some(if dirty { commit + "+" } else { commit })
}

/// The files that differ from the commit, and those that it does not have; `none` when it is all that was compiled.
fn changed_files(root: &Path) -> Fact {
    let status = git(root, &["status", "--porcelain", "--untracked-files=all"])?;
    let files: Vec<&str> = status.lines().filter_map(|line| line.get(2..)).map(str::trim).collect();
    Ok(match files.as_slice() {
        [] => "none".to_owned(),
        files if files.len() <= MOST_NAMED => files.join(", "),
        files => format!("{}, and {} more", files[..MOST_NAMED].join(", "), files.len() - MOST_NAMED),
    })
}

fn git(root: &Path, arguments: &[&str]) -> Fact {
    let output = Command::new("git").arg("-C").arg(root).args(arguments).output();
    let output = output.map_err(|error| format!("`git` cannot be started: {error}"))?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    if output.status.success() {
        Ok(said(&output.stdout))
    } else {
        Err(format!("git says: {}", said(&output.stderr).replace('\n', "; ")))
    }
}

/// The compiler of the app, which is also that of the bench: it leaves its name in what it makes.
pub(super) fn compiler(program: &Path) -> Fact {
    const MARK: &[u8] = b"rustc version ";
    let bytes = fs::read(program).map_err(|error| format!("`{}` cannot be read: {error}", program.display()))?;
    let none = || format!("`{}` does not hold the name of its compiler", program.display());
    // This program also holds the mark alone, which is no name.
    let is_name =
        |at: &usize| bytes[*at..].starts_with(MARK) && bytes.get(at + MARK.len()).is_some_and(u8::is_ascii_digit);
    let found = (0..bytes.len()).find(is_name).ok_or_else(none)?;
    let rest = &bytes[found + MARK.len()..];
    let length = rest.iter().position(|byte| !(b' '..=b'~').contains(byte)).unwrap_or(rest.len());
    // Debugging information has it in brackets: `clang LLVM (rustc version 1.95.0 (59807616e 2026-04-14))`.
    let words = String::from_utf8_lossy(&rest[..length.min(100)]).into_owned();
    Ok(match words.split_once(')') {
        Some((version, _)) => format!("{version})"),
        None => words,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_names_its_compiler() {
        let own = compiler(&std::env::current_exe().unwrap()).unwrap();
        assert!(own.starts_with("1.") && own.contains('(') && own.ends_with(')'), "{own}");
        assert!(compiler(Path::new("/proc/self/status")).unwrap_err().contains("does not hold the name"));
    }

    #[test]
    fn changed_files_are_named_and_a_folder_without_a_checkout_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let git = |arguments: &[&str]| {
            let author = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false"];
            super::git(folder.path(), &[&author, arguments].concat()).unwrap()
        };
        assert!(changed_files(folder.path()).unwrap_err().starts_with("git says: "));
        assert_eq!(commit(folder.path()), None);
        git(&["init", "--quiet"]);
        fs::write(folder.path().join("a.rs"), "1").unwrap();
        git(&["add", "a.rs"]);
        git(&["commit", "--quiet", "--message", "Begin"]);
        assert_eq!(changed_files(folder.path()).unwrap(), "none");
        fs::write(folder.path().join("a.rs"), "2").unwrap();
        fs::write(folder.path().join("b.rs"), "3").unwrap();
        assert_eq!(changed_files(folder.path()).unwrap(), "a.rs, b.rs");
        assert!(commit(folder.path()).unwrap().ends_with('+'));
    }
}
