//! The verdict on a comparison: from an interval, a test and the smallest effect that matters, never from the point
//! alone. It knows no metric by name and no arm.

use super::{
    Bootstrap, EQUIVALENCE_CONFIDENCE, Interval, RESAMPLES, hodges_lehmann, holm_adjusted, is_equivalent, median,
    sign_flip_test, signed_ranks,
};

/// Fewer blocks than this allow no verdict: five that all agree still have a p-value of 2/32, above 5 %.
pub const SMALLEST_BLOCKS: usize = 6;

/// The seed for resampling where there is no reason for another: intervals are then a function of the rows alone.
pub const SEED: u64 = 0x10ad_b00c;

/// The confidence of the interval that is printed.
const CONFIDENCE: f64 = 0.95;

/// Above this (adjusted) p-value nothing is called better or worse.
const SIGNIFICANT: f64 = 0.05;

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
    /// The whole interval is better by more than the smallest effect that matters, and the test agrees.
    Better,
    /// The whole interval is worse by more than it, and the test agrees.
    Worse,
    /// Proven to lie within it.
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

/// What is to be compared: a metric of one arm against the same metric of its baseline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Compared<'a> {
    /// Ratios arm / baseline, one per block, in any order.
    pub ratios: &'a [f64],
    /// Which way the metric is good.
    pub direction: Direction,
    /// A relative change such as 0.03; within `1 / (1 + effect)` and `1 + effect` nothing that matters happened. Where
    /// an arm was also compared with itself, give the larger of what matters and its [`noise_floor`]: what the bench
    /// does to identical arms is no effect. Negative or not a number allows no verdict.
    pub smallest_effect: f64,
}

/// A metric of one arm against the same metric of its baseline, over blocks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// How many blocks had a ratio that can be used.
    pub blocks: usize,
    /// How many had one that cannot: not positive or not finite.
    pub left_out: usize,
    /// The Hodges–Lehmann estimate of the ratios arm / baseline, taken of their logarithms; `None` of no block.
    pub ratio: Option<f64>,
    /// Median of the ratios, for whom that is easier to explain; `None` of no block.
    pub median_ratio: Option<f64>,
    /// The 95 % interval of [`Self::ratio`] (BCa, see [`Bootstrap`]); `None` under [`SMALLEST_BLOCKS`] blocks.
    pub interval: Option<Interval>,
    /// Of the sign-flip test of the signed ranks of the log ratios; `None` under [`SMALLEST_BLOCKS`] blocks.
    pub p_value: Option<f64>,
    /// The same after Holm's correction for the metrics that were compared with this one; equal to it when there were
    /// none.
    pub adjusted_p_value: Option<f64>,
    /// The relative change that so many blocks of this noise would reveal in four of five attempts, see
    /// [`smallest_detectable_effect`].
    pub smallest_detectable: Option<f64>,
    /// What may be said.
    pub verdict: Verdict,
}

/// Compares one metric by itself; see [`compare_family`] for several.
///
/// ```text
/// better, worse   the 95 % interval lies wholly beyond the smallest effect, and the sign-flip test has p ≤ 0.05
/// equivalent      the 90 % interval lies wholly within the smallest effect (two one-sided tests)
/// inconclusive    anything else, and always under six blocks
/// ```
#[must_use]
pub fn compare(ratios: &[f64], direction: Direction, smallest_effect: f64, seed: u64) -> Comparison {
    judge(measure(&Compared { ratios, direction, smallest_effect }, seed), None)
}

/// Compares several metrics of one step, in the order given, with the p-values adjusted by Holm's procedure: that any
/// of them is called better or worse where nothing differs happens in at most 5 % of the families. Equivalence needs no
/// correction against false alarms and gets none. A large family needs more blocks, see [`smallest_blocks_of_family`].
#[must_use]
pub fn compare_family(family: &[Compared<'_>], seed: u64) -> Vec<Comparison> {
    let measured: Vec<Measured> = family.iter().map(|compared| measure(compared, seed)).collect();
    let p_values: Vec<f64> = measured.iter().map(|one| one.comparison.p_value.unwrap_or(f64::NAN)).collect();
    let adjusted = holm_adjusted(&p_values);
    measured.into_iter().zip(adjusted).map(|(one, adjusted)| judge(one, Some(adjusted))).collect()
}

/// Whether the tests alone would let any metric of a family be called better or worse; else [`compare_family`] calls none of them so. It
/// takes microseconds, and a comparison milliseconds, because of its intervals.
#[must_use]
pub fn may_differ(family: &[Compared<'_>], seed: u64) -> bool {
    let p_value = |compared: &Compared<'_>| p_value_of(&logarithms(&usable(compared.ratios)), seed).unwrap_or(f64::NAN);
    let p_values: Vec<f64> = family.iter().map(p_value).collect();
    holm_adjusted(&p_values).into_iter().any(|p_value| p_value <= SIGNIFICANT)
}

/// The fewest blocks with which the clearest difference can still be called better or worse among `metrics` that are
/// compared together: `metrics · 2 / 2^blocks` must not exceed 5 %. Six for one, eight for four, ten for twelve.
#[must_use]
pub fn smallest_blocks_of_family(metrics: usize) -> usize {
    #[expect(clippy::cast_precision_loss, reason = "families are small")]
    let metrics = metrics.max(1) as f64;
    let mut blocks = SMALLEST_BLOCKS;
    let mut smallest = 2.0 / 64.0;
    while smallest * metrics > SIGNIFICANT {
        blocks += 1;
        smallest /= 2.0;
    }
    blocks
}

/// Half the width of an interval of ratios, as a relative change: of an arm against itself it is the noise floor, below
/// which no difference is to be believed. Both ends must be positive.
#[must_use]
pub fn noise_floor(interval: Interval) -> f64 {
    (interval.high / interval.low).sqrt() - 1.0
}

/// The relative change that as many blocks would tell from nothing, at 5 % and with a power of 80 %:
/// `n = ((1.96 + 0.84) · sd / delta)²` solved for delta, with the standard deviation of the log ratios. It says what the design could
/// have seen, not what it saw. A rule of thumb, since it takes the noise as normal and its deviation as known. `None`
/// of fewer than two ratios; all must be positive.
#[must_use]
pub fn smallest_detectable_effect(ratios: &[f64]) -> Option<f64> {
    if ratios.len() < 2 {
        return None;
    }
    let logarithms = logarithms(ratios);
    #[expect(clippy::cast_precision_loss, reason = "numbers of blocks are small")]
    let count = logarithms.len() as f64;
    let mean = logarithms.iter().sum::<f64>() / count;
    let variance = logarithms.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
    Some(((1.96 + 0.84) * (variance / count).sqrt()).exp_m1())
}

/// A comparison without a verdict yet, and what the verdict hangs on.
struct Measured {
    comparison: Comparison,
    direction: Direction,
    /// The smallest effect as a logarithm.
    margin: f64,
    /// The 95 % and the 90 % interval of the log ratio.
    intervals: Option<(Interval, Interval)>,
}

fn usable(ratios: &[f64]) -> Vec<f64> {
    ratios.iter().copied().filter(|ratio| ratio.is_finite() && *ratio > 0.0).collect()
}

fn logarithms(ratios: &[f64]) -> Vec<f64> {
    ratios.iter().map(|ratio| ratio.ln()).collect()
}

fn is_enough(values: &[f64]) -> bool {
    values.len() >= SMALLEST_BLOCKS
}

/// The p-value of log ratios.
fn p_value_of(logarithms: &[f64], seed: u64) -> Option<f64> {
    if is_enough(logarithms) { sign_flip_test(&signed_ranks(logarithms), seed) } else { None }
}

fn measure(compared: &Compared<'_>, seed: u64) -> Measured {
    let ratios = usable(compared.ratios);
    let logarithms = logarithms(&ratios);
    let bootstrap = if is_enough(&logarithms) { Bootstrap::new(&logarithms, RESAMPLES, seed) } else { None };
    let intervals = bootstrap.map(|drawn| (drawn.interval(CONFIDENCE), drawn.interval(EQUIVALENCE_CONFIDENCE)));
    let p_value = p_value_of(&logarithms, seed);
    let as_ratios = |found: Interval| Interval { low: found.low.exp(), high: found.high.exp(), ..found };
    let comparison = Comparison {
        blocks: ratios.len(),
        left_out: compared.ratios.len() - ratios.len(),
        ratio: hodges_lehmann(&logarithms).map(f64::exp),
        median_ratio: median(&ratios),
        interval: intervals.map(|(found, _)| as_ratios(found)),
        p_value,
        adjusted_p_value: p_value,
        smallest_detectable: smallest_detectable_effect(&ratios),
        verdict: Verdict::Inconclusive,
    };
    let margin = if compared.smallest_effect >= 0.0 { compared.smallest_effect.ln_1p() } else { f64::NAN };
    Measured { comparison, direction: compared.direction, margin, intervals }
}

fn judge(measured: Measured, adjusted: Option<f64>) -> Comparison {
    let Measured { mut comparison, direction, margin, intervals } = measured;
    if adjusted.is_some() {
        comparison.adjusted_p_value = comparison.p_value.and(adjusted);
    }
    let significant = comparison.adjusted_p_value.is_some_and(|p_value| p_value <= SIGNIFICANT);
    // A margin that is not a number makes every comparison false, hence no verdict.
    comparison.verdict = match (intervals, direction) {
        (Some((_, narrow)), _) if is_equivalent(narrow, margin) => Verdict::Equivalent,
        (Some((wide, _)), Direction::LowerIsBetter) if significant && wide.high < -margin => Verdict::Better,
        (Some((wide, _)), Direction::HigherIsBetter) if significant && wide.low > margin => Verdict::Better,
        (Some((wide, _)), Direction::LowerIsBetter) if significant && wide.low > margin => Verdict::Worse,
        (Some((wide, _)), Direction::HigherIsBetter) if significant && wide.high < -margin => Verdict::Worse,
        _ => Verdict::Inconclusive,
    };
    comparison
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lower(ratios: &[f64]) -> Verdict {
        compare(ratios, Direction::LowerIsBetter, 0.05, SEED).verdict
    }

    #[test]
    fn the_four_verdicts() {
        assert_eq!(lower(&[0.5; 6]), Verdict::Better);
        assert_eq!(lower(&[1.5; 6]), Verdict::Worse);
        assert_eq!(lower(&[1.01, 0.99, 1.0, 1.02, 0.98, 1.0]), Verdict::Equivalent);
        assert_eq!(lower(&[0.5, 0.6, 1.2, 1.3, 0.9, 1.0]), Verdict::Inconclusive);
        assert_eq!(lower(&[0.5; 5]), Verdict::Inconclusive, "five blocks are too few");
        assert_eq!(compare(&[2.0; 6], Direction::HigherIsBetter, 0.05, SEED).verdict, Verdict::Better);
        assert_eq!(compare(&[0.5; 6], Direction::HigherIsBetter, 0.05, SEED).verdict, Verdict::Worse);
    }

    #[test]
    fn a_difference_that_is_certain_but_does_not_matter_is_not_better() {
        let ratios = [0.980, 0.982, 0.979, 0.981, 0.978, 0.983, 0.980, 0.981];
        assert_eq!(lower(&ratios), Verdict::Equivalent);
        assert_eq!(compare(&ratios, Direction::LowerIsBetter, 0.001, SEED).verdict, Verdict::Better);
        let on_the_edge = [0.94, 0.96, 0.95, 0.97, 0.93, 0.95, 0.96, 0.94];
        assert_eq!(lower(&on_the_edge), Verdict::Inconclusive, "certainly faster, perhaps not by enough");
    }

    #[test]
    fn what_cannot_be_a_ratio_is_counted_and_left_out() {
        let found = compare(&[0.5, 0.5, 0.0, f64::NAN, -1.0, f64::INFINITY, 0.5], Direction::LowerIsBetter, 0.05, SEED);
        assert_eq!((found.blocks, found.left_out, found.ratio, found.interval), (3, 4, Some(0.5), None));
        assert_eq!((found.p_value, found.verdict), (None, Verdict::Inconclusive));
        let nothing = compare(&[], Direction::LowerIsBetter, 0.05, SEED);
        assert_eq!((nothing.blocks, nothing.ratio, nothing.smallest_detectable), (0, None, None));
        for absurd in [f64::NAN, -0.1] {
            assert_eq!(compare(&[0.5; 9], Direction::LowerIsBetter, absurd, SEED).verdict, Verdict::Inconclusive);
        }
    }

    #[test]
    fn a_family_pays_for_its_size() {
        let (clear, nothing) = ([0.5; 6], [0.9, 1.1, 0.95, 1.05, 1.0, 1.01]);
        let compared = |ratios| Compared { ratios, direction: Direction::LowerIsBetter, smallest_effect: 0.05 };
        let family = compare_family(&[compared(&nothing), compared(&clear)], SEED);
        assert_eq!((family[1].p_value, family[1].adjusted_p_value), (Some(2.0 / 64.0), Some(4.0 / 64.0)));
        assert_eq!(family[1].verdict, Verdict::Inconclusive, "six blocks are enough for one metric, not for two");
        assert_eq!(compare_family(&[compared(&clear)], SEED), [compare(&clear, Direction::LowerIsBetter, 0.05, SEED)]);
        let enough = [0.5; 7];
        let family = compare_family(&[compared(&nothing), compared(&enough), compared(&clear[..4])], SEED);
        assert_eq!(family[1].verdict, Verdict::Better, "what has too few blocks is not tested and costs nothing");
        assert_eq!(family[2].adjusted_p_value, None);
        assert_eq!([0, 1, 2, 4, 12, 13].map(smallest_blocks_of_family), [6, 6, 7, 8, 9, 10]);
    }

    #[test]
    fn the_floor_and_what_could_have_been_seen() {
        let interval = Interval { low: 1.0 / 1.02, high: 1.02, confidence: 0.95 };
        assert!((noise_floor(interval) - 0.02).abs() < 1e-12);
        // The rule of thumb the other way round: a deviation of 5 % and a change of 5 % need eight blocks.
        let deviation = 0.05 * (7.0_f64 / 8.0).sqrt();
        let ratios: Vec<f64> = [1.0, -1.0].repeat(4).into_iter().map(|sign| (sign * deviation).exp()).collect();
        let found = smallest_detectable_effect(&ratios).unwrap().ln_1p();
        assert!((found - (1.96 + 0.84) * 0.05 / 8.0_f64.sqrt()).abs() < 1e-9, "{found}");
        assert_eq!(smallest_detectable_effect(&[1.0]), None);
    }

    #[test]
    fn one_wild_block_of_ten_moves_the_point_little_and_costs_the_verdict() {
        let mut ratios = [0.80, 0.82, 0.79, 0.81, 0.78, 0.80, 0.83, 0.79, 0.81, 0.80];
        ratios[4] = 30.0;
        let found = compare(&ratios, Direction::LowerIsBetter, 0.05, SEED);
        assert!((found.ratio.unwrap() - 0.80).abs() < 0.02, "{found:?}");
        assert_eq!(found.verdict, Verdict::Inconclusive, "nine against one is not certain enough: {found:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn exchanging_the_arms_exchanges_the_verdict(
            ratios in prop::collection::vec(-1.0..1.0_f64, 6..16), centre in -0.7..0.7_f64, spread in 0.0..0.8_f64, seed: u64,
        ) {
            let ratios: Vec<f64> = ratios.iter().map(|noise| (centre + spread * noise).exp()).collect();
            let inverse: Vec<f64> = ratios.iter().map(|ratio| 1.0 / ratio).collect();
            let (there, back) = (
                compare(&ratios, Direction::LowerIsBetter, 0.1, seed),
                compare(&inverse, Direction::LowerIsBetter, 0.1, seed),
            );
            let expected = match there.verdict {
                Verdict::Better => Verdict::Worse,
                Verdict::Worse => Verdict::Better,
                same => same,
            };
            prop_assert_eq!(back.verdict, expected);
            prop_assert_eq!(back.verdict, compare(&inverse, Direction::LowerIsBetter, 0.1, seed).verdict);
            prop_assert_eq!(there.p_value, back.p_value);
            prop_assert!((there.ratio.unwrap() * back.ratio.unwrap() - 1.0).abs() < 1e-9);
            let (there, back) = (there.interval.unwrap(), back.interval.unwrap());
            prop_assert!((there.low * back.high - 1.0).abs() < 1e-9 && (there.high * back.low - 1.0).abs() < 1e-9);
        }

        #[test]
        fn the_point_lies_in_its_interval(ratios in prop::collection::vec(0.2..5.0_f64, 6..12)) {
            let found = compare(&ratios, Direction::HigherIsBetter, 0.1, SEED);
            let (point, interval) = (found.ratio.unwrap(), found.interval.unwrap());
            prop_assert!(interval.low <= point * (1.0 + 1e-12) && point <= interval.high * (1.0 + 1e-12));
            prop_assert!(found.p_value <= found.adjusted_p_value);
        }
    }
}
