//! Files that are there whole or not at all, also when the power goes: written aside, brought to the disk, then put in their place.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write as _},
    path::Path,
};

use anyhow::{Context, Result};
use serde::{Serialize, de::DeserializeOwned};

/// The ending of a file that is not yet in its place.
pub(super) const ASIDE: &str = "new";

/// Writes a file and brings it to the disk.
///
/// # Errors
/// When it cannot be written in full.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    File::create(path)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .with_context(|| format!("cannot write `{}`; check that the disk has room", path.display()))
}

/// Writes a file aside and puts it in its place.
///
/// # Errors
/// When it cannot be written in full; what was in its place is then still there.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".");
    aside.push(ASIDE);
    let aside = Path::new(&aside);
    let written = write(aside, bytes).and_then(|()| rename(aside, path));
    if written.is_err() {
        let _ = fs::remove_file(aside);
    }
    written
}

/// Renames, so that the new name outlives a loss of power.
///
/// # Errors
/// When the system refuses.
pub(super) fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).with_context(|| format!("cannot put `{}` in its place", to.display()))?;
    to.parent().map_or(Ok(()), sync_folder)
}

/// Brings the names in a folder to the disk.
///
/// # Errors
/// When the system refuses.
pub(super) fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .with_context(|| format!("cannot bring `{}` to the disk", folder.display()))
}

/// The text of a file of JSON.
///
/// # Errors
/// When `value` cannot be written as JSON.
pub(super) fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(value).context("cannot write JSON")?;
    text.push(b'\n');
    Ok(text)
}

/// Reads a file of JSON; nothing where there is none.
///
/// # Errors
/// When it cannot be read, or not be understood.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .with_context(|| format!("cannot understand `{}`; remove it and measure the step again", path.display()))
            .map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read `{}`", path.display())),
    }
}
