//! For how long a processor stood still: a thread that comes before all others of it sleeps for a millisecond at a time, and counts by
//! how much it overslept. Not every host tells its guests what it takes from them (then `steal` is 0); this shows without its word. The
//! method is that of jHiccup (Tene 2012) and of cyclictest. It refuses to know who took the processor.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use thread_priority::{
    ThreadPriority,
    unix::{RealtimeThreadSchedulePolicy, ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id},
};

use super::cores::bind;

/// It sleeps for so long at a time.
const TICK: Duration = Duration::from_millis(1);

/// What is shorter is no hiccup: interrupts, and waking up from a processor's sleep.
const SHORTEST: Duration = Duration::from_millis(1);

/// Counts the hiccups of one processor until it is dropped.
pub struct Meter {
    stood_still_us: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Meter {
    /// Begins to count on `processor`.
    ///
    /// # Errors
    /// When there is no such processor, or this process may not have a thread of real-time class.
    pub fn start(processor: usize) -> Result<Self> {
        let (stood_still_us, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (ready, is_ready) = mpsc::channel();
        let (counter, end) = (Arc::clone(&stood_still_us), Arc::clone(&is_over));
        let thread = std::thread::Builder::new().name("hiccups".to_owned()).spawn(move || {
            let place = take_place(processor);
            let is_placed = place.is_ok();
            if ready.send(place).is_ok() && is_placed {
                count(&counter, &end);
            }
        })?;
        is_ready.recv().map_err(|_| anyhow!("the thread that counts hiccups panicked"))??;
        Ok(Self { stood_still_us, is_over, thread: Some(thread) })
    }

    /// For how long the processor stood still since the start, all hiccups together.
    #[must_use]
    pub fn stood_still_us(&self) -> u64 {
        self.stood_still_us.load(Ordering::Relaxed)
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        drop(self.thread.take().map(JoinHandle::join));
    }
}

fn take_place(processor: usize) -> Result<()> {
    bind(processor).with_context(|| format!("hiccups of processor {processor} cannot be counted"))?;
    let first = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
    set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, first).map_err(|error| {
        anyhow!(
            "cannot see when the host stops a processor without a word: a thread of real-time class is not allowed ({error}); run as \
             root, or allow it with `ulimit -r 1`"
        )
    })
}

fn count(stood_still_us: &AtomicU64, is_over: &AtomicBool) {
    while !is_over.load(Ordering::Relaxed) {
        let due = Instant::now() + TICK;
        std::thread::sleep(TICK);
        let late = due.elapsed();
        if late > SHORTEST {
            stood_still_us.fetch_add(u64::try_from(late.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keeps the processor for itself as only the host can: it is of the same class, where who came first stays.
    fn occupy(processor: usize, window: Duration) -> Result<Duration> {
        take_place(processor)?;
        let started = Instant::now();
        while started.elapsed() < window {
            std::hint::spin_loop();
        }
        Ok(started.elapsed())
    }

    #[test]
    fn a_processor_that_stood_still_is_seen_as_long_as_it_did() {
        let meter = Meter::start(0).unwrap();
        let occupied = std::thread::spawn(|| occupy(0, Duration::from_millis(40))).join().unwrap().unwrap();
        std::thread::sleep(Duration::from_millis(10));
        let seen_us = meter.stood_still_us();
        let occupied_us = u64::try_from(occupied.as_micros()).unwrap();
        // Up to a tick of it was spent asleep. The machine may have added hiccups of its own.
        assert!(seen_us + 1_500 >= occupied_us, "{seen_us} of {occupied_us} us");
        assert!(seen_us < occupied_us + 40_000, "{seen_us} of {occupied_us} us");
    }

    #[test]
    fn work_of_others_is_no_hiccup() {
        let meter = Meter::start(0).unwrap();
        let busy = std::thread::spawn(|| {
            bind(0)?;
            let started = Instant::now();
            while started.elapsed() < Duration::from_millis(200) {
                std::hint::spin_loop();
            }
            anyhow::Ok(())
        });
        busy.join().unwrap().unwrap();
        assert!(meter.stood_still_us() < 100_000, "{} of 200000 us", meter.stood_still_us());
    }

    #[test]
    fn a_processor_that_is_not_there_is_named() {
        let error = Meter::start(1_000).err().expect("there is no such processor").to_string();
        assert_eq!(error, "hiccups of processor 1000 cannot be counted");
    }
}
