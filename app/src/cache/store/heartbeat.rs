//! A timer that is always nearer than the time-outs of commands, while there are any. It measures nothing.
//!
//! When a timer is set that is nearer than all others, tokio wakes its own driver, through a file: one more system call, and one more turn
//! of the loop, for each page that asks Redis. As long as a nearer one is set already, it does not. At two thousand pages a second
//! that is a tenth of what a page costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Half of the shortest time-out, so that the next beat is nearer than any that begins now.
const BEAT: Duration = Duration::from_millis(25);

/// Beats while it is asked to.
#[derive(Debug, Default)]
pub(super) struct Heartbeat(Arc<State>);

#[derive(Debug, Default)]
struct State {
    is_beating: AtomicBool,
    is_wanted: AtomicBool,
}

impl Heartbeat {
    /// Somebody is about to set a time-out. Must be called inside the runtime.
    pub(super) fn touch(&self) {
        self.0.is_wanted.store(true, Ordering::Relaxed);
        if self.0.is_beating.load(Ordering::Relaxed) || self.0.is_beating.swap(true, Ordering::Relaxed) {
            return;
        }
        let state = Arc::clone(&self.0);
        tokio::spawn(async move {
            // It ends with the first beat in which nobody wanted it, so that an idle server sleeps. One that is missed now and then costs
            // a system call.
            while state.is_wanted.swap(false, Ordering::Relaxed) {
                tokio::time::sleep(BEAT).await;
            }
            state.is_beating.store(false, Ordering::Relaxed);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_beats_while_it_is_wanted_and_rests_otherwise() {
        let heartbeat = Heartbeat::default();
        let is_beating = || heartbeat.0.is_beating.load(Ordering::Relaxed);
        for _ in 0..5 {
            heartbeat.touch();
            tokio::time::sleep(BEAT / 2).await;
            assert!(is_beating());
        }
        while is_beating() {
            tokio::time::sleep(BEAT).await;
        }
        heartbeat.touch();
        assert!(is_beating());
    }
}
