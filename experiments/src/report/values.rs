//! Values: the cells of the summaries under their keys, each formatted once, by the unit at the end of its column's name.
//!
//! | the name ends with | written as |
//! | --- | --- |
//! | `_us`, `_ms`, `_s` | `123 µs`, `1.23 ms`, `4.5 s`: three significant digits, the unit that fits |
//! | `_us_per_request` and the like | the same; the header says "per request" |
//! | `_bytes` | `512 B`, `1.5 kB`, `16.8 MB`, `2.1 GB`: decimal |
//! | `_ratio` | `0.52×` |
//! | `_share` | `52 %`, from a share of one; never rounded to nothing or to everything |
//! | `_percent` | `52 %` |
//! | `_per_s` | `1,234 /s` |
//! | anything else | integers with separators, other numbers with three significant digits |
//!
//! An empty cell is written as a dash.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::{Result, bail};

use super::escape::literal;
use crate::results::summary::{Cell, SummaryTable};

/// What stands for an empty cell.
pub const NOTHING: &str = "–";

/// One cell of a summary: what the report prints and where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// `<step>.<table>.<row key>.<column>`.
    pub key: String,
    /// How it is printed.
    pub text: String,
    /// The cell itself, for conditions and comparisons.
    pub raw: Cell,
    /// The file below `results/summary/`.
    pub file: String,
    /// The key of the row.
    pub row: String,
    /// The column.
    pub column: String,
}

impl Value {
    /// How a text of Typst prints it: a call of the function `value` of the style.
    pub(super) fn call(&self) -> String {
        format!("#value({});", literal(&self.key))
    }
}

/// The values that texts of Typst print, each once, in the order in which they come.
pub(super) fn printed<'v, 't>(
    texts: impl Iterator<Item = &'t str>,
    values: &'v BTreeMap<String, Value>,
) -> Vec<&'v Value> {
    let calls: HashMap<String, &Value> = values.values().map(|value| (value.call(), value)).collect();
    let (mut found, mut keys) = (Vec::new(), HashSet::new());
    for line in texts.flat_map(str::lines) {
        for (start, _) in line.match_indices("#value(") {
            // A key may itself hold what ends a call, and never a line break.
            let mut ends = line[start..].match_indices(");").map(|(at, end)| start + at + end.len());
            let called = ends.find_map(|end| calls.get(&line[start..end]).copied());
            found.extend(called.filter(|value| keys.insert(&value.key)));
        }
    }
    found
}

/// Every cell of every table under its key.
///
/// # Errors
/// When two cells have the same key, because then the key does not say which one is meant.
pub fn values(tables: &[SummaryTable]) -> Result<BTreeMap<String, Value>> {
    let mut values = BTreeMap::new();
    for table in tables {
        for (row, key) in table.rows.iter().zip(table.keys()) {
            for (column, cell) in table.columns.iter().zip(row) {
                let value = Value {
                    key: format!("{}.{key}.{}", table.address(), column.name),
                    text: format_cell(&column.name, cell),
                    raw: cell.clone(),
                    file: table.file(),
                    row: key.clone(),
                    column: column.name.clone(),
                };
                if let Some(earlier) = values.insert(value.key.clone(), value) {
                    bail!(
                        "two cells have the key `{}`; give the rows of `results/summary/{}` different keys",
                        earlier.key,
                        earlier.file
                    );
                }
            }
        }
    }
    Ok(values)
}

/// Formats one cell by the unit at the end of its column's name.
#[must_use]
pub fn format_cell(column: &str, cell: &Cell) -> String {
    match cell {
        Cell::Empty => NOTHING.to_owned(),
        Cell::Text(text) => text.clone(),
        Cell::Number(number) if !number.is_finite() => NOTHING.to_owned(),
        Cell::Integer(_) | Cell::Number(_) => format_number(unit(column), cell),
    }
}

/// What a number counts, from the end of a column's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Microseconds,
    Milliseconds,
    Seconds,
    Bytes,
    Ratio,
    Share,
    Percent,
    PerSecond,
    Plain,
}

fn unit(column: &str) -> Unit {
    // `cpu_us_per_request` is a time; only "per second" is a unit of its own.
    if column.ends_with("_per_s") {
        return Unit::PerSecond;
    }
    let stem = column.split_once("_per_").map_or(column, |(stem, _)| stem);
    match stem.rsplit_once('_').map_or(stem, |(_, last)| last) {
        "us" => Unit::Microseconds,
        "ms" => Unit::Milliseconds,
        "s" => Unit::Seconds,
        "bytes" => Unit::Bytes,
        "ratio" => Unit::Ratio,
        "share" => Unit::Share,
        "percent" => Unit::Percent,
        _ => Unit::Plain,
    }
}

const TIMES: &[(f64, &str)] = &[(1e-6, "µs"), (1e-3, "ms"), (1.0, "s")];
const SIZES: &[(f64, &str)] = &[(1.0, "B"), (1e3, "kB"), (1e6, "MB"), (1e9, "GB"), (1e12, "TB")];

fn format_number(unit: Unit, cell: &Cell) -> String {
    let number = cell.number().unwrap_or_default();
    match unit {
        Unit::Microseconds => scaled(number, 1e-6, TIMES),
        Unit::Milliseconds => scaled(number, 1e-3, TIMES),
        Unit::Seconds => scaled(number, 1.0, TIMES),
        Unit::Bytes => scaled(number, 1.0, SIZES),
        Unit::Ratio => format!("{}×", ratio(number)),
        Unit::Share => format!("{} %", percent(number * 100.0)),
        Unit::Percent => format!("{} %", percent(number)),
        Unit::PerSecond => format!("{} /s", significant(number, 3)),
        Unit::Plain => match cell {
            Cell::Integer(integer) => separated(&integer.to_string()),
            _ => significant(number, 3),
        },
    }
}

/// Writes a number of `native` units in the largest unit in which it is at least one, after rounding.
fn scaled(number: f64, native: f64, units: &[(f64, &str)]) -> String {
    let rounded = round(number * native, 3);
    let largest = units.iter().rev().find(|(factor, _)| rounded.abs() >= factor * (1.0 - 1e-9));
    let nothing = units.iter().find(|(factor, _)| rounded == 0.0 && (factor / native - 1.0).abs() < 1e-9);
    let (factor, name) = nothing.or(largest).or(units.first()).copied().unwrap_or((native, ""));
    format!("{} {name}", significant(number * native / factor, 3))
}

/// Two decimals around one, more digits below a tenth, fewer above ten.
fn ratio(number: f64) -> String {
    let size = number.abs();
    if size >= 10.0 {
        significant(number, 3)
    } else if size >= 0.1 {
        decimals(number, 2)
    } else {
        significant(number, 2)
    }
}

/// Whole percents in the middle, more decimals near nothing and near everything: one error in a million is not 0 %.
fn percent(number: f64) -> String {
    let rest = number.abs().min((100.0 - number.abs()).abs());
    if rest == 0.0 || rest >= 9.95 {
        return decimals(number, 0);
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a small positive range")]
    let places = (1.0 - rest.log10().floor()).clamp(0.0, 12.0) as usize;
    trimmed(&decimals(number, places))
}

/// Rounds to `digits` significant digits.
fn round(number: f64, digits: usize) -> f64 {
    if number == 0.0 {
        return 0.0;
    }
    format!("{:.*e}", digits.saturating_sub(1), number).parse().unwrap_or(number)
}

/// Writes `digits` significant digits, but never rounds an integer part away: 1,234 stays 1,234.
fn significant(number: f64, digits: usize) -> String {
    if number == 0.0 {
        return "0".to_owned();
    }
    let rounded = round(number, digits);
    #[expect(clippy::cast_possible_truncation, reason = "decimal exponents are small")]
    let magnitude = rounded.abs().log10().floor() as i64;
    let places = i64::try_from(digits).unwrap_or(i64::MAX) - 1 - magnitude;
    decimals(number, usize::try_from(places).unwrap_or(0))
}

fn decimals(number: f64, places: usize) -> String {
    separated(&format!("{number:.places$}"))
}

fn trimmed(text: &str) -> String {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text.to_owned() }
}

/// Separates thousands and writes a true minus sign. A rounded nothing has no sign.
fn separated(plain: &str) -> String {
    let (negative, digits) = plain.strip_prefix('-').map_or((false, plain), |digits| (true, digits));
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(whole, fraction)| (whole, Some(fraction)));
    let mut text = String::new();
    if negative && digits.chars().any(|digit| matches!(digit, '1'..='9')) {
        text.push('−');
    }
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if let Some(fraction) = fraction {
        text.push('.');
        text.push_str(fraction);
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Cell, format_cell, printed, values};
    use crate::results::summary::{SummaryColumn, SummaryTable};

    #[test]
    fn what_texts_print_comes_once_and_in_their_order() {
        let columns = ["name", "p50_us"].map(|name| SummaryColumn { name: name.to_owned(), meaning: String::new() });
        let rows = ["all", "odd \");", "unsaid"].map(|key| vec![Cell::Text(key.to_owned()), Cell::Integer(1)]);
        let table = SummaryTable {
            step: "cache".to_owned(),
            name: "arms".to_owned(),
            columns: columns.into(),
            rows: rows.into(),
        };
        let values = values(&[table]).expect("the keys are different");
        let call = |key: &str| values[&format!("cache.arms.{key}.p50_us")].call();
        let texts = [format!("It is {}, {}.", call("odd \");"), call("all")), format!("Again {}", call("all"))];
        let found = printed(texts.iter().map(String::as_str), &values);
        let keys: Vec<&str> = found.iter().map(|value| value.row.as_str()).collect();
        assert_eq!(keys, ["odd \");", "all"]);
    }

    #[test]
    fn the_end_of_the_name_decides() {
        let cases: &[(&str, Cell, &str)] = &[
            ("p50_us", Cell::Number(12.345), "12.3 µs"),
            ("p50_us", Cell::Number(1_234.0), "1.23 ms"),
            ("p50_us", Cell::Number(999.6), "1.00 ms"),
            ("p50_us", Cell::Integer(0), "0 µs"),
            ("wait_ms", Cell::Number(0.0452), "45.2 µs"),
            ("wait_ms", Cell::Number(-1500.0), "−1.50 s"),
            ("duration_s", Cell::Number(1234.5), "1,234 s"),
            ("duration_s", Cell::Integer(0), "0 s"),
            ("cpu_us_per_request", Cell::Number(843.2), "843 µs"),
            ("size_bytes", Cell::Integer(512), "512 B"),
            ("size_bytes", Cell::Integer(16_777_216), "16.8 MB"),
            ("size_bytes", Cell::Integer(999_999), "1.00 MB"),
            ("cpu_ratio", Cell::Number(0.5234), "0.52×"),
            ("cpu_ratio", Cell::Number(0.00123), "0.0012×"),
            ("cpu_ratio", Cell::Number(123.4), "123×"),
            ("error_share", Cell::Number(0.523), "52 %"),
            ("error_share", Cell::Number(0.000_001), "0.0001 %"),
            ("error_share", Cell::Number(0.9996), "99.96 %"),
            ("error_share", Cell::Integer(0), "0 %"),
            ("error_share", Cell::Integer(1), "100 %"),
            ("cpu_percent", Cell::Number(181.2), "181 %"),
            ("rate_per_s", Cell::Number(1234.4), "1,234 /s"),
            ("rate_per_s", Cell::Number(9.876), "9.88 /s"),
            ("requests", Cell::Integer(-1_234_567), "−1,234,567"),
            ("rows_count", Cell::Number(12.345), "12.3"),
            ("name_us", Cell::Text("as it is".to_owned()), "as it is"),
            ("p50_us", Cell::Empty, "–"),
            ("p50_us", Cell::Number(f64::NAN), "–"),
        ];
        for (column, cell, expected) in cases {
            assert_eq!(format_cell(column, cell), *expected, "{column} {cell:?}");
        }
    }

    #[test]
    fn a_key_means_one_cell() {
        let column = SummaryColumn { name: "arm".to_owned(), meaning: String::new() };
        let rows = vec![vec![Cell::from("off")], vec![Cell::from("off")]];
        let table = SummaryTable { step: "cache".to_owned(), name: "arms".to_owned(), columns: vec![column], rows };
        let error = values(&[table]).expect_err("two rows have one key").to_string();
        insta::assert_snapshot!(error, @"two cells have the key `cache.arms.off.arm`; give the rows of `results/summary/cache_arms.csv` different keys");
    }

    /// Reads a formatted number back, in the unit of the column.
    fn read(text: &str, column: &str) -> f64 {
        let plain = text.replace(',', "").replace('−', "-").replace('×', "");
        let (number, unit) = plain.split_once(' ').unwrap_or((&plain, ""));
        let factor = match unit {
            "µs" => 1e-6,
            "ms" => 1e-3,
            "kB" => 1e3,
            "MB" => 1e6,
            "GB" => 1e9,
            "TB" => 1e12,
            _ => 1.0,
        };
        let native = if column.ends_with("_us") {
            1e6
        } else if column.ends_with("_share") {
            0.01
        } else {
            1.0
        };
        number.parse::<f64>().expect("a number") * factor * native
    }

    proptest! {
        #[test]
        fn what_is_printed_is_what_was_measured(
            number in prop_oneof![-1e12..1e12_f64, -1.0..1.0_f64, -1e4..1e4_f64],
            column in prop::sample::select(vec!["p50_us", "duration_s", "size_bytes", "cpu_ratio", "error_share", "rate_per_s", "rows"]),
        ) {
            let text = format_cell(column, &Cell::Number(number));
            prop_assert!(!text.contains("NaN") && !text.contains("inf"));
            let (back, tolerance) = (read(&text, column), if column == "cpu_ratio" || column == "error_share" { 0.051 } else { 0.0051 });
            // Nine decimals below the unit nothing is printed any more.
            prop_assert!((back - number).abs() <= number.abs() * tolerance + 1e-14, "{} became {}", number, text);
        }

        #[test]
        fn any_number_has_a_text(number in any::<f64>(), column in "[a-z_]{0,12}") {
            let text = format_cell(&column, &Cell::Number(number));
            prop_assert!(!text.contains("NaN") && !text.contains("inf") && !text.is_empty());
        }
    }
}
