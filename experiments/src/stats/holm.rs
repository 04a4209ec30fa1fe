//! Several questions at once: of twenty that ask for nothing, one answers "yes" at 5 %. It knows no metric, only
//! p-values.

/// The p-values adjusted by Holm's step-down procedure, in the order given: rejecting those at or below 5 % errs
/// anywhere in the family in at most 5 % of the families, whatever depends on what. Each is at least the one that was
/// given and at most 1. One that is not a number stays so and does not count. Source: Holm, A Simple Sequentially
/// Rejective Multiple Test Procedure, Scand. J. Stat. 6 (1979).
#[must_use]
pub fn holm_adjusted(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).filter(|index| !p_values[*index].is_nan()).collect();
    order.sort_by(|left, right| p_values[*left].total_cmp(&p_values[*right]));
    let mut adjusted = vec![f64::NAN; p_values.len()];
    let mut largest: f64 = 0.0;
    for (done, index) in order.iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "families are small")]
        let factor = (order.len() - done) as f64;
        // A larger p-value never gets a smaller adjusted one: the procedure stops at the first that is not rejected.
        largest = largest.max((factor * p_values[*index]).min(1.0));
        adjusted[*index] = largest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng as _;

    #[test]
    fn the_same_as_by_hand() {
        // 4 × 0.005; 3 × 0.01; 2 × 0.03, and 0.04 must not be below it.
        let adjusted = holm_adjusted(&[0.01, 0.04, 0.03, 0.005]);
        for (found, expected) in adjusted.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((found - expected).abs() < 1e-12, "{adjusted:?}");
        }
        assert!(holm_adjusted(&[]).is_empty());
        assert_eq!(holm_adjusted(&[0.5, 0.9]), [1.0, 1.0]);
        assert_eq!(holm_adjusted(&[f64::NAN, 0.02])[1], 0.02, "what was not tested is no member of the family");
        assert!(holm_adjusted(&[f64::NAN, 0.02])[0].is_nan());
    }

    #[test]
    fn families_of_nothing_are_wrong_in_one_of_twenty() {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        let wrong = (0..20_000).filter(|_| {
            let family: [f64; 4] = std::array::from_fn(|_| random.random());
            holm_adjusted(&family).iter().any(|p_value| *p_value <= 0.05)
        });
        let share = f64::from(u32::try_from(wrong.count()).unwrap()) / 20_000.0;
        assert!((0.044..=0.054).contains(&share), "{share}; without correction it is 0.185");
    }

    proptest! {
        #[test]
        fn it_keeps_the_order_and_lies_between_no_correction_and_bonferronis(
            p_values in prop::collection::vec(0.0..=1.0_f64, 1..12),
        ) {
            let adjusted = holm_adjusted(&p_values);
            for (index, found) in adjusted.iter().enumerate() {
                prop_assert!(p_values[index] <= *found);
                prop_assert!(*found <= (p_values[index] * p_values.len() as f64).min(1.0));
                for (other, beside) in adjusted.iter().enumerate() {
                    prop_assert!(p_values[index] > p_values[other] || found <= beside);
                }
            }
        }
    }
}
