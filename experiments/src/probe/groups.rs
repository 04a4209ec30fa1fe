//! Reads components that have a control group of their own: CPU time is that of the group, which also counts processes that came and went
//! between two readings. Memory and context switches come from `/proc`, and so does everything of a component without a group.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::component::{Component, Usage};
use super::proc::Proc;
use super::source::{Detail, Source};
use crate::cgroup::{Tree, Used};

/// The back end.
#[derive(Debug)]
pub(super) struct Groups {
    tree: &'static Tree,
    proc: Proc,
    /// The group of each root that heads one.
    groups: HashMap<u32, Option<Counted>>,
}

/// A group, and what was last said of it.
#[derive(Clone, Debug)]
struct Counted {
    folder: PathBuf,
    user_us: u64,
    kernel_us: u64,
}

impl Groups {
    pub(super) fn new(tree: &'static Tree) -> Self {
        Self { tree, proc: Proc::default(), groups: HashMap::new() }
    }

    /// Whether every root of a component heads a group.
    fn is_grouped(&mut self, component: &Component) -> bool {
        let tree = self.tree;
        let heads = |root: &u32| self.groups.entry(*root).or_insert_with(|| headed(tree, *root)).is_some();
        component.roots.iter().all(heads)
    }

    /// Fills in what the groups of a component know.
    fn count(&mut self, component: &Component, usage: &mut Usage) -> Result<()> {
        let mut peak_bytes = Some(0);
        for root in &component.roots {
            let Some(Some(counted)) = self.groups.get_mut(root) else { continue };
            let used = self.tree.used(&counted.folder)?;
            counted.count(used);
            usage.cpu_user_us += counted.user_us;
            usage.cpu_kernel_us += counted.kernel_us;
            peak_bytes = peak_bytes.zip(used.memory_peak_bytes).map(|(sum, bytes)| sum + bytes);
        }
        // Absent from a reading of counters, whatever the source.
        usage.memory_peak_bytes = usage.memory_peak_bytes.map(|bytes| peak_bytes.unwrap_or(bytes));
        Ok(())
    }
}

impl Counted {
    /// Divides the sum so that neither part runs backwards: how it is to be divided is an estimate by ticks, and moves.
    fn count(&mut self, used: Used) {
        let most_us = used.cpu_us.saturating_sub(self.user_us);
        self.kernel_us = used.cpu_kernel_us.min(most_us).max(self.kernel_us);
        self.user_us = used.cpu_us.saturating_sub(self.kernel_us).max(self.user_us);
    }
}

impl Source for Groups {
    fn name(&self) -> &'static str {
        self.tree.version().name()
    }

    fn read(&mut self, components: &[Component], detail: Detail) -> Result<Vec<Usage>> {
        let grouped: Vec<&Component> = components.iter().filter(|component| self.is_grouped(component)).collect();
        let mut usages =
            if detail == Detail::Cpu && grouped.len() == components.len() && components.iter().all(is_there) {
                // Nothing is asked that the groups do not know, and the whole of `/proc` takes ten times as long as they do.
                vec![Usage::default(); components.len()]
            } else {
                self.proc.read_but(components, detail, |component| grouped.contains(&component))?
            };
        for (component, usage) in
            components.iter().zip(&mut usages).filter(|(component, _)| grouped.contains(component))
        {
            self.count(component, usage)?;
        }
        Ok(usages)
    }
}

/// Whether every root has a process. One that is gone is left to `/proc`, which says so.
fn is_there(component: &Component) -> bool {
    component.roots.iter().all(|root| Path::new("/proc").join(root.to_string()).exists())
}

/// The group that began with this process: its parent is not in it. Any other group holds more than the process and its descendants.
fn headed(tree: &Tree, pid: u32) -> Option<Counted> {
    let folder_of = |pid: i32| tree.folder_of(&std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?);
    let pid = i32::try_from(pid).ok()?;
    let folder = folder_of(pid)?;
    let parent = procfs::process::Process::new(pid).and_then(|process| process.stat()).ok()?.ppid;
    (folder_of(parent).as_ref() != Some(&folder)).then_some(Counted { folder, user_us: 0, kernel_us: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_part_runs_backwards_and_both_give_the_sum() {
        let mut counted = Counted { folder: PathBuf::new(), user_us: 0, kernel_us: 0 };
        let mut count = |cpu_us, cpu_kernel_us| {
            counted.count(Used { cpu_us, cpu_kernel_us, memory_peak_bytes: None });
            (counted.user_us, counted.kernel_us)
        };
        assert_eq!(count(1_000, 600), (400, 600));
        // A tick of user mode moves the estimate back, and one of kernel mode too far ahead.
        assert_eq!(count(1_100, 550), (500, 600));
        assert_eq!(count(1_200, 1_000), (500, 700));
    }
}
