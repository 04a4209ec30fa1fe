//! What a request that failed is told. A variant is an HTTP outcome; internals go to the log and never to the reader.
//!
//! The answer is a page. A [`Failure`] travels with it, from which the API makes its own kind of answer, so that what handlers share need
//! not know for whom it works.

use std::sync::Arc;

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};

use crate::accounts::PasswordError;
use crate::input::Problems;
use crate::limits::TooOften;
use crate::session::StoreError;
use crate::{pages, telemetry};

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// 404: the address names nothing.
    #[error("there is no {0}")]
    NotFound(String),
    /// 4xx: the request is wrong; the text says how.
    #[error("{message}")]
    Refused {
        /// The status, 400 to 499.
        status: StatusCode,
        /// What is wrong and what would be right, as a sentence for the reader.
        message: String,
    },
    /// 4xx: fields of the input are wrong. Pages with forms rather show the form again.
    #[error("the input is wrong in {} place(s)", .problems.len())]
    Invalid {
        /// The status: 422 for what was sent, 400 for the address to which it was sent.
        status: StatusCode,
        /// The fields, in their order. Never empty.
        problems: Vec<FieldProblem>,
    },
    /// 503: too many requests are in work.
    #[error("too many requests are in work")]
    Overloaded,
    /// 401, which for a page means the log-in page: somebody must be logged in.
    #[error("nobody is logged in")]
    LogInFirst {
        /// The page to come back to: a path of this site.
        next: String,
    },
    /// 429: too often.
    #[error(transparent)]
    TooOften(#[from] TooOften),
    /// 503 if the session store is away or full, otherwise 500.
    #[error("the sessions failed")]
    Session(#[from] StoreError),
    /// 503 if too many passwords are being hashed, otherwise 500.
    #[error("the password was not hashed")]
    Password(#[from] PasswordError),
    /// 503: the request took too long.
    #[error("the request took too long")]
    TimedOut,
    /// 503 if the database is away or overloaded, otherwise 500.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// 500: the handler panicked.
    #[error("the handler panicked")]
    Panicked,
    /// The outcome of somebody else, who was asking for the same thing at the same time.
    #[error(transparent)]
    Shared(Arc<AppError>),
    /// 500: a mistake of ours.
    #[error(transparent)]
    Internal(#[from] anyhow::Error),
}

/// Why a request failed, in our words, for the log. It travels with the response as an extension to the edge, which alone knows the rest
/// of what the line should say; nothing of it is sent.
#[derive(Clone, Debug)]
pub struct Cause(pub String);

/// One field that is wrong, and what would be right.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FieldProblem {
    /// The name of the field, as it was sent. Empty if it is the whole of what was sent.
    pub field: String,
    /// A sentence for whoever sent it.
    pub message: String,
}

/// What a failed request is told, without its form. It travels with the response, as an extension.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The status. The page that comes with it may have another, where it leads elsewhere.
    pub status: StatusCode,
    /// What happened, as a sentence for the reader.
    pub message: String,
    /// The fields that are wrong.
    pub problems: Arc<[FieldProblem]>,
}

impl From<Problems> for AppError {
    fn from(problems: Problems) -> Self {
        let problem = |problem: &crate::input::Problem| FieldProblem {
            field: problem.field.to_owned(),
            message: problem.message.clone(),
        };
        Self::Invalid { status: StatusCode::UNPROCESSABLE_ENTITY, problems: problems.iter().map(problem).collect() }
    }
}

impl AppError {
    /// The HTTP status of this outcome.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Refused { status, .. } | Self::Invalid { status, .. } => *status,
            Self::LogInFirst { .. } => StatusCode::UNAUTHORIZED,
            Self::Shared(error) => error.status(),
            Self::TooOften(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Session(StoreError::Failed(_)) | Self::Password(PasswordError::Failed(_)) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            Self::Overloaded | Self::TimedOut | Self::Session(_) | Self::Password(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Database(error) if is_temporary(error) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Database(_) | Self::Panicked | Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// How long to wait before asking again, in seconds, if that can help.
    pub fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::TooOften(too_often) => Some(too_often.retry_after.as_secs() + 1),
            _ if self.status() == StatusCode::SERVICE_UNAVAILABLE => Some(1),
            _ => None,
        }
    }

    /// What the reader is told: a sentence without internals.
    pub fn public_message(&self) -> String {
        match self {
            Self::LogInFirst { .. } => "Please log in first.".to_owned(),
            Self::Invalid { problems, .. } => {
                problems.iter().map(|problem| problem.message.as_str()).collect::<Vec<_>>().join(" ")
            }
            Self::TooOften(_) => {
                let wait_s = self.retry_after_s().unwrap_or(1);
                let seconds = if wait_s == 1 { "second" } else { "seconds" };
                format!("This was too often in a short time. Please try again in {wait_s} {seconds}.")
            }
            Self::NotFound(what) => format!("There is no {what}."),
            Self::Refused { message, .. } => message.clone(),
            Self::Shared(error) => error.public_message(),
            Self::Session(_) if self.status() == StatusCode::SERVICE_UNAVAILABLE => {
                "Your session cannot be read right now; nothing in it is lost. Please try again in a moment.".to_owned()
            }
            _ if self.status() == StatusCode::SERVICE_UNAVAILABLE => {
                "The blog is busy. Please try again in a moment.".to_owned()
            }
            _ => "Something went wrong on our side. It has been written to the log.".to_owned(),
        }
    }
}

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        let (status, message, retry_after_s) = (self.status(), self.public_message(), self.retry_after_s());
        // What is the reader's own mistake looks the same each time; ours has a name by which it can be reported and found.
        let request_id = telemetry::request_id().filter(|_| status.is_server_error());
        let mut response = match &self {
            Self::LogInFirst { next } => Redirect::to(&with_next("/login", next)).into_response(),
            _ => pages::error_page(status, &message, request_id.as_ref().map(|id| id.as_str())),
        };
        if let Some(retry_after_s) = retry_after_s {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(retry_after_s));
        }
        let problems =
            if let Self::Invalid { problems, .. } = &self { problems.clone().into() } else { Arc::default() };
        response.extensions_mut().insert(Failure { status, message, problems });
        if status.is_server_error() {
            response.extensions_mut().insert(Cause(format!("{:#}", anyhow::Error::new(self))));
        }
        response
    }
}

/// The address of a page that leads on to another. Every byte that could end the parameter is encoded.
pub(crate) fn with_next(page: &str, next: &str) -> String {
    let mut address = page.to_owned();
    if !next.is_empty() {
        address.push_str("?next=");
    }
    for byte in next.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte) {
            address.push(char::from(byte));
        } else {
            address.push_str(&format!("%{byte:02X}"));
        }
    }
    address
}

/// Whether the same request may succeed in a moment: the database is away, starting, stopping, out of connections, or gave up
/// because of one of our own time limits.
fn is_temporary(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            // Connection exceptions, resources, operator intervention (with the statement time-out), lock not available.
            ["08", "53", "57"].iter().any(|class| code.starts_with(class)) || code == "55P03"
        }),
        _ => false,
    }
}
