//! The questions: one file each, one ordered list. A step measures with the gear of the rooms before it and leaves rows; what it
//! says about them (summaries, figures) is pure. It does not know how the report is made.

mod bench;
mod blog;
mod estimate;
mod events;
mod journal;
pub mod profile;
mod progress;
mod trial;

mod cache;
mod calibrate;
mod capacity;
mod explain;
mod schema;
mod surge;

use std::{future::Future, pin::Pin};

use anyhow::Result;
use serde_json::Value;

use crate::{
    aggregate::Frames,
    results::{Row as _, Table, summary::SummaryTable},
    source::Root,
};

pub use bench::{Bench, blocks};
pub use blog::{Blog, Placement, Placing, Programs, Setup};
pub use estimate::{Estimate, Forecast, replay};
pub use events::{Event, EventKind, EventLog, Span, read_events, spans};
pub use journal::Kept;
pub use profile::{DataParameters, Profile, Usage, unknown};
pub use progress::Progress;
pub(crate) use trial::slices;

/// What measuring a step gives back: nothing but that it went well; the rows are on disk.
pub type Measuring<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// A figure of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure {
    /// Name; the file is `results/figures/<step>_<name>.svg`.
    pub name: String,
    /// The drawing.
    pub svg: String,
}

/// One experiment of the notebook.
pub trait Step: Sync {
    /// The name in commands, folders and keys.
    fn name(&self) -> &'static str;
    /// The heading of its section.
    fn title(&self) -> &'static str;
    /// What it asks.
    fn question(&self) -> &'static str;
    /// The CSVs it writes.
    fn tables(&self) -> &'static [Table];
    /// The figures it draws, by name.
    fn figure_names(&self) -> &'static [&'static str];
    /// The configurations it compares.
    fn arms(&self) -> Vec<String>;
    /// What no other step has of the profile, by name.
    ///
    /// # Errors
    /// When the profile cannot be written as JSON.
    fn own_parameters(&self, profile: &Profile) -> Result<Vec<(&'static str, Value)>>;
    /// Its part of the profile.
    ///
    /// # Errors
    /// When the profile cannot be written as JSON.
    fn parameters(&self, profile: &Profile) -> Result<Value> {
        let common = [
            ("data", serde_json::to_value(profile.data)?),
            ("placement", serde_json::to_value(profile.placement)?),
            ("smallest_effect_percent", serde_json::to_value(profile.smallest_effect_percent)?),
        ];
        let all = common.into_iter().chain(self.own_parameters(profile)?);
        Ok(all.collect())
    }
    /// About how long it measures, to estimate the time left; preparation included.
    fn planned_s(&self, profile: &Profile) -> f64;
    /// Measures: the only impure method.
    fn measure<'a>(&'a self, bench: &'a mut Bench<'_>) -> Measuring<'a>;
    /// Makes the summary tables of its rows. Pure.
    ///
    /// # Errors
    /// When the rows are not what the step writes.
    fn summarise(&self, frames: &Frames) -> Result<Vec<SummaryTable>>;
    /// Draws its figures from its summary tables. Pure.
    ///
    /// # Errors
    /// When a summary table or column is missing.
    fn draw(&self, summaries: &[SummaryTable]) -> Result<Vec<Figure>>;
}

/// Every step, in the order of the report.
pub const STEPS: &[&dyn Step] = &[
    &calibrate::CalibrateStep,
    &schema::SchemaStep,
    &explain::ExplainStep,
    &cache::CacheStep,
    &surge::SurgeStep,
    &capacity::CapacityStep,
];

/// Members of [`Step`] whose code makes rows. That of the others may change without making them stale.
const MEASURING: &[&str] = &["arms", "measure", "tables"];

/// What is called in processes of their own, so that no path of the code leads there.
const PROCESSES: &[&str] = &["load::trial::main", "stack::supervise::main"];

/// What the code of a step uses and its rows do not depend on: how rows and trials are kept is a version in `step.json`, parameters are
/// recorded by their values, and the others talk to the user.
pub const NOT_FOLLOWED: &[&str] =
    &["results", "steps::estimate", "steps::events", "steps::journal", "steps::profile", "steps::progress"];

/// Files that every step depends on besides the code that it calls: the specimen, and what builds it.
const COMMON_FILES: &[&str] = &["app/migrations", "app/queries", "app/src", "rust-toolchain.toml"];

/// Files that every step with trials depends on besides: what is asked for, and through what.
const TRIAL_FILES: &[&str] = &["app/assets", "app/templates", "nginx/nginx.conf.template"];

/// Where the code that measures `step` begins.
pub fn roots_of<'a>(module: &'a str) -> Vec<Root<'a>> {
    let own = Root::Members { module, of_trait: "Step", names: MEASURING };
    PROCESSES.iter().map(|path| Root::Item(path)).chain([own]).collect()
}

/// Every file and folder, relative to the project, on which the rows of `step` depend besides the code that it calls.
pub fn files_of(step: &dyn Step) -> Vec<&'static str> {
    let has_trials = step.tables().iter().any(|table| table.file == trial::rows::TrialRow::TABLE.file);
    [COMMON_FILES, if has_trials { TRIAL_FILES } else { &[] }].concat()
}

/// The table `name` among a step's summaries.
///
/// # Errors
/// When there is none of this name.
pub fn find<'a>(summaries: &'a [SummaryTable], name: &str) -> Result<&'a SummaryTable> {
    summaries
        .iter()
        .find(|table| table.name == name)
        .ok_or_else(|| anyhow::anyhow!("there is no summary `{name}`; a step draws only what it summarises"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeSet, path::Path};

    fn project() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
    }

    #[test]
    fn names_are_unique_and_fit_into_keys() {
        let names: BTreeSet<&str> = STEPS.iter().map(|step| step.name()).collect();
        assert_eq!(names.len(), STEPS.len());
        assert!(names.iter().all(|name| name.chars().all(|letter| letter.is_ascii_lowercase())));
    }

    #[test]
    fn every_step_has_a_section_and_every_section_a_step() {
        let sections: BTreeSet<String> = std::fs::read_dir(project().join("report-src/sections"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().replace(".typ.j2", ""))
            .collect();
        let steps: BTreeSet<String> = STEPS.iter().map(|step| step.name().to_owned()).collect();
        assert_eq!(sections, steps);
    }

    /// The front page says it where a step has no claims.
    #[test]
    fn every_section_says_what_was_found() {
        for step in STEPS {
            let section = project().join(format!("report-src/sections/{}.typ.j2", step.name()));
            assert!(std::fs::read_to_string(section).unwrap().contains("#finding["), "`{}` finds nothing", step.name());
        }
    }

    #[test]
    fn every_column_of_every_table_is_explained() {
        for step in STEPS {
            assert!(!step.tables().is_empty());
            for table in step.tables() {
                assert!(!table.meaning.trim().is_empty());
                for column in table.columns {
                    assert!(column.meaning.trim().len() > 3, "`{}.{}` says nothing of itself", table.file, column.name);
                }
            }
        }
    }
}
