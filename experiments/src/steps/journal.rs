//! The journal of a step: what is finished is kept at once, so that an interrupted run loses only the trial in hand. It does not look at
//! what it keeps.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde::{Serialize, de::DeserializeOwned};

/// The journal of one step: a line of JSON per finished trial, valid for exactly the inputs it was opened for.
#[derive(Debug)]
pub struct Kept {
    path: PathBuf,
    inputs: String,
    trials: BTreeMap<String, serde_json::Value>,
    /// What was spent on them, preparation included, before this run.
    spent: Duration,
    opened: Instant,
}

#[derive(Serialize, serde::Deserialize)]
struct Line {
    inputs: String,
    key: String,
    /// What was spent on the step when it was written, over all runs that were interrupted.
    spent_s: f64,
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
        let (mut trials, mut spent_s) = (BTreeMap::new(), 0.0_f64);
        let text = String::from_utf8_lossy(&bytes[..whole]);
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
        for line in lines.filter(|line| line.inputs == inputs) {
            spent_s = spent_s.max(line.spent_s);
            trials.insert(line.key, line.trial);
        }
        let spent = Duration::try_from_secs_f64(spent_s).unwrap_or_default();
        let kept = Self { path: path.to_owned(), inputs: inputs.to_owned(), trials, spent, opened: Instant::now() };
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

    /// What was spent on them.
    #[must_use]
    pub fn spent(&self) -> Duration {
        self.spent
    }

    pub(super) fn get<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        serde_json::from_value(self.trials.get(key)?.clone()).ok()
    }

    pub(super) fn put<T: Serialize>(&mut self, key: &str, trial: &T) -> Result<()> {
        let named = || format!("cannot write to the journal `{}`; check that the disk has room", self.path.display());
        let spent_s = (self.spent + self.opened.elapsed()).as_secs_f64();
        let (inputs, key) = (self.inputs.clone(), key.to_owned());
        let line = Line { inputs, key, spent_s, trial: serde_json::to_value(trial)? };
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

    /// `/dev/full` is a disk without room.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_named() {
        let (inputs, trials) = ("inputs".to_owned(), BTreeMap::new());
        let path = PathBuf::from("/dev/full");
        let mut kept = Kept { path, inputs, trials, spent: Duration::ZERO, opened: Instant::now() };
        let error = format!("{:#}", kept.put("b1.off", &[1]).unwrap_err());
        assert!(
            error.contains("journal `/dev/full`; check that the disk has room") && error.contains("No space left"),
            "{error}"
        );
    }

    #[test]
    fn what_was_spent_adds_up_over_interruptions() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cache.jsonl");
        let mut kept = Kept::open(&path, "inputs");
        assert_eq!(kept.spent(), Duration::ZERO);
        kept.spent = Duration::from_secs(40);
        kept.put("b1.off", &[1]).unwrap();
        let again = Kept::open(&path, "inputs");
        assert!((40.0..50.0).contains(&again.spent().as_secs_f64()), "{:?}", again.spent());
    }
}
