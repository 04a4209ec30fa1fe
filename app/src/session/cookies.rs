//! The two cookies, `session` and `srv`, and the header `Authorization` in place of the first. They know nothing of what a session holds.
//!
//! Neither is set on a plain page. The first comes with the response that begins a session, the second with the one that logs somebody in,
//! and both go when the session is ended. The routing cookie names this server, so that a balancer can bring the browser back to it; the
//! app itself never reads it. A visitor without an account gets none: who only reads is to be spread over all servers.

use std::time::Duration;

use axum::http::header::{AUTHORIZATION, COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue};
use cookie::{Cookie, SameSite};

use super::SessionId;

/// How the cookies look.
#[derive(Clone, Debug)]
pub struct Cookies {
    /// Whether browsers must send the session over HTTPS only. Then its name begins with `__Host-`, which browsers accept from this very
    /// host alone: no other host of the domain can slip us a session.
    pub is_secure: bool,
    /// The value of the routing cookie, if there is one.
    pub route: Option<String>,
    /// How long the browser keeps them: as long as the session can live.
    pub lifetime: Duration,
}

/// The name of the routing cookie. NGINX before 1.29.6 cannot read names with a hyphen, so it has no prefix; it decides nothing but
/// which of the servers is asked.
const ROUTE_NAME: &str = "srv";

impl Cookies {
    /// The name of the session's cookie.
    pub fn session_name(&self) -> &'static str {
        if self.is_secure { "__Host-session" } else { "session" }
    }

    /// The session that a request names. Clients that are no browsers send it as `Authorization: Bearer TOKEN`; then cookies are not
    /// looked at, so that a request has one owner.
    pub fn session(&self, headers: &HeaderMap) -> Option<SessionId> {
        if let Some(authorization) = headers.get(AUTHORIZATION) {
            let (scheme, token) = authorization.to_str().ok()?.split_once(' ')?;
            return SessionId::parse(token.trim()).filter(|_| scheme.eq_ignore_ascii_case("bearer"));
        }
        let name = self.session_name();
        let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
        let mut cookies = lines.flat_map(|line| Cookie::split_parse(line).filter_map(Result::ok));
        cookies.find(|cookie| cookie.name() == name).and_then(|cookie| SessionId::parse(cookie.value()))
    }

    /// Gives the browser a session that has just begun.
    pub fn begin(&self, headers: &mut HeaderMap, session: SessionId) {
        self.append(headers, self.session_name(), &session.token(), self.lifetime);
    }

    /// Gives the browser of somebody who has just logged in their session, and the way back to this server.
    pub fn log_in(&self, headers: &mut HeaderMap, session: SessionId) {
        self.begin(headers, session);
        if let Some(route) = &self.route {
            self.append(headers, ROUTE_NAME, route, self.lifetime);
        }
    }

    /// Makes the browser forget.
    pub fn clear(&self, headers: &mut HeaderMap) {
        self.append(headers, self.session_name(), "", Duration::ZERO);
        if self.route.is_some() {
            self.append(headers, ROUTE_NAME, "", Duration::ZERO);
        }
    }

    fn append(&self, headers: &mut HeaderMap, name: &str, value: &str, lifetime: Duration) {
        let mut cookie = Cookie::build((name, value))
            .path("/")
            .http_only(true)
            // Not sent with what other sites post to us, and sent when somebody follows a link to us.
            .same_site(SameSite::Lax)
            .secure(self.is_secure)
            .build()
            .to_string();
        cookie.push_str(&format!("; Max-Age={}", lifetime.as_secs()));
        // Names, tokens and routes are plain ASCII.
        if let Ok(value) = HeaderValue::try_from(cookie) {
            headers.append(SET_COOKIE, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "00112233445566778899aabbccddeeff";

    fn cookies(is_secure: bool, route: Option<&str>) -> Cookies {
        Cookies { is_secure, route: route.map(str::to_owned), lifetime: Duration::from_secs(60) }
    }

    fn token_in(cookies: &Cookies, headers: &[(&'static str, &str)]) -> Option<String> {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        cookies.session(&headers.collect()).map(SessionId::token)
    }

    fn set_cookies(headers: &HeaderMap) -> Vec<&str> {
        headers.get_all(SET_COOKIE).iter().map(|value| value.to_str().unwrap()).collect()
    }

    #[test]
    fn a_session_is_read_from_the_cookie_or_the_header() {
        let (plain, secure) = (cookies(false, None), cookies(true, None));
        let found = Some(TOKEN.to_owned());
        assert_eq!(token_in(&plain, &[("cookie", &format!("a=b; session={TOKEN}"))]), found);
        assert_eq!(token_in(&secure, &[("cookie", &format!("__Host-session={TOKEN}"))]), found);
        assert_eq!(token_in(&plain, &[("authorization", &format!("bearer {TOKEN}"))]), found);
        // In production, a cookie that another host of the domain could have set is not ours.
        assert_eq!(token_in(&secure, &[("cookie", &format!("session={TOKEN}"))]), None);
        let both = [("authorization", "Bearer x"), ("cookie", &format!("session={TOKEN}"))];
        assert_eq!(token_in(&plain, &both), None);
        for line in ["session=", "session", "session=%30", "sessions=a", "=;;=", "session=\"\""] {
            assert_eq!(token_in(&plain, &[("cookie", line)]), None, "{line}");
        }
    }

    #[test]
    fn cookies_are_closed_to_scripts_and_other_sites() {
        let mut headers = HeaderMap::new();
        cookies(true, Some("a")).log_in(&mut headers, SessionId::parse(TOKEN).unwrap());
        let session = format!("__Host-session={TOKEN}; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=60");
        assert_eq!(set_cookies(&headers), [&session, "srv=a; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=60"]);
        let mut headers = HeaderMap::new();
        cookies(true, Some("a")).begin(&mut headers, SessionId::parse(TOKEN).unwrap());
        assert_eq!(set_cookies(&headers), [&session], "only who logs in is led back");
        let mut headers = HeaderMap::new();
        cookies(false, None).clear(&mut headers);
        assert_eq!(set_cookies(&headers), ["session=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0"]);
    }
}
