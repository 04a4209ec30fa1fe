//! What a report is made of, as plain data. Nothing here is formatted and nothing is read from disk.

use std::collections::BTreeMap;

use crate::results::summary::SummaryTable;

/// Everything that the report prints or carries.
#[derive(Clone, Debug)]
pub struct Document {
    /// The title on the front page and in the PDF's metadata.
    pub title: String,
    /// One sentence below the title.
    pub subtitle: String,
    /// A notice on the front page and at the head of every page, such as `quick profile: not for conclusions`.
    pub notice: Option<String>,
    /// Where and with what the results were measured.
    pub provenance: Provenance,
    /// The summaries. Their cells are the values of the report.
    pub tables: Vec<SummaryTable>,
    /// The charts as SVG, by name.
    pub figures: BTreeMap<String, String>,
    /// The SQL, configuration and commands that templates quote, by name.
    pub sources: BTreeMap<String, Source>,
    /// The sections in the order of the steps.
    pub sections: Vec<Section>,
    /// The files that travel inside the PDF.
    pub attachments: Vec<Attachment>,
    /// When the newest result was finished, in seconds since 1970 UTC: the date of the PDF, so that the same results give the same
    /// bytes.
    pub newest_result_unix_s: i64,
}

/// Where and with what the results were measured.
#[derive(Clone, Debug, Default)]
pub struct Provenance {
    /// The few facts of the front page, as names and texts.
    pub at_a_glance: Vec<(String, String)>,
    /// The step that was measured last; the facts are of its environment.
    pub newest: String,
    /// Every fact.
    pub groups: Vec<FactGroup>,
    /// What other steps have otherwise.
    pub differences: Vec<EnvironmentDifference>,
}

/// Facts of one kind, such as those of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FactGroup {
    /// The heading.
    pub name: String,
    /// Names and texts, in the order of the page.
    pub facts: Vec<(String, String)>,
}

/// A fact in which steps differ from the one that was measured last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentDifference {
    /// Which one.
    pub fact: String,
    /// The names of those steps.
    pub steps: String,
    /// What it is there.
    pub here: String,
    /// What it is in the last one.
    pub elsewhere: String,
}

/// One step's section.
#[derive(Clone, Debug)]
pub struct Section {
    /// The step's name, which is also the stem of its template.
    pub step: String,
    /// The heading.
    pub title: String,
    /// What the step asks.
    pub question: String,
    /// Whether there is something to print, and whether it can be trusted.
    pub status: Status,
    /// What a reader must know before trusting the numbers.
    pub warnings: Vec<String>,
    /// Where the numbers come from: commit, seed, duration, … as names and texts.
    pub provenance: Vec<(String, String)>,
}

/// How far a section can be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Measured from the present inputs.
    Current,
    /// Measured, but an input has changed since; one reason a line, such as `app/queries/list_posts.sql changed`.
    Stale(Vec<String>),
    /// The measurement did not finish; the error takes the place of the section's body.
    Failed(String),
    /// Never measured.
    Missing,
}

impl Status {
    /// The word for templates and for the JSON.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Stale(_) => "stale",
            Self::Failed(_) => "failed",
            Self::Missing => "missing",
        }
    }

    /// Whether there are results to print.
    #[must_use]
    pub fn has_body(&self) -> bool {
        matches!(self, Self::Current | Self::Stale(_))
    }
}

/// A text that a template quotes as code.
#[derive(Clone, Debug)]
pub struct Source {
    /// The language for highlighting, such as `sql`; empty for none.
    pub language: String,
    /// The file it comes from, such as `app/queries/list_posts.sql`.
    pub origin: String,
    /// The text itself.
    pub text: String,
}

/// A file that travels inside the PDF.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// The file name, such as `cache_arms.csv`.
    pub name: String,
    /// What it holds.
    pub description: String,
    /// The media type, such as `text/csv`.
    pub media_type: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}
