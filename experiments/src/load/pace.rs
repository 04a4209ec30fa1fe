//! Keeps the time of a trial: hands each user its next turn, when it is due, and tells the parent where on the clock the trial is.
//! It refuses to know what a turn is used for.
//!
//! Tickets are released by a thread of their own, because tokio's timers have a resolution of one millisecond, which is as long
//! as a request takes. A late ticket is released late; it is never dropped.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::schedule::{PlannedPhase, Ticket};
use super::spec::WorkerPart;

/// Leave to send one request.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// Place of the phase.
    pub phase: usize,
    /// Number of the request within the phase, over all processes.
    pub ticket: u64,
    /// When it should start; `None` in a closed loop, where it should start now.
    pub intended: Option<Instant>,
}

/// The clock of one trial.
pub struct Pace {
    phases: Vec<PacedPhase>,
    worker: WorkerPart,
    origin: OnceLock<Instant>,
    stopped: AtomicBool,
}

struct PacedPhase {
    plan: PlannedPhase,
    /// Turns that users have asked for.
    claimed: AtomicU64,
    /// Turns that users have got.
    granted: AtomicU64,
    due: Semaphore,
}

impl Pace {
    /// A clock that has not started.
    #[must_use]
    pub fn new(plan: Vec<PlannedPhase>, worker: WorkerPart) -> Self {
        let phases = plan.into_iter().map(|plan| PacedPhase {
            plan,
            claimed: AtomicU64::new(0),
            granted: AtomicU64::new(0),
            due: Semaphore::new(0),
        });
        Self { phases: phases.collect(), worker, origin: OnceLock::new(), stopped: AtomicBool::new(false) }
    }

    /// Starts the clock; the first phase begins at `origin`.
    pub fn start(&self, origin: Instant) {
        self.origin.get_or_init(|| origin);
    }

    fn origin(&self) -> Instant {
        *self.origin.get_or_init(Instant::now)
    }

    /// When the trial started, if it has.
    #[must_use]
    pub fn started(&self) -> Option<Instant> {
        self.origin.get().copied()
    }

    /// When a phase begins.
    #[must_use]
    pub fn phase_start(&self, phase: usize) -> Instant {
        self.origin() + Duration::from_micros(self.phases[phase].plan.start_us)
    }

    /// When a phase ends.
    #[must_use]
    pub fn phase_end(&self, phase: usize) -> Instant {
        self.origin() + Duration::from_micros(self.phases[phase].plan.end_us)
    }

    /// Waits for the next turn. `phase` is where this user is; it starts at 0 and belongs to the user. `None` when there is
    /// nothing left to do.
    pub async fn next(&self, phase: &mut usize) -> Option<Turn> {
        while let Some(paced) = self.phases.get(*phase) {
            if self.stopped.load(Ordering::Relaxed) {
                return None;
            }
            let turn = match &paced.plan.tickets {
                Some(tickets) => self.next_ticket(*phase, paced, tickets).await,
                None => self.next_at_once(*phase, paced).await,
            };
            if turn.is_some() {
                return turn;
            }
            *phase += 1;
        }
        None
    }

    async fn next_ticket(&self, phase: usize, paced: &PacedPhase, tickets: &[Ticket]) -> Option<Turn> {
        let count = tickets.len() as u64;
        if paced.claimed.fetch_add(1, Ordering::Relaxed) >= count {
            return None;
        }
        paced.due.acquire().await.ok()?.forget();
        // Which ticket it is, is decided after the wait: users wake in another order than they asked.
        let ticket = tickets[paced.granted.fetch_add(1, Ordering::Relaxed) as usize];
        Some(Turn { phase, ticket: ticket.index, intended: Some(self.due_at(paced, ticket)) })
    }

    async fn next_at_once(&self, phase: usize, paced: &PacedPhase) -> Option<Turn> {
        tokio::time::sleep_until(self.phase_start(phase).into()).await;
        if Instant::now() >= self.phase_end(phase) {
            return None;
        }
        let number = paced.granted.fetch_add(1, Ordering::Relaxed);
        let ticket = number * u64::from(self.worker.count) + u64::from(self.worker.index);
        Some(Turn { phase, ticket, intended: None })
    }

    fn due_at(&self, paced: &PacedPhase, ticket: Ticket) -> Instant {
        self.origin() + Duration::from_micros(paced.plan.start_us + ticket.offset_us)
    }

    /// Releases the tickets of one phase as they become due, and returns at its end. Blocks its thread.
    pub fn release(&self, phase: usize) {
        let paced = &self.phases[phase];
        sleep_until(self.phase_start(phase));
        let mut rest = paced.plan.tickets.as_deref().unwrap_or_default();
        while let Some(next) = rest.first() {
            if self.stopped.load(Ordering::Relaxed) {
                return;
            }
            sleep_until(self.due_at(paced, *next));
            let now = Instant::now();
            let due_count = rest.partition_point(|ticket| self.due_at(paced, *ticket) <= now).max(1);
            paced.due.add_permits(due_count);
            rest = &rest[due_count..];
        }
        sleep_until(self.phase_end(phase));
    }

    /// Ends the trial: nobody gets another turn.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        for phase in &self.phases {
            phase.due.close();
        }
    }

    /// How many phases there are.
    #[must_use]
    pub fn phase_count(&self) -> usize {
        self.phases.len()
    }

    /// Tickets of a phase; in a closed loop, as many as were sent.
    #[must_use]
    pub fn offered_count(&self, phase: usize) -> u64 {
        let paced = &self.phases[phase];
        paced
            .plan
            .tickets
            .as_ref()
            .map_or_else(|| paced.granted.load(Ordering::Relaxed), |tickets| tickets.len() as u64)
    }

    /// Turns of a phase that users got.
    #[must_use]
    pub fn sent_count(&self, phase: usize) -> u64 {
        self.phases[phase].granted.load(Ordering::Relaxed)
    }
}

/// Makes the sleeps of this thread as exact as the system can; the default may add 50 µs.
pub fn sharpen_sleep() {
    #[cfg(target_os = "linux")]
    if let Err(error) = nix::sys::prctl::set_timerslack(1) {
        tracing::debug!(%error, "could not reduce the timer slack");
    }
}

fn sleep_until(deadline: Instant) {
    let now = Instant::now();
    if deadline > now {
        std::thread::sleep(deadline - now);
    }
}
