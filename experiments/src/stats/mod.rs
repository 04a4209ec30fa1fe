//! Pure statistics: medians, intervals and verdicts of paired ratios. It knows no file, no clock and no unit.

mod median;
mod verdict;

pub use median::{Interval, median, median_interval};
pub use verdict::{Comparison, Direction, SMALLEST_BLOCKS, Verdict, compare};
