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
    /// How many of its pieces are done, where the words say so.
    done: Option<u32>,
    /// Of how many.
    of: Option<u32>,
}

/// A line of the log, as far as it is of interest. Others may be added; one that cannot be read is left out.
#[derive(Debug, Deserialize)]
struct Line {
    step: String,
    kind: String,
    what: String,
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

/// What the last event began.
fn last(log: &str) -> Option<Run> {
    let line: Line = log.lines().rev().find_map(|line| serde_json::from_str(line).ok())?;
    if line.kind == "end" {
        return None;
    }
    let count = count(&line.what);
    Some(Run { step: line.step, what: line.what, done: count.map(|(done, _)| done), of: count.map(|(_, of)| of) })
}

/// The finished pieces and their number in words such as `block 3 of 8`.
fn count(what: &str) -> Option<(u32, u32)> {
    let words: Vec<&str> =
        what.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    words.windows(3).find_map(|words| match words {
        [number, "of", all] => {
            let (number, all): (u32, u32) = (number.parse().ok()?, all.parse().ok()?);
            (1..=all).contains(&number).then(|| (number - 1, all))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: &str = r#"{"at_s":0.0,"step":"cache","kind":"begin","what":"preparing"}"#;
    const PIECE: &str = r#"{"at_s":1.5,"step":"cache","kind":"piece","what":"block 3 of 8, all","eta_s":7}"#;
    const END: &str = r#"{"at_s":9.0,"step":"cache","kind":"end","what":"measured in 9.0 s"}"#;

    fn run(what: &str, count: Option<(u32, u32)>) -> Option<Run> {
        let (done, of) = count.unzip();
        Some(Run { step: "cache".to_owned(), what: what.to_owned(), done, of })
    }

    #[test]
    fn the_last_event_says_what_is_done() {
        assert_eq!(last(""), None);
        assert_eq!(last(&format!("{BEGIN}\n")), run("preparing", None));
        assert_eq!(last(&format!("{BEGIN}\n{PIECE}\n")), run("block 3 of 8, all", Some((2, 8))));
        assert_eq!(last(&format!("{BEGIN}\n{PIECE}\n{{\"at_s\":2")), run("block 3 of 8, all", Some((2, 8))));
        assert_eq!(last(&format!("{BEGIN}\n{END}\n")), None);
    }

    #[test]
    fn only_a_count_is_a_count() {
        for (what, expected) in [
            ("block 1 of 6", Some((0, 6))),
            ("1 of 1", Some((0, 1))),
            ("trial 9 of 8", None),
            ("0 of 8", None),
            ("two of 8", None),
            ("of 8", None),
            ("", None),
        ] {
            assert_eq!(count(what), expected, "{what}");
        }
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
