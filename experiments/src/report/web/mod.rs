//! The report as one HTML page that loads nothing: style, script, charts and CSVs are in it. The text is that of the PDF, from the same
//! templates; `web.typ` takes the place of `style.typ`, and Typst writes HTML. This room does not know who reads the page: a browser
//! that opened a file, or one that a server keeps up to date.

mod fill;
mod shell;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value as Json};

use super::build::{Generated, generate};
use super::document::Document;
use super::escape::printable;
use super::templates::Templates;
use super::typst::Typst;
use super::{diagnostics, render::Rendered};
use crate::results::summary::Cell;

pub use shell::{Page, PageTemplates};

/// Where things are, and for whom the page is.
#[derive(Clone, Debug)]
pub struct PageOptions {
    /// The compiler.
    pub typst: Typst,
    /// The folder for what is generated; what an earlier page left there is replaced.
    pub folder: PathBuf,
    /// Where the page gets what is not text.
    pub reader: Reader,
}

/// Who reads the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// Whoever opens the file: all that can be downloaded is in it.
    File,
    /// Whoever asks the server: files have addresses, and the page follows the run and the edits.
    Server,
}

/// Makes the page. The same document gives the same bytes.
///
/// # Errors
/// When a template or a claim names what does not exist, when Typst complains, or when the build folder cannot be written. The message
/// begins with the template line to edit, where there is one.
pub fn page(
    document: &Document,
    templates: &Templates,
    page_templates: &PageTemplates,
    options: &PageOptions,
) -> Result<Page> {
    let Generated { json, rendered } = generate(document, templates, "web.typ")?;
    let folder = std::path::absolute(&options.folder)?;
    write_all(&folder, document, &json, &rendered, [&templates.style, &page_templates.web])?;
    let output = folder.join("main.html");
    if let Err(printed) = options.typst.compile_html(&folder, document.newest_result_unix_s, &output)? {
        bail!("{}", complaint(&printed, &rendered, templates));
    }
    let text = std::fs::read_to_string(&output).with_context(|| format!("cannot read `{}`", output.display()))?;
    let body = text.split_once("<body>").and_then(|(_, rest)| rest.rsplit_once("</body>"));
    let (body, _) = body.with_context(|| format!("`{}` has no body", output.display()))?;
    page_templates.wrap(&document.title, &fill::fill(body, document, options.reader)?, options.reader)
}

fn complaint(printed: &str, rendered: &[Rendered], templates: &Templates) -> String {
    if printed.contains("this is a launcher") {
        return "Typst was installed into `.tools` before it was asked for HTML; bring it up to date with `just setup`"
            .to_owned();
    }
    let found: Vec<_> =
        diagnostics::parse(printed).into_iter().filter(|diagnostic| !diagnostic.is_about_html()).collect();
    if found.is_empty() {
        return format!("Typst failed:\n{printed}");
    }
    diagnostics::explain(&found, rendered, templates)
}

fn write_all(
    folder: &Path,
    document: &Document,
    json: &str,
    rendered: &[Rendered],
    [style, web]: [&String; 2],
) -> Result<()> {
    let sections = folder.join("sections");
    if sections.exists() {
        std::fs::remove_dir_all(&sections).with_context(|| format!("cannot empty `{}`", sections.display()))?;
    }
    std::fs::create_dir_all(&sections)
        .with_context(|| format!("cannot create `{}`; check that its folder is writable", sections.display()))?;
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text)
            .with_context(|| format!("cannot write `{}`; check that the disk has room", path.display()))
    };
    write("style.typ", style)?;
    write("web.typ", web)?;
    write("report.json", json)?;
    write("cells.json", &cells(document))?;
    rendered.iter().try_for_each(|file| write(&file.path, &file.text))
}

/// The cells of all tables as they stand in the CSVs: what a page sorts by. The texts that it prints are in `report.json`.
fn cells(document: &Document) -> String {
    let row = |row: &Vec<Cell>| row.iter().map(|cell| Json::String(printable(&cell.to_csv()))).collect::<Json>();
    let tables: Map<String, Json> =
        document.tables.iter().map(|table| (table.address(), table.rows.iter().map(row).collect())).collect();
    Json::Object(tables).to_string()
}
