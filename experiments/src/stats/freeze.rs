//! The closed form of a stall: what an open loop must see when the server stands still once. It knows no server; it is
//! what the bench checks its own clock against.
//!
//! Derivation. Requests arrive at the rate λ throughout; the server does μ of them per second, ρ = λ/μ, first come,
//! first served. It stands still from 0 to P. At its end λP requests wait, and since the server gains on them only at
//! the rate μ − λ, the queue is empty after another `λP / (μ − λ) = Pρ / (1 − ρ)` seconds. So all who arrive within
//! `P / (1 − ρ)` seconds wait, not just those of the stall itself. Who arrives at t ≤ P/(1 − ρ) has λt before it and is
//! served at P + λt/μ, hence
//!
//! ```text
//! W(t) = P − (1 − ρ) t
//! ```
//!
//! which falls in a straight line from P to 0: the waits are uniform on (0, P], in a share `f = P / ((1 − ρ) T)` of all
//! requests of a window T. The q-quantile of all requests, for 1 − q < f, is the wait of the affected with rank (1 −
//! q)/f from the top:
//!
//! ```text
//! L(q) = P · (1 − (1 − q)/f) = P − (1 − q) (1 − ρ) T
//! ```
//!
//! To it comes what a request takes anyway. Arrivals at random instead of in step change μ − λ only on average, not in
//! sum, so the same holds up to the ordinary queue. What it takes for granted: the window holds the whole drain, no
//! request is given up, and ρ is the utilisation at which the *slowest* part catches up. A closed loop sees the stall
//! in at most one request per user.

/// A server that stands still once in a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Freeze {
    stall_s: f64,
    window_s: f64,
    utilisation: f64,
}

impl Freeze {
    /// A stall of `stall_s` seconds in a window of `window_s` seconds at `utilisation`, the offered rate over the rate
    /// at which the server catches up, from 0 to below 1. `None` when the stall is not positive or when the window
    /// cannot hold it with its drain.
    #[must_use]
    pub fn new(stall_s: f64, window_s: f64, utilisation: f64) -> Option<Self> {
        let freeze = Self { stall_s, window_s, utilisation };
        let possible = stall_s > 0.0 && (0.0..1.0).contains(&utilisation) && freeze.affected_s() <= window_s;
        possible.then_some(freeze)
    }

    /// How long after the end of the stall the queue is empty again, in seconds.
    #[must_use]
    pub fn drain_s(&self) -> f64 {
        self.affected_s() - self.stall_s
    }

    /// The share of all requests that wait because of the stall.
    #[must_use]
    pub fn affected_share(&self) -> f64 {
        self.affected_s() / self.window_s
    }

    /// The q-quantile of the wait that the stall adds, over all requests of the window from their intended start, in
    /// seconds: 0 where more than the affected are asked for. What a request takes without a stall comes on top.
    /// `quantile` is a share from 0 to 1.
    #[must_use]
    pub fn wait_s(&self, quantile: f64) -> f64 {
        (self.stall_s - (1.0 - quantile) * (1.0 - self.utilisation) * self.window_s).max(0.0)
    }

    fn affected_s(&self) -> f64 {
        self.stall_s / (1.0 - self.utilisation)
    }
}

/// The largest share of the requests of a closed loop that can see a stall: one per user, of all that are answered. At
/// 16 users and 15,000 requests it is 0.1 %, so that its 99th percentile knows nothing of a stall of any length.
#[must_use]
pub fn closed_loop_affected_share(users: u64, requests: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    let share = users as f64 / requests.max(1) as f64;
    share.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng as _;

    /// Waits of requests that arrive at `arrivals`, at one server that needs `service_s` each and stands still from
    /// `from_s` to `until_s`. A request in service when the stall begins ends after it.
    fn waits(arrivals: &[f64], service_s: f64, from_s: f64, until_s: f64) -> Vec<f64> {
        let mut free_s = 0.0_f64;
        let wait = |arrived: &f64| {
            let mut start = free_s.max(*arrived);
            if (from_s..until_s).contains(&start) {
                start = until_s;
            }
            free_s = start + service_s;
            if start < from_s && free_s > from_s {
                free_s += until_s - from_s;
            }
            free_s - service_s - arrived
        };
        arrivals.iter().map(wait).collect()
    }

    fn quantile(mut values: Vec<f64>, quantile: f64) -> f64 {
        values.sort_by(f64::total_cmp);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
        let rank = (values.len() as f64 * quantile).ceil() as usize;
        values[rank.max(1) - 1]
    }

    #[test]
    fn the_example_of_the_report() {
        let freeze = Freeze::new(0.5, 15.0, 0.5).unwrap();
        assert!((freeze.wait_s(0.99) - 0.425).abs() < 1e-12);
        assert!((freeze.affected_share() - 1.0 / 15.0).abs() < 1e-12);
        assert!((freeze.drain_s() - 0.5).abs() < 1e-12);
        assert_eq!(freeze.wait_s(0.9), 0.0, "nine of ten never met it");
        assert_eq!(freeze.wait_s(1.0), 0.5);
        assert!(closed_loop_affected_share(16, 15_000) < 0.01 && closed_loop_affected_share(9, 3) == 1.0);
    }

    #[test]
    fn what_cannot_be_gives_nothing() {
        assert!(Freeze::new(0.0, 15.0, 0.5).is_none());
        assert!(Freeze::new(0.5, 15.0, 1.0).is_none());
        assert!(Freeze::new(0.5, 15.0, -0.1).is_none());
        assert!(Freeze::new(0.5, 0.9, 0.5).is_none(), "the drain alone takes as long as the stall");
        assert!(Freeze::new(f64::NAN, 15.0, 0.5).is_none() && Freeze::new(0.5, f64::NAN, 0.5).is_none());
    }

    /// The same with arrivals at random: the ordinary queue is all that is added.
    #[test]
    fn arrivals_at_random_see_the_same() {
        let (rate, window_s, utilisation) = (2_000.0, 15.0, 0.5);
        for seed in 0..5 {
            let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
            let mut now = 0.0;
            let arrivals: Vec<f64> = std::iter::from_fn(|| {
                now -= (1.0 - random.random::<f64>()).ln() / rate;
                (now < window_s).then_some(now)
            })
            .collect();
            let found = quantile(waits(&arrivals, utilisation / rate, 5.0, 5.5), 0.99);
            let expected = Freeze::new(0.5, window_s, utilisation).unwrap().wait_s(0.99);
            assert!((found / expected - 1.0).abs() < 0.03, "{seed}: {found} against {expected}");
        }
    }

    proptest! {
        /// The simulation without any chance, request by request.
        #[test]
        fn a_queue_in_step_sees_the_closed_form(
            stall_s in 0.1..1.0_f64, utilisation in 0.05..0.9_f64, asked in 0.5..0.9999_f64, rate in 200.0..2_000.0_f64,
        ) {
            let window_s = 15.0;
            let freeze = Freeze::new(stall_s, window_s, utilisation).unwrap();
            let arrivals: Vec<f64> = (0..).map(|ticket| f64::from(ticket) / rate).take_while(|now| *now < window_s).collect();
            let waits = waits(&arrivals, utilisation / rate, 2.0, 2.0 + stall_s);
            let affected = waits.iter().filter(|wait| **wait > 1e-9).count() as f64 / waits.len() as f64;
            // Requests are whole: one more or less of them, and the one in service when the stall began.
            let grain = 3.0 / (rate * window_s);
            prop_assert!((affected - freeze.affected_share()).abs() < grain / (1.0 - utilisation));
            prop_assert!((quantile(waits, asked) - freeze.wait_s(asked)).abs() < 3.0 / rate);
        }
    }
}
