//! What a surge leaves behind: how long the queue drains, how long load times stay bad, what was turned away, and whether the system
//! comes back to what it did before. One that does not, although the load is back to what it was, has failed in a metastable way
//! (Bronson et al., HotOS 2021). Pure.

use std::collections::BTreeMap;

use anyhow::Result;
use polars::prelude::{col, lit};

use super::super::trial::{
    metrics::{self, of_valid},
    rows::{LatencyRow, SecondRow, TrialRow},
};
use crate::{
    aggregate::{Frames, column, to_rows},
    results::summary::{Cell, SummaryTable},
    stats::median,
};

/// Goodput after the surge may differ from that before by so much and still count as the same.
const SAME_GOODPUT: f64 = 0.05;

/// A queue that holds less than this part of a second's requests is empty.
const EMPTY_QUEUE: f64 = 0.05;

/// One row per arm.
pub(super) fn table(
    frames: &Frames,
    arms: &[&str],
    seconds: &SummaryTable,
    load: &SummaryTable,
    phases: &SummaryTable,
) -> Result<SummaryTable> {
    let number = |table: &SummaryTable, key: &str, column: &str| table.cell(key, column).and_then(Cell::number);
    let end_s = number(load, "surge", "end_s").unwrap_or(f64::INFINITY);
    let trials = trials(frames)?;
    let mut rows = Vec::new();
    for arm in arms {
        let before_us = number(phases, &format!("{arm}_before"), "p90_us");
        let after: Vec<(f64, f64)> = seconds
            .keys()
            .filter(|key| seconds.cell(key, "arm").and_then(Cell::text) == Some(*arm))
            .filter_map(|key| Some((number(seconds, &key, "second")?, number(seconds, &key, "p90_us")?)))
            .filter(|(second, _)| *second >= end_s)
            .collect();
        let recovered_s = before_us.and_then(|before_us| recovered(&after, before_us)).map(|second| second - end_s);
        let of_arm: Vec<&Trial> = trials.iter().filter(|((name, _), _)| name == arm).map(|(_, trial)| trial).collect();
        // A queue that is not drained within the window pulls the median up, not down.
        let drained = |trial: &&Trial| trial.drained(end_s).map_or(f64::INFINITY, |second| second - end_s);
        let drain_s = median(&of_arm.iter().map(drained).collect::<Vec<_>>());
        let goodput = median(&of_arm.iter().filter_map(|trial| trial.goodput()).collect::<Vec<_>>());
        let same = goodput.map(|ratio| (ratio - 1.0).abs() <= SAME_GOODPUT);
        rows.push(vec![
            Cell::from(*arm),
            Cell::from(before_us),
            Cell::from(recovered_s),
            Cell::from(drain_s),
            Cell::from(shed_share(frames, arm)?),
            Cell::from(goodput),
            same.map_or(Cell::Empty, |same| Cell::from(if same { "no" } else { "yes" })),
        ]);
    }
    let columns = vec![
        column("arm", "the balancing"),
        column("before_p90_us", "90th percentile of the load time before the surge"),
        column(
            "recovery_s",
            "whole seconds from the end of the surge until load times are as before; empty if not in the window",
        ),
        column(
            "drain_s",
            "whole seconds from the end of the surge until nothing that was due is unanswered, median over blocks; empty if not in the window",
        ),
        column("shed_share", "share of the surge's requests that were turned away with 503"),
        column(
            "goodput_ratio",
            "share of what was due that was answered by the end of its phase, after / before, median over blocks",
        ),
        column("metastable", "whether goodput stays away from what it was although the load is back"),
    ];
    to_rows("surge", "recovery", columns, rows)
}

/// The first of two seconds in a row whose load time is at most 1.2 times that before the surge.
fn recovered(after: &[(f64, f64)], before_us: f64) -> Option<f64> {
    let calm = |latency_us: f64| latency_us <= 1.2 * before_us;
    after.windows(2).find(|pair| calm(pair[0].1) && calm(pair[1].1)).map(|pair| pair[0].0)
}

/// One trial: what was due in each phase, what of it was kept, and what was complete in each second.
#[derive(Default)]
struct Trial {
    due_until_end: u64,
    after: Option<(f64, u64)>,
    completed: BTreeMap<i32, u64>,
    /// By phase, the share of what was due that was answered by its end.
    kept: BTreeMap<String, f64>,
}

/// The trials that may be used, by arm and block.
fn trials(frames: &Frames) -> Result<BTreeMap<(String, u32), Trial>> {
    let valid = metrics::valid(frames)?;
    let mut trials: BTreeMap<(String, u32), Trial> = BTreeMap::new();
    for row in frames.rows::<TrialRow>()?.into_iter().filter(|row| valid.holds(row.block, &row.arm, row.attempt)) {
        let trial = trials.entry((row.arm.clone(), row.block)).or_default();
        trial.kept.insert(row.phase.clone(), row.achieved_share());
        if row.phase == "after" {
            trial.after = Some((row.duration_s, row.offered));
        } else {
            trial.due_until_end += row.offered;
        }
    }
    for row in frames.rows::<SecondRow>()?.into_iter().filter(|row| valid.holds(row.block, &row.arm, row.attempt)) {
        trials.entry((row.arm, row.block)).or_default().completed.insert(row.second, row.completed);
    }
    Ok(trials)
}

impl Trial {
    /// The first second after the surge at whose end nothing that was due is unanswered.
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    fn drained(&self, end_s: f64) -> Option<f64> {
        let (after_s, after_due) = self.after?;
        let rate_per_s = after_due as f64 / after_s;
        let mut answered = 0.0;
        for (&second, &completed) in &self.completed {
            answered += completed as f64;
            let since_s = f64::from(second) + 1.0 - end_s;
            if since_s <= 0.0 || since_s > after_s {
                continue;
            }
            if self.due_until_end as f64 + rate_per_s * since_s - answered <= EMPTY_QUEUE * rate_per_s {
                return Some(f64::from(second));
            }
        }
        None
    }

    /// What was kept after the surge, against what was kept before it.
    fn goodput(&self) -> Option<f64> {
        Some(self.kept.get("after")? / self.kept.get("before")?)
    }
}

fn shed_share(frames: &Frames, arm: &str) -> Result<Option<f64>> {
    let of_surge = col("phase").eq(lit("surge")).and(col("arm").eq(lit(arm)));
    let rows = of_valid(frames.lazy::<LatencyRow>()?.filter(of_surge), &metrics::valid(frames)?);
    let sums = rows
        .select([col("count").sum().alias("all"), col("count").filter(col("status").eq(lit(503))).sum().alias("shed")])
        .collect()?;
    let sum = |name: &str| -> Result<f64> {
        let column = sums.column(name)?.cast(&polars::prelude::DataType::Float64)?;
        Ok(column.f64()?.get(0).unwrap_or(0.0))
    };
    let (all, shed) = (sum("all")?, sum("shed")?);
    Ok((all > 0.0).then(|| shed / all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovery_is_the_first_of_two_calm_seconds() {
        let after = [(10.0, 900.0), (11.0, 110.0), (12.0, 500.0), (13.0, 115.0), (14.0, 100.0)];
        assert_eq!(recovered(&after, 100.0), Some(13.0));
        assert_eq!(recovered(&after[..3], 100.0), None);
    }

    #[test]
    fn a_queue_is_drained_when_all_that_was_due_is_answered() {
        // 100 a second for two seconds, 500 a second for two, then 100 again; 200 a second are answered at most.
        let completed = [100, 100, 200, 200, 200, 200, 200, 200, 200, 200, 200, 100];
        let completed = (0..).zip(completed).collect();
        let trial = Trial { due_until_end: 1_200, after: Some((8.0, 800)), completed, ..Trial::default() };
        // 600 wait at the end of the surge, and 100 fewer after each second.
        assert_eq!(trial.drained(4.0), Some(9.0));
        let never = Trial { due_until_end: 5_000, ..trial };
        assert_eq!(never.drained(4.0), None);
    }
}
