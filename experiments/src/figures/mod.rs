//! Charts: data in, SVG text out, the same bytes for the same data.
//!
//! This room draws and nothing else: it reads no file, knows no step, and uses no other room of the crate. Every chart is a
//! plain struct with public fields and a `svg()` that cannot fail:
//!
//! - [`BarChart`] compares groups of bars, with interval whiskers;
//! - [`StackedBars`] shows what a total is made of;
//! - [`LineChart`] follows values over time, with shaded spans;
//! - [`DotPlot`] compares pairs over several orders of magnitude.
//!
//! A missing value is an absent mark, never a zero.

mod bars;
mod canvas;
mod dots;
mod legend;
mod lines;
mod palette;
mod scale;
mod stacked;
mod text;

pub use bars::{Bar, BarChart, BarSeries, Orientation};
pub use dots::{DotPlot, DotRow};
pub use lines::{Line, LineChart, Span};
pub use scale::{Axis, Scale};
pub use stacked::StackedBars;
pub use text::compact;
