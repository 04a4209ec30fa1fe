//! Lets the servers stand still once, in the middle of a measured window: what an overloaded host, a long collection of garbage or a
//! stuck disk does to them. It knows processes and a clock.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::task::JoinHandle;

/// When, and for how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::steps) struct Freeze {
    /// From the start of the measured window.
    pub(in crate::steps) after_s: f64,
    /// Length.
    pub(in crate::steps) for_s: f64,
}

/// Freezes when the window begins; whatever happens, the servers run again when it is dropped.
pub(super) struct Switch {
    freeze: Option<Freeze>,
    pids: Vec<Pid>,
    task: Mutex<Option<JoinHandle<Result<f64>>>>,
}

impl Switch {
    pub(super) fn new(freeze: Option<Freeze>, pids: Vec<u32>) -> Self {
        Self {
            freeze,
            pids: pids.into_iter().map(|pid| Pid::from_raw(pid.cast_signed())).collect(),
            task: Mutex::default(),
        }
    }

    /// The measured window begins.
    pub(super) fn start(&self) {
        let Some(freeze) = self.freeze else { return };
        let pids = self.pids.clone();
        let task = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs_f64(freeze.after_s)).await;
            let since = Instant::now();
            send(&pids, Signal::SIGSTOP)?;
            tokio::time::sleep(Duration::from_secs_f64(freeze.for_s)).await;
            send(&pids, Signal::SIGCONT)?;
            Ok(since.elapsed().as_secs_f64())
        });
        if let Ok(mut place) = self.task.lock() {
            *place = Some(task);
        }
    }

    /// For how long they were really frozen.
    pub(super) async fn end(&self) -> Result<Option<f64>> {
        let task = self.task.lock().ok().and_then(|mut place| place.take());
        let Some(task) = task else { return Ok(None) };
        task.await.context("the servers could not be frozen")?.map(Some)
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        if let Some(task) = self.task.lock().ok().and_then(|mut place| place.take()) {
            task.abort();
            // One that is gone needs no waking.
            let _ = send(&self.pids, Signal::SIGCONT);
        }
    }
}

fn send(pids: &[Pid], signal: Signal) -> Result<()> {
    pids.iter().try_for_each(|&pid| kill(pid, signal)).with_context(|| format!("cannot send {signal} to a server"))
}
