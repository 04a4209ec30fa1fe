//! A sentence of a claim: words and values. What is between the values is text and never markup.

use std::collections::BTreeMap;

use super::super::escape::escape;
use super::super::values::{NOTHING, Value};

/// A sentence that quotes values, written as in a template: `It took {{ value("cache.arms.all.p50_us") }}.`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sentence(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Value(String),
}

impl Sentence {
    /// Reads a sentence; lines of it are joined.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if text.is_empty() {
            return Err("the sentence is empty; write one that is true when this is the verdict".to_owned());
        }
        let mut pieces = Vec::new();
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once("{{") {
            let (call, behind) = after.split_once("}}").ok_or("`{{` is not closed; write `}}` behind the value")?;
            pieces.push(plain_text(before)?);
            pieces.push(Piece::Value(value_key(call)?));
            rest = behind;
        }
        pieces.push(plain_text(rest)?);
        pieces.retain(|piece| *piece != Piece::Text(String::new()));
        Ok(Self(pieces))
    }

    /// The keys of the values that it quotes.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| if let Piece::Value(key) = piece { Some(key.as_str()) } else { None })
    }

    /// What is between the values.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| if let Piece::Text(text) = piece { Some(text.as_str()) } else { None })
    }

    /// The sentence for the terminal.
    pub(super) fn plain(&self, values: &BTreeMap<String, Value>) -> String {
        let written = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => text.as_str(),
            Piece::Value(key) => values.get(key).map_or(NOTHING, |value| &value.text),
        });
        written.collect()
    }

    /// The sentence for Typst.
    pub(super) fn markup(&self, values: &BTreeMap<String, Value>) -> String {
        let written = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => words(text),
            Piece::Value(key) => values.get(key).map_or_else(|| escape(NOTHING), Value::call),
        });
        written.collect()
    }
}

/// Escapes what is between two values. The single spaces at its ends stay spaces, at which a line may end.
fn words(text: &str) -> String {
    let inner = text.trim_matches(' ');
    let space = |there: bool| if there { " " } else { "" };
    if inner.is_empty() {
        return space(!text.is_empty()).to_owned();
    }
    format!("{}{}{}", space(text.starts_with(' ')), escape(inner), space(text.ends_with(' ')))
}

fn plain_text(text: &str) -> Result<Piece, String> {
    match ["{%", "%}", "{#", "#}", "}}"].into_iter().find(|mark| text.contains(mark)) {
        Some(mark) => Err(format!(
            "`{mark}` has no place in a sentence; only values can be quoted, as `{{{{ value(\"step.table.row.column\") }}}}`"
        )),
        None => Ok(Piece::Text(text.to_owned())),
    }
}

/// The key in `value("…")`.
fn value_key(call: &str) -> Result<String, String> {
    let argument = call.trim().strip_prefix("value(").and_then(|rest| rest.strip_suffix(')')).map(str::trim);
    let quoted = |mark: char| argument.and_then(|text| text.strip_prefix(mark)?.strip_suffix(mark));
    let key = quoted('"').or_else(|| quoted('\'')).filter(|key| !key.contains(['"', '\'']));
    match key {
        Some(key) => is_key(key).map(|()| key.to_owned()),
        None => Err(format!("`{{{{{call}}}}}` is no value; write `{{{{ value(\"step.table.row.column\") }}}}`")),
    }
}

/// Whether a text has the shape of a key.
pub(super) fn is_key(key: &str) -> Result<(), String> {
    if key.split('.').count() >= 4 && key.split('.').all(|part| !part.trim().is_empty()) {
        return Ok(());
    }
    Err(format!(
        "`{key}` is not the key of a value; keys read `step.table.row.column`, and `experiments trace STEP` lists those of a step"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> BTreeMap<String, Value> {
        let value = |key: &str, text: &str| Value {
            key: key.to_owned(),
            text: text.to_owned(),
            raw: crate::results::summary::Cell::Empty,
            file: String::new(),
            row: String::new(),
            column: String::new(),
        };
        let all = [value("a.b.c.d", "12 µs"), value("a.b.three levels.d_us", "3 ms")];
        all.map(|value| (value.key.clone(), value)).into()
    }

    #[test]
    fn values_are_named_and_everything_else_is_text() {
        let text = "It *took* {{ value(\"a.b.c.d\") }}, not\n  {{value('a.b.three levels.d_us')}} {{ value(\"a.b.gone.d\") }}.";
        let sentence = Sentence::parse(text).expect("a sentence");
        assert_eq!(sentence.keys().collect::<Vec<_>>(), ["a.b.c.d", "a.b.three levels.d_us", "a.b.gone.d"]);
        assert_eq!(sentence.plain(&values()), "It *took* 12 µs, not 3 ms –.");
        insta::assert_snapshot!(sentence.markup(&values()), @r##"It \u{2a}took\u{2a} #value("a.b.c.d");, not #value("a.b.three levels.d_us"); –\u{2e}"##);
    }

    #[test]
    fn what_is_no_value_is_refused() {
        let error = |text: &str| Sentence::parse(text).expect_err("no sentence");
        insta::assert_snapshot!(error(" \n"), @"the sentence is empty; write one that is true when this is the verdict");
        insta::assert_snapshot!(error("{{ value(\"a.b.c.d\")"), @"`{{` is not closed; write `}}` behind the value");
        insta::assert_snapshot!(error("{{ raw(\"a.b.c.d\") }}"), @r#"`{{ raw("a.b.c.d") }}` is no value; write `{{ value("step.table.row.column") }}`"#);
        insta::assert_snapshot!(error("{{ value(a.b.c.d) }}"), @r#"`{{ value(a.b.c.d) }}` is no value; write `{{ value("step.table.row.column") }}`"#);
        insta::assert_snapshot!(error("{{ value(\"a.b.d\") }}"), @"`a.b.d` is not the key of a value; keys read `step.table.row.column`, and `experiments trace STEP` lists those of a step");
        insta::assert_snapshot!(error("{% if x %}"), @r#"`{%` has no place in a sentence; only values can be quoted, as `{{ value("step.table.row.column") }}`"#);
    }
}
