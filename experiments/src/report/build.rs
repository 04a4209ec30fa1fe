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

/// Makes the PDF and returns its path.
///
/// # Errors
/// When a template or a claim names what does not exist, when Typst complains (a warning is a complaint), or when a file cannot be written. The
/// message begins with the template line to edit, where there is one.
pub fn build(document: &Document, templates: &Templates, options: &BuildOptions) -> Result<PathBuf> {
    let Generated { json, rendered } = generate(document, templates, "style.typ")?;
    let folder = std::path::absolute(&options.folder)?;
    let output = std::path::absolute(&options.output)?;
    write_all(&folder, document, templates, &json, &rendered)?;

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
    finished.map(|()| output)
}

/// Puts what Typst wrote in its place, with compressed objects.
fn finish(partial: &Path, output: &Path) -> Result<()> {
    let named = || {
        format!(
            "cannot write `{}`; free some space on its disk, and check that its folder is writable",
            output.display()
        )
    };
    let written = std::fs::read(partial).with_context(|| format!("cannot read `{}`", partial.display()))?;
    std::fs::write(partial, compact(&written)?).with_context(named)?;
    std::fs::rename(partial, output).with_context(named)
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
    let json = data::json(document, &values);
    let claims = claims::read(templates)?;
    let judged = claims::judge(&claims, &Evidence::of(document, &values))?;
    let catalogue = Arc::new(Catalogue::new(document, values));
    Ok(Generated { json, rendered: render(document, templates, &judged, &catalogue, style)? })
}

fn write_all(
    folder: &Path,
    document: &Document,
    templates: &Templates,
    json: &str,
    rendered: &[Rendered],
) -> Result<()> {
    for name in ["sections", "figures", "attachments"] {
        let path = folder.join(name);
        if path.exists() {
            std::fs::remove_dir_all(&path).with_context(|| format!("cannot empty `{}`", path.display()))?;
        }
        std::fs::create_dir_all(&path)
            .with_context(|| format!("cannot create `{}`; check that its folder is writable", path.display()))?;
    }
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        // An attachment may be named with its folder, such as `cache/trials.csv`.
        path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        std::fs::write(&path, bytes)
            .with_context(|| format!("cannot write `{}`; check that the disk has room", path.display()))
    };
    write("style.typ", templates.style.as_bytes())?;
    write("report.json", json.as_bytes())?;
    for file in rendered {
        write(&file.path, file.text.as_bytes())?;
    }
    for (name, svg) in &document.figures {
        write(&format!("figures/{name}.svg"), svg.as_bytes())?;
    }
    for attachment in &document.attachments {
        write(&format!("attachments/{}", attachment.name), &attachment.bytes)?;
    }
    Ok(())
}
