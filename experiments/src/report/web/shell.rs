//! What lies around the text of the page: its head with style and script, and the bar that tells of a run. The policy names both by
//! their hashes, so that a browser runs and loads nothing else, whatever a text may hold.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use minijinja::{Environment, UndefinedBehavior, context};
use sha2::{Digest as _, Sha256};

use super::Reader;
use crate::results::hash_bytes;

/// The files of `report-src/` that only the page needs.
#[derive(Clone, Debug)]
pub struct PageTemplates {
    /// `web.typ`: the functions that the sections call.
    pub web: String,
    /// `page.html.j2`: the page around the text.
    pub page: String,
    /// `page.css`.
    pub style: String,
    /// `page.js`.
    pub script: String,
    /// The folder as the user knows it, for messages.
    pub folder: String,
}

/// The name of the page's template.
const TEMPLATE: &str = "page.html.j2";

/// A page that can be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// All of it.
    pub html: String,
    /// What a browser may do with it: its `Content-Security-Policy`.
    pub policy: String,
    /// Two pages of one version are the same.
    pub version: String,
}

impl PageTemplates {
    /// Reads the files below `folder`.
    ///
    /// # Errors
    /// When one is missing or is not UTF-8.
    pub fn read(folder: &Path) -> Result<Self> {
        let text = |name: &str| {
            let path = folder.join(name);
            std::fs::read_to_string(&path).with_context(|| {
                format!("cannot read the template `{}`; restore it with `git checkout`", path.display())
            })
        };
        Ok(Self {
            web: text("web.typ")?,
            page: text(TEMPLATE)?,
            style: text("page.css")?,
            script: text("page.js")?,
            folder: folder.display().to_string(),
        })
    }

    /// Puts `content` into the page.
    pub(super) fn wrap(&self, title: &str, content: &str, reader: Reader) -> Result<Page> {
        let policy = self.policy(reader);
        let version = hash_bytes([&self.page, &self.style, &self.script, title, content].join("\n").as_bytes());
        let named = context! {
            title, content,
            policy => policy.as_str(),
            version => version.as_str(),
            style => self.style.as_str(),
            script => self.script.as_str(),
            served => reader == Reader::Server,
        };
        let html = self.render(named).map_err(|error| {
            let line = error.line().map_or_else(String::new, |line| format!(":{line}"));
            let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
            anyhow!("`{}/{TEMPLATE}{line}`: {detail}", self.folder)
        })?;
        Ok(Page { html, policy, version })
    }

    fn render(&self, named: minijinja::Value) -> Result<String, minijinja::Error> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        // The ending of the name switches on the escaping of HTML.
        environment.add_template(TEMPLATE, &self.page)?;
        environment.get_template(TEMPLATE)?.render(named)
    }

    fn policy(&self, reader: Reader) -> String {
        let hash = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text.as_bytes())));
        let connect = if reader == Reader::Server { "'self'" } else { "'none'" };
        format!(
            "default-src 'none'; style-src {}; script-src {}; img-src data:; connect-src {connect}; base-uri 'none'; form-action 'none'",
            hash(&self.style),
            hash(&self.script)
        )
    }
}
