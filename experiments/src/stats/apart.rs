//! The verdict on two runs that were made at different times and so share no block: from the interval of each and the smallest effect
//! that matters. It knows no run and no metric by name.

use super::{Direction, Interval, Verdict, is_equivalent};

/// What one run says of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The value itself.
    pub value: f64,
    /// Its interval; `None` when the run cannot say how sure it is.
    pub interval: Option<Interval>,
}

/// What two runs say together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Apart {
    /// After / before; `None` where one of them is not above 0.
    pub ratio: Option<f64>,
    /// The ends that the ratio can have; `None` where a run has no interval.
    pub interval: Option<Interval>,
    /// What may be said.
    pub verdict: Verdict,
}

/// Compares a value before with the same value after.
///
/// ```text
/// ratio           after / before
/// interval        [after.low / before.high, after.high / before.low]
/// better, worse   the interval lies wholly beyond the smallest effect
/// equivalent      the interval lies wholly within it
/// inconclusive    anything else, and always without an interval
/// ```
///
/// Where nothing was paired there is nothing to test, so the interval takes the worst case of both. That is wider than an interval of
/// the ratio would be: with two equally wide ones of 95 % an end is 2.8 standard errors away, not 2, and one that is missed by chance
/// alone is one in several hundred. Who looks at a hundred values at once needs that.
#[must_use]
pub fn compare_apart(before: Estimate, after: Estimate, direction: Direction, smallest_effect: f64) -> Apart {
    let ratio = usable(after.value / before.value).filter(|_| before.value > 0.0);
    let interval = ratio.and(before.interval).zip(after.interval).and_then(|(before, after)| {
        let (low, high) = (usable(after.low / before.high)?, usable(after.high / before.low)?);
        Some(Interval { low, high, confidence: before.confidence.min(after.confidence) })
    });
    let verdict = interval.map_or(Verdict::Inconclusive, |interval| judge(interval, direction, smallest_effect));
    Apart { ratio, interval, verdict }
}

fn usable(ratio: f64) -> Option<f64> {
    (ratio.is_finite() && ratio > 0.0).then_some(ratio)
}

fn judge(interval: Interval, direction: Direction, smallest_effect: f64) -> Verdict {
    // A margin that is not a number makes every comparison false, hence no verdict.
    let margin = if smallest_effect >= 0.0 { smallest_effect.ln_1p() } else { f64::NAN };
    let log = Interval { low: interval.low.ln(), high: interval.high.ln(), ..interval };
    match direction {
        _ if is_equivalent(log, margin) => Verdict::Equivalent,
        Direction::LowerIsBetter if log.high < -margin => Verdict::Better,
        Direction::HigherIsBetter if log.low > margin => Verdict::Better,
        Direction::LowerIsBetter if log.low > margin => Verdict::Worse,
        Direction::HigherIsBetter if log.high < -margin => Verdict::Worse,
        _ => Verdict::Inconclusive,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn estimate(value: f64, half_width: f64) -> Estimate {
        let (low, high) = (value / (1.0 + half_width), value * (1.0 + half_width));
        Estimate { value, interval: Some(Interval { low, high, confidence: 0.95 }) }
    }

    fn verdict(before: f64, after: f64, half_width: f64) -> Verdict {
        let (before, after) = (estimate(before, half_width), estimate(after, half_width));
        compare_apart(before, after, Direction::LowerIsBetter, 0.05).verdict
    }

    #[test]
    fn the_four_verdicts() {
        assert_eq!(verdict(100.0, 150.0, 0.02), Verdict::Worse);
        assert_eq!(verdict(150.0, 100.0, 0.02), Verdict::Better);
        assert_eq!(verdict(100.0, 101.0, 0.01), Verdict::Equivalent);
        assert_eq!(verdict(100.0, 108.0, 0.02), Verdict::Inconclusive, "what is worse may be 4 % only");
        assert_eq!(verdict(100.0, 150.0, 0.3), Verdict::Inconclusive, "two wide intervals say nothing");
        let more = compare_apart(estimate(100.0, 0.02), estimate(150.0, 0.02), Direction::HigherIsBetter, 0.05);
        assert_eq!(more.verdict, Verdict::Better);
    }

    #[test]
    fn the_interval_is_the_worst_case_of_both() {
        let found = compare_apart(estimate(100.0, 0.1), estimate(200.0, 0.25), Direction::LowerIsBetter, 0.05);
        let interval = found.interval.unwrap();
        assert!((interval.low - 2.0 / (1.1 * 1.25)).abs() < 1e-12 && (interval.high - 2.0 * 1.1 * 1.25).abs() < 1e-12);
        assert!((found.ratio.unwrap() - 2.0).abs() < 1e-12);
    }

    #[test]
    fn what_cannot_be_compared_has_no_verdict() {
        let unsure = Estimate { value: 900.0, interval: None };
        let found = compare_apart(estimate(1.0, 0.0), unsure, Direction::LowerIsBetter, 0.05);
        assert_eq!((found.ratio, found.interval, found.verdict), (Some(900.0), None, Verdict::Inconclusive));
        for (before, after) in [(0.0, 1.0), (1.0, 0.0), (-1.0, -1.0), (f64::NAN, 1.0), (1.0, f64::INFINITY)] {
            let found = compare_apart(estimate(before, 0.1), estimate(after, 0.1), Direction::LowerIsBetter, 0.05);
            assert_eq!((found.ratio, found.verdict), (None, Verdict::Inconclusive), "{before} and {after}");
        }
        for absurd in [f64::NAN, -0.1] {
            let found = compare_apart(estimate(1.0, 0.0), estimate(9.0, 0.0), Direction::LowerIsBetter, absurd);
            assert_eq!(found.verdict, Verdict::Inconclusive);
        }
    }

    proptest! {
        #[test]
        fn exchanging_the_runs_exchanges_the_verdict(
            before in 0.1..1e6_f64, change in -1.0..1.0_f64, width in 0.0..0.3_f64, other in 0.0..0.3_f64, effect in 0.001..0.2_f64,
        ) {
            let (before, after) = (estimate(before, width), estimate(before * change.exp(), other));
            let there = compare_apart(before, after, Direction::LowerIsBetter, effect).verdict;
            let back = compare_apart(after, before, Direction::LowerIsBetter, effect).verdict;
            let expected = match there {
                Verdict::Better => Verdict::Worse,
                Verdict::Worse => Verdict::Better,
                same => same,
            };
            prop_assert_eq!(back, expected);
            prop_assert_eq!(compare_apart(before, after, Direction::HigherIsBetter, effect).verdict, expected);
        }

        #[test]
        fn a_run_is_never_worse_than_itself(value in 0.1..1e6_f64, width in 0.0..1.0_f64, effect in 0.001..0.2_f64) {
            let run = estimate(value, width);
            let verdict = compare_apart(run, run, Direction::LowerIsBetter, effect).verdict;
            prop_assert!(matches!(verdict, Verdict::Equivalent | Verdict::Inconclusive));
        }
    }
}
