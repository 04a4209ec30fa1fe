//! The edge: what holds for every request, whichever route it is for, in one place and in the order in which it happens. It names the
//! request, lets it in or not, bounds its body and its time, catches its panic, dresses its errors, stamps its response, counts it
//! and logs it. It knows no route and nothing of what is served.
//!
//! It is one function and no stack of layers, since each layer around an axum router puts its future and its body on the heap once
//! more, and a page from the cache costs little more than that. For the same reason it does nothing that most requests do not need: no
//! timer while the handler does not wait, no limits around a body that is empty, no span, no log line, no label made from text.

use std::any::Any;
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::http::header::{ALLOW, CONNECTION, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Request, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use prometheus_client::metrics::counter::Counter;
use tower::Service;

use super::address::{self, Address, Addresses};
use super::admission::Admission;
use super::body::{BodyProblem, BoundedBody, Verdict, discard};
use super::headers::{self, X_REQUEST_ID, X_SERVED_BY};
use super::metrics::Metrics;
use super::request_id::RequestId;
use crate::error::AppError;
use crate::telemetry::REQUEST_ID;

/// A request that took longer is worth a line in the log.
const SLOW: Duration = Duration::from_secs(1);

/// Who sent a request: the balancer if there is one. An extension of every request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PeerAddress(pub SocketAddr);

/// What holds for every request of one server.
pub(super) struct Edge {
    pub(super) router: Router,
    pub(super) addresses: Addresses,
    pub(super) admission: Arc<Admission>,
    pub(super) metrics: Arc<Metrics>,
    /// Whose names of requests are taken over.
    pub(super) trusted_proxies: Vec<IpAddr>,
    pub(super) served_by: HeaderValue,
    pub(super) request_timeout: Duration,
    /// Whether the server is stopping: then each answer is the last one on its connection.
    pub(super) draining: Arc<AtomicBool>,
}

/// What is remembered of a request while the handler has it.
struct Asked {
    id: RequestId,
    address: Address,
    method: Method,
    uri: Uri,
    started: Instant,
}

impl Edge {
    /// Answers one request; an error cannot happen, whatever the handler does.
    pub(super) async fn answer<B>(&self, request: Request<B>, peer: SocketAddr) -> Result<Response, Infallible>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let asked = Asked {
            id: self.name(&request, peer),
            address: self.addresses.find(request.uri().path()),
            method: request.method().clone(),
            uri: request.uri().clone(),
            started: Instant::now(),
        };
        let unanswered = Unanswered(Some(&self.metrics.abandoned));
        let response = self.admit(request, peer, &asked).await;
        unanswered.answered();
        Ok(self.finish(response, &asked))
    }

    /// A name that somebody else chose is taken over only from those who are asked to choose: anybody else could make two requests look
    /// like one in the log.
    fn name<B>(&self, request: &Request<B>, peer: SocketAddr) -> RequestId {
        let chosen = request.headers().get(X_REQUEST_ID).filter(|_| self.trusted_proxies.contains(&peer.ip()));
        chosen.and_then(RequestId::accept).unwrap_or_else(RequestId::next)
    }

    async fn admit<B>(&self, request: Request<B>, peer: SocketAddr, asked: &Asked) -> Response
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let admitted =
            if asked.address.is_exempt { Some(self.admission.admit_exempt()) } else { self.admission.admit() };
        let Some(_admitted) = admitted else {
            self.metrics.shed.inc();
            return asked.refuse(AppError::Overloaded);
        };
        let (mut parts, body) = request.into_parts();
        parts.extensions.insert(PeerAddress(peer));
        if body.is_end_stream() {
            return self.handle(parts, Body::empty(), asked).await;
        }
        let bytes_max = asked.address.body_bytes_max;
        if body.size_hint().lower() > bytes_max {
            self.metrics.bodies_refused.inc();
            discard(body).await;
            return asked.refuse_body(BodyProblem::TooLarge);
        }
        let verdict = Verdict::default();
        let response = self.handle(parts, Body::new(BoundedBody::new(body, bytes_max, verdict.clone())), asked).await;
        match verdict.problem() {
            None => response,
            Some(problem) => {
                self.metrics.bodies_refused.inc();
                asked.refuse_body(problem)
            }
        }
    }

    async fn handle(&self, parts: Parts, body: Body, asked: &Asked) -> Response {
        let handling = self.router.clone().call(Request::from_parts(parts, body));
        let mut handling = pin!(REQUEST_ID.scope(asked.id.clone(), handling));
        // Most pages come from the cache without waiting for anything, and a timer costs more than looking first.
        let first = poll_fn(|context| Poll::Ready(poll_caught(handling.as_mut(), context))).await;
        let handled = match first {
            Poll::Ready(handled) => handled,
            Poll::Pending => {
                let rest = poll_fn(|context| poll_caught(handling.as_mut(), context));
                match tokio::time::timeout(self.request_timeout, rest).await {
                    Ok(handled) => handled,
                    Err(_) => {
                        self.metrics.timed_out.inc();
                        return asked.refuse(AppError::TimedOut);
                    }
                }
            }
        };
        match handled {
            Ok(Ok(response)) => response,
            // The log has it already: the panic hook knows the place, which is lost here.
            Err(_panic) => {
                self.metrics.panics.inc();
                asked.refuse(AppError::Panicked)
            }
        }
    }

    fn finish(&self, mut response: Response, asked: &Asked) -> Response {
        let status = response.status();
        if (status.is_client_error() || status.is_server_error()) && !asked.address.is_exempt {
            response = asked.dress(response);
        }
        let headers = response.headers_mut();
        headers::secure(headers);
        headers.insert(X_REQUEST_ID, asked.id.header());
        headers.insert(X_SERVED_BY, self.served_by.clone());
        if self.draining.load(Ordering::Relaxed) {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let duration = asked.started.elapsed();
        self.metrics.requests.observe(asked.address.index, &asked.method, status, duration);
        asked.log(&response, duration);
        response
    }
}

/// Polls, and turns a panic into a value. What panicked is not polled again, so that nothing sees its broken state.
fn poll_caught<F: Future>(
    future: Pin<&mut F>,
    context: &mut Context<'_>,
) -> Poll<Result<F::Output, Box<dyn Any + Send>>> {
    match catch_unwind(AssertUnwindSafe(|| future.poll(context))) {
        Ok(polled) => polled.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    }
}

impl Asked {
    /// An error of the edge itself, as a page of the request's own kind.
    fn refuse(&self, error: AppError) -> Response {
        REQUEST_ID.sync_scope(self.id.clone(), || error.into_response())
    }

    fn refuse_body(&self, problem: BodyProblem) -> Response {
        let (status, message) = match problem {
            BodyProblem::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "This is too long."),
            BodyProblem::TooSlow => (StatusCode::REQUEST_TIMEOUT, "The request came too slowly."),
        };
        let mut response = self.refuse(AppError::Refused { status, message: message.to_owned() });
        // The rest of the body may still be on its way, and would be taken for the next request.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        response
    }

    /// Puts a page in place of an error that has none: the router and the extractors answer in plain words or not at all.
    fn dress(&self, response: Response) -> Response {
        let is_dressed =
            response.headers().get(CONTENT_TYPE).is_some_and(|kind| !kind.as_bytes().starts_with(b"text/plain"));
        if is_dressed {
            return response;
        }
        let status = response.status();
        let message = match status {
            StatusCode::METHOD_NOT_ALLOWED => "This address is not for that.",
            StatusCode::NOT_FOUND => "There is no page at this address.",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "The request is not of a type that can be read here.",
            _ if status.is_client_error() => "The request cannot be read.",
            _ => "Something went wrong on our side. It has been written to the log.",
        };
        let mut dressed = self.refuse(AppError::Refused { status, message: message.to_owned() });
        if let Some(allow) = response.headers().get(ALLOW) {
            dressed.headers_mut().insert(ALLOW, allow.clone());
        }
        dressed
    }

    fn log(&self, response: &Response, duration: Duration) {
        let status = response.status();
        let is_slow = duration > SLOW;
        if !status.is_server_error() && !is_slow && !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
        let cause = response.extensions().get::<crate::error::Cause>().map(|cause| tracing::field::display(&cause.0));
        macro_rules! write {
            ($level:ident, $message:literal) => {
                tracing::$level!(
                    request_id = self.id.as_str(),
                    method = self.method.as_str(),
                    path = self.uri.path(),
                    route = address::template(self.address),
                    status = status.as_u16(),
                    duration_ms = duration.as_secs_f64() * 1000.0,
                    error = cause,
                    $message
                )
            };
        }
        match status {
            StatusCode::SERVICE_UNAVAILABLE => write!(warn, "turned away"),
            _ if status.is_server_error() => write!(error, "failed"),
            _ if is_slow => write!(warn, "slow"),
            _ => write!(debug, "answered"),
        }
    }
}

/// Counts a request whose client left: then the future of its answer is dropped before its end.
struct Unanswered<'a>(Option<&'a Counter>);

impl Unanswered<'_> {
    fn answered(mut self) {
        self.0 = None;
    }
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if let Some(abandoned) = self.0 {
            abandoned.inc();
        }
    }
}
