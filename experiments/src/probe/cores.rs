//! Whether two processors are two: how much work both do side by side, as a share of what each does alone. Two hyper-threads of one
//! core share its units, and a virtual machine does not say which it has. It refuses to know what else runs; it must be little.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Serialize};

/// One try.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cores {
    /// Rounds that the first processor did alone.
    pub first_alone_count: u64,
    /// Rounds that the second processor did alone.
    pub second_alone_count: u64,
    /// Rounds of both while both were at work.
    pub both_count: u64,
}

impl Cores {
    /// What both did together, as a share of what they did alone: near 1 for two cores, a half to two thirds for two threads of one.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.both_count as f64 / (self.first_alone_count + self.second_alone_count).max(1) as f64
    }
}

/// Lets two processors work, each alone and then both, for `window` each time.
///
/// # Errors
/// When a thread cannot be started or bound to its processor.
pub fn measure(first: usize, second: usize, window: Duration) -> Result<Cores> {
    let first_alone_count = count(&[first], window)?;
    let second_alone_count = count(&[second], window)?;
    Ok(Cores { first_alone_count, second_alone_count, both_count: count(&[first, second], window)? })
}

fn count(processors: &[usize], window: Duration) -> Result<u64> {
    let start = Instant::now() + Duration::from_millis(5);
    let threads: Vec<_> =
        processors.iter().map(|&processor| std::thread::spawn(move || work(processor, start, window))).collect();
    threads.into_iter().map(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?).sum()
}

fn work(processor: usize, start: Instant, window: Duration) -> Result<u64> {
    bind(processor).with_context(|| format!("cannot run on processor {processor}"))?;
    while Instant::now() < start {
        std::hint::spin_loop();
    }
    let mut rounds = 0;
    while start.elapsed() < window {
        black_box(round());
        rounds += 1;
    }
    Ok(rounds)
}

/// Some microseconds of integer work that needs no memory: the units of a core, which hyper-threads share, and nothing else.
pub(super) fn round() -> u64 {
    (0..2_000_u64).fold(black_box(0x9E37_79B9_7F4A_7C15), |state, number| {
        let state = (state ^ (state >> 31)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        state.rotate_left(17).wrapping_add(number)
    })
}

#[cfg(target_os = "linux")]
pub(super) fn bind(processor: usize) -> Result<()> {
    let mut set = nix::sched::CpuSet::new();
    set.set(processor)?;
    Ok(nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &set)?)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn bind(_processor: usize) -> Result<()> {
    anyhow::bail!("this system cannot bind a thread to a processor")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_processor_twice_does_the_work_of_one() {
        // Both threads are bound to the same processor: the one case whose share is known, a half.
        let cores = measure(0, 0, Duration::from_millis(60)).unwrap();
        assert!(cores.first_alone_count > 0);
        assert!((0.25..0.85).contains(&cores.share()), "{cores:?}");
    }
}
