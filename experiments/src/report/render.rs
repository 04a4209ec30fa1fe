//! Templates to Typst, with the way back: every line that is generated knows the template line that the user edits.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use minijinja::value::Value as Item;
use minijinja::{ErrorKind, OutputSpan, OutputSpanKind, context};

use super::claims::Judged;
use super::document::Document;
use super::functions::{Catalogue, environment};
use super::templates::{MAIN, Templates, section_name};

/// One generated file.
pub(super) struct Rendered {
    /// The path below the build folder, such as `sections/cache.typ`.
    pub(super) path: String,
    /// The text.
    pub(super) text: String,
    /// How many bytes of heading come before what the template wrote.
    heading: usize,
    spans: Vec<OutputSpan>,
    source: BTreeMap<String, String>,
}

impl Rendered {
    /// The template and the line in it that wrote this line and column, both counted from one.
    pub(super) fn origin(&self, line: usize, column: usize) -> Option<(String, usize)> {
        let start: usize = self.text.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum();
        let inside: usize = self.text[start..].chars().take(column.saturating_sub(1)).map(char::len_utf8).sum();
        let offset = (start + inside).checked_sub(self.heading)?;
        let span = self.spans.iter().find(|span| span.output_range().contains(&offset)).or(self.spans.last())?;
        let source = self.source.get(span.name())?;
        let mut place = span.source_range().start;
        if span.kind() == OutputSpanKind::Raw {
            // What a template writes verbatim maps byte by byte, so that the line within a long text is known.
            place += offset.saturating_sub(span.output_range().start);
        }
        let newlines = source.as_bytes().iter().take(place).filter(|byte| **byte == b'\n').count();
        Some((span.name().to_owned(), newlines + 1))
    }
}

/// Renders `main.typ` and the section of each step that has results. `style` is the Typst file whose functions they call.
pub(super) fn render(
    document: &Document,
    templates: &Templates,
    claims: &[Judged<'_>],
    catalogue: &Arc<Catalogue>,
    style: &str,
) -> Result<Vec<Rendered>> {
    let mut environment = environment(catalogue).map_err(|error| explain(templates, &error))?;
    let source: BTreeMap<String, String> = templates.named().map(|(name, text)| (name, text.to_owned())).collect();
    for (name, text) in &source {
        environment.add_template_owned(name.clone(), text.clone()).map_err(|error| explain(templates, &error))?;
    }
    let sections: Vec<Item> = document.sections.iter().map(|section| {
        let path = (section.status.has_body()).then(|| Item::from_safe_string(generated(&section_name(&section.step))));
        context! { step => section.step.as_str(), title => section.title.as_str(), question => section.question.as_str(), status => section.status.word(), path }
    }).collect();
    let attachments: Vec<Item> = document.attachments.iter().map(|file| {
        context! { name => file.name.as_str(),  description => file.description.as_str(), media_type => file.media_type.as_str() }
    }).collect();

    let claims: Vec<Item> = claims.iter().map(|judged| {
        let sentence = Item::from_safe_string(judged.markup(&catalogue.values));
        context! { verdict => judged.verdict.word(), step => judged.claim.step.as_str(), hypothesis => judged.claim.hypothesis.as_str(), sentence }
    }).collect();

    let mut rendered = Vec::new();
    let mut one = |name: &str, context: Item| -> Result<()> {
        let template = environment.get_template(name).map_err(|_| {
            anyhow!("the step has no template; write `{}/{name}` (CONTRIBUTING.md walks through one)", templates.folder)
        })?;
        let (body, spans) = template.render_with_spans(context).map_err(|error| explain(templates, &error))?;
        let heading =
            format!("// Generated from {}/{name}; edit that file.\n#import \"/{style}\": *\n", templates.folder);
        rendered.push(Rendered {
            path: generated(name),
            heading: heading.len(),
            text: heading + &body,
            spans,
            source: source.clone(),
        });
        Ok(())
    };
    one(MAIN, context! { title => document.title.as_str(), claims, sections => sections.clone(), attachments })?;
    for (section, item) in document.sections.iter().zip(sections) {
        if section.status.has_body() {
            one(&section_name(&section.step), context! { title => document.title.as_str(), section => item })?;
        }
    }
    Ok(rendered)
}

/// The path of what a template makes.
fn generated(name: &str) -> String {
    name.trim_end_matches(".j2").to_owned()
}

/// Heads minijinja's message with the line that the user edits.
fn explain(templates: &Templates, error: &minijinja::Error) -> anyhow::Error {
    let place = match (error.name(), error.line()) {
        (Some(name), Some(line)) => format!("`{}/{name}:{line}`: ", templates.folder),
        _ => String::new(),
    };
    if let (ErrorKind::UndefinedError, Some(name)) = (error.kind(), named(templates, error)) {
        return anyhow!("{place}nothing is called `{name}`");
    }
    let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    let kind = match error.kind() {
        kind if kind != ErrorKind::InvalidOperation && error.detail().is_some() => format!("{kind}: "),
        _ => String::new(),
    };
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    anyhow!("{place}{kind}{detail}{cause}")
}

/// The expression in the template that the message is about.
fn named(templates: &Templates, error: &minijinja::Error) -> Option<String> {
    let (_, text) = templates.named().find(|(name, _)| Some(name.as_str()) == error.name())?;
    Some(text.get(error.range()?)?.trim().to_owned())
}
