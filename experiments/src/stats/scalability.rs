//! The Universal Scalability Law: how throughput grows with the number of users, and why it stops. It knows no server;
//! what the two coefficients mean on a given machine is for the reader of the residuals to judge.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::Interval;

/// What a fit has: `X(N) = γN / (1 + α(N − 1) + βN(N − 1))`. Source: Gunther, Guerrilla Capacity Planning (2007),
/// chapters 4 and 5.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scalability {
    /// Throughput of one user, in the unit of the throughputs that were fitted.
    pub gamma: f64,
    /// Contention, the share that must queue: at least 0.
    pub alpha: f64,
    /// Coherency, the price that each pays for each other: at least 0.
    pub beta: f64,
}

/// Intervals of a fit, from resampled residuals.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Intervals {
    /// Of the throughput of one user.
    pub gamma: Interval,
    /// Of contention.
    pub alpha: Interval,
    /// Of coherency.
    pub beta: Interval,
    /// Of the number of users with the highest throughput; an end is infinite where so many resamples have no peak.
    pub peak_users: Interval,
}

/// Numbers of users that differ, below which three coefficients are not determined.
const SMALLEST_LOADS: usize = 4;

/// Steps of the fit; it needs about ten.
const STEPS: u32 = 200;

/// The damping at which a step is too short to change anything.
const LARGEST_DAMPING: f64 = 1e12;

type Vector = [f64; 3];

impl Scalability {
    /// Fits the law to `(users, throughput)` by least squares of the logarithms: throughputs err in proportion to their
    /// size, so a deviation of 1 % counts the same at one user and at the peak. Repeated measurements at one number of
    /// users are welcome. The method is Levenberg's and Marquardt's, with the coefficients kept from becoming negative.
    /// `None` of fewer than four different numbers of users, and of values that are not finite or below one user or a
    /// throughput of nothing. Source of the method: Marquardt, An Algorithm for Least-Squares Estimation of Nonlinear
    /// Parameters, J. SIAM 11 (1963).
    #[must_use]
    pub fn fit(measured: &[(f64, f64)]) -> Option<Self> {
        let sound = |(users, throughput): &(f64, f64)| {
            users.is_finite() && *users >= 1.0 && throughput.is_finite() && *throughput > 0.0
        };
        let mut loads: Vec<f64> = measured.iter().map(|(users, _)| *users).collect();
        loads.sort_by(f64::total_cmp);
        loads.dedup();
        (measured.iter().all(sound) && loads.len() >= SMALLEST_LOADS).then(|| descend(measured))
    }

    /// The throughput at `users`, in the unit of `gamma`.
    #[must_use]
    pub fn throughput(&self, users: f64) -> f64 {
        self.gamma * users / self.slowdown(users)
    }

    /// The number of users with the highest throughput, `N* = sqrt((1 − α)/β)`; `None` without coherency, where
    /// throughput never falls again, or where contention alone makes one user the best. It is an extrapolation where it
    /// lies beyond the largest number that was measured.
    #[must_use]
    pub fn peak_users(&self) -> Option<f64> {
        (self.beta > 0.0 && self.alpha < 1.0).then(|| ((1.0 - self.alpha) / self.beta).sqrt().max(1.0))
    }

    /// How far each measurement lies from the law, as the logarithm of measured over fitted: 0.01 is one percent above.
    /// Runs of the same sign say that the law is not what happens.
    #[must_use]
    pub fn residuals(&self, measured: &[(f64, f64)]) -> Vec<f64> {
        measured.iter().map(|(users, throughput)| (throughput / self.throughput(*users)).ln()).collect()
    }

    /// Intervals of the coefficients by resampling the residuals, `resamples` times with `seed`: the loads are the
    /// design and stay, each gets the fitted throughput and a residual of any load, stretched by `sqrt(m / (m − 3))`
    /// for the three coefficients that made the residuals too small. The ends are percentiles. `None` when there are
    /// fewer than five measurements, or none of the resamples could be fitted. Source: Efron and Tibshirani, An
    /// Introduction to the Bootstrap (1993), section 9.4.
    #[must_use]
    pub fn intervals(
        &self,
        measured: &[(f64, f64)],
        confidence: f64,
        resamples: usize,
        seed: u64,
    ) -> Option<Intervals> {
        if measured.len() < 5 || !(0.0..1.0).contains(&confidence) {
            return None;
        }
        let residuals = self.residuals(measured);
        let mean = residuals.iter().sum::<f64>() / count(residuals.len());
        let stretch = (count(residuals.len()) / (count(residuals.len()) - 3.0)).sqrt();
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let fits: Vec<Self> = (0..resamples)
            .filter_map(|_| {
                let again: Vec<(f64, f64)> = measured
                    .iter()
                    .map(|(users, _)| {
                        let residual = stretch * (residuals[random.random_range(0..residuals.len())] - mean);
                        (*users, self.throughput(*users) * residual.exp())
                    })
                    .collect();
                Self::fit(&again)
            })
            .collect();
        let interval = |of: &dyn Fn(&Self) -> f64| percentiles(fits.iter().map(of).collect(), confidence);
        Some(Intervals {
            gamma: interval(&|fit| fit.gamma)?,
            alpha: interval(&|fit| fit.alpha)?,
            beta: interval(&|fit| fit.beta)?,
            peak_users: interval(&|fit| fit.peak_users().unwrap_or(f64::INFINITY))?,
        })
    }

    fn slowdown(&self, users: f64) -> f64 {
        1.0 + self.alpha * (users - 1.0) + self.beta * users * (users - 1.0)
    }

    fn squares(&self, measured: &[(f64, f64)]) -> f64 {
        self.residuals(measured).iter().map(|residual| residual * residual).sum()
    }

    /// The fit moved by `step` in (ln γ, α, β), with the coefficients held at 0.
    fn moved(&self, step: Vector) -> Self {
        Self {
            gamma: self.gamma * step[0].exp(),
            alpha: (self.alpha + step[1]).max(0.0),
            beta: (self.beta + step[2]).max(0.0),
        }
    }

    /// `JᵀJ` and `Jᵀr` of the logarithmic residuals in (ln γ, α, β).
    fn normal_equations(&self, measured: &[(f64, f64)]) -> ([Vector; 3], Vector) {
        let (mut matrix, mut slope) = ([[0.0; 3]; 3], [0.0; 3]);
        for ((users, _), residual) in measured.iter().zip(self.residuals(measured)) {
            let slowdown = self.slowdown(*users);
            let row = [1.0, -(users - 1.0) / slowdown, -users * (users - 1.0) / slowdown];
            for first in 0..3 {
                slope[first] += row[first] * residual;
                for second in 0..3 {
                    matrix[first][second] += row[first] * row[second];
                }
            }
        }
        (matrix, slope)
    }
}

/// Levenberg's and Marquardt's descent from a start without coherency.
fn descend(measured: &[(f64, f64)]) -> Scalability {
    let best_per_user = measured.iter().map(|(users, throughput)| throughput / users).fold(0.0, f64::max);
    let mut fit = Scalability { gamma: best_per_user, alpha: 0.05, beta: 1e-4 };
    let mut error = fit.squares(measured);
    let mut damping = 1e-3;
    for _ in 0..STEPS {
        let (mut matrix, mut slope) = fit.normal_equations(measured);
        // A coefficient that lies at 0 and is pushed below it stays there and is left out of this step.
        for (index, coefficient) in [(1, fit.alpha), (2, fit.beta)] {
            if coefficient == 0.0 && slope[index] < 0.0 {
                (0..3).for_each(|other| (matrix[index][other], matrix[other][index]) = (0.0, 0.0));
                (matrix[index][index], slope[index]) = (1.0, 0.0);
            }
        }
        let improved = loop {
            if damping > LARGEST_DAMPING {
                break None;
            }
            let mut damped = matrix;
            (0..3).for_each(|index| damped[index][index] *= 1.0 + damping);
            let next = fit.moved(solve(damped, slope));
            let found = next.squares(measured);
            if found < error {
                break Some((next, found));
            }
            damping *= 10.0;
        };
        let Some((next, found)) = improved else { break };
        let done = error - found < 1e-14 * error;
        (fit, error, damping) = (next, found, (damping / 10.0).max(1e-12));
        if done {
            break;
        }
    }
    fit
}

/// Solves three linear equations by Cramer's rule; a damped matrix is regular.
fn solve(matrix: [Vector; 3], right: Vector) -> Vector {
    let whole = determinant(matrix);
    std::array::from_fn(|column| {
        let mut replaced = matrix;
        (0..3).for_each(|row| replaced[row][column] = right[row]);
        determinant(replaced) / whole
    })
}

fn determinant([a, b, c]: [Vector; 3]) -> f64 {
    a[0] * (b[1] * c[2] - b[2] * c[1]) - a[1] * (b[0] * c[2] - b[2] * c[0]) + a[2] * (b[0] * c[1] - b[1] * c[0])
}

fn percentiles(mut values: Vec<f64>, confidence: f64) -> Option<Interval> {
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index, at most half of the last")]
    let cut = ((1.0 - confidence) / 2.0 * count(last)).floor() as usize;
    Some(Interval { low: values[cut], high: values[last - cut], confidence })
}

#[expect(clippy::cast_precision_loss, reason = "numbers of measurements are small")]
fn count(value: usize) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand_distr::{Distribution as _, Normal};

    const LOADS: [f64; 7] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];

    /// Each load three times, with relative noise.
    fn measured(law: Scalability, noise: f64, seed: u64) -> Vec<(f64, f64)> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let noise = Normal::new(0.0, noise).unwrap();
        let loads = LOADS.iter().flat_map(|users| [*users; 3]);
        loads.map(|users| (users, law.throughput(users) * f64::exp(noise.sample(&mut random)))).collect()
    }

    /// Gunther's benchmark of a ray tracer on an SGI Origin 2000, as printed in Guerrilla Capacity Planning, table 5.1.
    const RAY_TRACER: [(f64, f64); 11] = [
        (1.0, 20.0),
        (4.0, 78.0),
        (8.0, 130.0),
        (12.0, 170.0),
        (16.0, 190.0),
        (20.0, 200.0),
        (24.0, 210.0),
        (28.0, 230.0),
        (32.0, 260.0),
        (48.0, 280.0),
        (64.0, 310.0),
    ];

    #[test]
    fn the_published_benchmark() {
        // The R package `usl` comes to 0.050 and 4.7e-6 with γ held at the first measurement and absolute residuals.
        // With γ free the first two do not change by more than their standard errors (0.003 and 7e-5) times two.
        let fit = Scalability::fit(&RAY_TRACER).unwrap();
        assert!((fit.alpha - 0.05).abs() < 0.01 && fit.beta < 1e-4 && (fit.gamma - 20.0).abs() < 2.0, "{fit:?}");
        assert!(
            fit.residuals(&RAY_TRACER).iter().all(|residual| residual.abs() < 0.12),
            "{:?}",
            fit.residuals(&RAY_TRACER)
        );
    }

    #[test]
    fn a_law_without_coherency_has_no_peak() {
        let law = Scalability { gamma: 100.0, alpha: 0.1, beta: 0.0 };
        let fit = Scalability::fit(&measured(law, 0.0, 1)).unwrap();
        assert!((fit.alpha - 0.1).abs() < 1e-6 && fit.beta < 1e-8, "{fit:?}");
        assert_eq!(law.peak_users(), None);
        let noisy = measured(law, 0.02, 1);
        let intervals = Scalability::fit(&noisy).unwrap().intervals(&noisy, 0.95, 300, 1).unwrap();
        assert!(intervals.beta.low < 1e-6 && intervals.peak_users.high > 64.0, "{intervals:?}");
        assert_eq!(Scalability { alpha: 0.0, ..law }.throughput(7.0), 700.0, "a straight line");
    }

    #[test]
    fn intervals_cover_the_truth() {
        let law = Scalability { gamma: 1_000.0, alpha: 0.08, beta: 0.002 };
        let covered = (0..300).filter(|seed| {
            let drawn = measured(law, 0.03, *seed);
            let found = Scalability::fit(&drawn).unwrap().intervals(&drawn, 0.95, 200, *seed).unwrap();
            let covers = |interval: Interval, truth: f64| u32::from(interval.low <= truth && truth <= interval.high);
            let peak = law.peak_users().unwrap();
            covers(found.gamma, law.gamma)
                + covers(found.alpha, law.alpha)
                + covers(found.beta, law.beta)
                + covers(found.peak_users, peak)
                >= 4
        });
        // All four at once, which is less than each by itself.
        let share = count(covered.count()) / 300.0;
        assert!((0.80..=0.97).contains(&share), "{share}");
    }

    #[test]
    fn what_does_not_determine_the_law_gives_nothing() {
        assert!(Scalability::fit(&[]).is_none());
        assert!(Scalability::fit(&[(1.0, 1.0), (2.0, 2.0), (4.0, 3.0), (4.0, 3.1)]).is_none(), "three loads");
        for broken in [(8.0, 0.0), (8.0, f64::NAN), (0.0, 1.0), (f64::INFINITY, 1.0)] {
            assert!(Scalability::fit(&[(1.0, 1.0), (2.0, 2.0), (4.0, 3.0), (6.0, 3.5), broken]).is_none());
        }
        let law = Scalability { gamma: 1.0, alpha: 0.1, beta: 0.001 };
        assert!(law.intervals(&[(1.0, 1.0); 4], 0.95, 10, 1).is_none());
        assert!(law.intervals(&measured(law, 0.01, 1), 0.95, 0, 1).is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_law_is_recovered_from_its_own_points(
            gamma in 1.0..1e5_f64, alpha in 0.0..0.9_f64, beta in prop_oneof![Just(0.0), 1e-5..0.05_f64],
        ) {
            let law = Scalability { gamma, alpha, beta };
            let fit = Scalability::fit(&measured(law, 0.0, 1)).unwrap();
            prop_assert!((fit.gamma / gamma - 1.0).abs() < 1e-4, "{fit:?}");
            prop_assert!((fit.alpha - alpha).abs() < 1e-3 && (fit.beta - beta).abs() < 1e-4 + 1e-3 * beta, "{fit:?}");
        }

        #[test]
        fn and_from_noisy_ones(
            gamma in 1.0..1e5_f64, alpha in 0.02..0.3_f64, beta in 1e-3..0.01_f64, seed: u64,
        ) {
            let law = Scalability { gamma, alpha, beta };
            let drawn = measured(law, 0.02, seed);
            let fit = Scalability::fit(&drawn).unwrap();
            prop_assert!(fit.alpha >= 0.0 && fit.beta >= 0.0);
            prop_assert!(fit.squares(&drawn) <= law.squares(&drawn) * (1.0 + 1e-9), "not the least squares");
            prop_assert!(LOADS.iter().all(|users| (fit.throughput(*users) / law.throughput(*users) - 1.0).abs() < 0.06));
        }
    }
}
