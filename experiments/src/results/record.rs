//! `step.json`: under which conditions a step's rows were measured. Plain data; who fills it is the pipeline's business.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Inputs;

/// The machine, its settings and the versions of every program that took part.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// Facts of the machine, such as `cpu_model` or `cores`.
    pub machine: BTreeMap<String, String>,
    /// Programs and their versions, such as `PostgreSQL` → `15.18`.
    pub programs: BTreeMap<String, String>,
    /// Settings of the services that are not the default, such as `postgresql.shared_buffers`.
    pub settings: BTreeMap<String, String>,
}

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
