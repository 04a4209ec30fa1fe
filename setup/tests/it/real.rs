//! The real programs of this machine, after `just setup`.

use std::path::Path;

use setup::{Program, Search, doctor, locate};

fn project_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the project")
}

/// Everything that `just setup --tests` answers for is there, and PostgreSQL's `initdb` beside it.
#[test]
fn everything_is_found() {
    let search = Search::for_project(project_root());
    for program in Program::INSTALLED_BY_SETUP.into_iter().chain(Program::FOR_TESTS) {
        let found = locate(&search, program).unwrap_or_else(|missing| panic!("{missing}"));
        assert!(program.needed().accepts(&found.version), "{found}");
        if program == Program::Postgres {
            assert!(found.path.with_file_name("initdb").is_file(), "{found:?}");
        }
    }
}

/// The doctor names every program once, in columns.
#[test]
fn the_doctor_lists_everything() {
    let findings = doctor::examine_this_machine(project_root());
    let table = doctor::render(&findings);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("program ") && lines[0].ends_with("remedy"), "{table}");
    let compilers = ["rustc", "cargo", "cargo-nextest", "pip"];
    for name in compilers.into_iter().chain(Program::ALL.map(Program::name)) {
        assert_eq!(lines.iter().filter(|line| line.starts_with(&format!("{name} "))).count(), 1, "{name}\n{table}");
    }
}
