//! How an entry is found: in memory, and else with one question to Redis for all parts of a page. It decides what may be shown; who makes what
//! is missing is decided elsewhere.

use std::sync::Arc;

use super::Inner;
use super::counters::Event;
use super::entry::{Entry, Freshness, Marks, now_ms};
use super::key::{Key, Tag};
use super::local::{Kept, Local, Stamp};
use super::policy::{Level, Policy};

/// What was found of one thing that is wanted, before the database was asked.
pub struct Probe {
    pub(super) policy: &'static Policy,
    pub(super) key: Key,
    pub(super) stamp: Stamp,
    pub(super) state: State,
}

pub(super) enum State {
    /// The level is off.
    Off,
    /// An entry that may be shown.
    Alive(Arc<Entry>, Freshness),
    /// Redis was not asked, or has not answered. With it, what lies in memory and may count or not.
    Unknown(Option<Arc<Kept>>),
    /// Nothing that may be shown, under these marks.
    Dead(Marks),
}

impl Probe {
    pub(super) fn is_unknown(&self) -> bool {
        matches!(self.state, State::Unknown(_))
    }
}

impl Inner {
    pub(super) fn is_on(&self, level: Level) -> bool {
        let is_on = match level {
            Level::View => self.config.view,
            Level::Fragment => self.config.fragment,
            Level::Value => self.config.value,
        };
        is_on && self.store.is_some()
    }

    /// What can be said without asking Redis.
    pub(super) fn probe(&self, policy: &'static Policy, key: Key) -> Probe {
        let stamp = self.heard.stamp(key.tag());
        let state = if self.is_on(policy.level) { self.recall(policy, key) } else { State::Off };
        Probe { policy, key, stamp, state }
    }

    fn recall(&self, policy: &Policy, key: Key) -> State {
        let Some((local, kept)) = self.local.as_ref().and_then(|local| Some((local, local.get(&key)?))) else {
            return State::Unknown(None);
        };
        if local.trusts(&kept, &self.heard, key.tag()) {
            let freshness = freshness(&kept.entry, policy);
            if freshness != Freshness::TooOld {
                self.counters.read(policy.level, Event::Local);
                return State::Alive(Arc::clone(&kept.entry), freshness);
            }
        }
        State::Unknown(Some(kept))
    }

    /// Asks Redis, in one round trip, for all that is not known yet: for the entries that are not in memory, and for the marks of all.
    pub(super) async fn ask<const N: usize>(&self, probes: [Probe; N]) -> [Probe; N] {
        let unknown = probes.iter().filter(|probe| probe.is_unknown());
        let tags = Tag::distinct(unknown.map(|probe| probe.key.tag()).chain([Tag::All]));
        let is_fetched = |probe: &&Probe| matches!(probe.state, State::Unknown(None));
        let fetched = probes.iter().filter(is_fetched).map(|probe| probe.key);
        let Some(store) = self.store.as_ref().filter(|_| !self.unsent.has_any(&tags)) else { return probes };
        let Some(found) = store.read(&self.counters, fetched, &tags).await else { return probes };
        let mut entries = found.entries.into_iter();
        probes.map(|probe| {
            let State::Unknown(kept) = &probe.state else { return probe };
            let place = tags.iter().position(|tag| *tag == probe.key.tag());
            let mark = |place: usize| found.marks.get(place).copied().flatten();
            let marks = [place.and_then(mark), mark(tags.len() - 1)];
            let entry = match kept {
                Some(kept) => Some(Arc::clone(&kept.entry)),
                None => entries.next().flatten().and_then(Entry::decode).map(Arc::new),
            };
            let state = self.judge(&probe, entry, marks, kept.is_some());
            Probe { state, ..probe }
        })
    }

    /// Whether an entry may be shown under these marks. If so, it is kept in memory, too, unless it comes from there and when it was
    /// checked does not matter.
    fn judge(&self, probe: &Probe, entry: Option<Arc<Entry>>, marks: Marks, is_kept: bool) -> State {
        let Some(entry) = entry.filter(|entry| entry.is_under(&marks)) else { return State::Dead(marks) };
        let freshness = freshness(&entry, probe.policy);
        if freshness == Freshness::TooOld {
            return State::Dead(marks);
        }
        if !is_kept || self.local.as_ref().is_some_and(Local::is_fast) {
            self.keep_in_memory(probe.key, &entry, probe.stamp);
        }
        State::Alive(entry, freshness)
    }

    pub(super) fn keep_in_memory(&self, key: Key, entry: &Arc<Entry>, stamp: Stamp) {
        if let Some(local) = &self.local {
            local.keep(key, Arc::clone(entry), stamp);
        }
    }
}

pub(super) fn freshness(entry: &Entry, policy: &Policy) -> Freshness {
    // A logarithm of 0 would be infinite.
    entry.freshness(policy, now_ms(), || 1.0 - rand::random::<f64>())
}
