//! The Typst compiler as a child process with a fixed environment: no system fonts, no clock, no network.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::diagnostics::{self, Diagnostic};

/// Where the compiler is.
#[derive(Clone, Debug)]
pub struct Typst {
    /// The `typst` program, or something with the interface of `typst compile`.
    pub program: PathBuf,
}

impl Typst {
    /// Compiles `main.typ` of the build folder. Returns what was printed when that is not silence: a warning is a failure, because a
    /// font that is missing or a layout that did not settle is not what the author looked at.
    pub(super) fn compile(
        &self,
        folder: &Path,
        created_unix_s: i64,
        output: &Path,
    ) -> Result<std::result::Result<(), String>> {
        // Archival (with attachments) and accessible.
        let printed = self.run(folder, created_unix_s, &["--pdf-standard", "a-3a,ua-1"], output)?;
        Ok(if printed.is_empty() { Ok(()) } else { Err(printed) })
    }

    /// Compiles `main.typ` of the build folder to HTML, and returns the complaints as [`Self::compile`] does; that HTML is a young
    /// format, which Typst says each time, is none.
    pub(super) fn compile_html(
        &self,
        folder: &Path,
        created_unix_s: i64,
        output: &Path,
    ) -> Result<std::result::Result<(), String>> {
        let printed = self.run(folder, created_unix_s, &["--features", "html", "--format", "html"], output)?;
        let found = diagnostics::parse(&printed);
        let is_silent = !found.is_empty() && found.iter().all(Diagnostic::is_about_html);
        Ok(if printed.is_empty() || is_silent { Ok(()) } else { Err(printed) })
    }

    /// What was printed; a compiler that failed has always printed something.
    fn run(&self, folder: &Path, created_unix_s: i64, format: &[&str], output: &Path) -> Result<String> {
        let mut command = Command::new(&self.program);
        // Nothing of the caller's environment may change the bytes; PATH is for a launcher that looks for its interpreter.
        command.env_clear().env("TZ", "UTC").env("LC_ALL", "C.UTF-8").env("HOME", folder);
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command
            .arg("compile")
            .arg("--root")
            .arg(".")
            .arg("--ignore-system-fonts")
            .arg("--creation-timestamp")
            .arg(created_unix_s.to_string())
            .args(format)
            .arg("--diagnostic-format")
            .arg("human")
            .arg("main.typ")
            .arg(output)
            .current_dir(folder)
            .stdin(Stdio::null());
        let finished = command.output().with_context(|| {
            format!("cannot start Typst as `{}`; install it with `just setup`", self.program.display())
        })?;
        let printed = String::from_utf8_lossy(&finished.stderr).trim().to_owned();
        Ok(match (finished.status.success(), printed.is_empty()) {
            (false, true) => format!("Typst ended with {} and said nothing", finished.status),
            (false, false) | (true, _) => printed,
        })
    }
}
