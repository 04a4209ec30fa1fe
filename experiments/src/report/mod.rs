//! From `results/` to the PDF: minijinja chooses structure and sentences, Typst sets the pages.
//!
//! A report is a function of the [`Document`] that it is given, which the pipeline reads from `results/` alone: this room starts no
//! service, asks no clock and no network, and the same document gives the same bytes. A number reaches the page in one way only: as
//! a [`Value`], that is one cell of a summary, formatted here once and printed by its key.
//!
//! - [`document`](Document): what a report is made of;
//! - [`claims`]: what was believed before the run, held against the values;
//! - [`values`]: cells under their keys, formatted by the unit at the end of the column's name;
//! - [`escape`]: the one way for a text into Typst;
//! - `functions`: what a template can call;
//! - [`check_templates`]: no digit of a result is typed by hand;
//! - `render`: templates to Typst, with a map back to the lines that the user edits;
//! - [`Typst`]: the compiler, as a child process; [`compact()`] takes the air out of what it writes;
//! - [`pdf`]: what a finished file holds, wherever it comes from;
//! - [`web`]: the same document as one HTML page.

mod build;
mod check;
pub mod claims;
mod compact;
mod data;
mod diagnostics;
mod document;
pub mod escape;
mod functions;
pub mod pdf;
mod render;
mod templates;
mod typst;
pub mod values;
pub mod web;

pub use build::{BuildOptions, build};
pub use check::{Offence, check_templates};
pub use compact::compact;
pub use document::{Attachment, Document, EnvironmentDifference, FactGroup, Provenance, Section, Source, Status};
pub use templates::Templates;
pub use typst::Typst;
pub use values::Value;
