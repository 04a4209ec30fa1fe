//! The result of one trial: a versioned JSON file, complete or absent. It keeps histograms and never percentiles, because only
//! histograms can be merged.

use std::collections::{BTreeMap, btree_map::Entry};
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::recorder::{CacheStatus, FailureKind, SparseHistogram, Tenth};
use super::spec::{Phase, TrialSpec};

/// The only version of the format that this program reads and writes.
pub const RESULT_VERSION: u32 = 5;

/// A generator that is later than this measures itself.
const LARGEST_LAG_P99_US: u64 = 2_000;

/// A tenth of a second.
const TENTH_US: u64 = 100_000;

/// A generator sends from one thread; one that uses more than this share of a processor may be the bottleneck.
const LARGEST_CPU_SHARE: f64 = 0.85;

/// What one trial saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrialResult {
    /// Version of the format, [`RESULT_VERSION`].
    pub version: u32,
    /// What was asked for.
    pub spec: TrialSpec,
    /// Length of the measured window.
    pub window_us: u64,
    /// The phases in order.
    pub phases: Vec<PhaseResult>,
    /// Requests by second, phase, endpoint, server, cache status and status code; the warm-up too, in negative seconds.
    pub cells: Vec<ResultCell>,
    /// Scheduled requests by the tenth of a second in which they were due, from the start of the trial, warm-up included.
    pub tenths: BTreeMap<u32, Tenth>,
    /// Sessions by phase and server; empty when users keep no cookies.
    pub sessions: Vec<SessionResult>,
    /// What the generator itself cost.
    pub generator: Generator,
    /// Reasons to doubt the trial.
    pub warnings: Vec<String>,
}

/// Totals of one phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhaseResult {
    /// Name.
    pub name: String,
    /// Whether it belongs to the measured window.
    pub measured: bool,
    /// Begin, from the start of the measured window; negative in the warm-up.
    pub start_s: f64,
    /// Length.
    pub duration_s: f64,
    /// Requests that were due; in a closed loop, as many as were sent.
    pub offered_count: u64,
    /// Requests that were sent.
    pub sent_count: u64,
    /// Requests that got an answer of any kind.
    pub answered_count: u64,
    /// Requests that got the expected answer.
    pub expected_count: u64,
    /// Requests that got another answer, or none.
    pub unexpected_count: u64,
    /// Requests that got no answer.
    pub failed_count: u64,
    /// Requests that were due and never sent, because the drain limit was reached.
    pub unsent_count: u64,
    /// Requests with which a session began; they are in none of the other counts.
    #[serde(default)]
    pub session_start_count: u64,
    /// The part of them that got another answer than the expected one, or none.
    #[serde(default)]
    pub session_start_unexpected_count: u64,
    /// Sum of the bodies.
    pub body_bytes: u64,
    /// Offered rate.
    pub offered_per_s: f64,
    /// Rate of expected answers that were complete before the phase ended.
    pub achieved_per_s: f64,
    /// Requests by the second in which they were complete.
    pub completed: Vec<SecondCount>,
}

/// A count in one second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecondCount {
    /// From the start of the measured window.
    pub second: i32,
    /// How many.
    pub count: u64,
}

/// Requests that agree in everything but their times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResultCell {
    /// Name of the phase.
    pub phase: String,
    /// Second of the intended start, from the start of the measured window.
    pub second: i32,
    /// Name of the endpoint.
    pub endpoint: String,
    /// `X-Served-By`, or empty.
    pub served_by: String,
    /// `Cache-Status`.
    pub cache: CacheStatus,
    /// Status code; 0 without an answer.
    pub status: u16,
    /// Why there was no answer.
    pub error: Option<FailureKind>,
    /// How many; the histograms hold those of them that were timed.
    pub count: u64,
    /// How many of them were not the expected answer.
    pub unexpected_count: u64,
    /// Sum of the bodies.
    pub body_bytes: u64,
    /// From the intended start to the last byte: pairs of bucket and count.
    #[serde(with = "pairs")]
    pub latency_us: SparseHistogram,
    /// From sending to the last byte.
    #[serde(with = "pairs")]
    pub service_us: SparseHistogram,
    /// From the intended start to sending.
    #[serde(with = "pairs")]
    pub lag_us: SparseHistogram,
}

/// Sessions that one server answered first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionResult {
    /// Name of the phase.
    pub phase: String,
    /// The server that answered the session's first request.
    pub served_by: String,
    /// Sessions.
    pub session_count: u64,
    /// Requests that another server answered than the one before in the same session.
    pub server_change_count: u64,
}

/// What the generator cost and how well it kept time, in the measured window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generator {
    /// CPU time in user mode.
    pub cpu_user_us: u64,
    /// CPU time in the kernel.
    pub cpu_kernel_us: u64,
    /// Processors it could run on.
    pub cpu_count: usize,
    /// Largest resident memory.
    pub peak_memory_bytes: u64,
    /// Median of the send lag; absent without a phase with a rate.
    pub lag_p50_us: Option<u64>,
    /// 99th percentile of the send lag.
    pub lag_p99_us: Option<u64>,
    /// Largest send lag.
    pub lag_max_us: Option<u64>,
}

impl TrialResult {
    /// Writes the file whole or not at all.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let write = || -> Result<()> {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            let mut buffer = std::io::BufWriter::new(&mut file);
            serde_json::to_writer(&mut buffer, self)?;
            buffer.flush()?;
            drop(buffer);
            file.persist(path)?;
            Ok(())
        };
        write().with_context(|| format!("could not write the trial's result `{}`", path.display()))
    }

    /// Reads a result.
    ///
    /// # Errors
    /// When there is no such file, or it is not a result of this version.
    pub fn read(path: &Path) -> Result<Self> {
        let read = || -> Result<Self> {
            let result: Self = serde_json::from_str(&std::fs::read_to_string(path)?)?;
            ensure!(
                result.version == RESULT_VERSION,
                "its version is {}; this program reads version {RESULT_VERSION}",
                result.version
            );
            Ok(result)
        };
        read().with_context(|| format!("could not read the trial's result `{}`", path.display()))
    }

    /// What a trial with the kept phases alone would have seen; those that get the same name become one. Tenths are of the trial as a
    /// whole and do not survive; of what the generator used, the part gets as much as of the measured time. It is warned of what its
    /// phases were, not of a generator that served others as well.
    #[must_use]
    pub fn part(&self, name_of: impl Fn(&str) -> Option<String>) -> Self {
        let mut phases: Vec<PhaseResult> = Vec::new();
        let mut planned: Vec<Phase> = Vec::new();
        for (phase, plan) in self.phases.iter().zip(&self.spec.phases) {
            let Some(name) = name_of(&phase.name) else { continue };
            match phases.iter().position(|earlier| earlier.name == name) {
                Some(place) => {
                    phases[place].append(phase);
                    planned[place].duration_s += plan.duration_s;
                }
                None => {
                    phases.push(PhaseResult { name: name.clone(), ..phase.clone() });
                    planned.push(Phase { name, ..plan.clone() });
                }
            }
        }
        let window_s: f64 = phases.iter().filter(|phase| phase.measured).map(|phase| phase.duration_s).sum();
        let of_part = |cpu_us: u64| (cpu_us as f64 * window_s * 1e6 / self.window_us.max(1) as f64).round() as u64;
        let part = Self {
            generator: Generator {
                cpu_user_us: of_part(self.generator.cpu_user_us),
                cpu_kernel_us: of_part(self.generator.cpu_kernel_us),
                ..self.generator.clone()
            },
            spec: TrialSpec { phases: planned, ..self.spec.clone() },
            window_us: (window_s * 1e6).round() as u64,
            phases,
            cells: merged_cells(&self.cells, &name_of),
            tenths: BTreeMap::new(),
            sessions: self
                .sessions
                .iter()
                .filter_map(|session| Some(SessionResult { phase: name_of(&session.phase)?, ..session.clone() }))
                .collect(),
            ..self.clone()
        };
        Self { warnings: phase_warnings(&part), ..part }
    }

    /// The mean service time of each tenth of a second that lies wholly within one of the phases that are wanted, in order, µs. One in which
    /// nothing was due has none.
    #[must_use]
    pub fn tenth_means_us(&self, is_wanted: impl Fn(&PhaseResult) -> bool) -> Vec<f64> {
        // Phases count from the measured window, and tenths from the first phase.
        let begin_s = self.phases.first().map_or(0.0, |first| first.start_s);
        let mut means_us = Vec::new();
        for phase in &self.phases {
            let [start_us, end_us] =
                [phase.start_s, phase.start_s + phase.duration_s].map(|at_s| ((at_s - begin_s) * 1e6).round() as u64);
            let (first, end) = (start_us.div_ceil(TENTH_US) as u32, (end_us / TENTH_US) as u32);
            if first < end && is_wanted(phase) {
                means_us.extend(
                    self.tenths.range(first..end).map(|(_, tenth)| tenth.service_us as f64 / tenth.count as f64),
                );
            }
        }
        means_us
    }

    /// The cells of the measured phases, without the starts of sessions.
    pub fn measured_cells(&self) -> impl Iterator<Item = &ResultCell> {
        let measured = |name: &str| self.phases.iter().any(|phase| phase.measured && phase.name == name);
        self.cells.iter().filter(move |cell| measured(&cell.phase) && !self.spec.is_session_start(&cell.endpoint))
    }

    /// The measured phases.
    pub fn measured_phases(&self) -> impl Iterator<Item = &PhaseResult> {
        self.phases.iter().filter(|phase| phase.measured)
    }

    /// One of the three times over all measured cells that pass the filter.
    pub fn merged(
        &self,
        time: impl Fn(&ResultCell) -> &SparseHistogram,
        keep: impl Fn(&ResultCell) -> bool,
    ) -> SparseHistogram {
        let mut merged = SparseHistogram::default();
        for cell in self.measured_cells().filter(|cell| keep(cell)) {
            merged.merge(time(cell));
        }
        merged
    }
}

impl PhaseResult {
    /// Adds a later phase of the same kind.
    fn append(&mut self, later: &Self) {
        let duration_s = self.duration_s + later.duration_s;
        let mean = |ours: f64, theirs: f64| (ours * self.duration_s + theirs * later.duration_s) / duration_s;
        self.offered_per_s = mean(self.offered_per_s, later.offered_per_s);
        self.achieved_per_s = mean(self.achieved_per_s, later.achieved_per_s);
        self.duration_s = duration_s;
        self.offered_count += later.offered_count;
        self.sent_count += later.sent_count;
        self.answered_count += later.answered_count;
        self.expected_count += later.expected_count;
        self.unexpected_count += later.unexpected_count;
        self.failed_count += later.failed_count;
        self.unsent_count += later.unsent_count;
        self.session_start_count += later.session_start_count;
        self.session_start_unexpected_count += later.session_start_unexpected_count;
        self.body_bytes += later.body_bytes;
        self.completed.extend(&later.completed);
    }
}

/// The cells of the kept phases under their new names; those that agree in all but their second become one.
fn merged_cells(cells: &[ResultCell], name_of: impl Fn(&str) -> Option<String>) -> Vec<ResultCell> {
    type Key = (String, String, String, CacheStatus, u16, Option<FailureKind>);
    let mut merged: BTreeMap<Key, ResultCell> = BTreeMap::new();
    for cell in cells {
        let Some(phase) = name_of(&cell.phase) else { continue };
        let key = (phase.clone(), cell.endpoint.clone(), cell.served_by.clone(), cell.cache, cell.status, cell.error);
        match merged.entry(key) {
            Entry::Vacant(place) => {
                place.insert(ResultCell { phase, ..cell.clone() });
            }
            Entry::Occupied(mut place) => {
                let sum = place.get_mut();
                sum.count += cell.count;
                sum.unexpected_count += cell.unexpected_count;
                sum.body_bytes += cell.body_bytes;
                sum.latency_us.merge(&cell.latency_us);
                sum.service_us.merge(&cell.service_us);
                sum.lag_us.merge(&cell.lag_us);
            }
        }
    }
    merged.into_values().collect()
}

/// What a reader of the result should doubt.
#[must_use]
pub fn warnings(result: &TrialResult) -> Vec<String> {
    let mut warnings = phase_warnings(result);
    if let Some(lag_us) = result.generator.lag_p99_us.filter(|&lag_us| lag_us > LARGEST_LAG_P99_US) {
        warnings.push(format!("the generator was late: the 99th percentile of its send lag is {lag_us} µs"));
    }
    let cpu_us = result.generator.cpu_user_us + result.generator.cpu_kernel_us;
    let share = cpu_us as f64 / result.window_us as f64;
    if share > LARGEST_CPU_SHARE {
        warnings.push(format!("the generator used {:.0} % of the one processor that it sends from", share * 100.0));
    }
    warnings
}

/// The part of them that is about phases, and not about the generator.
#[must_use]
pub fn phase_warnings(result: &TrialResult) -> Vec<String> {
    let mut warnings = Vec::new();
    for phase in result.measured_phases() {
        let mut warn = |count: u64, what: &str| {
            if count > 0 {
                warnings.push(format!("phase `{}`: {count} of {} requests {what}", phase.name, phase.offered_count));
            }
        };
        warn(phase.unsent_count, "were never sent, because the drain limit was reached");
        warn(phase.failed_count, "got no answer");
        let without_port = result.cells.iter().filter(|cell| cell.phase == phase.name);
        let without_port = without_port.filter(|cell| cell.error == Some(FailureKind::NoPort));
        warn(
            without_port.map(|cell| cell.count).sum(),
            "found no free port on this machine; let the server keep connections open, or widen `net.ipv4.ip_local_port_range`",
        );
        warn(phase.unexpected_count - phase.failed_count, "got an unexpected answer");
        if phase.session_start_unexpected_count > 0 {
            warnings.push(format!(
                "phase `{}`: {} of {} sessions did not begin as expected",
                phase.name, phase.session_start_unexpected_count, phase.session_start_count
            ));
        }
    }
    warnings
}

/// A histogram as a list of pairs `[bucket_us, count]`.
mod pairs {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::load::recorder::SparseHistogram;

    pub(super) fn serialize<S: Serializer>(histogram: &SparseHistogram, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(histogram.iter())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SparseHistogram, D::Error> {
        Ok(Vec::<(u64, u64)>::deserialize(deserializer)?.into_iter().collect())
    }
}
