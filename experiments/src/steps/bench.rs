//! What a step is given to measure with: the running blog, its part of the profile, a place for its rows, and a journal that
//! keeps finished trials, so that an interrupted run loses only the trial in hand.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use super::{Blog, Profile, Progress};
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

/// The journal of one step: a line of JSON per finished trial, valid for exactly the inputs it was opened for.
#[derive(Debug)]
pub struct Kept {
    path: PathBuf,
    inputs: String,
    trials: BTreeMap<String, serde_json::Value>,
}

#[derive(Serialize, serde::Deserialize)]
struct Line {
    inputs: String,
    key: String,
    trial: serde_json::Value,
}

impl Kept {
    /// Opens the journal at `path`. Lines of other inputs are forgotten; so is a last line that was cut, which would swallow the next.
    #[must_use]
    pub fn open(path: &Path, inputs: &str) -> Self {
        let bytes = fs::read(path).unwrap_or_default();
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |place| place + 1);
        if whole < bytes.len() {
            let _ = fs::OpenOptions::new().write(true).open(path).and_then(|file| file.set_len(whole as u64));
        }
        let trials = String::from_utf8_lossy(&bytes[..whole])
            .lines()
            .filter_map(|line| serde_json::from_str::<Line>(line).ok())
            .filter(|line| line.inputs == inputs)
            .map(|line| (line.key, line.trial))
            .collect();
        let kept = Self { path: path.to_owned(), inputs: inputs.to_owned(), trials };
        if kept.trials.is_empty() {
            let _ = fs::remove_file(path);
        }
        kept
    }

    /// How many trials an interrupted run left.
    #[must_use]
    pub fn count(&self) -> usize {
        self.trials.len()
    }

    fn get<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        serde_json::from_value(self.trials.get(key)?.clone()).ok()
    }

    fn put<T: Serialize>(&mut self, key: &str, trial: &T) -> Result<()> {
        let named = || format!("cannot write to the journal `{}`; check that the disk has room", self.path.display());
        let line = Line { inputs: self.inputs.clone(), key: key.to_owned(), trial: serde_json::to_value(trial)? };
        let mut text = serde_json::to_string(&line)?;
        text.push('\n');
        let mut file = fs::OpenOptions::new().create(true).append(true).open(&self.path).with_context(named)?;
        let before = file.metadata().with_context(named)?.len();
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_data());
        if written.is_err() {
            // Half a line, as on a full disk, is no line.
            let _ = file.set_len(before);
        }
        written.with_context(named)
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
    use rand::{SeedableRng as _, seq::SliceRandom as _};
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed_for(seed, purpose));
    (0..blocks)
        .map(|_| {
            let mut order: Vec<usize> = (0..arms).collect();
            order.shuffle(&mut random);
            order
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_survives_a_cut_and_forgets_other_inputs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cache.jsonl");
        let mut kept = Kept::open(&path, "inputs-1");
        kept.put("b1.off", &[1, 2, 3]).unwrap();
        kept.put("b1.view", &[4]).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, &text[..text.len() - 4]).unwrap();
        let again = Kept::open(&path, "inputs-1");
        assert_eq!(again.get::<Vec<u8>>("b1.off"), Some(vec![1, 2, 3]));
        assert_eq!(again.get::<Vec<u8>>("b1.view"), None);
        // What comes after a line that was cut is found again.
        let mut again = again;
        again.put("b1.view", &[5]).unwrap();
        let third = Kept::open(&path, "inputs-1");
        assert_eq!((third.count(), third.get::<Vec<u8>>("b1.view")), (2, Some(vec![5])));
        fs::write(&path, [fs::read(&path).unwrap(), b"{\"inputs\": \"\xff\xfe".to_vec()].concat()).unwrap();
        assert_eq!(Kept::open(&path, "inputs-1").count(), 2);
        assert_eq!(Kept::open(&path, "inputs-2").count(), 0);
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
