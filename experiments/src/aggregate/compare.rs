//! The summaries of two runs side by side: which value of the one belongs to which of the other, how sure each is, and what both allow to
//! say. It knows no step by name but the one that calibrates, and no file.
//!
//! A verdict on two runs has no blocks to rest on, because none of one run has a partner in the other. So each value brings an interval
//! of its own, and [`crate::stats::compare_apart`] takes the worst case of both. Where the interval is from:
//!
//! | the value is | its interval |
//! | --- | --- |
//! | counted ([`Spread::Counted`]) | the value itself |
//! | a ratio of two arms ([`Spread::Ratio`]) | that of the ratio over the blocks of its run; a slower machine slows both arms |
//! | a value with an interval ([`Spread::Interval`]) | that one, but not narrower than the change of the machine |
//! | a value without ([`Spread::OfRow`], [`Spread::OfComparison`]) | as wide, to both sides, as the largest of: half the width of the interval that its run gives a ratio of the same metric; the noise floor of the metric, where `calibrate.noise` has it; the change of the machine |
//!
//! The change of the machine is half the range of the times that a fixed piece of work took in the trials of the step (of
//! `calibrate`, where a step has no trials): an absolute value of a machine that changes so much is not known better.

use std::{collections::BTreeMap, path::Path};

use crate::{
    results::{
        Damage,
        summary::{Cell, SummaryTable},
    },
    stats::{Apart, Direction, Estimate, Interval, compare_apart, noise_floor},
};

/// Which confidence the intervals of summaries have.
const CONFIDENCE: f64 = 0.95;

/// A column by which runs are compared.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// The address of the table, such as `cache.arms`.
    pub table: &'static str,
    /// Of its rows those whose keys end so; all for nothing.
    pub rows: &'static str,
    /// The column.
    pub column: &'static str,
    /// Which way it is good.
    pub direction: Direction,
    /// How sure its values are.
    pub spread: Spread,
}

/// Where the interval of a value is from.
#[derive(Debug, Clone, Copy)]
pub enum Spread {
    /// It is the same each time.
    Counted,
    /// A ratio within blocks, whose interval is in these columns.
    Ratio {
        /// Its lower end.
        low: &'static str,
        /// Its upper end.
        high: &'static str,
    },
    /// An interval of the value, in these columns.
    Interval {
        /// Its lower end.
        low: &'static str,
        /// Its upper end.
        high: &'static str,
    },
    /// The interval of a ratio of the same metric in the same row, in these columns.
    OfRow {
        /// Its lower end.
        low: &'static str,
        /// Its upper end.
        high: &'static str,
    },
    /// The widest interval that a table of comparisons has in the rows whose keys end so.
    OfComparison {
        /// The address of the table.
        table: &'static str,
        /// The end of the keys.
        rows: &'static str,
        /// The row of `calibrate.noise`, if that has the metric.
        floor: Option<&'static str>,
    },
}

/// What is compared of a run.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// The folder of its summaries, for messages.
    pub folder: &'a Path,
    /// The summaries.
    pub tables: &'a [SummaryTable],
    /// The smallest relative change that matters, by step.
    pub smallest_effects: &'a BTreeMap<String, f64>,
}

/// A value of both runs.
#[derive(Debug, Clone, PartialEq)]
pub struct PairedValue {
    /// Its key, `<step>.<table>.<row>.<column>`; the row is `*` where a run does not even have the column.
    pub key: String,
    /// The column, which says the unit.
    pub column: &'static str,
    /// The value before.
    pub before: Cell,
    /// The value after.
    pub after: Cell,
    /// What comes of it.
    pub outcome: Outcome,
}

/// What comes of comparing a value.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Both runs have it.
    Judged(Apart),
    /// One of them has not; this says which, and what is missing.
    Missing(String),
}

/// Compares what is there of `metrics`, in their order; a table that neither run has is passed over.
///
/// # Errors
/// [`Damage`] for a text where a number should be.
pub fn compare_runs(metrics: &[Metric], before: &Run<'_>, after: &Run<'_>) -> Result<Vec<PairedValue>, Damage> {
    let mut values = Vec::new();
    for metric in metrics {
        let (earlier, later) = (before.table(metric.table), after.table(metric.table));
        if earlier.is_none() && later.is_none() {
            continue;
        }
        let whole = |table: Option<&SummaryTable>, when: &str| match table {
            None => Some(format!("there is no such table {when}")),
            Some(table) if !has(table, metric.column) => Some(format!("there is no such column {when}")),
            Some(_) => None,
        };
        if let Some(missing) = whole(earlier, "before").or_else(|| whole(later, "after")) {
            let key = format!("{}.*{}.{}", metric.table, metric.rows, metric.column);
            let outcome = Outcome::Missing(missing);
            let column = metric.column;
            values.push(PairedValue { key, column, before: Cell::Empty, after: Cell::Empty, outcome });
            continue;
        }
        for row in rows([earlier, later], metric.rows) {
            values.push(paired(metric, &row, before, after)?);
        }
    }
    Ok(values)
}

fn has(table: &SummaryTable, column: &str) -> bool {
    table.columns.iter().any(|candidate| candidate.name == column)
}

/// The keys that end so, each once, in the order of the first table and then of the second.
fn rows(tables: [Option<&SummaryTable>; 2], end: &str) -> Vec<String> {
    let mut rows: Vec<String> = Vec::new();
    for key in tables.into_iter().flatten().flat_map(SummaryTable::keys).filter(|key| key.ends_with(end)) {
        if !rows.contains(&key) {
            rows.push(key);
        }
    }
    rows
}

fn paired(metric: &Metric, row: &str, before: &Run<'_>, after: &Run<'_>) -> Result<PairedValue, Damage> {
    let cell = |run: &Run<'_>| run.table(metric.table).and_then(|table| table.cell(row, metric.column)).cloned();
    let (earlier, later) = (cell(before), cell(after));
    let missing = |cell: &Option<Cell>, when: &str| match cell {
        None => Some(format!("there is no such row {when}")),
        Some(Cell::Empty) => Some(format!("there is no value {when}")),
        Some(_) => None,
    };
    let outcome = match missing(&earlier, "before").or_else(|| missing(&later, "after")) {
        Some(missing) => Outcome::Missing(missing),
        None => {
            let (one, other) = (before.estimate(metric, row)?, after.estimate(metric, row)?);
            let smallest = before.smallest_effect(metric).max(after.smallest_effect(metric));
            Outcome::Judged(compare_apart(one, other, metric.direction, smallest))
        }
    };
    Ok(PairedValue {
        key: format!("{}.{row}.{}", metric.table, metric.column),
        column: metric.column,
        before: earlier.unwrap_or(Cell::Empty),
        after: later.unwrap_or(Cell::Empty),
        outcome,
    })
}

impl Run<'_> {
    fn table(&self, address: &str) -> Option<&SummaryTable> {
        self.tables.iter().find(|table| table.address() == address)
    }

    /// Not a number where the run does not say it, which allows no verdict.
    fn smallest_effect(&self, metric: &Metric) -> f64 {
        self.smallest_effects.get(step_of(metric)).copied().unwrap_or(f64::NAN)
    }

    /// The number in a cell; `None` where there is no cell or nothing in it.
    fn number(&self, table: &str, row: &str, column: &str) -> Result<Option<f64>, Damage> {
        let Some(table) = self.table(table) else { return Ok(None) };
        match table.cell(row, column) {
            Some(Cell::Text(text)) => Err(Damage {
                path: self.folder.join(table.file()),
                what: format!("row `{row}`, column `{column}`: `{text}` is no number as summaries have them"),
                step: table.step.clone(),
            }),
            cell => Ok(cell.and_then(Cell::number)),
        }
    }

    /// The interval between two cells of a row; `None` where one of them is empty or not above 0.
    fn interval(&self, table: &str, row: &str, low: &str, high: &str) -> Result<Option<Interval>, Damage> {
        let ends = self.number(table, row, low)?.zip(self.number(table, row, high)?);
        let ends = ends.filter(|(low, high)| *low > 0.0 && low <= high);
        Ok(ends.map(|(low, high)| Interval { low, high, confidence: CONFIDENCE }))
    }

    fn estimate(&self, metric: &Metric, row: &str) -> Result<Estimate, Damage> {
        let value = self.number(metric.table, row, metric.column)?.unwrap_or(f64::NAN);
        let change = self.change_of_machine(step_of(metric))?;
        let around = |half_width: f64| Interval {
            low: value / (1.0 + half_width),
            high: value * (1.0 + half_width),
            confidence: CONFIDENCE,
        };
        let largest = |widths: [Option<f64>; 2]| widths.into_iter().flatten().reduce(f64::max);
        let interval = match metric.spread {
            Spread::Counted => Some(around(0.0)),
            Spread::Ratio { low, high } => self.interval(metric.table, row, low, high)?,
            Spread::Interval { low, high } => {
                let widest = around(change.unwrap_or(0.0));
                let own = self.interval(metric.table, row, low, high)?;
                own.map(|own| Interval { low: own.low.min(widest.low), high: own.high.max(widest.high), ..own })
            }
            Spread::OfRow { low, high } => {
                let own = self.interval(metric.table, row, low, high)?.map(noise_floor);
                own.and(largest([own, change])).map(around)
            }
            Spread::OfComparison { table, rows, floor } => {
                let own = self.widest(table, rows)?;
                let floor = match floor {
                    Some(floor) => self.number("calibrate.noise", floor, "floor_share")?,
                    None => None,
                };
                let noise = largest([own, floor]);
                noise.and(largest([noise, change])).map(around)
            }
        };
        Ok(Estimate { value, interval })
    }

    /// Half the widest interval of the comparisons whose keys end so.
    fn widest(&self, table: &str, end: &str) -> Result<Option<f64>, Damage> {
        let mut widest: Option<f64> = None;
        for row in rows([self.table(table), None], end) {
            let half_width = self.interval(table, &row, "low_ratio", "high_ratio")?.map(noise_floor);
            widest = half_width.into_iter().chain(widest).reduce(f64::max);
        }
        Ok(widest)
    }

    /// Half the range of what a fixed piece of work took while the step was measured; `None` where nobody looked.
    fn change_of_machine(&self, step: &str) -> Result<Option<f64>, Damage> {
        let own = format!("{step}.trials");
        let table = if self.table(&own).is_some() { own.as_str() } else { "calibrate.trials" };
        let mut largest: Option<f64> = None;
        for column in ["canary_user_spread_share", "canary_kernel_spread_share"] {
            let spread = self.number(table, "all", column)?.filter(|spread| *spread >= 0.0);
            largest = spread.into_iter().chain(largest).reduce(f64::max);
        }
        Ok(largest.map(|spread| (1.0 + spread).sqrt() - 1.0))
    }
}

fn step_of(metric: &Metric) -> &'static str {
    metric.table.split('.').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{aggregate::column, stats::Verdict};

    const METRICS: &[Metric] = &[
        Metric {
            table: "cache.arms",
            rows: "",
            column: "p50_us",
            direction: Direction::LowerIsBetter,
            spread: Spread::OfComparison { table: "cache.comparison", rows: "_p50", floor: Some("p50") },
        },
        Metric {
            table: "cache.comparison",
            rows: "_p50",
            column: "ratio",
            direction: Direction::LowerIsBetter,
            spread: Spread::Ratio { low: "low_ratio", high: "high_ratio" },
        },
    ];

    fn table(address: &str, columns: &[&str], rows: &[(&str, &[f64])]) -> SummaryTable {
        let (step, name) = address.split_once('.').unwrap();
        let row = |(key, numbers): &(&str, &[f64])| {
            let numbers = numbers.iter().map(|number| Cell::from(*number));
            std::iter::once(Cell::from(*key)).chain(numbers).collect()
        };
        SummaryTable {
            step: step.to_owned(),
            name: name.to_owned(),
            columns: std::iter::once(&"key").chain(columns).map(|name| column(name, "")).collect(),
            rows: rows.iter().map(row).collect(),
        }
    }

    /// Two arms, of which one is compared, with this interval.
    fn tables(p50_us: [f64; 2], low: f64, high: f64) -> Vec<SummaryTable> {
        let ratio = p50_us[1] / p50_us[0];
        let comparison = [("all_p50", [ratio, low, high]), ("all_cpu", [1.0, 0.1, 10.0])];
        let comparison = comparison.each_ref().map(|(key, numbers)| (*key, numbers.as_slice()));
        vec![
            table("cache.arms", &["p50_us"], &[("off", &p50_us[..1]), ("all", &p50_us[1..])]),
            table("cache.comparison", &["ratio", "low_ratio", "high_ratio"], &comparison),
        ]
    }

    fn compared(before: &[SummaryTable], after: &[SummaryTable]) -> Result<Vec<PairedValue>, Damage> {
        let smallest_effects = BTreeMap::from([("cache".to_owned(), 0.05)]);
        let run = |tables| Run { folder: Path::new("summary"), tables, smallest_effects: &smallest_effects };
        compare_runs(METRICS, &run(before), &run(after))
    }

    fn verdicts(before: &[SummaryTable], after: &[SummaryTable]) -> Vec<(String, Result<Verdict, String>)> {
        let verdict = |outcome| match outcome {
            Outcome::Judged(apart) => Ok(apart.verdict),
            Outcome::Missing(missing) => Err(missing),
        };
        compared(before, after).unwrap().into_iter().map(|value| (value.key, verdict(value.outcome))).collect()
    }

    #[test]
    fn a_value_is_as_sure_as_the_comparison_of_its_metric() {
        let before = tables([100.0, 50.0], 0.49, 0.51);
        let (off, all) = ("cache.arms.off.p50_us".to_owned(), "cache.arms.all.p50_us".to_owned());
        let ratio = "cache.comparison.all_p50.ratio".to_owned();
        let worse = verdicts(&before, &tables([100.0, 75.0], 0.74, 0.76));
        let expected = [Verdict::Equivalent, Verdict::Worse, Verdict::Worse].map(Ok);
        assert_eq!(worse, [off, all, ratio].into_iter().zip(expected).collect::<Vec<_>>());
        let unsure = verdicts(&before, &tables([100.0, 75.0], 0.5, 1.2));
        assert!(unsure.iter().all(|(_, verdict)| *verdict == Ok(Verdict::Inconclusive)), "{unsure:?}");
    }

    #[test]
    fn the_floor_and_the_machine_widen_it() {
        let (before, after) = (tables([100.0, 50.0], 0.5, 0.5), tables([100.0, 60.0], 0.6, 0.6));
        let of_all = |extra: SummaryTable| {
            let with = |tables: &[SummaryTable]| [tables, std::slice::from_ref(&extra)].concat();
            verdicts(&with(&before), &with(&after))[1..].iter().map(|(_, verdict)| verdict.clone()).collect::<Vec<_>>()
        };
        let floor = |share| table("calibrate.noise", &["floor_share"], &[("p50", &[share])]);
        assert_eq!(of_all(floor(0.01)), [Ok(Verdict::Worse), Ok(Verdict::Worse)]);
        assert_eq!(of_all(floor(0.1)), [Ok(Verdict::Inconclusive), Ok(Verdict::Worse)], "a ratio has its own");
        let columns = ["canary_user_spread_share", "canary_kernel_spread_share"];
        let trials = |address, spread| table(address, &columns, &[("all", &[0.01, spread])]);
        assert_eq!(of_all(trials("cache.trials", 0.05)), [Ok(Verdict::Worse), Ok(Verdict::Worse)]);
        assert_eq!(of_all(trials("cache.trials", 0.3)), [Ok(Verdict::Inconclusive), Ok(Verdict::Worse)]);
        assert_eq!(of_all(trials("calibrate.trials", 0.3)), [Ok(Verdict::Inconclusive), Ok(Verdict::Worse)]);
    }

    #[test]
    fn what_one_of_them_lacks_is_said_and_not_judged() {
        let whole = tables([100.0, 50.0], 0.49, 0.51);
        let mut less = whole.clone();
        less[0].rows.pop();
        less.pop();
        let missing = |verdict: &str| Err(verdict.to_owned());
        // Without the comparison nothing says how sure the values are.
        let expected = [
            ("cache.arms.off.p50_us".to_owned(), Ok(Verdict::Inconclusive)),
            ("cache.arms.all.p50_us".to_owned(), missing("there is no such row after")),
            ("cache.comparison.*_p50.ratio".to_owned(), missing("there is no such table after")),
        ];
        assert_eq!(verdicts(&whole, &less), expected);
        let mut empty = whole.clone();
        empty[0].rows[0][1] = Cell::Empty;
        empty[1].columns[1].name = "another".to_owned();
        let expected = [
            ("cache.arms.off.p50_us".to_owned(), missing("there is no value before")),
            ("cache.arms.all.p50_us".to_owned(), Ok(Verdict::Equivalent)),
            ("cache.comparison.*_p50.ratio".to_owned(), missing("there is no such column before")),
        ];
        assert_eq!(verdicts(&empty, &whole), expected);
        assert_eq!(verdicts(&[], &[]), []);
    }

    #[test]
    fn a_text_in_the_place_of_a_number_is_damage() {
        let whole = tables([100.0, 50.0], 0.49, 0.51);
        let mut damaged = whole.clone();
        damaged[0].rows[1][1] = Cell::from("5o");
        let damage = compared(&whole, &damaged).unwrap_err();
        assert_eq!(damage.path, Path::new("summary/cache_arms.csv"));
        assert_eq!(damage.what, "row `all`, column `p50_us`: `5o` is no number as summaries have them");
    }
}
