//! The whole notebook, as a user runs it: the quick profile from seeding to the PDF, then what must not be forgiven.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use experiments::{
    results::{ResultsFolder, hash_bytes},
    steps::STEPS,
};

use crate::{pdf, reading, unusable, verify};

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

pub(crate) fn experiments(arguments: &[&str], results: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_experiments"))
        .args(arguments)
        .arg("--results")
        .arg(results)
        .current_dir(project())
        .output()
        .unwrap()
}

pub(crate) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Processes whose output goes into a run folder of the process `runner`.
fn left_by(runner: u32) -> Vec<String> {
    let mark = format!("/.run/run-{runner}/");
    let mut left = Vec::new();
    for process in procfs::process::all_processes().unwrap().filter_map(Result::ok) {
        let goes_there = [1, 2].iter().any(|number| {
            fs::read_link(format!("/proc/{}/fd/{number}", process.pid))
                .is_ok_and(|path| path.to_string_lossy().contains(&mark))
        });
        if goes_there {
            left.push(format!("{} {:?}", process.pid, process.cmdline()));
        }
    }
    left
}

#[test]
fn the_quick_profile_ends_in_a_complete_pdf() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("results");
    let child = Command::new(env!("CARGO_BIN_EXE_experiments"))
        .args(["run", "--profile", "quick", "--results"])
        .arg(&results)
        .current_dir(project())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let runner = child.id();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(left_by(runner), Vec::<String>::new());

    every_table_is_there(&results);
    turns_are_counted_whole(&results);
    every_figure_and_section_is_printed(&results);
    the_same_results_give_the_same_bytes(&results);
    reading::the_page_holds_what_the_pdf_holds(&results);
    reading::the_notebook_follows_edits_and_runs(&results);
    current_results_are_kept(&results);
    values_can_be_traced(&results);
    pages_can_be_traced(&results);
    the_time_of_a_run_is_drawn(&results);
    claims_are_held_against_the_results(&results);
    unusable::no_sentence_has_a_hole(&results);
    a_run_is_compared_with_itself(&results);
    edited_results_are_refused(&results);
    a_second_run_is_refused(&results);
    the_report_is_verified_from_itself(&results);
    stale_results_are_refused_or_marked(&results);
    a_failed_step_is_shown_as_failed(&results);
}

fn every_table_is_there(results: &Path) {
    let read = ResultsFolder::read_only(results);
    for step in STEPS {
        let record = read.record(step.name()).unwrap().unwrap_or_else(|| panic!("`{}` has no results", step.name()));
        read.check(&record).unwrap();
        let written: BTreeMap<&str, u64> =
            record.tables.iter().map(|table| (table.file.as_str(), table.rows)).collect();
        for table in step.tables() {
            let rows =
                written.get(table.file).unwrap_or_else(|| panic!("`{}` did not write `{}`", step.name(), table.file));
            assert!(*rows > 0, "`{}/{}` is empty", step.name(), table.file);
        }
        assert_eq!(written.len(), step.tables().len(), "`{}` writes a table that it does not declare", step.name());
        assert!(record.measured_s > 0.0 && record.measured_s <= record.duration_s);
    }
}

/// NGINX asks the servers in turn, so that what they answered is nearly the same number, if nothing is left out of it.
fn turns_are_counted_whole(results: &Path) {
    let mut rows = csv::Reader::from_path(results.join("summary/surge_servers.csv")).unwrap();
    let columns = rows.headers().unwrap().clone();
    let column = |name: &str| columns.iter().position(|column| column == name).unwrap();
    let (arm, requests) = (column("arm"), column("requests"));
    let rows = rows.records().map(Result::unwrap).filter(|row| &row[arm] == "round_robin");
    let counts: Vec<String> = rows.map(|row| row[requests].to_owned()).collect();
    // On a machine that is busy with other tests there may be no trial that can be used; then both cells are empty.
    if counts.iter().any(|count| !count.is_empty()) {
        let [one, other] = [0, 1].map(|server: usize| counts[server].parse::<f64>().unwrap());
        assert!((one - other).abs() < 0.01 * (one + other), "{counts:?}");
    }
}

fn every_figure_and_section_is_printed(results: &Path) {
    let read = pdf::read(&results.join("report.pdf"));
    let (mut figures, mut tables) = (0, 0);
    for step in STEPS {
        assert!(read.contains(step.title()), "the section `{}` is not in the PDF", step.title());
        for name in step.figure_names() {
            let svg = results.join(format!("figures/{}_{name}.svg", step.name()));
            assert!(svg.is_file(), "the figure `{}` was not drawn", svg.display());
            figures += 1;
        }
        let template =
            fs::read_to_string(project().join(format!("report-src/sections/{}.typ.j2", step.name()))).unwrap();
        tables += template.matches("{{ table(").count();
        for attached in ["step.json"].into_iter().chain(step.tables().iter().map(|table| table.file)) {
            let name = format!("{}_{attached}", step.name());
            let by_columns = format!("{}.columns.txt", name.trim_end_matches(".csv"));
            let is_there = |name: &String| read.attachments.contains(name);
            assert!(is_there(&name) != is_there(&by_columns), "`{name}` is attached, in one way or in the other");
        }
    }
    // A law that could not be fitted, because too few trials were valid, has no table of its coefficients.
    tables -= usize::from(read.contains("too few numbers of users for a fit"));
    for (kind, count) in [("Figure", figures), ("Table", tables)] {
        assert!(read.contains(&format!("{kind} {count}")), "{kind} {count} is not in the PDF");
        assert!(!read.contains(&format!("{kind} {}", count + 1)), "there is more than {kind} {count} in the PDF");
    }
    assert!(read.pages.len() >= 10, "only {} pages", read.pages.len());
    assert!(read.contains("not for conclusions"), "a quick run must say what it is");
}

fn the_same_results_give_the_same_bytes(results: &Path) {
    let report = results.join("report.pdf");
    let (first, made) = (fs::read(&report).unwrap(), fs::metadata(&report).unwrap().modified().unwrap());
    let again = experiments(&["report"], results);
    assert!(again.status.success(), "{}", said(&again));
    assert_eq!(fs::metadata(&report).unwrap().modified().unwrap(), made, "what is there is not made again");
    fs::write(&report, "another").unwrap();
    let output = experiments(&["report"], results);
    assert!(output.status.success(), "{}", said(&output));
    assert!(first == fs::read(results.join("report.pdf")).unwrap(), "the same results gave another PDF");
    // Elsewhere, with another clock and language, on another number of threads, from the rows and not from kept summaries.
    let output = experiments(&["reproduce", "--builds", "5"], results);
    assert!(output.status.success(), "{}", said(&output));
    let expected = format!("5 builds, one file: {} bytes, SHA-256 {}", first.len(), hash_bytes(&first));
    assert!(said(&output).contains(&expected), "{}", said(&output));
}

/// The report with its results, verified and altered; what the parts of it say is tested with a smaller one.
fn the_report_is_verified_from_itself(results: &Path) {
    let report = results.join("report.pdf");
    let output = experiments(&["report"], results);
    assert!(output.status.success(), "{}", said(&output));
    let verified = verify::verify(&report, 0);
    let values = fs::read_to_string(project().join(".run/report/attachments/values.csv")).unwrap();
    assert!(
        verified.contains(&format!("{} values are what the attached rows give", values.lines().count() - 1)),
        "{verified}"
    );

    let (_folder, turned, page) = verify::with_a_bit_of_a_page_turned(&report);
    assert!(verify::verify(&turned, 15).contains(&format!("page {page} is another one")));

    // What was generated lies in the build folder, from which a forger would start as well.
    let forger = tempfile::tempdir().unwrap();
    let folder = forger.path().join("build");
    copy_folder(&project().join(".run/report"), &folder);
    let trials = fs::read_to_string(folder.join("attachments/cache_trials.csv")).unwrap();
    let line = trials.lines().nth(1).unwrap();
    let forged = trials.replacen(line, &line.replacen("off", "all", 1), 1);
    assert_ne!(trials, forged);
    verify::forge(&folder, "cache_trials.csv", &forged, false);
    let named = verify::verify(&verify::set_again(&folder, &report), 15);
    assert!(named.contains("the attached `cache_trials.csv` is another one"), "{named}");
    // Whoever changes the list, too, is told by the conditions of the step, which have the hash of its rows.
    verify::forge(&folder, "cache_trials.csv", &forged, true);
    let named = verify::verify(&verify::set_again(&folder, &report), 15);
    assert!(named.contains("the attached `results/cache/trials.csv` is not what was measured"), "{named}");
    verify::forge(&folder, "cache_trials.csv", &trials, true);

    let key = "cache.arms.all.p50_us,";
    let line = values.lines().find(|line| line.starts_with(key)).unwrap();
    verify::forge(
        &folder,
        "values.csv",
        &values.replace(line, &format!("{key}1 µs,1,cache_arms.csv,all,p50_us")),
        true,
    );
    let named = verify::verify(&verify::set_again(&folder, &report), 15);
    assert!(named.contains("the value `cache.arms.all.p50_us` is 1 µs (exactly `1`"), "{named}");
}

pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn current_results_are_kept(results: &Path) {
    let output = experiments(&["run", "--profile", "quick"], results);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(said(&output).matches("skipped, its results are fresh").count(), STEPS.len());
}

fn values_can_be_traced(results: &Path) {
    let output = experiments(&["trace", "cache.arms.all.p50_us"], results);
    assert!(said(&output).contains("cache_arms.csv, row `all`, column `p50_us`"), "{}", said(&output));
    assert!(said(&output).contains("median") && said(&output).contains("cache/latencies.csv"), "{}", said(&output));
}

/// What a page is said to print stands on it, and together the pages print every chart, rows of tables and values of the text.
fn pages_can_be_traced(results: &Path) {
    let read = pdf::read(&results.join("report.pdf"));
    let mut told = String::new();
    for page in 1..=read.pages.len() {
        let output = experiments(&["trace", "--page", &page.to_string()], results);
        assert!(output.status.success(), "{}", said(&output));
        let lines = said(&output);
        for line in lines.lines().filter(|line| line.contains(" = ")) {
            let (text, cell) = line.split_once(" = ").and_then(|(_, rest)| rest.rsplit_once(" (")).unwrap();
            assert!(cell.contains(".csv, row `"), "no cell: {line}");
            assert!(read.page_contains(page, text), "page {page} does not print `{text}`: {line}");
        }
        told += &lines;
    }
    assert!(!told.contains("is not among the values"), "{told}");
    assert!(told.contains("cache.arms.all.p50_us = "), "a cell of a table is missing:\n{told}");
    assert!(!told.contains("in its text 0, cells of tables 0, charts 0"), "{told}");
    for step in STEPS {
        for name in step.figure_names() {
            assert!(told.contains(&format!("\nchart {}_{name} (", step.name())), "a chart is missing:\n{told}");
        }
    }
    let beyond = experiments(&["trace", "--page", &(read.pages.len() + 1).to_string()], results);
    assert_eq!(beyond.status.code(), Some(2), "{}", said(&beyond));
    assert!(said(&beyond).contains(&format!("it has 1 to {}", read.pages.len())), "{}", said(&beyond));
}

fn the_time_of_a_run_is_drawn(results: &Path) {
    let drawn = experiments(&["timeline"], results);
    assert!(drawn.status.success(), "{}", said(&drawn));
    assert!(said(&drawn).contains("events-") && said(&drawn).contains('█'), "{}", said(&drawn));
    assert!(said(&drawn).contains("what was said of the time left"), "{}", said(&drawn));
    let unknown = experiments(&["timeline", "nowhere.jsonl"], results);
    assert!(said(&unknown).contains("cannot read `nowhere.jsonl`"), "{}", said(&unknown));
}

/// `experiments check-claims` in a checkout of its own, whose claims are these.
fn check_claims(claims: &str, results: &Path) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let templates = folder.path().join("report-src");
    fs::create_dir_all(templates.join("sections")).unwrap();
    for file in ["main.typ.j2", "style.typ"] {
        fs::copy(project().join("report-src").join(file), templates.join(file)).unwrap();
    }
    fs::write(templates.join("claims.toml"), claims).unwrap();
    Command::new(env!("CARGO_BIN_EXE_experiments"))
        .args(["check-claims", "--results"])
        .arg(results)
        .current_dir(folder.path())
        .output()
        .unwrap()
}

fn claims() -> String {
    fs::read_to_string(project().join("report-src/claims.toml")).unwrap()
}

fn claims_are_held_against_the_results(results: &Path) {
    // Every key of the real claims exists, or this would be 2; what a quick run makes of them is open.
    let output = experiments(&["check-claims"], results);
    let overturned = said(&output).contains("error: overturned: ");
    assert_eq!(output.status.code(), Some(if overturned { 15 } else { 0 }), "{}", said(&output));
    // How long the step took is there also when the machine was too busy for a valid trial.
    let claim = |conditions: &str| {
        format!(
            "[[claim]]\nname = \"faster\"\nstep = \"cache\"\nhypothesis = \"It was so.\"\nall = [{conditions}]\n\
             held = \"It is so.\"\noverturned = \"It took {{{{ value('cache.run.cache.duration_s') }}}}.\"\nunknown = \"Who knows?\"\n"
        )
    };
    for (conditions, code, words) in [
        (
            "{ key = \"cache.run.cache.duration_s\", above = 0 }",
            0,
            "held        faster: It is so.\n1 held, 0 overturned, 0 unknown\n",
        ),
        ("{ key = \"cache.run.cache.duration_s\", below = 0 }", 15, "s. Was believed: It was so.\n"),
        ("{ key = \"cache.comparison.all_cpu.verdict\", is = \"better\" }", 0, "unknown     faster: Who knows?\n"),
        (
            "{ key = \"cache.arms.all.p51_us\", below = 0 }",
            2,
            "the claim `faster`: unknown value `cache.arms.all.p51_us`; the nearest is `cache.arms.all.p50_us`",
        ),
    ] {
        let output = check_claims(&claim(conditions), results);
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        assert!(said(&output).contains(words), "{}", said(&output));
    }
}

/// Everything that can be compared is there, and of one run nothing is worse than of itself.
fn a_run_is_compared_with_itself(results: &Path) {
    let tables: std::collections::BTreeSet<&str> =
        experiments::pipeline::COMPARED_METRICS.iter().map(|metric| metric.table).collect();
    assert_eq!(crate::compare::every_compared_column_is_in(&results.join("summary"), true), tables.len());
    let folder = results.to_string_lossy();
    let report = results.join("report.pdf").to_string_lossy().into_owned();
    for [before, after] in [[&*folder, &*folder], [&report, &folder], [&folder, &report]] {
        let output = experiments(&["compare", "--anyway", before, after], results);
        assert!(output.status.success(), "{}", said(&output));
        assert!(said(&output).contains(&format!("after:  `{after}` (profile quick")), "{}", said(&output));
        for words in ["there is no such", "is not current"] {
            assert!(!said(&output).contains(words), "{}", said(&output));
        }
    }
}

/// What was edited, cut or written twice is named, and its step counts as stale.
fn edited_results_are_refused(results: &Path) {
    let path = results.join("schema/prices.csv");
    let whole = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<&str> = whole.lines().collect();
    let torn = format!("{}\n{}", lines[0], lines[1].split_once(',').unwrap().0);
    lines.push(lines[1]);
    let twice = lines.join("\n") + "\n";
    let column = whole.split(',').next().unwrap().to_owned();
    let without_column: String = whole.lines().map(|line| format!("{}\n", line.split_once(',').unwrap().1)).collect();
    for (edited, words) in [
        (torn.as_str(), "its row 1 has 1 cells, and its header"),
        ("", "it has no column"),
        (&without_column, &format!("it has no column `{column}`")),
        (&twice, "is its row 1 once more"),
        (&whole.replacen('1', "2", 1), "and its hash differs"),
    ] {
        fs::write(&path, edited).unwrap();
        is_named(results, "schema/prices.csv` is not what was measured", words);
    }
    fs::write(&path, whole).unwrap();
    let path = results.join("schema/step.json");
    let whole = fs::read_to_string(&path).unwrap();
    for (edited, words) in [
        (whole.replacen("\"quick\"", "\"full\"", 1), "it was edited after it was written"),
        (
            whole.replacen("\"version\": 1", "\"version\": 0", 1),
            "it has the format 0, and this program reads the format 1",
        ),
        (whole[..whole.len() / 2].to_owned(), "it is not JSON"),
    ] {
        fs::write(&path, edited).unwrap();
        is_named(results, "schema/step.json` is not what was measured", words);
    }
    fs::write(&path, whole).unwrap();
}

/// The report is refused, and the status says stale, both with these words.
fn is_named(results: &Path, file: &str, words: &str) {
    let refused = experiments(&["report"], results);
    assert_eq!(refused.status.code(), Some(15), "{}", said(&refused));
    assert!(said(&refused).contains(file) && said(&refused).contains(words), "{words}: {}", said(&refused));
    let why = experiments(&["why", "schema"], results);
    assert!(why.status.success() && said(&why).contains("schema is stale"), "{}", said(&why));
    assert!(said(&why).contains(file) && said(&why).contains(words), "{words}: {}", said(&why));
    let status = experiments(&["status"], results);
    let line = said(&status).lines().find(|line| line.contains("schema")).unwrap().to_owned();
    assert!(status.status.success() && line.contains("stale"), "{line}");
}

/// Two runs at once would write into the same results.
fn a_second_run_is_refused(results: &Path) {
    let lock = ResultsFolder::open(results).unwrap().lock().unwrap();
    let refused = experiments(&["run", "schema", "--profile", "quick"], results);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    let words = format!("process {} measures into", std::process::id());
    assert!(said(&refused).contains(&words), "{}", said(&refused));
    drop(lock);
}

fn stale_results_are_refused_or_marked(results: &Path) {
    let path = results.join("surge/step.json");
    let whole = fs::read_to_string(&path).unwrap();
    let mut record: serde_json::Value = serde_json::from_str(&whole).unwrap();
    record["inputs"]["experiments/src/steps/surge.rs"] = "0".repeat(64).into();
    record["parameters"]["surge"]["users"] = 1.into();
    fs::write(&path, record.to_string()).unwrap();
    let (seal, sealed) = (results.join("surge/step.json.sha256"), fs::read_to_string(&path).unwrap());
    let kept = fs::read_to_string(&seal).unwrap();
    fs::write(&seal, format!("{}  step.json\n", experiments::results::hash_bytes(sealed.as_bytes()))).unwrap();

    let refused = experiments(&["report"], results);
    assert_eq!(refused.status.code(), Some(14), "{}", said(&refused));
    let words = "`surge` is stale: the parameter `surge.users` changed, `experiments/src/steps/surge.rs` changed";
    assert!(said(&refused).contains(words), "{}", said(&refused));
    let why = said(&experiments(&["why", "surge"], results));
    assert!(why.contains("measured with 1\n") && why.contains("measured with SHA-256 000000000000…"), "{why}");

    let marked = experiments(&["report", "--allow-stale"], results);
    assert!(marked.status.success(), "{}", said(&marked));
    let read = pdf::read(&results.join("report.pdf"));
    assert!(read.contains("numbers with a dagger are stale") && read.contains("†"));
    fs::write(&path, whole).unwrap();
    fs::write(&seal, kept).unwrap();
}

fn a_failed_step_is_shown_as_failed(results: &Path) {
    let failure = experiments::results::Failure {
        step: "surge".to_owned(),
        profile: "quick".to_owned(),
        failed_utc: "2026-01-01T00:00:00Z".to_owned(),
        error: "`nginx` ended with signal 9".to_owned(),
    };
    ResultsFolder::read_only(results).fail(&failure).unwrap();
    let output = experiments(&["report"], results);
    assert!(output.status.success(), "{}", said(&output));
    assert!(pdf::read(&results.join("report.pdf")).contains("ended with signal 9"));
    assert!(said(&experiments(&["status"], results)).contains("failed"));
}

#[test]
fn bad_input_is_named_with_its_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("results");
    for (arguments, words) in [
        (["run", "surgee"].as_slice(), "did you mean `surge`?"),
        (&["run", "--profile", "ful"], "did you mean `full`?"),
        (&["why", "cash"], "there is no step `cash`"),
    ] {
        let output = experiments(arguments, &results);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains(words), "{}", said(&output));
    }
    let output = check_claims(&claims(), &results);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("; run `just all`, then `just check-claims`"), "{}", said(&output));
    // Root may write anywhere, so a file in the place of the folder stands for one that cannot be written.
    fs::write(&results, "in the way").unwrap();
    let output = experiments(&["run", "--profile", "quick"], &results);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("pass another folder with `--results`"), "{}", said(&output));
}

/// As with `| head -1`: nobody reads any more.
#[test]
fn who_has_heard_enough_makes_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let start = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_experiments"));
        command.args(arguments).arg("--results").arg(folder.path().join("results")).current_dir(project());
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
    };
    let mut answering = start(&["status"]);
    drop(answering.stdout.take());
    let output = answering.wait_with_output().unwrap();
    assert_eq!((output.status.code(), said(&output).as_str()), (Some(0), ""), "an answer ends there");
    let mut remarking = start(&["run", "surgee"]);
    drop(remarking.stderr.take());
    assert_eq!(remarking.wait().unwrap().code(), Some(2), "the code says what went wrong");
}

#[test]
fn the_data_dictionary_is_current() {
    let committed = fs::read_to_string(project().join("results/README.md")).unwrap();
    assert!(committed == experiments::pipeline::dictionary(), "renew it with `just dictionary`");
}
