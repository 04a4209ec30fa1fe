//! What a request that failed is told. A variant is an HTTP outcome; internals go to the log and never to the reader.

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

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
    /// 503: too many requests are in work.
    #[error("too many requests are in work")]
    Overloaded,
    /// 503: the request took too long.
    #[error("the request took too long")]
    TimedOut,
    /// 503 if the database is away or overloaded, otherwise 500.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// 500: the handler panicked.
    #[error("the handler panicked")]
    Panicked,
    /// 500: a mistake of ours.
    #[error(transparent)]
    Internal(#[from] anyhow::Error),
}

/// Why a request failed, in our words, for the log. It travels with the response as an extension to the edge, which alone knows the rest
/// of what the line should say; nothing of it is sent.
#[derive(Clone, Debug)]
pub struct Cause(pub String);

impl AppError {
    /// The HTTP status of this outcome.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Refused { status, .. } => *status,
            Self::Overloaded | Self::TimedOut => StatusCode::SERVICE_UNAVAILABLE,
            Self::Database(error) if is_temporary(error) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Database(_) | Self::Panicked | Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn public_message(&self) -> String {
        match self {
            Self::NotFound(what) => format!("There is no {what}."),
            Self::Refused { message, .. } => message.clone(),
            _ if self.status() == StatusCode::SERVICE_UNAVAILABLE => {
                "The blog is busy. Please try again in a moment.".to_owned()
            }
            _ => "Something went wrong on our side. It has been written to the log.".to_owned(),
        }
    }
}

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        let status = self.status();
        let message = self.public_message();
        let request_id = telemetry::request_id();
        let mut response = pages::error_page(status, &message, request_id.as_ref().map(|id| id.as_str()));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if status.is_server_error() {
            response.extensions_mut().insert(Cause(format!("{:#}", anyhow::Error::new(self))));
        }
        response
    }
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
