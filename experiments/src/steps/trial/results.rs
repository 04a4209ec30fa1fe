//! What the load generator saw, as rows. Pure: histograms are added up, never summarised.

use std::collections::BTreeMap;

use super::{
    Detail, Place,
    checks::{Doubts, generator_cpu_share, lag_quantile_us},
    resources::Readings,
    rows::{LatencyRow, SecondRow, SessionRow, TrialRow},
};
use crate::load::{
    recorder::{CacheStatus, SparseHistogram},
    result::{PhaseResult, ResultCell, TrialResult},
};
use crate::stats::warm_up;

/// One row per measured phase.
pub(super) fn trials(
    result: &TrialResult,
    arm: &str,
    place: Place,
    readings: &Readings,
    doubts: &Doubts,
    body_digest: &str,
    settled_tenths: Option<u32>,
) -> Vec<TrialRow> {
    let share = generator_cpu_share(result);
    let row = |phase: &PhaseResult| TrialRow {
        block: place.block,
        place: place.place,
        arm: arm.to_owned(),
        attempt: place.attempt,
        phase: phase.name.clone(),
        duration_s: phase.duration_s,
        slices: readings.slices(&phase.name),
        slices_left_out: readings.left_out(&phase.name),
        users: result.spec.users,
        offered_per_s: planned_rate(result, &phase.name),
        achieved_per_s: phase.achieved_per_s,
        offered: phase.offered_count,
        expected: phase.expected_count,
        unexpected: phase.unexpected_count + phase.unsent_count,
        body_bytes: phase.body_bytes,
        generator_cpu_share: share,
        generator_lag_p50_us: lag_quantile_us(result, &phase.name, 0.5),
        generator_lag_p99_us: lag_quantile_us(result, &phase.name, 0.99),
        steal_share: readings.steal_share(&phase.name),
        canary_user_us: readings.canary_us(|canary| canary.user_us),
        canary_kernel_us: readings.canary_us(|canary| canary.kernel_us),
        settled_tenths,
        frozen_s: readings.frozen,
        body_digest: body_digest.to_owned(),
        error: doubts.about(&phase.name),
    };
    result.measured_phases().map(row).collect()
}

/// When load times had settled, in tenths of a second of the load of one trial: MSER-5 on the mean service time of each tenth, from its
/// warm-up to the end of its first measured phase. What comes after may be another load, so that only these phases are its `own`.
pub(super) fn settled_tenths(result: &TrialResult, is_own: impl Fn(&PhaseResult) -> bool) -> Option<u32> {
    let found = warm_up(&result.tenth_means_us(is_own))?;
    found.settled.then(|| u32::try_from(found.first_kept).ok()).flatten()
}

/// The rate that was planned; the one that a Poisson process happened to make differs a little.
fn planned_rate(result: &TrialResult, phase: &str) -> Option<f64> {
    result.spec.phases.iter().find(|planned| planned.name == phase).and_then(|planned| planned.rate_per_s)
}

type Key = (String, Option<i32>, Option<String>, Option<String>, Option<String>, u16);

/// The histograms of latency, told apart as `detail` says, one row per bucket.
pub(super) fn latencies(result: &TrialResult, arm: &str, place: Place, detail: Detail) -> Vec<LatencyRow> {
    let mut merged: BTreeMap<Key, SparseHistogram> = BTreeMap::new();
    for cell in result.measured_cells() {
        merged.entry(key(cell, detail)).or_default().merge(&cell.latency_us);
    }
    let mut rows = Vec::new();
    for ((phase, second, endpoint, served_by, cache, status), histogram) in merged {
        rows.extend(histogram.iter().map(|(bucket_us, count)| LatencyRow {
            block: place.block,
            arm: arm.to_owned(),
            attempt: place.attempt,
            phase: phase.clone(),
            second,
            endpoint: endpoint.clone(),
            served_by: served_by.clone(),
            cache: cache.clone(),
            status,
            bucket_us,
            count,
        }));
    }
    rows
}

fn key(cell: &ResultCell, detail: Detail) -> Key {
    let by_endpoint = detail == Detail::Endpoint;
    let by_second = detail == Detail::Second;
    let cache = match cell.cache {
        CacheStatus::Hit => "hit",
        CacheStatus::Miss => "miss",
        CacheStatus::Bypass => "bypass",
        CacheStatus::None => "none",
    };
    (
        cell.phase.clone(),
        by_second.then_some(cell.second),
        by_endpoint.then(|| cell.endpoint.clone()),
        (!by_endpoint && !cell.served_by.is_empty()).then(|| cell.served_by.clone()),
        by_endpoint.then(|| cache.to_owned()),
        cell.status,
    )
}

pub(super) fn seconds(result: &TrialResult, arm: &str, place: Place) -> Vec<SecondRow> {
    let mut completed: BTreeMap<i32, u64> = BTreeMap::new();
    for second in result.measured_phases().flat_map(|phase| &phase.completed) {
        *completed.entry(second.second).or_default() += second.count;
    }
    completed
        .into_iter()
        .map(|(second, completed)| SecondRow {
            block: place.block,
            arm: arm.to_owned(),
            attempt: place.attempt,
            second,
            completed,
        })
        .collect()
}

pub(super) fn sessions(result: &TrialResult, arm: &str, place: Place) -> Vec<SessionRow> {
    let row = |session: &crate::load::result::SessionResult| SessionRow {
        block: place.block,
        arm: arm.to_owned(),
        attempt: place.attempt,
        phase: session.phase.clone(),
        served_by: session.served_by.clone(),
        sessions: session.session_count,
        server_changes: session.server_change_count,
    };
    result.sessions.iter().map(row).collect()
}
