//! What is current and what is stale, in words; and the summaries as tables on the terminal. It changes nothing.

use std::path::Path;

use anyhow::Result;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::{Project, inputs, summaries};
use crate::{
    report::values::format_cell,
    results::{ResultsFolder, changes, summary::Cell},
    steps::{Profile, STEPS, Step, Usage, unknown},
};

/// Why the step must be measured again; nothing when its results are current. With a profile, also when they are of another one.
pub(super) fn reasons(
    project: &Project,
    results: &ResultsFolder,
    step: &dyn Step,
    wanted: Option<(&str, &Profile)>,
) -> Result<Vec<String>> {
    let mut reasons = Vec::new();
    if let Some(failure) = results.failure(step.name())? {
        reasons.push(format!("its last run failed: {}", failure.error));
    }
    let Some(record) = results.record(step.name())? else {
        reasons.push("it was never measured".to_owned());
        return Ok(reasons);
    };
    if let Some((name, profile)) = wanted {
        if record.profile != name {
            reasons.push(format!("it was measured with the profile `{}`", record.profile));
        } else if record.seed != profile.seed || record.parameters != step.parameters(profile)? {
            reasons.push("its parameters in `experiments/profiles.toml` changed".to_owned());
        }
        if let Err(damage) = results.check(&record) {
            reasons.push(format!("{damage:#}"));
        }
    }
    reasons.extend(changes(&record.inputs, &inputs(project, step)?));
    Ok(reasons)
}

/// Prints one line per step: its state and why.
///
/// # Errors
/// When a result cannot be understood.
pub fn status(project: &Project, results: &Path) -> Result<()> {
    let results = ResultsFolder::read_only(results);
    let mut table = table();
    table.set_header(["step", "state", "profile", "measured (UTC)", "why"]);
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
            [only] => only.clone(),
            [first, rest @ ..] => format!("{first}, and {} more; see `experiments why {}`", rest.len(), step.name()),
        };
        let (profile, finished) = record.map_or_else(Default::default, |record| (record.profile, record.finished_utc));
        table.add_row([step.name(), state, &profile, &finished, &why]);
    }
    println!("{table}");
    Ok(())
}

/// Prints every reason why a step is not current.
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
    for reason in reasons {
        println!("{name} is stale: {reason}");
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

fn table() -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table
}
