//! How the API answers when nothing went wrong: JSON, for everybody or for nobody else.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;

use crate::cache::Entry;
use crate::error::AppError;
use crate::http::{self, Audience, Content, Page, Wants};

/// Something that everybody may see: kept by whoever likes to, and asked for again each time with its ETag.
pub(super) fn public(wants: &Wants, body: Bytes) -> Response {
    let entry = Entry::of(body);
    http::respond(wants, Page::made(StatusCode::OK, Content::Json, Audience::Everybody, &entry))
}

/// The same, of a value.
pub(super) fn public_json(wants: &Wants, value: &impl Serialize) -> Result<Response, AppError> {
    Ok(public(wants, encode(value)?))
}

/// Something that belongs to whoever asked, or the outcome of a change: kept by nobody.
pub(super) fn private_json(status: StatusCode, value: &impl Serialize) -> Result<Response, AppError> {
    Ok((status, http::headers(Content::Json, Audience::Nobody), encode(value)?).into_response())
}

fn encode(value: &impl Serialize) -> Result<Bytes, AppError> {
    let body = serde_json::to_vec(value).map_err(|error| AppError::Internal(error.into()))?;
    Ok(body.into())
}
