//! One user of a trial, as goose runs it: takes a turn, sends the request, reads the answer to its last byte, notes the times.
//! It refuses to know who else is sending, and shares no lock with them while it does.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use goose::prelude::{GooseMethod, GooseRequest, GooseUser};
use reqwest::header::{CONTENT_TYPE, COOKIE, HeaderMap, SET_COOKIE};

use super::cookies::CookieJar;
use super::engine::Shared;
use super::pace::Turn;
use super::recorder::{CacheStatus, FailureKind, Sample};
use super::request::PlannedRequest;
use super::spec::{Cookies, Endpoint, Method};

/// Samples are handed over in batches of this size, so that the hand-over costs nothing per request.
const BATCH: usize = 512;

/// What a user hands over.
pub enum Report {
    /// Requests that were answered, or were not.
    Samples(Vec<Sample>),
    /// A request of a session, to be counted by server.
    Session(SessionNote),
    /// The user has nothing left to do.
    Finished,
}

/// Where a session stands after one of its requests.
#[derive(Clone, Debug)]
pub struct SessionNote {
    /// Place of the phase.
    pub phase: u16,
    /// Who answered.
    pub served_by: Arc<str>,
    /// Whether it was the session's first request; otherwise another server answered the one before.
    pub first: bool,
}

struct Answer {
    status: u16,
    failure: Option<FailureKind>,
    served_by: Arc<str>,
    cache: CacheStatus,
    expected: bool,
    body_bytes: u64,
}

struct Worker<'a> {
    user: &'a mut GooseUser,
    shared: &'a Shared,
    jar: CookieJar,
    requests_in_session: u32,
    session_server: Option<Arc<str>>,
    servers: Vec<Arc<str>>,
    samples: Vec<Sample>,
    reports: Sender<Report>,
}

/// Sends until the schedule is exhausted.
pub async fn work(user: &mut GooseUser, shared: &Shared) {
    user.client = shared.client.clone();
    shared.arrive().await;
    let mut worker = Worker {
        user,
        shared,
        jar: CookieJar::default(),
        requests_in_session: 0,
        session_server: None,
        servers: vec![Arc::from("")],
        samples: Vec::with_capacity(BATCH),
        reports: shared.reports.clone(),
    };
    let mut phase = 0;
    while let Some(turn) = shared.pace.next(&mut phase).await {
        worker.take(turn).await;
    }
    shared.retire();
    worker.flush();
    // The receiver lives until all users have finished.
    let _ = worker.reports.send(Report::Finished);
}

impl Worker<'_> {
    async fn take(&mut self, turn: Turn) {
        let draws = self.shared.draws[turn.phase];
        let planned = self.shared.mix.draw(draws, turn.ticket);
        let mut start = Duration::ZERO;
        if self.begins_session()
            && let Some(planned) = self.shared.mix.draw_session_start(draws, turn.ticket)
        {
            let sent = Instant::now();
            self.ask(&planned, turn.phase, sent, false).await;
            start = sent.elapsed();
        }
        // The start of a session is not part of the load time of the request behind it: it has its own place in the result.
        let intended = turn.intended.map_or_else(Instant::now, |intended| intended + start);
        self.ask(&planned, turn.phase, intended, true).await;
    }

    /// Sends a request and notes what became of it.
    async fn ask(&mut self, planned: &PlannedRequest, phase: usize, intended: Instant, scheduled: bool) {
        let cookie = self.jar.header();
        let sent = Instant::now();
        let answer = self.send(planned, phase, cookie.as_deref()).await;
        let done = Instant::now();
        self.shared.note_answer(answer.failure);
        if self.shared.cookies == Cookies::PerUser {
            self.note_session(phase, &answer.served_by);
        }
        self.samples.push(Sample {
            phase: phase as u16,
            second: self.shared.second_of(intended),
            tenth: self.shared.tenth_of(intended),
            completed_second: self.shared.second_of(done),
            completed_in_phase: done <= self.shared.pace.phase_end(phase),
            endpoint: planned.endpoint as u16,
            scheduled,
            timed: intended >= self.shared.timed_from(phase),
            served_by: answer.served_by,
            cache: answer.cache,
            status: answer.status,
            failure: answer.failure,
            expected: answer.expected,
            body_bytes: answer.body_bytes,
            latency_us: done.saturating_duration_since(intended).as_micros() as u64,
            service_us: (done - sent).as_micros() as u64,
            lag_us: sent.saturating_duration_since(intended).as_micros() as u64,
        });
        if self.samples.len() == BATCH {
            self.flush();
        }
    }

    /// Counts a request of the session, ends the session when it had all of them, and says whether this is the first.
    fn begins_session(&mut self) -> bool {
        if self.shared.cookies == Cookies::None {
            return false;
        }
        if self.shared.requests_per_session.is_some_and(|most| self.requests_in_session >= most) {
            self.jar.clear();
            self.requests_in_session = 0;
            self.session_server = None;
        }
        self.requests_in_session += 1;
        self.requests_in_session == 1
    }

    async fn send(&mut self, planned: &PlannedRequest, phase: usize, cookie: Option<&str>) -> Answer {
        let shared = self.shared;
        let endpoint = &shared.endpoints[planned.endpoint];
        let (method, goose_method) = methods(endpoint.method);
        let site = &shared.sites[phase];
        let mut builder = self.user.client.request(method, format!("{}{}", site.base_url, planned.path));
        if !site.headers[planned.endpoint].is_empty() {
            builder = builder.headers(site.headers[planned.endpoint].clone());
        }
        if let Some(cookie) = cookie {
            builder = builder.header(COOKIE, cookie);
        }
        if let Some(form) = &planned.form {
            builder = builder.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form.clone());
        }
        let request =
            GooseRequest::builder().method(goose_method).path(planned.path.as_str()).name(endpoint.name.as_str());
        let answered = self.user.request(request.set_request_builder(builder).build()).await;
        let Ok(answered) = answered else {
            return self.failed(FailureKind::Request);
        };
        match answered.response {
            Ok(response) => self.read(response, endpoint).await,
            Err(error) => self.failed(kind_of(&error)),
        }
    }

    async fn read(&mut self, response: reqwest::Response, endpoint: &Endpoint) -> Answer {
        let status = response.status().as_u16();
        let headers = response.headers();
        let served_by = text(headers, "x-served-by").unwrap_or("");
        let served_by = intern(&mut self.servers, served_by);
        let cache = CacheStatus::parse(text(headers, "cache-status"));
        if self.shared.cookies == Cookies::PerUser {
            headers
                .get_all(SET_COOKIE)
                .iter()
                .filter_map(|value| value.to_str().ok())
                .for_each(|header| self.jar.set(header));
        }
        // The body is always read to its end: otherwise the connection could not be used again.
        match response.bytes().await {
            Ok(body) => Answer {
                status,
                failure: None,
                served_by,
                cache,
                expected: is_expected(endpoint, status, &body),
                body_bytes: body.len() as u64,
            },
            Err(error) => self.failed(if error.is_timeout() { FailureKind::Timeout } else { FailureKind::Body }),
        }
    }

    fn failed(&self, kind: FailureKind) -> Answer {
        let served_by = Arc::clone(&self.servers[0]);
        Answer { status: 0, failure: Some(kind), served_by, cache: CacheStatus::None, expected: false, body_bytes: 0 }
    }

    fn note_session(&mut self, phase: usize, served_by: &Arc<str>) {
        if served_by.is_empty() {
            return;
        }
        let first = self.session_server.is_none();
        if first || self.session_server.as_ref() != Some(served_by) {
            self.session_server = Some(Arc::clone(served_by));
            let note = SessionNote { phase: phase as u16, served_by: Arc::clone(served_by), first };
            let _ = self.reports.send(Report::Session(note));
        }
    }

    fn flush(&mut self) {
        let samples = std::mem::replace(&mut self.samples, Vec::with_capacity(BATCH));
        let _ = self.reports.send(Report::Samples(samples));
    }
}

fn methods(method: Method) -> (reqwest::Method, GooseMethod) {
    match method {
        Method::Get => (reqwest::Method::GET, GooseMethod::Get),
        Method::Head => (reqwest::Method::HEAD, GooseMethod::Head),
        Method::Post => (reqwest::Method::POST, GooseMethod::Post),
    }
}

fn kind_of(error: &reqwest::Error) -> FailureKind {
    if error.is_timeout() {
        FailureKind::Timeout
    } else if error.is_connect() {
        if has_no_port(error) { FailureKind::NoPort } else { FailureKind::Connect }
    } else {
        FailureKind::Request
    }
}

/// Whether the system had no local address for a connection, which on loopback means that all ports are taken.
fn has_no_port(error: &reqwest::Error) -> bool {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    let kinds = causes.filter_map(|cause| cause.downcast_ref::<std::io::Error>()).map(std::io::Error::kind);
    kinds.into_iter().any(|kind| kind == std::io::ErrorKind::AddrNotAvailable)
}

fn is_expected(endpoint: &Endpoint, status: u16, body: &[u8]) -> bool {
    let holds = |part: &str| body.windows(part.len()).any(|window| window == part.as_bytes());
    endpoint.expect.status.contains(&status)
        && endpoint.expect.contains.as_deref().is_none_or(|part| part.is_empty() || holds(part))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// There are a handful of servers, so that a search of the list is the cheapest way to share their names.
fn intern(servers: &mut Vec<Arc<str>>, name: &str) -> Arc<str> {
    if let Some(known) = servers.iter().find(|known| &***known == name) {
        return Arc::clone(known);
    }
    let new: Arc<str> = Arc::from(name);
    servers.push(Arc::clone(&new));
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_without_a_local_port_is_told_apart_from_one_that_is_refused() {
        // An address of nobody (RFC 5737) cannot be bound here, which is the error of a machine without a free port.
        let client = |builder: reqwest::ClientBuilder| builder.no_proxy().build().unwrap();
        let bound = client(reqwest::Client::builder().local_address(std::net::IpAddr::from([192, 0, 2, 1])));
        let error = bound.get("http://127.0.0.1:9/").send().await.unwrap_err();
        assert_eq!(kind_of(&error), FailureKind::NoPort, "{error:?}");
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = client(reqwest::Client::builder()).get(format!("http://{closed}/")).send().await.unwrap_err();
        assert_eq!(kind_of(&error), FailureKind::Connect, "{error:?}");
    }
}
