//! Pure statistics: what may be said of paired ratios, series, counts and loads. It knows no file, no clock and no
//! unit; what is random in it comes from a seed that the caller gives, so the same numbers always lead to the same
//! words.
//!
//! - [`compare`] and [`compare_family`] turn per-block ratios into a [`Verdict`]; below them lie the estimate
//!   ([`hodges_lehmann`]), its interval ([`Bootstrap`]), the test ([`sign_flip_test`]), the correction for several
//!   metrics ([`holm_adjusted`]) and equivalence ([`is_equivalent`]). [`shuffled`] asks how often all of it cries wolf.
//! - [`compare_apart`] gives a verdict on two runs that share no block.
//! - [`warm_up`] and [`steadiness`] say which part of a series may be measured.
//! - [`percentile`] and [`percentile_interval`] read merged histograms.
//! - [`Freeze`] is the closed form that an open loop is checked against.
//! - [`Scalability`] and [`Search`] describe and find capacity.

mod apart;
mod bootstrap;
mod capacity;
mod equivalence;
mod freeze;
mod hodges_lehmann;
mod holm;
mod median;
mod permutation;
mod ranks;
mod scalability;
mod shuffle;
mod steady;
mod verdict;

pub use apart::{Apart, Estimate, compare_apart};
pub use bootstrap::{Bootstrap, RESAMPLES, SMALLEST_VALUES};
pub use capacity::{Capacity, Limits, Next, Search, Tried};
pub use equivalence::{EQUIVALENCE_CONFIDENCE, is_equivalent};
pub use freeze::{Freeze, closed_loop_affected_share};
pub use hodges_lehmann::hodges_lehmann;
pub use holm::holm_adjusted;
pub use median::{Interval, median, median_interval};
pub use permutation::{EXACT_VALUES, sign_flip_test, signed_ranks};
pub use ranks::{RankInterval, percentile, percentile_interval};
pub use scalability::{Intervals, Scalability};
pub use shuffle::{Shuffled, shuffled};
pub use steady::{BATCH, LAST_WINDOWS, STEADY_VARIATION, Steadiness, WarmUp, steadiness, warm_up};
pub use verdict::{
    Compared, Comparison, Direction, SEED, SMALLEST_BLOCKS, Verdict, compare, compare_family, may_differ, noise_floor,
    smallest_blocks_of_family, smallest_detectable_effect,
};
