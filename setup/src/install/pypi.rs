//! Typst from PyPI: a prebuilt package, pinned by hashes, in a folder of its own, with a launcher that looks like the CLI.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{Session, packages, run_logged};
use crate::Search;
use crate::command::{find_executable, run};

const REQUIREMENT: &str = include_str!("../../requirements/typst.txt");
const LAUNCHER: &str = include_str!("../typst_launcher.py");

/// The name of the folder below `.tools`.
const PACKAGE: &str = "typst-package";

/// A shebang line may hold 127 bytes on some systems.
const SHEBANG_MAXIMUM: usize = 120;

/// The package's extension module wants this Python.
const PYTHON_CHECK: &str = "import sys, pip; assert sys.version_info >= (3, 9); print(sys.executable)";

/// Installs the package and its launcher, and pip before that where the system lets us.
pub(super) fn install_typst<W: Write>(session: &mut Session<'_, W>) -> Result<(), String> {
    let python = match python_with_pip(session.search) {
        Some(python) => python,
        None => {
            let told = packages::install_or_tell(session, "python3-pip");
            told.map_err(|remedy| {
                format!("Typst comes from PyPI, and there is no Python 3.9 or newer with pip; {remedy}")
            })?;
            python_with_pip(session.search).ok_or("there is still no Python 3.9 or newer with pip")?
        }
    };
    let project_root = session.project_root;
    session.timed("installing Typst from PyPI", || {
        let tools = project_root.join(".tools");
        // A folder of its own for this process: what is half done is never taken for the whole.
        let fresh = tools.join(format!("{PACKAGE}.{}", std::process::id()));
        let result = pip_install(project_root, &python, &fresh).and_then(|()| {
            put_in_place(&tools, &fresh, &python)
                .map_err(|error| format!("cannot write `{}`: {error}", tools.display()))
        });
        let _ = fs::remove_dir_all(&fresh);
        result
    })
}

/// Gives the package that is there the launcher of this version: it may have learned something since the package was installed.
pub(super) fn renew_launcher(project_root: &Path) {
    let tools = project_root.join(".tools");
    let installed = fs::read_to_string(tools.join("bin/typst")).unwrap_or_default();
    if let Some(renewed) = renewed(&installed) {
        // Where nothing can be written, the earlier one still does what it did.
        let _ = put_launcher(&tools, &renewed);
    }
}

/// The launcher with the first line of the installed one; nothing when that is current, or no launcher.
fn renewed(installed: &str) -> Option<String> {
    let (shebang, _) = installed.split_once('\n')?;
    let (_, launcher) = LAUNCHER.split_once('\n')?;
    let renewed = format!("{shebang}\n{}", launcher.replacen("@PACKAGE@", PACKAGE, 1));
    (installed.contains(PACKAGE) && installed != renewed).then_some(renewed)
}

fn pip_install(project_root: &Path, python: &Path, target: &Path) -> Result<(), String> {
    let write = |path: &Path| -> io::Result<()> {
        fs::create_dir_all(target)?;
        fs::write(path, REQUIREMENT)
    };
    let requirement = target.join("requirement.txt");
    write(&requirement).map_err(|error| format!("cannot write `{}`: {error}", requirement.display()))?;
    let mut command = Command::new(python);
    command
        .args(["-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--no-deps", "--require-hashes"])
        .args(["--only-binary", ":all:", "--requirement"])
        .arg(&requirement)
        // A folder of its own is no installation into the system's Python, which Debian forbids.
        .arg("--target")
        .arg(target)
        .env("PIP_USER", "0")
        .env("PIP_REQUIRE_VIRTUALENV", "0")
        .env("PIP_ROOT_USER_ACTION", "ignore");
    run_logged(project_root, &mut command)
}

fn put_in_place(tools: &Path, fresh: &Path, python: &Path) -> io::Result<()> {
    let package = tools.join(PACKAGE);
    let _ = fs::remove_dir_all(&package);
    fs::rename(fresh, &package)?;
    put_launcher(tools, &launcher(python))
}

fn put_launcher(tools: &Path, launcher: &str) -> io::Result<()> {
    let bin = tools.join("bin");
    fs::create_dir_all(&bin)?;
    let draft = bin.join(format!(".typst.{}", std::process::id()));
    fs::write(&draft, launcher)?;
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o755))?;
    fs::rename(&draft, bin.join("typst"))
}

/// The launcher with the Python that pip installed for, or with the `PATH`'s where a shebang line cannot hold its path.
fn launcher(python: &Path) -> String {
    let python = python.to_string_lossy();
    let usable = python.len() <= SHEBANG_MAXIMUM && !python.contains(char::is_whitespace);
    let shebang = if usable { format!("#!{python} -IS") } else { "#!/usr/bin/env python3".to_owned() };
    LAUNCHER.replacen("#!@PYTHON@ -IS", &shebang, 1).replacen("@PACKAGE@", PACKAGE, 1)
}

/// The system's own Python first: it outlives virtual environments and version managers, and starts without a detour.
fn python_with_pip(search: &Search) -> Option<PathBuf> {
    let on_path = ["python3", "python3.14", "python3.13", "python3.12", "python3.11", "python3.10", "python3.9"];
    let candidates = std::iter::once(PathBuf::from("/usr/bin/python3"))
        .chain(on_path.iter().filter_map(|name| find_executable(search.folders(), name)));
    for candidate in candidates {
        if let Ok(finished) = run(&candidate, &["-c", PYTHON_CHECK], Duration::from_secs(10))
            && finished.status.success()
        {
            return finished.output.lines().next().map(|line| PathBuf::from(line.trim()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The launcher names its interpreter, unless a shebang line cannot.
    #[test]
    fn the_launcher_is_filled_in() {
        let text = launcher(Path::new("/usr/bin/python3"));
        assert!(text.starts_with("#!/usr/bin/python3 -IS\n") && text.contains("\"typst-package\""), "{text}");
        assert!(!text.contains("@P"), "{text}");
        for path in ["/Applications/My Python/bin/python3", &format!("/{}", "x".repeat(SHEBANG_MAXIMUM))] {
            assert!(launcher(Path::new(path)).starts_with("#!/usr/bin/env python3\n"), "{path}");
        }
    }

    /// A launcher of an earlier version is renewed and keeps its interpreter; one of this version and other programs are left alone.
    #[test]
    fn an_earlier_launcher_is_renewed() {
        let current = launcher(Path::new("/usr/bin/python3"));
        let earlier = current.replace("choices=[\"pdf\", \"html\"]", "choices=[\"pdf\"]");
        assert!(earlier != current && renewed(&earlier).as_ref() == Some(&current));
        assert_eq!(renewed(&current), None);
        for other in ["", "#!/bin/sh\necho typst 0.15.1\n", "\u{7f}ELF"] {
            assert_eq!(renewed(other), None);
        }
    }

    /// The package is pinned: one version, a hash for each platform.
    #[test]
    fn the_requirement_is_pinned() {
        for requirement in [REQUIREMENT, include_str!("../../requirements/just.txt")] {
            assert_eq!(requirement.matches("==").count(), 1);
            assert_eq!(requirement.matches("--hash=sha256:").count(), 6);
        }
    }
}
