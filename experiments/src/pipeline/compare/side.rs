//! One side of a comparison: a folder of results, a report to which they are attached, or the committed reference as it was in a revision,
//! which git hands out. It finds and reads; it judges nothing.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::{
    aggregate::Run,
    pipeline::{summaries, verify},
    results::{Damage, ResultsFolder, StepRecord, summary::SummaryTable},
    steps::STEPS,
};

/// Where `just bless` keeps the reference, below the project.
pub(super) const REFERENCE: &str = "results/reference";

/// There are no results where some were expected; why, in words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Absent(String);

/// Where the results are.
pub(super) struct Side {
    /// As the user says it.
    label: String,
    folder: PathBuf,
    /// What git handed out or a report carried, for as long as it is looked at.
    copy: Option<TempDir>,
}

/// What is there.
pub(super) struct Results {
    pub(super) label: String,
    /// The conditions, in the order of the report.
    pub(super) records: Vec<StepRecord>,
    /// The folder of summaries, for messages.
    summary: PathBuf,
    tables: Vec<SummaryTable>,
    smallest_effects: BTreeMap<String, f64>,
}

impl Side {
    /// A folder, shown as its path below the project where it is there.
    pub(super) fn folder(project: &Path, folder: &Path) -> Self {
        let label = folder.strip_prefix(project).unwrap_or(folder).display().to_string();
        Self { label, folder: folder.to_owned(), copy: None }
    }

    /// What the user calls `name`: a folder or a report if there is one, else a revision.
    pub(super) fn named(project: &Path, name: &str) -> Result<Self> {
        let path = Path::new(name);
        if path.is_dir() {
            return Ok(Self::folder(project, path));
        }
        let is_report = path.is_file() || path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("pdf"));
        if is_report { Self::report(path) } else { Self::revision(project, name) }
    }

    /// The results that are attached to a report.
    fn report(path: &Path) -> Result<Self> {
        ensure!(path.exists(), Absent(format!("there is no file `{}`", path.display())));
        let copy = tempfile::tempdir().context("cannot make a temporary folder")?;
        let folder = verify::unpack_results(path, copy.path())?;
        Ok(Self { label: path.display().to_string(), folder, copy: Some(copy) })
    }

    fn revision(project: &Path, name: &str) -> Result<Self> {
        let neither =
            |why: &str| Absent(format!("`{name}` is neither a folder, nor a report, nor a git revision ({why})"));
        ensure!(!name.starts_with('-'), neither("nothing of these begins with `-`"));
        let commit = git(project, &["rev-parse", "--verify", &format!("{name}^{{commit}}")])?;
        let commit = commit.map_err(|why| neither(&why))?;
        let commit = String::from_utf8_lossy(&commit).trim().to_owned();
        let must = |found: Result<Vec<u8>, String>| {
            found.map_err(|why| anyhow::anyhow!("git cannot read `{REFERENCE}` of `{name}`: {why}"))
        };
        let listed = must(git(project, &["ls-tree", "-r", "-z", "--name-only", &commit, "--", REFERENCE])?)?;
        let copy = tempfile::tempdir().context("cannot make a temporary folder")?;
        let listed = String::from_utf8_lossy(&listed);
        let wanted = listed.split('\0').filter(|path| path.ends_with(".csv") || path.ends_with("/step.json"));
        for path in wanted {
            let Ok(below) = Path::new(path).strip_prefix(REFERENCE) else { continue };
            let (to, bytes) = (copy.path().join(below), must(git(project, &["show", &format!("{commit}:./{path}")])?)?);
            let folder = to.parent().unwrap_or(copy.path());
            fs::create_dir_all(folder)
                .and_then(|()| fs::write(&to, bytes))
                .with_context(|| format!("cannot write `{}`; check that the disk has room", to.display()))?;
        }
        let label = format!("{name}:{REFERENCE}");
        Ok(Self { label, folder: copy.path().to_owned(), copy: Some(copy) })
    }

    /// Reads what is there.
    pub(super) fn read(&self) -> Result<Results> {
        let folder = ResultsFolder::read_only(&self.folder);
        let (mut records, mut tables, mut smallest_effects) = (Vec::new(), Vec::new(), BTreeMap::new());
        for step in STEPS {
            let record = folder.record(step.name()).with_context(|| format!("in `{}`", self.label))?;
            let Some(record) = record else { continue };
            let has_rows = record.tables.iter().any(|table| folder.step(step.name()).join(&table.file).exists());
            // Where the rows are, what they say counts, and not what was once made of them.
            let found =
                if has_rows { summaries::of_step(&folder, *step, &record) } else { self.summaries(step.name()) };
            tables.extend(found.map_err(|error| self.named_as_the_user_does(error))?);
            let percent = record.parameters.get("smallest_effect_percent").and_then(serde_json::Value::as_f64);
            smallest_effects.extend(percent.map(|percent| (step.name().to_owned(), percent / 100.0)));
            records.push(record);
        }
        if records.is_empty() {
            return Err(Absent(format!("`{}` holds no `<step>/step.json`", self.label)).into());
        }
        let summary = self.shown(&self.folder.join("summary"));
        Ok(Results { label: self.label.clone(), summary, records, tables, smallest_effects })
    }

    /// The summaries of a step as they were written, in the order of their names.
    fn summaries(&self, step: &str) -> Result<Vec<SummaryTable>> {
        let folder = self.folder.join("summary");
        if !folder.exists() {
            return Ok(Vec::new());
        }
        let mut paths = Vec::new();
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read `{}`", folder.display()))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name.starts_with(&format!("{step}_")) && name.ends_with(".csv") {
                paths.push(folder.join(name));
            }
        }
        paths.sort();
        paths.iter().map(|path| SummaryTable::read(path)).collect()
    }

    /// A temporary folder means nothing to anybody.
    fn named_as_the_user_does(&self, error: anyhow::Error) -> anyhow::Error {
        match error.downcast::<Damage>() {
            Ok(damage) => Damage { path: self.shown(&damage.path), ..damage }.into(),
            Err(error) => error,
        }
    }

    fn shown(&self, path: &Path) -> PathBuf {
        match path.strip_prefix(&self.folder) {
            Ok(below) if self.copy.is_some() => Path::new(&self.label).join(below),
            _ => path.to_owned(),
        }
    }
}

impl Results {
    pub(super) fn run(&self) -> Run<'_> {
        Run { folder: &self.summary, tables: &self.tables, smallest_effects: &self.smallest_effects }
    }

    pub(super) fn record(&self, step: &str) -> Option<&StepRecord> {
        self.records.iter().find(|record| record.step == step)
    }

    /// One line: what it is, and from when.
    pub(super) fn heading(&self) -> String {
        let newest = self.records.iter().max_by(|one, other| one.finished_utc.cmp(&other.finished_utc));
        let said = newest.map(|record| {
            let commit = record.commit.as_deref().map_or_else(String::new, |commit| format!(", commit {commit}"));
            format!("profile {}{commit}, measured until {}", record.profile, record.finished_utc)
        });
        format!("`{}` ({})", self.label, said.unwrap_or_default())
    }
}

/// What git prints, or why it does not.
fn git(project: &Path, arguments: &[&str]) -> Result<Result<Vec<u8>, String>> {
    let output = Command::new("git").arg("-C").arg(project).args(arguments).output();
    let output = output.context("cannot start `git`, which knows revisions; install it, or give folders of results")?;
    let why = || String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
    Ok(if output.status.success() { Ok(output.stdout) } else { Err(why()) })
}
