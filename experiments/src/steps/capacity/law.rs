//! Summaries of the closed loops: the Universal Scalability Law beside what was measured. Pure. Where the law's peak lies beyond the
//! users that were tried it says so, because a law that was fitted elsewhere is no measurement.

use std::collections::BTreeMap;

use anyhow::Result;

use super::{
    super::trial::{metrics, rows::TrialRow},
    LOOPED,
};
use crate::{
    aggregate::{Frames, column, to_rows},
    results::summary::{Cell, SummaryTable},
    stats::{Interval, Intervals, RESAMPLES, SEED, Scalability, median},
};

const STEP: &str = "capacity";

pub(super) fn summarise(frames: &Frames) -> Result<Vec<SummaryTable>> {
    let valid = metrics::valid(frames)?;
    let of_loops = |row: &TrialRow| row.phase == LOOPED && valid.holds(row.block, &row.arm, row.attempt);
    let trials = frames.rows::<TrialRow>()?.into_iter().filter(of_loops);
    let measured: Vec<(u32, f64)> = trials.map(|row| (row.users, row.achieved_per_s)).collect();
    let fit = Scalability::fit(&points(&measured));
    Ok(vec![
        users(&measured, fit.as_ref())?,
        law(&points(&measured), fit.as_ref())?,
        overall(&measured, fit.as_ref())?,
        curve(&measured, fit.as_ref())?,
    ])
}

/// The same as what a law is fitted to.
fn points(measured: &[(u32, f64)]) -> Vec<(f64, f64)> {
    measured.iter().map(|(users, per_s)| (f64::from(*users), *per_s)).collect()
}

/// One row per number of users: what was measured beside what the law says.
fn users(measured: &[(u32, f64)], fit: Option<&Scalability>) -> Result<SummaryTable> {
    let mut by_users: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    for (users, per_s) in measured {
        by_users.entry(*users).or_default().push(*per_s);
    }
    let rows = by_users.into_iter().map(|(users, found)| {
        let typical = median(&found);
        let fitted = fit.map(|fit| fit.throughput(f64::from(users)));
        vec![
            Cell::from(u64::from(users)),
            Cell::from(found.len()),
            Cell::from(typical),
            Cell::from(found.iter().copied().reduce(f64::min)),
            Cell::from(found.iter().copied().reduce(f64::max)),
            Cell::from(fitted),
            Cell::from(typical.zip(fitted).map(|(typical, fitted)| typical / fitted - 1.0)),
        ]
    });
    let columns = vec![
        column("users", "users of the closed loop"),
        column("trials_count", "valid trials"),
        column("measured_per_s", "rate of expected answers, median over the trials"),
        column("least_per_s", "the least of them"),
        column("most_per_s", "the most of them"),
        column("fitted_per_s", "what the law says"),
        column("residual_share", "by how much the median differs from the law"),
    ];
    to_rows(STEP, "users", columns, rows.collect())
}

/// One row per coefficient.
fn law(points: &[(f64, f64)], fit: Option<&Scalability>) -> Result<SummaryTable> {
    let intervals = fit.and_then(|fit| fit.intervals(points, 0.95, RESAMPLES, SEED));
    let row = |name: &str, meaning: &str, value: Option<f64>, of: fn(&Intervals) -> Interval| {
        let interval = intervals.as_ref().map(of);
        vec![
            Cell::from(name),
            Cell::from(meaning),
            Cell::from(value),
            Cell::from(interval.map(|interval| interval.low)),
            Cell::from(interval.map(|interval| interval.high)),
        ]
    };
    let rows = vec![
        row("gamma", "requests a second of one user", fit.map(|fit| fit.gamma), |found| found.gamma),
        row("alpha", "contention: the share that has to queue", fit.map(|fit| fit.alpha), |found| found.alpha),
        row("beta", "coherency: the price of each pair of users", fit.map(|fit| fit.beta), |found| found.beta),
        row("peak", "users with the highest throughput", fit.and_then(Scalability::peak_users), |found| {
            found.peak_users
        }),
    ];
    let columns = vec![
        column("coefficient", "the coefficient"),
        column("meaning", "what it says"),
        column("value", "its value"),
        column("low", "lower end of its 95 % interval, from resampled residuals"),
        column("high", "upper end; empty where so many resamples have no peak"),
    ];
    to_rows(STEP, "law", columns, rows)
}

/// One row for the sentences that speak of the whole curve.
fn overall(measured: &[(u32, f64)], fit: Option<&Scalability>) -> Result<SummaryTable> {
    let largest_users = measured.iter().map(|(users, _)| *users).max();
    let best = measured.iter().copied().max_by(|one, other| one.1.total_cmp(&other.1));
    let peak_users = fit.and_then(Scalability::peak_users);
    let place = fit.zip(largest_users).map(|(_, largest)| match peak_users {
        None => "none",
        Some(peak) if peak <= f64::from(largest) => "inside",
        Some(_) => "beyond",
    });
    let residuals = fit.map(|fit| fit.residuals(&points(measured))).unwrap_or_default();
    let users = |users: Option<u32>| users.map_or(Cell::Empty, |users| Cell::from(u64::from(users)));
    let row = vec![
        Cell::from("all"),
        Cell::from(measured.len()),
        users(largest_users),
        users(best.map(|(users, _)| users)),
        Cell::from(best.map(|(_, per_s)| per_s)),
        place.map_or(Cell::Empty, Cell::from),
        Cell::from(peak_users),
        Cell::from(fit.zip(peak_users).map(|(fit, users)| fit.throughput(users))),
        Cell::from(residuals.iter().map(|residual| residual.exp_m1().abs()).reduce(f64::max)),
    ];
    let columns = vec![
        column("fit", "the fit of all closed loops"),
        column("trials_count", "valid trials"),
        column("largest_users", "the most users that were tried"),
        column("best_users", "the users of the trial with the highest throughput"),
        column("best_per_s", "its throughput"),
        column("peak", "whether the law's peak lies inside of the users that were tried, beyond them, or nowhere"),
        column("peak_users", "users with the highest throughput, by the law"),
        column("peak_per_s", "that throughput, by the law"),
        column("largest_residual_share", "the largest difference of a trial from the law"),
    ];
    to_rows(STEP, "fit", columns, vec![row])
}

/// The law, drawn through every number of users up to the largest that was tried.
fn curve(measured: &[(u32, f64)], fit: Option<&Scalability>) -> Result<SummaryTable> {
    let largest = measured.iter().map(|(users, _)| *users).max().unwrap_or(0);
    let rows = fit.into_iter().flat_map(|fit| {
        (1..=largest).map(|users| vec![Cell::from(u64::from(users)), Cell::from(fit.throughput(f64::from(users)))])
    });
    let columns = vec![column("users", "users"), column("fitted_per_s", "throughput by the law")];
    to_rows(STEP, "curve", columns, rows.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(measured: &[(u32, f64)]) -> String {
        let fit = Scalability::fit(&points(measured));
        overall(measured, fit.as_ref()).unwrap().cell("all", "peak").map(Cell::to_csv).unwrap_or_default()
    }

    #[test]
    fn a_peak_that_was_not_measured_is_called_so() {
        let law = Scalability { gamma: 100.0, alpha: 0.05, beta: 0.002 };
        let up_to = |law: Scalability, largest: u32| -> Vec<(u32, f64)> {
            (0..=largest).map(|power| 1 << power).map(|users| (users, law.throughput(f64::from(users)))).collect()
        };
        assert_eq!(place(&up_to(law, 5)), "inside", "the peak is at 21.8 users");
        assert_eq!(place(&up_to(law, 4)), "beyond");
        assert_eq!(place(&up_to(Scalability { beta: 0.0, ..law }, 5)), "none");
        assert_eq!(place(&up_to(law, 2)), "", "three numbers of users determine nothing");
    }
}
