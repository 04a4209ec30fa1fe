//! The way from `results/` to the PDF: checked rows, summaries, figures, document. A function of the results and the templates.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{
    Project, attachments, ingredients, ingredients::Ingredients, manifest::SectionState, programs, provenance,
    summaries,
};
use crate::{
    report::{self, BuildOptions, Document, Provenance, Section, Source, Status, Typst},
    results::{ResultsFolder, StepRecord, dictionary as dictionary_of, summary::SummaryTable},
    steps::{Figure, STEPS, Step},
};

/// What becomes of results whose inputs have changed since they were measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StaleResults {
    /// There is no report.
    Refuse,
    /// The cover says so, and each of their numbers bears a mark.
    Mark,
}

/// Results that were measured from other inputs than the present ones.
#[derive(Debug, thiserror::Error)]
#[error(
    "{}\nmeasure again with `just all`, or print them with a mark at each of their numbers with `just report --allow-stale`",
    .0.join("\n")
)]
pub struct Stale(Vec<String>);

/// Makes `results/report.pdf` (or `output`) from the results that are there.
///
/// # Errors
/// [`crate::results::Damage`] when a result is not what was measured; [`Stale`] when it is of other inputs and that is not wanted; else
/// when a template, Typst or the disk is to blame, which is named.
pub fn report(
    project: &Project,
    results: &Path,
    output: Option<&Path>,
    stale_results: StaleResults,
) -> Result<PathBuf> {
    let ingredients = Ingredients::of_project(project, results)?;
    let document = document_of(&ingredients)?;
    refuse_stale(&ingredients, stale_results)?;
    write_derived(&ingredients.results, &document)?;
    let options = BuildOptions {
        typst: Typst { program: programs::typst(project)? },
        folder: project.runs().join("report"),
        output: output.map_or_else(|| results.join("report.pdf"), Path::to_owned),
    };
    report::build(&document, &ingredients.templates, &options)
}

/// What the results that are there make of the report: as a PDF, or as a page.
pub(super) fn document(project: &Project, results: &ResultsFolder, stale_results: StaleResults) -> Result<Document> {
    let ingredients = Ingredients::of_project(project, results.path())?;
    let document = document_of(&ingredients)?;
    refuse_stale(&ingredients, stale_results)?;
    Ok(document)
}

fn refuse_stale(ingredients: &Ingredients, stale_results: StaleResults) -> Result<()> {
    let stale = stale(ingredients);
    if stale_results == StaleResults::Refuse && !stale.is_empty() {
        return Err(Stale(stale).into());
    }
    Ok(())
}

/// A line for each step whose results are stale.
fn stale(ingredients: &Ingredients) -> Vec<String> {
    let stale = ingredients.sections.iter().filter(|section| !section.stale.is_empty());
    stale.map(|section| format!("`{}` is stale: {}", section.step, section.stale.join(", "))).collect()
}

fn add_notice(document: &mut Document, words: &str) {
    document.notice = Some(match document.notice.take() {
        Some(notice) => format!("{notice}; {words}"),
        None => words.to_owned(),
    });
}

/// The data dictionary of every step.
#[must_use]
pub fn dictionary() -> String {
    dictionary_of(STEPS.iter().map(|step| (step.name(), step.question(), step.tables())))
}

/// The document that these ingredients make, and nothing else: no clock, no checkout, no program but this one.
///
/// # Errors
/// [`crate::results::Damage`] when a result is not what was measured; else when it cannot be understood.
pub(super) fn document_of(ingredients: &Ingredients) -> Result<Document> {
    let mut document = Document {
        title: "Loadbook".to_owned(),
        subtitle: "A blog under load: its schema, its queries, its caches and its balancer, measured".to_owned(),
        notice: None,
        provenance: Provenance::default(),
        tables: Vec::new(),
        figures: BTreeMap::new(),
        sources: ingredients.sources.clone(),
        sections: Vec::new(),
        attachments: Vec::new(),
        newest_result_unix_s: 0,
    };
    let mut records = Vec::new();
    for (section, measured) in ingredients.sections.iter().zip(all_measured(ingredients)) {
        records.extend(add_step(&ingredients.results, section, measured?, &mut document)?);
    }
    if !stale(ingredients).is_empty() {
        add_notice(&mut document, "numbers with a dagger are stale: their inputs changed");
    }
    document.provenance = provenance::of_records(&records);
    document.attachments = attachments::attachments(ingredients, &records, &document)?;
    Ok(document)
}

/// What the results of a step make by themselves.
struct Measured {
    step: &'static dyn Step,
    record: Option<StepRecord>,
    tables: Vec<SummaryTable>,
    figures: Vec<Figure>,
}

/// Those of each section, in order. To summarise rows takes seconds, so the steps are looked at side by side. By threads of their own: one of
/// `rayon` would take up the next step while it waits for polars in the midst of this one, on the same stack.
fn all_measured(ingredients: &Ingredients) -> Vec<Result<Measured>> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = ingredients
            .sections
            .iter()
            .map(|section| scope.spawn(|| measured(&ingredients.results, &section.step)))
            .collect();
        let joined = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
        joined.map(|outcome| outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

fn measured(results: &ResultsFolder, name: &str) -> Result<Measured> {
    let step = STEPS.iter().find(|step| step.name() == name);
    let step = *step.with_context(|| format!("this version of Loadbook has no step `{name}`"))?;
    let Some(record) = results.record(name)? else {
        return Ok(Measured { step, record: None, tables: Vec::new(), figures: Vec::new() });
    };
    let tables = summaries::of_step(results, step, &record)?;
    let figures = step.draw(&tables).with_context(|| format!("cannot draw the figures of `{name}`"))?;
    Ok(Measured { step, record: Some(record), tables, figures })
}

/// Adds the section of a step, and returns under which conditions it was measured.
fn add_step(
    results: &ResultsFolder,
    state: &SectionState,
    measured: Measured,
    document: &mut Document,
) -> Result<Option<StepRecord>> {
    let Measured { step, record, tables, figures } = measured;
    let failure = results.failure(step.name())?;
    let mut section = Section {
        step: step.name().to_owned(),
        title: step.title().to_owned(),
        question: step.question().to_owned(),
        status: Status::Missing,
        warnings: Vec::new(),
        provenance: Vec::new(),
    };
    if let Some(record) = &record {
        let figures = figures.into_iter().map(|Figure { name, svg }| (format!("{}_{name}", step.name()), svg));
        document.figures.extend(figures);
        document.tables.extend(tables);
        section.status = match state.stale.as_slice() {
            [] => Status::Current,
            reasons => Status::Stale(reasons.to_vec()),
        };
        section.warnings.clone_from(&record.warnings);
        section.provenance = conditions(record);
        take_record(results, record, document)?;
    }
    if let Some(failure) = failure {
        section.status = Status::Failed(failure.error);
        document.newest_result_unix_s = document.newest_result_unix_s.max(unix_s(&failure.failed_utc)?);
    }
    document.sections.push(section);
    Ok(record)
}

/// What a finished measurement gives to the document as a whole.
fn take_record(results: &ResultsFolder, record: &StepRecord, document: &mut Document) -> Result<()> {
    if record.profile != "full" {
        document.notice =
            Some(format!("profile “{}”: it shows that everything runs; it is not for conclusions", record.profile));
    }
    document.newest_result_unix_s = document.newest_result_unix_s.max(unix_s(&record.finished_utc)?);
    let folder = results.step(&record.step);
    for text in &record.texts {
        let path = folder.join(&text.file);
        let words = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let source = Source {
            origin: format!("results/{}/{}", record.step, text.file),
            ..ingredients::source(text.file.clone(), words)
        };
        document.sources.insert(format!("{}/{}", record.step, text.file), source);
    }
    Ok(())
}

fn conditions(record: &StepRecord) -> Vec<(String, String)> {
    let files: Vec<String> =
        record.tables.iter().map(|table| format!("{} ({} rows)", table.file, table.rows)).collect();
    vec![
        ("command".to_owned(), format!("experiments run {} --profile {}", record.step, record.profile)),
        ("finished (UTC)".to_owned(), record.finished_utc.clone()),
        ("commit".to_owned(), record.commit.clone().unwrap_or_else(|| "not in a checkout".to_owned())),
        ("seed".to_owned(), record.seed.to_string()),
        ("arms".to_owned(), record.arms.join(", ")),
        ("parameters".to_owned(), record.parameters.to_string()),
        (format!("files in results/{}", record.step), files.join(", ")),
    ]
}

/// Summaries and figures as files, for people who look without the PDF.
fn write_derived(results: &ResultsFolder, document: &Document) -> Result<()> {
    let (summary, figures) = (results.path().join("summary"), results.path().join("figures"));
    for folder in [&summary, &figures] {
        if folder.exists() {
            fs::remove_dir_all(folder).with_context(|| format!("cannot renew `{}`", folder.display()))?;
        }
        fs::create_dir_all(folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    }
    for table in &document.tables {
        table.write(&summary)?;
    }
    for (name, svg) in &document.figures {
        let path = figures.join(format!("{name}.svg"));
        fs::write(&path, svg).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(())
}

fn unix_s(utc: &str) -> Result<i64> {
    let time =
        chrono::DateTime::parse_from_rfc3339(utc).with_context(|| format!("`{utc}` is not a time of `step.json`"))?;
    Ok(time.timestamp())
}
