//! What a killed run left in the folder of results, brought in order by the next one before it begins. It removes nothing that was
//! finished.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{ResultsFolder, durable::ASIDE};

const PARTIAL: &str = ".partial";
const REPLACED: &str = ".replaced";

impl ResultsFolder {
    /// Finishes what was finished but for its place, restores what was set aside for a result that never came, and removes the rest.
    /// Only for whoever holds the lock.
    ///
    /// # Errors
    /// When something cannot be moved or removed.
    pub(super) fn recover(&self) -> Result<()> {
        for step in self.hidden(PARTIAL)? {
            match self.record_in(&self.partial(&step), &step) {
                Ok(Some(record)) if self.check_in(&self.partial(&step), &record, &[]).is_ok() => self.settle(&step)?,
                _ => remove(&self.partial(&step))?,
            }
        }
        for step in self.hidden(REPLACED)? {
            let (place, aside) = (self.step(&step), self.replaced(&step));
            if place.exists() {
                remove(&aside)?;
            } else {
                fs::rename(&aside, &place).with_context(|| format!("cannot restore `{}`", place.display()))?;
            }
        }
        self.forget_old_failures()?;
        for entry in fs::read_dir(self.path()).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_file() && path.extension().is_some_and(|ending| ending == ASIDE) {
                fs::remove_file(&path).with_context(|| format!("cannot remove `{}`", path.display()))?;
            }
        }
        Ok(())
    }

    /// A run that was killed right after it put a result in its place had no time to remove the note of an earlier failure.
    fn forget_old_failures(&self) -> Result<()> {
        for entry in fs::read_dir(self.path()).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(step) = name.strip_suffix(".failed.json") else { continue };
            // RFC 3339 in UTC sorts as text.
            if let (Ok(Some(failure)), Ok(Some(record))) = (self.failure(step), self.record(step))
                && failure.failed_utc < record.finished_utc
            {
                fs::remove_file(entry.path()).with_context(|| format!("cannot remove `{name}`"))?;
            }
        }
        Ok(())
    }

    /// The steps with a hidden folder of this ending.
    fn hidden(&self, ending: &str) -> Result<Vec<String>> {
        let named = || format!("cannot read `{}`", self.path().display());
        let mut steps = Vec::new();
        for entry in fs::read_dir(self.path()).with_context(named)? {
            let entry = entry.with_context(named)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let step = name.strip_prefix('.').and_then(|name| name.strip_suffix(ending));
            steps.extend(step.filter(|_| entry.path().is_dir()).map(str::to_owned));
        }
        steps.sort();
        Ok(steps)
    }

    pub(super) fn partial(&self, step: &str) -> PathBuf {
        self.path().join(format!(".{step}{PARTIAL}"))
    }

    pub(super) fn replaced(&self, step: &str) -> PathBuf {
        self.path().join(format!(".{step}{REPLACED}"))
    }
}

fn remove(folder: &Path) -> Result<()> {
    fs::remove_dir_all(folder).with_context(|| format!("cannot remove `{}`", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Damage, Failure, StepRecord, conditions::tests::record, row};

    row! {
        /// A row of the test.
        struct Sample in "samples.csv" {
            /// A number.
            number: u64,
        }
    }

    const STEP: &str = "cache";

    fn results() -> (tempfile::TempDir, ResultsFolder) {
        let folder = tempfile::tempdir().unwrap();
        let results = ResultsFolder::open(&folder.path().join("results")).unwrap();
        (folder, results)
    }

    fn finish(results: &ResultsFolder, number: u64) {
        let mut writer = results.begin(STEP).unwrap();
        writer.rows(&[Sample { number }]).unwrap();
        writer.text("nginx.conf", "listen 80;").unwrap();
        writer.finish(record(STEP)).unwrap();
    }

    fn number(results: &ResultsFolder) -> Option<u64> {
        let record = results.record(STEP).unwrap()?;
        results.check(&record).unwrap();
        let rows = crate::results::read_rows::<Sample>(&results.step(STEP).join("samples.csv")).unwrap();
        assert_eq!(rows.len(), 1);
        Some(rows[0].number)
    }

    /// The names in the folder that are not those of a finished result.
    fn left(results: &ResultsFolder) -> Vec<String> {
        let names =
            fs::read_dir(results.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name != STEP && name != ".lock").collect()
    }

    fn failure(failed_utc: &str) -> Failure {
        let (step, profile, error) = (STEP.to_owned(), "full".to_owned(), "no room".to_owned());
        Failure { step, profile, failed_utc: failed_utc.to_owned(), error }
    }

    /// Every state in which a run can be killed while it puts a second result in the place of a first: what the next one makes of it.
    #[test]
    fn wherever_a_run_is_killed_the_next_one_finds_a_whole_result() {
        type Kill = fn(&ResultsFolder);
        let finished: Kill = |results| {
            // A second result, taken from its place again and left where it was made.
            let (place, aside) = (results.step(STEP), results.path().join("first"));
            fs::rename(&place, &aside).unwrap();
            finish(results, 2);
            fs::rename(&place, results.partial(STEP)).unwrap();
            fs::rename(&aside, &place).unwrap();
            fs::write(results.journal(STEP), "{}\n").unwrap();
        };
        let cases: [(&str, Kill, Option<u64>, &[&str]); 6] = [
            (
                "while it writes rows",
                |results| {
                    let writer = results.begin(STEP).unwrap();
                    fs::write(results.partial(STEP).join("samples.csv"), "num").unwrap();
                    fs::write(results.journal(STEP), "{}\n").unwrap();
                    std::mem::forget(writer);
                },
                Some(1),
                &[".cache.kept.jsonl"],
            ),
            (
                "before `step.json` has its name",
                |results| {
                    fs::create_dir(results.partial(STEP)).unwrap();
                    fs::write(results.partial(STEP).join("step.json.new"), "{}").unwrap();
                },
                Some(1),
                &[],
            ),
            ("before the first is set aside", finished, Some(2), &[]),
            (
                "before the second is put in its place",
                |results| {
                    fs::rename(results.step(STEP), results.replaced(STEP)).unwrap();
                    let aside = results.path().join("aside");
                    fs::rename(results.replaced(STEP), &aside).unwrap();
                    finish(results, 2);
                    fs::rename(results.step(STEP), results.partial(STEP)).unwrap();
                    fs::rename(aside, results.replaced(STEP)).unwrap();
                },
                Some(2),
                &[],
            ),
            (
                "before the first is removed",
                |results| {
                    let aside = results.path().join("aside");
                    fs::rename(results.step(STEP), &aside).unwrap();
                    finish(results, 2);
                    fs::rename(aside, results.replaced(STEP)).unwrap();
                },
                Some(2),
                &[],
            ),
            (
                "while the second was lost",
                |results| {
                    fs::rename(results.step(STEP), results.replaced(STEP)).unwrap();
                },
                Some(1),
                &[],
            ),
        ];
        for (when, kill, expected, stays) in cases {
            let (_folder, results) = results();
            finish(&results, 1);
            kill(&results);
            let lock = results.lock().unwrap();
            assert_eq!(
                (number(&results), left(&results)),
                (expected, stays.iter().map(|name| (*name).to_owned()).collect()),
                "{when}"
            );
            drop(lock);
            // Doing it once more changes nothing.
            let _lock = results.lock().unwrap();
            assert_eq!(number(&results), expected, "{when}");
        }
    }

    #[test]
    fn the_note_of_a_failure_before_the_result_is_forgotten() {
        let (_folder, results) = results();
        let mut writer = results.begin(STEP).unwrap();
        writer.rows(&[Sample { number: 1 }]).unwrap();
        writer.finish(StepRecord { finished_utc: "2026-01-02T00:00:00Z".to_owned(), ..record(STEP) }).unwrap();
        for (failed_utc, stays) in [("2026-01-01T23:59:59Z", false), ("2026-01-03T00:00:00Z", true)] {
            results.fail(&failure(failed_utc)).unwrap();
            drop(results.lock().unwrap());
            assert_eq!(results.failure(STEP).unwrap().is_some(), stays, "{failed_utc}");
        }
    }

    #[test]
    fn an_edited_file_is_named_with_what_is_wrong() {
        let (_folder, results) = results();
        let mut writer = results.begin(STEP).unwrap();
        writer.rows(&[Sample { number: 1 }, Sample { number: 2 }]).unwrap();
        let written = writer.finish(record(STEP)).unwrap();
        let path = results.step(STEP).join("samples.csv");
        for (text, words) in [
            ("amount\n1\n2\n", "it has no column `number`"),
            ("number\n1\n2\n2\n", "it holds 3 rows, 2 were written, and its row 3 is its row 2 once more"),
            ("number\n1\n2,3\n", "its row 2 has 2 cells, and its header 1"),
            ("number\n1\n3\n", "it holds 2 rows, 2 were written, and its hash differs"),
            ("", "it has no column `number`"),
        ] {
            fs::write(&path, text).unwrap();
            let error = results.check_tables(&written, &[<Sample as crate::results::Row>::TABLE]).unwrap_err();
            let damage = error.downcast_ref::<Damage>().unwrap();
            assert_eq!((damage.path.as_path(), damage.what.as_str()), (path.as_path(), words), "{text:?}");
        }
        let path = results.step(STEP).join("step.json");
        let text = fs::read_to_string(&path).unwrap();
        for (from, to, words) in [
            ("\"full\"", "\"quick\"", "it was edited after it was written"),
            ("\"version\": 1", "\"version\": 0", "it has the format 0, and this program reads the format 1"),
            ("\"version\": 1,", "", "it has no version, and"),
            ("}", "", "it is not JSON"),
        ] {
            fs::write(&path, text.replacen(from, to, 1)).unwrap();
            let error = results.record(STEP).unwrap_err();
            let damage = error.downcast_ref::<Damage>().unwrap();
            assert!(damage.path == path && damage.what.starts_with(words), "{damage}");
        }
    }
}
