//! What a request to the API says: ids, parameters, headers, JSON. What is wrong is named, and nothing unknown is passed over in silence.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;
use uuid::Uuid;

use crate::cursor::Cursor;
use crate::error::{AppError, FieldProblem};

/// How many entries a page of a list has if nobody says.
const LIMIT_DEFAULT: usize = 20;

/// The most entries of one page of a list.
const LIMIT_MAX: usize = 100;

/// The id in the path of a resource. What is not a number names nothing, so it is not found rather than wrong.
pub(super) struct Id(pub(super) i64);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AppError> {
        let not_found = || AppError::NotFound("resource with this id".to_owned());
        let path = <Path<String> as FromRequestParts<S>>::from_request_parts(parts, state).await;
        let Path(text) = path.map_err(|_| not_found())?;
        text.parse().map(Self).map_err(|_| not_found())
    }
}

/// The parameters after the question mark. Those that are unknown or come twice are wrong.
pub(super) struct Parameters<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, AppError> {
        match Query::<T>::try_from_uri(&parts.uri) {
            Ok(Query(parameters)) => Ok(Self(parameters)),
            Err(rejection) => {
                let reason = std::error::Error::source(&rejection).map(ToString::to_string).unwrap_or_default();
                let field = named(&reason).unwrap_or_default();
                Err(wrong_parameter(field, "This parameter is unknown, comes twice, or cannot be read."))
            }
        }
    }
}

/// The name of a submission, from the header `Idempotency-Key`: what is sent twice under the same name is stored once.
pub(super) struct Submission(pub(super) Option<Uuid>);

impl<S: Send + Sync> FromRequestParts<S> for Submission {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, AppError> {
        let Some(value) = parts.headers.get("idempotency-key") else { return Ok(Self(None)) };
        // The draft of the IETF puts the key between quotation marks; most clients do not.
        let key = value.to_str().ok().and_then(|text| text.trim().trim_matches('"').parse().ok());
        let refused =
            || wrong_parameter("Idempotency-Key", "`Idempotency-Key` is a UUID, a new one for each submission.");
        key.map(|key| Self(Some(key))).ok_or_else(refused)
    }
}

/// A body of JSON.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = AppError;

    async fn from_request(request: Request, state: &S) -> Result<Self, AppError> {
        if !is_json(request.headers()) {
            let message = "The body must be JSON, sent as `application/json`.".to_owned();
            return Err(AppError::Refused { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, message });
        }
        match Bytes::from_request(request, state).await {
            Ok(body) => read(&body).map(Self),
            Err(rejection) => {
                let status = rejection.into_response().status();
                let message = match status {
                    StatusCode::PAYLOAD_TOO_LARGE => "The body is too large.",
                    _ => "The body cannot be read.",
                };
                Err(AppError::Refused { status, message: message.to_owned() })
            }
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// Reads an object. Nothing else is one: the library would take a list for the fields in their order.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, AppError> {
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(match serde_json::from_slice::<IgnoredAny>(body) {
            Ok(_) => wrong(StatusCode::UNPROCESSABLE_ENTITY, "", "The body must be a JSON object.".to_owned()),
            Err(reason) => no_json(&reason),
        });
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let reason = error.into_inner();
        if reason.classify() != Category::Data {
            return no_json(&reason);
        }
        let reason = reason.to_string();
        let field = if path == "." { named(&reason).unwrap_or_default().to_owned() } else { path };
        wrong(StatusCode::UNPROCESSABLE_ENTITY, &field, format!("The field does not fit: {reason}."))
    })?;
    json.end().map_err(|reason| no_json(&reason))?;
    Ok(read)
}

fn no_json(reason: &serde_json::Error) -> AppError {
    wrong(StatusCode::BAD_REQUEST, "", format!("The body is not JSON: {reason}."))
}

fn wrong(status: StatusCode, field: &str, message: String) -> AppError {
    AppError::Invalid { status, problems: vec![FieldProblem { field: field.to_owned(), message }] }
}

/// The field that a message of serde is about, such as ``unknown field `x`, expected `y` ``.
fn named(message: &str) -> Option<&str> {
    let kinds = ["missing field `", "unknown field `", "duplicate field `"];
    let (_, rest) = kinds.iter().find_map(|kind| message.split_once(kind))?;
    rest.split_once('`').map(|(name, _)| name)
}

/// A parameter or header that is wrong: 400, since it is the address that is wrong and not what was sent to it.
pub(super) fn wrong_parameter(field: &str, message: impl Into<String>) -> AppError {
    wrong(StatusCode::BAD_REQUEST, field, message.into())
}

/// Reads the parameter `before`.
pub(super) fn cursor(before: Option<&str>) -> Result<Cursor, AppError> {
    match before {
        None => Ok(Cursor::START),
        Some(text) => text.parse().map_err(|error| wrong_parameter("before", format!("{error}."))),
    }
}

/// Reads the parameter `limit`: how many entries a page shows, and how many to fetch for it. One more is fetched than is shown: if it is
/// there, there is a next page.
pub(super) fn limit(limit: Option<&str>) -> Result<(usize, i64), AppError> {
    let shown = match limit.map(str::parse) {
        None => LIMIT_DEFAULT,
        Some(Ok(limit)) if (1..=LIMIT_MAX).contains(&limit) => limit,
        Some(_) => {
            return Err(wrong_parameter("limit", format!("`limit` is a whole number from 1 to {LIMIT_MAX}.")));
        }
    };
    Ok((shown, i64::try_from(shown).unwrap_or(i64::MAX).saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        title: String,
        #[serde(default)]
        tags: Vec<String>,
    }

    /// The status and the field of what is wrong.
    fn refused(body: &[u8]) -> (u16, String) {
        match read::<Sample>(body).unwrap_err() {
            AppError::Invalid { status, problems } => (status.as_u16(), problems[0].field.clone()),
            error => panic!("{error}"),
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (body, status, field) in [
            ("", 400, ""),
            ("{", 400, ""),
            ("{}}", 422, "title"),
            ("{\"title\":\"\"} x", 400, ""),
            ("{\"title\":\"\\ud800\"}", 400, "title"),
            ("{\"title\":1}", 422, "title"),
            ("{\"title\":null}", 422, "title"),
            ("{\"tags\":[]}", 422, "title"),
            ("{\"title\":\"\",\"tags\":[\"a\",1]}", 422, "tags[1]"),
            ("{\"title\":\"\",\"tags\":\"a\"}", 422, "tags"),
            ("{\"title\":\"\",\"author_id\":1}", 422, "author_id"),
            ("{\"title\":\"\",\"title\":\"\"}", 422, "title"),
            ("[\"t\",[]]", 422, ""),
            ("null", 422, ""),
            ("1e999", 422, ""),
            ("17", 422, ""),
            (&"[".repeat(100_000), 400, ""),
            (&format!("{{\"tags\":{}", "[".repeat(100_000)), 422, "tags[0]"),
        ] {
            let shown: String = body.chars().take(40).collect();
            let found = refused(body.as_bytes());
            assert_eq!(found.0, status, "{shown}: {found:?}");
            if found.0 == 422 {
                assert_eq!(found.1, field, "{shown}");
            }
        }
        assert_eq!(refused(b"{\"title\":\"\xff\"}").0, 400);
        assert_eq!(read::<Sample>(b" {\"title\":\"t\"} ").unwrap().title, "t");
    }
}
