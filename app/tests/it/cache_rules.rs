//! The rules of the cache, on the cache itself: fresh, early, stale and dead; one maker for all; nobody is left waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use app::cache::{Cache, Found, Key, Level, Outcome, Policy, Tag};
use app::config::{CacheConfig, LocalCache};
use app::error::AppError;

use crate::harness::{NOWHERE, TestDatabase, redis_url};

pub(crate) fn config(database: &TestDatabase, local: LocalCache) -> CacheConfig {
    CacheConfig {
        redis_url: Some(redis_url()),
        view: true,
        fragment: true,
        value: true,
        prefix: database.name.clone(),
        local,
        local_mib: 1,
    }
}

pub(crate) async fn connect(database: &TestDatabase, config: &CacheConfig) -> Cache {
    Cache::connect(config, database.url.parse().unwrap(), 3).await.unwrap()
}

const LOCAL: [LocalCache; 3] = [LocalCache::Off, LocalCache::Strict, LocalCache::Fast];

static LONG: Policy = policy(60_000, 30_000);
static SHORT: Policy = policy(100, 60_000);
static WITHOUT_GRACE: Policy = policy(100, 0);

const fn policy(ttl_ms: u64, grace_ms: u64) -> Policy {
    Policy {
        level: Level::View,
        ttl: Duration::from_millis(ttl_ms),
        grace: Duration::from_millis(grace_ms),
        negative_ttl: Duration::from_millis(200),
    }
}

/// Makes `1`, `2`, `3`: what is shown tells how often it was made.
#[derive(Clone, Default)]
struct Maker {
    count: Arc<AtomicU64>,
    takes: Duration,
}

impl Maker {
    fn taking(takes_ms: u64) -> Self {
        Self { takes: Duration::from_millis(takes_ms), ..Self::default() }
    }

    fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    async fn get(&self, cache: &Cache, policy: &'static Policy, key: Key) -> Result<Found, AppError> {
        let Self { count, takes } = self.clone();
        let make = move || async move {
            let made = count.fetch_add(1, Ordering::SeqCst) + 1;
            tokio::time::sleep(takes).await;
            Ok(made.to_string().into())
        };
        cache.get_or_make(policy, key, make).await
    }

    async fn text(&self, cache: &Cache, policy: &'static Policy, key: Key) -> String {
        String::from_utf8(self.get(cache, policy, key).await.unwrap().entry.body().to_vec()).unwrap()
    }
}

/// Within its time an entry is shown; after it, it is shown once more while it is made anew; made anew, the new one is shown.
#[tokio::test]
async fn old_is_shown_while_new_is_made() {
    let database = TestDatabase::empty().await;
    for local in LOCAL {
        let cache = connect(&database, &config(&database, local)).await;
        cache.clear().await;
        let (maker, key) = (Maker::taking(20), Key::Feed);
        assert_eq!(maker.text(&cache, &SHORT, key).await, "1");
        tokio::time::sleep(Duration::from_millis(200)).await;
        let stale = maker.get(&cache, &SHORT, key).await.unwrap();
        assert_eq!(stale.entry.body(), "1", "somebody waited for what could be shown");
        assert!(matches!(stale.outcome, Outcome::Hit { ttl_s } if ttl_s < 0), "{:?}", stale.outcome);
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert_eq!(maker.text(&cache, &SHORT, key).await, "2", "nobody made it anew");
        assert_eq!(cache.counters().total("stale"), 1);
    }
}

/// Without grace, or after it, what is too old is not shown.
#[tokio::test]
async fn too_old_is_not_shown() {
    let database = TestDatabase::empty().await;
    for local in LOCAL {
        let cache = connect(&database, &config(&database, local)).await;
        cache.clear().await;
        let maker = Maker::default();
        assert_eq!(maker.text(&cache, &WITHOUT_GRACE, Key::Feed).await, "1");
        assert_eq!(maker.text(&cache, &WITHOUT_GRACE, Key::Feed).await, "1");
        tokio::time::sleep(Duration::from_millis(120)).await;
        assert_eq!(maker.text(&cache, &WITHOUT_GRACE, Key::Feed).await, "2");
    }
}

/// What was invalidated is never shown: not while it is fresh, not within its grace, on no server, in no mode.
#[tokio::test]
async fn what_was_invalidated_is_never_shown() {
    let database = TestDatabase::empty().await;
    for policy in [&LONG, &SHORT] {
        for local in [LocalCache::Off, LocalCache::Strict] {
            let [one, other] = [
                connect(&database, &config(&database, local)).await,
                connect(&database, &config(&database, local)).await,
            ];
            let (maker, key) = (Maker::default(), Key::Article(1));
            for time in 1..20 {
                let shown = maker.text(&one, policy, key).await;
                assert_eq!(shown, maker.count().to_string());
                maker.text(&other, policy, key).await;
                if policy.ttl < LONG.ttl {
                    tokio::time::sleep(Duration::from_millis(10 * time)).await;
                }
                let before = maker.count();
                other.invalidate(&[Tag::Post(1)]).await;
                let shown: u64 = maker.text(&one, policy, key).await.parse().unwrap();
                assert!(shown > before, "{shown} was made before {before} was invalidated");
                // Another post is none of its business.
                other.invalidate(&[Tag::Post(2), Tag::Author(1), Tag::PostList, Tag::Tag(1)]).await;
            }
        }
    }
}

/// Each tag kills what is under it and nothing else; `Tag::All` kills everything.
#[tokio::test]
async fn tags_kill_what_is_under_them() {
    let database = TestDatabase::empty().await;
    let cache = connect(&database, &config(&database, LocalCache::Strict)).await;
    let start = app::cursor::Cursor::START;
    let notes = app::input::TagName::new("notes").unwrap();
    let keys = [
        Key::PostList(start),
        Key::Feed,
        Key::AuthorPage(1, start),
        Key::AuthorPage(2, start),
        Key::TagPage(notes, start),
        Key::Article(1),
        Key::RecentComments(1),
        Key::CommentCount(1),
        Key::CommentCount(2),
    ];
    for (tag, killed) in [
        (Tag::PostList, vec![0, 1]),
        (Tag::Author(1), vec![2]),
        (Tag::Tag(5), vec![4]),
        (Tag::Post(1), vec![5, 6, 7]),
        (Tag::Post(2), vec![8]),
        (Tag::All, (0..keys.len()).collect()),
    ] {
        let maker = Maker::default();
        for key in keys {
            maker.get(&cache, &LONG, key).await.unwrap();
        }
        cache.invalidate(&[tag]).await;
        for (place, key) in keys.into_iter().enumerate() {
            let found = maker.get(&cache, &LONG, key).await.unwrap();
            let is_hit = matches!(found.outcome, Outcome::Hit { .. });
            assert_eq!(is_hit, !killed.contains(&place), "{key} after {tag}");
        }
    }
}

/// Of all who want one thing at once, on two servers, one makes it.
#[tokio::test]
async fn one_makes_it_for_all() {
    let database = TestDatabase::empty().await;
    for local in LOCAL {
        let servers =
            [connect(&database, &config(&database, local)).await, connect(&database, &config(&database, local)).await];
        servers[0].clear().await;
        let (maker, key) = (Maker::taking(100), Key::Feed);
        let many = (0..200).map(|number| {
            let (maker, cache) = (maker.clone(), servers[number % 2].clone());
            tokio::spawn(async move { maker.text(&cache, &LONG, key).await })
        });
        for one in many.collect::<Vec<_>>() {
            assert_eq!(one.await.unwrap(), "1");
        }
        assert_eq!(maker.count(), 1);
        let coalesced = servers[0].counters().total("coalesced") + servers[1].counters().total("coalesced");
        assert!(coalesced >= 190, "only {coalesced} waited for another");
    }
}

/// Who has seen what was written is not given what was begun before.
#[tokio::test]
async fn nobody_joins_what_was_begun_too_early() {
    let database = TestDatabase::empty().await;
    for local in LOCAL {
        let cache = connect(&database, &config(&database, local)).await;
        cache.clear().await;
        let (maker, key) = (Maker::taking(200), Key::Article(1));
        let early = tokio::spawn({
            let (maker, cache) = (maker.clone(), cache.clone());
            async move { maker.text(&cache, &LONG, key).await }
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        cache.invalidate(&[Tag::Post(1)]).await;
        assert_eq!(maker.text(&cache, &LONG, key).await, "2");
        assert_eq!(early.await.unwrap(), "1");
        assert_eq!(maker.text(&cache, &LONG, key).await, "2", "what was begun too early came back");
    }
}

/// A client who leaves takes nothing with it: what it began is finished, for those who wait and for those who come.
#[tokio::test]
async fn a_client_who_leaves_does_not_stop_the_work() {
    let database = TestDatabase::empty().await;
    let cache = connect(&database, &config(&database, LocalCache::Off)).await;
    let (maker, key) = (Maker::taking(150), Key::Feed);
    let leaving = maker.get(&cache, &LONG, key);
    assert!(tokio::time::timeout(Duration::from_millis(50), leaving).await.is_err());
    assert_eq!(maker.text(&cache, &LONG, key).await, "1");
    assert_eq!(maker.count(), 1);
}

/// A failure is told to all who wait, and is not kept; a panic leaves nobody waiting.
#[tokio::test]
async fn failures_are_shared_and_not_kept() {
    let database = TestDatabase::empty().await;
    let cache = connect(&database, &config(&database, LocalCache::Strict)).await;
    let count = Arc::new(AtomicU64::new(0));
    let fail = || {
        let count = Arc::clone(&count);
        move || async move {
            count.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(50)).await;
            Err(AppError::TimedOut)
        }
    };
    let (one, other) =
        tokio::join!(cache.get_or_make(&LONG, Key::Feed, fail()), cache.get_or_make(&LONG, Key::Feed, fail()));
    assert_eq!([one.unwrap_err().status(), other.unwrap_err().status()].map(|status| status.as_u16()), [503, 503]);
    assert_eq!(count.load(Ordering::SeqCst), 1);
    let panicked = cache.get_or_make(&LONG, Key::Feed, || async { panic!("as intended") }).await;
    assert_eq!(panicked.unwrap_err().status().as_u16(), 500);
    assert_eq!(Maker::default().text(&cache, &LONG, Key::Feed).await, "1");
}

/// That there is no such thing is kept for a shorter time, and until it is invalidated.
#[tokio::test]
async fn what_is_not_there() {
    let database = TestDatabase::empty().await;
    for local in LOCAL {
        let cache = connect(&database, &config(&database, local)).await;
        cache.clear().await;
        let count = Arc::new(AtomicU64::new(0));
        let look = async || {
            let count = Arc::clone(&count);
            let make = move || async move {
                count.fetch_add(1, Ordering::SeqCst);
                Err(AppError::NotFound("post 7".to_owned()))
            };
            cache.get_or_make(&LONG, Key::Article(7), make).await.unwrap_err().to_string()
        };
        for expected in [1, 1, 1] {
            assert_eq!(look().await, "there is no post 7");
            assert_eq!(count.load(Ordering::SeqCst), expected);
        }
        cache.invalidate(&[Tag::Post(7)]).await;
        look().await;
        assert_eq!(count.load(Ordering::SeqCst), 2);
        tokio::time::sleep(Duration::from_millis(250)).await;
        look().await;
        assert_eq!(count.load(Ordering::SeqCst), 3);
    }
}

/// A server that died while it was making something holds up the others for a second, not for ever.
#[tokio::test]
async fn a_lease_of_the_dead_is_waited_for_and_then_ignored() {
    let database = TestDatabase::empty().await;
    let cache = connect(&database, &config(&database, LocalCache::Off)).await;
    let client = redis::Client::open(redis_url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let lease = format!("{}:v2:lease:feed", database.name);
    let _: () = redis::cmd("SET").arg(&lease).arg(1).arg("PX").arg(60_000).query_async(&mut connection).await.unwrap();
    let started = std::time::Instant::now();
    let maker = Maker::default();
    assert_eq!(maker.text(&cache, &LONG, Key::Feed).await, "1");
    let waited = started.elapsed();
    assert!((Duration::from_secs(1)..Duration::from_secs(2)).contains(&waited), "{waited:?}");
    let holder: String = redis::cmd("GET").arg(&lease).query_async(&mut connection).await.unwrap();
    assert_eq!(holder, "1", "the lease of another was given back");
    assert_eq!(maker.text(&cache, &LONG, Key::Feed).await, "1");
}

/// Marks that Redis has lost make what was under them worthless, and do not bring back what was worthless before.
#[tokio::test]
async fn a_lost_mark_brings_nothing_back() {
    let database = TestDatabase::empty().await;
    for local in [LocalCache::Off, LocalCache::Strict] {
        let cache = connect(&database, &config(&database, local)).await;
        let client = redis::Client::open(redis_url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let (maker, key) = (Maker::default(), Key::Article(1));
        cache.clear().await;
        for mark in ["post:1", "all"] {
            let before = maker.count();
            assert_eq!(maker.text(&cache, &LONG, key).await, (before + 1).to_string());
            assert_eq!(maker.text(&cache, &LONG, key).await, (before + 1).to_string());
            let mark = format!("{}:v2:mark:{mark}", database.name);
            let deleted: i64 = redis::cmd("DEL").arg(mark).query_async(&mut connection).await.unwrap();
            assert_eq!(deleted, 1);
            assert_eq!(maker.text(&cache, &LONG, key).await, (before + 2).to_string());
            cache.invalidate(&[Tag::Post(1)]).await;
        }
    }
}

/// What an older or a strange program has left under our keys is not read.
#[tokio::test]
async fn what_is_not_understood_is_not_shown() {
    let database = TestDatabase::empty().await;
    let cache = connect(&database, &config(&database, LocalCache::Off)).await;
    let client = redis::Client::open(redis_url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let maker = Maker::default();
    maker.get(&cache, &LONG, Key::Feed).await.unwrap();
    let entry = format!("{}:v2:entry:feed", database.name);
    for (count, strange) in ["", "x", "{\"body\": 1}", &"\u{1}".repeat(100)].into_iter().enumerate() {
        let _: () = redis::cmd("SET").arg(&entry).arg(strange).query_async(&mut connection).await.unwrap();
        assert_eq!(maker.text(&cache, &LONG, Key::Feed).await, (count + 2).to_string());
    }
}

/// With every level off, or without Redis, everything is made each time, and nothing waits.
#[tokio::test]
async fn without_redis_everything_is_made() {
    let database = TestDatabase::empty().await;
    let usual = config(&database, LocalCache::Strict);
    let off = CacheConfig { view: false, fragment: false, value: false, redis_url: None, ..usual.clone() };
    let away = CacheConfig { redis_url: Some(format!("redis://{NOWHERE}")), ..usual };
    for config in [off, away] {
        let cache = connect(&database, &config).await;
        let maker = Maker::default();
        for expected in ["1", "2", "3"] {
            assert_eq!(maker.text(&cache, &LONG, Key::Feed).await, expected);
        }
        cache.invalidate(&[Tag::All]).await;
        assert!(cache.values().get::<String>("name").await.is_err());
    }
}

/// A thing that is expensive to make is made anew a little before its end, by one reader, while all are shown what is there.
#[tokio::test]
async fn the_expensive_is_made_anew_early() {
    static ONE_SECOND: Policy = policy(1000, 0);
    let database = TestDatabase::empty().await;
    for local in LOCAL {
        let cache = connect(&database, &config(&database, local)).await;
        cache.clear().await;
        let (maker, key) = (Maker::taking(60), Key::Feed);
        maker.get(&cache, &ONE_SECOND, key).await.unwrap();
        let mut waited_for = 0;
        for _ in 0..400 {
            let found = maker.get(&cache, &ONE_SECOND, key).await.unwrap();
            waited_for += u32::from(!matches!(found.outcome, Outcome::Hit { .. }));
            tokio::time::sleep(Duration::from_millis(6)).await;
        }
        // Some two seconds and a half: at least two ends, before which some reader of some 30 each was told to make it anew.
        assert!(maker.count() >= 3, "made {} times", maker.count());
        assert!(maker.count() <= 8, "made {} times", maker.count());
        assert!(cache.counters().total("early") >= 1);
        assert!(waited_for <= 1, "{waited_for} readers waited");
    }
}

/// What a look at one entry costs, without a network between: printed for whoever wants to know.
#[tokio::test]
async fn what_a_hit_costs() {
    const HITS: u32 = 20_000;
    let database = TestDatabase::empty().await;
    for local in LOCAL {
        let cache = connect(&database, &config(&database, local)).await;
        cache.clear().await;
        let body = bytes::Bytes::from(vec![b'x'; 12_000]);
        let key = Key::PostList(app::cursor::Cursor::START);
        let look = || {
            let body = body.clone();
            cache.get_or_make(&LONG, key, move || async move { Ok(body) })
        };
        look().await.unwrap();
        let hits = if local == LocalCache::Fast { HITS * 50 } else { HITS };
        let started = std::time::Instant::now();
        for _ in 0..hits {
            std::hint::black_box(look().await.unwrap());
        }
        let look_ns = started.elapsed().as_nanos() / u128::from(hits);
        let found = look().await.unwrap();
        let wants = app::http::Wants::default();
        let started = std::time::Instant::now();
        for _ in 0..HITS {
            let page = app::http::Page::cached(app::http::Content::Html, &found);
            std::hint::black_box(app::http::respond(&wants, page));
        }
        let respond_ns = started.elapsed().as_nanos() / u128::from(HITS);
        println!("{local:?}: a look costs {look_ns} ns, the response {respond_ns} ns");
        assert!(matches!(found.outcome, Outcome::Hit { .. }));
    }
}
