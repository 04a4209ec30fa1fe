//! The machine that a result was measured on, for the provenance of that result. A field that the system does not tell is
//! absent; nothing that identifies a person or a host is read.

use anyhow::Result;
use serde::{Deserialize, Serialize};

/// The machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Operating system, such as `linux`.
    pub system: String,
    /// Architecture, such as `x86_64`.
    pub architecture: String,
    /// The processor's name.
    pub cpu_model: Option<String>,
    /// Processors that this process may use.
    pub cpu_count: usize,
    /// Threads on each core, as far as the machine shows.
    pub threads_per_core: Option<u32>,
    /// Memory.
    pub memory_bytes: Option<u64>,
    /// Swap space.
    pub swap_bytes: Option<u64>,
    /// Release of the kernel.
    pub kernel: Option<String>,
    /// Whether it is a virtual machine, and which, if it shows.
    pub virtualisation: Option<String>,
    /// What sets the clock rate of the processors.
    pub governor: Option<String>,
    /// Whether pages are made huge without being asked for.
    pub transparent_huge_pages: Option<String>,
    /// Files that a process may have open.
    pub open_files_limit: Option<u64>,
    /// Where the CPU time of components is read: `cgroup v2`, `cgroup v1` or `proc`.
    pub cpu_accounting: Option<String>,
    /// Part of the CPU time since its start that the host gave to others.
    pub steal_share: Option<f64>,
}

/// Reads the machine.
///
/// # Errors
/// When the system does not tell the least of it.
#[cfg(target_os = "linux")]
pub fn read() -> Result<Machine> {
    use procfs::prelude::*;
    let memory = procfs::Meminfo::current()?;
    let processors = procfs::CpuInfo::current()?;
    Ok(Machine {
        cpu_model: processors.model_name(0).map(str::to_owned),
        threads_per_core: threads_per_core(),
        memory_bytes: Some(memory.mem_total),
        swap_bytes: Some(memory.swap_total),
        kernel: line("/proc/sys/kernel/osrelease"),
        virtualisation: virtualisation(processors.get_field(0, "flags")),
        governor: line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        transparent_huge_pages: line("/sys/kernel/mm/transparent_hugepage/enabled").as_deref().and_then(chosen),
        cpu_accounting: Some(super::source::open()?.name().to_owned()),
        steal_share: super::noise::read()?.steal_share(),
        ..portable()
    })
}

/// Reads the machine.
///
/// # Errors
/// Never.
#[cfg(not(target_os = "linux"))]
pub fn read() -> Result<Machine> {
    Ok(portable())
}

fn portable() -> Machine {
    use nix::sys::resource::{Resource, getrlimit};
    Machine {
        system: std::env::consts::OS.to_owned(),
        architecture: std::env::consts::ARCH.to_owned(),
        cpu_count: std::thread::available_parallelism().map_or(1, usize::from),
        open_files_limit: getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft),
        ..Machine::default()
    }
}

#[cfg(target_os = "linux")]
fn line(path: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().next()?.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

/// The choice in a text such as `always [madvise] never`.
#[cfg(target_os = "linux")]
fn chosen(text: &str) -> Option<String> {
    Some(text.split_once('[')?.1.split_once(']')?.0.to_owned())
}

#[cfg(target_os = "linux")]
fn threads_per_core() -> Option<u32> {
    let siblings = line("/sys/devices/system/cpu/cpu0/topology/thread_siblings")?;
    siblings.split(',').map(|mask| u32::from_str_radix(mask, 16).ok().map(u32::count_ones)).sum()
}

#[cfg(target_os = "linux")]
fn virtualisation(flags: Option<&str>) -> Option<String> {
    let product = [line("/sys/class/dmi/id/sys_vendor"), line("/sys/class/dmi/id/product_name")];
    let named = product.into_iter().flatten().collect::<Vec<_>>().join(" ");
    let hypervisor = flags.is_some_and(|flags| flags.split_whitespace().any(|flag| flag == "hypervisor"));
    match (hypervisor, named.is_empty()) {
        (true, true) => Some("virtual machine".to_owned()),
        (true, false) => Some(format!("virtual machine ({named})")),
        (false, _) => None,
    }
}
