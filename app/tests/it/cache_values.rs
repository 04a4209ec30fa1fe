//! The plain interface, against a real Redis: what `django.core.cache` promises, and where ours promises more.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use app::cache::{DEFAULT_TIMEOUT, Unavailable};
use app::config::LocalCache;

use crate::cache_rules::{config, connect};
use crate::harness::{NOWHERE, TestDatabase, redis_url};

const SHORT: Option<Duration> = Some(Duration::from_millis(80));
const ZERO: Option<Duration> = Some(Duration::ZERO);

#[tokio::test]
async fn get_set_has_delete() {
    let database = TestDatabase::empty().await;
    let cache = connect(&database, &config(&database, LocalCache::Off)).await;
    let values = cache.values();
    assert_eq!(values.get::<String>("name").await, Ok(None));
    assert_eq!(values.has("name").await, Ok(false));
    values.set("name", "Ada", DEFAULT_TIMEOUT).await.unwrap();
    assert_eq!(values.get("name").await, Ok(Some("Ada".to_owned())));
    assert_eq!(values.has("name").await, Ok(true));
    values.set("name", "Grace", DEFAULT_TIMEOUT).await.unwrap();
    assert_eq!(values.get("name").await, Ok(Some("Grace".to_owned())));
    assert_eq!(values.delete("name").await, Ok(true));
    assert_eq!(values.delete("name").await, Ok(false));
    assert_eq!(values.get::<String>("name").await, Ok(None));
    // Any bytes under any name; an empty value is a value.
    for key in ["", " ", "a:b", "1:k:name", "\0\r\n", "ключ", &"x".repeat(200), &"x".repeat(201), &"y".repeat(10_000)]
    {
        values.set(key, key.as_bytes(), DEFAULT_TIMEOUT).await.unwrap();
        assert_eq!(values.get::<Vec<u8>>(key).await, Ok(Some(key.as_bytes().to_vec())), "{key}");
    }
}

/// None is for ever, zero is not at all, and everything else ends.
#[tokio::test]
async fn timeouts() {
    let database = TestDatabase::empty().await;
    let cache = connect(&database, &config(&database, LocalCache::Off)).await;
    let values = cache.values();
    values.set("for ever", 1, None).await.unwrap();
    values.set("short", 1, SHORT).await.unwrap();
    values.set("zero", 1, None).await.unwrap();
    values.set("zero", 1, ZERO).await.unwrap();
    assert_eq!(values.get::<i64>("zero").await, Ok(None), "a time of zero did not forget what was there");
    assert_eq!(values.add("zero", 1, ZERO).await, Ok(true));
    assert_eq!(values.has("zero").await, Ok(false));
    values.set_many(&[("many", 1), ("zero", 1)], SHORT).await.unwrap();
    values.set_many(&[("zero", 1)], ZERO).await.unwrap();
    assert_eq!(
        values.get_many::<i64>(&["for ever", "short", "zero", "many"]).await.unwrap(),
        [Some(1), Some(1), None, Some(1)]
    );
    tokio::time::sleep(Duration::from_millis(120)).await;
    assert_eq!(
        values.get_many::<i64>(&["for ever", "short", "zero", "many"]).await.unwrap(),
        [Some(1), None, None, None]
    );
    let client = redis::Client::open(redis_url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let pattern = format!("{}:v2:value:*", database.name);
    let keys: Vec<String> = redis::cmd("KEYS").arg(pattern).query_async(&mut connection).await.unwrap();
    assert_eq!(keys.len(), 1);
    let ttl: i64 = redis::cmd("TTL").arg(&keys[0]).query_async(&mut connection).await.unwrap();
    assert_eq!(ttl, -1);
}

#[tokio::test]
async fn touch() {
    let database = TestDatabase::empty().await;
    let cache = connect(&database, &config(&database, LocalCache::Off)).await;
    let values = cache.values();
    for timeout in [None, SHORT, ZERO] {
        assert_eq!(values.touch("name", timeout).await, Ok(false));
    }
    values.set("longer", 1, SHORT).await.unwrap();
    values.set("for ever", 1, SHORT).await.unwrap();
    values.set("shorter", 1, None).await.unwrap();
    values.set("gone", 1, None).await.unwrap();
    assert_eq!(values.touch("longer", DEFAULT_TIMEOUT).await, Ok(true));
    assert_eq!(values.touch("for ever", None).await, Ok(true));
    assert_eq!(values.touch("for ever", None).await, Ok(true));
    assert_eq!(values.touch("shorter", SHORT).await, Ok(true));
    assert_eq!(values.touch("gone", ZERO).await, Ok(true));
    tokio::time::sleep(Duration::from_millis(120)).await;
    let names = ["longer", "for ever", "shorter", "gone"];
    assert_eq!(values.get_many::<i64>(&names).await.unwrap(), [Some(1), Some(1), None, None]);
}

/// Of all who add at once, one is told that it did.
#[tokio::test]
async fn add() {
    let database = TestDatabase::empty().await;
    let cache = connect(&database, &config(&database, LocalCache::Off)).await;
    let adding = (0..50).map(|number| {
        let cache = cache.clone();
        tokio::spawn(async move { cache.values().add("window", number, SHORT).await.unwrap() })
    });
    let mut added = 0;
    for one in adding.collect::<Vec<_>>() {
        added += u32::from(one.await.unwrap());
    }
    assert_eq!(added, 1);
    tokio::time::sleep(Duration::from_millis(120)).await;
    assert_eq!(cache.values().add("window", 1, SHORT).await, Ok(true));
}

/// Nothing that is added is lost, and the time stays what it was.
#[tokio::test]
async fn incr_and_decr() {
    let database = TestDatabase::empty().await;
    let cache = connect(&database, &config(&database, LocalCache::Off)).await;
    assert_eq!(cache.values().incr("count", 1).await, Ok(None), "what is not there was counted");
    assert_eq!(cache.values().has("count").await, Ok(false));
    cache.values().set("count", 10, Some(Duration::from_millis(400))).await.unwrap();
    let counting = (0..50).map(|_| {
        let cache = cache.clone();
        tokio::spawn(async move { cache.values().incr("count", 2).await.unwrap() })
    });
    for one in counting.collect::<Vec<_>>() {
        assert!(one.await.unwrap().is_some());
    }
    assert_eq!(cache.values().decr("count", 100).await, Ok(Some(10)));
    assert_eq!(cache.values().get("count").await, Ok(Some(10)));
    tokio::time::sleep(Duration::from_millis(450)).await;
    assert_eq!(cache.values().get::<i64>("count").await, Ok(None), "counting gave it more time");
    cache.values().set("text", "no number", None).await.unwrap();
    assert_eq!(cache.values().incr("text", 1).await, Err(Unavailable));
}

#[tokio::test]
async fn get_or_set() {
    let database = TestDatabase::empty().await;
    let cache = connect(&database, &config(&database, LocalCache::Off)).await;
    let made = AtomicU32::new(0);
    let make = async || {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok::<_, std::convert::Infallible>(i64::from(made.fetch_add(1, Ordering::Relaxed)))
    };
    let values = cache.values();
    // Two who make it at once agree on the one that was kept.
    let (one, other) = tokio::join!(values.get_or_set("n", None, make), values.get_or_set("n", None, make));
    assert_eq!(one, other);
    assert_eq!(values.get_or_set("n", None, make).await, one);
    assert_eq!(made.load(Ordering::Relaxed), 2);
    let failed = values.get_or_set("other", None, async || Err::<i64, _>("no")).await;
    assert_eq!(failed, Err("no"));
    assert_eq!(values.has("other").await, Ok(false));
}

#[tokio::test]
async fn many() {
    let database = TestDatabase::empty().await;
    let cache = connect(&database, &config(&database, LocalCache::Off)).await;
    let values = cache.values();
    values.set_many(&[("a", "1"), ("b", "2"), ("c", "3")], DEFAULT_TIMEOUT).await.unwrap();
    let found: Vec<Option<String>> = values.get_many(&["c", "x", "a"]).await.unwrap();
    assert_eq!(found, [Some("3".to_owned()), None, Some("1".to_owned())]);
    assert_eq!(values.delete_many(&["a", "b", "x"]).await, Ok(2));
    assert_eq!(values.get_many::<i64>(&["a", "b", "c"]).await.unwrap(), [None, None, Some(3)]);
    assert_eq!(values.get_many::<i64>(&[]).await.unwrap(), []);
    assert_eq!(values.delete_many(&[]).await, Ok(0));
    values.set_many(&[] as &[(&str, i64)], None).await.unwrap();
}

/// A version is a room of its own; a value can be moved to the next.
#[tokio::test]
async fn versions() {
    let database = TestDatabase::empty().await;
    let cache = connect(&database, &config(&database, LocalCache::Off)).await;
    let (first, second) = (cache.values(), cache.values().version(2));
    first.set("name", "one", DEFAULT_TIMEOUT).await.unwrap();
    assert_eq!(second.get::<String>("name").await, Ok(None));
    second.set("name", "two", DEFAULT_TIMEOUT).await.unwrap();
    assert_eq!(first.get("name").await, Ok(Some("one".to_owned())));
    assert_eq!(first.incr_version("name", 1).await, Ok(Some(2)));
    assert_eq!(first.get::<String>("name").await, Ok(None));
    assert_eq!(second.get("name").await, Ok(Some("one".to_owned())));
    assert_eq!(first.incr_version("name", 1).await, Ok(None));
    assert_eq!(second.incr_version("name", 5).await, Ok(Some(7)));
    assert_eq!(cache.values().version(7).get("name").await, Ok(Some("one".to_owned())));
}

/// Forgetting everything forgets every version, and leaves what other programs keep.
#[tokio::test]
async fn clear() {
    let (database, neighbour) = (TestDatabase::empty().await, TestDatabase::empty().await);
    let cache = connect(&database, &config(&database, LocalCache::Off)).await;
    let other = connect(&neighbour, &config(&neighbour, LocalCache::Off)).await;
    for values in [cache.values(), cache.values().version(3), other.values()] {
        values.set("name", 1, None).await.unwrap();
    }
    cache.values().clear().await.unwrap();
    assert_eq!(cache.values().get::<i64>("name").await, Ok(None));
    assert_eq!(cache.values().version(3).get::<i64>("name").await, Ok(None));
    assert_eq!(other.values().get("name").await, Ok(Some(1)));
    cache.values().set("name", 2, None).await.unwrap();
    assert_eq!(cache.values().get("name").await, Ok(Some(2)));
    // Pages that change do not touch what is kept here.
    cache.invalidate(&[app::cache::Tag::All]).await;
    assert_eq!(cache.values().get("name").await, Ok(Some(2)));
}

/// Without Redis, who asks is told so at once, and `get_or_set` still gives a value.
#[tokio::test]
async fn without_redis() {
    let database = TestDatabase::empty().await;
    let mut config = config(&database, LocalCache::Off);
    config.redis_url = Some(format!("redis://{NOWHERE}"));
    let cache = connect(&database, &config).await;
    let values = cache.values();
    assert_eq!(values.get::<i64>("name").await, Err(Unavailable));
    assert_eq!(values.add("name", 1, None).await, Err(Unavailable));
    assert_eq!(values.incr("name", 1).await, Err(Unavailable));
    assert_eq!(values.get_or_set("name", None, async || Ok::<_, ()>(7)).await, Ok(7));
    assert_eq!(values.clear().await, Err(Unavailable));
}
