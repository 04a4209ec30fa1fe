//! A run that is killed with SIGKILL at random moments: whatever it was doing, the next one goes on and ends with whole results, no trial is
//! there twice, and no process is left. Ten kills here; `just torture` kills two hundred times.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::{fs::symlink, process::ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use experiments::{
    results::{ResultsFolder, StepRecord},
    steps::STEPS,
};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

use crate::support::{open_folder, processes_in, project_root};

/// As little as the profile may say: it is killed all the time.
const PROFILE: &str = "[tiny]
seed = 7
smallest_effect_percent = 5.0
attempts = 1
data = { users = 50, posts = 300, comments = 1_000, tags = 10 }
calibrate = { blocks = 1, rounds = 1, pause_s = 0.05, warm_up_s = 1.0, measured_s = 1.0, rate_per_s = 100.0, users = 4, effect_blocks = 1, effect_rounds = 1, effect_s = 1.0, delay_us = 200, cpu_us = 60, freezes = 1, freeze_window_s = 2.0, freeze_s = 0.5, freeze_rate_per_s = 50.0, freeze_users = 2, lag_rate_per_s = 100.0 }
schema = { repeats = 4, posts_per_batch = 20, comments_per_batch = 50 }
explain = { repeats = 3, most_repeats = 3, enough_s = 0.0 }
cache = { blocks = 1, rounds = 1, warm_up_s = 1.0, measured_s = 1.0, peak_s = 1.0, rate_per_s = 50.0, users = 4, peak_users = 2 }
surge = { blocks = 1, warm_up_s = 1.0, baseline_s = 1.0, surge_s = 1.0, recovery_s = 1.0, rate_per_s = 20.0, surge_factor = 2.0, users = 8, nodes = { blocks = 1, limit_share = 0.5, warm_up_s = 1.0, overload_s = 1.0, rate_per_s = 100.0 } }
capacity = { start_rate_per_s = 60.0, lowest_rate_per_s = 50.0, highest_rate_per_s = 100.0, step_ratio = 2.0, bracket_ratio = 2.0, repeats = 1, largest_p99_us = 5_000_000.0, largest_error_share = 1.0, smallest_achieved_share = 0.0, warm_up_s = 1.0, measured_s = 1.0, users = 8, closed_users = [1, 2, 3, 4], closed_repeats = 1, closed_s = 1.0 }
";

/// A checkout with this one's code, and a profile, results and run folders of its own.
fn checkout() -> TempDir {
    let folder = open_folder();
    let link = |path: &str| symlink(project_root().join(path), folder.path().join(path)).unwrap();
    for path in [".tools", "app", "nginx", "report-src", "Cargo.lock", "Cargo.toml", "rust-toolchain.toml"] {
        link(path);
    }
    fs::create_dir(folder.path().join("experiments")).unwrap();
    for path in ["experiments/Cargo.toml", "experiments/queries", "experiments/src"] {
        link(path);
    }
    fs::write(folder.path().join("experiments/profiles.toml"), PROFILE).unwrap();
    folder
}

fn run(checkout: &Path, steps: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_experiments"));
    command.arg("run").args(steps).args(["--profile", "tiny", "--force"]).current_dir(checkout);
    command.stdin(Stdio::null());
    command
}

/// Runs until the end, and proves that what is there is whole.
fn finish(checkout: &Path, steps: &[&str], what: &str) {
    let output = run(checkout, steps).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{what}: {said}");
    let results = ResultsFolder::read_only(&checkout.join("results"));
    for name in steps {
        whole(&results, name, what);
    }
    let hidden = |name: &str| name.ends_with(".partial") || name.ends_with(".replaced") || name.ends_with(".new");
    let names: Vec<String> =
        names_in(results.path()).into_iter().filter(|name| hidden(name) || name.contains("kept")).collect();
    assert_eq!(names, Vec::<String>::new(), "{what}");
    nothing_is_left(checkout, what);
    // A next run is a new one.
    let runs = names_in(&checkout.join(".run")).into_iter().filter(|name| name.starts_with("run-")).count();
    assert!(runs <= 1, "{what}: the folders of dead runs pile up");
}

/// The results of a step are there, they are what was written, and every table is among them.
fn whole(results: &ResultsFolder, name: &str, what: &str) -> StepRecord {
    let record = results.record(name).unwrap().unwrap_or_else(|| panic!("{what}: `{name}` has no results"));
    results.check(&record).unwrap();
    let step = STEPS.iter().find(|step| step.name() == name).unwrap();
    assert_eq!(record.tables.len(), step.tables().len(), "{what}");
    assert!(record.measured_s > 0.0 && record.measured_s <= record.duration_s, "{what}: {record:?}");
    for table in step.tables() {
        no_row_twice(&results.step(name).join(table.file), table.columns.iter().map(|column| column.name), what);
    }
    record
}

/// The rows have the columns of their struct, and what names a row (all that is no measured number) is there once in each trial.
fn no_row_twice(path: &Path, columns: impl Iterator<Item = &'static str>, what: &str) {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    assert!(header.iter().eq(columns), "{what}: `{}` has the columns {header:?}", path.display());
    let trial: Vec<usize> = header
        .iter()
        .enumerate()
        .filter(|(_, name)| ["block", "arm", "attempt", "phase"].contains(&name.as_str()))
        .map(|(place, _)| place)
        .collect();
    let is_trials = path.file_name().is_some_and(|name| name == "trials.csv");
    let mut seen = BTreeSet::new();
    for row in reader.records() {
        let row = row.unwrap();
        let key: Vec<String> = trial.iter().map(|place| row[*place].to_owned()).collect();
        assert!(!is_trials || seen.insert(key.clone()), "{what}: `{}` has {key:?} twice", path.display());
    }
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn nothing_is_left(checkout: &Path, what: &str) {
    let started = Instant::now();
    let mut left = processes_in(checkout);
    // A process that is told to end takes a moment for it.
    while !left.is_empty() && started.elapsed() < Duration::from_secs(10) {
        thread::sleep(Duration::from_millis(50));
        left = processes_in(checkout);
    }
    assert_eq!(left, Vec::<String>::new(), "{what}");
}

/// Kills a run after `after`; says whether it was still under way.
fn kill(checkout: &Path, steps: &[&str], after: Duration, log: &Path) -> bool {
    let out = fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
    let mut child = run(checkout, steps).stdout(out.try_clone().unwrap()).stderr(out).spawn().unwrap();
    let started = Instant::now();
    while started.elapsed() < after {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    let status = child.wait().unwrap();
    nothing_is_left(checkout, &format!("killed after {after:?}"));
    status.signal() == Some(9)
}

fn size() -> usize {
    if std::env::var_os("TORTURE").is_some_and(|value| value == "full") { 200 } else { 10 }
}

#[test]
fn a_killed_run_goes_on_to_whole_results() {
    let checkout = checkout();
    let log: PathBuf = checkout.path().join("killed.log");
    let mut random = ChaCha8Rng::seed_from_u64(20_260_101);
    let (kills, mut killed) = (size(), 0);
    // What a run takes that is let alone; most of it is the same in every run.
    let started = Instant::now();
    let steps = ["schema", "explain"];
    finish(checkout.path(), &steps, "without a kill");
    let whole_s = started.elapsed().as_secs_f64();
    for number in 1..=kills {
        // Sometimes several times, so that what goes on is interrupted as well.
        let times = random.random_range(1..=2);
        for _ in 0..times {
            let after = Duration::from_secs_f64(random.random_range(0.0..whole_s));
            killed += usize::from(kill(checkout.path(), &steps, after, &log));
        }
        finish(checkout.path(), &steps, &format!("kill {number}"));
    }
    assert!(killed >= kills / 2, "only {killed} runs were killed before they ended");
}

#[test]
fn a_killed_run_does_not_try_again_what_it_has() {
    let checkout = checkout();
    let log = checkout.path().join("killed.log");
    let out = fs::File::create(&log).unwrap();
    let mut child = run(checkout.path(), &["capacity"]).stdout(out.try_clone().unwrap()).stderr(out).spawn().unwrap();
    let journal = ResultsFolder::read_only(&checkout.path().join("results")).journal("capacity");
    let lines = || fs::read_to_string(&journal).unwrap_or_default().lines().count();
    let started = Instant::now();
    while lines() < 2 {
        assert!(started.elapsed() < Duration::from_secs(120), "{}", fs::read_to_string(&log).unwrap());
        thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    nothing_is_left(checkout.path(), "killed in its third trial");
    let kept = lines();
    // A line that was cut is tried again, and swallows nothing.
    let text = fs::read_to_string(&journal).unwrap();
    fs::write(&journal, &text[..text.len() - 7]).unwrap();
    let output = run(checkout.path(), &["capacity"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains(&format!("going on after {} finished trials", kept - 1)), "{said}");
    let results = ResultsFolder::read_only(&checkout.path().join("results"));
    let record = whole(&results, "capacity", "killed in its third trial");
    assert!(record.warnings.iter().any(|warning| warning.contains("the run was interrupted")), "{:?}", record.warnings);
}
