//! Summaries as plain data: what polars makes of the rows, one table per file in `results/summary/`. The first column is the key of
//! the row, and a value is one cell: `<step>.<table>.<row key>.<column>`. This file knows neither polars nor the report.

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

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
        let named = || format!("cannot write `{}`; check that the disk has room", path.display());
        let mut writer = csv::Writer::from_path(&path).with_context(named)?;
        writer.write_record(self.columns.iter().map(|column| &column.name)).with_context(named)?;
        for row in &self.rows {
            writer.write_record(row.iter().map(Cell::to_csv)).with_context(named)?;
        }
        writer.flush().with_context(named)
    }
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
    }
}
