//! What is current and what is stale, in words; and the summaries as tables on the terminal. It changes nothing.

use std::path::Path;

use anyhow::Result;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::{Project, inputs, summaries};
use crate::{
    report::values::format_cell,
    results::{Change, ResultsFolder, StepRecord, changes, parameter_changes, summary::Cell},
    steps::{Profile, STEPS, Step, Usage, unknown},
};

/// Why the step must be measured again; nothing when its results are current. Without a profile, it is held against the one that it was
/// measured with.
pub(super) fn reasons(
    project: &Project,
    results: &ResultsFolder,
    step: &dyn Step,
    wanted: Option<(&str, &Profile)>,
) -> Result<Vec<Change>> {
    let mut reasons = Vec::new();
    if let Some(failure) = results.failure(step.name())? {
        reasons.push(Change::new(format!("its last run failed: {}", failure.error)));
    }
    let Some(record) = results.record(step.name())? else {
        reasons.push(Change::new("it was never measured"));
        return Ok(reasons);
    };
    match wanted {
        Some((name, _)) if record.profile != name => {
            reasons.push(Change::new(format!("it was measured with the profile `{}`", record.profile)));
        }
        Some((_, profile)) => reasons.extend(of_profile(step, &record, profile)?),
        None => match Profile::read(&project.profiles(), &record.profile) {
            Ok(profile) => reasons.extend(of_profile(step, &record, &profile)?),
            Err(error) => reasons.push(Change::new(format!("its profile cannot be read: {error:#}"))),
        },
    }
    if let Err(damage) = results.check(&record) {
        reasons.push(Change::new(format!("{damage:#}")));
    }
    reasons.extend(changes(&record.inputs, &inputs(project, step)?));
    Ok(reasons)
}

/// How the profile differs from what the step was measured with.
fn of_profile(step: &dyn Step, record: &StepRecord, profile: &Profile) -> Result<Vec<Change>> {
    let mut changes = parameter_changes(&record.parameters, &step.parameters(profile)?);
    if record.seed != profile.seed {
        let sides = Some((record.seed.to_string(), profile.seed.to_string()));
        changes.push(Change { words: "the seed changed".to_owned(), sides });
    }
    Ok(changes)
}

/// Prints one line per step: its state and why.
///
/// # Errors
/// When a result cannot be understood.
pub fn status(project: &Project, results: &Path) -> Result<()> {
    let results = ResultsFolder::read_only(results);
    let mut table = table();
    table.set_header(["step", "state", "profile", "measured (UTC)", "took", "why"]);
    for step in STEPS {
        let reasons = reasons(project, &results, *step, None)?;
        let record = results.record(step.name())?;
        let state = match (&record, results.failure(step.name())?) {
            (_, Some(_)) => "failed",
            (None, None) => "missing",
            (Some(_), None) if reasons.is_empty() => "current",
            (Some(_), None) => "stale",
        };
        let why = match reasons.as_slice() {
            [] => String::new(),
            [only] => only.words.clone(),
            [first, rest @ ..] => {
                format!("{}, and {} more; see `experiments why {}`", first.words, rest.len(), step.name())
            }
        };
        let took = record.as_ref().map_or_else(String::new, |record| format!("{:.0} s", record.duration_s));
        let (profile, finished) = record.map_or_else(Default::default, |record| (record.profile, record.finished_utc));
        table.add_row([step.name(), state, &profile, &finished, &took, &why]);
    }
    println!("{table}");
    Ok(())
}

/// Prints every reason why a step is not current, with what there was and what there is now.
///
/// # Errors
/// When there is no such step, or its result cannot be understood.
pub fn why(project: &Project, results: &Path, name: &str) -> Result<()> {
    let valid: Vec<String> = STEPS.iter().map(|step| step.name().to_owned()).collect();
    let step =
        STEPS.iter().find(|step| step.name() == name).ok_or_else(|| Usage(unknown("step", name, valid.iter())))?;
    let reasons = reasons(project, &ResultsFolder::read_only(results), *step, None)?;
    if reasons.is_empty() {
        println!("{name} is current");
    }
    for Change { words, sides } in reasons {
        println!("{name} is stale: {words}");
        if let Some((old, new)) = sides {
            println!("    measured with {old}\n    now           {new}");
        }
    }
    Ok(())
}

/// Prints the summaries as tables, numbers with their units.
///
/// # Errors
/// When a result is damaged.
pub fn print_results(results: &Path, steps: &[String]) -> Result<()> {
    let summaries = summaries::summaries(&ResultsFolder::read_only(results))?;
    let shown: Vec<_> = summaries.iter().filter(|table| steps.is_empty() || steps.contains(&table.step)).collect();
    if shown.is_empty() {
        println!("there are no results yet; run `just quick` or `just all`");
    }
    for summary in shown {
        let mut table = table();
        table.set_header(summary.columns.iter().map(|column| column.name.as_str()));
        for row in &summary.rows {
            table.add_row(summary.columns.iter().zip(row).map(|(column, cell)| {
                let aligned = if matches!(cell, Cell::Text(_)) { CellAlignment::Left } else { CellAlignment::Right };
                comfy_table::Cell::new(format_cell(&column.name, cell)).set_alignment(aligned)
            }));
        }
        println!("{}\n{table}\n", summary.address());
    }
    Ok(())
}

/// Long reasons wrap; wider tables than this are for the CSVs.
const WIDTH: u16 = 160;

/// A table without lines between its cells.
pub(super) fn table() -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table
}
