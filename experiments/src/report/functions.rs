//! What a template can call. Each function checks its arguments against the document and returns Typst that names a value, a table
//! or a figure; the numbers themselves are read by `style.typ` from `report.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use minijinja::value::{Kwargs, Value as Item, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, syntax::SyntaxConfig};

use super::document::{Document, Source};
use super::escape::{escape, literal};
use super::values::Value;
use crate::results::summary::Cell;

/// What the functions look things up in.
pub(super) struct Catalogue {
    pub(super) values: BTreeMap<String, Value>,
    /// Row keys and column names by address.
    tables: BTreeMap<String, (Vec<String>, Vec<String>)>,
    figures: BTreeSet<String>,
    sources: BTreeMap<String, Source>,
}

impl Catalogue {
    pub(super) fn new(document: &Document, values: BTreeMap<String, Value>) -> Self {
        let names = |table: &crate::results::summary::SummaryTable| {
            (table.keys().collect(), table.columns.iter().map(|column| column.name.clone()).collect())
        };
        Self {
            values,
            tables: document.tables.iter().map(|table| (table.address(), names(table))).collect(),
            figures: document.figures.keys().cloned().collect(),
            sources: document.sources.clone(),
        }
    }

    fn value(&self, key: &str) -> Result<&Value, Error> {
        self.values.get(key).ok_or_else(|| unknown("value", key, self.values.keys()))
    }

    fn table(&self, address: &str) -> Result<&(Vec<String>, Vec<String>), Error> {
        self.tables.get(address).ok_or_else(|| unknown("table", address, self.tables.keys()))
    }
}

/// The message for a name that does not exist, with the nearest one that does.
pub(super) fn no_such<'n>(kind: &str, name: &str, existing: impl Iterator<Item = &'n String>) -> String {
    let nearest = existing.map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate)).min();
    let remedy = match nearest {
        Some((_, candidate)) => format!("the nearest is `{candidate}`"),
        None => format!("there is no {kind} at all"),
    };
    format!("unknown {kind} `{name}`; {remedy}")
}

fn unknown<'n>(kind: &str, name: &str, existing: impl Iterator<Item = &'n String>) -> Error {
    refuse(no_such(kind, name, existing))
}

fn refuse(message: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

/// A section takes some thousands.
const MOST_INSTRUCTIONS: u64 = 10_000_000;

/// The environment with strict undefined, escaping that cannot be forgotten, and the functions.
pub(super) fn environment(catalogue: &Arc<Catalogue>) -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    // A template from elsewhere may run in circles.
    environment.set_fuel(Some(MOST_INSTRUCTIONS));
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_auto_escape_callback(|_| AutoEscape::Custom("typst".into()));
    environment.set_formatter(|out, _, value| {
        let text = markup(value)?;
        out.write_str(&text).map_err(Error::from)
    });
    add_lookups(&mut environment, catalogue);
    add_blocks(&mut environment, catalogue);
    environment.add_function("ref", |name: &str| Item::from_safe_string(format!("#ref(label({}));", literal(name))));
    environment.add_function("words", words(Arc::clone(catalogue)));
    environment.add_filter("spelled", spelled);
    Ok(environment)
}

/// Texts are escaped, markup made by the functions stays as it is, and a bare number is refused.
fn markup(value: &Item) -> Result<String, Error> {
    if value.is_safe() {
        return Ok(value.to_string());
    }
    match value.kind() {
        ValueKind::String => Ok(escape(value.as_str().unwrap_or_default())),
        ValueKind::Undefined => Ok(String::new()),
        ValueKind::Number => Err(refuse(format!(
            "the number {value} has no address; print a cell with `value(\"step.table.row.column\")`, and a count of things with `|spelled`"
        ))),
        kind => Err(refuse(format!("a {kind} cannot be printed; print one of its texts"))),
    }
}

fn add_lookups(environment: &mut Environment<'static>, catalogue: &Arc<Catalogue>) {
    let own = Arc::clone(catalogue);
    environment
        .add_function("value", move |key: &str| own.value(key).map(|value| Item::from_safe_string(value.call())));
    let own = Arc::clone(catalogue);
    environment.add_function("raw", move |key: &str| {
        own.value(key).map(|value| match &value.raw {
            Cell::Empty => Item::from(()),
            Cell::Integer(number) => Item::from(*number),
            Cell::Number(number) => Item::from(*number),
            Cell::Text(text) => Item::from(text.as_str()),
        })
    });
    let own = Arc::clone(catalogue);
    environment.add_function("has", move |key: &str| {
        own.values.contains_key(key)
            || own.tables.contains_key(key)
            || own.figures.contains(key)
            || own.sources.contains_key(key)
    });
    let own = Arc::clone(catalogue);
    environment.add_function("rows", move |address: &str| own.table(address).map(|(rows, _)| rows.clone()));
}

fn add_blocks(environment: &mut Environment<'static>, catalogue: &Arc<Catalogue>) {
    environment.add_function("table", table(Arc::clone(catalogue)));
    environment.add_function("figure", figure(Arc::clone(catalogue)));
    environment.add_function("raw_block", |text: &str, language: Option<&str>| {
        Item::from_safe_string(format!("#code-block({}, {});", literal(text), literal(language.unwrap_or_default())))
    });
    let own = Arc::clone(catalogue);
    environment.add_function("source", move |name: &str| {
        let source = own.sources.get(name).ok_or_else(|| unknown("source", name, own.sources.keys()))?;
        let (text, language, origin) = (literal(&source.text), literal(&source.language), literal(&source.origin));
        Ok(Item::from_safe_string(format!("#code-block({text}, {language}, origin: {origin});")))
    });
}

/// `table("cache.arms", columns=["arm", "p50_us"], headers={"p50_us": "median"}, caption="…", label="…")`
fn table(catalogue: Arc<Catalogue>) -> impl Fn(&str, Kwargs) -> Result<Item, Error> {
    move |address, options| {
        let (_, existing) = catalogue.table(address)?;
        let known = |column: &String| match existing.contains(column) {
            true => Ok(()),
            false => Err(unknown(&format!("column of the table `{address}`:"), column, existing.iter())),
        };
        let columns = options.get::<Option<Vec<String>>>("columns")?.unwrap_or_else(|| existing.clone());
        columns.iter().try_for_each(known)?;
        let mut headers = String::new();
        if let Some(given) = options.get::<Option<Item>>("headers")? {
            for key in given.try_iter()? {
                let column = key.to_string();
                known(&column)?;
                headers.push_str(&format!("{}: [{}], ", literal(&column), markup(&given.get_item(&key)?)?));
            }
        }
        let caption = required(&options, "table", "caption")?;
        let label = options.get::<Option<String>>("label")?.unwrap_or_else(|| address.to_owned());
        options.assert_all_used()?;
        let columns: String = columns.iter().map(|column| format!("{}, ", literal(column))).collect();
        let headers = if headers.is_empty() { ":".to_owned() } else { headers };
        Ok(Item::from_safe_string(format!(
            "#data-table({},\n  columns: ({columns}),\n  headers: ({headers}),\n  caption: [{caption}],\n  label: {})",
            literal(address),
            literal(&label)
        )))
    }
}

/// `figure("cache_cpu", caption="…", alt="…", label="…")`
fn figure(catalogue: Arc<Catalogue>) -> impl Fn(&str, Kwargs) -> Result<Item, Error> {
    move |name, options| {
        if !catalogue.figures.contains(name) {
            return Err(unknown("figure", name, catalogue.figures.iter()));
        }
        let caption = required(&options, "figure", "caption")?;
        let alt = required(&options, "figure", "alt")?;
        let label = options.get::<Option<String>>("label")?.unwrap_or_else(|| name.to_owned());
        options.assert_all_used()?;
        Ok(Item::from_safe_string(format!(
            "#chart({},\n  caption: [{caption}],\n  alt: \"{alt}\",\n  label: {})",
            literal(name),
            literal(&label)
        )))
    }
}

/// A caption or an alt text: nobody may leave it out.
fn required(options: &Kwargs, function: &str, name: &str) -> Result<String, Error> {
    match options.get::<Option<Item>>(name)? {
        Some(text) if name == "alt" && text.is_safe() => {
            Err(refuse(format!("the alt text of `{function}(…)` must be plain text, without values or markup")))
        }
        Some(text) => markup(&text),
        None => Err(refuse(format!("`{function}(…)` needs `{name}=\"…\"`"))),
    }
}

const VERDICTS: [&str; 4] = ["better", "worse", "equivalent", "inconclusive"];

/// `words(key, better="…", worse="…", equivalent="…", inconclusive="…")`: the words for a verdict. All four must be given, so that a
/// sentence cannot be missing on the day on which the data changes.
fn words(catalogue: Arc<Catalogue>) -> impl Fn(&str, Kwargs) -> Result<Item, Error> {
    move |key, options| {
        let value = catalogue.value(key)?;
        let verdict = match &value.raw {
            Cell::Empty => "inconclusive",
            cell => cell.text().unwrap_or_default(),
        };
        let mut chosen = None;
        for name in VERDICTS {
            let text = options
                .get::<Option<Item>>(name)?
                .ok_or_else(|| refuse(format!("`words(…)` needs words for each verdict; `{name}=\"…\"` is missing")))?;
            if name == verdict {
                chosen = Some(text);
            }
        }
        options.assert_all_used()?;
        chosen.ok_or_else(|| {
            refuse(format!(
                "`{key}` holds `{}`, which is no verdict; one of {} is needed",
                value.text,
                VERDICTS.join(", ")
            ))
        })
    }
}

/// Small counts of things in words: they belong to the structure and have no address.
fn spelled(number: usize) -> Result<String, Error> {
    const NAMES: [&str; 13] =
        ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
    let name =
        NAMES.get(number).ok_or_else(|| refuse(format!("{number} is too many to be spelled; make it a value")))?;
    Ok((*name).to_owned())
}
