//! The notebook as one HTML file: `experiments html`. It reads what the report reads, and writes nothing but the file.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{Project, StaleResults, document::document, programs};
use crate::{
    report::{
        Document, Templates, Typst,
        web::{self, Page, PageOptions, PageTemplates, Reader},
    },
    results::ResultsFolder,
};

/// Makes `results/report.html` (or `output`) from the results that are there.
///
/// # Errors
/// As [`super::report`].
pub fn html(project: &Project, results: &Path, output: Option<&Path>, stale_results: StaleResults) -> Result<PathBuf> {
    let document = document(project, &ResultsFolder::read_only(results), stale_results)?;
    let output = output.map_or_else(|| results.join("report.html"), Path::to_owned);
    let page = page(project, &document, Reader::File)?;
    let partial = output.with_extension("html.partial");
    fs::write(&partial, page.html)
        .and_then(|()| fs::rename(&partial, &output))
        .with_context(|| format!("cannot write `{}`; check that its folder is writable", output.display()))?;
    Ok(output)
}

/// The page of a document, with the templates as they are now.
pub(super) fn page(project: &Project, document: &Document, reader: Reader) -> Result<Page> {
    let templates = project.root.join("report-src");
    let folder = match reader {
        Reader::File => "html",
        Reader::Server => "notebook",
    };
    let typst = Typst { program: programs::typst(project)? };
    let options = PageOptions { typst, folder: project.runs().join(folder), reader };
    web::page(document, &Templates::read(&templates)?, &PageTemplates::read(&templates)?, &options)
}
