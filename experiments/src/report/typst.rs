//! The Typst compiler as a child process with a fixed environment: no system fonts, no clock, no network.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

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
            // Archival (with attachments) and accessible.
            .arg("--pdf-standard")
            .arg("a-3a,ua-1")
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
        let silent = finished.status.success() && printed.is_empty();
        Ok(match (silent, printed.is_empty()) {
            (true, _) => Ok(()),
            (false, true) => Err(format!("Typst ended with {} and said nothing", finished.status)),
            (false, false) => Err(printed),
        })
    }
}
