//! What a handler may ask for: the session of a request, or that somebody is logged in. A handler that asks for neither never touches
//! the store.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Method, Uri};

use super::{Session, User};
use crate::error::AppError;
use crate::state::AppState;

/// The session that a request names, if it has not ended. When the store is away, asking for it is a 503.
pub struct CurrentSession {
    /// The session.
    pub session: Option<Session>,
    /// Whether the request named one that this server does not know: it has ended, or another server keeps it in its memory.
    pub is_unknown: bool,
}

impl FromRequestParts<AppState> for CurrentSession {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, AppError> {
        let Some(id) = state.sessions.cookies().session(&parts.headers) else {
            return Ok(Self { session: None, is_unknown: false });
        };
        let session = state.sessions.find(id).await?;
        Ok(Self { is_unknown: session.is_none(), session })
    }
}

impl CurrentSession {
    /// Whoever is logged in. If nobody is, the page at `next` is where logging in leads.
    pub fn logged_in(self, next: &str) -> Result<LoggedIn, AppError> {
        let logged_in = self.session.and_then(|session| Some(LoggedIn { user: session.user()?.clone(), session }));
        logged_in.ok_or_else(|| AppError::LogInFirst { next: next.to_owned() })
    }
}

/// Somebody who is logged in. Asking for it when nobody is leads to the log-in page and back to the page that was asked for; each address
/// that takes a form shows it, too.
pub struct LoggedIn {
    /// Their session.
    pub session: Session,
    /// They.
    pub user: User,
}

impl FromRequestParts<AppState> for LoggedIn {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, AppError> {
        let next = address(&parts.method, &parts.uri);
        CurrentSession::from_request_parts(parts, state).await?.logged_in(&next)
    }
}

fn address(method: &Method, uri: &Uri) -> String {
    match uri.query() {
        Some(query) if method == Method::GET => format!("{}?{query}", uri.path()),
        _ => uri.path().to_owned(),
    }
}
