//! How fast the machine is at this moment: the time of some fixed work, arithmetic and system calls apart, because on virtual machines the
//! price of the kernel varies by itself. It refuses to say which speed is the right one; only two readings say something.

use std::hint::black_box;
use std::io::{Read, Write};
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Serialize};

use super::cores::{bind, round};

/// The work is done so often, and the median told: a short interruption spoils one of them.
const REPEATS: usize = 5;

/// Rounds of arithmetic in each, about 0.7 ms.
const ROUNDS: usize = 250;

/// Rounds of system calls in each, about 0.7 ms.
const CALLS: usize = 500;

/// One reading. It takes less than 10 ms on a processor with nothing else to do.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Canary {
    /// Time of a fixed piece of arithmetic.
    pub user_us: f64,
    /// Time of a fixed number of system calls: a byte through a pipe, and asking for the parent.
    pub kernel_us: f64,
}

/// Lets a thread work on `processor`. Blocks meanwhile.
///
/// # Errors
/// When there is no such processor, or this process may not use it.
pub fn read(processor: usize) -> Result<Canary> {
    let thread = std::thread::spawn(move || sing(processor));
    thread.join().map_err(|_| anyhow!("the canary's thread panicked"))?
}

fn sing(processor: usize) -> Result<Canary> {
    bind(processor).with_context(|| format!("the canary cannot run on processor {processor}"))?;
    let (mut reader, mut writer) = std::io::pipe().context("cannot make a pipe")?;
    let (mut users_us, mut kernels_us) = ([0.0; REPEATS], [0.0; REPEATS]);
    for (user_us, kernel_us) in users_us.iter_mut().zip(&mut kernels_us) {
        *user_us = timed_us(|| {
            (0..ROUNDS).for_each(|_| {
                black_box(round());
            });
            Ok(())
        })?;
        *kernel_us = timed_us(|| {
            let mut byte = [0];
            for _ in 0..CALLS {
                writer.write_all(&byte)?;
                reader.read_exact(&mut byte)?;
                black_box(nix::unistd::getppid());
            }
            Ok(())
        })?;
    }
    Ok(Canary { user_us: middle(users_us), kernel_us: middle(kernels_us) })
}

fn middle(mut times_us: [f64; REPEATS]) -> f64 {
    times_us.sort_by(f64::total_cmp);
    times_us[REPEATS / 2]
}

fn timed_us(work: impl FnOnce() -> std::io::Result<()>) -> Result<f64> {
    let started = Instant::now();
    work().context("cannot use a pipe")?;
    Ok(started.elapsed().as_secs_f64() * 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_short_and_says_the_same_twice() {
        let started = Instant::now();
        let (first, second) = (read(0).unwrap(), read(0).unwrap());
        assert!(started.elapsed().as_millis() < 200, "{:?} for {first:?} and {second:?}", started.elapsed());
        for ratio in [first.user_us / second.user_us, first.kernel_us / second.kernel_us] {
            assert!((0.2..5.0).contains(&ratio), "{first:?} and then {second:?}");
        }
        assert!(first.user_us > 50.0 && first.kernel_us > 50.0, "too short to be timed: {first:?}");
    }

    #[test]
    fn a_processor_that_is_not_there_is_named() {
        let error = read(1_000).unwrap_err().to_string();
        assert_eq!(error, "the canary cannot run on processor 1000");
    }
}
