//! From a number of the report back to where it comes from: its cell, what the column means, the rows it was made of, the run that
//! measured them. It changes nothing.

use std::{fmt::Write as _, path::Path};

use anyhow::{Context, Result, ensure};

use super::summaries;
use crate::{
    report::values::{self, Value},
    results::{ResultsFolder, StepRecord, summary::SummaryTable},
};

/// So many values are told in full; of more, only the addresses.
const MOST_IN_FULL: usize = 3;

/// Prints where values come from: the one with this key, all whose keys begin so, or all that the report prints as this text.
///
/// # Errors
/// When there is no such value.
pub fn trace(results: &Path, wanted: &str) -> Result<()> {
    let folder = ResultsFolder::read_only(results);
    let tables = summaries::summaries(&folder)?;
    let values = values::values(&tables)?;
    let all: Vec<&Value> = values.values().collect();
    let found = find(&all, wanted);
    ensure!(
        !found.is_empty(),
        "there is no value `{wanted}`, neither as a key nor as it is printed; `experiments results` prints the summaries"
    );
    for value in &found {
        say!("{} = {} ({}, row `{}`, column `{}`)", value.key, value.text, value.file, value.row, value.column);
        if found.len() <= MOST_IN_FULL {
            let step = value.key.split('.').next().unwrap_or_default();
            let record = folder.record(step)?.with_context(|| format!("`{step}` has no results"))?;
            say!("{}", details(value, &tables, &record).trim_end());
        }
    }
    Ok(())
}

/// By key; where there is no such key, by the printed text.
fn find<'a>(values: &[&'a Value], wanted: &str) -> Vec<&'a Value> {
    let prefix = format!("{wanted}.");
    let by_key: Vec<&Value> =
        values.iter().copied().filter(|value| value.key == wanted || value.key.starts_with(&prefix)).collect();
    if !by_key.is_empty() {
        return by_key;
    }
    values.iter().copied().filter(|value| typed(&value.text) == typed(wanted)).collect()
}

/// A text as one types it: a reader copies a narrow space or a minus sign out of the PDF, or types what the keyboard has.
fn typed(text: &str) -> String {
    let typed = |sign: char| match sign {
        '−' => Some('-'),
        sign if sign.is_whitespace() => None,
        sign => Some(sign),
    };
    text.chars().filter_map(typed).collect()
}

fn details(value: &Value, tables: &[SummaryTable], record: &StepRecord) -> String {
    let table = tables.iter().find(|table| value.key.starts_with(&format!("{}.", table.address())));
    let meaning = table.and_then(|table| table.columns.iter().find(|column| column.name == value.column));
    let mut text = String::new();
    let mut line = |name: &str, what: &str| {
        let _ = writeln!(text, "    {name:<9} {what}");
    };
    line("meaning", meaning.map_or("", |column| column.meaning.as_str()));
    line("exactly", &value.raw.to_csv());
    for file in &record.tables {
        let hash = file.sha256.get(..12).unwrap_or(&file.sha256);
        line("rows", &format!("{} of results/{}/{}, SHA-256 {hash}…", file.rows, record.step, file.file));
    }
    let commit = record.commit.as_deref().unwrap_or("none");
    let StepRecord { started_utc, finished_utc, profile, seed, .. } = record;
    line("measured", &format!("{started_utc} to {finished_utc}, profile {profile}, seed {seed}, commit {commit}"));
    line("again", &format!("experiments run {} --profile {profile} --force", record.step));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::summary::Cell;

    fn value(key: &str, text: &str) -> Value {
        Value {
            key: key.to_owned(),
            text: text.to_owned(),
            raw: Cell::Empty,
            file: String::new(),
            row: String::new(),
            column: String::new(),
        }
    }

    #[test]
    fn a_value_is_found_by_its_key_by_the_beginning_of_it_and_by_its_text() {
        let values = [
            value("cache.arms.all.p50_us", "1.05\u{a0}ms"),
            value("cache.arms.all.ratio", "−12\u{202f}%"),
            value("cache.arms.allowed.x", "7"),
        ];
        let all: Vec<&Value> = values.iter().collect();
        let keys = |wanted: &str| find(&all, wanted).iter().map(|value| value.key.as_str()).collect::<Vec<_>>();
        assert_eq!(keys("cache.arms.all.p50_us"), ["cache.arms.all.p50_us"]);
        assert_eq!(keys("cache.arms.all"), ["cache.arms.all.p50_us", "cache.arms.all.ratio"]);
        assert_eq!(keys("1.05 ms"), ["cache.arms.all.p50_us"]);
        assert_eq!(keys("-12%"), ["cache.arms.all.ratio"]);
        assert_eq!(keys("1.06 ms"), Vec::<&str>::new());
    }
}
