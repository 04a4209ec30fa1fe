//! Connections that were used a moment ago, at hand for the next statement. They belong to the pool, which makes them, counts them and
//! ends them; this list only spares them the way through it. It knows no query.
//!
//! sqlx's pool sends each connection that is given back one more message and waits for the answer, to find those that were left in the
//! middle of something. For a statement that reads twenty rows by an index, that is a fifth of what the database does. A connection
//! whose statement was read to its end is in the middle of nothing, so it may go to the next request as it is. The others, and all of
//! them once in a while, go back through the pool.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use tokio::time::Instant;

/// How long a connection may stay out of the pool, which knows how old connections may get and which of them nobody needs.
const OUTING_MAX: Duration = Duration::from_secs(60);

/// The connections at hand. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Warm(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    list: Mutex<List>,
    /// Who waits for a connection from the pool, which has none while they are all here.
    waiting: AtomicUsize,
}

#[derive(Debug, Default)]
struct List {
    /// The last one used is the last.
    connections: Vec<Lent>,
    /// The pool is being closed: it waits for all of them.
    is_closed: bool,
}

impl Drop for List {
    /// The last handle is gone, perhaps after its runtime, which giving back would need.
    fn drop(&mut self) {
        for lent in self.connections.drain(..) {
            drop(lent.connection.detach());
        }
    }
}

/// A connection on its outing.
#[derive(Debug)]
pub(super) struct Lent {
    pub(super) connection: PoolConnection<Postgres>,
    left_pool: Instant,
    idle_since: Instant,
}

/// Somebody waits for the pool.
pub(super) struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Lent {
    /// A connection fresh from the pool.
    pub(super) fn new(connection: PoolConnection<Postgres>) -> Self {
        let now = Instant::now();
        Self { connection, left_pool: now, idle_since: now }
    }
}

impl Warm {
    /// The connection that was used last, if there is one that may be used. `is_doubtful` says whether one that has been idle for so long
    /// may be broken; such ones go back to the pool, which tries them.
    pub(super) fn take(&self, is_doubtful: impl Fn(Duration) -> bool) -> Option<Lent> {
        let lent = self.list().connections.pop()?;
        if !is_doubtful(lent.idle_since.elapsed()) {
            return Some(lent);
        }
        // All below it have been idle for longer.
        self.send_home_all();
        None
    }

    /// Takes a connection whose last statement was read to its end. It goes to the pool when it has been out for long, or when somebody
    /// waits there.
    pub(super) fn give(&self, mut lent: Lent) {
        lent.idle_since = Instant::now();
        let mut list = self.list();
        // Read under the lock: who waits has counted itself before it looks into the list, so that one of the two sees the other.
        let is_wanted_here = self.0.waiting.load(Ordering::Relaxed) == 0 && !list.is_closed;
        if is_wanted_here && lent.left_pool.elapsed() < OUTING_MAX {
            list.connections.push(lent);
        }
        drop(list);
        self.send_home_the_oldest();
    }

    /// The one that nobody has needed for the longest time goes to the pool when its time is up.
    fn send_home_the_oldest(&self) {
        let mut list = self.list();
        let is_over = list.connections.first().is_some_and(|lent| lent.left_pool.elapsed() >= OUTING_MAX);
        let oldest = is_over.then(|| list.connections.remove(0));
        drop(list);
        drop(oldest);
    }

    /// Says that somebody is about to wait for the pool, and gives it one connection back.
    pub(super) fn wait(&self) -> Waiting<'_> {
        self.0.waiting.fetch_add(1, Ordering::Relaxed);
        let one = self.list().connections.pop();
        drop(one);
        Waiting(&self.0.waiting)
    }

    /// How many are at hand.
    pub(super) fn count(&self) -> usize {
        self.list().connections.len()
    }

    /// Gives all back, for good.
    pub(super) fn close(&self) {
        self.list().is_closed = true;
        self.send_home_all();
    }

    fn send_home_all(&self) {
        // Outside of the lock: giving back starts a task.
        let all = std::mem::take(&mut self.list().connections);
        drop(all);
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.0.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
