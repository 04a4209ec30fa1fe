//! What several of the test files need: programs, folders, and a look at the processes that are left.

use std::fs;
use std::path::{Path, PathBuf};

use experiments::stack::{Programs, RunFolder};
use setup::{Program, Search};
use tempfile::TempDir;

/// The project's root.
pub(crate) fn project_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The programs of this machine, and the program under test as their supervisor.
pub(crate) fn programs() -> Programs {
    let search = Search::for_project(project_root());
    let find = |program| setup::locate(&search, program).unwrap_or_else(|missing| panic!("{missing}")).path;
    Programs {
        supervisor: PathBuf::from(env!("CARGO_BIN_EXE_experiments")),
        postgres_bin: find(Program::Postgres).parent().unwrap().to_owned(),
        redis: find(Program::Redis),
        nginx: find(Program::Nginx),
    }
}

/// A place for run folders that an unprivileged user can enter.
pub(crate) fn open_folder() -> TempDir {
    folder_with_mode(0o755)
}

/// A place for run folders of this mode.
pub(crate) fn folder_with_mode(mode: u32) -> TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::Builder::new().prefix("loadbook-test-").tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
    folder
}

/// A temporary run folder below `runs`.
pub(crate) fn run_folder(runs: &TempDir) -> RunFolder {
    RunFolder::temporary(runs.path(), programs()).unwrap()
}

/// The processes whose working directory is in `folder`: all that a stack in it has started, wherever their groups and
/// sessions are.
pub(crate) fn processes_in(folder: &Path) -> Vec<String> {
    let folder = folder.canonicalize().unwrap_or(folder.to_owned());
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let found = processes.filter_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let lives_here = fs::read_link(entry.path().join("cwd")).ok()?.starts_with(&folder);
        let name = fs::read_to_string(entry.path().join("comm")).ok()?;
        (lives_here && pid != std::process::id()).then(|| format!("{pid} {}", name.trim()))
    });
    found.collect()
}

/// Whether there is a process of this number.
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // One that is dead but not yet buried has the state Z.
    !stat.is_empty() && !stat.contains(") Z ")
}
