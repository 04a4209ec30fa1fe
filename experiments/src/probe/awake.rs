//! Keeps processors awake while others are measured on them, and tells how fast they are meanwhile. A processor with nothing to do goes
//! to sleep, a virtual one is then given to somebody else, and whoever has it next pays for the waking and for cold caches: a price that
//! the neighbours set anew all the time. So a thread of the scheduler's idle class works on each processor whenever nobody else wants it,
//! as `idle=poll` does for a whole kernel. It never knows for whom it makes room.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::time::{ClockId, clock_gettime};

use super::cores::bind;

/// Numbers that a round walks over, 256 KiB: more than the first cache of a processor and less than its second, so that a round becomes
/// dearer where a neighbour disturbs the caches, as what is measured does, and does not itself empty them.
const NUMBERS: usize = 32 << 10;

/// Steps of a round, some 10 µs.
const STEPS: u32 = 4_000;

/// Threads that keep processors awake. They end when it is dropped; nobody waits for that, since where others keep a processor busy a
/// thread may not get to see it for a while.
#[derive(Debug)]
pub struct Awake {
    stop: Arc<AtomicBool>,
    threads: Vec<Arc<Counts>>,
}

/// Who may ask how fast the processors are.
#[derive(Debug, Clone)]
pub struct Watch(Vec<Arc<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    rounds: AtomicU64,
    cpu_ns: AtomicU64,
}

/// What was done so far, on all of them together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Done {
    /// Rounds of the same work.
    pub rounds: u64,
    /// CPU time that they took.
    pub cpu_ns: u64,
}

impl Done {
    /// What was done between two readings.
    #[must_use]
    pub fn difference(before: &Self, after: &Self) -> Self {
        Self { rounds: after.rounds.saturating_sub(before.rounds), cpu_ns: after.cpu_ns.saturating_sub(before.cpu_ns) }
    }

    /// CPU time of one round: how slow the processors were. Absent where others wanted them all the time.
    #[must_use]
    pub fn round_ns(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "stays far below 2^53")]
        (self.rounds > 0).then(|| self.cpu_ns as f64 / self.rounds as f64)
    }
}

impl Awake {
    /// Starts a thread on each of `processors`, and returns when all are at work.
    ///
    /// # Errors
    /// When there is no such processor, or the system does not let a thread be of the idle class.
    pub fn keep(processors: &[usize]) -> Result<Self> {
        let mut awake = Self { stop: Arc::default(), threads: Vec::new() };
        for &processor in processors {
            let (stop, counts) = (Arc::clone(&awake.stop), Arc::new(Counts::default()));
            let (tell, told) = std::sync::mpsc::channel();
            let counted = Arc::clone(&counts);
            let work = move || {
                let ready = become_idle(processor);
                let is_ready = ready.is_ok();
                let _ = tell.send(ready);
                if is_ready {
                    keep_on(&stop, &counted);
                }
            };
            let thread = std::thread::Builder::new().name(format!("awake-{processor}")).spawn(work);
            thread.context("cannot start a thread that keeps a processor awake")?;
            told.recv().context("a thread that keeps a processor awake panicked")??;
            awake.threads.push(counts);
        }
        Ok(awake)
    }

    /// Somebody who may ask how fast the processors are.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch(self.threads.clone())
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}

impl Watch {
    /// What was done so far.
    #[must_use]
    pub fn read(&self) -> Done {
        self.0.iter().fold(Done::default(), |sum, counts| Done {
            rounds: sum.rounds + counts.rounds.load(Relaxed),
            cpu_ns: sum.cpu_ns + counts.cpu_ns.load(Relaxed),
        })
    }
}

/// Moves this thread to a processor, and lets it have only what nobody else wants.
fn become_idle(processor: usize) -> Result<()> {
    bind(processor).and_then(|()| want_nothing()).with_context(|| format!("cannot keep processor {processor} awake"))
}

#[cfg(target_os = "linux")]
fn want_nothing() -> Result<()> {
    use thread_priority::{
        NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
        thread_native_id,
    };
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle)
        .map_err(|error| anyhow::anyhow!("the system does not let a thread be of the idle class: {error}"))
}

#[cfg(not(target_os = "linux"))]
fn want_nothing() -> Result<()> {
    anyhow::bail!("this system has no idle class")
}

fn keep_on(stop: &AtomicBool, counts: &Counts) {
    let numbers: Vec<u64> = (0..NUMBERS as u64).collect();
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    while !stop.load(Relaxed) {
        state = round(&numbers, black_box(state));
        // Its own clock, which stands still while others have the processor.
        let cpu = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from);
        counts.cpu_ns.store(u64::try_from(cpu.as_nanos()).unwrap_or(u64::MAX), Relaxed);
        counts.rounds.fetch_add(1, Relaxed);
    }
}

/// Looks at numbers in an order that no processor foresees (xorshift, Marsaglia 2003).
fn round(numbers: &[u64], seed: u64) -> u64 {
    let (mut state, mut sum) = (seed | 1, 0_u64);
    for _ in 0..STEPS {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        #[expect(clippy::cast_possible_truncation, reason = "a place among the numbers")]
        let place = state as usize % NUMBERS;
        sum = sum.wrapping_add(numbers[place]);
    }
    state ^ (sum & 1)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn it_works_where_nobody_else_does_and_ends_when_it_is_dropped() {
        let awake = Awake::keep(&[0]).unwrap();
        let watch = awake.watch();
        let (start, before) = (Instant::now(), watch.read());
        while Done::difference(&before, &watch.read()).rounds < 100 {
            assert!(start.elapsed() < Duration::from_secs(60), "it gets no time: {:?}", watch.read());
            std::thread::sleep(Duration::from_millis(10));
        }
        let done = Done::difference(&before, &watch.read());
        let round_ns = done.round_ns().unwrap();
        assert!((1_000.0..1_000_000.0).contains(&round_ns), "{done:?}");
        drop(awake);
        let (start, mut last) = (Instant::now(), watch.read());
        loop {
            std::thread::sleep(Duration::from_millis(50));
            let now = watch.read();
            if now == last {
                break;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "it goes on");
            last = now;
        }
    }

    #[test]
    fn whoever_wants_the_processor_gets_it() {
        let awake = Awake::keep(&[0]).unwrap();
        let watch = awake.watch();
        let busy = std::thread::spawn(|| {
            bind(0).unwrap();
            let (start, before) = (Instant::now(), clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap());
            while start.elapsed() < Duration::from_millis(300) {
                black_box(super::super::cores::round());
            }
            Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap() - before)
        });
        let before = watch.read();
        let wanted = busy.join().unwrap();
        let left = Duration::from_nanos(Done::difference(&before, &watch.read()).cpu_ns);
        assert!(left < wanted / 10, "{left:?} of {wanted:?}");
    }

    #[test]
    fn no_rounds_have_no_time() {
        assert_eq!(Done::default().round_ns(), None);
        assert_eq!(Done { rounds: 4, cpu_ns: 10 }.round_ns(), Some(2.5));
    }

    #[test]
    fn a_processor_that_is_not_there_is_named() {
        let error = format!("{:#}", Awake::keep(&[1_000]).unwrap_err());
        assert!(error.starts_with("cannot keep processor 1000 awake"), "{error}");
    }
}
