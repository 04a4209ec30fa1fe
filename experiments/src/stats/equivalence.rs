//! Equivalence: not the absence of a proof of difference, but a proof that the difference is small. It knows no ratio
//! and no arm.

use super::Interval;

/// The confidence of the interval that two one-sided tests at 5 % amount to.
pub const EQUIVALENCE_CONFIDENCE: f64 = 0.9;

/// Whether the difference that `interval` is of is proven to be smaller than `margin` either way. Two one-sided tests
/// at 5 % each reject "smaller than −margin" and "larger than margin" exactly when the two-sided 90 % interval lies
/// strictly between the two. An interval of less confidence proves nothing, nor does a margin of nothing. Source:
/// Schuirmann, A Comparison of the Two One-Sided Tests Procedure and the Power Approach, J. Pharmacokinet. Biopharm. 15
/// (1987).
#[must_use]
pub fn is_equivalent(interval: Interval, margin: f64) -> bool {
    interval.confidence >= EQUIVALENCE_CONFIDENCE && -margin < interval.low && interval.high < margin
}

#[cfg(test)]
mod tests {
    use super::super::Bootstrap;
    use super::*;
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution as _, Normal};

    #[test]
    fn only_an_interval_strictly_within_the_margin_proves_it() {
        let interval = |low, high, confidence| Interval { low, high, confidence };
        assert!(is_equivalent(interval(-0.01, 0.02, 0.9), 0.03));
        assert!(is_equivalent(interval(-0.01, 0.02, 0.95), 0.03));
        assert!(!is_equivalent(interval(-0.01, 0.03, 0.9), 0.03), "touching is not within");
        assert!(!is_equivalent(interval(-0.04, 0.02, 0.9), 0.03));
        assert!(!is_equivalent(interval(-0.01, 0.02, 0.8), 0.03), "80 % is no proof at 5 %");
        assert!(!is_equivalent(interval(0.0, 0.0, 0.9), 0.0));
        assert!(!is_equivalent(interval(0.0, 0.0, 0.9), f64::NAN));
        assert!(!is_equivalent(interval(f64::NAN, 0.0, 0.9), 1.0));
    }

    /// With the truth on the edge of the margin, calling it equivalent is wrong and may happen in one case of twenty.
    #[test]
    fn a_difference_of_the_margin_is_rarely_called_equivalent() {
        let found = (0..2_000).filter(|seed| {
            let mut random = ChaCha8Rng::seed_from_u64(*seed);
            let noise = Normal::new(0.03, 0.02).unwrap();
            let values: Vec<f64> = (0..12).map(|_| noise.sample(&mut random)).collect();
            let bootstrap = Bootstrap::new(&values, 400, *seed).unwrap();
            is_equivalent(bootstrap.interval(EQUIVALENCE_CONFIDENCE), 0.03)
        });
        let share = f64::from(u32::try_from(found.count()).unwrap()) / 2_000.0;
        assert!((0.02..=0.065).contains(&share), "{share}");
    }
}
