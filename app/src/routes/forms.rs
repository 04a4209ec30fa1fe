//! What the pages with forms share: reading a form, and showing it again with what was wrong.

use axum::extract::rejection::FormRejection;
use axum::extract::{FromRequest, Request};
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use minijinja::{Value, context};
use serde::de::DeserializeOwned;

use crate::error::AppError;
use crate::input::Problems;
use crate::pages;

/// The largest form with nothing but names and passwords: what comes before anybody is known.
pub(super) const CREDENTIALS_BYTES_MAX: usize = 4 * 1024;

/// The largest form with a post: 100,000 characters of four bytes, each byte as `%F0`, and a title.
pub(super) const POST_BYTES_MAX: usize = 1280 * 1024;

/// The fields of a form.
pub(super) struct Form<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Form<T> {
    type Rejection = AppError;

    async fn from_request(request: Request, state: &S) -> Result<Self, AppError> {
        match axum::Form::<T>::from_request(request, state).await {
            Ok(axum::Form(fields)) => Ok(Self(fields)),
            Err(rejection) => Err(unreadable(&rejection)),
        }
    }
}

fn unreadable(rejection: &FormRejection) -> AppError {
    let status = rejection.status();
    let message = match status {
        StatusCode::PAYLOAD_TOO_LARGE => "This is too long. Please shorten it.",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "This address takes a form, and this was not sent as one.",
        _ => "This form cannot be read.",
    };
    AppError::Refused { status, message: message.to_owned() }
}

/// A field as the templates show it: with what was sent, and what is wrong with it.
pub(super) fn field(name: &str, value: &str, problems: Option<&Problems>) -> Value {
    context! { value, problem => problems.and_then(|problems| problems.of(name)) }
}

/// All that is wrong, for the top of the page.
pub(super) fn summary(problems: Option<&Problems>) -> Value {
    let problems = problems.into_iter().flat_map(Problems::iter);
    let problems = problems.map(|problem| context! { field => problem.field, message => problem.message.as_str() });
    problems.collect()
}

/// The status of a page with a form: 422 if something was wrong with what was sent.
pub(super) fn status(problems: Option<&Problems>) -> StatusCode {
    if problems.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK }
}

/// A page that is one person's business: nobody keeps it, not even their browser.
pub(super) fn personal_page(status: StatusCode, template: &str, context: Value) -> Result<Response, AppError> {
    page_with(HeaderValue::from_static("no-store"), status, template, context)
}

/// A page with a form that somebody may spend an hour on. Their browser keeps it, so that going back does not lose what they wrote.
pub(super) fn form_page(status: StatusCode, template: &str, context: Value) -> Result<Response, AppError> {
    page_with(HeaderValue::from_static("private, no-cache"), status, template, context)
}

fn page_with(
    cache_control: HeaderValue,
    status: StatusCode,
    template: &str,
    context: Value,
) -> Result<Response, AppError> {
    let mut response = pages::html_response(status, pages::render(template, context)?.into());
    response.headers_mut().insert(CACHE_CONTROL, cache_control);
    Ok(response)
}
