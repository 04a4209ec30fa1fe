//! `claims.toml` to claims. Parsing is strict, because a misspelled condition would silently hold; what a key means is not known here.

use std::collections::BTreeSet;

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use toml::Table;

use super::sentence::{Sentence, is_key};
use super::{Claim, Condition, Test};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    claim: Vec<Table>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClaimEntry {
    name: String,
    step: String,
    hypothesis: String,
    all: Vec<ConditionEntry>,
    held: String,
    overturned: String,
    unknown: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConditionEntry {
    key: String,
    to: Option<String>,
    is: Option<String>,
    is_one_of: Option<Vec<String>>,
    above: Option<f64>,
    at_least: Option<f64>,
    below: Option<f64>,
    at_most: Option<f64>,
}

/// Reads the claims in their order; `file` is how messages call the file.
pub(super) fn parse(file: &str, text: &str) -> Result<Vec<Claim>> {
    let entries: File = toml::from_str(text).with_context(|| format!("`{file}` is not a list of `[[claim]]`"))?;
    let heads = (1..).zip(text.lines()).filter(|(_, line)| line.trim_start().starts_with("[[claim]]"));
    // A list that is written in another way has no heads, and messages name its first line.
    let lines = heads.map(|(line, _)| line).chain(std::iter::repeat(1));
    let (mut claims, mut names) = (Vec::new(), BTreeSet::new());
    for (entry, line) in entries.claim.into_iter().zip(lines) {
        let name = entry.get("name").and_then(toml::Value::as_str).map(str::to_owned);
        let called =
            name.as_ref().map_or_else(|| "a claim without a name".to_owned(), |name| format!("the claim `{name}`"));
        let place = format!("`{file}:{line}`: {called}");
        if name.is_some_and(|name| !names.insert(name)) {
            bail!("{place}: another claim has this name; give it one of its own");
        }
        claims.push(claim(entry, line, &place).map_err(|message| anyhow!("{place}: {message}"))?);
    }
    Ok(claims)
}

fn claim(entry: Table, line: usize, place: &str) -> Result<Claim, String> {
    // The message ends with the place inside of the claim, on a line of its own.
    let entry: ClaimEntry =
        entry.try_into().map_err(|error: toml::de::Error| error.to_string().trim().replace('\n', " "))?;
    let is_slug = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    if entry.name.is_empty() || !entry.name.chars().all(is_slug) {
        return Err("a name consists of small letters, digits and `-`".to_owned());
    }
    let hypothesis = entry.hypothesis.split_whitespace().collect::<Vec<_>>().join(" ");
    if hypothesis.is_empty() || hypothesis.contains("{{") {
        return Err("`hypothesis` is a sentence from before the run, which can quote no value".to_owned());
    }
    if entry.all.is_empty() {
        return Err("`all` holds no condition; a claim that no value can overturn is none".to_owned());
    }
    let sentence =
        |verdict: &str, text: &str| Sentence::parse(text).map_err(|message| format!("`{verdict}`: {message}"));
    Ok(Claim {
        held: sentence("held", &entry.held)?,
        overturned: sentence("overturned", &entry.overturned)?,
        unknown: sentence("unknown", &entry.unknown)?,
        all: entry.all.into_iter().map(condition).collect::<Result<_, _>>()?,
        name: entry.name,
        step: entry.step,
        hypothesis,
        line,
        place: place.to_owned(),
    })
}

fn condition(entry: ConditionEntry) -> Result<Condition, String> {
    let ConditionEntry { key, to, is, is_one_of, above, at_least, below, at_most } = entry;
    is_key(&key)?;
    to.as_deref().map_or(Ok(()), is_key)?;
    if to.is_some() && (is.is_some() || is_one_of.is_some()) {
        return Err(format!("`{key}` is the end of an interval, as `to` says; words have none"));
    }
    let words = is.map(|word| Test::IsOneOf(vec![word])).into_iter().chain(is_one_of.map(Test::IsOneOf));
    let limits =
        [above.map(Test::Above), at_least.map(Test::AtLeast), below.map(Test::Below), at_most.map(Test::AtMost)];
    let tests: Vec<Test> = words.chain(limits.into_iter().flatten()).collect();
    if tests.is_empty() {
        return Err(format!(
            "`{key}` is compared with nothing; use `is`, `is_one_of`, `above`, `at_least`, `below` or `at_most`"
        ));
    }
    if tests.contains(&Test::IsOneOf(Vec::new())) {
        return Err(format!("`{key}` can be none of the words in an empty `is_one_of`"));
    }
    if [above, at_least, below, at_most].into_iter().flatten().any(|limit| !limit.is_finite()) {
        return Err(format!("`{key}` is compared with what is no number"));
    }
    Ok(Condition { key, to, tests })
}
