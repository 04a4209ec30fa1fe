//! The CSVs of one step as typed polars frames. The schema comes from the row structs, so polars guesses nothing.

use std::{cell::RefCell, collections::BTreeMap, path::PathBuf, sync::Arc};

use anyhow::{Context, Result};
use polars::prelude::{DataFrame, DataType, IntoLazy, LazyFrame, PlSmallStr, Schema};
use polars_io::{SerReader, csv::read::CsvReadOptions};

use crate::results::{Row, Table, read_rows};

/// The folder of one step's CSVs.
#[derive(Debug, Clone)]
pub struct Frames {
    folder: PathBuf,
    /// Each CSV is parsed once, however many summaries are made of it; a clone of a frame shares its columns.
    read: RefCell<BTreeMap<&'static str, DataFrame>>,
    /// The smallest relative change that mattered to the run, such as 0.05.
    pub smallest_effect: f64,
}

impl Frames {
    /// The CSVs in `folder`, measured to tell changes of `smallest_effect` and more.
    #[must_use]
    pub fn new(folder: PathBuf, smallest_effect: f64) -> Self {
        Self { folder, read: RefCell::default(), smallest_effect }
    }

    /// The rows of one CSV as a lazy frame.
    ///
    /// # Errors
    /// When the file is missing, or a cell does not have the type of its column.
    pub fn lazy<T: Row>(&self) -> Result<LazyFrame> {
        Ok(self.eager(&T::TABLE)?.lazy())
    }

    /// The rows of one CSV as structs, for what is a lookup rather than an aggregation.
    ///
    /// # Errors
    /// As [`Frames::lazy`].
    pub fn rows<T: Row>(&self) -> Result<Vec<T>> {
        read_rows(&self.folder.join(T::TABLE.file))
    }

    fn eager(&self, table: &Table) -> Result<DataFrame> {
        if let Some(frame) = self.read.borrow().get(table.file) {
            return Ok(frame.clone());
        }
        let frame = self.parse(table)?;
        self.read.borrow_mut().insert(table.file, frame.clone());
        Ok(frame)
    }

    fn parse(&self, table: &Table) -> Result<DataFrame> {
        let path = self.folder.join(table.file);
        let schema: Schema = table
            .columns
            .iter()
            .map(|column| (PlSmallStr::from_static(column.name), data_type(column.inner_type())))
            .collect();
        CsvReadOptions::default()
            .with_has_header(true)
            .with_schema(Some(Arc::new(schema)))
            .try_into_reader_with_file_path(Some(path.clone()))
            .and_then(SerReader::finish)
            .with_context(|| format!("cannot read `{}`; measure the step again to replace it", path.display()))
    }
}

fn data_type(rust_type: &str) -> DataType {
    match rust_type {
        "f64" => DataType::Float64,
        "bool" => DataType::Boolean,
        "String" => DataType::String,
        // Counts fit into 63 bits; one integer type keeps joins and sums free of casts.
        _ => DataType::Int64,
    }
}
