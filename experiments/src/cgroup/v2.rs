//! What is particular to control groups of version 2: one hierarchy, controllers that are handed down level by level, and processes in
//! leaves only.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::group::{PERIOD_US, PROCESSES, Used, number, write};

/// The path of a process's group, out of its `/proc/<pid>/cgroup`.
pub(super) fn path_of(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("0::"))
}

/// CPU time is told without any controller, memory only where its controller is on.
pub(super) fn used(folder: &Path) -> Result<Used> {
    let path = folder.join("cpu.stat");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let field = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.with_context(|| format!("`{}` has no number for `{}`", path.display(), name.trim()))
    };
    let peak = folder.join("memory.peak");
    let memory_peak_bytes = if peak.exists() { Some(number(&peak)?) } else { None };
    Ok(Used { cpu_us: field("usage_usec ")?, cpu_kernel_us: field("system_usec ")?, memory_peak_bytes })
}

pub(super) fn limit(folder: &Path, quota_us: u64) -> Result<()> {
    write(&folder.join("cpu.max"), &format!("{quota_us} {PERIOD_US}"))
}

/// Whether `base` was given the controller that limits.
pub(super) fn has_controller(base: &Path) -> bool {
    has_cpu(base, "cgroup.controllers")
}

/// Lets the groups below `base` be limited. A group that hands a controller down may hold no processes itself (only the root of all
/// may), so those that are in the way go to the leaf `rest`, which changes nothing for them.
pub(super) fn enable(base: &Path, rest: &Path) -> Result<()> {
    let control = base.join("cgroup.subtree_control");
    if has_cpu(base, "cgroup.subtree_control") {
        return Ok(());
    }
    let Err(error) = fs::write(&control, "+cpu") else { return Ok(()) };
    ensure!(error.kind() == ErrorKind::ResourceBusy, "cannot write `{}`: {error}", control.display());
    empty(base, rest)?;
    write(&control, "+cpu").context("the group has processes that do not leave it")
}

fn empty(base: &Path, rest: &Path) -> Result<()> {
    fs::create_dir_all(rest).with_context(|| format!("cannot make the group `{}`", rest.display()))?;
    let path = base.join(PROCESSES);
    let processes = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    for process in processes.lines() {
        // It may have ended since, or be a thread of the kernel, which stays: then the next attempt to enable says so.
        if let Err(error) = write(&rest.join(PROCESSES), process) {
            tracing::debug!("the process {process} stays where it is: {error:#}");
        }
    }
    Ok(())
}

fn has_cpu(base: &Path, list: &str) -> bool {
    fs::read_to_string(base.join(list)).is_ok_and(|names| names.split_whitespace().any(|name| name == "cpu"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_move_to_a_leaf() {
        let base = tempfile::tempdir().unwrap();
        fs::write(base.path().join(PROCESSES), "17\n").unwrap();
        let rest = base.path().join("rest");
        empty(base.path(), &rest).unwrap();
        assert_eq!(fs::read_to_string(rest.join(PROCESSES)).unwrap(), "17");
    }

    #[test]
    fn what_is_enabled_is_not_enabled_again() {
        let base = tempfile::tempdir().unwrap();
        let control = base.path().join("cgroup.subtree_control");
        fs::write(&control, "cpuset memory\n").unwrap();
        enable(base.path(), &base.path().join("rest")).unwrap();
        assert_eq!(fs::read_to_string(&control).unwrap(), "+cpu", "`cpuset` is another controller");
        fs::write(&control, "cpuset cpu memory\n").unwrap();
        enable(base.path(), &base.path().join("rest")).unwrap();
        assert_eq!(fs::read_to_string(&control).unwrap(), "cpuset cpu memory\n");
    }
}
