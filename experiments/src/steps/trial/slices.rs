//! How the load of a block is cut into slices that go round the arms, and which rounds of them are left out. Pure.

use std::collections::BTreeMap;

use crate::load::spec::Phase;

/// Before each slice nothing is due for so long: the requests of the one before end, and the counters are read. Enough for pages that
/// are made.
pub(crate) const PAUSE_S: f64 = 0.07;

/// So long after the begin of a slice requests are not timed. An arm that has waited for its turn finds its caches cold, and without this
/// the slowest hundredth of its requests would be the first of each slice.
pub(in crate::steps) const LEAD_S: f64 = 0.02;

/// Slices of a phase without a rate.
const CLOSED_ROUNDS: usize = 4;

/// A round is left out, for all arms alike, where the host took more than this part of the processors' time away during one of its slices:
/// then it says more about the neighbours than about the arms. That is known without a look at what the arms did in it. The kernel counts
/// in hundredths of a second, so that in a slice of a tenth of a second one count is too many: a dozen requests have waited for so long.
const LARGEST_LOST_SHARE: f64 = 0.02;

/// Of so many timed requests ten are above the p99, and a tenth more, because they arrive at random. As many must be left of a phase, however
/// much the host took: a p99 beside neighbours says more than none.
const FEWEST_TIMED: f64 = 1_100.0;

/// How a block is cut.
#[derive(Debug, Clone, Copy)]
pub(in crate::steps) struct Slices {
    /// Blocks.
    pub(in crate::steps) blocks: u32,
    /// Slices of each measured phase with a rate, for each arm.
    pub(in crate::steps) rounds: u32,
    /// Seconds before each slice in which nothing is due.
    pub(in crate::steps) pause_s: f64,
}

/// A slice on the generator's clock.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Slice {
    /// The phase that it is a part of.
    pub(crate) of: String,
    /// Which of its rounds it belongs to.
    pub(super) round: usize,
    /// The phase as which the generator runs it; its target is the place of its arm.
    pub(crate) planned: Phase,
    /// Whether its round is left out.
    pub(crate) left_out: bool,
}

impl Slice {
    /// The name of what it is a part of in the results.
    pub(crate) fn kept_as(&self) -> String {
        if self.left_out { format!("{} left out", self.of) } else { self.of.clone() }
    }
}

/// About how long it takes: `each_s` is what each arm gets in a block.
pub(in crate::steps) fn planned_s(arms: usize, slices: Slices, each_s: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a few arms")]
    let arms = arms as f64;
    f64::from(slices.blocks) * arms * (super::START_S + each_s + f64::from(slices.rounds) * slices.pause_s)
}

/// The phases of the load as slices: the warm-up of each arm whole, in the order of the first round; then each measured phase in rounds.
/// Slices of one round and phase draw the same requests, whichever arm they are for.
pub(crate) fn cut(phases: &[Phase], arms: &[&str], order: &[Vec<usize>], pause_s: f64) -> Vec<Slice> {
    let mut slices = Vec::new();
    let mut draws = 0;
    for phase in phases {
        // A closed loop has to fill its queues in each slice, so it gets few long ones.
        let rounds = match (phase.measured, phase.rate_per_s) {
            (false, _) => 1,
            (true, None) => CLOSED_ROUNDS.min(order.len()),
            (true, Some(_)) => order.len(),
        };
        let rounds = &order[..rounds];
        #[expect(clippy::cast_precision_loss, reason = "a few rounds")]
        let duration_s = phase.duration_s / rounds.len() as f64;
        for (round, places) in rounds.iter().enumerate() {
            for &arm in places {
                let name = format!("{} {} {}", phase.name, round + 1, arms[arm]);
                let lead_s = if phase.measured { LEAD_S } else { 0.0 };
                let paced = Phase { pause_s, lead_s, draws: Some(draws), ..phase.clone() };
                let planned = Phase { name, duration_s, target: arm, ..paced };
                slices.push(Slice { of: phase.name.clone(), round, planned, left_out: false });
            }
            draws += 1;
        }
    }
    slices
}

/// Marks the slices of the rounds in which the host took too much, the worst half of the rounds of a phase at most, and fewer where
/// too few requests for a p99 would be left. `lost` are the parts that it took of the time of each measured slice.
pub(crate) fn mark(slices: &mut [Slice], lost: &[f64]) {
    let mut phases: BTreeMap<&str, (&Phase, BTreeMap<usize, f64>)> = BTreeMap::new();
    let measured = slices.iter().filter(|slice| slice.planned.measured);
    for (slice, share) in measured.zip(lost) {
        let (_, rounds) = phases.entry(&slice.of).or_insert_with(|| (&slice.planned, BTreeMap::new()));
        let largest = rounds.entry(slice.round).or_default();
        *largest = largest.max(*share);
    }
    let mut spoiled: Vec<(String, usize)> = Vec::new();
    for (phase, (planned, rounds)) in phases {
        let mut worst: Vec<_> = rounds.iter().filter(|(_, share)| **share > LARGEST_LOST_SHARE).collect();
        worst.sort_by(|one, other| other.1.total_cmp(one.1));
        let worst = worst.into_iter().take(most_left_out(planned, rounds.len()));
        spoiled.extend(worst.map(|(round, _)| (phase.to_owned(), *round)));
    }
    for slice in slices.iter_mut().filter(|slice| slice.planned.measured) {
        slice.left_out = spoiled.iter().any(|(of, round)| *of == slice.of && *round == slice.round);
    }
}

/// How many of the rounds of a phase may be left out, where `slice` is one of its slices. One that offers too few requests for a p99
/// anyhow loses none by it.
fn most_left_out(slice: &Phase, rounds: usize) -> usize {
    let timed_per_round = slice.rate_per_s.unwrap_or(0.0) * (slice.duration_s - slice.lead_s);
    let needed = (FEWEST_TIMED / timed_per_round).ceil() as usize;
    rounds.checked_sub(needed).map_or(rounds / 2, |spare| spare.min(rounds / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_arm_gets_all_of_its_load_in_slices_that_ask_for_the_same() {
        let phases =
            [Phase::warm_up(1.0, Some(10.0)), Phase::new("steady", 4.0, Some(10.0)), Phase::new("peak", 1.0, None)];
        let order = [vec![1, 0], vec![0, 1]];
        let slices = cut(&phases, &["off", "on"], &order, PAUSE_S);
        let names: Vec<&str> = slices.iter().map(|slice| slice.planned.name.as_str()).collect();
        let steady = ["steady 1 on", "steady 1 off", "steady 2 off", "steady 2 on"];
        let peak = ["peak 1 on", "peak 1 off", "peak 2 off", "peak 2 on"];
        assert_eq!(names, [["warm_up 1 on", "warm_up 1 off"].as_slice(), &steady, &peak].concat());
        for arm in 0..2 {
            let own = |name: &str| {
                let own = slices.iter().filter(|slice| slice.planned.target == arm && slice.of == name);
                own.map(|slice| slice.planned.duration_s).sum::<f64>()
            };
            assert_eq!(["warm_up", "steady", "peak"].map(own), [1.0, 4.0, 1.0]);
        }
        let draws: Vec<Option<u32>> = slices.iter().map(|slice| slice.planned.draws).collect();
        assert_eq!(draws, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4].map(Some));
    }

    #[test]
    fn a_round_in_which_the_host_took_too_much_is_left_out_for_all_arms() {
        let order = vec![vec![0, 1]; 4];
        let phases = [Phase::warm_up(1.0, Some(10.0)), Phase::new("steady", 4.0, Some(10.0))];
        let mut slices = cut(&phases, &["a", "b"], &order, PAUSE_S);
        let left_out = |slices: &[Slice]| -> Vec<usize> {
            slices.iter().filter(|slice| slice.left_out).map(|slice| slice.round).collect()
        };
        let small = 0.01;
        mark(&mut slices, &[small, 0.0, small, 0.2, small, small, small, small]);
        assert_eq!(left_out(&slices), [1, 1]);
        assert_eq!(slices[4].kept_as(), "steady left out");
        // Where it took much all the time, the better half stays.
        mark(&mut slices, &[0.1, small, 0.3, small, 0.2, small, 0.4, small]);
        assert_eq!(left_out(&slices), [1, 1, 3, 3]);
    }

    #[test]
    fn as_many_rounds_stay_as_a_p99_needs() {
        let slice = |rate_per_s| Phase { lead_s: LEAD_S, ..Phase::new("steady", 0.15, rate_per_s) };
        // 130 requests are timed of each.
        assert_eq!(most_left_out(&slice(Some(1_000.0)), 32), 16, "half of them is enough");
        assert_eq!(most_left_out(&slice(Some(1_000.0)), 12), 3);
        assert_eq!(most_left_out(&slice(Some(1_000.0)), 9), 0);
        assert_eq!(most_left_out(&slice(Some(1_000.0)), 8), 4, "there is no p99 to lose");
        assert_eq!(most_left_out(&slice(None), 4), 2);
    }
}
