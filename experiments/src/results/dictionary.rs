//! `results/README.md`, the data dictionary: generated from the row structs, so that it cannot lag behind the files.

use std::fmt::Write as _;

use super::{Column, Table, unit_of};

const OPENING: &str = "# Results: the data dictionary

Generated from the row structs in `experiments/src/steps/`; a test fails when it is not current (`just dictionary` renews it).

One folder per step, made by `just all`, holds what was measured as CSV and, in `step.json`, under which conditions. A missing
cell is empty, never 0. The unit is the last part of a column's name. `summary/` holds what polars makes of the rows: the first
column is the row's key, and every number of the PDF is one cell there. `reference/` is the last blessed full run, committed.
";

/// The dictionary of the steps' tables, in the order given, as Markdown.
#[must_use]
pub fn dictionary<'a>(steps: impl IntoIterator<Item = (&'a str, &'a str, &'a [Table])>) -> String {
    let mut text = OPENING.to_owned();
    for (step, question, tables) in steps {
        let _ = write!(text, "\n## {step}\n\n{question}\n");
        for table in tables {
            let _ = write!(
                text,
                "\n### `{step}/{}`\n\n{}\n\n| column | type | unit | meaning |\n| --- | --- | --- | --- |\n",
                table.file,
                one_line(table.meaning)
            );
            for column in table.columns {
                let _ = writeln!(
                    text,
                    "| `{}` | {} | {} | {} |",
                    column.name,
                    type_words(column),
                    unit_of(column.name).unwrap_or(""),
                    one_line(column.meaning)
                );
            }
        }
    }
    text
}

fn type_words(column: &Column) -> String {
    let name = match column.inner_type() {
        "String" => "text",
        "bool" => "true or false",
        "f64" => "number",
        _ => "integer",
    };
    if column.is_optional() { format!("{name} or empty") } else { name.to_owned() }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
