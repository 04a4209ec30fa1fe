//! How often the whole machinery cries wolf: data of identical arms, analysed again and again under shuffled labels. It
//! knows nothing of where the data come from.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::{Compared, Direction, Verdict, compare_family, may_differ};

/// What shuffled labels led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shuffled {
    /// Re-analyses of the whole family.
    pub rounds: usize,
    /// Verdicts that were given, one per round and metric.
    pub verdicts: usize,
    /// Of these, how many said better.
    pub better: usize,
    /// How many said worse.
    pub worse: usize,
    /// Rounds in which at least one metric was called better or worse.
    pub false_rounds: usize,
}

/// Analyses data of two identical arms again and again. `metrics` has, per metric, its value under either label, block
/// by block: the same blocks in the same order for all. In each round and block the labels are exchanged or not, for all
/// metrics at once, since the metrics of a trial belong together; then all are compared as one family. Whatever is called
/// better or worse is false. Where there are at most `most_rounds` ways to exchange labels, each has its round, and the
/// share of false rounds is that of the method with these data; where there are more, as many are drawn by `seed`, and
/// the share is an estimate of it. To exchange the labels of all blocks exchanges better and worse and nothing else, so
/// that those of the last block are left alone in the first case.
///
/// A round takes some microseconds, and one in which a test finds something some milliseconds for each metric.
#[must_use]
pub fn shuffled(metrics: &[Vec<(f64, f64)>], smallest_effect: f64, most_rounds: usize, seed: u64) -> Shuffled {
    let blocks = metrics.iter().map(Vec::len).max().unwrap_or(0);
    let ways = blocks.checked_sub(1).and_then(|others| 1_usize.checked_shl(u32::try_from(others).ok()?));
    let ways = ways.filter(|ways| *ways <= most_rounds);
    let rounds = ways.unwrap_or(most_rounds);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut found = Shuffled { rounds, ..Shuffled::default() };
    for round in 0..rounds {
        let is_exchanged = |block: usize| if ways.is_some() { round >> block & 1 == 1 } else { random.random() };
        let exchanged: Vec<bool> = (0..blocks).map(is_exchanged).collect();
        let ratios: Vec<Vec<f64>> = metrics.iter().map(|pairs| relabelled(pairs, &exchanged)).collect();
        let family: Vec<Compared<'_>> = ratios
            .iter()
            .map(|ratios| Compared { ratios, direction: Direction::LowerIsBetter, smallest_effect })
            .collect();
        found.verdicts += family.len();
        if !may_differ(&family, seed) {
            continue;
        }
        let verdicts: Vec<Verdict> =
            compare_family(&family, random.random()).into_iter().map(|compared| compared.verdict).collect();
        let count = |wanted| verdicts.iter().filter(|verdict| **verdict == wanted).count();
        let (better, worse) = (count(Verdict::Better), count(Verdict::Worse));
        found.better += better;
        found.worse += worse;
        found.false_rounds += usize::from(better + worse > 0);
    }
    found
}

fn relabelled(pairs: &[(f64, f64)], exchanged: &[bool]) -> Vec<f64> {
    let ratio =
        |((first, second), exchanged): (&(f64, f64), &bool)| if *exchanged { second / first } else { first / second };
    pairs.iter().zip(exchanged).map(ratio).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand_distr::{Distribution as _, StudentT};

    /// Pairs of one metric: heavy-tailed noise of about 5 %, and a bias of the second label.
    fn pairs(random: &mut ChaCha8Rng, bias: f64) -> Vec<(f64, f64)> {
        let noise = StudentT::new(3.0).unwrap();
        let mut value = || f64::exp(0.05 * noise.sample(random));
        (0..10).map(|_| (100.0 * value(), 100.0 * bias * value())).collect()
    }

    #[test]
    fn identical_arms_are_rarely_told_apart_even_where_every_effect_matters() {
        let mut random = ChaCha8Rng::seed_from_u64(8);
        let metrics: Vec<Vec<(f64, f64)>> = (0..2).map(|_| pairs(&mut random, 1.0)).collect();
        let found = shuffled(&metrics, 0.0, 200, 1);
        assert_eq!((found.rounds, found.verdicts), (200, 400));
        assert!(found.false_rounds <= 10 && found.better + found.worse <= 20, "{found:?}");
        assert_eq!(found, shuffled(&metrics, 0.0, 200, 1), "the seed decides");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// That is what a test at 5 % promises, whatever the noise, where no way to exchange labels is left out.
        #[test]
        fn of_all_ways_to_exchange_labels_at_most_one_in_twenty_finds_something(
            metrics in prop::collection::vec(prop::collection::vec((0.5..2.0_f64, 0.5..2.0_f64), 9), 1..4),
        ) {
            let found = shuffled(&metrics, 0.0, 256, 1);
            prop_assert_eq!(found.rounds, 256);
            prop_assert!(found.false_rounds * 20 <= found.rounds, "{:?}", found);
        }
    }

    /// Exchanging labels takes a true difference away as well: what is left is noise as large as the difference.
    #[test]
    fn shuffling_hides_a_difference_that_is_there() {
        let different = pairs(&mut ChaCha8Rng::seed_from_u64(8), 2.0);
        let seen: Vec<f64> = different.iter().map(|(first, second)| first / second).collect();
        assert_eq!(super::super::compare(&seen, Direction::LowerIsBetter, 0.05, 1).verdict, Verdict::Better);
        let found = shuffled(&[different], 0.05, 100, 1);
        assert!(found.false_rounds <= 5, "{found:?}");
        assert_eq!(shuffled(&[], 0.05, 3, 1), Shuffled { rounds: 3, ..Shuffled::default() });
    }
}
