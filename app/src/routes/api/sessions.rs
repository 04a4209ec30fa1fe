//! Sessions: logging in and out. The answer to logging in holds a token for clients that are no browsers; browsers get the cookie.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::extract::Json;
use super::posts::Person;
use super::{failures, respond};
use crate::accounts;
use crate::client_address::ClientAddress;
use crate::error::{AppError, FieldProblem};
use crate::session::CurrentSession;
use crate::state::AppState;

/// Who wants to log in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Credentials {
    /// The user name or the e-mail address.
    #[schema(example = "demo")]
    username: String,
    /// The password.
    #[schema(format = Password)]
    password: String,
}

/// A session that has just begun.
#[derive(Serialize, ToSchema)]
struct NewSession {
    /// Send it as `Authorization: Bearer TOKEN`. Whoever has it is logged in.
    token: String,
    /// Who is logged in.
    user: Person,
}

/// Log in.
#[utoipa::path(
    post, path = "/sessions", tag = "sessions", request_body = Credentials,
    responses((status = 201, body = NewSession, headers(("Set-Cookie" = String, description = "The same token for browsers"))),
              (status = 401, body = super::problem::Problem, content_type = "application/problem+json",
               description = "The user name or the password is wrong"),
              failures::Body, failures::Change, failures::Common)
)]
pub(super) async fn create(
    State(state): State<AppState>,
    ClientAddress(client): ClientAddress,
    before: CurrentSession,
    Json(credentials): Json<Credentials>,
) -> Result<Response, AppError> {
    let found = accounts::log_in(&state, client, &credentials.username, &credentials.password).await?;
    let user = found.map_err(|_| {
        let problem = FieldProblem { field: "password".to_owned(), message: accounts::WRONG_CREDENTIALS.to_owned() };
        AppError::Invalid { status: StatusCode::UNAUTHORIZED, problems: vec![problem] }
    })?;
    let person = Person { id: user.id, username: user.username.clone() };
    let session = state.sessions.log_in(before.session.as_ref(), user).await?;
    let answer = NewSession { token: session.id().token(), user: person };
    let mut response = respond::private_json(StatusCode::CREATED, &answer)?;
    state.sessions.cookies().log_in(response.headers_mut(), session.id());
    Ok(response)
}

/// Log out.
///
/// The token is worth nothing afterwards. Without a session there is nothing to end, and that is fine.
#[utoipa::path(
    delete, path = "/sessions", tag = "sessions", security(("token" = []), ("cookie" = [])),
    responses((status = 204, description = "Nobody is logged in"), failures::Change, failures::Common)
)]
pub(super) async fn delete(State(state): State<AppState>, session: CurrentSession) -> Result<Response, AppError> {
    if let Some(session) = session.session {
        state.sessions.end(session.id()).await?;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    state.sessions.cookies().clear(response.headers_mut());
    Ok(response)
}
