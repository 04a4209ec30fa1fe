//! The verdict on a comparison: from an interval and the smallest effect that matters, never from the point alone.

use super::{Interval, median, median_interval};

/// Fewer blocks than this carry no 95 % interval, hence no verdict.
pub const SMALLEST_BLOCKS: usize = 6;

/// Which way a metric is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Latency, CPU time, memory.
    LowerIsBetter,
    /// Throughput, hits.
    HigherIsBetter,
}

/// What a comparison allows to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The whole interval is better by more than the smallest effect that matters.
    Better,
    /// The whole interval is worse by more than it.
    Worse,
    /// The whole interval lies within it.
    Equivalent,
    /// Anything else, also too few blocks.
    Inconclusive,
}

impl Verdict {
    /// The word that summaries and templates use.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Equivalent => "equivalent",
            Self::Inconclusive => "inconclusive",
        }
    }
}

/// A metric of one arm against the same metric of its baseline, over blocks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// How many blocks had both.
    pub blocks: usize,
    /// Median of the ratios arm / baseline; `None` of no block.
    pub ratio: Option<f64>,
    /// Interval of that median; `None` when there are too few blocks.
    pub interval: Option<Interval>,
    /// What may be said.
    pub verdict: Verdict,
}

/// Compares by the ratios arm / baseline, one per block. `smallest_effect` is a relative change such as 0.03; within
/// `1 / (1 + effect)` and `1 + effect` nothing that matters happened.
#[must_use]
pub fn compare(ratios: &[f64], direction: Direction, smallest_effect: f64) -> Comparison {
    let ratios: Vec<f64> = ratios.iter().copied().filter(|ratio| ratio.is_finite() && *ratio > 0.0).collect();
    let interval = if ratios.len() < SMALLEST_BLOCKS { None } else { median_interval(&ratios, 0.95) };
    let (lower, upper) = (1.0 / (1.0 + smallest_effect), 1.0 + smallest_effect);
    let verdict = match (interval, direction) {
        (None, _) => Verdict::Inconclusive,
        (Some(found), _) if found.low >= lower && found.high <= upper => Verdict::Equivalent,
        (Some(found), Direction::LowerIsBetter) if found.high < lower => Verdict::Better,
        (Some(found), Direction::HigherIsBetter) if found.low > upper => Verdict::Better,
        (Some(found), Direction::LowerIsBetter) if found.low > upper => Verdict::Worse,
        (Some(found), Direction::HigherIsBetter) if found.high < lower => Verdict::Worse,
        _ => Verdict::Inconclusive,
    };
    Comparison { blocks: ratios.len(), ratio: median(&ratios), interval, verdict }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_four_verdicts() {
        let lower = |ratios: &[f64]| compare(ratios, Direction::LowerIsBetter, 0.05).verdict;
        assert_eq!(lower(&[0.5; 6]), Verdict::Better);
        assert_eq!(lower(&[1.5; 6]), Verdict::Worse);
        assert_eq!(lower(&[1.01, 0.99, 1.0, 1.02, 0.98, 1.0]), Verdict::Equivalent);
        assert_eq!(lower(&[0.5, 0.6, 1.2, 1.3, 0.9, 1.0]), Verdict::Inconclusive);
        assert_eq!(lower(&[0.5; 5]), Verdict::Inconclusive, "five blocks are too few");
        assert_eq!(compare(&[2.0; 6], Direction::HigherIsBetter, 0.05).verdict, Verdict::Better);
    }

    proptest! {
        #[test]
        fn exchanging_the_arms_exchanges_the_verdict(ratios in prop::collection::vec(0.2..5.0_f64, 6..16)) {
            let inverse: Vec<f64> = ratios.iter().map(|ratio| 1.0 / ratio).collect();
            let expected = match compare(&ratios, Direction::LowerIsBetter, 0.1).verdict {
                Verdict::Better => Verdict::Worse,
                Verdict::Worse => Verdict::Better,
                same => same,
            };
            prop_assert_eq!(compare(&inverse, Direction::LowerIsBetter, 0.1).verdict, expected);
        }
    }
}
