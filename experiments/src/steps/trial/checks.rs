//! Whether a trial may be believed: what must hold of any trial, whatever it compares. Pure. A doubt is a reason in words; who finds
//! one keeps the trial, marks it, and tries again.

use std::collections::BTreeMap;

use super::{
    Load, Target,
    resources::{Readings, Sampling, Totals},
};
use crate::load::{
    recorder::{CacheStatus, SparseHistogram},
    result::{PhaseResult, ResultCell, TrialResult},
};

/// A generator that is later than this on a quiet machine measures itself.
const LARGEST_LAG_P99_US: u64 = 2_000;

/// Where the host takes more than this part of the processors' time, it may be the reason; then the generator may be later, since load
/// time includes its lag and all arms have it alike.
const NOTICEABLE_STEAL_SHARE: f64 = 0.01;
const LARGEST_LAG_P99_UNDER_STEAL_US: u64 = 5_000;

/// More than this of the processors' time in other hands, and a window says more about the neighbours than about the blog.
const LARGEST_STEAL_SHARE: f64 = 0.05;

/// More than this of its own processor, and the generator is what is measured.
const LARGEST_GENERATOR_SHARE: f64 = 0.85;

/// By so much may the requests under way in a closed loop exceed its users, which they cannot: rounding.
const LITTLE_TOLERANCE: f64 = 0.02;

/// Reasons not to believe a trial.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Doubts {
    /// About one phase.
    of_phase: BTreeMap<String, Vec<String>>,
    /// About the trial as a whole.
    of_trial: Vec<String>,
}

impl Doubts {
    /// Whether there is any.
    pub(super) fn any(&self) -> bool {
        self.first().is_some()
    }

    /// The first of them, if there is any.
    pub(super) fn first(&self) -> Option<&str> {
        self.of_phase.values().flatten().chain(&self.of_trial).next().map(String::as_str)
    }

    /// One more about the trial as a whole.
    pub(super) fn of_trial(&mut self, doubt: String) {
        self.of_trial.push(doubt);
    }

    /// All that is said against a phase, in one line; `None` if nothing is.
    pub(super) fn about(&self, phase: &str) -> Option<String> {
        let own = self.of_phase.get(phase).into_iter().flatten();
        let all: Vec<&str> = own.chain(&self.of_trial).map(String::as_str).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

/// Checks everything that can be checked. `sent` is what the generator did, for this arm or for all arms of a block that it served in turns:
/// a hundredth of the requests of one arm is a dozen, and the machine needs to stand still only once for all of them to be late.
pub(super) fn doubts(result: &TrialResult, sent: &TrialResult, load: &Load, readings: &Readings) -> Doubts {
    let mut doubts = Doubts::default();
    for phase in result.measured_phases() {
        let steal_share = readings.steal_share(&phase.name);
        let found = if load.may_fail.contains(&phase.name.as_str()) {
            // The blog may fail here, the machine and the generator may not.
            [stolen(steal_share), overworked(result), None, None]
        } else {
            [stolen(steal_share), unexpected(phase), late(sent, phase, load, steal_share), little(result, phase)]
        };
        doubts.of_phase.insert(phase.name.clone(), found.into_iter().flatten().collect());
    }
    if let Some(totals) = readings.totals() {
        doubts.of_trial = conservation(result, load, &totals, readings.sampling);
    }
    doubts
}

fn unexpected(phase: &PhaseResult) -> Option<String> {
    let unexpected = phase.unexpected_count + phase.unsent_count + phase.session_start_unexpected_count;
    let all = phase.offered_count + phase.session_start_count;
    (unexpected > 0).then(|| format!("{unexpected} of {all} requests got no expected answer"))
}

/// In a closed loop there is no schedule to be late for, and a frozen server makes everybody late.
fn late(sent: &TrialResult, phase: &PhaseResult, load: &Load, steal_share: Option<f64>) -> Option<String> {
    let lag_us = lag_quantile_us(sent, &phase.name, 0.99)?;
    let is_quiet = steal_share.is_none_or(|share| share <= NOTICEABLE_STEAL_SHARE);
    let largest_us = if is_quiet { LARGEST_LAG_P99_US } else { LARGEST_LAG_P99_UNDER_STEAL_US };
    (lag_us > largest_us && load.freeze.is_none())
        .then(|| format!("the generator was late: the p99 of its send lag was {lag_us} µs"))
}

/// A quantile of the send lag in a phase with a rate.
pub(super) fn lag_quantile_us(result: &TrialResult, phase: &str, quantile: f64) -> Option<u64> {
    result.spec.phases.iter().find(|planned| planned.name == phase)?.rate_per_s?;
    merged(result, phase, |cell| &cell.lag_us).quantile_us(quantile)
}

/// A quantile of the latency in a phase.
pub(super) fn latency_quantile_us(result: &TrialResult, phase: &str, quantile: f64) -> Option<u64> {
    merged(result, phase, |cell| &cell.latency_us).quantile_us(quantile)
}

/// The mean latency in a phase.
pub(super) fn mean_latency_us(result: &TrialResult, phase: &str) -> Option<f64> {
    let times = merged(result, phase, |cell| &cell.latency_us);
    (times.count() > 0).then(|| times.sum_us() / times.count() as f64)
}

fn merged(result: &TrialResult, phase: &str, time: fn(&ResultCell) -> &SparseHistogram) -> SparseHistogram {
    let mut merged = SparseHistogram::default();
    result.cells.iter().filter(|cell| cell.phase == phase).for_each(|cell| merged.merge(time(cell)));
    merged
}

/// What the generator used of the processors that it may run on, from the start to the end of the measured window.
pub(super) fn generator_cpu_share(result: &TrialResult) -> f64 {
    let used_us = result.generator.cpu_user_us + result.generator.cpu_kernel_us;
    used_us as f64 / (result.window_us as f64 * result.generator.cpu_count as f64)
}

fn overworked(result: &TrialResult) -> Option<String> {
    let share = generator_cpu_share(result);
    (share > LARGEST_GENERATOR_SHARE)
        .then(|| format!("the generator was at its own limit: it used {:.0} % of its processor", share * 100.0))
}

fn stolen(share: Option<f64>) -> Option<String> {
    let share = share.filter(|share| *share > LARGEST_STEAL_SHARE)?;
    Some(format!("the host gave {:.1} % of the processors' time to others", share * 100.0))
}

/// Little's law in a closed loop: the users are waiting for an answer all the time, or busy asking. So rate times time cannot exceed
/// their number. It is less by what the generator itself takes between an answer and the next question.
fn little(result: &TrialResult, phase: &PhaseResult) -> Option<String> {
    let planned = result.spec.phases.iter().find(|planned| planned.name == phase.name)?;
    if planned.rate_per_s.is_some() {
        return None;
    }
    let times = merged(result, &phase.name, |cell| &cell.service_us);
    let waiting_us = times.sum_us();
    // Those that began in the phase and ended after it are in the sum with their whole time, at most one of each user.
    let longest_us = times.quantile_us(1.0)? as f64;
    let users = f64::from(result.spec.users);
    let under_way = (waiting_us / 1e6 - users * longest_us / 1e6) / phase.duration_s;
    (under_way > users * (1.0 + LITTLE_TOLERANCE))
        .then(|| format!("{under_way:.1} requests were under way for {users} users"))
}

/// What the generator asked, NGINX passed on and the servers answered is one number, and so is what they asked of the database.
fn conservation(result: &TrialResult, load: &Load, totals: &Totals, sampling: Sampling) -> Vec<String> {
    let sum = |count: fn(&PhaseResult) -> u64| result.phases.iter().map(count).sum::<u64>();
    let asked = sum(|phase| phase.sent_count) + sum(|phase| phase.session_start_count);
    // Without an answer nobody knows how far a request came.
    let is_known = result.cells.iter().all(|cell| cell.status != 0) && sum(|phase| phase.unsent_count) == 0;
    if !is_known {
        return Vec::new();
    }
    let mut doubts = Vec::new();
    let mut equal = |who: &str, found: u64, expected: u64, what: &str| {
        if found != expected {
            doubts.push(format!("{who} counted {found} {what} and not {expected}"));
        }
    };
    if load.target == Target::Balancer {
        equal("nginx", totals.nginx_requests, asked, "requests");
    }
    equal("the app servers", totals.app_requests, asked, "requests");
    if let (false, Some(statements)) = (load.statements_per_miss.is_empty(), totals.statements) {
        let is_counted = |cell: &&ResultCell| {
            sampling == Sampling::EachSecond || result.measured_phases().any(|phase| phase.name == cell.phase)
        };
        let missed = result.cells.iter().filter(|cell| cell.cache != CacheStatus::Hit).filter(is_counted);
        let made: u64 = missed.map(|cell| cell.count * load.statements_of(&cell.endpoint)).sum();
        equal("postgres", statements, made, "statements");
    }
    doubts
}
