//! The first level: entries in the memory of this server, and what this server has heard of bumps. It asks nobody anything.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use super::entry::{Entry, Fingerprint};
use super::key::{Key, Tag};
use crate::config::LocalCache;

/// For how long what was heard is believed without asking: the most that an entry can be behind in fast mode, whatever gets lost.
const TRUST: Duration = Duration::from_secs(1);

/// How many tags are told apart. Two that meet in one place make each other's entries be checked once more, and nothing worse.
const PLACES: usize = 4096;

/// What this server has heard of bumps, its own and those of others: one number per place, which grows.
pub(super) struct Heard {
    places: Box<[AtomicU64]>,
    /// Grows when everything is bumped, and whenever something may have gone unheard.
    epoch: AtomicU64,
    /// How many of the sources, Redis and PostgreSQL, are being listened to now. Either of them tells of every bump.
    sources: AtomicU32,
    hasher: DefaultHashBuilder,
}

/// What had been heard about a tag at one instant.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Stamp {
    place: u64,
    epoch: u64,
}

impl Heard {
    pub(super) fn new() -> Self {
        Self {
            places: std::iter::repeat_with(AtomicU64::default).take(PLACES).collect(),
            epoch: AtomicU64::new(0),
            sources: AtomicU32::new(0),
            hasher: DefaultHashBuilder::default(),
        }
    }

    pub(super) fn stamp(&self, tag: Tag) -> Stamp {
        Stamp { place: self.place(tag).load(Ordering::Acquire), epoch: self.epoch.load(Ordering::Acquire) }
    }

    pub(super) fn bumped(&self, tag: Tag) {
        let number = if tag == Tag::All { &self.epoch } else { self.place(tag) };
        number.fetch_add(1, Ordering::AcqRel);
    }

    /// From now on a source is listened to. What was kept before may have missed something.
    pub(super) fn source_found(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.sources.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn source_lost(&self) {
        self.sources.fetch_sub(1, Ordering::AcqRel);
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    fn place(&self, tag: Tag) -> &AtomicU64 {
        &self.places[self.hasher.hash_one(tag.shared()) as usize % PLACES]
    }
}

/// An entry, and when it was last known to count.
pub(super) struct Kept {
    pub(super) entry: Arc<Entry>,
    stamp: Stamp,
    checked_at: Instant,
}

#[derive(Clone)]
struct Weight;

impl Weighter<Key, Arc<Kept>> for Weight {
    fn weight(&self, _: &Key, kept: &Arc<Kept>) -> u64 {
        kept.entry.weight()
    }
}

/// Entries in memory, the most used ones, up to a number of bytes.
pub(super) struct Local {
    entries: Cache<Key, Arc<Kept>, Weight>,
    is_fast: bool,
}

impl Local {
    pub(super) fn new(mode: LocalCache, mib: u32) -> Option<Self> {
        if mode == LocalCache::Off {
            return None;
        }
        let bytes = u64::from(mib) << 20;
        // Few parts, since each can hold only what fits into its share.
        let options = OptionsBuilder::new()
            .shards(4)
            .estimated_items_capacity(usize::try_from(bytes / 16_384).unwrap_or(1024))
            .weight_capacity(bytes)
            .build()
            .ok()?;
        let entries = Cache::with_options(options, Weight, DefaultHashBuilder::default(), DefaultLifecycle::default());
        Some(Self { entries, is_fast: mode == LocalCache::Fast })
    }

    /// The entry, whether or not it still counts.
    pub(super) fn get(&self, key: &Key) -> Option<Arc<Kept>> {
        self.entries.get(key)
    }

    /// Whether the entry counts without asking anybody.
    pub(super) fn trusts(&self, kept: &Kept, heard: &Heard, tag: Tag) -> bool {
        self.is_fast
            && kept.stamp == heard.stamp(tag)
            && heard.sources.load(Ordering::Acquire) > 0
            && kept.checked_at.elapsed() < TRUST
    }

    /// Keeps an entry that is known to count. The stamp must be from before this was found out, so that whatever is heard meanwhile
    /// is not missed.
    pub(super) fn keep(&self, key: Key, entry: Arc<Entry>, stamp: Stamp) {
        // Without marks nobody can find out later whether it still counts.
        if self.is_fast || entry.has_marks() {
            self.entries.insert(key, Arc::new(Kept { entry, stamp, checked_at: Instant::now() }));
        }
    }

    /// A page that was put together from parts with this fingerprint.
    pub(super) fn assembled(&self, key: &Key, parts: Fingerprint) -> Option<Arc<Entry>> {
        let kept = self.entries.get(key)?;
        (kept.entry.fingerprint() == parts).then(|| Arc::clone(&kept.entry))
    }

    pub(super) fn keep_assembled(&self, key: Key, entry: &Arc<Entry>, stamp: Stamp) {
        self.entries.insert(key, Arc::new(Kept { entry: Arc::clone(entry), stamp, checked_at: Instant::now() }));
    }

    pub(super) fn is_fast(&self) -> bool {
        self.is_fast
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn fast_trusts_what_it_heard_nothing_against() {
        let (heard, local) = (Heard::new(), Local::new(LocalCache::Fast, 1).unwrap());
        let (key, tag) = (Key::CommentCount(1), Tag::Post(1));
        let keep = || local.keep(key, Arc::new(Entry::of(Bytes::from_static(b"2"))), heard.stamp(tag));
        let is_trusted = || local.trusts(&local.get(&key).unwrap(), &heard, tag);
        keep();
        assert!(!is_trusted(), "nobody is being listened to");
        heard.source_found();
        assert!(!is_trusted(), "it was kept before anybody was listened to");
        let bumped: fn(&Heard) = |heard| heard.bumped(Tag::Post(1));
        let all_bumped: fn(&Heard) = |heard| heard.bumped(Tag::All);
        for news in [bumped, all_bumped, Heard::source_lost] {
            keep();
            assert!(is_trusted());
            news(&heard);
            assert!(!is_trusted());
        }
        heard.source_found();
        keep();
        std::thread::sleep(TRUST + Duration::from_millis(5));
        assert!(!is_trusted(), "it was trusted for too long");
    }

    #[test]
    fn strict_trusts_nothing() {
        let (heard, local) = (Heard::new(), Local::new(LocalCache::Strict, 1).unwrap());
        heard.source_found();
        local.keep(Key::Feed, Arc::new(Entry::of(Bytes::new())), heard.stamp(Tag::PostList));
        assert!(local.get(&Key::Feed).is_none(), "an entry without marks can never be checked");
        let marks = Some([[1; 16], [2; 16]]);
        local.keep(
            Key::Feed,
            Arc::new(Entry::made(Bytes::new(), false, Duration::ZERO, marks)),
            heard.stamp(Tag::PostList),
        );
        assert!(!local.trusts(&local.get(&Key::Feed).unwrap(), &heard, Tag::PostList));
    }

    #[test]
    fn memory_is_bounded() {
        let (heard, local) = (Heard::new(), Local::new(LocalCache::Fast, 1).unwrap());
        for id in 0..1000 {
            local.keep(Key::Article(id), Arc::new(Entry::of(vec![b'x'; 10_000].into())), heard.stamp(Tag::Post(id)));
        }
        let weight = local.entries.weight();
        assert!((500_000..=1 << 20).contains(&weight), "{weight} bytes");
    }
}
