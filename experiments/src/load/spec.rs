//! The specification of one trial: where to send, how long, how often, what to ask for. It is a strict, versioned JSON file,
//! because the process that reads it may run on another machine; [`super::validate`] holds the limits of its values.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// The only version of the format that this program reads and writes.
pub const SPEC_VERSION: u32 = 2;

/// One trial, complete: two processes that get equal specifications send equal requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrialSpec {
    /// Version of the format, [`SPEC_VERSION`].
    pub version: u32,
    /// Whom to ask; a phase says which of them.
    pub targets: Vec<Target>,
    /// Seed of the arrivals and of what is asked for.
    pub seed: u64,
    /// Number of concurrent users; in a phase with a rate, the most requests that can be under way at once.
    pub users: u32,
    /// Which part of the schedule this process sends.
    #[serde(default)]
    pub worker: WorkerPart,
    /// How requests arrive in phases with a rate.
    #[serde(default)]
    pub arrivals: Arrivals,
    /// Whether each user keeps the cookies it is given.
    #[serde(default)]
    pub cookies: Cookies,
    /// With `cookies = "per_user"`: forget them after this many requests, so that the balancer decides again.
    #[serde(default)]
    pub requests_per_session: Option<u32>,
    /// After this long without the whole answer, a request has failed.
    #[serde(default = "default_timeout_s")]
    pub timeout_s: u32,
    /// How long late requests may still be sent after the last phase.
    #[serde(default = "default_drain_limit_s")]
    pub drain_limit_s: u32,
    /// Processors on which the generator may run; empty for all.
    #[serde(default)]
    pub cpu_list: Vec<usize>,
    /// The phases in order; those that are not measured warm up and come first.
    pub phases: Vec<Phase>,
    /// What is asked for, by weight.
    pub mix: Vec<Endpoint>,
    /// With `cookies = "per_user"`: what a user asks for first when it has no cookies, so that the server begins a session. It comes
    /// on top of the rate, its `weight` is 0, and it is recorded under its own name.
    #[serde(default)]
    pub session_start: Option<Endpoint>,
    /// Where the result is written.
    pub output: PathBuf,
}

/// A site that is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Address to which every path is appended, such as `http://127.0.0.1:8080`.
    pub base_url: String,
    /// Headers that only this site is to get, by the name of the endpoint; they come on top of the endpoint's own.
    #[serde(default)]
    pub headers: BTreeMap<String, BTreeMap<String, String>>,
}

impl Target {
    /// A site at an address, without headers of its own.
    pub fn new(base_url: impl Into<String>) -> Self {
        Self { base_url: base_url.into(), headers: BTreeMap::new() }
    }
}

/// Part `index` of `count`: this process takes the tickets `i` with `i mod count = index`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkerPart {
    /// Number of this process, from 0.
    pub index: u32,
    /// Number of processes that share the schedule.
    pub count: u32,
}

impl Default for WorkerPart {
    fn default() -> Self {
        Self { index: 0, count: 1 }
    }
}

/// The law of arrivals in a phase with a rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// Equal gaps.
    #[default]
    Constant,
    /// Exponential gaps, drawn from the seed.
    Poisson,
}

/// What happens to cookies that the server sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cookies {
    /// They are ignored.
    #[default]
    None,
    /// Each user keeps its own and sends them back.
    PerUser,
}

/// A stretch of time with one kind of load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// Name, used in the result.
    pub name: String,
    /// Length.
    pub duration_s: f64,
    /// Open loop at this rate, or, if absent, closed loop: each user sends its next request as soon as the last one is answered.
    #[serde(default)]
    pub rate_per_s: Option<f64>,
    /// Whether it belongs to the measured window.
    #[serde(default = "default_measured")]
    pub measured: bool,
    /// Place of the site that is asked among [`TrialSpec::targets`].
    #[serde(default)]
    pub target: usize,
    /// For so long before it begins nothing is due: what is under way ends, and the parent reads its counters.
    #[serde(default)]
    pub pause_s: f64,
    /// The requests that are due within so long of its begin are asked and counted, but not timed: a system that has rested finds
    /// everything cold, which says more about the rest than about the system.
    #[serde(default)]
    pub lead_s: f64,
    /// Phases with the same number get the same arrivals and requests; its place in the trial if absent.
    #[serde(default)]
    pub draws: Option<u32>,
}

impl Phase {
    /// A measured phase for the first site, without a pause.
    pub fn new(name: impl Into<String>, duration_s: f64, rate_per_s: Option<f64>) -> Self {
        Self {
            name: name.into(),
            duration_s,
            rate_per_s,
            measured: true,
            target: 0,
            pause_s: 0.0,
            lead_s: 0.0,
            draws: None,
        }
    }

    /// The same, not measured.
    pub fn warm_up(duration_s: f64, rate_per_s: Option<f64>) -> Self {
        Self { measured: false, ..Self::new("warm_up", duration_s, rate_per_s) }
    }
}

/// One kind of request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Name, used in the result.
    pub name: String,
    /// Share of the mix, relative to the sum of all weights.
    pub weight: u32,
    /// HTTP method.
    #[serde(default)]
    pub method: Method,
    /// Path with query; `{id}` is replaced by a drawn id, `{n}` by the number of the request.
    pub path: String,
    /// How `{id}` is drawn.
    #[serde(default)]
    pub ids: Option<Ids>,
    /// Fields of a form to send; the values may contain `{id}` and `{n}`.
    #[serde(default)]
    pub form: BTreeMap<String, String>,
    /// Headers to send, besides those that the generator sets itself; they are sent as they are.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Which answer is the right one.
    #[serde(default)]
    pub expect: Expect,
}

/// HTTP methods a trial can use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Read.
    #[default]
    Get,
    /// Read the headers only.
    Head,
    /// Write.
    Post,
}

/// The distribution of ids.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Ids {
    /// `1..=count`, where id `k` is asked for in proportion to `k` to the power of `-exponent`.
    Zipf {
        /// Number of ids.
        count: u64,
        /// Skew; 0 is uniform.
        exponent: f64,
    },
    /// `1..=count`, all alike.
    Uniform {
        /// Number of ids.
        count: u64,
    },
    /// Always the same.
    Fixed {
        /// The id.
        id: String,
    },
    /// One of these, all alike.
    List {
        /// The ids.
        values: Vec<String>,
    },
}

/// What a right answer looks like. Any other answer is counted as unexpected, and recorded all the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Accepted status codes.
    #[serde(default = "default_status")]
    pub status: Vec<u16>,
    /// Text that the body must contain.
    #[serde(default)]
    pub contains: Option<String>,
}

impl Default for Expect {
    fn default() -> Self {
        Self { status: default_status(), contains: None }
    }
}

fn default_timeout_s() -> u32 {
    10
}

fn default_drain_limit_s() -> u32 {
    20
}

fn default_measured() -> bool {
    true
}

fn default_status() -> Vec<u16> {
    vec![200]
}

impl TrialSpec {
    /// Reads and validates a specification.
    ///
    /// # Errors
    /// When the file cannot be read, is not JSON, has unknown or missing fields, or holds a value that makes no sense.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("could not read the trial's specification `{}`", path.display()))?;
        Self::parse(&text).with_context(|| format!("the trial's specification `{}` is not usable", path.display()))
    }

    /// Parses and validates the text of a specification.
    ///
    /// # Errors
    /// As [`TrialSpec::read`].
    pub fn parse(text: &str) -> Result<Self> {
        let spec: Self = serde_json::from_str(text)?;
        spec.validate()?;
        Ok(spec)
    }

    /// The endpoint at a place: those of the mix, then the start of a session.
    #[must_use]
    pub fn endpoint(&self, place: usize) -> Option<&Endpoint> {
        self.mix.get(place).or(self.session_start.as_ref().filter(|_| place == self.mix.len()))
    }

    /// Whether a request of this name is the start of a session, which no schedule asked for.
    #[must_use]
    pub fn is_session_start(&self, endpoint: &str) -> bool {
        self.session_start.as_ref().is_some_and(|start| start.name == endpoint)
    }

    /// The number from which a phase draws its arrivals and requests.
    #[must_use]
    pub fn draws(&self, phase: usize) -> u64 {
        self.phases.get(phase).and_then(|phase| phase.draws).map_or(phase as u64, u64::from)
    }

    /// The sum of all phases and pauses.
    #[must_use]
    pub fn planned_duration_s(&self) -> f64 {
        self.phases.iter().map(|phase| phase.pause_s + phase.duration_s).sum()
    }
}
