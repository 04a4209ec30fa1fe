//! The limits as one server counts them while Redis is away.

use std::num::NonZero;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{Quota, RateLimiter};

use super::Rule;

/// The most subjects that are counted per rule.
const SUBJECTS_MAX: usize = 50_000;

type Limiter = governor::DefaultKeyedRateLimiter<[u8; 32]>;

/// One limiter per rule, in the order of [`Rule::ALL`].
pub(super) struct LocalLimits {
    limiters: Vec<(Rule, Limiter)>,
    clock: DefaultClock,
}

impl LocalLimits {
    pub(super) fn new() -> Self {
        let limiter = |rule: Rule| {
            let (burst, interval) = rule.quota();
            let one_per_second = Quota::per_second(NonZero::<u32>::MIN);
            let burst = NonZero::new(burst).unwrap_or(NonZero::<u32>::MIN);
            let quota = Quota::with_period(interval).unwrap_or(one_per_second).allow_burst(burst);
            (rule, RateLimiter::keyed(quota))
        };
        Self { limiters: Rule::ALL.map(limiter).into(), clock: DefaultClock::default() }
    }

    /// How long this subject has to wait: nothing, if the request passes.
    pub(super) fn check(&self, rule: Rule, subject: [u8; 32]) -> Duration {
        let Some((_, limiter)) = self.limiters.iter().find(|(counted, _)| *counted == rule) else {
            return Duration::ZERO;
        };
        if limiter.len() >= SUBJECTS_MAX {
            limiter.retain_recent();
            // So many in so short a time is an attack. Who forgot the counts now would help it.
            if limiter.len() >= SUBJECTS_MAX {
                return rule.quota().1;
            }
        }
        match limiter.check_key(&subject) {
            Ok(()) => Duration::ZERO,
            Err(refusal) => refusal.wait_time_from(self.clock.now()),
        }
    }
}
