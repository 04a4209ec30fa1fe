//! The headers that every response carries, whatever it is. A page that is kept with its headers takes them from here beforehand, and the
//! edge adds them to everything else.

use axum::http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// The header that names a request.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The header that names the server.
pub const X_SERVED_BY: HeaderName = HeaderName::from_static("x-served-by");

/// What browsers are told to refuse. `Strict-Transport-Security` is not among them: it is a promise about TLS, and whoever ends TLS in
/// front of the app has to make it.
static SECURITY_HEADERS: [(HeaderName, HeaderValue); 6] = [
    (
        // Nothing but our own style sheet and images is ever loaded, forms go to us, nobody frames us, and no script runs, even if some
        // text got through unescaped. No nonce: a page that is kept would hand the same one to everybody.
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        ),
    ),
    // The type that we declare is the type that it is.
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    // Other sites do not learn which page a reader came from. `no-referrer` would send `Origin: null` with our own forms.
    (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    // A page that cannot run scripts needs none of these; a page that could must not get them.
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ),
    // A window that another site opened has no handle on ours, and no other site may embed what we send.
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

/// Adds what every response carries, if it is not there yet.
pub fn secure(headers: &mut HeaderMap) {
    // They come all together or not at all, so that looking for one is enough.
    if !headers.contains_key(CONTENT_SECURITY_POLICY) {
        headers.reserve(SECURITY_HEADERS.len() + 2);
        for (name, value) in &SECURITY_HEADERS {
            headers.insert(name, value.clone());
        }
    }
}

/// The same for headers that are kept and given away many times. The names of request and server are there already, with nothing in them:
/// to fill a place costs less than to make one.
pub fn prepare(headers: &mut HeaderMap) {
    secure(headers);
    headers.insert(X_REQUEST_ID, HeaderValue::from_static(""));
    headers.insert(X_SERVED_BY, HeaderValue::from_static(""));
}
