//! One connection, from its first byte to its last: HTTP/1.1 by hyper, an end for clients that send nothing or too slowly, and an orderly
//! end when the server stops. It knows nothing of what is answered.
//!
//! hyper has a time-out for heads of its own, but sets a new timer for each request, and counts the wait between two requests as part of
//! the second one's head: one limit for both would be too long for the one or too short for the other. Here all connections look at
//! one slow clock, and a request costs two stores.

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::edge::Edge;

/// How often connections look at themselves.
pub(super) const TICK: Duration = Duration::from_secs(5);

/// How many ticks the head of a request may take: 10 to 15 s.
const HEAD_TICKS_MAX: u32 = 2;

/// How many ticks a connection may lie idle, or not take what it was sent: 75 to 80 s. It has to be longer than NGINX keeps its
/// connections (30 s), since who closes first may close on a request that is just coming.
const IDLE_TICKS_MAX: u32 = 15;

/// How long a connection without a request may take to close when the server stops.
const CLOSING_GRACE: Duration = Duration::from_secs(2);

/// The largest head of a request. NGINX passes on at most 32 KiB.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// What the server tells its connections.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Signal {
    /// Finish the request that is under way, then close.
    pub(super) is_closing: bool,
    /// The clock.
    pub(super) ticks: u32,
}

/// Serves one connection to its end.
pub(super) async fn serve(stream: TcpStream, peer: SocketAddr, edge: Arc<Edge>, mut signals: watch::Receiver<Signal>) {
    let activity = Arc::<Activity>::default();
    let service = service_fn(|request: hyper::Request<Incoming>| edge.answer(request, peer, activity.begin_request()));
    let stream = Watched { stream, activity: Arc::clone(&activity) };
    let mut builder = http1::Builder::new();
    builder.header_read_timeout(None).max_header_size(HEAD_BYTES_MAX);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut patience = Patience::default();
    loop {
        tokio::select! {
            biased;
            result = connection.as_mut() => {
                if let Err(error) = result {
                    // A client that is gone, or one that does not speak HTTP.
                    tracing::debug!(%error, "a connection ended early");
                }
                return;
            }
            _ = signals.changed() => (),
        }
        if signals.borrow_and_update().is_closing {
            break;
        }
        if patience.is_exhausted_by(&activity) {
            edge.metrics.connections_too_slow.inc();
            tracing::debug!(%peer, "closed a connection that was too slow");
            return;
        }
    }
    connection.as_mut().graceful_shutdown();
    while tokio::time::timeout(CLOSING_GRACE, connection.as_mut()).await.is_err() {
        // One that was opened and never used, or whose client does not take what it asked for.
        if !activity.is_in_request() {
            return;
        }
    }
}

/// What a connection is doing, written by those who do it.
#[derive(Debug, Default)]
struct Activity {
    requests: AtomicU32,
    doing: AtomicU8,
}

/// Nothing has come since the last answer.
const IDLE: u8 = 0;
/// A part of a head has come.
const HEAD: u8 = 1;
/// A request is under way; it has its own time limit.
const REQUEST: u8 = 2;

impl Activity {
    fn begin_request(&self) -> InRequest<'_> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.doing.store(REQUEST, Ordering::Relaxed);
        InRequest(self)
    }

    fn is_in_request(&self) -> bool {
        self.doing.load(Ordering::Relaxed) == REQUEST
    }

    fn read_something(&self) {
        if self.doing.load(Ordering::Relaxed) == IDLE {
            self.doing.store(HEAD, Ordering::Relaxed);
        }
    }
}

/// A request is under way as long as this lives.
struct InRequest<'a>(&'a Activity);

impl Drop for InRequest<'_> {
    fn drop(&mut self) {
        self.0.doing.store(IDLE, Ordering::Relaxed);
    }
}

/// For how many ticks a connection has been doing the same.
#[derive(Debug, Default)]
struct Patience {
    requests: u32,
    doing: u8,
    ticks: u32,
}

impl Patience {
    fn is_exhausted_by(&mut self, activity: &Activity) -> bool {
        let now = (activity.requests.load(Ordering::Relaxed), activity.doing.load(Ordering::Relaxed));
        if now != (self.requests, self.doing) {
            (self.requests, self.doing) = now;
            self.ticks = 0;
        }
        self.ticks += 1;
        match self.doing {
            // The first tick may come at once, so that only further ones are a whole tick.
            HEAD => self.ticks > HEAD_TICKS_MAX + 1,
            IDLE => self.ticks > IDLE_TICKS_MAX + 1,
            _ => false,
        }
    }
}

/// A stream that notes when something was read.
struct Watched {
    stream: TcpStream,
    activity: Arc<Activity>,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            self.activity.read_something();
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks_until_exhausted(activity: &Activity, patience: &mut Patience) -> Option<u32> {
        (1..=100).find(|_| patience.is_exhausted_by(activity))
    }

    #[test]
    fn a_head_has_less_time_than_an_idle_connection_and_a_request_has_its_own() {
        let activity = Activity::default();
        let mut patience = Patience::default();
        assert_eq!(ticks_until_exhausted(&activity, &mut patience), Some(17));
        activity.read_something();
        assert_eq!(ticks_until_exhausted(&activity, &mut patience), Some(4));
        let request = activity.begin_request();
        activity.read_something();
        assert_eq!(ticks_until_exhausted(&activity, &mut patience), None);
        drop(request);
        assert_eq!(ticks_until_exhausted(&activity, &mut patience), Some(17));
    }
}
