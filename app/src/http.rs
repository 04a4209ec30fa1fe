//! How a page becomes a response: headers, ETag, 304, compression. Every page goes through [`respond`], cached or not. It knows nothing
//! of what the pages say.

use std::convert::Infallible;
use std::sync::{Arc, LazyLock, OnceLock};

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::header::{
    ACCEPT_ENCODING, AGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    SET_COOKIE, VARY,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;

use crate::cache::{Entry, Fingerprint, Found, Level, Outcome};
use crate::server;

/// What the cache did, as RFC 9211 wants it.
pub const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// The last second for which a header is kept ready.
const READY_SECONDS_MAX: usize = 600;

/// What a request says about the form of the answer.
#[derive(Debug, Default)]
pub struct Wants {
    none_match: Option<HeaderValue>,
    gzip: bool,
}

impl<S: Sync> FromRequestParts<S> for Wants {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers))
    }
}

impl Wants {
    /// Reads the headers of a request.
    pub fn of(headers: &HeaderMap) -> Self {
        Self {
            none_match: headers.get(IF_NONE_MATCH).cloned(),
            gzip: headers.get_all(ACCEPT_ENCODING).iter().any(accepts_gzip),
        }
    }

    /// Whether the reader has this page already, so that it need not be made: [`respond`] will not look at its body.
    pub fn has(&self, fingerprint: Fingerprint) -> bool {
        self.known_etag(fingerprint).is_some()
    }

    /// The ETag under which the reader has this page already, plain or compressed. A weak comparison, as RFC 9110 wants it here.
    fn known_etag(&self, fingerprint: Fingerprint) -> Option<HeaderValue> {
        let known = self.none_match.as_ref()?.as_bytes();
        [false, true].into_iter().map(|is_gzip| etag(fingerprint, is_gzip)).find(|etag| {
            let mut known = known.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            known.any(|known| known == b"*" || known.strip_prefix(b"W/").unwrap_or(known) == etag.as_bytes())
        })
    }
}

fn accepts_gzip(value: &HeaderValue) -> bool {
    let Ok(value) = value.to_str() else { return false };
    value.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        // A weight of 0 refuses it.
        let is_refused = |part: &str| {
            part.strip_prefix("q=").or(part.strip_prefix("Q=")).is_some_and(|weight| weight.parse() == Ok(0.0_f32))
        };
        is_gzip && !parts.any(is_refused)
    })
}

/// What a page is written in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Content {
    /// HTML.
    Html,
    /// An Atom feed.
    Atom,
    /// JSON, for programs.
    Json,
}

/// Who may keep a page.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Audience {
    /// It is the same for everybody. Others may keep it, and ask each time whether it still counts: the server forgets it when somebody
    /// writes, and none of them would hear of that. What that costs is an answer without a body.
    Everybody,
    /// It was made for one reader, whose own browser may keep it and ask.
    OneReader,
    /// It holds what should lie nowhere.
    Nobody,
}

impl Audience {
    fn cache_control(self) -> &'static str {
        match self {
            Self::Everybody => "public, no-cache",
            Self::OneReader => "private, no-cache",
            Self::Nobody => "no-store",
        }
    }
}

/// A page that is ready to be sent.
pub struct Page<'a> {
    /// The status.
    pub status: StatusCode,
    /// What it is written in.
    pub content: Content,
    /// Who may keep it.
    pub audience: Audience,
    /// The page.
    pub entry: &'a Entry,
    /// The value of `Cache-Status`, and for how long the page has been there, if it comes from the cache.
    pub cache: Option<(HeaderValue, Option<u64>)>,
    /// Whether the entry is shown in this answer and in no other, so that nothing is to be kept ready for the next.
    pub is_shown_once: bool,
}

impl<'a> Page<'a> {
    /// A page that the cache has found or made as a whole.
    pub fn cached(content: Content, found: &'a Found) -> Self {
        let cache = Some((cache_status(&[found]), age(&[found])));
        let (entry, is_shown_once) = (&found.entry, Arc::strong_count(&found.entry) == 1);
        Self { status: StatusCode::OK, content, audience: Audience::Everybody, entry, cache, is_shown_once }
    }

    /// A page that was put together from what the cache has found or made.
    pub fn assembled(content: Content, entry: &'a Entry, parts: &[&Found]) -> Self {
        let cache = Some((cache_status(parts), age(parts)));
        let is_shown_once = false;
        Self { status: StatusCode::OK, content, audience: Audience::Everybody, entry, cache, is_shown_once }
    }

    /// A page that no cache has seen.
    pub fn made(status: StatusCode, content: Content, audience: Audience, entry: &'a Entry) -> Self {
        Self { status, content, audience, entry, cache: None, is_shown_once: true }
    }

    /// Headers and body, from what is kept ready where that is of use to others.
    fn variant(&self, is_gzip: bool) -> Variant {
        let gzip = self.entry.gzip_if(is_gzip);
        let make = || Variant::new(self, gzip.unwrap_or(self.entry.body()).clone(), gzip.is_some());
        if self.is_shown_once {
            return make();
        }
        let prepared = &self.entry.prepared;
        let place = if gzip.is_some() { &prepared.gzip } else { &prepared.plain };
        place.get_or_init(make).clone()
    }

    fn headers_of_304(&self, etag: HeaderValue) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(self.audience.cache_control()));
        headers.insert(ETAG, etag);
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        headers
    }
}

/// The response that carries a page, or 304 if the reader has it already.
pub fn respond(wants: &Wants, page: Page<'_>) -> Response {
    let may_be_kept = page.status == StatusCode::OK && page.audience != Audience::Nobody;
    let known = if may_be_kept { wants.known_etag(page.entry.fingerprint()) } else { None };
    let (status, mut headers, body) = match known {
        Some(etag) => (StatusCode::NOT_MODIFIED, page.headers_of_304(etag), Body::empty()),
        None => {
            // What lies nowhere may hold secrets; compressing them together with what others can choose would let them be guessed.
            let Variant { headers, body } = page.variant(wants.gzip && page.audience != Audience::Nobody);
            (page.status, headers, Body::from(body))
        }
    };
    if let Some((cache_status, age)) = page.cache {
        headers.insert(CACHE_STATUS, cache_status);
        match age {
            Some(age) => headers.insert(AGE, seconds(age)),
            None => headers.remove(AGE),
        };
    }
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Takes what belongs to one reader out of everybody's reach: a response that sets a cookie is kept by nobody, whatever its route meant.
/// For the edge of the server, where every response passes.
pub fn protect(response: &mut Response) {
    if response.headers().contains_key(SET_COOKIE) {
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// The headers that are a page's own. The server adds those that every response has.
pub fn headers(content: Content, audience: Audience) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(24);
    let content_type = match content {
        Content::Html => "text/html; charset=utf-8",
        Content::Atom => "application/atom+xml; charset=utf-8",
        Content::Json => "application/json",
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(audience.cache_control()));
    headers
}

/// The responses that show an entry, plain and compressed, made when they are first needed.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    plain: OnceLock<Variant>,
    gzip: OnceLock<Variant>,
}

#[derive(Clone, Debug)]
struct Variant {
    headers: HeaderMap,
    body: Bytes,
}

impl Variant {
    fn new(page: &Page<'_>, body: Bytes, is_gzip: bool) -> Self {
        let mut headers = common(page.content, page.audience).clone();
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        if page.audience != Audience::Nobody && page.status == StatusCode::OK {
            headers.insert(ETAG, etag(page.entry.fingerprint(), is_gzip));
        } else {
            headers.remove(ETAG);
        }
        if !is_gzip {
            headers.remove(CONTENT_ENCODING);
        }
        if page.cache.is_none() {
            headers.remove(AGE);
            headers.remove(CACHE_STATUS);
        }
        Self { headers, body }
    }
}

/// The headers of all pages of a kind, with a place for each that differs between them: to copy and fill them costs less than to put them
/// together anew, which a page that comes from Redis does for a single answer.
fn common(content: Content, audience: Audience) -> &'static HeaderMap {
    static COMMON: LazyLock<[[HeaderMap; 3]; 3]> = LazyLock::new(|| {
        let of = |content, audience| {
            let mut headers = headers(content, audience);
            // Those that every response has, once here instead of once per response.
            server::prepare_headers(&mut headers);
            headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
            headers.insert(ETAG, HeaderValue::from_static("\"\""));
            headers.insert(AGE, HeaderValue::from_static("0"));
            headers.insert(CACHE_STATUS, HeaderValue::from_static("app"));
            headers
        };
        let audiences = [Audience::Everybody, Audience::OneReader, Audience::Nobody];
        [Content::Html, Content::Atom, Content::Json].map(|content| audiences.map(|audience| of(content, audience)))
    });
    &COMMON[content as usize][audience as usize]
}

/// The compressed form is another representation, so it has another strong ETag.
fn etag(fingerprint: Fingerprint, is_gzip: bool) -> HeaderValue {
    let text = format!("\"{:032x}{}\"", fingerprint.to_u128(), if is_gzip { "-gzip" } else { "" });
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// The value of `Cache-Status` (RFC 9211): one member per level that took part. A page that is kept as a whole is `app`.
pub fn cache_status(parts: &[&Found]) -> HeaderValue {
    static HITS: LazyLock<Vec<HeaderValue>> =
        LazyLock::new(|| (0..=READY_SECONDS_MAX).map(|ttl_s| value(format!("app; hit; ttl={ttl_s}"))).collect());
    if let [Found { level: Level::View, outcome: Outcome::Hit { ttl_s }, .. }] = parts
        && let Some(ready) = usize::try_from(*ttl_s).ok().and_then(|ttl_s| HITS.get(ttl_s))
    {
        return ready.clone();
    }
    let members = Level::ALL.into_iter().filter_map(|level| {
        let outcomes = parts.iter().filter(|found| found.level == level).map(|found| found.outcome);
        Some((level, outcomes.reduce(worse)?))
    });
    let members = members.map(|(level, outcome)| {
        let cache = match level {
            Level::View => "app",
            Level::Fragment => "app-fragment",
            Level::Value => "app-value",
        };
        match outcome {
            Outcome::Hit { ttl_s } => format!("{cache}; hit; ttl={ttl_s}"),
            Outcome::Miss { stored, collapsed } => {
                let (stored, collapsed) =
                    (if stored { "; stored" } else { "" }, if collapsed { "; collapsed" } else { "" });
                format!("{cache}; fwd=miss{stored}{collapsed}")
            }
            Outcome::Bypass => format!("{cache}; fwd=bypass"),
        }
    });
    value(members.collect::<Vec<_>>().join(", "))
}

/// What is said of two parts of one level: that which has cost more.
fn worse(one: Outcome, other: Outcome) -> Outcome {
    match (one, other) {
        (Outcome::Hit { ttl_s: one }, Outcome::Hit { ttl_s: other }) => Outcome::Hit { ttl_s: one.min(other) },
        (Outcome::Hit { .. }, other) => other,
        (one, _) => one,
    }
}

/// For how long the oldest part has been there; None if anything was made just now.
fn age(parts: &[&Found]) -> Option<u64> {
    let is_hit = |found: &&Found| matches!(found.outcome, Outcome::Hit { .. });
    if parts.iter().all(is_hit) { parts.iter().map(|found| found.age_s).max() } else { None }
}

fn seconds(seconds: u64) -> HeaderValue {
    static READY: LazyLock<Vec<HeaderValue>> =
        LazyLock::new(|| (0..=READY_SECONDS_MAX).map(|seconds| value(seconds.to_string())).collect());
    let ready = usize::try_from(seconds).ok().and_then(|place| READY.get(place));
    ready.map_or_else(|| HeaderValue::from(seconds), HeaderValue::clone)
}

fn value(text: String) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::from(text)).unwrap_or_else(|_| HeaderValue::from_static(""))
}
