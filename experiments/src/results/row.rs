//! One struct per CSV: the writer, the reader, polars' schema and the data dictionary all come from it. Nothing here touches a file.

use serde::{Serialize, de::DeserializeOwned};

/// A column of a CSV as the data dictionary tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// The header of the column; the unit is its last part.
    pub name: &'static str,
    /// The Rust type of the field, as written (`u64`, `Option<f64>`, `String`).
    pub rust_type: &'static str,
    /// What a cell means, from the doc comment of the field.
    pub meaning: &'static str,
}

impl Column {
    /// Whether a cell may be empty: missing is an empty cell, never 0.
    #[must_use]
    pub fn is_optional(&self) -> bool {
        self.rust_type.starts_with("Option")
    }

    /// The type without `Option<…>`.
    #[must_use]
    pub fn inner_type(&self) -> &'static str {
        self.rust_type
            .strip_prefix("Option")
            .map_or(self.rust_type, |rest| rest.trim().trim_start_matches('<').trim_end_matches('>').trim())
    }
}

/// A CSV of a step: its file name, what a row stands for, and its columns.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// File name below the step's folder, such as `trials.csv`.
    pub file: &'static str,
    /// What one row stands for.
    pub meaning: &'static str,
    /// The columns in the order of the file.
    pub columns: &'static [Column],
}

impl Table {
    /// The file name without its ending.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.file.trim_end_matches(".csv")
    }
}

/// A row of a CSV. Implemented by the `row!` macro only, so that columns and fields cannot disagree.
pub trait Row: Serialize + DeserializeOwned {
    /// The CSV that holds such rows.
    const TABLE: Table;
}

/// Declares a row struct together with its [`Row`] implementation: the doc comments of the fields are the data dictionary.
macro_rules! row {
    (
        $(#[doc = $meaning:literal])+
        $vis:vis struct $name:ident in $file:literal {
            $( $(#[doc = $column:literal])+ $field:ident: $type:ty, )+
        }
    ) => {
        $(#[doc = $meaning])+
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        $vis struct $name { $( $(#[doc = $column])+ $vis $field: $type, )+ }

        impl $crate::results::Row for $name {
            const TABLE: $crate::results::Table = $crate::results::Table {
                file: $file,
                meaning: concat!($($meaning),+),
                columns: &[ $( $crate::results::Column {
                    name: stringify!($field),
                    rust_type: stringify!($type),
                    meaning: concat!($($column),+),
                } ),+ ],
            };
        }
    };
}
pub(crate) use row;

/// The unit at the end of a column's name, in the words of the data dictionary; `None` for a plain count or a text.
#[must_use]
pub fn unit_of(column: &str) -> Option<&'static str> {
    const UNITS: &[(&str, &str)] = &[
        ("_per_s", "1/s"),
        ("_us_per_request", "µs per request"),
        ("_bytes", "bytes"),
        ("_ratio", "ratio"),
        ("_share", "share of 1"),
        ("_percent", "%"),
        ("_us", "µs"),
        ("_ms", "ms"),
        ("_s", "s"),
    ];
    UNITS.iter().find(|(suffix, _)| column.ends_with(suffix)).map(|(_, unit)| *unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    row! {
        /// One row of the test.
        struct Sample in "samples.csv" {
            /// Which arm.
            arm: String,
            /// How long,
            /// to the last byte.
            latency_us: Option<u64>,
        }
    }

    #[test]
    fn the_columns_follow_the_fields() {
        let [arm, latency] = Sample::TABLE.columns else { panic!("two columns") };
        assert_eq!((arm.name, arm.rust_type, arm.meaning.trim()), ("arm", "String", "Which arm."));
        assert_eq!(latency.inner_type(), "u64");
        assert!(latency.is_optional() && !arm.is_optional());
        assert_eq!(unit_of(latency.name), Some("µs"));
        assert_eq!(unit_of("requests"), None);
    }
}
