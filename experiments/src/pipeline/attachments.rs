//! What travels inside of a report: everything that it is a function of, its values with their cells, and the list of all that. A CSV
//! that is long goes by columns, which keeps a report small enough to be sent.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result, bail};
use rayon::prelude::*;

use super::{
    ingredients::{Ingredients, RESULTS, SOURCES, TEMPLATES},
    kept,
    manifest::{Entry, FILE, Form, Manifest, VALUES},
};
use crate::{
    report::{Attachment, Document, values},
    results::{StepRecord, hash_bytes, pack_columns},
};

/// A shorter CSV goes as it is, so that whoever opens the report finds a table.
const LONG_BYTES: usize = 64 << 10;

/// Small texts by their paths.
type Texts = BTreeMap<String, String>;

/// The attachments of a document that is otherwise complete.
pub(super) fn attachments(
    ingredients: &Ingredients,
    records: &[StepRecord],
    document: &Document,
) -> Result<Vec<Attachment>> {
    let mut list = List::default();
    for section in &ingredients.sections {
        add_step(ingredients, records.iter().find(|record| record.step == section.step), &section.step, &mut list)?;
    }
    for (name, text) in ingredients.templates.files() {
        list.add(&format!("{TEMPLATES}/{name}"), "text of the report", text.into());
    }
    let sources = ingredients.sources.iter().map(|(path, source)| (path.clone(), source.text.clone())).collect();
    list.add_texts("sources.json", SOURCES, "what the report quotes of the specimen", &sources)?;
    let values = values_csv(document)?.into_bytes();
    list.push((VALUES.to_owned(), String::new(), Form::Derived), "every value with its cell", values);
    list.finish(ingredients, document.newest_result_unix_s)
}

/// The files of one step; those of a failed one may be of an earlier run.
fn add_step(ingredients: &Ingredients, record: Option<&StepRecord>, step: &str, list: &mut List) -> Result<()> {
    let results = &ingredients.results;
    if let Some(record) = record {
        for file in record.tables.iter().map(|table| table.file.as_str()).chain(["step.json"]) {
            let bytes = read(&results.step(step).join(file))?;
            list.add(&format!("{RESULTS}/{step}/{file}"), &format!("{file} of the step {step}"), bytes);
        }
        let text = |file: &String| Ok((file.clone(), String::from_utf8(read(&results.step(step).join(file))?)?));
        let texts: Texts = record.texts.iter().map(|text| &text.file).map(text).collect::<Result<_>>()?;
        let words = format!("configurations, queries and plans of the step {step}");
        list.add_texts(&format!("{step}_texts.json"), &format!("{RESULTS}/{step}"), &words, &texts)?;
    }
    if results.failure(step)?.is_some() {
        let path = results.failure_path(step);
        let file = format!("{step}.failed.json");
        list.add(&format!("{RESULTS}/{file}"), &format!("why the step {step} failed"), read(&path)?);
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))
}

/// Every value as it is printed and as it is, with the cell it comes from.
pub(super) fn values_csv(document: &Document) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["key", "text", "exact", "file", "row", "column"])?;
    for value in values::values(&document.tables)?.values() {
        let exact = value.raw.to_csv();
        writer.write_record([&value.key, &value.text, &exact, &value.file, &value.row, &value.column])?;
    }
    Ok(String::from_utf8(writer.into_inner().context("cannot write the values")?)?)
}

/// A file to attach, and where it belongs.
struct Item {
    name: String,
    path: String,
    form: Form,
    description: String,
    bytes: Vec<u8>,
}

impl Item {
    /// Writes it by columns, which are kept in `folder`, if it comes back from that as it was.
    fn pack(&mut self, folder: &Path) {
        let pack = || std::str::from_utf8(&self.bytes).ok().and_then(pack_columns).map(String::into_bytes).ok_or(());
        let path = folder.join(format!(".{}.columns", self.name));
        if let Ok(packed) = kept::or_made(&path, &hash_bytes(&self.bytes), pack) {
            self.name = format!("{}.columns.txt", self.name.trim_end_matches(".csv"));
            self.description += ", by columns";
            self.form = Form::Columns;
            self.bytes = packed;
        }
    }

    fn is_long_csv(&self) -> bool {
        self.form == Form::Whole && self.bytes.len() >= LONG_BYTES && self.path.ends_with(".csv")
    }
}

/// What will be attached, in its order.
#[derive(Default)]
struct List(Vec<Item>);

impl List {
    /// Adds a file that belongs to `path`.
    fn add(&mut self, path: &str, description: &str, bytes: Vec<u8>) {
        let below = path.strip_prefix(RESULTS).and_then(|path| path.strip_prefix('/'));
        let name = below.unwrap_or(path).replace('/', "_");
        self.push((name, path.to_owned(), Form::Whole), description, bytes);
    }

    /// Adds texts that belong below `folder`; nothing where there is none.
    fn add_texts(&mut self, name: &str, folder: &str, description: &str, texts: &Texts) -> Result<()> {
        if !texts.is_empty() {
            let json = serde_json::to_string_pretty(texts)? + "\n";
            self.push((name.to_owned(), folder.to_owned(), Form::Texts), description, json.into_bytes());
        }
        Ok(())
    }

    fn push(&mut self, (name, path, form): (String, String, Form), description: &str, bytes: Vec<u8>) {
        self.0.push(Item { name, path, form, description: description.to_owned(), bytes });
    }

    /// The attachments, and with them the list itself.
    fn finish(mut self, ingredients: &Ingredients, newest_result_unix_s: i64) -> Result<Vec<Attachment>> {
        // The rows are most of what a report carries, and writing them by columns is most of what is done here: side by side.
        let long = self.0.par_iter_mut().filter(|item| item.is_long_csv());
        long.for_each(|item| item.pack(ingredients.results.path()));
        let (mut entries, mut attachments) = (Vec::new(), Vec::new());
        for Item { name, path, form, description, bytes } in self.0 {
            entries.push(Entry { name: name.clone(), path, form, sha256: hash_bytes(&bytes), bytes: bytes.len() });
            attachments.push(Attachment { media_type: media_type(&name).to_owned(), name, description, bytes });
        }
        let mut names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            bail!("two attachments are called `{}`; give one of the files another name", pair[0]);
        }
        let manifest = Manifest {
            format: Manifest::FORMAT.to_owned(),
            version: Manifest::VERSION,
            loadbook: env!("CARGO_PKG_VERSION").to_owned(),
            newest_result_unix_s,
            sections: ingredients.sections.clone(),
            templates_sha256: Manifest::hash_of_templates(&entries),
            files: entries,
        };
        let mut text = serde_json::to_string_pretty(&manifest)?;
        text.push('\n');
        attachments.push(Attachment {
            name: FILE.to_owned(),
            description: "the list of the attached files".to_owned(),
            media_type: media_type(FILE).to_owned(),
            bytes: text.into_bytes(),
        });
        Ok(attachments)
    }
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("csv") => "text/csv",
        Some("json") => "application/json",
        _ => "text/plain",
    }
}
