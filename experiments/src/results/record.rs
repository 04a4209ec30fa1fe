//! `step.json`: under which conditions a step's rows were measured. Plain data; who fills it is the pipeline's business.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Inputs;

/// The machine, its settings and the versions of every program that took part.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// Facts of the machine, such as `cpu_model` or `governor`. Here and below, a fact that could not be found out says why, after
    /// [`UNKNOWN`].
    pub machine: BTreeMap<String, String>,
    /// Programs and their versions, such as `PostgreSQL` → `15.18`.
    pub programs: BTreeMap<String, String>,
    /// How the programs were built, such as `PostgreSQL.CONFIGURE`; absent from results that were measured before it was recorded.
    #[serde(default)]
    pub builds: BTreeMap<String, String>,
    /// Settings of the services that are not the default, such as `postgresql.shared_buffers`.
    pub settings: BTreeMap<String, String>,
    /// The code that measured, beyond [`StepRecord::commit`]: the files that differ from it, the hash of `Cargo.lock`. These are no
    /// conditions, because another version of the code is what one wants to compare.
    #[serde(default)]
    pub code: BTreeMap<String, String>,
}

/// How the text of a fact begins that could not be found out; the reason follows.
pub const UNKNOWN: &str = "not known: ";

/// One CSV of the step: enough to notice that it was cut or edited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableRecord {
    /// File name below the step's folder.
    pub file: String,
    /// Rows without the header.
    pub rows: u64,
    /// SHA-256 of the file.
    pub sha256: String,
}

/// One text of the step that the report prints, such as a rendered configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextRecord {
    /// File name below the step's folder.
    pub file: String,
    /// SHA-256 of the file.
    pub sha256: String,
}

/// The conditions of one finished measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepRecord {
    /// Version of this format.
    pub version: u32,
    /// The step's name.
    pub step: String,
    /// The profile that gave the parameters, `quick` or `full`.
    pub profile: String,
    /// Seed of data, order and requests.
    pub seed: u64,
    /// UTC, RFC 3339.
    pub started_utc: String,
    /// UTC, RFC 3339.
    pub finished_utc: String,
    /// Wall time of the step, preparation included.
    pub duration_s: f64,
    /// Sum of the measured windows within it.
    pub measured_s: f64,
    /// The configurations that were compared.
    pub arms: Vec<String>,
    /// The step's part of the profile.
    pub parameters: serde_json::Value,
    /// Hash of each input file.
    pub inputs: Inputs,
    /// Machine, programs, settings.
    pub environment: Environment,
    /// Git commit of the project, with `+` when the tree had changes; empty outside of a checkout.
    pub commit: Option<String>,
    /// The CSVs.
    pub tables: Vec<TableRecord>,
    /// The texts.
    pub texts: Vec<TextRecord>,
    /// What a reader must know before trusting the rows.
    pub warnings: Vec<String>,
}

impl StepRecord {
    /// The version this code writes.
    pub const VERSION: u32 = 1;

    /// A record in which nothing is filled in yet.
    #[must_use]
    pub fn new(step: &str) -> Self {
        Self {
            version: Self::VERSION,
            step: step.to_owned(),
            profile: String::new(),
            seed: 0,
            started_utc: String::new(),
            finished_utc: String::new(),
            duration_s: 0.0,
            measured_s: 0.0,
            arms: Vec::new(),
            parameters: serde_json::Value::Null,
            inputs: Inputs::new(),
            environment: Environment::default(),
            commit: None,
            tables: Vec::new(),
            texts: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

/// A measurement that did not finish; it never replaces an earlier result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The step's name.
    pub step: String,
    /// The profile it ran with.
    pub profile: String,
    /// UTC, RFC 3339.
    pub failed_utc: String,
    /// The chain of causes, in one line.
    pub error: String,
}
