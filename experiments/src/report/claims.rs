//! Claims: what was believed before the run, held against the values of the run. Pure: this file knows neither the steps nor where
//! `claims.toml` lies, and it never softens a sentence; each verdict has a sentence of its own, written beforehand.
//!
//! | verdict | when |
//! | --- | --- |
//! | held | every condition is met |
//! | overturned | a condition is violated, whatever becomes of the others |
//! | unknown | neither: a value is empty or inconclusive, an interval holds the limit, or a step has no results |
//!
//! A key that no value can have is an error, in the sentences of all three verdicts too, so that a sentence cannot turn out to be broken
//! on the day on which the data changes.

mod read;
mod sentence;

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};

use self::sentence::Sentence;
use super::functions::no_such;
use super::{Document, Templates, Value};
use crate::results::summary::Cell;

/// The file of the claims, beside the templates.
pub const FILE: &str = "claims.toml";

/// The word of a comparison that decided nothing.
const INCONCLUSIVE: &str = "inconclusive";

/// Something that was believed before the run.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// A short name for messages, unique.
    pub name: String,
    /// The step whose section the reader is led to.
    pub step: String,
    /// What was believed, in a sentence without values.
    pub hypothesis: String,
    /// What the values must be for it to hold, all of it.
    all: Vec<Condition>,
    held: Sentence,
    overturned: Sentence,
    unknown: Sentence,
    /// The line on which it begins.
    pub(super) line: usize,
    /// How messages call it, with its line.
    place: String,
}

/// What one value must be, or an interval between two.
#[derive(Clone, Debug, PartialEq)]
struct Condition {
    key: String,
    /// The other end of an interval that begins with `key`. It is decided only where both ends agree.
    to: Option<String>,
    tests: Vec<Test>,
}

/// One comparison of a value with what was believed.
#[derive(Clone, Debug, PartialEq)]
enum Test {
    IsOneOf(Vec<String>),
    Above(f64),
    AtLeast(f64),
    Below(f64),
    AtMost(f64),
}

/// What the values make of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As was believed.
    Held,
    /// Not as was believed.
    Overturned,
    /// The values do not say.
    Unknown,
}

impl Verdict {
    /// The word for templates and the terminal.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Overturned => "overturned",
            Self::Unknown => "unknown",
        }
    }
}

/// What claims are held against.
#[derive(Clone, Debug)]
pub struct Evidence<'v> {
    /// Every value by its key.
    pub values: &'v BTreeMap<String, Value>,
    /// Every step by its name, and whether it has results to go by.
    pub steps: BTreeMap<String, bool>,
}

impl<'v> Evidence<'v> {
    /// The evidence that a document prints.
    pub(super) fn of(document: &Document, values: &'v BTreeMap<String, Value>) -> Self {
        let sections = document.sections.iter();
        Self { values, steps: sections.map(|section| (section.step.clone(), section.status.has_body())).collect() }
    }

    fn known_step(&self, step: &str) -> Result<bool, String> {
        self.steps.get(step).copied().ok_or_else(|| no_such("step", step, self.steps.keys()))
    }

    /// The cell under `key`; nothing when its step has no results.
    fn cell(&self, key: &str) -> Result<Option<&'v Cell>, String> {
        let step = key.split('.').next().unwrap_or_default();
        if !self.known_step(step).map_err(|message| format!("`{key}`: {message}"))? {
            return Ok(None);
        }
        let value = self.values.get(key).ok_or_else(|| no_such("value", key, self.values.keys()))?;
        Ok(Some(&value.raw))
    }
}

/// A claim with its verdict.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged<'c> {
    /// The claim.
    pub claim: &'c Claim,
    /// What became of it.
    pub verdict: Verdict,
}

impl Judged<'_> {
    fn sentence(&self) -> &Sentence {
        match self.verdict {
            Verdict::Held => &self.claim.held,
            Verdict::Overturned => &self.claim.overturned,
            Verdict::Unknown => &self.claim.unknown,
        }
    }

    /// The sentence of the verdict as plain text.
    #[must_use]
    pub fn plain(&self, values: &BTreeMap<String, Value>) -> String {
        self.sentence().plain(values)
    }

    /// The same for Typst, which prints each value as one that can be traced.
    pub(super) fn markup(&self, values: &BTreeMap<String, Value>) -> String {
        self.sentence().markup(values)
    }
}

/// Reads the claims that belong to the templates.
///
/// # Errors
/// When something in the file is missing, unknown or makes no sense; the message names the claim and its line.
pub fn read(templates: &Templates) -> Result<Vec<Claim>> {
    read::parse(&format!("{}/{FILE}", templates.folder), &templates.claims)
}

/// Gives each claim its verdict, in the order of the file.
///
/// # Errors
/// When a key or a step does not exist, or a condition does not fit its value; the message names claim and key.
pub fn judge<'c>(claims: &'c [Claim], evidence: &Evidence<'_>) -> Result<Vec<Judged<'c>>> {
    let one = |claim: &'c Claim| {
        let named = |message| anyhow!("{}: {message}", claim.place);
        claim.verdict(evidence).map(|verdict| Judged { claim, verdict }).map_err(named)
    };
    claims.iter().map(one).collect()
}

impl Claim {
    fn sentences(&self) -> impl Iterator<Item = &Sentence> {
        [&self.held, &self.overturned, &self.unknown].into_iter()
    }

    /// What its sentences say besides values.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.sentences().flat_map(Sentence::texts)
    }

    fn verdict(&self, evidence: &Evidence<'_>) -> Result<Verdict, String> {
        evidence.known_step(&self.step)?;
        for key in self.sentences().flat_map(Sentence::keys) {
            evidence.cell(key)?;
        }
        let mut met = Some(true);
        for condition in &self.all {
            met = both(met, condition.is_met(evidence)?);
        }
        Ok(match met {
            Some(true) => Verdict::Held,
            Some(false) => Verdict::Overturned,
            None => Verdict::Unknown,
        })
    }
}

impl Condition {
    /// Whether the value is what was believed; nothing when it does not say.
    fn is_met(&self, evidence: &Evidence<'_>) -> Result<Option<bool>, String> {
        let mut met = Some(true);
        for test in &self.tests {
            let passed = test.passes(&self.key, evidence)?;
            let agreed = match &self.to {
                Some(to) if test.passes(to, evidence)? != passed => None,
                _ => passed,
            };
            met = both(met, agreed);
        }
        Ok(met)
    }
}

/// Whether both are so: one that is not decides, whatever the other does not say.
fn both(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    match (one, other) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

impl Test {
    fn passes(&self, key: &str, evidence: &Evidence<'_>) -> Result<Option<bool>, String> {
        match (self, evidence.cell(key)?) {
            (_, None | Some(Cell::Empty)) => Ok(None),
            (Self::IsOneOf(words), Some(Cell::Text(text))) => {
                let is_undecided = text == INCONCLUSIVE && !words.contains(text);
                Ok((!is_undecided).then(|| words.contains(text)))
            }
            (Self::IsOneOf(_), Some(number)) => Err(format!(
                "`{key}` holds the number {}; compare it with `above`, `at_least`, `below` or `at_most`",
                number.to_csv()
            )),
            (_, Some(Cell::Text(text))) => {
                Err(format!("`{key}` holds the text `{text}`; compare it with `is` or `is_one_of`"))
            }
            (_, Some(cell)) => {
                let number = cell.number().filter(|number| number.is_finite());
                Ok(number.map(|number| self.admits(number)))
            }
        }
    }

    fn admits(&self, number: f64) -> bool {
        match self {
            Self::IsOneOf(_) => false,
            Self::Above(limit) => number > *limit,
            Self::AtLeast(limit) => number >= *limit,
            Self::Below(limit) => number < *limit,
            Self::AtMost(limit) => number <= *limit,
        }
    }
}

#[cfg(test)]
mod tests;
