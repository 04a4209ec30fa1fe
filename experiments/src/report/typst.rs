//! The Typst compiler as a child process with a fixed environment: no system fonts, no clock, no network.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::diagnostics::{self, Diagnostic};

/// A report takes about a second. What is not done after so long will never be: a template may run in circles.
const LIMIT: Duration = Duration::from_secs(120);
/// Nothing listens there, so that a template that asks for a package gets none.
const NO_NETWORK: &str = "http://127.0.0.1:9";
const PROXIES: [&str; 6] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"];

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
        command.envs(PROXIES.map(|name| (name, NO_NETWORK)));
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
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let child = command.spawn().with_context(|| {
            format!("cannot start Typst as `{}`; install it with `just setup`", self.program.display())
        })?;
        let (status, printed) = finished(child)?;
        Ok(match (status.success(), printed.is_empty()) {
            (false, true) => format!("Typst ended with {status} and said nothing"),
            (false, false) | (true, _) => printed,
        })
    }
}

/// How it ended and what it printed.
fn finished(mut child: Child) -> Result<(ExitStatus, String)> {
    let mut pipe = child.stderr.take().context("the messages of Typst are read")?;
    // Read aside, so that a full pipe does not stop it.
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).map(|_| bytes)
    });
    let deadline = Instant::now() + LIMIT;
    let status = loop {
        if let Some(status) = child.try_wait().context("cannot wait for Typst")? {
            break status;
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            bail!("Typst is not done after {} s; a template of the report runs in circles", LIMIT.as_secs());
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let bytes = reader.join().unwrap_or_else(|_| Ok(Vec::new())).context("cannot read the messages of Typst")?;
    Ok((status, String::from_utf8_lossy(&bytes).trim().to_owned()))
}
