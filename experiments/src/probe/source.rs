//! The seam between what is counted and where the numbers come from: control groups or `/proc`. Which one is chosen in [`open`], by
//! what the machine has, and is part of every result's environment.

use anyhow::Result;

use super::component::{Component, Usage};

/// How much to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// CPU time alone: cheap enough for every second.
    Cpu,
    /// CPU time and context switches: cheap enough for the start of a window.
    Counters,
    /// CPU time and memory in use. The kernel walks through all pages for it, about 40 ms for each gigabyte.
    Memory,
    /// Everything.
    Full,
}

impl Detail {
    pub(super) fn has_switches(self) -> bool {
        matches!(self, Self::Counters | Self::Full)
    }

    pub(super) fn has_memory(self) -> bool {
        matches!(self, Self::Memory | Self::Full)
    }
}

/// Where the numbers come from.
pub trait Source: Send {
    /// A word for the environment of the results: `cgroup v2`, `cgroup v1` or `proc`.
    fn name(&self) -> &'static str;

    /// Reads some components at once, in their order.
    ///
    /// # Errors
    /// When a root is gone, or the system does not tell.
    fn read(&mut self, components: &[Component], detail: Detail) -> Result<Vec<Usage>>;
}

/// The best source that this machine has: control groups, which miss nothing, or else `/proc`.
///
/// # Errors
/// On a system without one.
pub fn open() -> Result<Box<dyn Source>> {
    #[cfg(target_os = "linux")]
    if let Ok(tree) = crate::cgroup::of_this_machine() {
        return Ok(Box::new(super::groups::Groups::new(tree)));
    }
    of_processes()
}

/// The source that needs nothing but `/proc`.
///
/// # Errors
/// On a system without it.
pub fn of_processes() -> Result<Box<dyn Source>> {
    #[cfg(target_os = "linux")]
    return Ok(Box::new(super::proc::Proc::default()));
    #[cfg(not(target_os = "linux"))]
    anyhow::bail!("the CPU time of processes is read from `/proc`, which this system does not have; measure on Linux");
}
