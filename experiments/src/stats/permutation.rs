//! The sign-flip permutation test: if nothing but chance told the two arms of a block apart, each sign could as well
//! have been the other one. It knows nothing of ratios or arms, and assumes nothing of the noise but that.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Up to so many values all sign patterns are counted; beyond it they are drawn.
pub const EXACT_VALUES: usize = 30;

/// Sign patterns that are drawn when there are too many to count.
const DRAWN: u32 = 100_000;

/// The two-sided p-value of the hypothesis that `values` are symmetric around zero: the share of all sign patterns
/// whose sum is as far from zero as the one that was seen, which is one of them, so that it is never 0 and at best
/// `2 / 2^n`. Exact up to [`EXACT_VALUES`] values; beyond it 100,000 patterns are drawn with `seed` and the one that was
/// seen is counted with them. `None` of nothing and when a value is not finite.
///
/// Sources: Fisher, The Design of Experiments (1935), section 21; for drawing, Phipson and Smyth, Permutation P-values
/// Should Never Be Zero, Stat. Appl. Genet. Mol. Biol. 9 (2010).
#[must_use]
pub fn sign_flip_test(values: &[f64], seed: u64) -> Option<f64> {
    if values.is_empty() || !values.iter().all(|value| value.is_finite()) {
        return None;
    }
    let seen = values.iter().sum::<f64>().abs();
    // Sums of the same numbers in another order differ in the last digits; such a pattern is as far from zero, not
    // nearer.
    let bound = seen - 1e-11 * values.iter().map(|value| value.abs()).sum::<f64>();
    Some(if values.len() <= EXACT_VALUES { exact(values, bound) } else { drawn(values, bound, seed) })
}

/// The ranks of the distances from zero with the signs of `values`; ties share the mean of their ranks and a zero keeps
/// its rank but has no sign. With these as values, [`sign_flip_test`] is Wilcoxon's signed-rank test in Pratt's form,
/// the test whose inversion is the Hodges–Lehmann estimate: one wild block cannot hide what all others say. Distances
/// that differ by less than a billionth of the largest one are ties. Source: Pratt, Remarks on Zeros and Ties in the
/// Wilcoxon Signed Rank Procedures, JASA 54 (1959).
#[must_use]
pub fn signed_ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|left, right| values[*left].abs().total_cmp(&values[*right].abs()));
    let tolerance = order.last().map_or(0.0, |largest| 1e-9 * values[*largest].abs());
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    while first < order.len() {
        let smallest = values[order[first]].abs();
        let tied = order[first..].iter().take_while(|index| values[**index].abs() - smallest <= tolerance).count();
        #[expect(clippy::cast_precision_loss, reason = "numbers of blocks are small")]
        let rank = first as f64 + (tied as f64 + 1.0) / 2.0;
        for index in &order[first..first + tied] {
            ranks[*index] = if values[*index].abs() <= tolerance { 0.0 } else { rank * values[*index].signum() };
        }
        first += tied;
    }
    ranks
}

/// Counts all patterns without visiting each: the sums of either half of the values are listed, and for each sum of the
/// one half the partners in the other are counted by where they lie in order (Horowitz and Sahni, JACM 21, 1974).
fn exact(values: &[f64], bound: f64) -> f64 {
    if bound <= 0.0 {
        return 1.0;
    }
    let (left, right) = values.split_at(values.len() / 2);
    let mut partners = signed_sums(right);
    partners.sort_by(f64::total_cmp);
    let far: u64 = signed_sums(left)
        .iter()
        .map(|sum| {
            let at_most = partners.partition_point(|partner| sum + partner <= -bound);
            let below = partners.partition_point(|partner| sum + partner < bound);
            (at_most + partners.len() - below) as u64
        })
        .sum();
    #[expect(clippy::cast_precision_loss, reason = "at most 2^30 patterns")]
    let share = far as f64 / (1_u64 << values.len()) as f64;
    share
}

/// The sums of `values` under all patterns of signs.
fn signed_sums(values: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0];
    for value in values {
        sums = sums.iter().flat_map(|sum| [sum + value, sum - value]).collect();
    }
    sums
}

fn drawn(values: &[f64], bound: f64, seed: u64) -> f64 {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let far = (0..DRAWN)
        .filter(|_| {
            let sum: f64 = values.iter().map(|value| if random.random() { *value } else { -value }).sum();
            sum.abs() >= bound
        })
        .count();
    #[expect(clippy::cast_precision_loss, reason = "at most the number drawn")]
    let share = (far as f64 + 1.0) / (f64::from(DRAWN) + 1.0);
    share
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, pattern by pattern.
    fn by_definition(values: &[f64]) -> f64 {
        let seen = values.iter().sum::<f64>().abs();
        let patterns = 1_u32 << values.len();
        let far = (0..patterns).filter(|pattern| {
            let flipped = values.iter().enumerate();
            let sum: f64 = flipped.map(|(index, value)| if pattern >> index & 1 == 1 { -value } else { *value }).sum();
            sum.abs() >= seen - 1e-9
        });
        f64::from(u32::try_from(far.count()).unwrap()) / f64::from(patterns)
    }

    /// Darwin's maize: crossed minus self-fertilised, in eighths of an inch, as Fisher printed them.
    const MAIZE: [f64; 15] = [49.0, -67.0, 8.0, 16.0, 6.0, 23.0, 28.0, 41.0, 14.0, 29.0, 56.0, 24.0, 75.0, 60.0, -48.0];

    #[test]
    fn fishers_count_for_darwins_maize() {
        // Of the 32,768 totals 863 are at least the 314 that was seen, and as many at most −314.
        assert_eq!(sign_flip_test(&MAIZE, 1), Some(2.0 * 863.0 / 32_768.0));
    }

    #[test]
    fn the_published_signed_rank_test_for_the_depression_scores() {
        // Hollander, Wolfe and Chicken, example 3.1: exact one-sided p = 0.0195.
        let differences = [-0.952, 0.147, -1.022, -0.430, -0.620, -0.590, -0.490, 0.080, -0.010];
        assert_eq!(sign_flip_test(&signed_ranks(&differences), 1), Some(20.0 / 512.0));
    }

    #[test]
    fn the_edges() {
        assert_eq!(sign_flip_test(&[], 1), None);
        assert_eq!(sign_flip_test(&[1.0, f64::NAN], 1), None);
        assert_eq!(sign_flip_test(&[0.0; 6], 1), Some(1.0));
        assert_eq!(sign_flip_test(&[0.4; 6], 1), Some(2.0 / 64.0), "six blocks that agree are just enough");
        assert_eq!(sign_flip_test(&[-0.4; 30], 1), Some(2.0 / f64::from(1_u32 << 30)));
        assert_eq!(signed_ranks(&[-3.0, 0.0, 1.0, -1.0, 0.0]), [-5.0, 0.0, 3.5, -3.5, 0.0]);
        assert_eq!(signed_ranks(&[0.0; 3]), [0.0; 3]);
        assert!(signed_ranks(&[]).is_empty());
    }

    #[test]
    fn drawing_agrees_with_counting() {
        let exact = sign_flip_test(&MAIZE, 1).unwrap();
        let seen = MAIZE.iter().sum::<f64>();
        for seed in 0..5 {
            // Four standard errors of a share of 5 % of 100,000.
            assert!((drawn(&MAIZE, seen, seed) - exact).abs() < 4.0 * (0.05_f64 * 0.95 / 1e5).sqrt());
        }
        let many = [0.1; 40];
        assert_eq!(sign_flip_test(&many, 7), Some(1.0 / 100_001.0), "what was seen is one of the patterns");
    }

    #[test]
    fn under_the_hypothesis_at_most_five_of_a_hundred_are_below_five_percent() {
        use rand_distr::{Distribution as _, StudentT};
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let noise = StudentT::new(3.0).unwrap();
        let found = (0..4_000).filter(|_| {
            let values: Vec<f64> = (0..10).map(|_| noise.sample(&mut random)).collect();
            sign_flip_test(&values, 1).unwrap() <= 0.05
        });
        let share = f64::from(u32::try_from(found.count()).unwrap()) / 4_000.0;
        assert!((0.04..=0.06).contains(&share), "{share}");
    }

    proptest! {
        #[test]
        fn counting_halves_is_counting_all(values in prop::collection::vec(prop_oneof![-4..=4_i32, -100..100_i32], 1..13)) {
            let values: Vec<f64> = values.into_iter().map(f64::from).collect();
            prop_assert_eq!(sign_flip_test(&values, 1).unwrap(), by_definition(&values));
        }

        #[test]
        fn turning_all_values_changes_nothing(values in prop::collection::vec(-1e3..1e3_f64, 1..20)) {
            let turned: Vec<f64> = values.iter().map(|value| -value).collect();
            prop_assert_eq!(sign_flip_test(&values, 1), sign_flip_test(&turned, 1));
            let ranks = signed_ranks(&values);
            prop_assert!(ranks.iter().zip(signed_ranks(&turned)).all(|(rank, mirrored)| *rank == -mirrored));
            let all: f64 = ranks.iter().map(|rank| rank.abs()).sum();
            prop_assert!(values.contains(&0.0) || (all - (values.len() * (values.len() + 1) / 2) as f64).abs() < 1e-9);
        }
    }
}
