//! What the machine as a whole went through: how much of its processors was taken away by the host, how long somebody waited for
//! one. It tells a quiet window from a noisy one, and refuses to know why it was noisy.

use anyhow::Result;
use serde::{Deserialize, Serialize};

/// Counters since the machine's start. What a system does not tell is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    /// CPU time of all processors in which something ran.
    pub busy_us: u64,
    /// CPU time of all processors in which nothing ran.
    pub idle_us: u64,
    /// CPU time that the host gave to others.
    pub steal_us: Option<u64>,
    /// Time in which at least one thread waited for a processor.
    pub pressure_us: Option<u64>,
    /// Context switches.
    pub switch_count: u64,
    /// Average number of threads that ran or wanted to, over the last minute.
    pub load_average: f64,
}

impl Noise {
    /// What happened between two readings; of the load average, the later reading.
    #[must_use]
    pub fn difference(before: &Self, after: &Self) -> Self {
        let between = |before: Option<u64>, after: Option<u64>| Some(after?.saturating_sub(before?));
        Self {
            busy_us: after.busy_us.saturating_sub(before.busy_us),
            idle_us: after.idle_us.saturating_sub(before.idle_us),
            steal_us: between(before.steal_us, after.steal_us),
            pressure_us: between(before.pressure_us, after.pressure_us),
            switch_count: after.switch_count.saturating_sub(before.switch_count),
            load_average: after.load_average,
        }
    }

    /// The part of all CPU time that the host gave to others.
    #[must_use]
    pub fn steal_share(&self) -> Option<f64> {
        let steal_us = self.steal_us?;
        let all_us = self.busy_us + self.idle_us + steal_us;
        (all_us > 0).then(|| steal_us as f64 / all_us as f64)
    }
}

/// Reads the counters.
///
/// # Errors
/// When the system does not tell.
#[cfg(target_os = "linux")]
pub fn read() -> Result<Noise> {
    use procfs::prelude::*;
    let statistics = procfs::KernelStats::current()?;
    let tick_us = 1_000_000 / procfs::ticks_per_second();
    let cpu = &statistics.total;
    let busy = cpu.user + cpu.nice + cpu.system + cpu.irq.unwrap_or(0) + cpu.softirq.unwrap_or(0);
    Ok(Noise {
        busy_us: busy * tick_us,
        idle_us: (cpu.idle + cpu.iowait.unwrap_or(0)) * tick_us,
        steal_us: cpu.steal.map(|ticks| ticks * tick_us),
        pressure_us: procfs::CpuPressure::current().ok().map(|pressure| pressure.some.total),
        switch_count: statistics.ctxt,
        load_average: f64::from(procfs::LoadAverage::current()?.one),
    })
}

/// Reads the counters.
///
/// # Errors
/// Always: this system does not tell.
#[cfg(not(target_os = "linux"))]
pub fn read() -> Result<Noise> {
    anyhow::bail!("the machine's counters are read from `/proc`, which this system does not have; measure on Linux")
}
