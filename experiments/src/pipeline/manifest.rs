//! `loadbook.json`, the list of what is attached to a report: each file with its hash and where it belongs, and what the rendering
//! depended on besides. The version of Typst is not in it, because Typst writes its own into every PDF.

use serde::{Deserialize, Serialize};

use crate::results::hash_bytes;

/// The name of the attachment.
pub(super) const FILE: &str = "loadbook.json";
/// The attachment that holds every printed value.
pub(super) const VALUES: &str = "values.csv";
/// The attachment that says what each page prints. Typst writes it while it sets the pages, so that no list can hold its hash.
pub(super) const PAGES: &str = "pages.json";

/// The list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    /// Says what this is; always [`Manifest::FORMAT`].
    pub(super) format: String,
    /// The version of this format.
    pub(super) version: u32,
    /// The version of the program that made the report.
    pub(super) loadbook: String,
    /// When the newest result was finished, in seconds since 1970 UTC: the date of the report.
    pub(super) newest_result_unix_s: i64,
    /// The sections in their order.
    pub(super) sections: Vec<SectionState>,
    /// One hash for all templates: of their paths and hashes.
    pub(super) templates_sha256: String,
    /// Every attached file but this one, in the order of the report.
    pub(super) files: Vec<Entry>,
}

/// What the results of a section do not say themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SectionState {
    /// The step.
    pub(super) step: String,
    /// Which inputs had changed since it was measured when the report was made; nothing when it was current.
    pub(super) stale: Vec<String>,
}

/// How a file is attached, or several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Form {
    /// As it is.
    Whole,
    /// A CSV written by columns.
    Columns,
    /// Small texts as one JSON object, by their paths below the folder: alone, each would cost more than it holds.
    Texts,
    /// Made of the others, and belongs nowhere.
    Derived,
}

/// One attached file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    /// The name of the attachment.
    pub(super) name: String,
    /// Where it belongs when everything is unpacked, with `/` between folders; a folder for texts.
    pub(super) path: String,
    /// How it is attached.
    pub(super) form: Form,
    /// The hash of the attached bytes.
    pub(super) sha256: String,
    /// How many there are.
    pub(super) bytes: usize,
}

impl Manifest {
    /// What [`Manifest::format`] says.
    pub(super) const FORMAT: &'static str = "Loadbook report";
    /// The version this program writes and reads.
    pub(super) const VERSION: u32 = 1;

    /// One hash for the templates among `files`, which changes with each of them.
    pub(super) fn hash_of_templates(files: &[Entry]) -> String {
        let prefix = format!("{}/", super::ingredients::TEMPLATES);
        let templates = files.iter().filter(|file| file.path.starts_with(&prefix));
        let lines: String = templates.map(|file| format!("{} {}\n", file.sha256, file.path)).collect();
        hash_bytes(lines.as_bytes())
    }
}
