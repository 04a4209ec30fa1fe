//! Summaries of rows, with polars: CSVs in, summary tables out. Pure: it reads the frames it is given and touches nothing else.

mod frames;
mod histogram;
mod summarise;

pub use frames::Frames;
pub use histogram::percentiles;
pub use summarise::{column, slug, to_keyed_summary, to_rows, to_summary};
