//! Comparisons round by round. What disturbs a machine for a moment, such as a neighbour on the other thread of the core, makes a slice dear by a
//! half without any arm being the reason. In a sum over all slices of a block such a slice weighs as much as it cost; in the typical
//! ratio of its rounds it is one among many. Pure.

use std::collections::BTreeMap;

use anyhow::Result;

use super::{
    metrics::{self, PerTrial},
    rows::SliceRow,
};
use crate::{
    aggregate::Frames,
    stats::{Controlled, controlled, hodges_lehmann},
};

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

/// How slow the system's processors were in the slices of `phase`, where something kept them awake.
pub(in crate::steps) fn pace_ns(frames: &Frames, phase: &str) -> Result<PerRound> {
    of_slices(frames, phase, |slice| slice.pace_ns)
}

/// A typical difference in each block, and what the pace of the processors had to do with it.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::steps) struct Typical {
    pub(in crate::steps) blocks: BTreeMap<i64, f64>,
    /// By how much a difference grew with the logarithm of the pace; 0 where nothing was explained by it.
    pub(in crate::steps) slope: f64,
}

/// What `arm` has more than the mean of `baselines`, in each block, where `added` says what was done to it in each slice: the mean of what
/// was added, and the typical difference of what was found and what was added in that very slice. A wait that a stall of the machine
/// made longer is on both sides of that difference, and does not blur it (`added` is a control variate).
pub(in crate::steps) fn found_beside(
    values: &PerRound,
    added: &PerRound,
    arm: &str,
    baselines: [&str; 2],
) -> BTreeMap<i64, f64> {
    let of_block = |block: i64| added.get(&(arm.to_owned(), block));
    let beyond = differences(values, arm, |block, round, value| {
        let [one, other] = baselines.map(|baseline| of(values, baseline, block, round));
        Some(value - of_block(block)?.get(&round)? - f64::midpoint(one?, other?))
    });
    let beyond = typical(beyond, None).blocks;
    let found = beyond.into_iter().filter_map(|(block, beyond)| {
        let slices = of_block(block)?;
        #[expect(clippy::cast_precision_loss, reason = "some dozen slices")]
        Some((block, slices.values().sum::<f64>() / slices.len() as f64 + beyond))
    });
    found.collect()
}

/// The typical ratio of `arm` to `baseline` in each block: the Hodges-Lehmann estimate over its rounds, of the logarithm. `pace` explains a
/// part of it away, which is allowed between arms that do the same to the caches of a processor.
pub(in crate::steps) fn typical_ratios(
    values: &PerRound,
    arm: &str,
    baseline: &str,
    pace: Option<&PerRound>,
) -> Typical {
    let pace = pace.map(|pace| log_ratios(pace, arm, &[baseline]));
    let Typical { mut blocks, slope } = typical(log_ratios(values, arm, &[baseline]), pace);
    blocks.values_mut().for_each(|ratio| *ratio = ratio.exp());
    Typical { blocks, slope }
}

/// The typical difference of `arm` and the mean of `baselines` in each block: the Hodges-Lehmann estimate over its rounds. `pace` as
/// for [`typical_ratios`].
pub(in crate::steps) fn typical_differences(
    values: &PerRound,
    arm: &str,
    baselines: [&str; 2],
    pace: Option<&PerRound>,
) -> BTreeMap<i64, f64> {
    let found = differences(values, arm, |block, round, value| {
        let [one, other] = baselines.map(|baseline| of(values, baseline, block, round));
        Some(value - f64::midpoint(one?, other?))
    });
    typical(found, pace.map(|pace| log_ratios(pace, arm, &baselines))).blocks
}

fn of(values: &PerRound, arm: &str, block: i64, round: u32) -> Option<f64> {
    values.get(&(arm.to_owned(), block))?.get(&round).copied()
}

/// Block → round → difference.
type Differences = BTreeMap<i64, BTreeMap<u32, f64>>;

fn differences(values: &PerRound, arm: &str, compared: impl Fn(i64, u32, f64) -> Option<f64>) -> Differences {
    let own = values.iter().filter(|((name, _), _)| name == arm);
    own.map(|((_, block), rounds)| {
        let found = rounds.iter().filter_map(|(round, value)| Some((*round, compared(*block, *round, *value)?)));
        (*block, found.collect())
    })
    .collect()
}

/// The logarithm of the ratio of `arm` to the geometric mean of `baselines`.
fn log_ratios(values: &PerRound, arm: &str, baselines: &[&str]) -> Differences {
    let log = |value: f64| (value > 0.0).then(|| value.ln());
    differences(values, arm, |block, round, value| {
        let bases = baselines.iter().map(|baseline| log(of(values, baseline, block, round)?));
        let bases: Vec<f64> = bases.collect::<Option<_>>()?;
        #[expect(clippy::cast_precision_loss, reason = "one or two")]
        Some(log(value)? - bases.iter().sum::<f64>() / bases.len() as f64)
    })
}

/// The Hodges-Lehmann estimate over the rounds of each block, of what a control does not explain. A control that is not there for every
/// round explains nothing.
fn typical(differences: Differences, control: Option<Differences>) -> Typical {
    let is_whole = |control: &Differences| {
        let known = |block: &i64, round: &u32| control.get(block).is_some_and(|rounds| rounds.contains_key(round));
        differences.iter().all(|(block, rounds)| rounds.keys().all(|round| known(block, round)))
    };
    let control = control.filter(is_whole);
    let control_of = |block: &i64, round: &u32| control.as_ref().map_or(0.0, |control| control[block][round]);
    let pairs_of = |(block, rounds): (&i64, &BTreeMap<u32, f64>)| {
        rounds.iter().map(|(round, difference)| (*difference, control_of(block, round))).collect()
    };
    let Controlled { slope, differences: adjusted } = controlled(&differences.iter().map(pairs_of).collect::<Vec<_>>());
    let blocks = differences.keys().zip(adjusted);
    Typical { blocks: blocks.filter_map(|(block, found)| Some((*block, hodges_lehmann(&found)?))).collect(), slope }
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
        assert_eq!(typical_ratios(&values, "again", "off", None).blocks, [(1, 1.0)].into());
        let ratio = typical_ratios(&values, "on", "off", None).blocks[&1];
        assert!((ratio - 2.0).abs() < 1e-9, "{ratio}");
        let difference = typical_differences(&values, "on", ["off", "again"], None)[&1];
        assert!((99.0..=102.0).contains(&difference), "{difference}");
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
        let found = found_beside(&values, &added, "slow", ["off", "again"])[&1];
        assert!((found - (waits.iter().sum::<f64>() / 4.0 + 10.0)).abs() < 1e-9, "{found}");
        // Who is told of something that is not there finds nothing.
        let claimed: PerRound = [trial("again", &[50.0; 4])].into();
        let found = found_beside(&values, &claimed, "again", ["off", "off"])[&1];
        assert!(found.abs() < 1e-9, "{found}");
        assert!(found_beside(&values, &added, "again", ["off", "off"]).is_empty());
    }

    #[test]
    fn a_round_that_only_one_arm_has_is_no_pair() {
        let values: PerRound = [trial("off", &[100.0]), trial("on", &[150.0, 10.0])].into();
        let ratio = typical_ratios(&values, "on", "off", None).blocks[&1];
        assert!((ratio - 1.5).abs() < 1e-9, "{ratio}");
        assert!(typical_ratios(&values, "gone", "off", None).blocks.is_empty());
    }

    #[test]
    fn the_pace_explains_what_the_machine_did_and_not_what_the_arm_does() {
        // The processors change their speed from slice to slice, and work is twice as dear where they are slow; `on` costs a tenth more.
        let pace = |arm: u32, round: u32| 1.0 + f64::from((round * 7 + arm * 11) % 13) / 20.0;
        let of = |arm: u32, value: &dyn Fn(f64) -> f64| -> Vec<f64> {
            (0..40).map(|round| value(pace(arm, round))).collect()
        };
        let values: PerRound = [
            trial("off", &of(0, &|pace| 100.0 * pace.powi(2))),
            trial("again", &of(1, &|pace| 100.0 * pace.powi(2))),
            trial("on", &of(2, &|pace| 110.0 * pace.powi(2))),
        ]
        .into();
        let paces: PerRound =
            [("off", 0), ("again", 1), ("on", 2)].map(|(name, arm)| trial(name, &of(arm, &|pace| pace))).into();
        let Typical { blocks, slope } = typical_ratios(&values, "on", "off", Some(&paces));
        assert!((blocks[&1] - 1.1).abs() < 1e-6 && (slope - 2.0).abs() < 1e-6, "{blocks:?}, {slope}");
        let plain = typical_ratios(&values, "on", "off", None);
        assert!((plain.blocks[&1] - 1.1).abs() > 1e-3 && plain.slope == 0.0, "{plain:?}");
        // The same for what is added instead of multiplied.
        let added = |arm, more: f64| of(arm, &|pace| 100.0 + more + 50.0 * pace.ln());
        let values: PerRound =
            [trial("off", &added(0, 0.0)), trial("again", &added(1, 0.0)), trial("on", &added(2, 10.0))].into();
        let difference = |pace| typical_differences(&values, "on", ["off", "again"], pace)[&1];
        let (explained, plain_difference) = (difference(Some(&paces)), difference(None));
        assert!(
            (explained - 10.0).abs() < 1e-6 && (plain_difference - 10.0).abs() > 0.1,
            "{explained}, {plain_difference}"
        );
        // A slice of which the pace is not known: nothing is explained.
        let mut holed = paces.clone();
        holed.get_mut(&("on".to_owned(), 1)).unwrap().remove(&3);
        assert_eq!(difference(Some(&holed)), plain_difference);
    }
}
