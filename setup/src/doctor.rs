//! Shows what is there and what is missing, as one table. Changes nothing.

use std::path::{Path, PathBuf};

use crate::command::{VERSION_TIMEOUT, find_executable, run};
use crate::install::System;
use crate::version::Version;
use crate::{Program, Search, locate};

/// One line of the table; an empty cell is something that is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Row {
    program: String,
    version: String,
    path: String,
    needed: String,
    remedy: String,
}

impl Row {
    const HEAD: [&'static str; 5] = ["program", "version", "path", "needed", "remedy"];

    fn cells(&self) -> [&str; 5] {
        [&self.program, &self.version, &self.path, &self.needed, &self.remedy]
    }
}

/// The table, and whether everything that is needed is there.
#[derive(Clone, Debug)]
pub struct Findings {
    rows: Vec<Row>,
    /// Whether no needed program is missing.
    pub complete: bool,
}

/// Looks at every program that Loadbook runs, at the compiler, and at what could install the rest.
#[must_use]
pub fn examine(search: &Search) -> Findings {
    let mut rows = vec![compiler(search, "rustc", "rustc "), compiler(search, "cargo", "cargo ")];
    let needed = Program::ALL.into_iter().filter(|program| !Program::FOR_TESTS.contains(program));
    rows.extend(needed.map(|program| program_row(search, program)));
    let complete = rows.iter().all(|row| row.remedy.is_empty());
    rows.extend(Program::FOR_TESTS.map(|program| {
        let row = program_row(search, program);
        Row { needed: format!("{}, for `just test`", row.needed), ..row }
    }));
    rows.push(helper(search, "cargo-nextest", &["--version"], "cargo-nextest ", "for `just test`; else `cargo test`"));
    rows.push(manager(search));
    rows.push(helper(search, "python3", &["-m", "pip", "--version"], "pip ", "to install just and Typst"));
    Findings { rows, complete }
}

fn program_row(search: &Search, program: Program) -> Row {
    let needed = program.needed().to_string();
    match locate(search, program) {
        Ok(found) => Row {
            program: program.name().to_owned(),
            version: found.version.to_string(),
            path: found.path.display().to_string(),
            needed,
            remedy: String::new(),
        },
        Err(missing) => {
            let (version, path) = missing
                .found_too_old
                .map(|found| (found.version.to_string(), found.path.display().to_string()))
                .unwrap_or_default();
            let reasons: String = missing.passed_over.iter().map(|reason| format!("{reason}; ")).collect();
            Row { program: program.name().to_owned(), version, path, needed, remedy: reasons + &missing.remedy }
        }
    }
}

/// rustup answers for the toolchain that this folder pins, so the question is asked here.
fn compiler(search: &Search, name: &str, marker: &str) -> Row {
    let needed = Version::leading(env!("CARGO_PKG_RUST_VERSION"));
    let mut row = helper(search, name, &["--version"], marker, "");
    row.needed = needed.as_ref().map(|version| format!("{version} or newer")).unwrap_or_default();
    if Version::leading(&row.version) < needed {
        row.remedy = "see https://rustup.rs".to_owned();
    }
    row
}

/// Something that helps but that nothing needs.
fn helper(search: &Search, name: &str, arguments: &[&str], marker: &str, purpose: &str) -> Row {
    let path = find_executable(search.folders(), name);
    let version = path.as_ref().and_then(|path| {
        let finished = run(path, arguments, VERSION_TIMEOUT).ok()?;
        Version::after(marker, &finished.output)
    });
    let shown = |path: &PathBuf| path.display().to_string();
    let program = if marker == "pip " { "pip" } else { name };
    Row {
        program: program.to_owned(),
        version: version.as_ref().map(Version::to_string).unwrap_or_default(),
        // Python without pip is no pip.
        path: path.as_ref().filter(|_| version.is_some()).map(shown).unwrap_or_default(),
        needed: purpose.to_owned(),
        remedy: String::new(),
    }
}

fn manager(search: &Search) -> Row {
    let system = System::detect(search);
    let right = if system.may_install() { "may install" } else { "may not install" };
    let (program, path) = match &system.manager {
        Some((manager, path)) => (manager.command().to_owned(), path.display().to_string()),
        None => ("package manager".to_owned(), String::new()),
    };
    let purpose =
        if path.is_empty() { "to install the servers".to_owned() } else { format!("to install the servers; {right}") };
    Row { program, path, needed: purpose, ..Row::default() }
}

/// The table as text, one line a program, columns padded to their widest cell.
#[must_use]
pub fn render(findings: &Findings) -> String {
    let lines: Vec<[&str; 5]> =
        std::iter::once(Row::HEAD).chain(findings.rows.iter().map(Row::cells)).map(mark_empty).collect();
    let widths: Vec<usize> =
        (0..5).map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for line in lines {
        let padded: Vec<String> =
            line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}", width = *width)).collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// A dash where version or path is missing, so that a gap is seen to be one.
fn mark_empty(mut cells: [&str; 5]) -> [&str; 5] {
    for cell in &mut cells[1..3] {
        if cell.is_empty() {
            *cell = "–";
        }
    }
    cells
}

/// Looks at this machine, for the project whose root folder is `project_root`.
#[must_use]
pub fn examine_this_machine(project_root: &Path) -> Findings {
    examine(&Search::for_project(project_root))
}
