//! Sessions: what a server remembers of one browser between requests. They know nothing of passwords, pages or posts.
//!
//! A session begins when somebody logs in, or when a visitor first puts something aside that they will want to find again; never on a
//! plain page, so that plain pages are the same for everybody. Its id is 128 random bits in a cookie; the store holds it under
//! a keyed hash of the id, so that who reads the store cannot enter a session. It ends when it is not used for a while, in any
//! case after a longer while, and when its owner logs out. Logging in gives it a new id, so that an id which somebody slipped to
//! a victim beforehand is worth nothing afterwards.
//!
//! There are two stores behind one seam, [`store::Store`]: the memory of this server, which forgets with it and which no other server
//! can see, and Redis. A store that does not answer is an error, never an empty session: a page without the reader's data
//! that says 200 would look as if the data were lost.

mod cookies;
mod extract;
mod store;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::Utc;
use serde::{Deserialize, Serialize};

pub use cookies::Cookies;
pub use extract::{CurrentSession, LoggedIn};
pub use store::StoreError;
use store::{Store, StoreKey};

use crate::config::{Config, Mode, SessionStoreKind};
use crate::keys::{Key, hexadecimal};
use crate::redis_link::RedisLink;

/// The most posts on a reading list. A session is small, or one browser could fill the store.
pub const READING_LIST_MAX: usize = 50;

/// How often a change is tried again when another request of the same session was faster.
const CHANGE_ATTEMPTS: usize = 8;

/// The longest that a request waits for the store. Longer than for the cache, which a page can do without.
const STORE_TIMEOUT: Duration = Duration::from_millis(500);

/// A session that is used is written back at most this often.
const USE_NOTED_EVERY: Duration = Duration::from_secs(60);

/// The name of a session: 128 random bits, known to its owner's browser alone.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct SessionId([u8; 16]);

impl SessionId {
    fn random() -> Self {
        Self(rand::random())
    }

    /// Reads what [`Self::token`] wrote. Anything else names no session.
    pub fn parse(token: &str) -> Option<Self> {
        if token.len() != 32 || !token.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        u128::from_str_radix(token, 16).ok().map(|number| Self(number.to_be_bytes()))
    }

    /// The id as the cookie and the `Authorization` header carry it. Whoever has it is in the session: it is no text for a log.
    pub fn token(self) -> String {
        hexadecimal(&self.0)
    }
}

/// Who is logged in.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct User {
    /// The user's id.
    pub id: i64,
    /// The user name, as the user spells it.
    pub username: String,
}

/// What a session holds.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SessionData {
    /// Who is logged in, if anybody is.
    pub user: Option<User>,
    /// The posts on the reading list, the latest first. At most [`READING_LIST_MAX`].
    pub reading_list: Vec<i64>,
    /// How often the reading list was opened.
    pub visits: u64,
    /// When the session began, in milliseconds since 1970.
    created_ms: i64,
    /// When it was last seen to be used.
    used_ms: i64,
}

impl SessionData {
    fn new(now_ms: i64) -> Self {
        Self { user: None, reading_list: Vec::new(), visits: 0, created_ms: now_ms, used_ms: now_ms }
    }

    /// Puts a post on top of the reading list; the one that was put there first makes room for it.
    pub fn add_to_reading_list(&mut self, post_id: i64) {
        self.remove_from_reading_list(post_id);
        self.reading_list.insert(0, post_id);
        self.reading_list.truncate(READING_LIST_MAX);
    }

    /// Takes a post off the reading list.
    pub fn remove_from_reading_list(&mut self, post_id: i64) {
        self.reading_list.retain(|listed| *listed != post_id);
    }
}

/// A session as a request found it.
#[derive(Clone)]
pub struct Session {
    id: SessionId,
    data: SessionData,
    /// The bytes of the data in the store, to be sure that nobody changed them in between.
    stored: Vec<u8>,
}

impl Session {
    /// Its id.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// What it holds.
    pub fn data(&self) -> &SessionData {
        &self.data
    }

    /// Who is logged in, if anybody is.
    pub fn user(&self) -> Option<&User> {
        self.data.user.as_ref()
    }
}

/// How long sessions live.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    /// So long after it was last used.
    pub idle: Duration,
    /// In any case so long after it began.
    pub absolute: Duration,
}

/// The sessions of the site. A clone shares them.
#[derive(Clone)]
pub struct Sessions {
    store: Store,
    key: Key,
    lifetimes: Lifetimes,
    cookies: Arc<Cookies>,
    begun: Arc<AtomicU64>,
}

impl Sessions {
    /// Prepares what the configuration says, without connecting yet. Must be called inside the runtime.
    pub fn from_config(config: &Config) -> anyhow::Result<Self> {
        let settings = &config.session;
        let store = match (settings.store, &settings.redis_url) {
            (SessionStoreKind::Redis, Some(redis_url)) => {
                Store::redis(RedisLink::new(redis_url, STORE_TIMEOUT)?, &config.cache.prefix)
            }
            (SessionStoreKind::Redis, None) => anyhow::bail!("sessions in Redis need `APP_SESSION_REDIS_URL`"),
            (SessionStoreKind::Memory, _) => Store::memory(),
        };
        let lifetimes = Lifetimes { idle: settings.idle_timeout, absolute: settings.absolute_timeout };
        let cookies = Cookies {
            is_secure: config.mode == Mode::Production,
            route: settings.route.clone(),
            lifetime: settings.absolute_timeout,
        };
        Ok(Self::new(store, &Key::new(config.secret.as_bytes()), lifetimes, cookies))
    }

    fn new(store: Store, secret: &Key, lifetimes: Lifetimes, cookies: Cookies) -> Self {
        Self { store, key: secret.derive("session keys"), lifetimes, cookies: Arc::new(cookies), begun: Arc::default() }
    }

    /// How many this server has begun.
    pub fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// How sessions travel.
    pub fn cookies(&self) -> &Cookies {
        &self.cookies
    }

    /// Finds the session of this id, if it has not ended, and notes that it is used.
    pub async fn find(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        let Some(mut session) = self.read(id).await? else { return Ok(None) };
        let now_ms = now_ms();
        // A tenth of the idle time, so that short times, as in tests, slide too.
        let noted_every = USE_NOTED_EVERY.min(self.lifetimes.idle / 10);
        if now_ms - session.data.used_ms >= milliseconds(noted_every) {
            let mut data = session.data.clone();
            data.used_ms = now_ms;
            // Losing against another request of the session is no loss: that one has noted it. Nor is a store that fails just now: the
            // session was found, and the next request notes its use.
            let _ = self.write(&mut session, data).await;
        }
        Ok(Some(session))
    }

    /// Begins a session of nobody in particular, with the data that are the reason for it.
    pub async fn begin(&self, fill: impl FnOnce(&mut SessionData)) -> Result<Session, StoreError> {
        let mut data = SessionData::new(now_ms());
        fill(&mut data);
        self.insert(data).await
    }

    /// Begins the session of a user who has just proved to be one, in place of the session that the browser had. That one's data are
    /// carried over unless they are another user's, and its id is worth nothing from now on.
    pub async fn log_in(&self, before: Option<&Session>, user: User) -> Result<Session, StoreError> {
        let mut data = SessionData::new(now_ms());
        if let Some(before) = before.filter(|before| before.user().is_none_or(|owner| owner.id == user.id)) {
            data.reading_list.clone_from(&before.data.reading_list);
            data.visits = before.data.visits;
        }
        data.user = Some(user);
        let session = self.insert(data).await?;
        if let Some(before) = before {
            self.end(before.id).await?;
        }
        Ok(session)
    }

    /// Changes what a session holds. None if it has ended meanwhile. `change` may be called more than once.
    pub async fn change(
        &self,
        session: &Session,
        change: impl Fn(&mut SessionData),
    ) -> Result<Option<Session>, StoreError> {
        let mut session = session.clone();
        for _ in 0..CHANGE_ATTEMPTS {
            let mut data = session.data.clone();
            change(&mut data);
            if self.write(&mut session, data).await? {
                return Ok(Some(session));
            }
            match self.read(session.id).await? {
                Some(current) => session = current,
                None => return Ok(None),
            }
        }
        Err(StoreError::Contended)
    }

    /// Ends a session. Its id names nothing from now on.
    pub async fn end(&self, id: SessionId) -> Result<(), StoreError> {
        self.store.remove(&self.key_of(id)).await
    }

    async fn read(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        let Some(stored) = self.store.get(&self.key_of(id)).await? else { return Ok(None) };
        // What another version of the app wrote is no session of this one.
        let Ok(data) = serde_json::from_slice::<SessionData>(&stored) else { return Ok(None) };
        let is_alive = !self.remaining(&data).is_zero();
        Ok(is_alive.then_some(Session { id, data, stored }))
    }

    async fn insert(&self, data: SessionData) -> Result<Session, StoreError> {
        let session = Session { id: SessionId::random(), stored: encode(&data)?, data };
        self.store.insert(&self.key_of(session.id), &session.stored, self.remaining(&session.data)).await?;
        self.begun.fetch_add(1, Ordering::Relaxed);
        Ok(session)
    }

    /// Replaces the stored data if they are still the ones that were read. Says whether they were.
    async fn write(&self, session: &mut Session, data: SessionData) -> Result<bool, StoreError> {
        let encoded = encode(&data)?;
        let remaining = self.remaining(&data);
        let is_written = self.store.replace(&self.key_of(session.id), &session.stored, &encoded, remaining).await?;
        if is_written {
            session.data = data;
            session.stored = encoded;
        }
        Ok(is_written)
    }

    /// How long a session has left, by whichever of its two ends comes first.
    fn remaining(&self, data: &SessionData) -> Duration {
        let now_ms = now_ms();
        let idle_end_ms = data.used_ms.saturating_add(milliseconds(self.lifetimes.idle));
        let absolute_end_ms = data.created_ms.saturating_add(milliseconds(self.lifetimes.absolute));
        Duration::from_millis(u64::try_from(idle_end_ms.min(absolute_end_ms) - now_ms).unwrap_or(0))
    }

    fn key_of(&self, id: SessionId) -> StoreKey {
        StoreKey(self.key.authenticate(&[&id.0]))
    }
}

fn encode(data: &SessionData) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(data).map_err(|error| StoreError::Failed(anyhow::Error::new(error)))
}

fn now_ms() -> i64 {
    Utc::now().timestamp_millis()
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
