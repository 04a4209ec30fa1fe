//! The rows that only the calibration has.

use crate::results::row;

row! {
    /// One comparison of the system's first processor with the generator's: rounds of the same work in the same time.
    pub struct CoresRow in "cores.csv" {
        /// Number of the comparison, from 1.
        repeat: u32,
        /// The system's first processor.
        first_processor: u64,
        /// The generator's first processor.
        second_processor: u64,
        /// Rounds that the first did alone.
        first_alone: u64,
        /// Rounds that the second did alone.
        second_alone: u64,
        /// Rounds of both while both were at work.
        both: u64,
    }
}
