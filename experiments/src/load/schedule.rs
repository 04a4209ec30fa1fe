//! When each request is due: a pure function of the specification, so that two arms get the same arrivals and several processes
//! can share one schedule without talking to each other. It knows no clock.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::spec::{Arrivals, Phase, TrialSpec, WorkerPart};

/// One request that is due at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Number within its phase, counted over all processes.
    pub index: u64,
    /// When it is due, from the start of its phase.
    pub offset_us: u64,
}

/// A phase on the trial's clock, with its tickets if it has a rate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedPhase {
    /// Start, from the start of the trial.
    pub start_us: u64,
    /// End, from the start of the trial.
    pub end_us: u64,
    /// The tickets of this process in order, or `None` in a closed loop.
    pub tickets: Option<Vec<Ticket>>,
}

/// All phases of a trial for the part of the schedule that its process sends.
#[must_use]
pub fn plan(spec: &TrialSpec) -> Vec<PlannedPhase> {
    let mut start_us = 0;
    let mut planned = Vec::with_capacity(spec.phases.len());
    for (index, phase) in spec.phases.iter().enumerate() {
        start_us += (phase.pause_s * 1e6).round() as u64;
        let end_us = start_us + duration_us(phase);
        let tickets = tickets(phase, spec.draws(index), spec.arrivals, spec.seed).map(|all| part(&all, spec.worker));
        planned.push(PlannedPhase { start_us, end_us, tickets });
        start_us = end_us;
    }
    planned
}

/// All tickets of one phase, or `None` in a closed loop. `draws` is the number that its draws come from.
#[must_use]
pub fn tickets(phase: &Phase, draws: u64, arrivals: Arrivals, seed: u64) -> Option<Vec<Ticket>> {
    let rate_per_s = phase.rate_per_s?;
    let offsets = match arrivals {
        Arrivals::Constant => constant_offsets_us(rate_per_s, phase.duration_s),
        Arrivals::Poisson => poisson_offsets_us(rate_per_s, duration_us(phase), draws, seed),
    };
    Some((0..).zip(offsets).map(|(index, offset_us)| Ticket { index, offset_us }).collect())
}

/// The tickets that one of several processes takes.
#[must_use]
pub fn part(tickets: &[Ticket], worker: WorkerPart) -> Vec<Ticket> {
    tickets.iter().filter(|ticket| ticket.index % u64::from(worker.count) == u64::from(worker.index)).copied().collect()
}

fn duration_us(phase: &Phase) -> u64 {
    (phase.duration_s * 1e6).round() as u64
}

fn constant_offsets_us(rate_per_s: f64, duration_s: f64) -> Vec<u64> {
    let count = (rate_per_s * duration_s).round() as u64;
    let last_us = (duration_s * 1e6) as u64;
    // Each offset is computed from its number, so that rounding does not add up over a long phase.
    (0..count).map(|number| ((number as f64 * 1e6 / rate_per_s) as u64).min(last_us)).collect()
}

fn poisson_offsets_us(rate_per_s: f64, duration_us: u64, draws: u64, seed: u64) -> Vec<u64> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    // The highest streams: the draws of requests count their streams from 0 (see `request`).
    random.set_stream(u64::MAX - draws);
    let mut offsets = Vec::with_capacity((rate_per_s * duration_us as f64 / 1e6 * 1.1) as usize);
    let mut at_us = 0.0;
    loop {
        // The inverse of the exponential distribution; 1 - u is never 0.
        let uniform: f64 = random.random();
        at_us += -(1.0 - uniform).ln() * 1e6 / rate_per_s;
        if at_us >= duration_us as f64 {
            return offsets;
        }
        offsets.push(at_us as u64);
    }
}
