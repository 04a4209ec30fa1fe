//! Control groups of Linux: a group of processes whose CPU time is counted as one, and which may be limited to a share of a processor.
//! It knows both versions and the rules of each, and refuses to know what runs in a group.
//!
//! # Layout
//!
//! - [`Tree`] is the place of this run's groups. Whether there can be one is found out by trying, and a [`Reason`] says why not.
//! - [`Group`] is one group. It is removed when it is dropped; what a killed run leaves behind is removed at the next start.
//! - `v1` and `v2` hold what differs: names of files, and how a limit is written.
//!
//! Counting must not change what is counted. A group that only counts has no controller of the scheduler where that can be avoided,
//! because a scheduler that knows groups is fair to groups and not to threads. For the same reason memory is not charged to groups
//! that would not be charged anyhow.

mod group;
mod tree;
mod v1;
mod v2;

use std::path::Path;
use std::sync::LazyLock;

pub use group::{Group, Used};
pub use tree::Tree;

/// Where Linux shows its control groups.
const ROOT: &str = "/sys/fs/cgroup";

/// Which of the two kinds of control groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A hierarchy for each controller; of a group it needs `cpuacct` for counting and `cpu` for limiting.
    V1,
    /// One hierarchy for all.
    V2,
}

impl Version {
    /// Its name in results.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::V1 => "cgroup v1",
            Self::V2 => "cgroup v2",
        }
    }
}

/// Why groups cannot be had, with the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Reason(String);

/// The place of this process's groups, found at the first call.
///
/// # Errors
/// When the machine has no control groups, or does not let this user make some.
pub fn of_this_machine() -> Result<&'static Tree, Reason> {
    static TREE: LazyLock<Result<Tree, Reason>> = LazyLock::new(|| {
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Tree::open(Path::new(ROOT), &own, std::process::id())
    });
    TREE.as_ref().map_err(Clone::clone)
}

/// Which groups can be made here.
///
/// # Errors
/// As [`of_this_machine`].
pub fn available() -> Result<Version, Reason> {
    of_this_machine().map(Tree::version)
}

/// Whether the groups that can be made here can be limited to a share of a processor.
///
/// # Errors
/// The reason why not.
pub fn limits_available() -> Result<(), Reason> {
    of_this_machine()?.limits()
}
