//! What the cache counts about itself: plain numbers that only grow. It knows nothing of how they are shown.

use std::sync::atomic::{AtomicU64, Ordering};

use super::policy::Level;

/// What may become of one look at one entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Event {
    /// Shown as it was kept.
    Hit,
    /// The same, without asking Redis anything: this is counted besides `Hit`, and so are the next three.
    Local,
    /// Shown within its grace.
    Stale,
    /// Shown, and made again a little early.
    Early,
    /// It says that there is no such thing.
    Negative,
    /// Not there, or not alive.
    Miss,
    /// Not there, and already being made for somebody else: this is counted besides `Miss`.
    Coalesced,
    /// Not looked for: the level is off, or Redis is away.
    Bypass,
}

const EVENTS: [&str; 8] = ["hit", "local", "stale", "early", "negative", "miss", "coalesced", "bypass"];

/// Everything else that is counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Count {
    Computed,
    LeaseWon,
    LeaseLost,
    Bump,
    BumpFailed,
    Notification,
    RedisError,
    BreakerOpened,
}

const COUNTS: [(&str, &str); 8] = [
    ("cache_computed", "Entries that were made"),
    ("cache_leases_won", "Rights to make an entry that this server got"),
    ("cache_leases_lost", "Rights to make an entry that another server had"),
    ("cache_bumps", "Tags that were invalidated"),
    ("cache_bumps_failed", "Tags whose invalidation did not reach Redis at once"),
    ("cache_notifications", "Notifications of the database about what has changed"),
    ("cache_redis_errors", "Commands that Redis refused or did not answer in time"),
    ("cache_breaker_openings", "Times that Redis was given up for a moment"),
];

/// The numbers.
#[derive(Debug, Default)]
pub struct Counters {
    reads: [[AtomicU64; EVENTS.len()]; Level::ALL.len()],
    counts: [AtomicU64; COUNTS.len()],
}

/// Numbers under one name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Family {
    /// The name, without the `_total` that Prometheus wants.
    pub name: &'static str,
    /// What is counted.
    pub help: &'static str,
    /// Names and values of labels, and the number.
    pub samples: Vec<(Vec<(&'static str, &'static str)>, u64)>,
}

impl Counters {
    pub(super) fn read(&self, level: Level, event: Event) {
        self.reads[level as usize][event as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn add(&self, count: Count, number: usize) {
        self.counts[count as usize].fetch_add(number as u64, Ordering::Relaxed);
    }

    /// Every number, as it is now; always in the same order.
    pub fn families(&self) -> Vec<Family> {
        let reads = Level::ALL.into_iter().zip(&self.reads).flat_map(|(level, row)| {
            let labels = EVENTS.iter().map(move |event| vec![("level", level.name()), ("outcome", *event)]);
            labels.zip(row.iter().map(|number| number.load(Ordering::Relaxed)))
        });
        let help =
            "Looks at entries by what came of them; local, stale, early and coalesced are counted besides hit and miss";
        let reads = Family { name: "cache_reads", help, samples: reads.collect() };
        let counts = COUNTS.into_iter().zip(&self.counts).map(|((name, help), number)| Family {
            name,
            help,
            samples: vec![(Vec::new(), number.load(Ordering::Relaxed))],
        });
        [reads].into_iter().chain(counts).collect()
    }

    /// The number of looks with this outcome on all levels, or the number under this name.
    pub fn total(&self, name: &str) -> u64 {
        let families = self.families();
        let samples = families.iter().flat_map(|family| family.samples.iter().map(|sample| (family.name, sample)));
        let wanted =
            samples.filter(|(family, (labels, _))| *family == name || labels.contains(&("outcome", outcome(name))));
        wanted.map(|(_, (_, number))| number).sum()
    }
}

fn outcome(name: &str) -> &'static str {
    EVENTS.into_iter().find(|event| *event == name).unwrap_or("none")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_its_own_place() {
        let counters = Counters::default();
        counters.read(Level::Fragment, Event::Bypass);
        counters.add(Count::BreakerOpened, 3);
        let families = counters.families();
        let counted: Vec<_> = families
            .iter()
            .flat_map(|family| family.samples.iter().map(|(labels, number)| (family.name, labels.clone(), *number)))
            .filter(|(_, _, number)| *number > 0)
            .collect();
        assert_eq!(
            counted,
            [
                ("cache_reads", vec![("level", "fragment"), ("outcome", "bypass")], 1),
                ("cache_breaker_openings", Vec::new(), 3)
            ]
        );
        assert_eq!((counters.total("bypass"), counters.total("cache_breaker_openings")), (1, 3));
        assert_eq!((counters.total("hit"), counters.total("nothing")), (0, 0));
    }
}
