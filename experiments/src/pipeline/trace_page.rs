//! From a page of a report to everything that it prints: values of the text, rows of tables, charts, each with its cell. It asks the
//! PDF alone, which carries the list of its pages and of its values; whether these are right is for `verify` to say.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::Path,
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::manifest::{PAGES, VALUES};
use crate::{report::pdf::Pdf, steps::Usage};

/// Something that a page prints.
#[derive(Debug, Deserialize)]
struct Printed {
    page: usize,
    #[serde(flatten)]
    what: What,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum What {
    /// The key of a value in a sentence.
    Value(String),
    /// A row of a table, with the columns that are shown.
    Row { table: String, row: String, columns: Vec<String> },
    /// The name of a chart.
    Chart(String),
}

impl What {
    /// The keys of its values.
    fn keys(&self) -> Vec<String> {
        match self {
            Self::Value(key) => vec![key.clone()],
            Self::Row { table, row, columns } => {
                columns.iter().map(|column| format!("{table}.{row}.{column}")).collect()
            }
            Self::Chart(_) => Vec::new(),
        }
    }
}

/// Prints what page `page`, counted from one, of the report at `path` prints, and where each number of it comes from.
///
/// # Errors
/// When there is no such page, or when the file is no report that lists what its pages print.
pub fn trace_page(path: &Path, page: usize) -> Result<()> {
    let named = || format!("`{}`", path.display());
    let bytes = fs::read(path).with_context(|| format!("cannot read {}; make it with `just report`", named()))?;
    let pdf = Pdf::read(&bytes).with_context(|| format!("cannot read {}", named()))?;
    let pages = pdf.page_count();
    if !(1..=pages).contains(&page) {
        bail!(Usage(format!("{} has no page {page}; it has 1 to {pages}", named())));
    }
    let attached = |name: &str| -> Result<Vec<u8>> {
        let attached = pdf.attachment(name)?.with_context(|| {
            format!("{} does not carry `{name}`, as reports do since their pages can be traced; make it again with `just report`", named())
        })?;
        attached.map_err(|why| anyhow::anyhow!("`{name}` of {} cannot be unpacked: {why}", named()))
    };
    let printed: Vec<Printed> = serde_json::from_slice(&attached(PAGES)?)
        .with_context(|| format!("`{PAGES}` of {} is not understood", named()))?;
    let on_page: Vec<What> = printed.into_iter().filter(|one| one.page == page).map(|one| one.what).collect();
    let keys = on_page.iter().flat_map(What::keys).collect();
    let values =
        values(&attached(VALUES)?, &keys).with_context(|| format!("`{VALUES}` of {} is not understood", named()))?;
    say!("page {page} of {}{}", path.display(), described(&on_page, &values).trim_end());
    Ok(())
}

/// How the values with these keys are printed, and in brackets their cells. Of a list of thousands a page prints some dozen.
fn values(list: &[u8], keys: &BTreeSet<String>) -> Result<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_reader(list);
    let names = reader.headers()?.clone();
    let place =
        |name: &str| names.iter().position(|own| own == name).with_context(|| format!("it has no column `{name}`"));
    let [key, text, file, row, column] =
        [place("key")?, place("text")?, place("file")?, place("row")?, place("column")?];
    let mut values = BTreeMap::new();
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record)? {
        if let Some(found) = keys.get(&record[key]) {
            let words =
                format!("{} ({}, row `{}`, column `{}`)", &record[text], &record[file], &record[row], &record[column]);
            values.insert(found.clone(), words);
        }
    }
    Ok(values)
}

/// The rest of the line that names the page, and a line for each number and each chart.
fn described(on_page: &[What], values: &BTreeMap<String, String>) -> String {
    if on_page.is_empty() {
        return " prints no value\n".to_owned();
    }
    let (mut in_text, mut in_tables, mut charts) = (0, 0, 0);
    let mut lines = String::new();
    for what in on_page {
        let keys = what.keys();
        match what {
            What::Value(_) => in_text += 1,
            What::Row { .. } => in_tables += keys.len(),
            What::Chart(name) => {
                charts += 1;
                let step = name.split('_').next().unwrap_or_default();
                let _ = writeln!(lines, "chart {name} (figures/{name}.svg, drawn from the summaries of `{step}`)");
            }
        }
        for key in keys {
            let _ = match values.get(&key) {
                Some(words) => writeln!(lines, "{key} = {words}"),
                None => writeln!(lines, "{key} is not among the values of this report"),
            };
        }
    }
    format!(": values in its text {in_text}, cells of tables {in_tables}, charts {charts}\n{lines}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "key,text,exact,file,row,column\n\
        cache.arms.all.p50_us,1.05 ms,1050.2,cache_arms.csv,all,p50_us\n\
        cache.arms.off.p50_us,2.10 ms,2100.4,cache_arms.csv,off,p50_us\n";

    #[test]
    fn a_page_tells_its_values_its_rows_and_its_charts() {
        let pages = r#"[
            {"value": "cache.arms.all.p50_us", "page": 3},
            {"row": {"table": "cache.arms", "row": "off", "columns": ["p50_us", "gone"]}, "page": 3},
            {"chart": "cache_latency", "page": 4}
        ]"#;
        let printed: Vec<Printed> = serde_json::from_str(pages).unwrap();
        assert_eq!(printed.iter().map(|one| one.page).collect::<Vec<_>>(), [3, 3, 4]);
        let all: Vec<What> = printed.into_iter().map(|one| one.what).collect();
        let keys = all.iter().flat_map(What::keys).collect();
        insta::assert_snapshot!(described(&all, &values(LIST.as_bytes(), &keys).unwrap()), @r"
        : values in its text 1, cells of tables 2, charts 1
        cache.arms.all.p50_us = 1.05 ms (cache_arms.csv, row `all`, column `p50_us`)
        cache.arms.off.p50_us = 2.10 ms (cache_arms.csv, row `off`, column `p50_us`)
        cache.arms.off.gone is not among the values of this report
        chart cache_latency (figures/cache_latency.svg, drawn from the summaries of `cache`)
        ");
        assert_eq!(described(&[], &BTreeMap::new()), " prints no value\n");
        assert!(values(b"key,text\na,1\n", &keys).unwrap_err().to_string().contains("it has no column `file`"));
    }
}
