//! What a server hears of changes that others make, and bumps that have to be tried again. It knows the names of tags, and nothing of
//! what they mean.

use std::collections::HashSet;
use std::convert::Infallible;
use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use redis::{AsyncConnectionConfig, Client, PushInfo, PushKind};
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::counters::Count;
use super::key::Tag;
use super::{Cache, Inner, store};
use crate::db::RETURN_SEEN_WITHIN;

/// How long a server waits at its start until it hears of what others change.
const START_TIMEOUT: Duration = Duration::from_secs(1);

/// The channel of the database: see `migrations/0004_cache_notifications.sql`.
const CHANNEL: &str = "cache";

/// How long to wait before connecting again.
const RECONNECT_AFTER: Duration = Duration::from_millis(50);

/// The longest that connecting to the database may take. Between its attempts sqlx waits for up to a fifth of this.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest that connecting to Redis, or subscribing, may take.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long to wait before sending again what did not arrive.
const RESEND_AFTER: Duration = Duration::from_millis(50);

/// With more tags than this waiting, all is forgotten instead.
const UNSENT_MAX: usize = 1000;

/// Bumps that did not reach Redis.
#[derive(Default)]
pub(super) struct Unsent {
    /// Whether there are any, to be read without a lock on the way of every request.
    is_any: AtomicBool,
    tags: Mutex<HashSet<Tag>>,
}

impl Unsent {
    pub(super) fn is_any(&self) -> bool {
        self.is_any.load(Ordering::Acquire)
    }

    pub(super) fn has_any(&self, wanted: &[Tag]) -> bool {
        if !self.is_any() {
            return false;
        }
        let tags = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.iter().any(|tag| tags.contains(&tag.shared()))
    }

    /// Tells whether these are the first, so that somebody has to begin to send them.
    pub(super) fn add(&self, added: &[Tag]) -> bool {
        let mut tags = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = tags.is_empty();
        tags.extend(added.iter().map(|tag| tag.shared()));
        if tags.len() > UNSENT_MAX {
            tags.clear();
            tags.insert(Tag::All);
        }
        self.is_any.store(true, Ordering::Release);
        is_first
    }

    fn all(&self) -> Vec<Tag> {
        self.tags.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }

    /// Tells whether none are left.
    fn remove(&self, sent: &[Tag]) -> bool {
        let mut tags = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
        sent.iter().for_each(|tag| {
            tags.remove(tag);
        });
        self.is_any.store(!tags.is_empty(), Ordering::Release);
        tags.is_empty()
    }
}

/// Sends what did not arrive, again and again, until nothing is left.
pub(super) fn send_again(cache: Arc<Inner>) {
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(RESEND_AFTER).await;
            let tags = cache.unsent.all();
            let Some(store) = &cache.store else { return };
            if store.bump(&cache.counters, &tags).await {
                tags.iter().for_each(|tag| cache.heard.bumped(*tag));
                if cache.unsent.remove(&tags) {
                    tracing::info!("every invalidation has reached Redis");
                    return;
                }
            }
        }
    });
}

/// Begins to listen to the database and, if there is one, to Redis. Waits for at most a second until both are heard, so that a server that
/// is ready also listens. The tasks end when what is returned is dropped.
pub(super) async fn listen(
    cache: &Arc<Inner>,
    database: Option<PgConnectOptions>,
    redis_url: Option<&str>,
) -> anyhow::Result<JoinSet<()>> {
    let mut listeners = JoinSet::new();
    let mut heard = Vec::new();
    let mut starting = || {
        let (started, start) = oneshot::channel();
        heard.push(start);
        started
    };
    if let Some(database) = database {
        listeners.spawn(listen_to_database(Arc::downgrade(cache), database, starting()));
    }
    if let (Some(redis_url), Some(store)) = (redis_url, &cache.store) {
        let client = store::subscriber(redis_url)?;
        listeners.spawn(listen_to_redis(Arc::downgrade(cache), client, store.channel(), starting()));
    }
    // Whoever cannot listen has dropped its sender, and is not waited for.
    let all = async {
        for start in heard {
            let _ = start.await;
        }
    };
    let _ = tokio::time::timeout(START_TIMEOUT, all).await;
    Ok(listeners)
}

/// Hears from the database what has changed, whoever changed it, and bumps it: for writes with psql, and for servers that died between
/// their commit and their bump. `started` is told, or dropped, after the first attempt.
async fn listen_to_database(cache: Weak<Inner>, options: PgConnectOptions, started: oneshot::Sender<()>) {
    let mut started = Some(started);
    while cache.strong_count() > 0 {
        if let Err(error) = hear_database(&cache, options.clone(), &mut started).await {
            tracing::debug!(%error, "the notifications of the database are not heard");
        }
        started = None;
        tokio::time::sleep(RECONNECT_AFTER).await;
    }
}

/// Returns when the connection is lost.
async fn hear_database(
    cache: &Weak<Inner>,
    options: PgConnectOptions,
    started: &mut Option<oneshot::Sender<()>>,
) -> sqlx::Result<()> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .max_lifetime(None)
        .idle_timeout(None)
        .acquire_timeout(LISTEN_TIMEOUT)
        .connect_lazy_with(options);
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    let Some(_source) = Source::of(cache) else { return Ok(()) };
    tokio::select! {
        result = hear_notifications(cache, &mut listener) => result,
        never = forget_what_was_missed(cache, started) => match never {},
    }
}

async fn hear_notifications(cache: &Weak<Inner>, listener: &mut PgListener) -> sqlx::Result<()> {
    while let Some(notification) = listener.try_recv().await? {
        if let Some(inner) = cache.upgrade() {
            inner.counters.add(Count::Notification, 1);
        }
        bump(cache, tag_of(notification.payload())).await;
    }
    Ok(())
}

/// Whoever begins to listen cannot know what was said before, so everything is forgotten once. After that it never returns.
///
/// Who listens again may be the first to see that the database is back. What is forgotten has to be made again, and a server that
/// still takes the database for away would refuse a page that it could show a moment before: so all of them are given the time to see it.
async fn forget_what_was_missed(cache: &Weak<Inner>, started: &mut Option<oneshot::Sender<()>>) -> Infallible {
    if started.is_none() {
        tokio::time::sleep(RETURN_SEEN_WITHIN).await;
    }
    bump(cache, Tag::All).await;
    if let Some(started) = started.take() {
        let _ = started.send(());
    }
    pending().await
}

async fn bump(cache: &Weak<Inner>, tag: Tag) {
    if let Some(inner) = cache.upgrade() {
        Cache(inner).bump(&[tag]).await;
    }
}

/// Hears from other servers which tags they have bumped. `started` is told, or dropped, after the first attempt.
async fn listen_to_redis(cache: Weak<Inner>, client: Client, channel: String, started: oneshot::Sender<()>) {
    let mut started = Some(started);
    while cache.strong_count() > 0 {
        if let Err(error) = hear_redis(&cache, &client, &channel, &mut started).await {
            tracing::debug!(%error, "the messages of Redis are not heard");
        }
        started = None;
        tokio::time::sleep(RECONNECT_AFTER).await;
    }
}

/// Returns when the connection is lost.
async fn hear_redis(
    cache: &Weak<Inner>,
    client: &Client,
    channel: &str,
    started: &mut Option<oneshot::Sender<()>>,
) -> redis::RedisResult<()> {
    let (sender, mut pushes) = mpsc::unbounded_channel::<PushInfo>();
    let config = AsyncConnectionConfig::new()
        .set_push_sender(sender)
        .set_connection_timeout(Some(SUBSCRIBE_TIMEOUT))
        .set_response_timeout(Some(SUBSCRIBE_TIMEOUT));
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    connection.subscribe(channel).await?;
    let Some(_source) = Source::of(cache) else { return Ok(()) };
    if let Some(started) = started.take() {
        let _ = started.send(());
    }
    while let Some(push) = pushes.recv().await {
        match push.kind {
            PushKind::Message => {
                let payload: String =
                    push.data.into_iter().nth(1).map(redis::from_redis_value).transpose()?.unwrap_or_default();
                if let Some(inner) = cache.upgrade() {
                    inner.heard.bumped(tag_of(&payload));
                }
            }
            PushKind::Disconnection => return Ok(()),
            _ => {}
        }
    }
    Ok(())
}

/// What is not understood concerns everything: a newer server may say what an older one does not know.
fn tag_of(payload: &str) -> Tag {
    payload.parse().unwrap_or_else(|()| {
        tracing::warn!(payload, "a notification is not understood; everything is forgotten");
        Tag::All
    })
}

/// A source that is being listened to, for as long as this lives.
struct Source(Weak<Inner>);

impl Source {
    fn of(cache: &Weak<Inner>) -> Option<Self> {
        cache.upgrade()?.heard.source_found();
        Some(Self(cache.clone()))
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        if let Some(inner) = self.0.upgrade() {
            inner.heard.source_lost();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_sent_is_remembered_until_it_is() {
        let unsent = Unsent::default();
        assert!(unsent.add(&[Tag::Post(1), Tag::Tag(7)]));
        assert!(!unsent.add(&[Tag::Post(2)]), "somebody is sending already");
        assert!(unsent.has_any(&[Tag::Post(2)]) && unsent.has_any(&[Tag::Tag(8)]) && !unsent.has_any(&[Tag::Post(3)]));
        assert!(!unsent.remove(&[Tag::Post(1), Tag::Tag(7).shared()]));
        assert!(unsent.remove(&[Tag::Post(2)]));
        assert!(!unsent.is_any());
        unsent.add(&(0..2000).map(Tag::Post).collect::<Vec<Tag>>());
        assert_eq!(unsent.all(), [Tag::All]);
    }

    #[test]
    fn what_is_not_understood_concerns_everything() {
        assert_eq!(tag_of("post:42"), Tag::Post(42));
        for payload in ["", "post", "post:x", "posts:1", "all:1"] {
            assert_eq!(tag_of(payload), Tag::All, "{payload}");
        }
    }
}
