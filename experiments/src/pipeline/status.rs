//! What is fresh and what is stale, and the summaries, as tables on the terminal. It changes nothing.

use std::path::Path;

use anyhow::Result;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::{Project, staleness::Staleness, summaries};
use crate::{
    report::values::format_cell,
    results::{Change, ResultsFolder, summary::Cell},
    steps::{STEPS, Usage, unknown},
};

/// Prints one line per step: its state and why.
///
/// # Errors
/// When a result cannot be understood.
pub fn status(project: &Project, results: &Path) -> Result<()> {
    let results = ResultsFolder::read_only(results);
    let mut staleness = Staleness::look(project, &results)?;
    let mut table = table();
    table.set_header(["step", "state", "profile", "measured (UTC)", "took", "why"]);
    for step in STEPS {
        let reasons = staleness.of_step(*step, None)?;
        // One that cannot be understood is among the reasons.
        let record = results.record(step.name()).ok().flatten();
        let state = match (results.has(step.name()), results.failure(step.name())?) {
            (_, Some(_)) => "failed",
            (false, None) => "never run",
            (true, None) if reasons.is_empty() => "fresh",
            (true, None) => "stale",
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
    say!("{table}");
    Ok(())
}

/// Prints every reason why a step is not fresh, with what there was and what there is now.
///
/// # Errors
/// When there is no such step.
pub fn why(project: &Project, results: &Path, name: &str) -> Result<()> {
    let valid: Vec<String> = STEPS.iter().map(|step| step.name().to_owned()).collect();
    let step =
        STEPS.iter().find(|step| step.name() == name).ok_or_else(|| Usage(unknown("step", name, valid.iter())))?;
    let results = ResultsFolder::read_only(results);
    let reasons = Staleness::look(project, &results)?.of_step(*step, None)?;
    if reasons.is_empty() {
        say!("{name} is fresh");
    }
    let state = if results.has(name) { "stale" } else { "not there" };
    for Change { words, sides } in reasons {
        say!("{name} is {state}: {words}");
        if let Some((old, new)) = sides {
            say!("    measured with {old}\n    now           {new}");
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
        say!("there are no results yet; run `just quick` or `just all`");
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
        say!("{}\n{table}\n", summary.address());
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
