//! What makes a measurement stale, on the real sources: the code that it calls, all of it, and nothing that only reads its rows.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

use experiments::{
    results::Inputs,
    source::{Code, Memory, RustFile},
    steps::{NOT_FOLLOWED, STEPS, roots_of},
};

use crate::support::project_root;

const CODE: &str = "experiments/src";

fn memory() -> Memory {
    Memory::open(project_root(), Path::new("/nonexistent"))
}

fn reached(step: &str) -> Inputs {
    let code = Code::read(&mut memory(), CODE, NOT_FOLLOWED).unwrap();
    code.reach(&roots_of(&format!("steps::{step}"))).unwrap().files
}

fn below(room: &str) -> Vec<String> {
    memory().files(&format!("{CODE}/{room}")).unwrap().into_iter().filter(|file| file.ends_with(".rs")).collect()
}

#[test]
fn what_a_step_calls_counts_and_what_reads_its_rows_does_not() {
    for (step, called, not_called) in [
        (
            "cache",
            [
                "load/engine.rs",
                "load/worker.rs",
                "probe/postgres.rs",
                "stack/supervise.rs",
                "steps/bench.rs",
                "steps/trial/interleaved.rs",
                "steps/trial/checks.rs",
                "stats/steady.rs",
            ]
            .as_slice(),
            [
                "steps/cache/summary.rs",
                "steps/trial/metrics.rs",
                "steps/surge.rs",
                "steps/profile.rs",
                "figures/bars.rs",
                "stats/capacity.rs",
            ]
            .as_slice(),
        ),
        (
            "capacity",
            &["stats/capacity.rs", "steps/capacity/objective.rs", "steps/trial/in_turn.rs"],
            &["steps/capacity/charts.rs", "steps/capacity/law.rs", "steps/capacity/summary.rs"],
        ),
        (
            "explain",
            &["steps/explain/measure.rs", "steps/explain/plan.rs", "stack/postgres.rs"],
            &["steps/explain/summary.rs", "steps/cache.rs"],
        ),
        (
            "schema",
            &["steps/schema/catalogue.rs", "steps/schema/prices.rs"],
            &["steps/schema/summary.rs", "probe/canary.rs"],
        ),
    ] {
        let files = reached(step);
        for file in called {
            assert!(
                files.contains_key(&format!("{CODE}/{file}")),
                "`{step}` calls `{file}`, and it is not among {files:#?}"
            );
        }
        for file in not_called {
            assert!(!files.contains_key(&format!("{CODE}/{file}")), "`{step}` does not measure with `{file}`");
        }
        let pure = ["aggregate", "figures", "report", "results", "pipeline"].map(|room| format!("{CODE}/{room}"));
        let found: Vec<&String> = files.keys().filter(|file| pure.iter().any(|room| file.starts_with(room))).collect();
        assert!(found.is_empty(), "`{step}` reaches {found:?}");
    }
}

/// Files of the rooms that measure which no step calls, and why.
const NOT_CALLED: &[(&str, &str)] = &[
    ("load/mod.rs", "a table of contents"),
    ("probe/machine.rs", "it describes the machine in `step.json`"),
    ("steps/trial/metrics.rs", "it reads rows"),
    ("steps/trial/overview.rs", "it reads rows"),
    ("steps/trial/rounds.rs", "it reads rows"),
    ("stack/up.rs", "it serves people"),
];

/// What is in these rooms is there to measure; a file that no step reaches would be one whose changes nobody notices.
#[test]
fn nothing_of_the_rooms_that_measure_is_overlooked() {
    let reached: BTreeSet<String> = STEPS.iter().flat_map(|step| reached(step.name()).into_keys()).collect();
    let mut overlooked: Vec<String> = ["cgroup", "load", "probe", "stack", "steps/trial"]
        .iter()
        .flat_map(|room| below(room))
        .filter(|file| !reached.contains(file))
        .collect();
    overlooked.retain(|file| {
        let text = fs::read_to_string(project_root().join(file)).unwrap();
        let has_items = text.lines().any(|line| line.trim_start_matches("pub ").starts_with("fn "));
        let known = NOT_CALLED.iter().any(|(name, _)| *file == format!("{CODE}/{name}"));
        !known && has_items
    });
    assert!(overlooked.is_empty(), "no step is known to call {overlooked:#?}");
}

/// Each piece of code that a step calls, changed by one word, changes the hash of its file.
#[test]
fn a_changed_word_in_a_called_function_is_noticed() {
    let project = tempfile::tempdir().unwrap();
    let folder = project.path().join("src");
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let files = BTreeMap::from([
        ("lib.rs", "pub mod gear; pub mod steps; pub mod results;"),
        ("results.rs", "pub struct Rows(u8); pub fn write() -> u8 { 1 }"),
        (
            "gear/mod.rs",
            "mod wheel;\npub use wheel::{Wheel as Round, turn};\npub fn unused() -> u8 { 11 }\npub trait Count { fn count(&self) -> u8; }\nimpl Count for [u8] { fn count(&self) -> u8 { 12 } }",
        ),
        (
            "gear/wheel.rs",
            "use std::fmt;\npub struct Wheel { pub size: super::super::gear::Size }\nimpl Wheel { pub fn new() -> Self { Self { size: helper() } } }\nfn helper() -> u8 { 21 }\npub fn turn() -> u8 { 22 }\nimpl fmt::Display for Wheel {}\nconst TEXT: &str = include_str!(\"text.sql\");\npub fn text() -> &'static str { TEXT }",
        ),
        (
            "steps/mod.rs",
            "pub mod cache; pub mod other;\npub trait Step { fn measure(&self); fn draw(&self); }\npub const STEPS: &[&dyn Step] = &[&cache::CacheStep, &other::OtherStep];",
        ),
        (
            "steps/cache.rs",
            "use super::Step;\nuse crate::{gear::{self, Count, Round}, results};\npub struct CacheStep;\nimpl Step for CacheStep {\n  fn measure(&self) { let one = Round::new(); gear::turn(); [1].count(); results::write(); crate::gear::wheel::text(); }\n  fn draw(&self) { paint(31) }\n}\nfn paint(x: u8) { super::other::shown(x) }",
        ),
        (
            "steps/other.rs",
            "use super::Step;\npub struct OtherStep;\nimpl Step for OtherStep { fn measure(&self) { 41 } }\npub fn shown(x: u8) {}",
        ),
    ]);
    for (name, text) in &files {
        write(name, text);
    }
    fs::write(folder.join("gear/text.sql"), "SELECT 1").unwrap();
    let look = || {
        let mut memory = Memory::open(project.path(), Path::new("/nonexistent"));
        let code = Code::read(&mut memory, "src", &["results"]).unwrap();
        let root = experiments::source::Root::Members { module: "steps::cache", of_trait: "Step", names: &["measure"] };
        code.reach(&[root]).unwrap()
    };
    let before = look();
    assert_eq!(before.included.iter().collect::<Vec<_>>(), ["src/gear/text.sql"]);
    assert!(before.crates.contains("std"), "{:?}", before.crates);
    for (name, from, to, is_called) in [
        ("gear/wheel.rs", "21", "121", true),
        ("gear/wheel.rs", "22", "122", true),
        ("gear/wheel.rs", "use std::fmt", "use core::fmt", true),
        ("gear/mod.rs", "12", "112", true),
        ("steps/cache.rs", "Round::new()", "Round::new(1)", true),
        ("gear/mod.rs", "11", "111", false),
        ("steps/cache.rs", "31", "131", false),
        ("steps/other.rs", "41", "141", false),
        ("steps/other.rs", "(x: u8)", "(y: u8)", false),
        ("steps/mod.rs", "&cache::CacheStep, ", "", false),
        ("results.rs", "{ 1 }", "{ 2 }", false),
    ] {
        let changed = files[name].replacen(from, to, 1);
        assert_ne!(changed, files[name]);
        write(name, &changed);
        assert_eq!(look() != before, is_called, "`{from}` in `{name}`");
        write(name, files[name]);
    }
    assert_eq!(look(), before);
}

/// Whoever formats the code in another width changes nothing that was measured.
#[test]
fn a_formatter_changes_no_hash() {
    let is_rust = |file: &String| file.ends_with(".rs");
    let files: Vec<String> =
        ["app/src", CODE].iter().flat_map(|folder| memory().files(folder).unwrap()).filter(is_rust).collect();
    assert!(files.len() > 150, "only {} files", files.len());
    let hash = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        (RustFile::parse(&text).unwrap_or_else(|error| panic!("`{}`: {error:#}", path.display())).hash(), text)
    };
    for options in ["max_width=60", "max_width=160,use_small_heuristics=Default,tab_spaces=2"] {
        let folder = tempfile::tempdir().unwrap();
        for file in &files {
            let copy = folder.path().join(file);
            fs::create_dir_all(copy.parent().unwrap()).unwrap();
            fs::copy(project_root().join(file), &copy).unwrap();
        }
        let roots = ["app/src/lib.rs", "experiments/src/lib.rs"].map(|root| folder.path().join(root));
        // It finds the other files by itself. That it cannot break every line is no matter here.
        let output =
            Command::new("rustfmt").args(["--edition", "2024", "--config", options]).args(&roots).output().unwrap();
        let (mut formatted, mut different) = (0, Vec::new());
        for file in &files {
            let (before, after) = (hash(&project_root().join(file)), hash(&folder.path().join(file)));
            formatted += usize::from(before.1 != after.1);
            if before.0 != after.0 {
                different.push(file);
            }
        }
        assert!(different.is_empty(), "formatted with `{options}`, these have other hashes: {different:?}");
        assert!(formatted > 100, "{formatted} files were formatted: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn what_is_remembered_is_what_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("runs");
    let look = || {
        let mut memory = Memory::open(project_root(), &place);
        let code = Code::read(&mut memory, CODE, NOT_FOLLOWED).unwrap();
        let found =
            (code.reach(&roots_of("steps::cache")).unwrap(), memory.hashes(&["app/src", "app/queries"]).unwrap());
        memory.save();
        found
    };
    let first = look();
    let kept: Vec<_> = fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert_eq!(look(), first);
    for path in kept {
        fs::write(path, "{ torn").unwrap();
    }
    assert_eq!(look(), first);
    assert!(!first.1.contains_key("app/src/markdown/tests.rs"), "a module of tests counts");
}
