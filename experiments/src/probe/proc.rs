//! Reads components from `/proc`. The tree of processes is found anew each time, because PostgreSQL starts one for each
//! connection.
//!
//! Three traps are handled here. The clock ticks of `stat` last 10 ms, and only the scheduler's statistics are exact; those leave
//! out threads that have ended, which the ticks include. Both are lower bounds of the truth, so the larger one is taken. And
//! children that have ended are found in the counters that their parent inherited.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Result, bail};
use procfs::process::{Process, Stat};

use super::component::{Component, Usage};
use super::source::{Detail, Source};

/// The back end.
#[derive(Debug, Default)]
pub(super) struct Proc {
    /// When each root started: another process may get the same number later.
    started: BTreeMap<u32, u64>,
}

impl Source for Proc {
    fn name(&self) -> &'static str {
        "proc"
    }

    fn read(&mut self, components: &[Component], detail: Detail) -> Result<Vec<Usage>> {
        self.read_but(components, detail, |_| false)
    }
}

impl Proc {
    /// Reads all but the CPU time of those whose CPU time is known from elsewhere: that takes a file for each thread.
    pub(super) fn read_but(
        &mut self,
        components: &[Component],
        detail: Detail,
        is_known: impl Fn(&Component) -> bool,
    ) -> Result<Vec<Usage>> {
        let table = Table::read()?;
        let members: Vec<_> =
            components.iter().map(|component| self.members(&table, component)).collect::<Result<_>>()?;
        let of = |(component, members): (&Component, &Vec<_>)| counters(members, detail, !is_known(component));
        let mut usages: Vec<Usage> = components.iter().zip(&members).map(of).collect();
        // After all counters, because it takes long: the counters should be of one moment.
        if detail.has_memory() {
            usages.iter_mut().zip(&members).for_each(|(usage, members)| add_memory(usage, members, detail));
        }
        Ok(usages)
    }

    fn members<'a>(&mut self, table: &'a Table, component: &Component) -> Result<Vec<&'a (Process, Stat)>> {
        for &root in &component.roots {
            let started = table.processes.get(&root).map(|(_, stat)| stat.starttime);
            if started != Some(*self.started.entry(root).or_insert(started.unwrap_or_default())) {
                bail!("process {root} of the component `{}` is gone; its log may say why", component.name);
            }
        }
        let mut members = Vec::new();
        let mut waiting = component.roots.clone();
        while let Some(number) = waiting.pop() {
            members.extend(table.processes.get(&number));
            waiting.extend(table.children.get(&number).into_iter().flatten());
        }
        Ok(members)
    }
}

struct Table {
    processes: HashMap<u32, (Process, Stat)>,
    children: HashMap<u32, Vec<u32>>,
}

impl Table {
    fn read() -> Result<Self> {
        let mut table = Self { processes: HashMap::new(), children: HashMap::new() };
        for process in procfs::process::all_processes()?.flatten() {
            if let Ok(stat) = process.stat() {
                let number = stat.pid.unsigned_abs();
                table.children.entry(stat.ppid.unsigned_abs()).or_default().push(number);
                table.processes.insert(number, (process, stat));
            }
        }
        Ok(table)
    }
}

fn counters(members: &[&(Process, Stat)], detail: Detail, with_cpu: bool) -> Usage {
    let mut usage = Usage { process_count: members.len() as u64, ..Usage::default() };
    if with_cpu {
        members.iter().for_each(|(process, stat)| add_cpu(&mut usage, process, stat));
    }
    if detail.has_switches() {
        let switches: Vec<_> = members.iter().map(|(process, _)| switches(process)).collect();
        usage.voluntary_switch_count = switches.iter().map(|(voluntary, _)| *voluntary).sum();
        usage.involuntary_switch_count = switches.iter().map(|(_, involuntary)| *involuntary).sum();
    }
    usage
}

fn add_cpu(usage: &mut Usage, process: &Process, stat: &Stat) {
    let tick_us = 1_000_000 / procfs::ticks_per_second();
    let (user_us, kernel_us) = (stat.utime * tick_us, stat.stime * tick_us);
    let exact_us = scheduled_us(process).max(user_us + kernel_us);
    // The kernel itself divides the exact time by the ticks of each mode.
    let ticked_us = user_us + kernel_us;
    let kernel_share = if ticked_us == 0 { 0.0 } else { kernel_us as f64 / ticked_us as f64 };
    let exact_kernel_us = (exact_us as f64 * kernel_share).round() as u64;
    usage.cpu_user_us += exact_us - exact_kernel_us + stat.cutime.unsigned_abs() * tick_us;
    usage.cpu_kernel_us += exact_kernel_us + stat.cstime.unsigned_abs() * tick_us;
}

fn add_memory(usage: &mut Usage, members: &[&(Process, Stat)], detail: Detail) {
    let sum = |bytes: fn(&Process) -> Option<u64>| members.iter().map(|(process, _)| of_living(process, bytes)).sum();
    usage.memory_bytes = sum(proportional_bytes);
    if detail == Detail::Full {
        usage.memory_peak_bytes = sum(peak_bytes);
    }
}

/// A process that has just ended has no memory. One that belongs to somebody else does not show its memory, and then the sum
/// would be wrong: it is absent.
fn of_living(process: &Process, bytes: fn(&Process) -> Option<u64>) -> Option<u64> {
    bytes(process).or_else(|| (!process.is_alive()).then_some(0))
}

fn proportional_bytes(process: &Process) -> Option<u64> {
    process.smaps_rollup().ok()?.memory_map_rollup.0.first()?.extension.map.get("Pss").copied()
}

fn peak_bytes(process: &Process) -> Option<u64> {
    Some(process.status().ok()?.vmhwm? * 1024)
}

/// The file of the process counts its first thread only, so the threads are added up.
fn scheduled_us(process: &Process) -> u64 {
    let threads = process.tasks().into_iter().flatten().flatten();
    threads.filter_map(|thread| thread.schedstat().ok()).map(|statistics| statistics.sum_exec_runtime / 1_000).sum()
}

fn switches(process: &Process) -> (Option<u64>, Option<u64>) {
    let statuses: Vec<_> =
        process.tasks().into_iter().flatten().flatten().filter_map(|thread| thread.status().ok()).collect();
    let sum = |of: fn(&procfs::process::Status) -> Option<u64>| statuses.iter().map(of).sum();
    (sum(|status| status.voluntary_ctxt_switches), sum(|status| status.nonvoluntary_ctxt_switches))
}
