//! The search for the highest rate that still meets an objective, as a state machine: it says what to try next and is
//! told how it went. It knows no server, no clock and no objective.
//!
//! The search climbs in geometric steps until a rate misses, halves the gap (as a ratio) until it is small enough, and
//! then tries the two rates at its ends again until each has been tried often enough; a rate counts as met when more
//! than half of its trials met. Where a repeat turns a rate over, the search goes on from there. What is met above a
//! rate that misses does not count: capacity is where trouble begins, and luck beyond it is luck.

use std::cmp::Ordering;

/// How to search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// The rate to begin with.
    pub start: f64,
    /// The lowest rate worth trying; if it misses, the search ends.
    pub lowest: f64,
    /// The highest rate worth trying (what the generator can offer); if it meets, the search ends.
    pub highest: f64,
    /// The factor of the first steps, above 1, such as 1.25.
    pub step: f64,
    /// The ratio of the ends of the bracket at which halving ends, above 1, such as 1.05.
    pub bracket: f64,
    /// How many trials the ends of the bracket get, best an odd number; at least 1.
    pub repeats: u32,
}

impl Limits {
    /// What the method says: steps of a quarter, a bracket of 5 %, three trials at either end.
    #[must_use]
    pub fn new(start: f64, lowest: f64, highest: f64) -> Self {
        Self { start, lowest, highest, step: 1.25, bracket: 1.05, repeats: 3 }
    }
}

/// A rate and how its trials went.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tried {
    /// The offered rate.
    pub rate: f64,
    /// Trials that met the objective.
    pub met: u32,
    /// Trials that did not.
    pub missed: u32,
}

impl Tried {
    /// Whether the rate counts as met: by more than half of its trials.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.met > self.missed
    }

    fn trials(&self) -> u32 {
        self.met + self.missed
    }
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Capacity {
    /// The highest rate that is met, below all that are not; `None` when even the lowest one misses.
    pub highest_met: Option<f64>,
    /// The lowest rate that is not met; `None` when even the highest one meets.
    pub lowest_missed: Option<f64>,
    /// The highest rate up to which, itself included, not a single trial missed: the cautious reading. `None` when a
    /// trial at the lowest rate missed.
    pub never_missed: Option<f64>,
    /// The lowest rate from which on, itself included, not a single trial met: from here on it is hopeless; `None` when
    /// even the highest rate met once.
    pub never_met: Option<f64>,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Next {
    /// Try this rate and [`Search::record`] how it went.
    Try(f64),
    /// Enough is known.
    Done(Capacity),
}

/// A search under way.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    limits: Limits,
    /// Ascending by rate, no rate twice.
    tried: Vec<Tried>,
}

impl Search {
    /// A search that has tried nothing yet. `None` when the limits make no sense: `0 < lowest ≤ start ≤ highest`, all
    /// finite, step and bracket above 1, at least one trial.
    #[must_use]
    pub fn new(limits: Limits) -> Option<Self> {
        let Limits { start, lowest, highest, step, bracket, repeats } = limits;
        let ordered = 0.0 < lowest && lowest <= start && start <= highest && highest.is_finite();
        let steps = step > 1.0 && step.is_finite() && bracket > 1.0 && bracket.is_finite() && repeats > 0;
        (ordered && steps).then_some(Self { limits, tried: Vec::new() })
    }

    /// What to do next. It ends for any answers whatsoever: no rate is tried more than [`Limits::repeats`] times, and
    /// between the limits there are only so many that lie a bracket apart.
    #[must_use]
    pub fn next(&self) -> Next {
        let Limits { start, lowest, highest, step, bracket, .. } = self.limits;
        match self.ends() {
            (None, None) => Next::Try(start),
            (Some(met), None) if met.rate < highest => Next::Try((met.rate * step).min(highest)),
            (None, Some(missed)) if missed.rate > lowest => Next::Try((missed.rate / step).max(lowest)),
            (Some(met), Some(missed)) if missed.rate / met.rate > bracket => Next::Try((met.rate * missed.rate).sqrt()),
            // The end with fewer trials first, so that neither is judged by the weather of one moment.
            (met, missed) => [met, missed]
                .into_iter()
                .flatten()
                .filter(|end| end.trials() < self.limits.repeats)
                .min_by_key(Tried::trials)
                .map_or_else(|| Next::Done(self.capacity()), |end| Next::Try(end.rate)),
        }
    }

    /// About how many trials it still takes, where nothing is turned over by a repeat: up to `steps` steps until the first rate misses (or
    /// meets), the halvings, and the repeats of both ends. At least 1 until it is done.
    #[must_use]
    pub fn expected_trials(&self, steps: u32) -> u32 {
        let Limits { lowest, highest, step, repeats, .. } = self.limits;
        let both_repeated = 2 * (repeats - 1);
        let climbing = || {
            let climbed = u32::try_from(self.tried.len()).unwrap_or(u32::MAX);
            steps.saturating_sub(climbed).max(1) + self.halvings(step) + both_repeated
        };
        match self.ends() {
            (None, None) => climbing(),
            (Some(met), None) if met.rate < highest => climbing(),
            (None, Some(missed)) if missed.rate > lowest => climbing(),
            (met, missed) => match met.zip(missed).map_or(0, |(met, missed)| self.halvings(missed.rate / met.rate)) {
                0 => met.iter().chain(&missed).map(|end| repeats.saturating_sub(end.trials())).sum(),
                halvings => halvings + both_repeated,
            },
        }
    }

    /// How often a gap is halved, as a ratio, until its ends are a bracket apart.
    fn halvings(&self, gap: f64) -> u32 {
        let halvings = (gap.ln() / self.limits.bracket.ln()).log2().ceil();
        if halvings > 0.0 { halvings as u32 } else { 0 }
    }

    /// Takes down whether a trial at `rate` met the objective. It need not be the one that was asked for: earlier
    /// trials may be told as well. A rate that is not positive and finite is ignored.
    pub fn record(&mut self, rate: f64, met: bool) {
        if !(rate.is_finite() && rate > 0.0) {
            return;
        }
        let place = self.tried.binary_search_by(|tried| tried.rate.partial_cmp(&rate).unwrap_or(Ordering::Less));
        let place = place.unwrap_or_else(|place| {
            self.tried.insert(place, Tried { rate, met: 0, missed: 0 });
            place
        });
        let tried = &mut self.tried[place];
        if met { tried.met += 1 } else { tried.missed += 1 }
    }

    /// All rates that were tried, ascending.
    #[must_use]
    pub fn tried(&self) -> &[Tried] {
        &self.tried
    }

    /// What is known so far, also when the search has to be broken off.
    #[must_use]
    pub fn capacity(&self) -> Capacity {
        let (met, missed) = self.ends();
        let spotless = self.tried.iter().take_while(|tried| tried.missed == 0).last();
        let hopeless = self.tried.iter().rev().take_while(|tried| tried.met == 0).last();
        Capacity {
            highest_met: met.map(|end| end.rate),
            lowest_missed: missed.map(|end| end.rate),
            never_missed: spotless.map(|end| end.rate),
            never_met: hopeless.map(|end| end.rate),
        }
    }

    /// The lowest rate that is not met, and the one below it.
    fn ends(&self) -> (Option<Tried>, Option<Tried>) {
        let place = self.tried.iter().position(|tried| !tried.is_met()).unwrap_or(self.tried.len());
        (place.checked_sub(1).map(|below| self.tried[below]), self.tried.get(place).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;

    /// Searches with an oracle that is told the rate; what was found and the trials it took.
    fn search(limits: Limits, mut oracle: impl FnMut(f64) -> bool) -> (Capacity, Vec<f64>) {
        let mut search = Search::new(limits).unwrap();
        let mut asked = Vec::new();
        loop {
            match search.next() {
                Next::Done(found) => {
                    assert_eq!(search.expected_trials(4), 0, "{search:?}");
                    return (found, asked);
                }
                Next::Try(rate) => {
                    assert!(search.expected_trials(4) > 0, "{search:?}");
                    asked.push(rate);
                    assert!(asked.len() < 500, "it does not end: {asked:?}");
                    search.record(rate, oracle(rate));
                }
            }
        }
    }

    #[test]
    fn it_climbs_halves_and_repeats() {
        let (found, asked) = search(Limits::new(100.0, 10.0, 10_000.0), |rate| rate <= 180.0);
        let rounded: Vec<i64> = asked.iter().map(|rate| rate.round() as i64).collect();
        // Up by quarters to 195, halved twice, then each end twice more.
        assert_eq!(rounded, [100, 125, 156, 195, 175, 185, 180, 180, 185, 180, 185]);
        assert_eq!(Search::new(Limits::new(100.0, 10.0, 10_000.0)).unwrap().expected_trials(4), 11, "as it came");
        assert!(found.highest_met.unwrap() <= 180.0 && found.lowest_missed.unwrap() > 180.0);
        assert_eq!((found.never_missed, found.never_met), (found.highest_met, found.lowest_missed));
    }

    #[test]
    fn it_ends_at_the_limits() {
        let (all, asked) = search(Limits::new(100.0, 10.0, 200.0), |_| true);
        assert_eq!((all.highest_met, all.lowest_missed), (Some(200.0), None));
        assert_eq!(asked.iter().filter(|rate| **rate == 200.0).count(), 3, "the end is repeated here too");
        let (none, asked) = search(Limits::new(100.0, 90.0, 200.0), |_| false);
        assert_eq!((none.highest_met, none.lowest_missed, asked[1]), (None, Some(90.0), 90.0));
    }

    #[test]
    fn one_unlucky_trial_is_outvoted() {
        let mut unlucky = true;
        // The first trial at 125 misses although the capacity is 180; only that one.
        let (found, _) = search(Limits::new(100.0, 10.0, 10_000.0), |rate| {
            let misses = rate == 125.0 && std::mem::take(&mut unlucky);
            rate <= 180.0 && !misses
        });
        assert!(found.highest_met.unwrap() > 170.0 && found.lowest_missed.unwrap() <= 190.0, "{found:?}");
        assert!(found.never_missed.unwrap() < 125.0, "the cautious reading remembers it: {found:?}");
    }

    #[test]
    fn senseless_limits_are_refused() {
        let good = Limits::new(100.0, 10.0, 1_000.0);
        assert!(Search::new(good).is_some());
        for bad in [
            Limits { start: 5.0, ..good },
            Limits { start: 2_000.0, ..good },
            Limits { lowest: 0.0, ..good },
            Limits { highest: f64::INFINITY, ..good },
            Limits { start: f64::NAN, ..good },
            Limits { step: 1.0, ..good },
            Limits { bracket: 1.0, ..good },
            Limits { repeats: 0, ..good },
        ] {
            assert!(Search::new(bad).is_none(), "{bad:?}");
        }
        let mut search = Search::new(good).unwrap();
        search.record(f64::NAN, true);
        assert!(search.tried().is_empty());
    }

    proptest! {
        #[test]
        fn a_sharp_threshold_is_bracketed(threshold in 10.0..10_000.0_f64, start in 10.0..10_000.0_f64) {
            let (found, asked) = search(Limits::new(start, 10.0, 10_000.0), |rate| rate <= threshold);
            let (low, high) = (found.highest_met.unwrap(), found.lowest_missed.unwrap());
            prop_assert!(low <= threshold && threshold < high && high / low <= 1.05);
            // Thirty-one steps span the range, three halve the last one, and four repeat.
            prop_assert!(asked.len() <= 40, "{asked:?}");
        }

        /// Within 4 % of the threshold the answers are chance, beyond it they are certain.
        #[test]
        fn a_blurred_threshold_is_met_by_the_bracket(threshold in 20.0..5_000.0_f64, start in 10.0..10_000.0_f64, seed: u64) {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let (found, asked) = search(Limits::new(start, 10.0, 10_000.0), |rate| {
                rate <= threshold * random.random_range(0.96..1.04)
            });
            let (low, high) = (found.highest_met.unwrap(), found.lowest_missed.unwrap());
            prop_assert!(low < high && high / low <= 1.05);
            prop_assert!(low <= threshold * 1.04 && high >= threshold * 0.96);
            prop_assert!(found.never_missed <= Some(low) && found.never_met.is_none_or(|hopeless| hopeless >= high));
            prop_assert!(asked.len() <= 60, "{asked:?}");
        }

        /// Answers without any sense: it still ends, and says nothing that contradicts itself.
        #[test]
        fn it_ends_whatever_is_answered(seed: u64, share in 0.0..1.0_f64, repeats in 1..5_u32) {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let limits = Limits { repeats, ..Limits::new(100.0, 10.0, 1_000.0) };
            let (found, asked) = search(limits, |_| random.random_bool(share));
            if let (Some(low), Some(high)) = (found.highest_met, found.lowest_missed) {
                prop_assert!(low < high && high / low <= 1.05);
            }
            prop_assert!(asked.iter().all(|rate| (10.0..=1_000.0).contains(rate)));
        }
    }
}
