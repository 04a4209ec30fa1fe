//! The bootstrap interval of the centre of a few noisy values. It knows nothing of ratios, arms or verdicts.
//!
//! The interval is the bias-corrected and accelerated one (BCa) of the Hodges–Lehmann estimate, with the small-sample
//! expansion of Hesterberg: a plain bootstrap of `n` values draws from a distribution that is too narrow by the factor
//! `sqrt((n - 1)/n)`, and takes its quantiles from the normal curve where Student's is due. Without the expansion only
//! 91 of 100 intervals cover the truth at ten values (of the mean 84 to 90, by the kind of noise).
//!
//! Coverage of the 95 % interval, measured over 20,000 samples of each kind (standard error 0.15 points), 1,000
//! resamples each:
//!
//! | log ratios | n = 6 | n = 10 | n = 20 | n = 30 |
//! |---|---|---|---|---|
//! | normal | 94.1 % | 96.3 % | 95.9 % | 95.7 % |
//! | Student, 3 degrees | 94.2 % | 95.9 % | 95.5 % | 95.4 % |
//! | log-normal spikes | 94.0 % | 95.7 % | 95.5 % | 95.4 % |
//! | skewed | 93.7 % | 96.2 % | 96.0 % | 95.7 % |
//!
//! What is to be covered is the pseudo-median, which is what the estimate estimates: the centre itself for the first
//! three, which are symmetric, as every difference of two arms that differ by a constant factor is. The *spikes* are
//! `ln` of the ratio of two times `1 + 0.1 · LogNormal(0, 1)`: noise that only ever slows down. The *skewed* kind is
//! what no well-paired experiment should give, `LogNormal(0, 0.5)` itself as the log ratio; its pseudo-median is
//! 1.0594, its median 1 and its mean 1.133.
//!
//! Sources: Efron, Better Bootstrap Confidence Intervals, JASA 82 (1987); Hesterberg, What Teachers Should Know about
//! the Bootstrap, The American Statistician 69 (2015), section 5.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use statrs::distribution::{ContinuousCDF as _, Normal, StudentsT};

use super::{Interval, hodges_lehmann::WalshAverages};

/// Resamples of an interval that is printed: another seed then moves the ends by a few hundredths of the width at most.
pub const RESAMPLES: usize = 10_000;

/// Fewer values than this give no interval. It is what the jackknife needs; the table above begins at six.
pub const SMALLEST_VALUES: usize = 3;

/// The resampled distribution of the Hodges–Lehmann estimate, from which intervals of any confidence are read.
#[derive(Debug, Clone)]
pub struct Bootstrap {
    values: usize,
    point: f64,
    /// Ascending.
    replicates: Vec<f64>,
    /// Efron's z₀: how far the median of the replicates lies from the point, in normal quantiles.
    bias: f64,
    /// Efron's a: how the standard error changes with the truth.
    acceleration: f64,
}

impl Bootstrap {
    /// Draws `resamples` (at least one) from `values` with `seed`. `None` of fewer than [`SMALLEST_VALUES`] values or
    /// when one of them is not finite. The same input gives the same result on every machine. It takes about 0.3 µs per
    /// resample of ten values and grows with the square of their count.
    #[must_use]
    pub fn new(values: &[f64], resamples: usize, seed: u64) -> Option<Self> {
        let count = values.len();
        if count < SMALLEST_VALUES || resamples == 0 || !values.iter().all(|value| value.is_finite()) {
            return None;
        }
        let averages = WalshAverages::new(values);
        let mut times = vec![1; count];
        let point = averages.median(&times);
        let without: Vec<f64> = (0..count)
            .map(|left_out| {
                times[left_out] = 0;
                let estimate = averages.median(&times);
                times[left_out] = 1;
                estimate
            })
            .collect();
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut replicates: Vec<f64> = (0..resamples)
            .map(|_| {
                times.fill(0);
                (0..count).for_each(|_| times[random.random_range(0..count)] += 1);
                averages.median(&times)
            })
            .collect();
        replicates.sort_by(f64::total_cmp);
        let bias = bias(&replicates, point);
        Some(Self { values: count, point, replicates, bias, acceleration: acceleration(&without) })
    }

    /// The Hodges–Lehmann estimate that the intervals are of.
    #[must_use]
    pub fn point(&self) -> f64 {
        self.point
    }

    /// The two-sided interval that is to cover the truth with probability `confidence`, strictly between 0 and 1. Where
    /// all values are equal it is that value: nothing was seen to vary, which more blocks may refute.
    #[must_use]
    pub fn interval(&self, confidence: f64) -> Interval {
        let degrees = count(self.values) - 1.0;
        // Hesterberg's expansion: Student's quantile, stretched as the standard deviation with n is too small.
        let student = StudentsT::new(0.0, 1.0, degrees)
            .map_or(f64::INFINITY, |curve| curve.inverse_cdf(f64::midpoint(1.0, confidence)));
        let reach = student * (count(self.values) / degrees).sqrt();
        // The correction can move an end past the point when the replicates are few and lumpy; the point stays inside.
        let low = self.quantile(self.level(-reach)).min(self.point);
        let high = self.quantile(self.level(reach)).max(self.point);
        Interval { low, high, confidence }
    }

    /// Which quantile of the replicates stands for the normal quantile `reach`.
    fn level(&self, reach: f64) -> f64 {
        let moved = self.bias + reach;
        let stretch = 1.0 - self.acceleration * moved;
        if stretch <= 0.0 {
            // Beyond the pole of the correction lies everything.
            return if moved > 0.0 { 1.0 } else { 0.0 };
        }
        Normal::standard().cdf(self.bias + moved / stretch)
    }

    /// Between the order statistics `level · (count + 1)`, which treats both tails alike.
    fn quantile(&self, level: f64) -> f64 {
        let last = self.replicates.len() - 1;
        let place = (level * count(last + 2) - 1.0).clamp(0.0, count(last));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the indices")]
        let below = place.floor() as usize;
        let (low, high) = (self.replicates[below], self.replicates[(below + 1).min(last)]);
        low + (place - place.floor()) * (high - low)
    }
}

/// Efron's z₀. A tie with the point counts half below it and half above: the estimate is lumpy. Ties are told with a
/// tolerance, so that exchanging the arms, which rounds the logarithms differently, finds the same ties.
fn bias(replicates: &[f64], point: f64) -> f64 {
    let tolerance = 1e-9 * (replicates[replicates.len() - 1] - replicates[0]);
    let below = replicates.iter().filter(|replicate| **replicate < point - tolerance).count();
    let tied = replicates.iter().filter(|replicate| (**replicate - point).abs() <= tolerance).count();
    let all = count(replicates.len());
    let share = (count(below) + 0.5 * count(tied)) / all;
    Normal::standard().inverse_cdf(share.clamp(0.5 / all, 1.0 - 0.5 / all))
}

/// Efron's a by the jackknife: a sixth of the skewness of the estimates that each leave one value out.
fn acceleration(without: &[f64]) -> f64 {
    let mean = without.iter().sum::<f64>() / count(without.len());
    let sum = |power: i32| without.iter().map(|estimate| (mean - estimate).powi(power)).sum::<f64>();
    let spread = sum(2);
    if spread > 0.0 { sum(3) / (6.0 * spread.powf(1.5)) } else { 0.0 }
}

#[expect(clippy::cast_precision_loss, reason = "numbers of blocks and resamples are small")]
fn count(value: usize) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand_distr::{Distribution as _, LogNormal, StandardNormal, StudentT};

    type Draw = fn(&mut ChaCha8Rng) -> f64;

    fn spike(random: &mut ChaCha8Rng) -> f64 {
        1.0 + 0.1 * LogNormal::new(0.0, 1.0).unwrap().sample(random)
    }

    /// The kinds of the table above, with the truth that is to be covered.
    const KINDS: [(&str, Draw, f64); 4] = [
        ("normal", |random| StandardNormal.sample(random), 0.0),
        ("Student, 3 degrees", |random| StudentT::new(3.0).unwrap().sample(random), 0.0),
        ("log-normal spikes", |random| (spike(random) / spike(random)).ln(), 0.0),
        ("skewed", |random| LogNormal::new(0.0, 0.5).unwrap().sample(random), SKEWED_TRUTH),
    ];

    /// The median of `(X + Y) / 2` for independent `LogNormal(0, 0.5)`, by numerical integration.
    const SKEWED_TRUTH: f64 = 1.059_37;

    /// The share of samples of `values` draws whose 95 % interval covers `truth`. The resampling has a seed of its own:
    /// the same one would repeat the very numbers that the sample came from.
    fn coverage(draw: Draw, truth: f64, values: usize, samples: u64, resamples: usize) -> f64 {
        let covered = (0..samples).filter(|sample| {
            let mut random = ChaCha8Rng::seed_from_u64(*sample);
            let drawn: Vec<f64> = (0..values).map(|_| draw(&mut random)).collect();
            let interval = Bootstrap::new(&drawn, resamples, !*sample).unwrap().interval(0.95);
            interval.low <= truth && truth <= interval.high
        });
        count(covered.count()) / samples as f64
    }

    /// The requirement: 93 to 97 %. 4,000 samples leave a standard error of 0.35 points, 400 resamples instead of 10,000
    /// change the coverage by less than that. With `TORTURE=full` it prints the table above, which takes minutes.
    #[test]
    fn ninety_five_of_a_hundred_intervals_cover_the_truth() {
        let is_full = std::env::var_os("TORTURE").is_some_and(|value| value == "full");
        let (counts, samples, resamples): (&[usize], u64, usize) =
            if is_full { (&[6, 10, 20, 30], 20_000, 1_000) } else { (&[10, 20], 4_000, 400) };
        for (kind, draw, truth) in KINDS {
            let mut row = format!("//! | {kind} |");
            for &values in counts {
                let found = coverage(draw, truth, values, samples, resamples);
                assert!((0.93..=0.97).contains(&found), "{kind}, {values} values: {found}");
                row += &format!(" {:.1} % |", found * 100.0);
            }
            println!("{row}");
        }
    }

    #[test]
    fn what_cannot_be_resampled_gives_nothing() {
        assert!(Bootstrap::new(&[], 100, 1).is_none());
        assert!(Bootstrap::new(&[1.0, 2.0], 100, 1).is_none());
        assert!(Bootstrap::new(&[1.0, 2.0, f64::NAN], 100, 1).is_none());
        assert!(Bootstrap::new(&[1.0, 2.0, f64::INFINITY], 100, 1).is_none());
        assert!(Bootstrap::new(&[1.0, 2.0, 3.0], 0, 1).is_none());
        let equal = Bootstrap::new(&[0.3; 8], 100, 1).unwrap();
        assert_eq!(equal.interval(0.95), Interval { low: 0.3, high: 0.3, confidence: 0.95 });
    }

    #[test]
    fn the_seed_decides_and_matters_little() {
        let values = [0.1131, -0.0402, 0.0727, 0.0219, 0.0893, -0.0147, 0.0561, 0.0305, 0.1244, 0.0078];
        let drawn = |seed| Bootstrap::new(&values, RESAMPLES, seed).unwrap();
        assert_eq!((drawn(1).bias, drawn(1).replicates), (drawn(1).bias, drawn(1).replicates));
        assert_ne!(drawn(1).bias, drawn(2).bias);
        let of = |seed| drawn(seed).interval(0.95);
        let width = of(1).high - of(1).low;
        for seed in 2..12 {
            assert!(
                (of(seed).low - of(1).low).abs() < 0.05 * width && (of(seed).high - of(1).high).abs() < 0.05 * width
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_point_lies_in_its_intervals_and_more_confidence_is_wider(
            values in prop::collection::vec(prop_oneof![-5.0..5.0_f64, Just(0.0), Just(1e6)], 3..20),
            seed: u64,
        ) {
            let bootstrap = Bootstrap::new(&values, 300, seed).unwrap();
            let (narrow, wide) = (bootstrap.interval(0.9), bootstrap.interval(0.95));
            prop_assert!(wide.low <= narrow.low && narrow.low <= bootstrap.point());
            prop_assert!(bootstrap.point() <= narrow.high && narrow.high <= wide.high);
        }

        #[test]
        fn turning_the_values_turns_the_interval(values in prop::collection::vec(-5.0..5.0_f64, 3..20), seed: u64) {
            let turned: Vec<f64> = values.iter().map(|value| -value).collect();
            let (plain, mirrored) = (
                Bootstrap::new(&values, 300, seed).unwrap().interval(0.95),
                Bootstrap::new(&turned, 300, seed).unwrap().interval(0.95),
            );
            prop_assert!((plain.low + mirrored.high).abs() < 1e-9 && (plain.high + mirrored.low).abs() < 1e-9);
        }
    }
}
