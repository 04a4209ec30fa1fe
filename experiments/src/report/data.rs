//! `report.json`: all that Typst reads, final texts only, one value a line, in a fixed order.

use serde_json::{Map, Value as Json, json};

use super::document::{Document, EnvironmentDifference, FactGroup, Provenance, Section, Status};
use super::escape::printable;
use super::values::{Value, format_cell};
use crate::results::summary::{Cell, SummaryTable};

/// The data of the report as pretty-printed JSON. Of the values those that the text prints, in its order: they are few of all cells.
pub(super) fn json(document: &Document, printed: &[&Value]) -> String {
    let mut report = Map::new();
    report.insert("title".to_owned(), text(&document.title));
    report.insert("subtitle".to_owned(), text(&document.subtitle));
    let newest = chrono::DateTime::from_timestamp(document.newest_result_unix_s, 0).unwrap_or_default();
    report.insert("date".to_owned(), Json::String(newest.format("%-d %B %Y, %H:%M UTC").to_string()));
    report.insert("notice".to_owned(), document.notice.as_deref().map_or(Json::Null, text));
    report.insert("provenance".to_owned(), provenance(&document.provenance));
    report.insert("steps".to_owned(), document.sections.iter().map(|section| text(&section.step)).collect());
    report.insert(
        "sections".to_owned(),
        Json::Object(document.sections.iter().map(|section| (section.step.clone(), describe(section))).collect()),
    );
    report.insert(
        "values".to_owned(),
        Json::Object(printed.iter().map(|value| (printable(&value.key), address(value, document))).collect()),
    );
    report.insert("printed".to_owned(), printed.iter().map(|value| text(&value.key)).collect());
    report.insert(
        "tables".to_owned(),
        Json::Object(document.tables.iter().map(|table| (table.address(), cells(table, document))).collect()),
    );
    let mut lines = serde_json::to_string_pretty(&Json::Object(report)).unwrap_or_default();
    lines.push('\n');
    lines
}

fn text(text: &str) -> Json {
    Json::String(printable(text))
}

fn pairs(facts: &[(String, String)]) -> Json {
    facts.iter().map(|(name, fact)| json!([printable(name), printable(fact)])).collect()
}

fn provenance(provenance: &Provenance) -> Json {
    let groups =
        provenance.groups.iter().map(|FactGroup { name, facts }| json!({ "name": text(name), "facts": pairs(facts) }));
    let differences = provenance.differences.iter().map(|EnvironmentDifference { fact, steps, here, elsewhere }| {
        json!({ "fact": text(fact), "steps": text(steps), "here": text(here), "elsewhere": text(elsewhere) })
    });
    json!({
        "at-a-glance": pairs(&provenance.at_a_glance),
        "newest": text(&provenance.newest),
        "groups": groups.collect::<Json>(),
        "differences": differences.collect::<Json>(),
    })
}

fn describe(section: &Section) -> Json {
    let reasons: Vec<&str> = match &section.status {
        Status::Current | Status::Missing => Vec::new(),
        Status::Stale(reasons) => reasons.iter().map(String::as_str).collect(),
        Status::Failed(error) => vec![error],
    };
    json!({
        "title": text(&section.title),
        "question": text(&section.question),
        "status": section.status.word(),
        "reasons": reasons.into_iter().map(text).collect::<Json>(),
        "warnings": section.warnings.iter().map(|warning| text(warning)).collect::<Json>(),
        "provenance": pairs(&section.provenance),
    })
}

/// Whether what comes from a step was measured from other inputs than the present ones.
fn is_stale(document: &Document, step: &str) -> bool {
    document.sections.iter().any(|section| section.step == step && matches!(section.status, Status::Stale(_)))
}

fn address(value: &Value, document: &Document) -> Json {
    let step = value.key.split('.').next().unwrap_or_default();
    json!({
        "text": text(&value.text),
        "file": text(&value.file),
        "row": text(&value.row),
        "column": text(&value.column),
        "stale": is_stale(document, step),
    })
}

fn cells(table: &SummaryTable, document: &Document) -> Json {
    let columns = table.columns.iter().enumerate().map(|(index, column)| {
        let held = || table.rows.iter().filter_map(|row| row.get(index));
        let is_number = held().all(|cell| !matches!(cell, Cell::Text(_))) && held().any(|cell| cell.number().is_some());
        (column.name.clone(), json!({ "index": index, "meaning": text(&column.meaning), "number": is_number }))
    });
    let rows = table.rows.iter().map(|row| {
        let texts = table.columns.iter().zip(row).map(|(column, cell)| text(&format_cell(&column.name, cell)));
        texts.collect::<Json>()
    });
    json!({
        "file": text(&table.file()),
        "columns": Json::Object(columns.collect()),
        "keys": table.keys().map(|key| text(&key)).collect::<Json>(),
        "rows": rows.collect::<Json>(),
        "stale": is_stale(document, &table.step),
    })
}
