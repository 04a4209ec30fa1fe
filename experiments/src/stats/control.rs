//! Control variates: what was seen beside a difference, and has a part in it, explains that part away. It knows nothing of what either is.

/// Fewer pairs than this do not tell how much of a difference its control explains.
const SMALLEST_PAIRS: usize = 30;

/// Differences without what their controls explain.
#[derive(Clone, Debug, PartialEq)]
pub struct Controlled {
    /// By how much a difference grows with its control; 0 where that is not known.
    pub slope: f64,
    /// The adjusted differences, group by group.
    pub differences: Vec<Vec<f64>>,
}

/// Takes out of each difference `y` of a pair `(y, x)` what its control `x` explains: `y - slope * x`. The control must have nothing to do
/// with the effect that is looked for, and be zero on average; then the adjusted differences have the same centre as the others and
/// scatter less. The slope is that of all pairs of points of a group, the median weighted by their distance: neither what sets groups
/// apart nor a few wild points have a part in it. With fewer than 30 pairs, or a control that does not vary, the differences stay
/// as they are.
///
/// Sources: Lavenberg and Welch, A perspective on the use of control variables, Management Science 27 (1981); in experiments on
/// servers Deng, Xu, Kohavi and Walker, Improving the sensitivity of online controlled experiments, WSDM 2013. The slope: Sen, Estimates of
/// the regression coefficient based on Kendall's tau, JASA 63 (1968), with the weights of Jaeckel, Ann. Math. Stat. 43 (1972).
#[must_use]
pub fn controlled(groups: &[Vec<(f64, f64)>]) -> Controlled {
    let slope = slope(groups).unwrap_or(0.0);
    let adjusted = |pairs: &Vec<(f64, f64)>| pairs.iter().map(|(y, x)| y - slope * x).collect();
    Controlled { slope, differences: groups.iter().map(adjusted).collect() }
}

/// The slope within the groups.
fn slope(groups: &[Vec<(f64, f64)>]) -> Option<f64> {
    if groups.iter().map(Vec::len).sum::<usize>() < SMALLEST_PAIRS {
        return None;
    }
    let mut slopes: Vec<(f64, f64)> = Vec::new();
    for pairs in groups {
        for (index, (y, x)) in pairs.iter().enumerate() {
            let others = pairs[index + 1..].iter().map(|(other_y, other_x)| (other_y - y, other_x - x));
            slopes.extend(others.filter(|(_, run)| *run != 0.0).map(|(rise, run)| (rise / run, run.abs())));
        }
    }
    slopes.sort_by(|one, other| one.0.total_cmp(&other.0));
    let half = slopes.iter().map(|(_, weight)| weight).sum::<f64>() / 2.0;
    let mut below = 0.0;
    slopes.into_iter().find_map(|(slope, weight)| {
        below += weight;
        (below >= half).then_some(slope)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;

    fn variance(groups: &[Vec<f64>]) -> f64 {
        let all: Vec<f64> = groups.iter().flatten().copied().collect();
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        all.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / all.len() as f64
    }

    #[test]
    fn what_the_control_explains_is_gone_and_the_effect_stays() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut noise = |scale: f64| scale * (random.random::<f64>() - 0.5);
        // An effect of 0.1, and twice the control.
        let mut pair = || {
            let x = noise(0.4);
            (0.1 + 2.0 * x + noise(0.1), x)
        };
        let groups: Vec<Vec<(f64, f64)>> = (0..8).map(|_| (0..50).map(|_| pair()).collect()).collect();
        let before: Vec<Vec<f64>> = groups.iter().map(|pairs| pairs.iter().map(|(y, _)| *y).collect()).collect();
        let Controlled { slope, differences: after } = controlled(&groups);
        assert!((slope - 2.0).abs() < 0.05, "{slope}");
        assert!(variance(&after) < variance(&before) / 20.0, "{} and {}", variance(&before), variance(&after));
        let mean = after.iter().flatten().sum::<f64>() / 400.0;
        assert!((mean - 0.1).abs() < 0.01, "{mean}");
    }

    #[test]
    fn what_sets_groups_apart_is_no_slope() {
        // Within each group the control explains nothing; groups with a large control have large differences.
        let group = |level: f64| (0..20).map(|n| (level + f64::from(n % 2), level + f64::from(n / 2 % 2))).collect();
        let groups: Vec<Vec<(f64, f64)>> = [0.0, 10.0, 20.0].map(group).into();
        let same: Vec<Vec<f64>> = groups.iter().map(|pairs| pairs.iter().map(|(y, _)| *y).collect()).collect();
        assert_eq!(controlled(&groups), Controlled { slope: 0.0, differences: same });
    }

    #[test]
    fn a_few_wild_points_do_not_turn_the_slope() {
        let mut pairs: Vec<(f64, f64)> = (0..60).map(|n| (f64::from(n) * 0.02, f64::from(n) * 0.01)).collect();
        for wild in [3, 20, 41] {
            pairs[wild].0 += 5.0;
        }
        let slope = controlled(&[pairs]).slope;
        assert!((slope - 2.0).abs() < 0.05, "{slope}");
    }

    proptest! {
        #[test]
        fn a_few_pairs_or_a_constant_control_change_nothing(
            few in prop::collection::vec((-1.0..1.0_f64, -1.0..1.0_f64), 0..SMALLEST_PAIRS),
            many in prop::collection::vec(-1.0..1.0_f64, SMALLEST_PAIRS..100),
        ) {
            let kept: Vec<f64> = few.iter().map(|(y, _)| *y).collect();
            prop_assert_eq!(controlled(&[few]).differences, [kept]);
            let constant: Vec<(f64, f64)> = many.iter().map(|y| (*y, 0.0)).collect();
            prop_assert_eq!(controlled(&[constant]).differences, [many]);
        }

        #[test]
        fn exchanging_the_arms_turns_the_differences_around(
            pairs in prop::collection::vec((-1.0..1.0_f64, -1.0..1.0_f64), SMALLEST_PAIRS..100),
        ) {
            let turned: Vec<(f64, f64)> = pairs.iter().map(|(y, x)| (-y, -x)).collect();
            let (one, other) = (controlled(&[pairs]), controlled(&[turned]));
            for (one, other) in one.differences[0].iter().zip(&other.differences[0]) {
                prop_assert!((one + other).abs() < 1e-9);
            }
        }
    }
}
