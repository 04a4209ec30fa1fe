//! The way from `results/` to the PDF: checked rows, summaries, figures, document. A function of the results and the templates.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{Project, programs, provenance, staleness::Staleness, summaries};
use crate::{
    report::{self, Attachment, BuildOptions, Document, Provenance, Section, Source, Status, Templates, Typst},
    results::{ResultsFolder, StepRecord, dictionary as dictionary_of},
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
    let folder = ResultsFolder::read_only(results);
    let document = document(project, &folder, stale_results)?;
    write_derived(&folder, &document)?;
    let options = BuildOptions {
        typst: Typst { program: programs::typst(project)? },
        folder: project.runs().join("report"),
        output: output.map_or_else(|| results.join("report.pdf"), Path::to_owned),
    };
    report::build(&document, &Templates::read(&project.root.join("report-src"))?, &options)
}

/// What the results that are there make of the report: as a PDF, or as a page.
pub(super) fn document(project: &Project, results: &ResultsFolder, stale_results: StaleResults) -> Result<Document> {
    let mut document = read(project, results)?;
    let stale = stale(&document);
    match stale_results {
        StaleResults::Refuse if !stale.is_empty() => return Err(Stale(stale).into()),
        StaleResults::Mark if !stale.is_empty() => {
            add_notice(&mut document, "numbers with a dagger are stale: their inputs changed")
        }
        _ => {}
    }
    Ok(document)
}

/// A line for each step whose results are stale.
fn stale(document: &Document) -> Vec<String> {
    let line = |section: &Section| match &section.status {
        Status::Stale(reasons) => Some(format!("`{}` is stale: {}", section.step, reasons.join(", "))),
        Status::Current | Status::Failed(_) | Status::Missing => None,
    };
    document.sections.iter().filter_map(line).collect()
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

fn read(project: &Project, results: &ResultsFolder) -> Result<Document> {
    let mut document = Document {
        title: "Loadbook".to_owned(),
        subtitle: "A blog under load: its schema, its queries, its caches and its balancer, measured".to_owned(),
        notice: None,
        provenance: Provenance::default(),
        tables: Vec::new(),
        figures: BTreeMap::new(),
        sources: sources(project)?,
        sections: Vec::new(),
        attachments: Vec::new(),
        newest_result_unix_s: 0,
    };
    let mut records = Vec::new();
    let mut staleness = Staleness::look(project, results)?;
    for step in STEPS {
        records.extend(add_step(&mut staleness, results, *step, &mut document)?);
    }
    document.provenance = provenance::of_records(&records);
    Ok(document)
}

/// Adds the section of a step, and returns under which conditions it was measured.
fn add_step(
    staleness: &mut Staleness<'_>,
    results: &ResultsFolder,
    step: &dyn Step,
    document: &mut Document,
) -> Result<Option<StepRecord>> {
    let record = results.record(step.name())?;
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
        let tables = summaries::of_step(results, step, record)?;
        for Figure { name, svg } in
            step.draw(&tables).with_context(|| format!("cannot draw the figures of `{}`", step.name()))?
        {
            document.figures.insert(format!("{}_{name}", step.name()), svg);
        }
        document.tables.extend(tables);
        let reasons = staleness.of_results(step, None)?;
        let words: Vec<String> = reasons.into_iter().map(|reason| reason.words).collect();
        section.status = if words.is_empty() { Status::Current } else { Status::Stale(words) };
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
        let source = Source {
            language: language(&text.file).to_owned(),
            origin: format!("results/{}/{}", record.step, text.file),
            text: fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?,
        };
        document.sources.insert(format!("{}/{}", record.step, text.file), source);
    }
    let files = record.tables.iter().map(|table| table.file.as_str()).filter(|file| *file != "latencies.csv");
    for file in files.chain(["step.json"]) {
        let path = folder.join(file);
        document.attachments.push(Attachment {
            name: format!("{}_{file}", record.step),
            description: format!("{file} of the step {}", record.step),
            media_type: if file.ends_with(".csv") { "text/csv" } else { "application/json" }.to_owned(),
            bytes: fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?,
        });
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

/// The specimen's SQL, as it is compiled into it.
fn sources(project: &Project) -> Result<BTreeMap<String, Source>> {
    let mut sources = BTreeMap::new();
    for query in app::db::QUERIES {
        let origin = format!("app/queries/{}.sql", query.name);
        sources.insert(origin.clone(), Source { language: "sql".to_owned(), origin, text: query.sql.to_owned() });
    }
    let origin = "nginx/nginx.conf.template";
    let text = fs::read_to_string(project.root.join(origin)).with_context(|| format!("cannot read `{origin}`"))?;
    let source = Source { language: "nginx".to_owned(), origin: origin.to_owned(), text: without_comments(&text) };
    sources.insert(origin.to_owned(), source);
    Ok(sources)
}

/// A configuration without the lines that say why, which take more room than a page has.
fn without_comments(text: &str) -> String {
    let lines: Vec<&str> =
        text.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#')).collect();
    lines.join("\n")
}

fn language(file: &str) -> &'static str {
    match file.rsplit_once('.').map(|(_, ending)| ending) {
        Some("sql") => "sql",
        Some("conf") => "nginx",
        _ => "",
    }
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
