//! Reads the components once a second, on a thread of its own, on the clock of a measured window. It refuses to stop the trial:
//! a reading that fails becomes rows without values.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Serialize};

use super::component::{Component, Usage};
use super::source::{Detail, Source};

const SECOND: Duration = Duration::from_secs(1);

/// A window that ends this much before a full second is meant to end at it.
const NEAR: Duration = Duration::from_millis(100);

/// Memory is read in every fifth second only: the kernel's walk through all pages would be a load of its own.
const MEMORY_EVERY: u32 = 5;

/// What one component used in one second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Second of the window.
    pub second: u32,
    /// Name of the component.
    pub component: String,
    /// How long the second was in truth.
    pub elapsed_us: u64,
    /// CPU time in user mode; absent when a reading failed.
    pub cpu_user_us: Option<u64>,
    /// CPU time in the kernel.
    pub cpu_kernel_us: Option<u64>,
    /// Memory in use at its end; read in every fifth second, from the first.
    pub memory_bytes: Option<u64>,
}

/// A running sampler. Dropping it ends its thread.
pub struct Sampler {
    stop: Sender<()>,
    thread: JoinHandle<Vec<Row>>,
}

impl Sampler {
    /// Starts reading; `origin` is the start of the window.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(source: Box<dyn Source>, components: Vec<Component>, origin: Instant) -> Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let sample = move || Sampling { source, components, rows: Vec::new() }.run(origin, &stopped);
        let thread = std::thread::Builder::new()
            .name("sampler".to_owned())
            .spawn(sample)
            .context("could not start the sampler's thread")?;
        Ok(Self { stop, thread })
    }

    /// Ends the window and gives the rows of its whole seconds. Blocks for a tenth of a second at most.
    ///
    /// # Errors
    /// When the sampler panicked.
    pub fn stop(self) -> Result<Vec<Row>> {
        let _ = self.stop.send(());
        self.thread.join().map_err(|_| anyhow!("the sampler panicked"))
    }
}

struct Sampling {
    source: Box<dyn Source>,
    components: Vec<Component>,
    rows: Vec<Row>,
}

type Reading = (Instant, Option<Vec<Usage>>);

impl Sampling {
    fn run(mut self, origin: Instant, stopped: &mpsc::Receiver<()>) -> Vec<Row> {
        let mut before = self.read(Detail::Cpu);
        for second in 0.. {
            let end = origin + SECOND * (second + 1);
            let last = match stopped.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Err(RecvTimeoutError::Timeout) => false,
                Ok(()) | Err(RecvTimeoutError::Disconnected) => true,
            };
            let missing = end.saturating_duration_since(Instant::now());
            if last && missing > NEAR {
                break;
            }
            std::thread::sleep(missing);
            let after = self.read(if second % MEMORY_EVERY == 0 { Detail::Memory } else { Detail::Cpu });
            self.note(second, &before, &after);
            before = after;
            if last {
                break;
            }
        }
        self.rows
    }

    fn read(&mut self, detail: Detail) -> Reading {
        let at = Instant::now();
        let usages = self.source.read(&self.components, detail);
        (at, usages.inspect_err(|error| tracing::warn!("the sampler could not read: {error:#}")).ok())
    }

    fn note(&mut self, second: u32, before: &Reading, after: &Reading) {
        for (index, component) in self.components.iter().enumerate() {
            let held = after.1.as_ref().map(|usages| usages[index]);
            let used = before.1.as_ref().zip(held).map(|(before, after)| Usage::difference(&before[index], &after));
            self.rows.push(Row {
                second,
                component: component.name.clone(),
                elapsed_us: (after.0 - before.0).as_micros() as u64,
                cpu_user_us: used.map(|used| used.cpu_user_us),
                cpu_kernel_us: used.map(|used| used.cpu_kernel_us),
                memory_bytes: held.and_then(|held| held.memory_bytes),
            });
        }
    }
}
