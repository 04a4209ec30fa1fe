//! The Hodges–Lehmann estimate of the centre: nearly as precise as the mean where the noise is normal, nearly as sturdy
//! as the median where it is not. It knows nothing of what it is the centre of.

/// The one-sample Hodges–Lehmann estimate: the median of the averages of all pairs, each value with itself included
/// (Walsh averages). Of a symmetric distribution it estimates the centre, of any other its pseudo-median, which is the
/// median of the average of two independent draws. `None` of nothing. It takes memory and time in the square of the
/// count, which is meant for blocks and not for requests. Source: Hodges and Lehmann, Estimates of Location Based on
/// Rank Tests, Ann. Math. Stat. 34 (1963).
#[must_use]
pub fn hodges_lehmann(values: &[f64]) -> Option<f64> {
    if values.is_empty() { None } else { Some(WalshAverages::new(values).median(&vec![1; values.len()])) }
}

/// All Walsh averages of a sample in ascending order, each with the two it is the average of. Every resample of the
/// sample has the same averages with other weights, so sorting once serves all of them.
pub(super) struct WalshAverages {
    sorted: Vec<(f64, usize, usize)>,
}

impl WalshAverages {
    pub(super) fn new(values: &[f64]) -> Self {
        let pairs = (0..values.len()).flat_map(|first| (first..values.len()).map(move |second| (first, second)));
        let mut sorted: Vec<(f64, usize, usize)> =
            pairs.map(|(first, second)| (f64::midpoint(values[first], values[second]), first, second)).collect();
        sorted.sort_by(|left, right| left.0.total_cmp(&right.0));
        Self { sorted }
    }

    /// The estimate of a resample in which value `i` occurs `times[i]` times; there must be at least one.
    pub(super) fn median(&self, times: &[u64]) -> f64 {
        let count: u64 = times.iter().sum();
        let all = count * (count + 1) / 2;
        let mut below = 0;
        // The lower of the two in the middle, as long as the upper one is not found.
        let mut lower = None;
        for (average, first, second) in &self.sorted {
            below +=
                if first == second { times[*first] * (times[*first] + 1) / 2 } else { times[*first] * times[*second] };
            if 2 * below > all {
                return lower.map_or(*average, |lower| f64::midpoint(lower, *average));
            }
            if 2 * below == all && lower.is_none() {
                lower = Some(*average);
            }
        }
        unreachable!("the weights add up to all, so the middle lies before the end")
    }
}

#[cfg(test)]
mod tests {
    use super::super::median;
    use super::*;
    use proptest::prelude::*;

    /// The definition, word by word.
    fn by_definition(values: &[f64]) -> f64 {
        let mut averages = Vec::new();
        for (index, first) in values.iter().enumerate() {
            averages.extend(values[index..].iter().map(|second| f64::midpoint(*first, *second)));
        }
        median(&averages).unwrap()
    }

    #[test]
    fn the_published_estimate_for_the_depression_scores() {
        // Hollander, Wolfe and Chicken, Nonparametric Statistical Methods, example 3.3 (Hamilton depression scores):
        // -0.46.
        let differences = [-0.952, 0.147, -1.022, -0.430, -0.620, -0.590, -0.490, 0.080, -0.010];
        assert!((hodges_lehmann(&differences).unwrap() + 0.46).abs() < 5e-4);
        assert_eq!(hodges_lehmann(&[]), None);
        assert_eq!(hodges_lehmann(&[7.0]), Some(7.0));
    }

    #[test]
    fn one_outlier_in_ten_moves_it_little() {
        let mut values = [0.01, -0.02, 0.0, 0.03, -0.01, 0.02, -0.03, 0.01, 0.0, -0.01];
        let before = hodges_lehmann(&values).unwrap();
        values[3] = 50.0;
        assert!((hodges_lehmann(&values).unwrap() - before).abs() < 0.02, "the mean would have moved by five");
    }

    proptest! {
        #[test]
        fn weighing_is_the_same_as_repeating(
            drawn in prop::collection::vec((-1e3..1e3_f64, 0..4_u64), 1..12)
                .prop_filter("nothing was drawn", |drawn| drawn.iter().any(|(_, times)| *times > 0)),
        ) {
            let (values, times): (Vec<f64>, Vec<u64>) = drawn.iter().copied().unzip();
            let repeated: Vec<f64> =
                drawn.iter().flat_map(|(value, times)| (0..*times).map(|_| *value)).collect();
            prop_assert_eq!(WalshAverages::new(&values).median(&times), by_definition(&repeated));
        }

        #[test]
        fn it_moves_and_turns_with_the_values(values in prop::collection::vec(-1e3..1e3_f64, 1..16), shift in -1e3..1e3_f64) {
            let point = hodges_lehmann(&values).unwrap();
            let moved: Vec<f64> = values.iter().map(|value| value + shift).collect();
            prop_assert!((hodges_lehmann(&moved).unwrap() - point - shift).abs() < 1e-9);
            let turned: Vec<f64> = values.iter().map(|value| -value).collect();
            prop_assert_eq!(hodges_lehmann(&turned).unwrap(), -point);
        }
    }
}
