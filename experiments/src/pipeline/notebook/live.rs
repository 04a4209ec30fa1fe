//! What a run that is under way does, read from its log. It only looks: neither the log nor the lock is touched, because to try a lock
//! is to hold it for a moment, and a run that begins in that moment would be refused.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use nix::{sys::signal, unistd::Pid};
use serde::{Deserialize, Serialize};

/// What is under way.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Run {
    /// The step that is measured.
    step: String,
    /// What it does, in words.
    what: String,
    /// The part of the step that is done, where it is known.
    share: Option<f64>,
}

/// A line of the log, as far as it is of interest. Others may be added; one that cannot be read is left out.
#[derive(Debug, Deserialize)]
struct Line {
    step: String,
    kind: String,
    what: String,
    share: Option<f64>,
}

/// Reads the log of the run again when it has changed.
#[derive(Debug, Default)]
pub(super) struct Follower {
    seen: Option<(PathBuf, u64, Option<SystemTime>)>,
    run: Option<Run>,
}

impl Follower {
    /// What the run into `results` does; nothing when none is under way. `log` is the newest log.
    pub(super) fn look(&mut self, results: &Path, log: Option<PathBuf>) -> Option<Run> {
        if !is_measuring(results) {
            return None;
        }
        let log = log?;
        let about = fs::metadata(&log).ok()?;
        let seen = Some((log, about.len(), about.modified().ok()));
        if self.seen != seen {
            let text = seen.as_ref().and_then(|(log, ..)| fs::read_to_string(log).ok()).unwrap_or_default();
            (self.seen, self.run) = (seen, last(&text));
        }
        self.run.clone()
    }
}

/// Whether a process measures into `results`: the one whose number is in the lock is alive.
fn is_measuring(results: &Path) -> bool {
    let holder = fs::read_to_string(results.join(".lock")).ok().and_then(|text| text.trim().parse().ok());
    holder.is_some_and(|pid: i32| pid > 0 && !matches!(signal::kill(Pid::from_raw(pid), None), Err(nix::Error::ESRCH)))
}

/// What the last event began; that a step is due begins nothing.
fn last(log: &str) -> Option<Run> {
    let mut latest_first = log.lines().rev().filter_map(|line| serde_json::from_str::<Line>(line).ok());
    let Line { step, kind, what, share } = latest_first.find(|line| line.kind != "plan")?;
    (kind != "end").then_some(Run { step, what, share })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = r#"{"at_s":0.0,"step":"surge","kind":"plan","what":"due","planned_s":30.0}"#;
    const BEGIN: &str = r#"{"at_s":0.0,"step":"cache","kind":"begin","what":"preparing"}"#;
    const PIECE: &str =
        r#"{"at_s":1.5,"step":"cache","kind":"piece","what":"block 3 of 8, all","share":0.25,"eta_s":7}"#;
    const END: &str = r#"{"at_s":9.0,"step":"cache","kind":"end","what":"measured in 9.0 s"}"#;

    fn run(what: &str, share: Option<f64>) -> Option<Run> {
        Some(Run { step: "cache".to_owned(), what: what.to_owned(), share })
    }

    #[test]
    fn the_last_event_says_what_is_done() {
        assert_eq!(last(""), None);
        assert_eq!(last(&format!("{PLAN}\n")), None);
        assert_eq!(last(&format!("{BEGIN}\n{PLAN}\n")), run("preparing", None));
        assert_eq!(last(&format!("{BEGIN}\n{PIECE}\n")), run("block 3 of 8, all", Some(0.25)));
        assert_eq!(last(&format!("{BEGIN}\n{PIECE}\n{{\"at_s\":2")), run("block 3 of 8, all", Some(0.25)));
        assert_eq!(last(&format!("{BEGIN}\n{END}\n")), None);
    }

    #[test]
    fn a_run_is_under_way_while_its_process_lives() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("events-1.jsonl");
        fs::write(&log, format!("{BEGIN}\n")).unwrap();
        let lock = |text: &str| fs::write(folder.path().join(".lock"), text).unwrap();
        let look = || Follower::default().look(folder.path(), Some(log.clone()));
        assert_eq!(look(), None);
        lock(&std::process::id().to_string());
        assert_eq!(look(), run("preparing", None));
        // No process has the largest number there is.
        lock(&i32::MAX.to_string());
        assert_eq!(look(), None);
    }
}
