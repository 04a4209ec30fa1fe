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
use axum::http::{HeaderValue, Method, Request, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use prometheus_client::metrics::counter::Counter;
use tokio::time::error::Elapsed;
use tower::Service;

use super::address::{self, Address, Addresses};
use super::admission::{Admission, Admitted};
use super::body::{BodyProblem, BoundedBody, Verdict, discard};
use super::handicap::Handicap;
use super::headers::{self, X_REQUEST_ID, X_SERVED_BY};
use super::metrics::Metrics;
use super::request_id::RequestId;
use crate::error::AppError;
use crate::routes::{AtOnce, Handling, Straight, api};
use crate::telemetry::REQUEST_ID;

/// A request that took longer is worth a line in the log.
const SLOW: Duration = Duration::from_secs(1);

/// Who sent a request: the balancer if there is one. An extension of every request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PeerAddress(pub SocketAddr);

/// What holds for every request of one server.
pub(super) struct Edge {
    /// Answers some requests before the router is asked. It may be absent, and must answer as the router would.
    pub(super) at_once: Option<AtOnce>,
    /// Knows some handlers without the router. It may be absent, too.
    pub(super) straight: Option<Straight>,
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
    /// What each request bears besides, nothing unless somebody calibrates an instrument.
    pub(super) handicap: Arc<Handicap>,
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
    /// Answers one request; an error cannot happen, whatever the handler does. `until_answered` is dropped when the answer is there or will
    /// never be.
    pub(super) async fn answer<B, G>(
        &self,
        request: Request<B>,
        peer: SocketAddr,
        until_answered: G,
    ) -> Result<Response, Infallible>
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
        let unanswered = Unanswered { counter: Some(&self.metrics.abandoned), _until_answered: until_answered };
        let admitted = self.admit(asked.address);
        let response = match self.prepare(request, peer, &asked, admitted.is_some()) {
            Prepared::Refused(response) => response,
            Prepared::Answered(handled) => self.judge(Ok(handled), None, &asked),
            // Rare, so that it is not worth room in the future of every request.
            Prepared::TooLong(body) => {
                Box::pin(discard(body)).await;
                self.refuse_body(&asked, BodyProblem::TooLarge)
            }
            Prepared::Straight(handling) => self.handle(handling, None, &asked).await,
            Prepared::Ready(request, verdict) => self.handle(self.router.clone().call(request), verdict, &asked).await,
        };
        // Last, because whoever has waited is slower afterwards: its processor has slept, and its caches are cold. What is still to be
        // done then is slower by something that nobody counts.
        if self.handicap.is_any() && admitted.is_some() && !asked.address.is_exempt {
            Box::pin(self.handicap.bear()).await;
        }
        unanswered.answered();
        Ok(self.finish(response, &asked))
    }

    /// Lets a handler work for as long as it may.
    async fn handle(
        &self,
        handling: impl Future<Output = Result<Response, Infallible>>,
        verdict: Option<Verdict>,
        asked: &Asked,
    ) -> Response {
        let mut handling = pin!(REQUEST_ID.scope(asked.id.clone(), handling));
        // Most pages come from the cache without waiting for anything, and a timer costs more than looking first.
        let first = poll_fn(|context| Poll::Ready(poll_caught(handling.as_mut(), context))).await;
        let handled = match first {
            Poll::Ready(handled) => Ok(handled),
            Poll::Pending => {
                let rest = poll_fn(|context| poll_caught(handling.as_mut(), context));
                tokio::time::timeout(self.request_timeout, rest).await
            }
        };
        self.judge(handled, verdict, asked)
    }

    /// A name that somebody else chose is taken over only from those who are asked to choose: anybody else could make two requests look
    /// like one in the log.
    fn name<B>(&self, request: &Request<B>, peer: SocketAddr) -> RequestId {
        let chosen = request.headers().get(X_REQUEST_ID).filter(|_| self.trusted_proxies.contains(&peer.ip()));
        chosen.and_then(RequestId::accept).unwrap_or_else(RequestId::next)
    }

    fn admit(&self, address: Address) -> Option<Admitted<'_>> {
        if address.is_exempt { Some(self.admission.admit_exempt()) } else { self.admission.admit() }
    }

    /// Makes of what came what a handler may see.
    fn prepare<B>(&self, request: Request<B>, peer: SocketAddr, asked: &Asked, is_admitted: bool) -> Prepared<B>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<axum::BoxError>,
    {
        if !is_admitted {
            self.metrics.shed.inc();
            return Prepared::Refused(asked.refuse(AppError::Overloaded));
        }
        if let Some(prepared) = self.shorten(&request) {
            return prepared;
        }
        let (mut parts, body) = request.into_parts();
        parts.extensions.insert(PeerAddress(peer));
        if body.is_end_stream() {
            return Prepared::Ready(Request::from_parts(parts, Body::empty()), None);
        }
        let bytes_max = asked.address.body_bytes_max;
        if body.size_hint().lower() > bytes_max {
            return Prepared::TooLong(body);
        }
        let verdict = Verdict::default();
        let body = Body::new(BoundedBody::new(body, bytes_max, verdict.clone()));
        Prepared::Ready(Request::from_parts(parts, body), Some(verdict))
    }

    /// What does not need the router. Like the handlers, it may panic.
    fn shorten<B: HttpBody>(&self, request: &Request<B>) -> Option<Prepared<B>> {
        if request.method() != Method::GET || !request.body().is_end_stream() {
            return None;
        }
        let (uri, headers) = (request.uri(), request.headers());
        let find = || {
            let answer = self.at_once.as_ref().and_then(|at_once| at_once(uri, headers));
            let straight = || self.straight.as_ref().and_then(|straight| straight(uri, headers));
            answer.map(|answer| Prepared::Answered(Ok(Ok(answer)))).or_else(|| straight().map(Prepared::Straight))
        };
        catch_unwind(AssertUnwindSafe(find)).unwrap_or_else(|panic| Some(Prepared::Answered(Err(panic))))
    }

    fn judge(&self, handled: Result<Caught, Elapsed>, verdict: Option<Verdict>, asked: &Asked) -> Response {
        if let Some(problem) = verdict.and_then(|verdict| verdict.problem()) {
            return self.refuse_body(asked, problem);
        }
        match handled {
            Ok(Ok(Ok(response))) => response,
            // The log has it already: the panic hook knows the place, which is lost here.
            Ok(Err(_panic)) => {
                self.metrics.panics.inc();
                asked.refuse(AppError::Panicked)
            }
            Err(_) => {
                self.metrics.timed_out.inc();
                asked.refuse(AppError::TimedOut)
            }
        }
    }

    fn refuse_body(&self, asked: &Asked, problem: BodyProblem) -> Response {
        self.metrics.bodies_refused.inc();
        let (status, message) = match problem {
            BodyProblem::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "This is too long."),
            BodyProblem::TooSlow => (StatusCode::REQUEST_TIMEOUT, "The request came too slowly."),
        };
        let mut response = asked.refuse(AppError::Refused { status, message: message.to_owned() });
        // The rest of the body may still be on its way, and would be taken for the next request.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        response
    }

    fn finish(&self, mut response: Response, asked: &Asked) -> Response {
        let status = response.status();
        if status == StatusCode::TOO_MANY_REQUESTS {
            self.metrics.rate_limited.inc();
        }
        if api::is_here(asked.uri.path()) {
            response = api::as_problem(response, asked.id.as_str());
        } else if (status.is_client_error() || status.is_server_error()) && !asked.address.is_exempt {
            response = asked.dress(response);
        }
        crate::http::protect(&mut response);
        let status = response.status();
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

/// What is to be done with a request before a handler sees it.
enum Prepared<B> {
    Ready(Request<Body>, Option<Verdict>),
    Answered(Caught),
    Straight(Handling),
    Refused(Response),
    TooLong(B),
}

/// What a handler came to: a response, or a panic.
type Caught = Result<Result<Response, Infallible>, Box<dyn Any + Send>>;

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
struct Unanswered<'a, G> {
    counter: Option<&'a Counter>,
    _until_answered: G,
}

impl<G> Unanswered<'_, G> {
    fn answered(mut self) {
        self.counter = None;
    }
}

impl<G> Drop for Unanswered<'_, G> {
    fn drop(&mut self) {
        if let Some(counter) = self.counter {
            counter.inc();
        }
    }
}

#[cfg(test)]
mod tests;
