//! The texts that the user edits: `report-src/`, read into memory.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};

use super::claims;

/// The templates and the style, with the folder's name for messages.
#[derive(Clone, Debug)]
pub struct Templates {
    /// The folder as the user knows it, such as `report-src`.
    pub folder: String,
    /// `main.typ.j2`.
    pub main: String,
    /// `style.typ`, which is plain Typst.
    pub style: String,
    /// `claims.toml`, which is no template: its sentences quote values as templates do.
    pub claims: String,
    /// `sections/<step>.typ.j2` by step.
    pub sections: BTreeMap<String, String>,
}

const ENDING: &str = ".typ.j2";
const STYLE: &str = "style.typ";

impl Templates {
    /// Reads `main.typ.j2`, `style.typ`, `claims.toml` and `sections/*.typ.j2` below `folder`.
    ///
    /// # Errors
    /// When a file is missing or is not UTF-8.
    pub fn read(folder: &Path) -> Result<Self> {
        let text = |path: &Path| {
            std::fs::read_to_string(path).with_context(|| {
                format!("cannot read the template `{}`; restore it with `git checkout`", path.display())
            })
        };
        let sections = folder.join("sections");
        let mut found = BTreeMap::new();
        let entries = std::fs::read_dir(&sections)
            .with_context(|| format!("cannot list the templates in `{}`", sections.display()))?;
        for entry in entries {
            let path = entry.with_context(|| format!("cannot list the templates in `{}`", sections.display()))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if let Some(step) = name.strip_suffix(ENDING) {
                found.insert(step.to_owned(), text(&path)?);
            }
        }
        Ok(Self {
            folder: folder.display().to_string(),
            main: text(&folder.join("main.typ.j2"))?,
            style: text(&folder.join(STYLE))?,
            claims: text(&folder.join(claims::FILE))?,
            sections: found,
        })
    }

    /// Every file with its path below the folder, as [`Templates::read`] finds them.
    pub fn files(&self) -> impl Iterator<Item = (String, &str)> {
        let plain = [(STYLE, &self.style), (claims::FILE, &self.claims)];
        self.named().chain(plain.into_iter().map(|(name, text)| (name.to_owned(), text.as_str())))
    }

    /// The templates with their names: `main.typ.j2`, then `sections/<step>.typ.j2`.
    pub(super) fn named(&self) -> impl Iterator<Item = (String, &str)> {
        let sections = self.sections.iter().map(|(step, text)| (section_name(step), text.as_str()));
        std::iter::once((MAIN.to_owned(), self.main.as_str())).chain(sections)
    }
}

/// The name of the main template.
pub(super) const MAIN: &str = "main.typ.j2";

/// The name of a step's template.
pub(super) fn section_name(step: &str) -> String {
    format!("sections/{step}{ENDING}")
}
