//! Rows on disk: what was measured, as CSV, and under which conditions, as `step.json`. This room does not know what a step asks
//! nor what a number means for the reader; it only promises that what is read is what was written, whole.

mod columns;
mod conditions;
mod csv;
mod dictionary;
mod durable;
mod folder;
mod inputs;
mod record;
mod recovery;
mod row;
pub mod summary;
mod writer;

pub use columns::{pack_columns, unpack_columns};
pub use conditions::{Difference, differences, environment_differences, is_same};
pub use csv::{read_rows, write_rows};
pub use dictionary::dictionary;
pub use folder::{Damage, ResultsFolder};
pub use inputs::{Change, Inputs, changes, hash_bytes, parameter_changes};
pub use record::{Environment, Failure, StepRecord, TableRecord, TextRecord, UNKNOWN};
pub(crate) use row::row;
pub use row::{Column, Row, Table, unit_of};
pub use writer::StepWriter;
