//! Summaries as plain data: what polars makes of the rows, one table per file in `results/summary/`. The first column is the key of
//! the row, and a value is one cell: `<step>.<table>.<row key>.<column>`. This file knows neither polars nor the report.

use std::{collections::BTreeSet, path::Path};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::Damage;

/// One cell. Missing is [`Cell::Empty`], never 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Cell {
    /// Nothing was observed.
    Empty,
    /// A count, or a size in whole units.
    Integer(i64),
    /// A measured or derived number; always finite.
    #[serde(with = "exact")]
    Number(f64),
    /// A name, a verdict or a sentence of a program.
    Text(String),
}

impl Cell {
    /// The cell as it stands in the CSV.
    #[must_use]
    pub fn to_csv(&self) -> String {
        match self {
            Self::Empty => String::new(),
            Self::Integer(value) => value.to_string(),
            Self::Number(value) => value.to_string(),
            Self::Text(text) => text.clone(),
        }
    }

    /// The cell that is written so. A number is one only as [`Self::to_csv`] writes it; whatever else there is, is a text.
    #[must_use]
    pub fn from_csv(text: &str) -> Self {
        let integer = text.parse().map(Self::Integer).ok();
        let number = || text.parse().ok().filter(|number: &f64| number.is_finite()).map(Self::Number);
        let is_written_so = |cell: &Self| cell.to_csv() == text;
        match integer.filter(is_written_so).or_else(|| number().filter(is_written_so)) {
            Some(cell) => cell,
            None if text.is_empty() => Self::Empty,
            None => Self::Text(text.to_owned()),
        }
    }

    /// The number in the cell, if it holds one.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "counts and sizes stay far below 2^53")]
            Self::Integer(value) => Some(*value as f64),
            Self::Number(value) => Some(*value),
            Self::Empty | Self::Text(_) => None,
        }
    }

    /// The text in the cell, if it holds one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }
}

impl From<f64> for Cell {
    /// A number that is not finite says that nothing was observed.
    fn from(value: f64) -> Self {
        if value.is_finite() { Self::Number(value) } else { Self::Empty }
    }
}

impl From<Option<f64>> for Cell {
    fn from(value: Option<f64>) -> Self {
        value.map_or(Self::Empty, Self::from)
    }
}

impl From<u64> for Cell {
    /// A count that nothing real reaches is cut off.
    fn from(count: u64) -> Self {
        Self::Integer(i64::try_from(count).unwrap_or(i64::MAX))
    }
}

impl From<usize> for Cell {
    fn from(count: usize) -> Self {
        Self::from(count as u64)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// A column of a summary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SummaryColumn {
    /// The header; the unit is its last part.
    pub name: String,
    /// What a cell means.
    pub meaning: String,
}

/// One table of a step's summary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SummaryTable {
    /// The step's name.
    pub step: String,
    /// The table's name within the step.
    pub name: String,
    /// The columns; the first holds the row's key.
    pub columns: Vec<SummaryColumn>,
    /// The rows, each as long as `columns`.
    pub rows: Vec<Vec<Cell>>,
}

impl SummaryTable {
    /// The file name below `results/summary/`.
    #[must_use]
    pub fn file(&self) -> String {
        format!("{}_{}.csv", self.step, self.name)
    }

    /// The address of the table in keys of values: `<step>.<table>`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}.{}", self.step, self.name)
    }

    /// The keys of the rows, in order.
    pub fn keys(&self) -> impl Iterator<Item = String> {
        self.rows.iter().map(|row| row.first().map(Cell::to_csv).unwrap_or_default())
    }

    /// The cell in the row `key` and the column `column`.
    #[must_use]
    pub fn cell(&self, key: &str, column: &str) -> Option<&Cell> {
        let index = self.columns.iter().position(|candidate| candidate.name == column)?;
        let row = self.rows.iter().find(|row| row.first().is_some_and(|cell| cell.to_csv() == key))?;
        row.get(index)
    }

    /// Every number of a column with the key of its row; rows without one are left out.
    #[must_use]
    pub fn numbers(&self, column: &str) -> Vec<(String, f64)> {
        self.keys()
            .filter_map(|key| self.cell(&key, column).and_then(Cell::number).map(|number| (key.clone(), number)))
            .collect()
    }

    /// Writes the table into `folder`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(self.file());
        std::fs::write(&path, self.to_csv()?)
            .with_context(|| format!("cannot write `{}`; check that the disk has room", path.display()))
    }

    /// The table as its file holds it.
    ///
    /// # Errors
    /// When a row has more or fewer cells than there are columns.
    pub fn to_csv(&self) -> Result<Vec<u8>> {
        let named = || format!("`{}` is no table", self.file());
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(self.columns.iter().map(|column| &column.name)).with_context(named)?;
        for row in &self.rows {
            writer.write_record(row.iter().map(Cell::to_csv)).with_context(named)?;
        }
        writer.into_inner().map_err(|error| error.into_error()).with_context(named)
    }

    /// Reads a table that [`Self::write`] wrote; what its columns mean is not in the file.
    ///
    /// # Errors
    /// [`Damage`] for a file that was cut or edited, with the line; else when it cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let Some((step, name)) = stem.split_once('_') else {
            bail!("`{}` is no summary: its name is not `<step>_<table>.csv`; remove it", path.display());
        };
        let text = std::fs::read_to_string(path).with_context(|| {
            format!("cannot read `{}`; restore it, or measure again with `just all --force {step}`", path.display())
        })?;
        let damage = |what: String| Damage { path: path.to_owned(), what, step: step.to_owned() };
        let (columns, rows) = parse(&text).map_err(damage)?;
        Ok(Self { step: step.to_owned(), name: name.to_owned(), columns, rows })
    }
}

/// The columns and the rows of a CSV, or what is wrong with it and in which line.
fn parse(text: &str) -> Result<(Vec<SummaryColumn>, Vec<Vec<Cell>>), String> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| error.to_string())?.clone();
    let names: BTreeSet<&str> = header.iter().collect();
    if names.len() != header.len() || names.contains("") || names.is_empty() {
        return Err("line 1: a column has no name of its own".to_owned());
    }
    let (mut rows, mut keys) = (Vec::new(), BTreeSet::new());
    for record in reader.records() {
        let record = record.map_err(|error| error.to_string())?;
        let line = record.position().map_or(0, csv::Position::line);
        let key = record.get(0).unwrap_or_default().to_owned();
        if key.is_empty() || !keys.insert(key.clone()) {
            return Err(format!("line {line}: the key `{key}` is missing or there twice"));
        }
        rows.push(record.iter().map(Cell::from_csv).collect());
    }
    if !text.ends_with('\n') {
        return Err(format!("line {}: it ends in the middle", text.lines().count()));
    }
    let column = |name: &str| SummaryColumn { name: name.to_owned(), meaning: String::new() };
    Ok((header.iter().map(column).collect(), rows))
}

/// A number as the shortest text that is read back as the same number; JSON's own numbers may lose the last bit.
mod exact {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&value.to_string())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_kept_number_is_the_same_to_the_last_bit(number in prop::num::f64::NORMAL) {
            let text = serde_json::to_string(&Cell::Number(number)).unwrap();
            prop_assert_eq!(serde_json::from_str::<Cell>(&text).unwrap(), Cell::Number(number));
        }

        #[test]
        fn a_cell_that_is_read_is_the_one_that_was_written(
            cell in prop_oneof![
                any::<i64>().prop_map(Cell::Integer),
                prop::num::f64::NORMAL.prop_map(Cell::from),
                "[a-z0-9.+ -]{0,6}".prop_map(Cell::Text),
            ],
        ) {
            let read = Cell::from_csv(&cell.to_csv());
            prop_assert_eq!(read.to_csv(), cell.to_csv());
            if !matches!(cell, Cell::Text(_)) {
                prop_assert_eq!(read.number(), cell.number());
            }
        }
    }

    #[test]
    fn what_no_cell_is_written_as_is_a_text() {
        for text in ["nan", "inf", "1e5", "1.50", "+5", "007", "1,5", "yes"] {
            assert_eq!(Cell::from_csv(text), Cell::from(text));
        }
        let found = ["", "5", "-0.25", "1.5"].map(Cell::from_csv);
        assert_eq!(found, [Cell::Empty, Cell::Integer(5), Cell::Number(-0.25), Cell::Number(1.5)]);
    }

    #[test]
    fn a_table_comes_back_and_a_damaged_one_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let column = |name: &str| SummaryColumn { name: name.to_owned(), meaning: String::new() };
        let table = SummaryTable {
            step: "explain".to_owned(),
            name: "shape_arms".to_owned(),
            columns: ["key", "note", "fetch_us"].map(column).into(),
            rows: vec![
                vec![Cell::from("a"), Cell::from("one, \"two\"\nlines"), Cell::Number(1.25)],
                vec![Cell::from("b"), Cell::Empty, Cell::Integer(7)],
            ],
        };
        table.write(folder.path()).unwrap();
        let path = folder.path().join(table.file());
        assert_eq!(SummaryTable::read(&path).unwrap(), table);
        for (text, what) in [
            ("", "line 1: a column has no name of its own"),
            ("key,p50_us,p50_us\n", "line 1: a column has no name of its own"),
            ("key,p50_us\na,1\nb\n", "line: 3"),
            ("key,p50_us\na,1\na,2\n", "line 3: the key `a` is missing or there twice"),
            ("key,p50_us\na,1\n,2\n", "line 3: the key `` is missing or there twice"),
            ("key,p50_us\na,1\nb,2", "line 3: it ends in the middle"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = SummaryTable::read(&path).unwrap_err();
            assert!(error.downcast_ref::<Damage>().is_some());
            let error = error.to_string();
            assert!(
                error.contains("explain_shape_arms.csv` is not what was measured") && error.contains(what),
                "{error}"
            );
        }
    }
}
