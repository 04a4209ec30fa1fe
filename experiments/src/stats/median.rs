//! The median and its distribution-free interval. Order statistics need no assumption about the shape of the noise.

/// A confidence interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// The probability that such an interval covers the truth, at least the one that was asked for.
    pub confidence: f64,
}

/// The median; `None` of nothing. With an even count it is the mean of the two in the middle.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let sorted = sorted(values);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        count if count % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// The interval between two order statistics that covers the median with at least `confidence`; `None` when there are too few
/// values for that (five for 95 %). Source: the binomial argument of Conover, Practical Nonparametric Statistics, 3.2.
#[must_use]
pub fn median_interval(values: &[f64], confidence: f64) -> Option<Interval> {
    let sorted = sorted(values);
    let count = sorted.len();
    // Outside of the k-th smallest and the k-th largest value lies the median with twice the binomial tail below k.
    let mut best = None;
    let mut tail = 0.0;
    for rank in 1..=count / 2 {
        tail += binomial_half(count, rank - 1);
        let covered = 1.0 - 2.0 * tail;
        if covered < confidence {
            break;
        }
        best = Some(Interval { low: sorted[rank - 1], high: sorted[count - rank], confidence: covered });
    }
    best
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// The probability of `successes` heads in `count` throws of a fair coin.
fn binomial_half(count: usize, successes: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "numbers of blocks are small")]
    (0..successes)
        .fold(0.5_f64.powf(count as f64), |probability, done| probability * (count - done) as f64 / (done + 1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_published_ranks_for_ten_and_twenty() {
        let values = |count: u32| (1..=count).map(f64::from).collect::<Vec<_>>();
        let ten = median_interval(&values(10), 0.95).unwrap();
        assert_eq!((ten.low, ten.high, (ten.confidence * 1000.0).round()), (2.0, 9.0, 979.0));
        let twenty = median_interval(&values(20), 0.95).unwrap();
        assert_eq!((twenty.low, twenty.high, (twenty.confidence * 1000.0).round()), (6.0, 15.0, 959.0));
        assert!(median_interval(&values(5), 0.95).is_none(), "five values reach 93.75 %");
        assert!(median_interval(&values(6), 0.95).is_some());
    }

    proptest! {
        #[test]
        fn the_median_lies_in_its_interval(values in prop::collection::vec(-1e9..1e9_f64, 0..40)) {
            if let Some(interval) = median_interval(&values, 0.95) {
                let point = median(&values).unwrap();
                prop_assert!(interval.low <= point && point <= interval.high);
                prop_assert!((0.95..=1.0).contains(&interval.confidence));
            } else {
                prop_assert!(values.len() < 6);
            }
        }

        #[test]
        fn the_median_does_not_depend_on_the_order(mut values in prop::collection::vec(-1e9..1e9_f64, 1..20)) {
            let before = median(&values);
            values.reverse();
            prop_assert_eq!(before, median(&values));
        }
    }
}
