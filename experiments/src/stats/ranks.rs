//! Percentiles of merged histograms and how sure they are. It knows no unit, and nothing of how the histogram came
//! about.

/// The interval of a percentile between two observations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RankInterval {
    /// The bucket of the lower observation.
    pub low: u64,
    /// The bucket of the upper observation.
    pub high: u64,
    /// The probability that such an interval covers the truth, at least the one that was asked for. It holds for
    /// independent observations; requests of one trial are not, so what is true of the pooled requests says nothing
    /// about the next trial.
    pub confidence: f64,
}

/// The smallest bucket at or below which that share of all observations lies, of ascending `(bucket, count)` pairs.
/// `quantile` is a share from 0 to 1. `None` of no observation.
#[must_use]
pub fn percentile(buckets: &[(u64, u64)], quantile: f64) -> Option<u64> {
    let total = total(buckets);
    let wanted = count(total) * quantile;
    let mut below = 0;
    buckets.iter().find_map(|(bucket, observed)| {
        below += observed;
        (below > 0 && count(below) >= wanted).then_some(*bucket)
    })
}

/// The interval between two observations that covers the percentile with at least `confidence`, of ascending
/// `(bucket, count)` pairs. How many of `n` observations lie below the true percentile is binomial, whatever the distribution;
/// either tail gets half of what the confidence leaves. The tails are summed exactly for every `n`, with no normal
/// approximation; the time grows with `sqrt(n)`, a millisecond for 10⁹. `None` when there are too few observations
/// above or below for an end, as for the 99th percentile of fewer than 368 at 95 %, and when `quantile` or `confidence`
/// does not lie strictly between 0 and 1. Source: Conover, Practical Nonparametric Statistics, 3.2.
#[must_use]
pub fn percentile_interval(buckets: &[(u64, u64)], quantile: f64, confidence: f64) -> Option<RankInterval> {
    let inside = |share: f64| 0.0 < share && share < 1.0;
    let all = total(buckets);
    if all == 0 || !inside(quantile) || !inside(confidence) {
        return None;
    }
    let tails = Tails::new(all, quantile, (1.0 - confidence) / 2.0);
    let (low_rank, high_rank) = (tails.low_rank?, tails.high_rank?);
    Some(RankInterval {
        low: at_rank(buckets, low_rank)?,
        high: at_rank(buckets, high_rank)?,
        confidence: 1.0 - tails.below - tails.above,
    })
}

/// The ranks, from 1, that leave at most `tail` of the binomial distribution on either side.
struct Tails {
    /// The largest rank `r` with P(fewer than r lie below) ≤ tail.
    low_rank: Option<u64>,
    below: f64,
    /// The smallest rank `s` with P(at least s lie below) ≤ tail.
    high_rank: Option<u64>,
    above: f64,
}

/// What a probability must be relative to the largest one to be summed.
const NEGLIGIBLE: f64 = 1e-18;

impl Tails {
    fn new(all: u64, quantile: f64, tail: f64) -> Self {
        let weights = Weights::new(all, quantile);
        let sum: f64 = weights.of.iter().sum();
        let (mut below, mut low_rank) = (0.0, None);
        for (weight, successes) in weights.of.iter().zip(weights.first..) {
            // P(fewer than r) for r = successes + 1.
            let next = below + weight / sum;
            if next > tail {
                break;
            }
            (below, low_rank) = (next, Some(successes + 1));
        }
        // All that is left out on the left has no probability to speak of, so that rank is allowed too.
        low_rank = low_rank.or((weights.first > 0).then_some(weights.first));
        let (mut above, mut high_rank) = (0.0, None);
        for (weight, successes) in weights.of.iter().rev().zip((weights.first..=weights.last).rev()) {
            let next = above + weight / sum;
            if next > tail {
                break;
            }
            (above, high_rank) = (next, Some(successes));
        }
        high_rank = high_rank.or((weights.last < all).then_some(weights.last + 1));
        Self { low_rank, below, high_rank, above }
    }
}

/// The probabilities of a binomial distribution relative to the largest one, from `first` to `last` successes: all of
/// them that are not negligible. Going out from the mode needs neither factorials nor approximations.
struct Weights {
    first: u64,
    last: u64,
    of: Vec<f64>,
}

impl Weights {
    fn new(all: u64, quantile: f64) -> Self {
        let odds = quantile / (1.0 - quantile);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the count")]
        let mode = ((count(all) * quantile).floor() as u64).min(all);
        let mut left = Vec::new();
        let (mut weight, mut first) = (1.0, mode);
        while first > 0 {
            weight *= count(first) / count(all - first + 1) / odds;
            if weight < NEGLIGIBLE {
                break;
            }
            first -= 1;
            left.push(weight);
        }
        let mut of: Vec<f64> = left.into_iter().rev().chain([1.0]).collect();
        let (mut weight, mut last) = (1.0, mode);
        while last < all {
            weight *= count(all - last) / count(last + 1) * odds;
            if weight < NEGLIGIBLE {
                break;
            }
            last += 1;
            of.push(weight);
        }
        Self { first, last, of }
    }
}

/// The bucket of the observation with that rank, from 1.
fn at_rank(buckets: &[(u64, u64)], rank: u64) -> Option<u64> {
    let mut below = 0;
    buckets.iter().find_map(|(bucket, observed)| {
        below += observed;
        (below >= rank).then_some(*bucket)
    })
}

fn total(buckets: &[(u64, u64)]) -> u64 {
    buckets.iter().map(|(_, observed)| observed).sum()
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn count(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::super::median_interval;
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use statrs::distribution::{Binomial, DiscreteCDF as _};

    /// One observation per value from 1 to `last`, so that a bucket is its rank.
    fn ranks(last: u64) -> Vec<(u64, u64)> {
        (1..=last).map(|bucket| (bucket, 1)).collect()
    }

    #[test]
    fn the_median_of_ten_and_twenty_has_the_published_ranks() {
        for (all, low, high) in [(10, 2, 9), (20, 6, 15)] {
            let found = percentile_interval(&ranks(all), 0.5, 0.95).unwrap();
            assert_eq!((found.low, found.high), (low, high));
            let values: Vec<f64> = (1..=all).map(count).collect();
            assert!((found.confidence - median_interval(&values, 0.95).unwrap().confidence).abs() < 1e-12);
        }
    }

    #[test]
    fn percentiles_far_out_need_many_observations() {
        // At least one observation above: 1 - 0.99^n >= 0.975 from n = 368 on.
        assert_eq!(percentile_interval(&ranks(367), 0.99, 0.95), None);
        assert_eq!(percentile_interval(&ranks(368), 0.99, 0.95).unwrap().high, 368);
        // Ten thousand put the 99th percentile between 98.8 and 99.2 %.
        let found = percentile_interval(&ranks(10_000), 0.99, 0.95).unwrap();
        assert!((9_880..9_881).contains(&found.low) && (9_920..=9_921).contains(&found.high), "{found:?}");
        for absurd in [0.0, 1.0, f64::NAN, -0.5] {
            assert_eq!(percentile_interval(&ranks(100), absurd, 0.95), None);
            assert_eq!(percentile_interval(&ranks(100), 0.5, absurd), None);
        }
        assert_eq!((percentile_interval(&[], 0.5, 0.95), percentile(&[], 0.5)), (None, None));
    }

    #[test]
    fn a_billion_observations_are_summed_exactly() {
        let buckets = [(1, 985_000_000), (2, 4_993_700), (3, 12_600), (4, 9_993_700)];
        let found = percentile_interval(&buckets, 0.99, 0.95).unwrap();
        // 1.96 · sqrt(10⁹ · 0.99 · 0.01) = 6,167 ranks either way, all in bucket 3, which reaches 6,300 ranks either
        // way.
        assert_eq!((found.low, found.high), (3, 3));
        assert!((0.95..0.9501).contains(&found.confidence), "{found:?}");
    }

    #[test]
    fn ninety_five_of_a_hundred_intervals_cover_the_true_percentile() {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(2);
        let covered = (0..2_000).filter(|_| {
            // Uniform from 0 to 999,999: the 90th percentile is known.
            let mut drawn: Vec<u64> = (0..500).map(|_| random.random_range(0..1_000_000)).collect();
            drawn.sort_unstable();
            let buckets: Vec<(u64, u64)> = drawn.into_iter().map(|value| (value, 1)).collect();
            let found = percentile_interval(&buckets, 0.9, 0.95).unwrap();
            (found.low..=found.high).contains(&900_000)
        });
        let share = f64::from(u32::try_from(covered.count()).unwrap()) / 2_000.0;
        assert!((0.94..=0.975).contains(&share), "{share}");
    }

    proptest! {
        #[test]
        fn the_tails_are_those_of_the_binomial_distribution(
            all in 1..3_000_u64, quantile in 0.001..0.999_f64, confidence in 0.5..0.999_f64,
        ) {
            let tail = (1.0 - confidence) / 2.0;
            let binomial = Binomial::new(quantile, all).unwrap();
            let tails = Tails::new(all, quantile, tail);
            if let Some(rank) = tails.low_rank {
                prop_assert!(binomial.cdf(rank - 1) <= tail + 1e-9 && binomial.cdf(rank) > tail - 1e-9);
            } else {
                prop_assert!(binomial.cdf(0) > tail - 1e-9);
            }
            if let Some(rank) = tails.high_rank {
                prop_assert!(binomial.sf(rank - 1) <= tail + 1e-9);
                prop_assert!(rank == 1 || binomial.sf(rank.saturating_sub(2)) > tail - 1e-9);
            } else {
                prop_assert!(binomial.sf(all - 1) > tail - 1e-9);
            }
        }

        #[test]
        fn the_percentile_lies_in_its_interval_and_merging_does_not_matter(
            mut raw in prop::collection::vec(0..200_u64, 1..400), quantile in 0.01..0.99_f64,
        ) {
            raw.sort_unstable();
            let single: Vec<(u64, u64)> = raw.iter().map(|value| (*value, 1)).collect();
            let mut merged: Vec<(u64, u64)> = Vec::new();
            for value in &raw {
                match merged.last_mut() {
                    Some((bucket, observed)) if bucket == value => *observed += 1,
                    _ => merged.push((*value, 1)),
                }
            }
            let point = percentile(&merged, quantile).unwrap();
            prop_assert_eq!(Some(point), percentile(&single, quantile));
            let found = percentile_interval(&merged, quantile, 0.95);
            prop_assert_eq!(found, percentile_interval(&single, quantile, 0.95));
            if let Some(found) = found {
                prop_assert!(found.low <= point && point <= found.high && found.confidence >= 0.95);
            }
        }
    }
}
