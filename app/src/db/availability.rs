//! Whether the database can be reached at all. While it cannot, everybody is told at once in place of waiting for a connection that will
//! not come; while it is doubtful, connections are tried before they are used. It knows no query.
//!
//! That a request waits for a connection proves nothing: all of them may be busy. So doubt is not judged from requests, but by one
//! connection made for the purpose. If that fails the database is away, and it is tried again until it succeeds.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::watch;
use tokio::time::Instant;

/// How long a request may wait for a connection before it is asked whether the database is there.
const PATIENCE: Duration = Duration::from_millis(100);

/// How long a connection made for the purpose may take, and how long one that is tried may.
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);

/// How long between two attempts while the database is away.
const PROBE_PAUSE: Duration = Duration::from_millis(100);

/// The longest that a server takes to see that the database is back: a try may have begun just before, and then comes the next.
pub const RETURN_SEEN_WITHIN: Duration = PROBE_TIMEOUT.saturating_add(PROBE_PAUSE).saturating_add(PROBE_TIMEOUT);

/// Whether the database can be reached. Clones share what they know.
#[derive(Clone, Debug)]
pub(super) struct Availability(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: PgConnectOptions,
    is_away: watch::Sender<bool>,
    is_probing: AtomicBool,
    started: Instant,
    /// When there was doubt for the last time, in milliseconds since `started`, plus one; 0 is never.
    doubted_ms: AtomicU64,
    waits: AtomicU64,
    waited_us: AtomicU64,
}

impl Availability {
    pub(super) fn new(options: PgConnectOptions) -> Self {
        Self(Arc::new(Inner {
            options,
            is_away: watch::Sender::new(false),
            is_probing: AtomicBool::new(false),
            started: Instant::now(),
            doubted_ms: AtomicU64::new(0),
            waits: AtomicU64::new(0),
            waited_us: AtomicU64::new(0),
        }))
    }

    /// Lets a pool try connections that lay idle since before there was doubt. Others are not tried: that would be a round trip before
    /// each statement.
    pub(super) fn guard(&self, pool: PgPoolOptions) -> PgPoolOptions {
        let this = self.clone();
        pool.before_acquire(move |connection, about| {
            let is_doubtful = this.is_doubtful(about.idle_for);
            Box::pin(async move {
                let is_usable = !is_doubtful
                    || tokio::time::timeout(PROBE_TIMEOUT, connection.ping()).await.is_ok_and(|answer| answer.is_ok());
                Ok(is_usable)
            })
        })
    }

    /// Waits for a connection, but not for one that will not come.
    pub(super) async fn wait_for<T>(&self, acquiring: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
        if self.is_away() {
            return Err(away());
        }
        let mut acquiring = pin!(acquiring);
        // Most often one is idle.
        let first = poll_fn(|context| Poll::Ready(acquiring.as_mut().poll(context))).await;
        if let Poll::Ready(result) = first {
            return result.inspect_err(|error| self.consider(error));
        }
        let since = Instant::now();
        let mut is_away = self.0.is_away.subscribe();
        let mut is_patient = true;
        let result = loop {
            tokio::select! {
                biased;
                result = &mut acquiring => break result,
                _ = is_away.wait_for(|is_away| *is_away) => break Err(away()),
                () = tokio::time::sleep(PATIENCE), if is_patient => {
                    is_patient = false;
                    self.probe();
                }
            }
        };
        self.0.waits.fetch_add(1, Ordering::Relaxed);
        self.0.waited_us.fetch_add(u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        result.inspect_err(|error| self.consider(error))
    }

    /// Looks at an error: if it may mean that the database is gone, there is doubt.
    pub(super) fn consider(&self, error: &sqlx::Error) {
        if is_about_connections(error) {
            let now_ms = u64::try_from(self.0.started.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.0.doubted_ms.store(now_ms + 1, Ordering::Relaxed);
            self.probe();
        }
    }

    pub(super) fn is_away(&self) -> bool {
        *self.0.is_away.borrow()
    }

    /// How many requests had to wait for a connection, and for how long together, in seconds.
    pub(super) fn waits(&self) -> (u64, f64) {
        (self.0.waits.load(Ordering::Relaxed), self.0.waited_us.load(Ordering::Relaxed) as f64 / 1e6)
    }

    /// Whether a connection that has been idle for so long may be broken.
    pub(super) fn is_doubtful(&self, idle_for: Duration) -> bool {
        let doubted_ms = self.0.doubted_ms.load(Ordering::Relaxed);
        doubted_ms > 0 && {
            let idle_since = self.0.started.elapsed().saturating_sub(idle_for);
            idle_since <= Duration::from_millis(doubted_ms)
        }
    }

    /// Finds out whether the database is there, unless somebody is already at it.
    fn probe(&self) {
        if self.0.is_probing.swap(true, Ordering::AcqRel) {
            return;
        }
        let this = self.clone();
        tokio::spawn(async move {
            while let Err(reason) = connect(&this.0.options).await {
                if !this.0.is_away.send_replace(true) {
                    tracing::error!(reason, "the database is away");
                }
                tokio::time::sleep(PROBE_PAUSE).await;
            }
            if this.0.is_away.send_replace(false) {
                tracing::info!("the database is back");
            }
            this.0.is_probing.store(false, Ordering::Release);
        });
    }
}

/// Whether a connection can be made. A server that refuses us for another reason than that it is starting or stopping is there.
async fn connect(options: &PgConnectOptions) -> Result<(), String> {
    match tokio::time::timeout(PROBE_TIMEOUT, options.connect()).await {
        Ok(Ok(connection)) => {
            let closing: sqlx::Result<()> = PgConnection::close(connection).await;
            drop(closing);
            Ok(())
        }
        Ok(Err(error)) if is_about_connections(&error) => Err(error.to_string()),
        Ok(Err(_)) => Ok(()),
        Err(_) => Err("it does not answer".to_owned()),
    }
}

/// Whether an error may mean that the database is gone: broken connections, and PostgreSQL starting or stopping.
fn is_about_connections(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| matches!(code.as_ref(), "57P01" | "57P02" | "57P03"))
        }
        _ => false,
    }
}

fn away() -> sqlx::Error {
    std::io::Error::new(std::io::ErrorKind::NotConnected, "the database is away").into()
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    /// Port 1 needs privileges that no test has, so that nothing listens there.
    fn nowhere() -> Availability {
        Availability::new("postgres://nobody@127.0.0.1:1/none".parse().unwrap())
    }

    #[tokio::test]
    async fn who_waits_for_a_database_that_is_away_is_told_soon_and_the_next_at_once() {
        let availability = nowhere();
        let started = Instant::now();
        availability.wait_for(pending::<sqlx::Result<()>>()).await.unwrap_err();
        assert!(started.elapsed() >= PATIENCE && started.elapsed() < PATIENCE * 5, "{:?}", started.elapsed());
        let started = Instant::now();
        availability.wait_for(pending::<sqlx::Result<()>>()).await.unwrap_err();
        assert!(started.elapsed() < Duration::from_millis(5));
        assert_eq!(availability.waits().0, 1);
    }

    #[tokio::test]
    async fn doubt_is_about_connections_that_were_idle_before() {
        let availability = nowhere();
        assert!(!availability.is_doubtful(Duration::from_secs(60)));
        availability.wait_for(ready(Err::<(), _>(sqlx::Error::RowNotFound))).await.unwrap_err();
        assert!(!availability.is_doubtful(Duration::from_secs(60)));
        availability.consider(&away());
        assert!(availability.is_doubtful(Duration::from_secs(60)));
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!availability.is_doubtful(Duration::ZERO));
        assert!(availability.is_away());
    }
}
