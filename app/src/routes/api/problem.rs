//! How the API says that something went wrong: RFC 9457, with the fields that are wrong. It knows nothing of what went wrong.

use axum::http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, LOCATION, WWW_AUTHENTICATE,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::{Failure, FieldProblem};

/// The media type of a problem.
pub(super) const PROBLEM_JSON: &str = "application/problem+json";

/// What went wrong.
#[derive(Serialize, ToSchema)]
pub(super) struct Problem {
    /// The kind of problem. There is nothing to read about it beyond its title, so it is always `about:blank`.
    #[serde(rename = "type")]
    #[schema(example = "about:blank")]
    kind: &'static str,
    /// The meaning of the status.
    #[schema(example = "Unprocessable Entity")]
    title: &'static str,
    /// The status, once more.
    #[schema(example = 422, minimum = 400, maximum = 599)]
    status: u16,
    /// What happened this time.
    detail: String,
    /// What is wrong with the input, one entry per field. Empty if the input is not the problem.
    errors: Vec<WrongField>,
    /// The name under which the log of the server knows this request, if it is the server's fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
}

/// A field that is wrong.
#[derive(Serialize, ToSchema)]
pub(super) struct WrongField {
    /// The name of the field, parameter or header. Empty if it is the whole body.
    #[schema(example = "title")]
    field: String,
    /// What is wrong with it, or what would be right.
    #[schema(example = "Please give a title.")]
    message: String,
}

/// Turns the answer to a request that failed into a problem, whoever made it: a handler, the router, or the edge. Other answers stay as they
/// are.
pub fn as_problem(mut response: Response, request_id: &str) -> Response {
    let failure = response.extensions_mut().remove::<Failure>();
    let status = failure.as_ref().map_or(response.status(), |failure| failure.status);
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let (detail, problems) = match &failure {
        Some(failure) => (failure.message.clone(), &failure.problems[..]),
        None => (without_words(status).to_owned(), &[][..]),
    };
    let problem = Problem {
        kind: "about:blank",
        title: status.canonical_reason().unwrap_or("Failure"),
        status: status.as_u16(),
        detail,
        errors: problems.iter().map(WrongField::from).collect(),
        request_id: status.is_server_error().then(|| request_id.to_owned()),
    };
    // What holds for the page holds for the problem, except what it is, how long it is, and where a browser should go.
    let (mut parts, _) = response.into_parts();
    let headers = &mut parts.headers;
    for name in [CONTENT_LENGTH, CONTENT_ENCODING, LOCATION, ETAG] {
        headers.remove(name);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    parts.status = status;
    Response::from_parts(parts, serde_json::to_vec(&problem).unwrap_or_default().into())
}

impl From<&FieldProblem> for WrongField {
    fn from(problem: &FieldProblem) -> Self {
        Self { field: problem.field.clone(), message: problem.message.clone() }
    }
}

/// What to say when whoever answered said nothing.
fn without_words(status: StatusCode) -> &'static str {
    match status {
        StatusCode::METHOD_NOT_ALLOWED => "This resource does not know this method; `Allow` names those that it knows.",
        StatusCode::PAYLOAD_TOO_LARGE => "The body is too large.",
        StatusCode::FORBIDDEN => "This is not allowed.",
        StatusCode::SERVICE_UNAVAILABLE => "The blog is busy. Please try again in a moment.",
        status if status.is_server_error() => "Something went wrong on our side. It has been written to the log.",
        _ => "The request is wrong.",
    }
}
