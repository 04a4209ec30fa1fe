//! Writes everything that Typst needs into a build folder, where it can be looked at, and puts the PDF in its place.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use super::claims::Evidence;
use super::compact::compact;
use super::document::Document;
use super::functions::Catalogue;
use super::render::{Rendered, render};
use super::templates::Templates;
use super::typst::Typst;
use super::{claims, data, diagnostics, values};
use crate::results::hash_bytes;

/// Where things are and where they go.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// The compiler.
    pub typst: Typst,
    /// The folder for what is generated; what an earlier build left there is replaced.
    pub folder: PathBuf,
    /// The PDF. It is replaced as a whole, and only when everything went well.
    pub output: PathBuf,
}

/// What the system says when a file cannot grow, through Typst.
const NO_ROOM: [&str; 3] = ["No space left on device", "Disk quota exceeded", "File too large"];

/// In the build folder: of what the PDF was made, and what it was then.
const MADE_OF: &str = "made-of.txt";

/// Makes the PDF and returns its path. One that is in its place, and was made of the same, stays as it is.
///
/// # Errors
/// When a template or a claim names what does not exist, when Typst complains (a warning is a complaint), or when a file cannot be written. The
/// message begins with the template line to edit, where there is one.
pub fn build(document: &Document, templates: &Templates, options: &BuildOptions) -> Result<PathBuf> {
    let Generated { json, rendered } = generate(document, templates, "style.typ")?;
    let folder = std::path::absolute(&options.folder)?;
    let output = std::path::absolute(&options.output)?;
    let files = files(document, templates, &json, &rendered);
    let made_of = made_of(&files, document, options)?;
    let is_there =
        |stamp: &str| std::fs::read(&output).is_ok_and(|pdf| stamp == format!("{made_of} {}\n", hash_bytes(&pdf)));
    if std::fs::read_to_string(folder.join(MADE_OF)).is_ok_and(|stamp| is_there(&stamp)) {
        return Ok(output);
    }
    write_all(&folder, &files)?;

    let partial = output.with_extension("pdf.partial");
    if let Err(printed) = options.typst.compile(&folder, document.newest_result_unix_s, &partial)? {
        let _ = std::fs::remove_file(&partial);
        if NO_ROOM.iter().any(|words| printed.contains(words)) {
            bail!("cannot write `{}`; free some space on its disk, then run `just report`", output.display());
        }
        let found = diagnostics::parse(&printed);
        if found.is_empty() {
            bail!("Typst failed on `{}`:\n{printed}", folder.join("main.typ").display());
        }
        bail!("{}", diagnostics::explain(&found, &rendered, templates));
    }
    let finished = finish(&partial, &output);
    if finished.is_err() {
        let _ = std::fs::remove_file(&partial);
    }
    let stamp = format!("{made_of} {}\n", finished?);
    let path = folder.join(MADE_OF);
    std::fs::write(&path, stamp)
        .with_context(|| format!("cannot write `{}`; check that the disk has room", path.display()))?;
    Ok(output)
}

/// The hash of everything that decides how the PDF looks: the files, the date, and the programs that make it.
fn made_of(files: &[(String, &[u8])], document: &Document, options: &BuildOptions) -> Result<String> {
    let mut list = format!("{}\n", document.newest_result_unix_s);
    for program in [&options.typst.program, &std::env::current_exe().context("cannot find this program")?] {
        let about = std::fs::metadata(program).and_then(|about| Ok((about.len(), about.modified()?)));
        list += &format!("{} {about:?}\n", program.display());
    }
    for (name, bytes) in files {
        list += &format!("{name} {}\n", hash_bytes(bytes));
    }
    Ok(hash_bytes(list.as_bytes()))
}

/// Puts what Typst wrote in its place, with compressed objects, and returns its hash.
fn finish(partial: &Path, output: &Path) -> Result<String> {
    let named = || {
        format!(
            "cannot write `{}`; free some space on its disk, and check that its folder is writable",
            output.display()
        )
    };
    let written = std::fs::read(partial).with_context(|| format!("cannot read `{}`", partial.display()))?;
    let compacted = compact(&written)?;
    std::fs::write(partial, &compacted).with_context(named)?;
    std::fs::rename(partial, output).with_context(named)?;
    Ok(hash_bytes(&compacted))
}

/// The document as Typst reads it: its data, and its text in functions of a style.
pub(super) struct Generated {
    /// `report.json`.
    pub(super) json: String,
    /// `main.typ` and the sections.
    pub(super) rendered: Vec<Rendered>,
}

/// Formats the values, holds the claims against them, and renders the templates; `style` is the Typst file whose functions they call.
pub(super) fn generate(document: &Document, templates: &Templates, style: &str) -> Result<Generated> {
    let values = values::values(&document.tables)?;
    let claims = claims::read(templates)?;
    let judged = claims::judge(&claims, &Evidence::of(document, &values))?;
    let catalogue = Arc::new(Catalogue::new(document, values));
    let rendered = render(document, templates, &judged, &catalogue, style)?;
    let printed = values::printed(rendered.iter().map(|file| file.text.as_str()), &catalogue.values);
    Ok(Generated { json: data::json(document, &printed), rendered })
}

/// Everything that Typst reads, by its path in the build folder.
fn files<'d>(
    document: &'d Document,
    templates: &'d Templates,
    json: &'d str,
    rendered: &'d [Rendered],
) -> Vec<(String, &'d [u8])> {
    let style = ("style.typ".to_owned(), templates.style.as_bytes());
    let texts = rendered.iter().map(|file| (file.path.clone(), file.text.as_bytes()));
    let figures = document.figures.iter().map(|(name, svg)| (format!("figures/{name}.svg"), svg.as_bytes()));
    // An attachment may be named with its folder, such as `cache/trials.csv`.
    let attached = document.attachments.iter();
    let attached = attached.map(|file| (format!("attachments/{}", file.name), file.bytes.as_slice()));
    let data = ("report.json".to_owned(), json.as_bytes());
    [style, data].into_iter().chain(texts).chain(figures).chain(attached).collect()
}

fn write_all(folder: &Path, files: &[(String, &[u8])]) -> Result<()> {
    for name in ["sections", "figures", "attachments"] {
        let path = folder.join(name);
        if path.exists() {
            std::fs::remove_dir_all(&path).with_context(|| format!("cannot empty `{}`", path.display()))?;
        }
        std::fs::create_dir_all(&path)
            .with_context(|| format!("cannot create `{}`; check that its folder is writable", path.display()))?;
    }
    for (name, bytes) in files {
        let path = folder.join(name);
        path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        std::fs::write(&path, bytes)
            .with_context(|| format!("cannot write `{}`; check that the disk has room", path.display()))?;
    }
    Ok(())
}
