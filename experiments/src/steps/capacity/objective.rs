//! The objective: what a rate must keep to for the blog to carry it. It judges one trial, and knows nothing of searches.

use std::collections::BTreeMap;

use super::super::{
    profile::CapacityParameters,
    trial::rows::{LatencyRow, TrialRow},
};
use crate::{results::row, stats::percentile};

row! {
    /// What a rate had to keep to, and on what.
    pub struct ObjectiveRow in "objective.csv" {
        /// The 99th percentile of load time may be so much at most.
        largest_p99_us: f64,
        /// Less than this part of the requests may be without the expected answer.
        largest_error_share: f64,
        /// At least this part of what is due must have its answer by the end of the window.
        smallest_achieved_share: f64,
        /// Unmeasured seconds at the start of a trial.
        warm_up_s: f64,
        /// Processors on which NGINX, the app servers, Redis and PostgreSQL ran; empty where the machine does not tell.
        system_processors: Option<u64>,
    }
}

/// The parts of the objective, as they are named in summaries.
pub(super) const P99: &str = "p99";
pub(super) const ERRORS: &str = "errors";
pub(super) const ACHIEVED: &str = "achieved";

/// How one trial went.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Outcome {
    /// 99th percentile of the load time of all requests; one without an answer counts with the time until that was known.
    pub(super) p99_us: Option<u64>,
    /// The part of the requests without the expected answer.
    pub(super) error_share: f64,
    /// The part of what was due that had its answer by the end of the window.
    pub(super) achieved_share: f64,
}

impl Outcome {
    /// Reads the outcome of `trial`, whose requests took `times`, ascending pairs of load time and count.
    pub(super) fn new(trial: &TrialRow, times: &[(u64, u64)]) -> Self {
        Self {
            p99_us: percentile(times, 0.99),
            error_share: trial.unexpected as f64 / trial.offered.max(1) as f64,
            achieved_share: trial.achieved_share(),
        }
    }
}

impl ObjectiveRow {
    pub(super) fn new(capacity: &CapacityParameters, system_processors: Option<usize>) -> Self {
        Self {
            largest_p99_us: capacity.largest_p99_us,
            largest_error_share: capacity.largest_error_share,
            smallest_achieved_share: capacity.smallest_achieved_share,
            warm_up_s: capacity.warm_up_s,
            system_processors: system_processors.map(|count| count as u64),
        }
    }

    /// What of the objective was missed; nothing where it was met.
    pub(super) fn missed(&self, outcome: &Outcome) -> Vec<&'static str> {
        let is_quick = outcome.p99_us.is_some_and(|p99_us| p99_us as f64 <= self.largest_p99_us);
        let is_right = outcome.error_share < self.largest_error_share;
        let keeps_up = outcome.achieved_share >= self.smallest_achieved_share;
        let parts = [(P99, is_quick), (ERRORS, is_right), (ACHIEVED, keeps_up)];
        parts.into_iter().filter(|(_, is_met)| !is_met).map(|(part, _)| part).collect()
    }
}

/// The load times of all these requests, whoever answered them: ascending pairs of time and count.
pub(super) fn merged<'a>(latencies: impl IntoIterator<Item = &'a LatencyRow>) -> Vec<(u64, u64)> {
    let mut times: BTreeMap<u64, u64> = BTreeMap::new();
    for row in latencies {
        *times.entry(row.bucket_us).or_default() += row.count;
    }
    times.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_the_objective_can_be_missed() {
        let objective = ObjectiveRow {
            largest_p99_us: 50_000.0,
            largest_error_share: 0.001,
            smallest_achieved_share: 0.98,
            warm_up_s: 1.0,
            system_processors: None,
        };
        let good = Outcome { p99_us: Some(50_000), error_share: 0.0, achieved_share: 0.98 };
        assert_eq!(objective.missed(&good), Vec::<&str>::new());
        assert_eq!(objective.missed(&Outcome { p99_us: Some(50_001), ..good }), [P99]);
        assert_eq!(objective.missed(&Outcome { error_share: 0.001, ..good }), [ERRORS]);
        assert_eq!(objective.missed(&Outcome { p99_us: None, achieved_share: 0.5, ..good }), [P99, ACHIEVED]);
    }
}
