//! What a step is given to measure with: the running blog, its part of the profile, a place for its rows, and the journal of its
//! finished trials.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::Result;
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use super::{Blog, Kept, Profile, Progress};
use crate::results::StepWriter;

/// The bench of one step.
pub struct Bench<'run> {
    /// The parameters.
    pub profile: &'run Profile,
    /// The services and the seeded databases.
    pub blog: &'run mut Blog,
    /// Where the rows go.
    pub out: StepWriter,
    /// Tells the user how far it is.
    pub progress: &'run mut Progress,
    /// Facts for `step.json` that only the step knows, such as settings of the services it started.
    pub settings: BTreeMap<String, String>,
    warnings: Vec<String>,
    measured: Duration,
    kept: Kept,
}

impl<'run> Bench<'run> {
    /// A bench for one step; `kept` holds what an interrupted run of it finished.
    pub fn new(
        profile: &'run Profile,
        blog: &'run mut Blog,
        out: StepWriter,
        progress: &'run mut Progress,
        kept: Kept,
    ) -> Self {
        Self {
            profile,
            blog,
            out,
            progress,
            settings: BTreeMap::new(),
            warnings: Vec::new(),
            measured: Duration::ZERO,
            kept,
        }
    }

    /// Notes what a reader must know before trusting the rows.
    pub fn warn(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.warnings.contains(&text) {
            self.warnings.push(text);
        }
    }

    /// Counts time as measured, as opposed to preparing.
    pub fn measured(&mut self, window: Duration) {
        self.measured += window;
    }

    /// Runs `work` and counts its time as measured.
    ///
    /// # Errors
    /// Those of `work`.
    pub async fn timed<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let started = Instant::now();
        let done = work.await;
        self.measured += started.elapsed();
        done
    }

    /// Does `work` once, however often the run is interrupted: timed, and kept under `key` with its time, or taken from there.
    ///
    /// # Errors
    /// Those of `work`, or when the journal cannot be written.
    pub async fn once<T: Serialize + DeserializeOwned>(
        &mut self,
        key: &str,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        if let Some((done, took_s)) = self.kept::<(T, f64)>(key) {
            self.measured += Duration::try_from_secs_f64(took_s).unwrap_or_default();
            return Ok(done);
        }
        let before = self.measured;
        let done = self.timed(work).await?;
        let done = (done, (self.measured - before).as_secs_f64());
        self.keep(key, &done)?;
        Ok(done.0)
    }

    /// What an interrupted run kept under `key`, if it got that far.
    pub fn kept<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        self.kept.get(key)
    }

    /// Keeps a finished trial, so that it survives an interruption.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn keep<T: Serialize>(&mut self, key: &str, trial: &T) -> Result<()> {
        self.kept.put(key, trial)
    }

    /// Ends the bench: the writer, the measured time and the warnings. The journal goes when the result is in its place.
    pub fn close(self) -> (StepWriter, Duration, Vec<String>) {
        (self.out, self.measured, self.warnings)
    }
}

/// A seed for one purpose, derived from the run's seed, so that adding a step does not move the others.
#[must_use]
pub(super) fn seed_for(seed: u64, purpose: &str) -> u64 {
    let digest = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(purpose.as_bytes()).finalize();
    u64::from_le_bytes(std::array::from_fn(|index| digest[index]))
}

/// The arms of each block in random order, from the seed: randomised complete blocks.
#[must_use]
pub fn blocks(seed: u64, purpose: &str, arms: usize, blocks: u32) -> Vec<Vec<usize>> {
    std::iter::repeat_with(orders(seed, purpose, arms)).take(blocks as usize).collect()
}

/// Draws random orders of the arms, from the seed.
fn orders(seed: u64, purpose: &str, arms: usize) -> impl FnMut() -> Vec<usize> {
    use rand::{SeedableRng as _, seq::SliceRandom as _};
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed_for(seed, purpose));
    move || {
        let mut order: Vec<usize> = (0..arms).collect();
        order.shuffle(&mut random);
        order
    }
}

/// The arms of each round in such an order that, over as many rounds as there are arms, each of them has each place once and, where their
/// number is even, comes once right after each other one. Whoever is the first to ask for a page that lay idle pays for the others, and
/// where orders are drawn one by one, one arm is the first more often than another by chance. Arms and rounds are exchanged by the seed.
///
/// The squares are those of Williams, "Experimental designs balanced for the estimation of residual effects of treatments", 1949.
#[must_use]
pub fn balanced_rounds(seed: u64, purpose: &str, arms: usize, rounds: u32) -> Vec<Vec<usize>> {
    let mut drawn = orders(seed, purpose, arms);
    // 0, 1, n − 1, 2, n − 2, …: from one to the next it is never as far twice.
    let zigzag = (0..arms).map(|place| if place % 2 == 1 { place.div_ceil(2) } else { arms - place / 2 });
    let zigzag: Vec<usize> = zigzag.collect();
    let mut square = || -> Vec<Vec<usize>> {
        let (names, shifts) = (drawn(), drawn());
        shifts.iter().map(|shift| zigzag.iter().map(|at| names[(at + shift) % arms]).collect()).collect()
    };
    let squares = (0..rounds as usize).step_by(arms.max(1)).flat_map(|_| square());
    squares.take(rounds as usize).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn in_balanced_rounds_every_arm_has_every_place_and_every_predecessor_alike(
            seed: u64, arms in 1..9_usize, squares in 1..4_usize,
        ) {
            let rounds = u32::try_from(squares * arms).unwrap();
            let orders = balanced_rounds(seed, "cache", arms, rounds);
            prop_assert_eq!(orders.len(), squares * arms);
            for square in orders.chunks(arms) {
                let places: BTreeSet<(usize, usize)> =
                    square.iter().flat_map(|order| order.iter().copied().enumerate()).collect();
                prop_assert_eq!(places.len(), arms * arms, "each arm once in each place: {:?}", square);
                let pairs: BTreeSet<&[usize]> = square.iter().flat_map(|order| order.windows(2)).collect();
                if arms % 2 == 0 {
                    prop_assert_eq!(pairs.len(), arms * (arms - 1), "each once after each other: {:?}", square);
                }
            }
            prop_assert_eq!(&orders, &balanced_rounds(seed, "cache", arms, rounds));
            let fewer = balanced_rounds(seed, "cache", arms, rounds - 1);
            prop_assert_eq!(&fewer[..], &orders[..orders.len() - 1], "a square may be cut short");
        }
    }

    #[test]
    fn balanced_rounds_differ_by_their_seed_and_from_each_other() {
        let orders = balanced_rounds(7, "cache", 6, 12);
        assert_ne!(orders, balanced_rounds(8, "cache", 6, 12));
        assert_ne!(orders[..6], orders[6..]);
    }

    #[test]
    fn every_block_tries_every_arm_once_and_the_seed_decides_the_order() {
        let order = blocks(7, "cache", 5, 20);
        for block in &order {
            let mut sorted = block.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3, 4]);
        }
        assert_eq!(order, blocks(7, "cache", 5, 20));
        assert_ne!(order, blocks(8, "cache", 5, 20));
        assert!(order.windows(2).any(|pair| pair[0] != pair[1]));
    }
}
