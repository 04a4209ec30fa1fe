//! Why a step must be measured again: its failure, its profile, its files, the code and the machine that it would be measured with now.
//! It prints nothing and measures nothing.

use anyhow::Result;

use super::{Project, present::Present};
use crate::{
    results::{Change, ResultsFolder, StepRecord, changes, parameter_changes},
    steps::{Profile, Step},
};

/// Results, held against the present state of the project.
pub(super) struct Staleness<'a> {
    project: &'a Project,
    results: &'a ResultsFolder,
    present: Present,
}

impl<'a> Staleness<'a> {
    /// Looks at the project.
    ///
    /// # Errors
    /// When a file is missing or cannot be understood.
    pub(super) fn look(project: &'a Project, results: &'a ResultsFolder) -> Result<Self> {
        Ok(Self { project, results, present: Present::look(project)? })
    }

    /// Why the step must be measured again; nothing when its results are fresh. Without a profile, it is held against the one that it was
    /// measured with.
    ///
    /// # Errors
    /// When an input is missing or cannot be understood.
    pub(super) fn of_step(&mut self, step: &dyn Step, wanted: Option<(&str, &Profile)>) -> Result<Vec<Change>> {
        let mut reasons = self.of_results(step, wanted)?;
        if let Ok(Some(record)) = self.results.record(step.name()) {
            reasons.extend(self.present.surroundings(&record));
        }
        Ok(reasons)
    }

    /// The same without the machine and the servers of here, which a report is not made with.
    ///
    /// # Errors
    /// As [`Staleness::of_step`].
    pub(super) fn of_results(&mut self, step: &dyn Step, wanted: Option<(&str, &Profile)>) -> Result<Vec<Change>> {
        let mut reasons = Vec::new();
        if let Some(failure) = self.results.failure(step.name())? {
            reasons.push(Change::new(format!("its last run failed: {}", failure.error)));
        }
        let record = match self.results.record(step.name()) {
            Ok(Some(record)) => record,
            Ok(None) => {
                reasons.push(Change::new("it was never measured"));
                return Ok(reasons);
            }
            Err(damage) => {
                reasons.push(Change::new(format!("{damage:#}")));
                return Ok(reasons);
            }
        };
        match wanted {
            Some((name, _)) if record.profile != name => {
                let sides = Some((format!("`{}`", record.profile), format!("`{name}`")));
                reasons.push(Change { words: "it was measured with another profile".to_owned(), sides });
            }
            Some((_, profile)) => reasons.extend(of_profile(step, &record, profile)?),
            None => match Profile::read(&self.project.profiles(), &record.profile) {
                Ok(profile) => reasons.extend(of_profile(step, &record, &profile)?),
                Err(error) => reasons.push(Change::new(format!("its profile cannot be read: {error:#}"))),
            },
        }
        if let Err(damage) = self.results.check_tables(&record, step.tables()) {
            reasons.push(Change::new(format!("{damage:#}")));
        }
        reasons.extend(changes(&record.inputs, &self.present.inputs(step)?));
        Ok(reasons)
    }
}

/// How the profile differs from what the step was measured with.
fn of_profile(step: &dyn Step, record: &StepRecord, profile: &Profile) -> Result<Vec<Change>> {
    let mut changes = parameter_changes(&record.parameters, &step.parameters(profile)?);
    if record.seed != profile.seed {
        let sides = Some((record.seed.to_string(), profile.seed.to_string()));
        changes.push(Change { words: "the seed changed".to_owned(), sides });
    }
    Ok(changes)
}
