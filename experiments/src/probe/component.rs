//! A component and what it has used up so far. It refuses to know where the numbers come from.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::noise::{self, Noise};
use super::source::{Detail, Source};

/// A part of the system under a name: some processes and everything that they start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// Name, such as `postgres` or `app-1`.
    pub name: String,
    /// The processes whose descendants belong to it as well.
    pub roots: Vec<u32>,
}

impl Component {
    /// A component with one root.
    pub fn new(name: impl Into<String>, root: u32) -> Self {
        Self { name: name.into(), roots: vec![root] }
    }
}

/// What a component has used since its start, and what it holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// CPU time in user mode, children that have ended included.
    pub cpu_user_us: u64,
    /// CPU time in the kernel, children that have ended included.
    pub cpu_kernel_us: u64,
    /// Memory in use: each shared page is divided among those who share it (PSS). Absent where the system does not tell.
    pub memory_bytes: Option<u64>,
    /// Sum over the processes of the most that each ever held (VmHWM); shared pages count once for each process. Where a control group
    /// charges memory, the most that all held at once, with each page counted once.
    pub memory_peak_bytes: Option<u64>,
    /// How often one of its threads gave up the processor by itself.
    pub voluntary_switch_count: Option<u64>,
    /// How often one of its threads was made to give up the processor.
    pub involuntary_switch_count: Option<u64>,
    /// Processes that are alive; a reading of CPU time alone need not count them.
    pub process_count: u64,
}

impl Usage {
    /// CPU time in user mode and in the kernel.
    #[must_use]
    pub fn cpu_us(&self) -> u64 {
        self.cpu_user_us + self.cpu_kernel_us
    }

    /// What was used in two windows together; of what is held, the later reading, if there is one.
    #[must_use]
    pub fn sum(earlier: &Self, later: &Self) -> Self {
        let both =
            |ours: Option<u64>, theirs: Option<u64>| ours.map_or(theirs, |ours| Some(ours + theirs.unwrap_or(0)));
        Self {
            cpu_user_us: earlier.cpu_user_us + later.cpu_user_us,
            cpu_kernel_us: earlier.cpu_kernel_us + later.cpu_kernel_us,
            voluntary_switch_count: both(earlier.voluntary_switch_count, later.voluntary_switch_count),
            involuntary_switch_count: both(earlier.involuntary_switch_count, later.involuntary_switch_count),
            memory_bytes: later.memory_bytes.or(earlier.memory_bytes),
            memory_peak_bytes: later.memory_peak_bytes.or(earlier.memory_peak_bytes),
            process_count: later.process_count,
        }
    }

    /// What was used between two readings; of what is held, the later reading.
    #[must_use]
    pub fn difference(before: &Self, after: &Self) -> Self {
        // A thread that ends takes its exact time with it, so that a counter may go back by less than a tick.
        let between = |before: Option<u64>, after: Option<u64>| Some(after?.saturating_sub(before?));
        Self {
            cpu_user_us: after.cpu_user_us.saturating_sub(before.cpu_user_us),
            cpu_kernel_us: after.cpu_kernel_us.saturating_sub(before.cpu_kernel_us),
            voluntary_switch_count: between(before.voluntary_switch_count, after.voluntary_switch_count),
            involuntary_switch_count: between(before.involuntary_switch_count, after.involuntary_switch_count),
            ..*after
        }
    }
}

/// All components at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When the reading began.
    pub at: Instant,
    /// Usage by name.
    pub components: BTreeMap<String, Usage>,
    /// The machine's own counters.
    pub noise: Noise,
}

impl Snapshot {
    /// Reads all components.
    ///
    /// # Errors
    /// When a component's root is gone, or the system does not tell.
    pub fn read(source: &mut dyn Source, components: &[Component], detail: Detail) -> Result<Self> {
        let at = Instant::now();
        let noise = noise::read()?;
        let usages = source.read(components, detail).context("could not read what the components use")?;
        let components = components.iter().map(|component| component.name.clone()).zip(usages).collect();
        Ok(Self { at, components, noise })
    }

    /// What happened between two snapshots.
    #[must_use]
    pub fn difference(before: &Self, after: &Self) -> Difference {
        let between = |(name, after): (&String, &Usage)| {
            Some((name.clone(), Usage::difference(before.components.get(name)?, after)))
        };
        Difference {
            elapsed_us: after.at.saturating_duration_since(before.at).as_micros() as u64,
            components: after.components.iter().filter_map(between).collect(),
            noise: Noise::difference(&before.noise, &after.noise),
        }
    }
}

/// What happened between two snapshots.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Time between them.
    pub elapsed_us: u64,
    /// Usage by name.
    pub components: BTreeMap<String, Usage>,
    /// The machine's own counters.
    pub noise: Noise,
}
