//! `experiments verify`: a report held against itself. What is attached to it is unpacked into a temporary folder, every value is
//! computed again from the rows, the pages are set again, and the bytes are compared: with no checkout, no results and no service, only
//! this program and Typst. It says that a report is what its data make it; it cannot say who made it.
//!
//! The file may come from anywhere. Nothing of it is written outside of the temporary folder, and its templates run where they can read
//! nothing else.

mod unpack;
mod values;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use self::unpack::Unpacked;
use super::{
    document,
    ingredients::{Ingredients, RESULTS},
    manifest::{FILE, Manifest, VALUES},
    programs,
};
use crate::{
    report::{
        self, BuildOptions, Document, Typst,
        pdf::{Pdf, Unreadable, first_difference},
    },
    results::{Damage, hash_bytes},
};

/// A file that cannot be verified, because it is not a report of Loadbook, or not a whole one.
#[derive(Debug, thiserror::Error)]
#[error("`{}` cannot be verified: {why}", path.display())]
pub struct NotAReport {
    path: PathBuf,
    why: String,
}

impl NotAReport {
    fn new(path: &Path, why: String) -> Self {
        Self { path: path.to_owned(), why }
    }
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verified {
    /// Every byte is what the attached data make.
    Same,
    /// The first thing that is not, with both sides.
    Differs(String),
    /// The values are right, and the pages were set by another version of Typst, which may set them otherwise.
    OtherTypst(String),
}

/// Verifies the report at `path`, and says step by step what was found right. With `extract`, everything is unpacked there and stays.
///
/// # Errors
/// [`NotAReport`]; [`setup::Missing`] without Typst; else when a temporary file cannot be written.
pub fn verify(path: &Path, extract: Option<&Path>) -> Result<Verified> {
    let temporary = tempfile::Builder::new().prefix("loadbook-verify-").tempdir();
    let temporary = temporary.context("cannot make a temporary folder; set `TMPDIR` to one that can be written")?;
    let folder = match extract {
        Some(folder) => empty(folder)?,
        None => temporary.path().join("report"),
    };
    let (bytes, pdf) = read(path)?;
    let unpacked = match unpack::unpack(&pdf, &folder)? {
        Ok(unpacked) => unpacked,
        Err(unpack::Failed::NotAReport(why)) => return Err(NotAReport::new(path, why).into()),
        Err(unpack::Failed::Differs(what)) => return Ok(Verified::Differs(what)),
    };
    let Unpacked { manifest, attached } = unpacked;
    say!("{} attached files are those that its list `{FILE}` names", attached.len());
    let hint = hint(&manifest);
    let ingredients = match ingredients(&folder, &manifest) {
        Ok(ingredients) => ingredients,
        Err(error) => return Ok(Verified::Differs(in_words(&error, &folder))),
    };
    let document = match computed(&ingredients) {
        Ok(document) => document,
        Err(error) => return Ok(Verified::Differs(format!("{}{hint}", in_words(&error, &folder)))),
    };
    if let Some(what) = other_attachment(&document, &attached) {
        return Ok(Verified::Differs(format!("{what}{hint}")));
    }
    say!("{} values are what the attached rows give", values::count(&attached[VALUES]));
    pages(&bytes, &pdf, &document, &ingredients, temporary.path(), &hint)
}

/// Unpacks what is attached to the report at `path` below `folder`, and returns where its results are. That each file is the one that was
/// attached is proved by its hash; the pages are not set again.
///
/// # Errors
/// [`NotAReport`], also where something attached was changed; else when a file cannot be written.
pub(super) fn unpack_results(path: &Path, folder: &Path) -> Result<PathBuf> {
    let (_, pdf) = read(path)?;
    match unpack::unpack(&pdf, folder)? {
        Ok(_) => Ok(folder.join(RESULTS)),
        Err(unpack::Failed::NotAReport(why) | unpack::Failed::Differs(why)) => Err(NotAReport::new(path, why).into()),
    }
}

/// The bytes of a file, and the PDF that they are.
fn read(path: &Path) -> Result<(Vec<u8>, Pdf), NotAReport> {
    let bytes = fs::read(path).map_err(|error| NotAReport::new(path, format!("it cannot be read: {error}")))?;
    let pdf = Pdf::read(&bytes).map_err(|error| NotAReport::new(path, error.to_string()))?;
    Ok((bytes, pdf))
}

/// A folder that can take everything without mixing it with something else.
fn empty(folder: &Path) -> Result<PathBuf> {
    let is_empty = !folder.exists() || fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
    if !is_empty {
        bail!(crate::steps::Usage(format!("`{}` is there and not empty; name another folder", folder.display())));
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    Ok(folder.to_owned())
}

fn ingredients(folder: &Path, manifest: &Manifest) -> Result<Ingredients> {
    Ingredients::of_folder(folder, manifest.sections.clone())
}

/// Computes everything again. Rows from elsewhere may bring this program to a place that it does not expect, which is no reason to end
/// without an answer.
fn computed(ingredients: &Ingredients) -> Result<Document> {
    std::thread::scope(|scope| {
        let computed = scope.spawn(|| document::document_of(ingredients)).join();
        computed.unwrap_or_else(|_| bail!("the attached rows are not such as a step leaves"))
    })
}

/// The first attachment that the attached data do not make again, with both sides where it is a value.
fn other_attachment(document: &Document, attached: &unpack::Files) -> Option<String> {
    // The values first: they say more than that a file differs.
    let again =
        |name: &str| document.attachments.iter().find(|file| file.name == name).map(|file| file.bytes.as_slice());
    let values = attached.get(VALUES).zip(again(VALUES));
    if let Some(difference) = values.and_then(|(theirs, again)| values::first_difference(theirs, again)) {
        return Some(difference);
    }
    let differs = document.attachments.iter().find(|file| attached.get(&file.name) != Some(&file.bytes));
    if let Some(file) = differs {
        return Some(format!("the attached `{}` is another one than the attached data make", file.name));
    }
    let superfluous = attached.keys().find(|name| again(name).is_none());
    superfluous.map(|name| format!("`{name}` is attached, and a report of these data does not carry it"))
}

/// Sets the pages again and compares the files.
fn pages(
    bytes: &[u8],
    pdf: &Pdf,
    document: &Document,
    ingredients: &Ingredients,
    temporary: &Path,
    hint: &str,
) -> Result<Verified> {
    let options = BuildOptions {
        typst: Typst { program: programs::typst_anywhere()? },
        folder: temporary.join("build"),
        output: temporary.join("again.pdf"),
    };
    let built = report::build(document, &ingredients.templates, &options);
    if let Err(error) = built {
        let made_by = pdf.creator().unwrap_or_else(|| "an unknown program".to_owned());
        return Ok(Verified::Differs(format!(
            "its pages cannot be set again, they were set by {made_by}: {error:#}{hint}"
        )));
    }
    let again = fs::read(&options.output).context("cannot read the report that was made again")?;
    let pages = pdf.page_count();
    if again == bytes {
        say!("{pages} pages, {} bytes, are what Typst makes of them", bytes.len());
        say!("verified: SHA-256 {}", hash_bytes(bytes));
        return Ok(Verified::Same);
    }
    let second = Pdf::read(&again).map_err(|error| anyhow::anyhow!("the report that was made again: {error}"))?;
    let (theirs, ours) = (pdf.creator().unwrap_or_default(), second.creator().unwrap_or_default());
    if theirs != ours {
        return Ok(Verified::OtherTypst(format!(
            "the pages were set by {theirs}, here is {ours}: the bytes of two versions cannot be compared; install that version to verify the pages"
        )));
    }
    Ok(Verified::Differs(format!("{}{hint}", first_difference(bytes, &again, ["in the file", "made again"]))))
}

/// What to think of when something differs.
fn hint(manifest: &Manifest) -> String {
    let own = env!("CARGO_PKG_VERSION");
    if manifest.loadbook == own {
        String::new()
    } else {
        format!("; Loadbook {} made it and this is {own}, which may be the reason", manifest.loadbook)
    }
}

/// An error over what was unpacked, without the name of the temporary folder, which means nothing to anybody.
fn in_words(error: &anyhow::Error, folder: &Path) -> String {
    let words = match error.downcast_ref::<Damage>() {
        Some(damage) => format!("the attached `{}` is not what was measured: {}", damage.path.display(), damage.what),
        None => format!("{error:#}"),
    };
    words.replace(&format!("{}/", folder.display()), "")
}

/// Words for a file that is a PDF and nothing that this program makes.
fn foreign(what: &str) -> String {
    format!("{what}, so it is no report of Loadbook, or one of a version before reports could be verified")
}

impl From<Unreadable> for unpack::Failed {
    fn from(error: Unreadable) -> Self {
        Self::NotAReport(error.to_string())
    }
}
