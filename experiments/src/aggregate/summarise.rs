//! From polars frames to summary tables: plain data with a meaning per column.

use anyhow::{Context, Result, ensure};
use polars::prelude::{AnyValue, DataFrame, LazyFrame};

use crate::results::summary::{Cell, SummaryColumn, SummaryTable};

/// A column of a summary.
#[must_use]
pub fn column(name: &str, meaning: &str) -> SummaryColumn {
    SummaryColumn { name: name.to_owned(), meaning: meaning.to_owned() }
}

/// Collects `frame` into the summary table `<step>.<name>`. `columns` are those of the frame, in its order; the first is the key.
///
/// # Errors
/// When polars refuses, the columns differ, or two rows share a key.
pub fn to_summary(step: &str, name: &str, frame: LazyFrame, columns: &[(&str, &str)]) -> Result<SummaryTable> {
    let frame = frame.collect().with_context(|| format!("cannot make the summary `{step}.{name}`"))?;
    let found: Vec<&str> = frame.get_column_names().into_iter().map(|name| name.as_str()).collect();
    let declared: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    ensure!(found == declared, "the summary `{step}.{name}` has the columns {found:?}, declared are {declared:?}");
    let columns = columns.iter().map(|(name, meaning)| column(name, meaning)).collect();
    to_rows(step, name, columns, cells(&frame)?)
}

/// As [`to_summary`], for frames whose rows are told apart by more than one column: the key is made of the columns `by` and put
/// before the others; `columns[0]` describes it.
///
/// # Errors
/// As [`to_summary`].
pub fn to_keyed_summary(
    step: &str,
    name: &str,
    frame: LazyFrame,
    by: &[&str],
    columns: &[(&str, &str)],
) -> Result<SummaryTable> {
    let frame = frame.collect().with_context(|| format!("cannot make the summary `{step}.{name}`"))?;
    let positions: Vec<usize> = by
        .iter()
        .map(|key| {
            frame.get_column_index(key).with_context(|| format!("the summary `{step}.{name}` has no column `{key}`"))
        })
        .collect::<Result<_>>()?;
    let found: Vec<&str> = frame.get_column_names().into_iter().map(|name| name.as_str()).collect();
    let declared: Vec<&str> = columns.iter().skip(1).map(|(name, _)| *name).collect();
    ensure!(found == declared, "the summary `{step}.{name}` has the columns {found:?}, declared are {declared:?}");
    let rows = cells(&frame)?.into_iter().map(|row| {
        let key: Vec<String> = positions.iter().map(|&position| slug(&row[position].to_csv())).collect();
        std::iter::once(Cell::Text(key.join("_"))).chain(row).collect()
    });
    let columns = columns.iter().map(|(name, meaning)| column(name, meaning)).collect();
    to_rows(step, name, columns, rows.collect())
}

/// Makes the summary table `<step>.<name>` of rows that are there already.
///
/// # Errors
/// When two rows share a key, or a row has another length than the header.
pub fn to_rows(step: &str, name: &str, columns: Vec<SummaryColumn>, rows: Vec<Vec<Cell>>) -> Result<SummaryTable> {
    let table = SummaryTable { step: step.to_owned(), name: name.to_owned(), columns, rows };
    let mut keys: Vec<String> = table.keys().collect();
    keys.sort();
    for pair in keys.windows(2) {
        ensure!(pair[0] != pair[1], "the summary `{step}.{name}` has two rows with the key `{}`", pair[0]);
    }
    for row in &table.rows {
        ensure!(row.len() == table.columns.len(), "the summary `{step}.{name}` has a row of {} cells", row.len());
    }
    Ok(table)
}

/// A key out of names: letters, digits and `_` stay, everything else becomes `_`.
#[must_use]
pub fn slug(text: &str) -> String {
    text.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '_' }).collect()
}

fn cells(frame: &DataFrame) -> Result<Vec<Vec<Cell>>> {
    (0..frame.height())
        .map(|index| frame.columns().iter().map(|column| cell(&column.get(index)?)).collect::<Result<Vec<_>>>())
        .collect()
}

fn cell(value: &AnyValue<'_>) -> Result<Cell> {
    if let AnyValue::Null = value {
        return Ok(Cell::Empty);
    }
    if let Some(text) = value.get_str() {
        return Ok(Cell::Text(text.to_owned()));
    }
    if let AnyValue::Boolean(value) = value {
        return Ok(Cell::Text(value.to_string()));
    }
    if value.is_integer() {
        return value.extract::<i64>().map(Cell::Integer).context("an integer does not fit into 64 bits");
    }
    value.extract::<f64>().map(Cell::from).with_context(|| format!("a summary cannot hold `{value}`"))
}
