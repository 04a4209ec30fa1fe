//! Comparisons round by round. What disturbs a machine for a moment, such as a neighbour on the other thread of the core, makes a slice dear by a
//! half without any arm being the reason. In a sum over all slices of a block such a slice weighs as much as it cost; in the typical
//! ratio of its rounds it is one among many. Pure.

use std::collections::BTreeMap;

use anyhow::Result;

use super::{
    metrics::{self, PerTrial},
    rows::SliceRow,
};
use crate::{aggregate::Frames, stats::hodges_lehmann};

/// A metric of each slice: `(arm, block)` → round → value. Only valid trials are in it.
pub(in crate::steps) type PerRound = BTreeMap<(String, i64), BTreeMap<u32, f64>>;

/// Server CPU time per expected answer in the slices of `phase`, over all components.
pub(in crate::steps) fn cpu_us_per_request(frames: &Frames, phase: &str) -> Result<PerRound> {
    #[expect(clippy::cast_precision_loss, reason = "microseconds and counts stay far below 2^53")]
    of_slices(frames, phase, |slice| (slice.expected > 0).then(|| slice.cpu_us as f64 / slice.expected as f64))
}

/// The mean load time in the slices of `phase`: what is added to every request is added to it, whatever the distribution of what is added.
pub(in crate::steps) fn mean_us(frames: &Frames, phase: &str) -> Result<PerRound> {
    of_slices(frames, phase, |slice| slice.mean_us)
}

/// What the servers say that they added to each request in the slices of `phase`.
pub(in crate::steps) fn added_us(frames: &Frames, phase: &str) -> Result<PerRound> {
    of_slices(frames, phase, |slice| slice.added_us)
}

fn of_slices(frames: &Frames, phase: &str, value: impl Fn(&SliceRow) -> Option<f64>) -> Result<PerRound> {
    let valid = metrics::valid(frames)?;
    let mut found = PerRound::new();
    let slices = frames.rows::<SliceRow>()?.into_iter().filter(|slice| slice.phase == phase);
    for slice in slices.filter(|slice| valid.holds(slice.block, &slice.arm, slice.attempt)) {
        let Some(value) = value(&slice) else { continue };
        found.entry((slice.arm, i64::from(slice.block))).or_default().insert(slice.round, value);
    }
    Ok(found)
}

/// What `arm` has more than the `baseline`, in each block, where `added` says what was done to it in each slice: the mean of what
/// was added, and the typical difference of what was found and what was added in that very slice. A wait that a stall of the machine
/// made longer is on both sides of that difference, and does not blur it (`added` is a control variate).
pub(in crate::steps) fn found_beside(
    values: &PerRound,
    added: &PerRound,
    arm: &str,
    baseline: &str,
) -> BTreeMap<i64, f64> {
    let of_block = |block: i64| added.get(&(arm.to_owned(), block));
    let beyond = typical(values, arm, |block, round, value| {
        let added = of_block(block)?.get(&round)?;
        Some(value - added - of(values, baseline, block, round)?)
    });
    let found = beyond.into_iter().filter_map(|(block, beyond)| {
        let slices = of_block(block)?;
        #[expect(clippy::cast_precision_loss, reason = "some dozen slices")]
        Some((block, slices.values().sum::<f64>() / slices.len() as f64 + beyond))
    });
    found.collect()
}

/// The typical ratio of `arm` to `baseline` in each block: the Hodges-Lehmann estimate over its rounds, of the logarithm.
pub(in crate::steps) fn typical_ratios(values: &PerRound, arm: &str, baseline: &str) -> BTreeMap<i64, f64> {
    typical(values, arm, |block, round, value| {
        let base = of(values, baseline, block, round)?;
        (value > 0.0 && base > 0.0).then(|| (value / base).ln())
    })
    .into_iter()
    .map(|(block, ratio)| (block, ratio.exp()))
    .collect()
}

/// The typical difference of `arm` and `baseline` in each block: the Hodges-Lehmann estimate over its rounds. What disturbs a slice makes
/// it dearer, never cheaper; the difference of two such slices is still as often above as below what it should be, and its estimate
/// without bias.
pub(in crate::steps) fn typical_differences(values: &PerRound, arm: &str, baseline: &str) -> BTreeMap<i64, f64> {
    typical(values, arm, |block, round, value| Some(value - of(values, baseline, block, round)?))
}

fn of(values: &PerRound, arm: &str, block: i64, round: u32) -> Option<f64> {
    values.get(&(arm.to_owned(), block))?.get(&round).copied()
}

fn typical(values: &PerRound, arm: &str, compared: impl Fn(i64, u32, f64) -> Option<f64>) -> BTreeMap<i64, f64> {
    let own = values.iter().filter(|((name, _), _)| name == arm);
    own.filter_map(|((_, block), rounds)| {
        let found: Vec<f64> = rounds.iter().filter_map(|(round, value)| compared(*block, *round, *value)).collect();
        Some((*block, hodges_lehmann(&found)?))
    })
    .collect()
}

/// The median over the rounds of each trial.
pub(in crate::steps) fn medians(values: &PerRound) -> PerTrial {
    let median = |rounds: &BTreeMap<u32, f64>| crate::stats::median(&rounds.values().copied().collect::<Vec<_>>());
    values.iter().filter_map(|(trial, rounds)| Some((trial.clone(), median(rounds)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(arm: &str, rounds: &[f64]) -> ((String, i64), BTreeMap<u32, f64>) {
        ((arm.to_owned(), 1), (0..).zip(rounds.iter().copied()).collect())
    }

    #[test]
    fn one_disturbed_round_is_one_among_many() {
        let values: PerRound = [
            trial("off", &[100.0, 102.0, 98.0, 100.0, 101.0, 99.0]),
            trial("again", &[100.0, 102.0, 98.0, 100.0, 101.0, 99.0]),
            // Twice as dear as the others, and in one round ten times.
            trial("on", &[200.0, 204.0, 196.0, 1_000.0, 202.0, 198.0]),
        ]
        .into();
        assert_eq!(typical_ratios(&values, "again", "off"), [(1, 1.0)].into());
        let ratio = typical_ratios(&values, "on", "off")[&1];
        assert!((ratio - 2.0).abs() < 1e-9, "{ratio}");
        for baseline in ["off", "again"] {
            let difference = typical_differences(&values, "on", baseline)[&1];
            assert!((99.0..=102.0).contains(&difference), "{difference}");
        }
        assert_eq!(medians(&values)[&("on".to_owned(), 1)], 201.0);
    }

    #[test]
    fn what_was_added_is_found_whatever_stalls_the_waits() {
        let base = [100.0, 102.0, 98.0, 100.0];
        // Each wait was longer than the one before, the last by a stall; and 10 more were spent than the server knows of.
        let waits = [50.0, 60.0, 70.0, 5_000.0];
        let slow: Vec<f64> = base.iter().zip(waits).map(|(base, wait)| base + wait + 10.0).collect();
        let values: PerRound = [trial("off", &base), trial("again", &base), trial("slow", &slow)].into();
        let added: PerRound = [trial("slow", &waits)].into();
        for baseline in ["off", "again"] {
            let found = found_beside(&values, &added, "slow", baseline)[&1];
            assert!((found - (waits.iter().sum::<f64>() / 4.0 + 10.0)).abs() < 1e-9, "{found}");
        }
        // Who is told of something that is not there finds nothing.
        let claimed: PerRound = [trial("again", &[50.0; 4])].into();
        let found = found_beside(&values, &claimed, "again", "off")[&1];
        assert!(found.abs() < 1e-9, "{found}");
        assert!(found_beside(&values, &added, "again", "off").is_empty());
    }

    #[test]
    fn what_makes_slices_dearer_and_never_cheaper_hides_nothing() {
        // Every slice meets each of these, beside every other.
        let noise = [0.0, 0.0, 0.0, 10.0, 60.0];
        let rounds = |of: fn(usize) -> usize| (0..125).map(|round| noise[of(round) % 5]).collect::<Vec<f64>>();
        let dearer: Vec<f64> = rounds(|round| round / 25).iter().map(|noise| noise + 50.0).collect();
        let [one, other] = [rounds(|round| round), rounds(|round| round / 5)];
        let values: PerRound = [trial("off", &one), trial("again", &other), trial("on", &dearer)].into();
        for baseline in ["off", "again"] {
            let found = typical_differences(&values, "on", baseline)[&1];
            assert!((found - 50.0).abs() < 1e-9, "{found}");
        }
    }

    #[test]
    fn a_round_that_only_one_arm_has_is_no_pair() {
        let values: PerRound = [trial("off", &[100.0]), trial("on", &[150.0, 10.0])].into();
        let ratio = typical_ratios(&values, "on", "off")[&1];
        assert!((ratio - 1.5).abs() < 1e-9, "{ratio}");
        assert!(typical_ratios(&values, "gone", "off").is_empty());
        assert!(typical_differences(&values, "on", "gone").is_empty());
    }
}
