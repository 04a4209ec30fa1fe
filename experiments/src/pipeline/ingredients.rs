//! Everything that a report is a function of, wherever it comes from: a checkout with results, or what was attached to a PDF. There is one
//! way from here to the document, so that a report that is verified is made as it was made the first time.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{Project, manifest::SectionState, staleness::Staleness};
use crate::{
    report::{Source, Templates},
    results::ResultsFolder,
    steps::{STEPS, Step},
};

/// Where attached files lie below the folder into which they are unpacked.
pub(super) const RESULTS: &str = "results";
pub(super) const TEMPLATES: &str = "report-src";
pub(super) const SOURCES: &str = "sources";

/// What a document is made of.
pub(super) struct Ingredients {
    /// Rows, texts, conditions and failures of the steps.
    pub(super) results: ResultsFolder,
    /// The texts of the report.
    pub(super) templates: Templates,
    /// What the templates quote of the specimen, by path.
    pub(super) sources: BTreeMap<String, Source>,
    /// The sections in their order, with what has changed since they were measured.
    pub(super) sections: Vec<SectionState>,
}

impl Ingredients {
    /// Those of a checkout.
    pub(super) fn of_project(project: &Project, results: &Path) -> Result<Self> {
        let results = ResultsFolder::read_only(results);
        // The project is looked at only where there is something to hold against it.
        let mut staleness = None;
        let section = |step: &&dyn Step| {
            // That there are no results, or that the last run failed, the results say themselves.
            let has_body = results.has(step.name()) && results.failure(step.name())?.is_none();
            let reasons = match &mut staleness {
                _ if !has_body => Vec::new(),
                Some(staleness) => Staleness::of_results(staleness, *step, None)?,
                none => none.insert(Staleness::look(project, &results)?).of_results(*step, None)?,
            };
            let stale = reasons.into_iter().map(|reason| reason.words).collect();
            Ok(SectionState { step: step.name().to_owned(), stale })
        };
        let sections = STEPS.iter().map(section).collect::<Result<_>>()?;
        drop(staleness);
        Ok(Self {
            sections,
            templates: Templates::read(&project.root.join("report-src"))?,
            sources: sources(project)?,
            results,
        })
    }

    /// Those that were attached to a PDF and unpacked into `folder`.
    pub(super) fn of_folder(folder: &Path, sections: Vec<SectionState>) -> Result<Self> {
        let root = folder.join(SOURCES);
        let mut sources = BTreeMap::new();
        for path in files_below(&root)? {
            let origin = path.strip_prefix(&root).unwrap_or(&path).to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read the attached `{origin}`"))?;
            sources.insert(origin.clone(), source(origin, text));
        }
        Ok(Self {
            results: ResultsFolder::read_only(&folder.join(RESULTS)),
            templates: Templates::read(&folder.join(TEMPLATES))?,
            sources,
            sections,
        })
    }
}

/// The specimen's SQL, as it is compiled into it, and the configuration of its balancer.
fn sources(project: &Project) -> Result<BTreeMap<String, Source>> {
    let mut sources = BTreeMap::new();
    for query in app::db::QUERIES {
        let origin = format!("app/queries/{}.sql", query.name);
        sources.insert(origin.clone(), source(origin, query.sql.to_owned()));
    }
    let origin = "nginx/nginx.conf.template";
    let text = fs::read_to_string(project.root.join(origin)).with_context(|| format!("cannot read `{origin}`"))?;
    sources.insert(origin.to_owned(), source(origin.to_owned(), without_comments(&text)));
    Ok(sources)
}

/// A text to quote; the language follows from its name.
pub(super) fn source(origin: String, text: String) -> Source {
    let language = match origin.rsplit_once('.').map(|(_, ending)| ending) {
        Some("sql") => "sql",
        Some("conf" | "template") => "nginx",
        _ => "",
    };
    Source { language: language.to_owned(), origin, text }
}

/// A configuration without the lines that say why, which take more room than a page has.
fn without_comments(text: &str) -> String {
    let lines: Vec<&str> =
        text.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#')).collect();
    lines.join("\n")
}

/// Every file below a folder, in the order of the paths; none where there is no folder.
fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        if !folder.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot list `{}`", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    Ok(files)
}
