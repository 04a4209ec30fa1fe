//! From the attachments of a PDF to files in a folder, each held against the list that travels with them. A name from elsewhere never
//! becomes a path: only what the list's own rules allow is written, and only below the folder.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path},
};

use anyhow::{Context, Result};

use super::foreign;
use crate::{
    pipeline::{
        ingredients::{RESULTS, SOURCES, TEMPLATES},
        manifest::{Entry, FILE, Form, Manifest, PAGES, VALUES},
    },
    report::pdf::{Attached, Pdf},
    results::{hash_bytes, unpack_columns},
};

/// A report has some hundred attachments with short paths.
const DEEPEST_PATH: usize = 6;
const LONGEST_PATH_BYTES: usize = 200;

/// Attached files by name.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// What was attached.
pub(super) struct Unpacked {
    pub(super) manifest: Manifest,
    /// Every attachment as it was attached, the list too.
    pub(super) attached: Files,
}

/// Why it was not unpacked.
pub(super) enum Failed {
    /// It is nothing that this program makes.
    NotAReport(String),
    /// It was, and it was changed.
    Differs(String),
}

/// Writes what is attached below `folder`.
pub(super) fn unpack(pdf: &Pdf, folder: &Path) -> Result<Result<Unpacked, Failed>> {
    let (manifest, attached) = match read(pdf) {
        Ok(read) => read,
        Err(failed) => return Ok(Err(failed)),
    };
    let mut written = BTreeSet::new();
    for entry in &manifest.files {
        let files = match files_of(entry, &attached[&entry.name]) {
            Ok(files) => files,
            Err(failed) => return Ok(Err(failed)),
        };
        for (path, bytes) in files {
            let is_new = written.insert(path.clone());
            if !is_new || !is_safe(&path) {
                let why = if is_new { "where no report has a file" } else { "where another one is" };
                return Ok(Err(misplaced(&entry.name, &path, why)));
            }
            write(&folder.join(&path), &bytes)?;
        }
    }
    Ok(Ok(Unpacked { manifest, attached }))
}

/// A path and what belongs there.
type Placed<'b> = (String, Cow<'b, [u8]>);

/// The files that an attachment stands for, with their paths.
fn files_of<'b>(entry: &Entry, bytes: &'b [u8]) -> Result<Vec<Placed<'b>>, Failed> {
    let Entry { name, path, form, .. } = entry;
    let broken = |why: String| Failed::Differs(format!("the attached `{name}` cannot be read: {why}"));
    let words = || std::str::from_utf8(bytes).map_err(|error| broken(error.to_string()));
    Ok(match form {
        Form::Derived => Vec::new(),
        Form::Whole => vec![(path.clone(), Cow::Borrowed(bytes))],
        Form::Columns => {
            let rows = unpack_columns(words()?).map_err(broken)?;
            vec![(path.clone(), Cow::Owned(rows.into_bytes()))]
        }
        Form::Texts => {
            let texts: BTreeMap<String, String> =
                serde_json::from_slice(bytes).map_err(|error| broken(error.to_string()))?;
            let file = |(name, text): (String, String)| (format!("{path}/{name}"), Cow::Owned(text.into_bytes()));
            texts.into_iter().map(file).collect()
        }
    })
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, bytes));
    written.with_context(|| format!("cannot write `{}`; check that the disk has room", path.display()))
}

/// The list and the files, after each is proved to be what the list says.
fn read(pdf: &Pdf) -> Result<(Manifest, Files), Failed> {
    let mut attachments = pdf.attachments()?;
    if attachments.is_empty() {
        return Err(Failed::NotAReport(foreign("nothing is attached to it")));
    }
    let listed = attachments
        .remove(FILE)
        .ok_or_else(|| Failed::NotAReport(foreign(&format!("`{FILE}` is not attached to it"))))?;
    let listed = listed.map_err(|why| Failed::Differs(format!("the attached `{FILE}` cannot be unpacked: {why}")))?;
    let manifest = manifest(&listed)?;
    // It is a part of the pages, and is held against what is set again as they are, byte by byte.
    attachments.remove(PAGES);
    let mut files = Files::new();
    for entry in &manifest.files {
        let bytes = file(entry, attachments.remove(&entry.name)).map_err(Failed::Differs)?;
        files.insert(entry.name.clone(), bytes);
    }
    if let Some(name) = attachments.keys().next() {
        return Err(Failed::Differs(format!("`{name}` is attached, and its list `{FILE}` does not name it")));
    }
    if !files.contains_key(VALUES) {
        return Err(Failed::Differs(format!("its list `{FILE}` does not name `{VALUES}`")));
    }
    if manifest.templates_sha256 != Manifest::hash_of_templates(&manifest.files) {
        return Err(Failed::Differs(format!("its list `{FILE}` gives the templates another hash than they have")));
    }
    files.insert(FILE.to_owned(), listed);
    Ok((manifest, files))
}

/// The attached bytes of an entry, or in words what is wrong with them.
fn file(entry: &Entry, attached: Option<Attached>) -> Result<Vec<u8>, String> {
    let Entry { name, sha256, .. } = entry;
    let bytes = attached.ok_or_else(|| format!("`{name}` is not attached, and its list `{FILE}` names it"))?;
    let bytes = bytes.map_err(|why| format!("the attached `{name}` cannot be unpacked: {why}"))?;
    let found = hash_bytes(&bytes);
    if found == *sha256 && bytes.len() == entry.bytes {
        return Ok(bytes);
    }
    Err(format!(
        "the attached `{name}` is another one: it has {} bytes and SHA-256 {found}, its list `{FILE}` says {} bytes and SHA-256 {sha256}",
        bytes.len(),
        entry.bytes
    ))
}

fn manifest(bytes: &[u8]) -> Result<Manifest, Failed> {
    let not_ours = |why: String| {
        Failed::NotAReport(foreign(&format!("its attachment `{FILE}` is not a list of Loadbook ({why})")))
    };
    let json: serde_json::Value = serde_json::from_slice(bytes).map_err(|error| not_ours(error.to_string()))?;
    if json["format"] != Manifest::FORMAT {
        return Err(not_ours(format!("it does not say `{}`", Manifest::FORMAT)));
    }
    if json["version"] != Manifest::VERSION {
        return Err(Failed::NotAReport(format!(
            "its list has the format {}, this program reads {}; verify it with the version of Loadbook that made it",
            json["version"],
            Manifest::VERSION
        )));
    }
    let manifest: Manifest = serde_json::from_value(json).map_err(|error| not_ours(error.to_string()))?;
    let leaves = |entry: &&Entry| match entry.form {
        Form::Derived => false,
        Form::Whole | Form::Columns => !is_safe(&entry.path),
        Form::Texts => !is_safe(&format!("{}/x", entry.path)),
    };
    match manifest.files.iter().find(leaves) {
        Some(entry) => Err(misplaced(&entry.name, &entry.path, "where no report has a file")),
        None => Ok(manifest),
    }
}

fn misplaced(name: &str, path: &str, why: &str) -> Failed {
    Failed::NotAReport(format!("its list wants to put `{name}` at `{path}`, {why}"))
}

/// Whether a path stays below the folder and is one that a report has: plain names below one of three folders.
fn is_safe(path: &str) -> bool {
    let is_plain = |part: Component<'_>| match part {
        Component::Normal(name) => name.to_str().is_some_and(|name| {
            !name.starts_with('.')
                && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-".contains(letter))
        }),
        _ => false,
    };
    let parts: Vec<Component<'_>> = Path::new(path).components().collect();
    let first = path.split('/').next().unwrap_or_default();
    // `components` forgives `.` and `//`; a report writes nothing so.
    let is_usual = parts.len() == path.split('/').count();
    path.len() <= LONGEST_PATH_BYTES
        && (2..=DEEPEST_PATH).contains(&parts.len())
        && [RESULTS, SOURCES, TEMPLATES].contains(&first)
        && parts.into_iter().all(is_plain)
        && is_usual
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_from_elsewhere_stays_below_the_folder() {
        for path in [
            "results/cache/trials.csv",
            "report-src/sections/cache.typ.j2",
            "sources/app/queries/list.sql",
            "results/cache.failed.json",
        ] {
            assert!(is_safe(path), "{path}");
        }
        for path in [
            "",
            "results",
            "/results/x",
            "../results/x",
            "results/../../x",
            "results/./x",
            "results//x",
            "results/x/",
            "results/.cache.summary.json",
            "elsewhere/x",
            "results\\x",
            "results/a b",
            "results/a/b/c/d/e/f",
            "C:/results/x",
        ] {
            assert!(!is_safe(path), "{path}");
        }
        assert!(!is_safe(&format!("results/{}", "a".repeat(LONGEST_PATH_BYTES))));
    }

    #[test]
    fn a_list_that_is_not_ours_is_told_apart_from_one_of_another_version() {
        let why = |json: &str| match manifest(json.as_bytes()) {
            Err(Failed::NotAReport(why)) => why,
            _ => panic!("`{json}` is a list"),
        };
        assert!(why("x").contains("is not a list of Loadbook"));
        assert!(why("{}").contains("does not say `Loadbook report`"));
        assert!(why("{\"format\":\"Loadbook report\",\"version\":99}").contains("has the format 99"));
        assert!(why("{\"format\":\"Loadbook report\",\"version\":1}").contains("missing field"));
    }
}
