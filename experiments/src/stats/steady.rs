//! Which part of a series may be measured: where the warm-up ends, and whether what follows stays where it is. It knows
//! no clock; a value is one window of whatever length the caller chose.

use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;

use super::median;

/// Values per batch of the warm-up rule.
pub const BATCH: usize = 5;

/// A warm-up needs so many batches to be told from the rest.
const SMALLEST_BATCHES: usize = 4;

/// The windows at the end that [`steadiness`] takes the variation of (Georges et al.).
pub const LAST_WINDOWS: usize = 10;

/// Below this coefficient of variation the last windows count as steady (Georges et al.).
pub const STEADY_VARIATION: f64 = 0.02;

/// A series with a p-value above this has no proven drift.
const SIGNIFICANT: f64 = 0.05;

/// Orders that the drift is compared with; the smallest p-value is 1/2,000.
const SHUFFLES: u32 = 1_999;

/// Where a warm-up ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WarmUp {
    /// The first value to keep, a multiple of [`BATCH`].
    pub first_kept: usize,
    /// Whether the series came to rest: false when the best cut is the last one that the rule may make, half-way
    /// through the series. Then the warm-up may be longer than what was seen, and the rest of the series is not to be
    /// trusted.
    pub settled: bool,
}

/// MSER-5: cuts where the mean of what is left has the smallest standard error, `Σ (xᵢ − mean)² / (n − d)²` over means
/// of five values, and never cuts off more than half. `None` of fewer than 20 values, which make too few batches, and
/// of values that are not finite. Seconds are too coarse for short trials; windows of 100 ms are not. Source: White, An
/// Effective Truncation Heuristic for Bias Reduction in Simulation Output, Simulation 69 (1997); White, Cobb and Spratt
/// (2000) for the batches.
#[must_use]
pub fn warm_up(series: &[f64]) -> Option<WarmUp> {
    let means: Vec<f64> = series.chunks_exact(BATCH).map(mean).collect();
    if means.len() < SMALLEST_BATCHES || !series.iter().all(|value| value.is_finite()) {
        return None;
    }
    let last_cut = means.len() / 2;
    let error = |cut: usize| {
        let kept = &means[cut..];
        squares(kept) / count(kept.len()).powi(2)
    };
    // The first of equals: of a constant series nothing is cut.
    let best = (1..=last_cut).fold(0, |best, cut| if error(cut) < error(best) { cut } else { best });
    Some(WarmUp { first_kept: best * BATCH, settled: best < last_cut })
}

/// What a measured window looks like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Steadiness {
    /// No drift, and the last windows differ little.
    Steady {
        /// The coefficient of variation of the last [`LAST_WINDOWS`] windows.
        variation: f64,
    },
    /// No drift, but the windows differ by more than [`STEADY_VARIATION`]: a noisy series around one level, or one with
    /// too few events per window.
    Noisy {
        /// The coefficient of variation of the last [`LAST_WINDOWS`] windows.
        variation: f64,
    },
    /// The level moved, in a step or gradually.
    Drifting {
        /// The first window of the new level; of a gradual drift, about its middle.
        at: usize,
        /// The median from there on, relative to the median before: 0.1 is a rise by a tenth.
        change: f64,
        /// How rarely the same values in random order look as much like a change.
        p_value: f64,
    },
    /// Fewer than [`LAST_WINDOWS`] windows, or one that is not positive and finite: nothing can be said.
    Unknown,
}

impl Steadiness {
    /// Whether the level moved.
    #[must_use]
    pub fn drifts(self) -> bool {
        matches!(self, Self::Drifting { .. })
    }
}

/// Judges the windows of a measured phase. A drift is a single change of the level that is both real and large enough
/// to matter: the cumulated deviations from the mean reach further than in 95 of 100 random orders of the same values
/// (drawn with `seed`), and the medians before and after differ by more than `tolerance`, a relative change. The orders
/// take windows as independent; where neighbours resemble each other it calls more drifts than it should, and
/// `tolerance` is what holds it.
///
/// Sources: Georges, Buytaert and Eeckhout, Statistically Rigorous Java Performance Evaluation, OOPSLA 2007 (the
/// variation); Pettitt, A Non-Parametric Approach to the Change-Point Problem, Applied Statistics 28 (1979), and
/// Taylor's cumulated sums (the change).
#[must_use]
pub fn steadiness(windows: &[f64], tolerance: f64, seed: u64) -> Steadiness {
    if windows.len() < LAST_WINDOWS || !windows.iter().all(|value| value.is_finite() && *value > 0.0) {
        return Steadiness::Unknown;
    }
    let at = break_point(windows);
    let change = level(&windows[at..]) / level(&windows[..at]) - 1.0;
    if change.abs() > tolerance {
        let p_value = p_value(windows, seed);
        if p_value <= SIGNIFICANT {
            return Steadiness::Drifting { at, change, p_value };
        }
    }
    let variation = variation(&windows[windows.len() - LAST_WINDOWS..]);
    if variation < STEADY_VARIATION { Steadiness::Steady { variation } } else { Steadiness::Noisy { variation } }
}

/// The split into two levels that leaves the smallest distances from them, as the index of the first value of the
/// second. Distances from medians and not squares from means: one window with a hiccup is not a level.
fn break_point(windows: &[f64]) -> usize {
    let distances = |part: &[f64]| {
        let level = level(part);
        part.iter().map(|value| (value - level).abs()).sum::<f64>()
    };
    let splits = (1..windows.len()).map(|at| (at, distances(&windows[..at]) + distances(&windows[at..])));
    splits.min_by(|left, right| left.1.total_cmp(&right.1)).map_or(1, |(at, _)| at)
}

fn level(part: &[f64]) -> f64 {
    median(part).unwrap_or(f64::NAN)
}

/// How often random orders of the same values cumulate to as much as the order that was seen. Ranks, again for the
/// hiccups.
fn p_value(windows: &[f64], seed: u64) -> f64 {
    let mut centred = centred_ranks(windows);
    let seen = furthest(&centred);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let as_far = (0..SHUFFLES).filter(|_| {
        centred.shuffle(&mut random);
        // Ranks are multiples of a half, and so are their sums: no rounding.
        furthest(&centred) >= seen
    });
    (count(as_far.count()) + 1.0) / (f64::from(SHUFFLES) + 1.0)
}

/// How far the cumulated sum gets from zero.
fn furthest(centred: &[f64]) -> f64 {
    let mut sum = 0.0;
    centred.iter().fold(0.0, |furthest: f64, value| {
        sum += value;
        furthest.max(f64::abs(sum))
    })
}

/// The ranks minus their mean; ties share the mean of theirs.
fn centred_ranks(values: &[f64]) -> Vec<f64> {
    let rank = |value: &f64| {
        let below = values.iter().filter(|other| *other < value).count();
        let tied = values.iter().filter(|other| *other == value).count();
        count(below) + count(tied + 1) / 2.0
    };
    values.iter().map(|value| rank(value) - count(values.len() + 1) / 2.0).collect()
}

fn variation(values: &[f64]) -> f64 {
    (squares(values) / (count(values.len()) - 1.0)).sqrt() / mean(values)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / count(values.len())
}

fn squares(values: &[f64]) -> f64 {
    let mean = mean(values);
    values.iter().map(|value| (value - mean).powi(2)).sum()
}

#[expect(clippy::cast_precision_loss, reason = "numbers of windows are small")]
fn count(value: usize) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand_distr::{Distribution as _, Normal};

    /// A level of 100 with noise, on top of which `of` puts something by index.
    fn series(length: usize, noise: f64, seed: u64, of: impl Fn(usize) -> f64) -> Vec<f64> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let noise = Normal::new(0.0, noise).unwrap();
        (0..length).map(|index| 100.0 + noise.sample(&mut random) + of(index)).collect()
    }

    #[test]
    fn a_warm_up_is_cut_off_and_no_more() {
        let exponential = |index: usize| 300.0 * (-count(index) / 8.0).exp();
        let mut cuts: Vec<usize> = (0..100)
            .map(|seed| warm_up(&series(200, 2.0, seed, exponential)).unwrap())
            .filter_map(|found| found.settled.then_some(found.first_kept))
            .collect();
        cuts.sort_unstable();
        // After 25 values 13 of the 300 are left, after 50 less than a tenth of the noise. Now and then the rule cuts
        // far more, since the noise of what is left also looks different from cut to cut; it costs precision, not
        // truth.
        assert!(cuts.len() >= 95 && cuts[0] >= 25, "{cuts:?}");
        assert!((30..=50).contains(&cuts[cuts.len() / 2]) && cuts[cuts.len() * 3 / 4] <= 60, "{cuts:?}");
        let step = series(100, 1.0, 3, |index| if index < 20 { 50.0 } else { 0.0 });
        assert_eq!(warm_up(&step), Some(WarmUp { first_kept: 20, settled: true }));
    }

    #[test]
    fn what_never_comes_to_rest_is_not_settled() {
        assert!(!warm_up(&series(200, 1.0, 1, count)).unwrap().settled, "a straight slope");
        let late = series(200, 1.0, 1, |index| if index < 150 { 80.0 } else { 0.0 });
        assert!(!warm_up(&series(200, 1.0, 1, |index| -count(index).sqrt() * 20.0)).unwrap().settled);
        // A late step makes the first part look the steadier one; the drift is for the other check to find.
        assert!(steadiness(&late, 0.02, 1).drifts());
    }

    #[test]
    fn the_edges_of_the_warm_up() {
        assert_eq!(warm_up(&[1.0; 19]), None);
        assert_eq!(warm_up(&[1.0; 20]), Some(WarmUp { first_kept: 0, settled: true }));
        let mut broken = [1.0; 40];
        broken[7] = f64::NAN;
        assert_eq!(warm_up(&broken), None);
    }

    #[test]
    fn steps_and_slopes_drift() {
        let step = series(30, 1.0, 1, |index| if index < 18 { 0.0 } else { 10.0 });
        let Steadiness::Drifting { at, change, p_value } = steadiness(&step, 0.02, 1) else { panic!("a step of 10 %") };
        assert!(at == 18 && (change - 0.1).abs() < 0.02 && p_value < 0.01, "{at} {change} {p_value}");
        assert!(steadiness(&series(30, 1.0, 1, |index| count(index) / 3.0), 0.02, 1).drifts(), "a slope of 10 %");
        let falling = steadiness(&series(30, 1.0, 1, |index| -count(index) / 3.0), 0.02, 1);
        assert!(matches!(falling, Steadiness::Drifting { change, .. } if change < -0.02));
        assert!(!steadiness(&step, 0.2, 1).drifts(), "a change that does not matter");
    }

    #[test]
    fn hiccups_do_not_drift_but_are_noise() {
        let hiccup = series(30, 0.5, 2, |index| if index == 25 { 400.0 } else { 0.0 });
        assert!(matches!(steadiness(&hiccup, 0.02, 1), Steadiness::Noisy { variation } if variation > 0.5));
        assert!(
            matches!(steadiness(&series(30, 0.5, 2, |_| 0.0), 0.02, 1), Steadiness::Steady { variation } if variation < 0.01)
        );
        assert_eq!(steadiness(&[5.0; 12], 0.02, 1), Steadiness::Steady { variation: 0.0 });
        assert_eq!(steadiness(&[5.0; 9], 0.02, 1), Steadiness::Unknown);
        assert_eq!(steadiness(&[0.0; 12], 0.02, 1), Steadiness::Unknown);
    }

    #[test]
    fn of_a_hundred_steady_series_at_most_five_drift() {
        // With a tolerance of nothing the test alone decides.
        let called = (0..1_000).filter(|seed| steadiness(&series(20, 5.0, *seed, |_| 0.0), 0.0, *seed).drifts());
        let share = count(called.count()) / 1_000.0;
        assert!((0.03..=0.07).contains(&share), "{share}");
    }

    proptest! {
        #[test]
        fn never_more_than_half_is_cut_and_the_scale_does_not_matter(
            values in prop::collection::vec(1.0..1e3_f64, 20..120), exponent in -8..8_i32,
        ) {
            let found = warm_up(&values).unwrap();
            prop_assert!(2 * found.first_kept <= values.len() && found.first_kept.is_multiple_of(BATCH));
            // A power of two scales without rounding.
            let scaled: Vec<f64> = values.iter().map(|value| value * 2.0_f64.powi(exponent)).collect();
            prop_assert_eq!(warm_up(&scaled).unwrap(), found);
        }
    }
}
