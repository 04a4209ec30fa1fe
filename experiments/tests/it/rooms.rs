//! The rooms of the bench: data flows one way, so each uses only those before it. Read from the `use crate::…` lines themselves.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

/// Each room with the rooms that it may use.
const ALLOWED: &[(&str, &[&str])] = &[
    ("cgroup", &[]),
    ("http", &[]),
    ("stack", &["http", "cgroup"]),
    ("load", &["http"]),
    ("probe", &["http", "cgroup"]),
    ("results", &[]),
    ("source", &["results"]),
    ("stats", &[]),
    ("aggregate", &["results", "stats"]),
    ("figures", &[]),
    ("steps", &["http", "cgroup", "stack", "load", "probe", "results", "source", "stats", "aggregate", "figures"]),
    ("report", &["results"]),
    (
        "pipeline",
        &["http", "stack", "load", "probe", "results", "source", "stats", "aggregate", "figures", "steps", "report"],
    ),
    ("cli", &["pipeline", "load", "stack", "results", "steps"]),
];

#[test]
fn data_flows_one_way() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = 0;
    for (room, allowed) in ALLOWED {
        for path in [source.join(room), source.join(format!("{room}.rs"))].iter().filter(|path| path.exists()) {
            for file in rust_files(path) {
                files += 1;
                let text = fs::read_to_string(&file).unwrap();
                for used in used_rooms(&text) {
                    assert!(
                        used == *room || allowed.contains(&used.as_str()),
                        "`{}` uses the room `{used}`, which `{room}` must not know",
                        file.display()
                    );
                }
            }
        }
    }
    assert!(files > 50, "only {files} files were read");
}

#[test]
fn the_app_does_not_know_the_bench() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("app/Cargo.toml");
    assert!(!fs::read_to_string(manifest).unwrap().contains("experiments"));
}

#[test]
fn every_file_says_what_it_is_for() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for folder in ["app/src", "app/tests", "experiments/src", "experiments/tests", "setup/src", "setup/tests"] {
        for file in rust_files(&project.join(folder)) {
            assert!(
                fs::read_to_string(&file).unwrap().starts_with("//!"),
                "`{}` does not open with `//!`",
                file.display()
            );
        }
    }
}

/// A feature that only a test's library asks for would have its crate, and all that uses it, compiled once more for the tests. Where
/// this fails, name the feature in the workspace's dependencies.
#[test]
fn tests_compile_no_dependency_a_second_time() {
    let of_running = dependencies("normal,build");
    let of_testing = dependencies("normal,build,dev");
    assert!(of_running.len() > 100 && of_testing.len() > of_running.len());
    let twice: Vec<&String> = of_running.difference(&of_testing).collect();
    assert!(twice.is_empty(), "these have other features in a build with tests: {twice:#?}");
}

/// Every dependency with its version and its features, in a build of these kinds.
fn dependencies(kinds: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--locked",
            "--workspace",
            "--prefix",
            "none",
            "--no-dedupe",
            "--format",
            "{p} {f}",
        ])
        .args(["--edges", kinds])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn rust_files(path: &Path) -> Vec<std::path::PathBuf> {
    if path.is_file() {
        return if path.extension().is_some_and(|ending| ending == "rs") { vec![path.to_owned()] } else { Vec::new() };
    }
    fs::read_dir(path).unwrap().flat_map(|entry| rust_files(&entry.unwrap().path())).collect()
}

/// The rooms after every `crate::`, those of a group `crate::{a::…, b}` too.
fn used_rooms(text: &str) -> Vec<String> {
    let names: Vec<&str> = ALLOWED.iter().map(|(room, _)| *room).collect();
    let mut used = Vec::new();
    for (position, _) in text.match_indices("crate::") {
        let rest = &text[position + "crate::".len()..];
        let group = rest.strip_prefix('{').and_then(|group| group.split_once("};")).map(|(group, _)| group);
        let candidates = match group {
            // Only the first name after a line break or a comma at depth 0 is a room.
            Some(group) => top_level(group),
            None => vec![word(rest)],
        };
        used.extend(candidates.into_iter().filter(|name| names.contains(&name.as_str())));
    }
    used
}

fn top_level(group: &str) -> Vec<String> {
    let (mut depth, mut names, mut start) = (0, Vec::new(), true);
    for (position, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => start = true,
            letter if start && letter.is_ascii_lowercase() => {
                names.push(word(&group[position..]));
                start = false;
            }
            _ => {}
        }
    }
    names
}

fn word(text: &str) -> String {
    text.chars().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect()
}

#[test]
fn the_reader_of_uses_is_not_blind() {
    let text = "use crate::{\n    load::{event::Event},\n    probe,\n};\nuse crate::stack::Nginx;\nlet x = crate::report::build();";
    assert_eq!(used_rooms(text), ["load", "probe", "stack", "report"]);
}
