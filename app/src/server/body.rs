//! The body of a request: bounded in size and in time, whoever reads it. What was wrong with it is remembered apart, because a handler
//! that meets an unreadable body cannot tell a wrong one from a long or a slow one.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::HttpBody;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};

/// How long a body may take to arrive. NGINX collects bodies before it passes them on, so that slow clients wait there.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// What is wrong with a body.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum BodyProblem {
    #[error("the body is too large")]
    TooLarge,
    #[error("the body came too slowly")]
    TooSlow,
}

/// Where a body tells its problem.
#[derive(Clone, Debug, Default)]
pub(super) struct Verdict(Arc<AtomicU8>);

impl Verdict {
    pub(super) fn problem(&self) -> Option<BodyProblem> {
        match self.0.load(Ordering::Relaxed) {
            1 => Some(BodyProblem::TooLarge),
            2 => Some(BodyProblem::TooSlow),
            _ => None,
        }
    }

    fn set(&self, problem: BodyProblem) {
        let code = match problem {
            BodyProblem::TooLarge => 1,
            BodyProblem::TooSlow => 2,
        };
        self.0.store(code, Ordering::Relaxed);
    }
}

/// A body with bounds.
pub(super) struct BoundedBody<B> {
    body: B,
    bytes_left: u64,
    deadline: Instant,
    /// Only made when the body is not there yet.
    timer: Option<Pin<Box<Sleep>>>,
    verdict: Verdict,
}

impl<B> BoundedBody<B> {
    pub(super) fn new(body: B, bytes_max: u64, verdict: Verdict) -> Self {
        Self { body, bytes_left: bytes_max, deadline: Instant::now() + BODY_TIMEOUT, timer: None, verdict }
    }
}

impl<B> HttpBody for BoundedBody<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<axum::BoxError>,
{
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            if let Some(Ok(frame)) = &frame {
                let length = frame.data_ref().map_or(0, Bytes::len) as u64;
                let Some(bytes_left) = this.bytes_left.checked_sub(length) else {
                    this.verdict.set(BodyProblem::TooLarge);
                    return Poll::Ready(Some(Err(BodyProblem::TooLarge.into())));
                };
                this.bytes_left = bytes_left;
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let deadline = this.deadline;
        let timer = this.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.as_mut().poll(context).is_ready() {
            this.verdict.set(BodyProblem::TooSlow);
            return Poll::Ready(Some(Err(BodyProblem::TooSlow.into())));
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Reads what a client is about to send and throws it away, within bounds. A client that is still sending does not read, so that it
/// would see a broken connection in place of the answer.
pub(super) async fn discard<B: HttpBody + Unpin>(mut body: B) {
    const BYTES_MAX: usize = 16 * 1024 * 1024;
    const TIME_MAX: Duration = Duration::from_secs(1);
    let reading = async {
        let mut length = 0;
        while let Some(Ok(frame)) = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            length += frame.data_ref().map_or(0, bytes::Buf::remaining);
            if length > BYTES_MAX {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(TIME_MAX, reading).await;
}
