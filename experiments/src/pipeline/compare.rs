//! `experiments compare`: a run held against an earlier one. It refuses what was not measured alike, because then a difference has
//! another reason, and it leaves the judging to [`crate::aggregate::compare_runs`], which says from where each interval is.
//!
//! What no interval knows is how a machine was on another day. Absolute values are therefore as wide as the machine changed during their
//! own run, and ratios of arms, which a slower machine does not change, are compared beside them. A `worse` is a reason to measure
//! again, both versions on one day.

mod metrics;
mod side;

use std::path::{Path, PathBuf};

use anyhow::Result;
use comfy_table::{Cell as TableCell, CellAlignment, Table};

use self::side::{Absent, REFERENCE, Results, Side};
use super::{Project, staleness::Staleness, status};
use crate::{
    aggregate::{Outcome, PairedValue, compare_runs},
    report::values::{NOTHING, format_cell},
    results::{Difference, ResultsFolder, StepRecord, differences, summary::Cell},
    stats::Verdict,
    steps::{STEPS, Usage},
};

pub use metrics::METRICS as COMPARED_METRICS;

/// The profile whose results may be a baseline.
const FULL: &str = "full";

/// What to compare.
#[derive(Debug, Clone)]
pub struct CompareOptions {
    /// The baseline, a folder, a report or a revision; the reference when none is named.
    pub before: Option<String>,
    /// What is held against it; the present results when none is named.
    pub after: Option<String>,
    /// Whether runs that were not measured alike are compared, too.
    pub anyway: bool,
    /// The present results.
    pub results: PathBuf,
}

/// There is nothing to compare with.
#[derive(Debug, thiserror::Error)]
#[error(
    "there is no baseline: {0}; make one with `just all` and `just bless`, or name another folder, report or revision"
)]
pub struct NoBaseline(String);

/// The conditions differ.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{before}` and `{after}` were not measured alike:\n{list}measure both alike, or see them side by side with `--anyway`"
)]
pub struct NotAlike {
    before: String,
    after: String,
    /// One line each.
    list: String,
}

/// Prints every compared value with its verdict, and returns the keys of those that are worse.
///
/// # Errors
/// [`NoBaseline`], [`NotAlike`], [`crate::results::Damage`], or what is wrong with the arguments.
pub fn compare(project: &Project, options: &CompareOptions) -> Result<Vec<String>> {
    let before = baseline(project, options.before.as_deref())?;
    let after = present(project, options)?;
    let doubts = doubts(&before, &after, options.anyway)?;
    let values = compare_runs(COMPARED_METRICS, &before.run(), &after.run())?;
    say!("before: {}\nafter:  {}", before.heading(), after.heading());
    for doubt in doubts {
        say!("doubt:  {doubt}");
    }
    say!("{}\n{}", table(&values), counts(&values));
    if values.iter().all(|value| matches!(value.outcome, Outcome::Missing(_))) {
        return Err(NoBaseline(format!("`{}` and `{}` have no value in common", before.label, after.label)).into());
    }
    Ok(values.into_iter().filter(|value| verdict(value) == Some(Verdict::Worse)).map(|value| value.key).collect())
}

/// What is compared with. That it is not there is not a mistake of the user alone: nobody may have made one yet.
fn baseline(project: &Project, name: Option<&str>) -> Result<Results> {
    let side = match name {
        Some(name) => Side::named(&project.root, name),
        None => Ok(Side::folder(&project.root, &project.root.join(REFERENCE))),
    };
    side.and_then(|side| side.read()).map_err(|error| match error.downcast::<Absent>() {
        Ok(absent) => NoBaseline(absent.to_string()).into(),
        Err(error) => error,
    })
}

/// What is held against it.
fn present(project: &Project, options: &CompareOptions) -> Result<Results> {
    let side = match &options.after {
        Some(name) => Side::named(&project.root, name),
        None => Ok(Side::folder(&project.root, &options.results)),
    };
    let results = side.and_then(|side| side.read()).map_err(|error| match error.downcast::<Absent>() {
        Ok(absent) => {
            Usage(format!("{absent}; measure with `just all`, or name another folder, report or revision")).into()
        }
        Err(error) => error,
    })?;
    if options.after.is_none() {
        for note in not_current(project, &options.results, &results)? {
            remark!("note: {note}");
        }
    }
    Ok(results)
}

/// Whoever has changed the code and not measured again would compare the code before the change.
fn not_current(project: &Project, folder: &Path, results: &Results) -> Result<Vec<String>> {
    let folder = ResultsFolder::read_only(folder);
    let mut notes = Vec::new();
    let mut staleness = Staleness::look(project, &folder)?;
    for step in STEPS.iter().filter(|step| results.record(step.name()).is_some()) {
        if let Some(reason) = staleness.of_results(*step, None)?.first() {
            notes.push(format!("what is compared of `{}` is not current: {}", step.name(), reason.words));
        }
    }
    Ok(notes)
}

/// Why the comparison is not to be relied on; an error unless it is wanted anyway.
fn doubts(before: &Results, after: &Results, anyway: bool) -> Result<Vec<String>> {
    let is_small = |record: &&StepRecord| record.profile != FULL;
    let small: Vec<&str> = before.records.iter().filter(is_small).map(|record| record.step.as_str()).collect();
    let mut doubts = Vec::new();
    if !small.is_empty() {
        let steps = small.join(", ");
        let doubt =
            format!("`{}` was not measured with the profile `{FULL}` ({steps}): it decides nothing", before.label);
        if !anyway {
            return Err(NoBaseline(format!("{doubt}, and only `--anyway` shows it")).into());
        }
        doubts.push(doubt);
    }
    let pairs = before.records.iter().filter_map(|record| Some((record, after.record(&record.step)?)));
    let differences: Vec<Difference> = differences(pairs);
    if !differences.is_empty() && !anyway {
        let list = differences.iter().map(|difference| format!("  {difference}\n")).collect();
        return Err(NotAlike { before: before.label.clone(), after: after.label.clone(), list }.into());
    }
    doubts.extend(differences.iter().map(|difference| format!("not measured alike: {difference}")));
    Ok(doubts)
}

fn verdict(value: &PairedValue) -> Option<Verdict> {
    if let Outcome::Judged(apart) = &value.outcome { Some(apart.verdict) } else { None }
}

fn table(values: &[PairedValue]) -> Table {
    let mut table = status::table();
    table.set_header(["value", "before", "after", "after / before", "low", "high", "verdict"]);
    for value in values {
        let ratio = |number: Option<f64>| format_cell("ratio", &Cell::from(number));
        let (ratios, verdict) = match &value.outcome {
            Outcome::Judged(apart) => {
                let (low, high) = (apart.interval.map(|found| found.low), apart.interval.map(|found| found.high));
                ([apart.ratio, low, high].map(ratio), apart.verdict.word().to_owned())
            }
            Outcome::Missing(missing) => ([NOTHING; 3].map(str::to_owned), format!("{NOTHING} ({missing})")),
        };
        let numbers = [format_cell(value.column, &value.before), format_cell(value.column, &value.after)];
        let aligned = numbers.into_iter().chain(ratios).map(|text| (text, CellAlignment::Right));
        let cells = [(value.key.clone(), CellAlignment::Left)].into_iter().chain(aligned);
        let cells = cells.chain([(verdict, CellAlignment::Left)]);
        table.add_row(cells.map(|(text, alignment)| TableCell::new(text).set_alignment(alignment)));
    }
    table
}

/// How many of each verdict there are, and how many have none.
fn counts(values: &[PairedValue]) -> String {
    let words = [Verdict::Better, Verdict::Worse, Verdict::Equivalent, Verdict::Inconclusive];
    let count = |wanted: Option<Verdict>| values.iter().filter(|value| verdict(value) == wanted).count();
    let counted: Vec<String> = words.iter().map(|word| format!("{} {}", count(Some(*word)), word.word())).collect();
    format!("{}, {} without a verdict", counted.join(", "), count(None))
}
