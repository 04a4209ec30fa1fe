//! `experiments compare` as a user runs it, over small made-up results: what it refuses, what it prints, and how it ends.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use experiments::{
    aggregate::column,
    pipeline::{COMPARED_METRICS, Project, inputs},
    results::{
        Environment, StepRecord,
        summary::{Cell, SummaryTable},
    },
    steps::{Profile, STEPS},
};
use tempfile::TempDir;

use crate::support::project_root;

/// A checkout with a report and results of its own, and the code of this one.
fn checkout() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for path in ["app", "experiments", "nginx", "Cargo.lock", "Cargo.toml", "rust-toolchain.toml"] {
        std::os::unix::fs::symlink(project_root().join(path), folder.path().join(path)).unwrap();
    }
    fs::create_dir(folder.path().join("report-src")).unwrap();
    fs::write(folder.path().join("report-src/main.typ.j2"), "").unwrap();
    folder
}

fn compare(checkout: &TempDir, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_experiments"))
        .arg("compare")
        .args(arguments)
        .current_dir(checkout.path())
        .output()
        .unwrap()
}

/// Runs it, and returns what it said to both.
fn said(checkout: &TempDir, arguments: &[&str], code: i32) -> String {
    let output = compare(checkout, arguments);
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{said}");
    said
}

/// The line of the table that begins with this key.
fn line<'a>(said: &'a str, key: &str) -> &'a str {
    let of_key = |line: &&str| line.split_whitespace().any(|word| word == key);
    said.lines().find(of_key).unwrap_or_else(|| panic!("`{key}` is not in {said}"))
}

/// A full run of the present step.
fn record() -> StepRecord {
    let step = STEPS.iter().find(|step| step.name() == "cache").unwrap();
    let project = Project { root: project_root().to_owned() };
    let profile = Profile::read(&project.profiles(), "full").unwrap();
    let facts =
        |facts: &[(&str, &str)]| facts.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    StepRecord {
        profile: "full".to_owned(),
        seed: profile.seed,
        started_utc: "2026-01-01T00:00:00Z".to_owned(),
        finished_utc: "2026-01-01T00:05:00Z".to_owned(),
        duration_s: 300.0,
        measured_s: 200.0,
        arms: vec!["off".to_owned(), "all".to_owned()],
        parameters: step.parameters(&profile).unwrap(),
        inputs: inputs(&project, *step).unwrap(),
        environment: Environment {
            machine: facts(&[("cpu_model", "one")]),
            programs: facts(&[("PostgreSQL", "15.18")]),
            settings: facts(&[("redis.io-threads", "1")]),
            ..Environment::default()
        },
        commit: Some("0123456789ab".to_owned()),
        ..StepRecord::new("cache")
    }
}

fn table(name: &str, columns: &[&str], rows: Vec<Vec<Cell>>) -> SummaryTable {
    let columns = columns.iter().map(|name| column(name, "")).collect();
    SummaryTable { step: "cache".to_owned(), name: name.to_owned(), columns, rows }
}

/// Writes results in which the arm with all caches has this median load time; it is sure to 2 %.
fn write(folder: &Path, record: &StepRecord, all_p50_us: f64) {
    let arm = |name: &str, p50_us: f64| vec![Cell::from(name), Cell::from(p50_us)];
    let ratio = all_p50_us / 2000.0;
    let comparison = ["all_p50", "all_cpu"]
        .map(|key| vec![Cell::from(key), Cell::from(ratio), Cell::from(ratio / 1.02), Cell::from(ratio * 1.02)]);
    let summary = folder.join("summary");
    fs::create_dir_all(&summary).unwrap();
    table("arms", &["arm", "p50_us"], vec![arm("off", 2000.0), arm("all", all_p50_us)]).write(&summary).unwrap();
    table("comparison", &["comparison", "ratio", "low_ratio", "high_ratio"], comparison.into())
        .write(&summary)
        .unwrap();
    write_record(folder, record);
}

fn write_record(folder: &Path, record: &StepRecord) {
    fs::create_dir_all(folder.join(&record.step)).unwrap();
    let text = serde_json::to_string_pretty(record).unwrap();
    fs::write(folder.join(&record.step).join("step.json"), text).unwrap();
}

/// A checkout with the reference and, beside it, present results that took this long.
fn with_present(all_p50_us: f64) -> TempDir {
    let checkout = checkout();
    write(&reference(&checkout), &record(), 1000.0);
    write(&checkout.path().join("results"), &record(), all_p50_us);
    checkout
}

fn reference(checkout: &TempDir) -> PathBuf {
    checkout.path().join("results/reference")
}

#[test]
fn a_run_is_not_worse_than_itself() {
    let checkout = with_present(1000.0);
    let said = said(&checkout, &["results/reference", "results/reference"], 0);
    assert!(line(&said, "cache.arms.all.p50_us").contains("equivalent"), "{said}");
    assert!(said.contains("4 equivalent") && said.contains("0 better, 0 worse"), "{said}");
    assert!(
        said.contains("before: `results/reference` (profile full, commit 0123456789ab, measured until 2026"),
        "{said}"
    );
}

#[test]
fn what_became_worse_is_named_and_what_became_better_is_not_an_error() {
    let checkout = with_present(1500.0);
    let worse = said(&checkout, &[], 10);
    assert!(!worse.contains("note:"), "{worse}");
    assert!(line(&worse, "cache.arms.all.p50_us").contains("worse"), "{worse}");
    assert!(line(&worse, "cache.arms.off.p50_us").contains("equivalent"), "{worse}");
    assert!(worse.contains("error: worse: cache.arms.all.p50_us, cache.comparison.all_cpu.ratio"), "{worse}");
    let better = said(&checkout, &["results", "results/reference"], 0);
    assert!(line(&better, "cache.arms.all.p50_us").contains("better"), "{better}");
}

#[test]
fn what_was_measured_before_a_change_of_the_code_is_noted() {
    let checkout = with_present(1000.0);
    let mut stale = record();
    stale.inputs.insert("app/src/lib.rs".to_owned(), "another hash".to_owned());
    write_record(&checkout.path().join("results"), &stale);
    let said = said(&checkout, &[], 0);
    assert!(said.contains("note: what is compared of `cache` is not current: `app/src/lib.rs`"), "{said}");
}

#[test]
fn other_conditions_are_refused_by_name_unless_they_are_wanted() {
    let checkout = with_present(1500.0);
    let mut other = record();
    other.environment.machine.insert("cpu_model".to_owned(), "another".to_owned());
    other.seed = 8;
    other.parameters["data"]["posts"] = serde_json::json!(5000);
    write_record(&checkout.path().join("results"), &other);
    let refused = said(&checkout, &["results/reference", "results"], 13);
    for difference in [
        "`machine.cpu_model` is `one` before and `another` after (cache)",
        "`parameters.data.posts` is `100000` before and `5000` after (cache)",
        "`seed` is `20260101` before and `8` after (cache)",
        "side by side with `--anyway`",
    ] {
        assert!(refused.contains(difference), "{refused}");
    }
    assert!(!refused.contains("p50_us"), "{refused}");
    let shown = said(&checkout, &["--anyway", "results/reference", "results"], 10);
    assert!(shown.contains("doubt:  not measured alike: `machine.cpu_model` is `one` before"), "{shown}");
    assert!(line(&shown, "cache.arms.all.p50_us").contains("worse"), "{shown}");
}

#[test]
fn without_a_baseline_it_says_how_to_make_one() {
    let checkout = checkout();
    write(&checkout.path().join("results"), &record(), 1000.0);
    for arguments in [&[][..], &["results/reference"], &["nowhere", "results"], &["report-src", "results"]] {
        let said = said(&checkout, arguments, 11);
        assert!(said.contains("there is no baseline") && said.contains("`just bless`"), "{said}");
    }
    let quick = StepRecord { profile: "quick".to_owned(), ..record() };
    write(&reference(&checkout), &quick, 1000.0);
    let refused = said(&checkout, &["results/reference", "results/reference"], 11);
    assert!(refused.contains("was not measured with the profile `full` (cache)"), "{refused}");
    let shown = said(&checkout, &["results/reference", "results/reference", "--anyway"], 0);
    assert!(shown.contains("doubt:  `results/reference` was not measured with the profile `full`"), "{shown}");
}

#[test]
fn what_cannot_be_compared_is_named() {
    let checkout = with_present(1000.0);
    fs::write(checkout.path().join("results/notes.pdf"), "%PDF-1.7\nnobody's").unwrap();
    for (arguments, words) in [
        (["results/reference", "nowhere"], "`nowhere` is neither a folder, nor a report, nor a git revision"),
        (["results/reference", "report-src"], "`report-src` holds no `<step>/step.json`"),
        (["results/reference", "nowhere.pdf"], "there is no file `nowhere.pdf`"),
        (["results/reference", "results/notes.pdf"], "`results/notes.pdf` cannot be verified"),
        (["results/notes.pdf", "results"], "`results/notes.pdf` cannot be verified"),
    ] {
        let said = said(&checkout, &arguments, 2);
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn a_damaged_summary_is_named_with_its_line() {
    let checkout = with_present(1000.0);
    let path = reference(&checkout).join("summary/cache_arms.csv");
    for (text, what) in [
        ("arm,p50_us\noff,2000\nall\n", "line: 3"),
        ("arm,p50_us\noff,2000\nall,10", "line 3: it ends in the middle"),
        ("arm,p50_us\noff,2000\nall,1O00\n", "row `all`, column `p50_us`: `1O00` is no number"),
    ] {
        fs::write(&path, text).unwrap();
        let said = said(&checkout, &["results/reference", "results"], 15);
        assert!(said.contains("summary/cache_arms.csv` is not what was measured") && said.contains(what), "{said}");
    }
}

#[test]
fn what_one_run_lacks_is_said_and_is_no_regression() {
    let checkout = with_present(1000.0);
    let summary = checkout.path().join("results/summary");
    fs::write(summary.join("cache_arms.csv"), "arm,p50_us\noff,2000\nextra,1\n").unwrap();
    fs::remove_file(summary.join("cache_comparison.csv")).unwrap();
    let less = said(&checkout, &["results/reference", "results"], 0);
    for (key, words) in [
        ("cache.arms.all.p50_us", "there is no such row after"),
        ("cache.arms.extra.p50_us", "there is no such row before"),
        ("cache.arms.*.peak_per_s", "there is no such column before"),
        ("cache.comparison.*_p50.ratio", "there is no such table after"),
        ("cache.arms.off.p50_us", "inconclusive"),
    ] {
        assert!(line(&less, key).contains(words), "{less}");
    }
    fs::remove_dir_all(&summary).unwrap();
    let nothing = said(&checkout, &["results/reference", "results"], 11);
    assert!(nothing.contains("have no value in common"), "{nothing}");
}

#[test]
fn a_revision_is_the_reference_as_it_was_then() {
    let checkout = with_present(1500.0);
    let git = |arguments: &[&str]| {
        let author = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false"];
        let output = Command::new("git").args(author).args(arguments).current_dir(checkout.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    git(&["init", "--quiet"]);
    git(&["add", "report-src"]);
    git(&["commit", "--quiet", "--message", "Begin"]);
    git(&["tag", "empty"]);
    git(&["add", "results/reference"]);
    git(&["commit", "--quiet", "--message", "Bless"]);
    git(&["tag", "blessed"]);
    fs::write(reference(&checkout).join("summary/cache_arms.csv"), "arm,p50_us\n\"cut").unwrap();
    git(&["commit", "--quiet", "--all", "--message", "Cut"]);
    let worse = said(&checkout, &["blessed", "results"], 10);
    assert!(worse.contains("before: `blessed:results/reference` (profile full"), "{worse}");
    assert!(said(&checkout, &["blessed", "blessed"], 0).contains("0 worse"));
    let empty = said(&checkout, &["empty", "results"], 11);
    assert!(empty.contains("`empty:results/reference` holds no `<step>/step.json`"), "{empty}");
    let unknown = said(&checkout, &["bless", "results"], 11);
    assert!(unknown.contains("`bless` is neither a folder, nor a report, nor a git revision (fatal: "), "{unknown}");
    let cut = said(&checkout, &["HEAD", "results"], 15);
    assert!(cut.contains("`HEAD:results/reference/summary/cache_arms.csv` is not what was measured"), "{cut}");
}

/// A list that names what no step makes would compare nothing.
#[test]
fn the_reference_has_what_is_compared() {
    let summary = Path::new(env!("CARGO_MANIFEST_DIR")).join("../results/reference/summary");
    assert!(every_compared_column_is_in(&summary, false) >= 4, "hardly anything of the reference is compared");
}

/// Looks for every compared column in the tables that are there, and for the rows if they must be; returns how many tables are.
pub(crate) fn every_compared_column_is_in(summary: &Path, has_rows: bool) -> usize {
    let mut tables = std::collections::BTreeSet::new();
    for metric in COMPARED_METRICS {
        let path = summary.join(format!("{}.csv", metric.table.replace('.', "_")));
        if !path.exists() {
            continue;
        }
        tables.insert(metric.table);
        let table = SummaryTable::read(&path).unwrap();
        assert!(
            table.columns.iter().any(|column| column.name == metric.column),
            "`{}` has no column `{}`",
            metric.table,
            metric.column
        );
        let is_compared = |key: String| key.ends_with(metric.rows);
        assert!(!has_rows || table.keys().any(is_compared), "`{}` has no row `…{}`", metric.table, metric.rows);
    }
    tables.len()
}
