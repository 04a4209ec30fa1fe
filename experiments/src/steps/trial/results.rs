//! What the load generator saw, as rows. Pure: histograms are added up, never summarised.

use std::collections::BTreeMap;

use super::{
    Detail, Place,
    rows::{LatencyRow, SecondRow, SessionRow, TrialRow},
};
use crate::load::{
    recorder::{CacheStatus, SparseHistogram},
    result::{PhaseResult, ResultCell, TrialResult},
};

/// A phase with more unexpected answers than this share of its requests says nothing of the load that was meant.
const LARGEST_UNEXPECTED_SHARE: f64 = 0.01;

pub(super) fn trials(result: &TrialResult, arm: &str, place: Place, may_fail: &[&str]) -> Vec<TrialRow> {
    let generator_us = result.generator.cpu_user_us + result.generator.cpu_kernel_us;
    #[expect(clippy::cast_precision_loss, reason = "durations in µs stay far below 2^53")]
    let share = generator_us as f64 / (result.window_us as f64 * result.generator.cpu_count as f64);
    let row = |phase: &PhaseResult| TrialRow {
        block: place.block,
        place: place.place,
        arm: arm.to_owned(),
        phase: phase.name.clone(),
        duration_s: phase.duration_s,
        offered_per_s: planned_rate(result, &phase.name),
        achieved_per_s: phase.achieved_per_s,
        offered: phase.offered_count,
        expected: phase.expected_count,
        unexpected: phase.unexpected_count + phase.unsent_count,
        body_bytes: phase.body_bytes,
        generator_cpu_share: share,
        generator_lag_p99_us: result.generator.lag_p99_us,
        error: doubt(phase).filter(|_| !may_fail.contains(&phase.name.as_str())),
    };
    result.measured_phases().map(row).collect()
}

/// The rate that was planned; the one that a Poisson process happened to make differs a little.
fn planned_rate(result: &TrialResult, phase: &str) -> Option<f64> {
    result.spec.phases.iter().find(|planned| planned.name == phase).and_then(|planned| planned.rate_per_s)
}

fn doubt(phase: &PhaseResult) -> Option<String> {
    let unexpected = phase.unexpected_count + phase.unsent_count;
    if too_many(unexpected, phase.offered_count) {
        return Some(format!("{unexpected} of {} requests got no expected answer", phase.offered_count));
    }
    let (bad, all) = (phase.session_start_unexpected_count, phase.session_start_count);
    too_many(bad, all).then(|| format!("{bad} of {all} sessions did not begin as expected"))
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn too_many(unexpected: u64, all: u64) -> bool {
    unexpected as f64 > LARGEST_UNEXPECTED_SHARE * all.max(1) as f64
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
    let by_endpoint = detail == Detail::ByEndpoint;
    let cache = match cell.cache {
        CacheStatus::Hit => "hit",
        CacheStatus::Miss => "miss",
        CacheStatus::Bypass => "bypass",
        CacheStatus::None => "none",
    };
    (
        cell.phase.clone(),
        (!by_endpoint).then_some(cell.second),
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
        .map(|(second, completed)| SecondRow { block: place.block, arm: arm.to_owned(), second, completed })
        .collect()
}

pub(super) fn sessions(result: &TrialResult, arm: &str, place: Place) -> Vec<SessionRow> {
    let row = |session: &crate::load::result::SessionResult| SessionRow {
        block: place.block,
        arm: arm.to_owned(),
        phase: session.phase.clone(),
        served_by: session.served_by.clone(),
        sessions: session.session_count,
        server_changes: session.server_change_count,
    };
    result.sessions.iter().map(row).collect()
}
