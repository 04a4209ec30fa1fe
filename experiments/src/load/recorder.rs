//! Counts answers: for each second, phase, endpoint, server, cache status and status code, the histograms of three times. It
//! refuses to know how the answers were obtained. Two recorders merge exactly, bucket for bucket.
//!
//! The buckets are those of an HDR histogram from 1 µs to 60 s with three digits. They are kept sparse: one dense histogram
//! takes 140 kB, and a trial has thousands of cells with a few hundred filled buckets each. A request costs four look-ups while it is
//! measured, and its order costs nothing until it is read: so the maps are hashed, with a hash that is made for speed. Nobody outside
//! chooses the keys.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

use anyhow::{Result, anyhow};
use foldhash::fast::RandomState;
use hdrhistogram::Histogram;

/// The largest time that is told apart, one minute; longer ones are counted as this long.
pub const LONGEST_US: u64 = 60_000_000;

const DIGITS: u8 = 3;

static BUCKETS: LazyLock<Histogram<u64>> =
    LazyLock::new(|| dense().expect("the bounds are constants that the crate accepts"));

fn dense() -> Result<Histogram<u64>> {
    Histogram::new_with_bounds(1, LONGEST_US, DIGITS).map_err(|error| anyhow!("could not make a histogram: {error}"))
}

/// The filled buckets of an HDR histogram: the least value of the bucket, and how often it was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SparseHistogram {
    counts: HashMap<u64, u64, RandomState>,
}

impl SparseHistogram {
    /// Counts one time.
    pub fn record(&mut self, time_us: u64) {
        self.add(time_us, 1);
    }

    /// Counts the same time several times.
    pub fn add(&mut self, time_us: u64, count: u64) {
        let bucket_us = BUCKETS.lowest_equivalent(time_us.clamp(1, LONGEST_US));
        *self.counts.entry(bucket_us).or_default() += count;
    }

    /// Adds all of another histogram.
    pub fn merge(&mut self, other: &Self) {
        for (&bucket_us, &count) in &other.counts {
            *self.counts.entry(bucket_us).or_default() += count;
        }
    }

    /// The filled buckets, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let mut filled: Vec<(u64, u64)> = self.counts.iter().map(|(&bucket_us, &count)| (bucket_us, count)).collect();
        filled.sort_unstable();
        filled.into_iter()
    }

    /// How many times were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.values().sum()
    }

    /// The sum of all times, as the least values of their buckets.
    #[must_use]
    pub fn sum_us(&self) -> f64 {
        self.iter().map(|(bucket_us, count)| bucket_us as f64 * count as f64).sum()
    }

    /// The time that this share of all times does not exceed, as the highest value of its bucket; `None` without times.
    #[must_use]
    pub fn quantile_us(&self, share: f64) -> Option<u64> {
        let rank = ((share * self.count() as f64).ceil() as u64).max(1);
        let mut seen = 0;
        let found = self.iter().find(|(_, count)| {
            seen += count;
            seen >= rank
        });
        found.map(|(bucket_us, _)| BUCKETS.highest_equivalent(bucket_us).min(LONGEST_US))
    }

    /// The same as a dense histogram.
    ///
    /// # Errors
    /// Never for times that were recorded here.
    pub fn to_dense(&self) -> Result<Histogram<u64>> {
        let mut histogram = dense()?;
        for (bucket_us, count) in self.iter() {
            histogram
                .record_n(bucket_us, count)
                .map_err(|error| anyhow!("bucket {bucket_us} µs is outside the histogram: {error}"))?;
        }
        Ok(histogram)
    }
}

impl FromIterator<(u64, u64)> for SparseHistogram {
    fn from_iter<I: IntoIterator<Item = (u64, u64)>>(pairs: I) -> Self {
        let mut histogram = Self::default();
        for (bucket_us, count) in pairs {
            histogram.add(bucket_us, count);
        }
        histogram
    }
}

/// What the cache said about an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheStatus {
    /// Answered from the cache.
    Hit,
    /// Looked for and not found.
    Miss,
    /// Not looked for.
    Bypass,
    /// The answer has no `Cache-Status`.
    None,
}

impl CacheStatus {
    /// Reads the first member of a `Cache-Status` header (RFC 9211).
    #[must_use]
    pub fn parse(header: Option<&str>) -> Self {
        let Some(header) = header else {
            return Self::None;
        };
        let first = header.split(',').next().unwrap_or("");
        for parameter in first.split(';').skip(1).map(str::trim) {
            match parameter {
                "hit" => return Self::Hit,
                "fwd=bypass" | "fwd=method" | "fwd=request" => return Self::Bypass,
                _ if parameter.starts_with("fwd=") => return Self::Miss,
                _ => {}
            }
        }
        Self::None
    }
}

/// Why there was no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// No connection.
    Connect,
    /// No connection, because this machine had no local port left for one.
    NoPort,
    /// Not complete in time.
    Timeout,
    /// The body broke off.
    Body,
    /// Anything else, such as a reset before the headers.
    Request,
}

/// One request and what became of it.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Place of the phase in the trial.
    pub phase: u16,
    /// Second of the intended start, from the start of the measured window; negative in the warm-up.
    pub second: i32,
    /// Tenth of a second of the intended start, from the start of the trial.
    pub tenth: u32,
    /// Second in which the last byte came, on the clock of `second`.
    pub completed_second: i32,
    /// Whether the last byte came before the end of its phase.
    pub completed_in_phase: bool,
    /// Place of the endpoint in the specification.
    pub endpoint: u16,
    /// Whether the schedule asked for it; it did not for the start of a session.
    pub scheduled: bool,
    /// Whether its times count; they do not in the lead of a phase.
    pub timed: bool,
    /// `X-Served-By`, or empty.
    pub served_by: Arc<str>,
    /// `Cache-Status`.
    pub cache: CacheStatus,
    /// Status code; 0 when there was no answer.
    pub status: u16,
    /// Why there was no answer.
    pub failure: Option<FailureKind>,
    /// Whether the answer was the one that the specification asks for.
    pub expected: bool,
    /// Length of the body.
    pub body_bytes: u64,
    /// From the intended start to the last byte.
    pub latency_us: u64,
    /// From sending to the last byte.
    pub service_us: u64,
    /// From the intended start to sending.
    pub lag_us: u64,
}

/// What a cell of the recorder is counted by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CellKey {
    /// Place of the phase.
    pub phase: u16,
    /// Second of the intended start.
    pub second: i32,
    /// Place of the endpoint.
    pub endpoint: u16,
    /// `X-Served-By`, or empty.
    pub served_by: Arc<str>,
    /// `Cache-Status`.
    pub cache: CacheStatus,
    /// Status code, or 0.
    pub status: u16,
    /// Why there was no answer.
    pub failure: Option<FailureKind>,
}

/// All requests with the same key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// How many requests, those without times as well.
    pub count: u64,
    /// How many answers were not the expected one.
    pub unexpected_count: u64,
    /// Sum of the bodies.
    pub body_bytes: u64,
    /// From the intended start to the last byte.
    pub latency_us: SparseHistogram,
    /// From sending to the last byte.
    pub service_us: SparseHistogram,
    /// From the intended start to sending.
    pub lag_us: SparseHistogram,
}

/// Completions of one phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Completed {
    /// With any answer or failure, before the phase ended.
    pub in_phase_count: u64,
    /// The same, but only those that were answered as expected.
    pub expected_in_phase_count: u64,
}

/// Counts samples.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorder {
    cells: HashMap<CellKey, Cell, RandomState>,
    completed: BTreeMap<u16, Completed>,
    completed_by_second: BTreeMap<(u16, i32), u64>,
    tenths: BTreeMap<u32, Tenth>,
}

/// The requests that were due in one tenth of a second, for whoever asks when a trial had settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenth {
    /// How many.
    pub count: u64,
    /// The sum of their times from sending to the last byte.
    pub service_us: u64,
}

impl Recorder {
    /// Counts one request.
    pub fn record(&mut self, sample: &Sample) {
        let key = CellKey {
            phase: sample.phase,
            second: sample.second,
            endpoint: sample.endpoint,
            served_by: Arc::clone(&sample.served_by),
            cache: sample.cache,
            status: sample.status,
            failure: sample.failure,
        };
        let cell = self.cells.entry(key).or_default();
        cell.count += 1;
        cell.unexpected_count += u64::from(!sample.expected);
        cell.body_bytes += sample.body_bytes;
        if sample.timed {
            cell.latency_us.record(sample.latency_us);
            cell.service_us.record(sample.service_us);
            cell.lag_us.record(sample.lag_us);
        }
        if !sample.scheduled {
            return;
        }
        let tenth = self.tenths.entry(sample.tenth).or_default();
        tenth.count += 1;
        tenth.service_us += sample.service_us;
        let completed = self.completed.entry(sample.phase).or_default();
        completed.in_phase_count += u64::from(sample.completed_in_phase);
        completed.expected_in_phase_count += u64::from(sample.completed_in_phase && sample.expected);
        *self.completed_by_second.entry((sample.phase, sample.completed_second)).or_default() += 1;
    }

    /// Adds all of another recorder.
    pub fn merge(&mut self, other: &Self) {
        for (key, theirs) in &other.cells {
            let ours = self.cells.entry(key.clone()).or_default();
            ours.count += theirs.count;
            ours.unexpected_count += theirs.unexpected_count;
            ours.body_bytes += theirs.body_bytes;
            ours.latency_us.merge(&theirs.latency_us);
            ours.service_us.merge(&theirs.service_us);
            ours.lag_us.merge(&theirs.lag_us);
        }
        for (&phase, theirs) in &other.completed {
            let ours = self.completed.entry(phase).or_default();
            ours.in_phase_count += theirs.in_phase_count;
            ours.expected_in_phase_count += theirs.expected_in_phase_count;
        }
        for (&key, &count) in &other.completed_by_second {
            *self.completed_by_second.entry(key).or_default() += count;
        }
        for (&tenth, theirs) in &other.tenths {
            let ours = self.tenths.entry(tenth).or_default();
            ours.count += theirs.count;
            ours.service_us += theirs.service_us;
        }
    }

    /// The cells in order.
    #[must_use]
    pub fn cells(&self) -> BTreeMap<&CellKey, &Cell> {
        self.cells.iter().collect()
    }

    /// The scheduled requests by the tenth of a second in which they were due.
    #[must_use]
    pub fn tenths(&self) -> &BTreeMap<u32, Tenth> {
        &self.tenths
    }

    /// Completions of one phase.
    #[must_use]
    pub fn completed(&self, phase: u16) -> Completed {
        self.completed.get(&phase).copied().unwrap_or_default()
    }

    /// Requests by the second in which their last byte came, of one phase.
    pub fn completed_by_second(&self, phase: u16) -> impl Iterator<Item = (i32, u64)> + '_ {
        self.completed_by_second
            .iter()
            .filter(move |((of, _), _)| *of == phase)
            .map(|((_, second), count)| (*second, *count))
    }
}
