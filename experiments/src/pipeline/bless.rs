//! `just bless`: the present full run becomes the reference that is committed, and its main table goes into the README. The only
//! writer of `results/reference/`.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};

use super::{Project, StaleResults, report, staleness::Staleness, summaries};
use crate::{
    report::values::format_cell,
    results::{
        ResultsFolder,
        summary::{Cell, SummaryTable},
    },
    stats::SMALLEST_BLOCKS,
    steps::STEPS,
};

const BEGIN: &str = "<!-- results: begin (written by `just bless`) -->";
const END: &str = "<!-- results: end -->";

/// Copies summaries, figures, conditions and the PDF of a complete, current, full run, and returns the folder where they are.
///
/// # Errors
/// When a step is missing, stale, failed, of another profile, measured with changes that no commit has, or has comparisons that must stay
/// without a verdict because too few of their blocks were valid; then nothing is copied.
pub fn bless(project: &Project, results: &Path) -> Result<PathBuf> {
    let folder = ResultsFolder::read_only(results);
    let mut staleness = Staleness::look(project, &folder)?;
    for step in STEPS {
        let reasons = staleness.of_results(*step, None)?;
        if let Some(reason) = reasons.first() {
            bail!("`{}` is not current ({}); run `just all` first", step.name(), reason.words);
        }
        let record = folder.record(step.name())?.context("a current step has a record")?;
        ensure!(
            record.profile == "full",
            "`{}` was measured with the profile `{}`; run `just all` first",
            step.name(),
            record.profile
        );
        let commit = record.commit.as_deref().unwrap_or("none");
        ensure!(
            commit.chars().all(|digit| digit.is_ascii_hexdigit()),
            "`{}` was measured at the commit `{commit}`, with changes that no commit has; commit them and run `just all --force {}`",
            step.name(),
            step.name()
        );
    }
    enough_blocks(&summaries::summaries(&folder)?)?;
    report(project, results, None, StaleResults::Refuse)?;
    let reference = project.root.join("results/reference");
    if reference.exists() {
        fs::remove_dir_all(&reference).with_context(|| format!("cannot replace `{}`", reference.display()))?;
    }
    for part in ["summary", "figures"] {
        copy_folder(&results.join(part), &reference.join(part))?;
    }
    for step in STEPS {
        copy(&folder.step(step.name()).join("step.json"), &reference.join(step.name()).join("step.json"))?;
    }
    copy(&results.join("report.pdf"), &reference.join("report.pdf"))?;
    splice(&project.root.join("README.md"), &readme_table(&summaries::summaries(&folder)?)?)?;
    Ok(reference)
}

/// A machine that was too busy with other things gives a report that is right and says nothing; it is no reference.
fn enough_blocks(summaries: &[SummaryTable]) -> Result<()> {
    for table in summaries.iter().filter(|table| table.name == "comparison") {
        for key in table.keys() {
            let blocks = table.cell(&key, "blocks").and_then(Cell::number).unwrap_or(0.0);
            ensure!(
                blocks >= SMALLEST_BLOCKS as f64,
                "`{}.{key}` has {blocks} valid blocks, and a verdict needs {SMALLEST_BLOCKS}; measure again on a quieter machine with \
                 `just all --force {}`",
                table.address(),
                table.step
            );
        }
    }
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("cannot read `{}`", from.display()))? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let folder = to.parent().context("a file has a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    fs::copy(from, to).with_context(|| format!("cannot copy `{}` to `{}`", from.display(), to.display()))?;
    Ok(())
}

/// The table of the README: before and after caching.
fn readme_table(summaries: &[SummaryTable]) -> Result<String> {
    const COLUMNS: &[(&str, &str)] = &[
        ("arm", "cache levels on"),
        ("p50_us", "median load time"),
        ("p99_us", "p99"),
        ("cpu_us_per_request", "server CPU per request"),
        ("statements_per_request", "SQL statements per request"),
        ("peak_per_s", "peak (closed loop)"),
    ];
    let table =
        summaries.iter().find(|table| table.address() == "cache.arms").context("there is no summary `cache.arms`")?;
    let mut text = format!("| {} |\n", COLUMNS.iter().map(|(_, header)| *header).collect::<Vec<_>>().join(" | "));
    let _ = writeln!(text, "| --- |{}", " ---: |".repeat(COLUMNS.len() - 1));
    for key in table.keys() {
        let cells = COLUMNS
            .iter()
            .map(|(column, _)| table.cell(&key, column).map(|cell| format_cell(column, cell)).unwrap_or_default());
        let _ = writeln!(text, "| {} |", cells.collect::<Vec<_>>().join(" | "));
    }
    Ok(text)
}

/// Puts `text` between the marks.
fn splice(path: &Path, text: &str) -> Result<()> {
    let old = fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let (head, rest) =
        old.split_once(BEGIN).with_context(|| format!("`{}` has lost the mark `{BEGIN}`", path.display()))?;
    let (_, tail) = rest.split_once(END).with_context(|| format!("`{}` has lost the mark `{END}`", path.display()))?;
    fs::write(path, format!("{head}{BEGIN}\n\n{text}\n{END}{tail}"))
        .with_context(|| format!("cannot write `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_without_a_verdict_is_no_reference() {
        let column = |name: &str| crate::aggregate::column(name, "");
        let table = |blocks: usize| SummaryTable {
            step: "cache".to_owned(),
            name: "comparison".to_owned(),
            columns: vec![column("comparison"), column("blocks")],
            rows: vec![vec![Cell::from("all_cpu"), Cell::from(blocks)]],
        };
        enough_blocks(&[table(6)]).unwrap();
        let message = enough_blocks(&[table(5)]).unwrap_err().to_string();
        assert!(message.starts_with("`cache.comparison.all_cpu` has 5 valid blocks"), "{message}");
    }

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("README.md");
        fs::write(&path, format!("head\n{BEGIN}\nold\n{END}\ntail\n")).unwrap();
        splice(&path, "new\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("head\n{BEGIN}\n\nnew\n\n{END}\ntail\n"));
        fs::write(&path, "no marks").unwrap();
        assert!(splice(&path, "new").is_err());
    }
}
