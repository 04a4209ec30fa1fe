//! The summaries of the results that are there. Making them reads every row, so they are kept; a kept summary is the same as a new one,
//! to the last bit.

use anyhow::{Context, Result};

use super::kept;
use crate::{
    aggregate::{Frames, column},
    results::{
        ResultsFolder, StepRecord,
        summary::{Cell, SummaryTable},
    },
    steps::{STEPS, Step},
};

/// The summary tables of every step with results.
///
/// # Errors
/// [`crate::results::Damage`] when a result is not what was measured.
pub(super) fn summaries(results: &ResultsFolder) -> Result<Vec<SummaryTable>> {
    let mut tables = Vec::new();
    for step in STEPS {
        if let Some(record) = results.record(step.name())? {
            tables.extend(of_step(results, *step, &record)?);
        }
    }
    Ok(tables)
}

/// The summary tables of one step, after proving that its rows are what was measured.
pub(super) fn of_step(results: &ResultsFolder, step: &dyn Step, record: &StepRecord) -> Result<Vec<SummaryTable>> {
    results.check_tables(record, step.tables())?;
    let path = results.path().join(format!(".{}.summary", step.name()));
    let make = || anyhow::Ok(serde_json::to_vec(&summarise(results, step, record)?)?);
    let tables = kept::or_made(&path, &serde_json::to_string(record)?, make)?;
    serde_json::from_slice(&tables).with_context(|| format!("the summaries of `{}` cannot be kept", step.name()))
}

fn summarise(results: &ResultsFolder, step: &dyn Step, record: &StepRecord) -> Result<Vec<SummaryTable>> {
    let smallest = record.parameters.get("smallest_effect_percent").and_then(serde_json::Value::as_f64);
    let smallest = smallest.with_context(|| format!("`{}/step.json` does not say the smallest effect", step.name()))?;
    let mut tables = step
        .summarise(&Frames::new(results.step(step.name()), smallest / 100.0))
        .with_context(|| format!("cannot summarise `{}`", step.name()))?;
    tables.push(conditions(step, record, smallest));
    Ok(tables)
}

/// The conditions of a step as a summary, so that a section can print them like any other value.
fn conditions(step: &dyn Step, record: &StepRecord, smallest_effect_percent: f64) -> SummaryTable {
    SummaryTable {
        step: step.name().to_owned(),
        name: "run".to_owned(),
        columns: vec![
            column("step", "the step"),
            column("profile", "the profile that gave the parameters"),
            column("duration_s", "wall time of the step"),
            column("measured_s", "the sum of its measured windows"),
            column("measured_share", "their share of the wall time"),
            column("smallest_effect_percent", "the smallest change that matters"),
        ],
        rows: vec![vec![
            Cell::from(step.name()),
            Cell::from(record.profile.as_str()),
            Cell::from(record.duration_s),
            Cell::from(record.measured_s),
            Cell::from(record.measured_s / record.duration_s),
            Cell::from(smallest_effect_percent),
        ]],
    }
}
