//! An entry: what it holds, and whether it may be shown. How it lies in Redis is told in [`coding`].

mod coding;
mod fingerprint;

use std::io::Write;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
pub use fingerprint::Fingerprint;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::policy::Policy;
use crate::http::Prepared;

/// Below this, compressing costs more than it saves.
const GZIP_BYTES_MIN: usize = 1024;

/// A random number that a tag carries until it is bumped. Two marks are equal or not; there is no order, so that a mark that Redis has
/// lost can never come back by counting.
pub(super) type Mark = [u8; 16];

/// The marks of an entry's own tag and of `Tag::All`, as they were before the database was asked; None where there is none.
pub(super) type Marks = [Option<Mark>; 2];

/// A body, and what must be known to show it.
#[derive(Debug)]
pub struct Entry {
    body: Bytes,
    /// Compressed when it is first needed; empty if it is too short for that.
    gzip: OnceLock<Bytes>,
    fingerprint: Fingerprint,
    is_negative: bool,
    computed_at_ms: u64,
    cost_us: u32,
    /// None if Redis could not be asked; then it is never stored there.
    marks: Option<[Mark; 2]>,
    /// The responses that show it, made when they are first needed. What is kept in this process is answered without making them again.
    pub(crate) prepared: Prepared,
}

/// Whether an entry that was not invalidated may be shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Freshness {
    Fresh,
    /// Still fresh, and chosen to be made again before everybody needs it.
    Early,
    /// Too old, and within its grace.
    Stale,
    TooOld,
}

impl Entry {
    /// A body that is kept nowhere.
    pub fn of(body: Bytes) -> Self {
        let fingerprint = Fingerprint::of(&body);
        Self::new(body, fingerprint)
    }

    /// A body that is kept nowhere, whose fingerprint is known by other means.
    pub fn new(body: Bytes, fingerprint: Fingerprint) -> Self {
        Self {
            body,
            gzip: OnceLock::new(),
            fingerprint,
            is_negative: false,
            computed_at_ms: now_ms(),
            cost_us: 0,
            marks: None,
            prepared: Prepared::default(),
        }
    }

    /// A body that was made at this cost, under these marks.
    pub(super) fn made(body: Bytes, is_negative: bool, cost: Duration, marks: Option<[Mark; 2]>) -> Self {
        let cost_us = u32::try_from(cost.as_micros()).unwrap_or(u32::MAX);
        Self { is_negative, cost_us, marks, ..Self::of(body) }
    }

    /// What was made.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The same compressed, unless it is too short for that.
    pub fn gzip(&self) -> Option<&Bytes> {
        let gzip =
            self.gzip.get_or_init(|| if self.body.len() < GZIP_BYTES_MIN { Bytes::new() } else { gzip(&self.body) });
        Some(gzip).filter(|gzip| !gzip.is_empty())
    }

    /// The same, if it is wanted.
    pub(crate) fn gzip_if(&self, is_wanted: bool) -> Option<&Bytes> {
        if is_wanted { self.gzip() } else { None }
    }

    /// The fingerprint of the body.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Whether this says that there is no such thing. The body then names what there is not.
    pub(super) fn is_negative(&self) -> bool {
        self.is_negative
    }

    /// Whether the marks are still those that it was made under. A mark that is missing equals none.
    pub(super) fn is_under(&self, marks: &Marks) -> bool {
        self.marks.is_some_and(|made_under| made_under.map(Some) == *marks)
    }

    /// When it was made, in milliseconds.
    pub(super) fn computed_at_ms(&self) -> u64 {
        self.computed_at_ms
    }

    /// Whether somebody can find out later whether it still counts.
    pub(super) fn has_marks(&self) -> bool {
        self.marks.is_some()
    }

    /// For how long it has been there, in seconds.
    pub(super) fn age_s(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.computed_at_ms) / 1000
    }

    /// For how long it is still fresh, in seconds.
    pub(super) fn ttl_s(&self, policy: &Policy, now_ms: u64) -> i64 {
        let fresh_until_ms = self.computed_at_ms + millis(self.ttl(policy));
        (i64::try_from(fresh_until_ms).unwrap_or(i64::MAX) - i64::try_from(now_ms).unwrap_or(i64::MAX)).div_euclid(1000)
    }

    /// How long Redis is to keep it.
    pub(super) fn lifetime_ms(&self, policy: &Policy) -> u64 {
        millis(self.ttl(policy)) + if self.is_negative { 0 } else { millis(policy.grace) }
    }

    /// Whether it may be shown now. `chance` is a random number above 0 and up to 1: one reader after the other draws one, and the closer
    /// the end and the more expensive the entry, the likelier it is that one is told to make it again. So a popular entry is made anew
    /// by one reader while the others are still shown the old one, without anybody having to agree on who does it.
    /// (Vattani, Chierichetti and Lowenstein, Optimal Probabilistic Cache Stampede Prevention, VLDB 2015.)
    pub(super) fn freshness(&self, policy: &Policy, now_ms: u64, chance: impl FnOnce() -> f64) -> Freshness {
        if self.is_fresh_for_everybody(policy, now_ms) {
            return Freshness::Fresh;
        }
        let age_ms = now_ms.saturating_sub(self.computed_at_ms);
        let ttl_ms = millis(self.ttl(policy));
        let head_start_ms = -f64::from(self.cost_us) / 1000.0 * chance().ln();
        if age_ms >= self.lifetime_ms(policy) {
            Freshness::TooOld
        } else if age_ms >= ttl_ms {
            Freshness::Stale
        } else if age_ms as f64 + head_start_ms >= ttl_ms as f64 {
            Freshness::Early
        } else {
            Freshness::Fresh
        }
    }

    /// Whether it is so far from its end that nobody would be told to make it again, whatever chance says.
    pub(super) fn is_fresh_for_everybody(&self, policy: &Policy, now_ms: u64) -> bool {
        let age_ms = now_ms.saturating_sub(self.computed_at_ms);
        // No logarithm of a random number is below -40.
        age_ms + 40 * u64::from(self.cost_us).div_ceil(1000) < millis(self.ttl(policy))
    }

    fn ttl(&self, policy: &Policy) -> Duration {
        if self.is_negative { policy.negative_ttl } else { policy.ttl }
    }

    /// What it takes of memory, roughly.
    pub(super) fn weight(&self) -> u64 {
        // The body, its compressed form even if it is still to come, and the headers of the responses.
        let gzip_bytes = self.gzip.get().map_or(self.body.len() / 3, Bytes::len);
        (2048 + self.body.len() + gzip_bytes) as u64
    }
}

/// The time in milliseconds. All servers must agree on it within a fraction of a policy's time.
pub(super) fn now_ms() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, millis)
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn gzip(body: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 3), Compression::fast());
    // Writing to memory cannot fail; if it did, nothing would be sent compressed.
    encoder.write_all(body).and_then(|()| encoder.finish()).map_or_else(|_| Bytes::new(), Bytes::from)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::*;
    use crate::cache::policy::{LISTS, Level};

    pub(super) fn any_entry() -> impl Strategy<Value = Entry> {
        (
            proptest::collection::vec(any::<u8>(), 0..3000),
            any::<bool>(),
            any::<u32>(),
            any::<[Mark; 2]>(),
            any::<bool>(),
        )
            .prop_map(|(body, is_negative, cost_us, marks, compress)| {
                let cost = Duration::from_micros(u64::from(cost_us));
                let entry = Entry::made(body.into(), is_negative, cost, Some(marks));
                if compress {
                    entry.gzip();
                }
                entry
            })
    }

    proptest! {
        #[test]
        fn only_the_very_marks_keep_it_alive(entry in any_entry(), other: [Option<Mark>; 2]) {
            let made_under = entry.marks.unwrap();
            prop_assert!(entry.is_under(&made_under.map(Some)));
            prop_assert!(!entry.is_under(&[Some(made_under[0]), None]));
            prop_assert!(!entry.is_under(&[None, Some(made_under[1])]));
            prop_assert_eq!(entry.is_under(&other), made_under.map(Some) == other);
        }

        #[test]
        fn compressed_it_is_the_same(body in "\\PC{0,3000}") {
            let entry = Entry::of(Bytes::from(body.clone()));
            prop_assert_eq!(entry.gzip().is_some(), body.len() >= GZIP_BYTES_MIN);
            if let Some(gzip) = entry.gzip() {
                let mut text = String::new();
                flate2::read::GzDecoder::new(&gzip[..]).read_to_string(&mut text).unwrap();
                prop_assert_eq!(text, body);
            }
        }
    }

    #[test]
    fn without_marks_it_is_never_kept_and_never_alive() {
        let entry = Entry::of(Bytes::from_static(b"text"));
        assert!(entry.encode().is_none());
        assert!(!entry.is_under(&[None, None]));
    }

    #[test]
    fn fresh_then_early_then_stale_then_too_old() {
        let entry = Entry::made(Bytes::new(), false, Duration::from_millis(100), None);
        let at = |age_ms: u64, chance: f64| entry.freshness(&LISTS, entry.computed_at_ms + age_ms, || chance);
        let (ttl_ms, grace_ms) = (60_000, 30_000);
        assert_eq!(at(0, 0.5), Freshness::Fresh);
        // -ln(0.5) times 100 ms is 69 ms.
        assert_eq!(at(ttl_ms - 70, 0.5), Freshness::Fresh);
        assert_eq!(at(ttl_ms - 69, 0.5), Freshness::Early);
        assert_eq!(at(ttl_ms - 1, 1.0), Freshness::Fresh);
        assert_eq!(at(ttl_ms, 1.0), Freshness::Stale);
        assert_eq!(at(ttl_ms + grace_ms - 1, 1.0), Freshness::Stale);
        assert_eq!(at(ttl_ms + grace_ms, 1.0), Freshness::TooOld);
        assert_eq!(entry.lifetime_ms(&LISTS), ttl_ms + grace_ms);
        // A clock that runs behind the one of the server that made it.
        assert_eq!(entry.freshness(&LISTS, entry.computed_at_ms - 5000, || 0.5), Freshness::Fresh);
    }

    #[test]
    fn what_is_not_there_has_no_grace() {
        let policy = Policy {
            level: Level::View,
            ttl: Duration::from_secs(60),
            grace: Duration::from_secs(30),
            negative_ttl: Duration::from_secs(10),
        };
        let entry = Entry::made(Bytes::new(), true, Duration::ZERO, None);
        assert_eq!(entry.freshness(&policy, entry.computed_at_ms + 9_999, || 1.0), Freshness::Fresh);
        assert_eq!(entry.freshness(&policy, entry.computed_at_ms + 10_000, || 1.0), Freshness::TooOld);
        assert_eq!(entry.lifetime_ms(&policy), 10_000);
    }
}
