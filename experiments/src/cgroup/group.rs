//! One control group: who is in it, what they have used. It refuses to know who made it, and for what.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Version, v1, v2};

/// The file that lists a group's processes; who is written into it joins the group, and their children with them.
pub(super) const PROCESSES: &str = "cgroup.procs";

/// A limit holds for each of these periods. A server that has used up its share waits for the rest of the period, which shows in load
/// times; the kernel's default of 100 ms would dominate them.
pub(super) const PERIOD_US: u64 = 10_000;

/// A process leaves its group a moment after its end was seen.
const REMOVE_ATTEMPTS: u32 = 20;
const REMOVE_PAUSE: Duration = Duration::from_millis(5);

/// What the processes of a group have used since it was made, those that have ended included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// CPU time.
    pub cpu_us: u64,
    /// The part of it that was spent in the kernel.
    pub cpu_kernel_us: u64,
    /// The most memory that they held at once, each page counted once, pages of files included. Absent where it is not charged.
    pub memory_peak_bytes: Option<u64>,
}

/// A group that is removed when it is dropped, as far as its processes have ended by then.
#[derive(Debug)]
pub struct Group {
    pub(super) version: Version,
    /// One in each hierarchy that it needs; CPU time is read in the first.
    pub(super) folders: Vec<PathBuf>,
    /// Holds the first; goes with the last group in it.
    pub(super) parent: Option<PathBuf>,
}

impl Group {
    /// The files that a process writes `0` into to join the group.
    #[must_use]
    pub fn entrances(&self) -> Vec<PathBuf> {
        self.folders.iter().map(|folder| folder.join(PROCESSES)).collect()
    }

    /// Puts a process into the group. What it starts from now on is born there.
    ///
    /// # Errors
    /// When it is gone, or this user may not move it.
    pub fn join(&self, pid: u32) -> Result<()> {
        self.entrances().iter().try_for_each(|entrance| write(entrance, &pid.to_string()))
    }

    /// Reads what the group has used.
    ///
    /// # Errors
    /// When the group is gone.
    pub fn used(&self) -> Result<Used> {
        used(self.version, &self.folders[0])
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for folder in &self.folders {
            remove(folder);
        }
        if let Some(parent) = &self.parent {
            // Other groups may be in it; the last one takes it along.
            let _ = fs::remove_dir(parent);
        }
    }
}

/// Reads what the group with this folder has used.
pub(super) fn used(version: Version, folder: &Path) -> Result<Used> {
    match version {
        Version::V1 => v1::used(folder),
        Version::V2 => v2::used(folder),
    }
}

/// The kernel takes a group's folder away with all its files, but not while somebody is in the group.
fn remove(folder: &Path) {
    for _ in 0..REMOVE_ATTEMPTS {
        match fs::remove_dir(folder) {
            Err(error) if error.kind() == ErrorKind::ResourceBusy => std::thread::sleep(REMOVE_PAUSE),
            _ => return,
        }
    }
    tracing::warn!("the group `{}` still has processes; the next run removes it", folder.display());
}

/// Reads a file that holds one number.
pub(super) fn number(path: &Path) -> Result<u64> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    text.trim().parse().with_context(|| format!("`{}` holds no number", path.display()))
}

/// Writes a value into a file of a group.
pub(super) fn write(path: &Path, value: &str) -> Result<()> {
    fs::write(path, value).with_context(|| format!("cannot write `{value}` into `{}`", path.display()))
}
