//! Summaries of rows, with polars: CSVs in, summary tables out; and what the summaries of two runs say of each other. Pure: it reads
//! what it is given and touches nothing else.

mod compare;
mod frames;
mod histogram;
mod summarise;

pub use compare::{Metric, Outcome, PairedValue, Run, Spread, compare_runs};
pub use frames::Frames;
pub use histogram::percentiles;
pub use summarise::{column, slug, to_keyed_summary, to_rows, to_summary};
