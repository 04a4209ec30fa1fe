//! Users: what everybody may know of them, and what only they may.

use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::extract::{Id, Json};
use super::{failures, respond};
use crate::client_address::ClientAddress;
use crate::db::Account;
use crate::error::AppError;
use crate::http::Wants;
use crate::input::{Bio, Problems, Registration};
use crate::session::LoggedIn;
use crate::state::AppState;
use crate::{accounts, db, writing};

/// A user, as everybody may see them.
#[derive(Serialize, ToSchema)]
struct PublicUser {
    /// The user's id.
    id: i64,
    /// The user name.
    username: String,
    /// What they say about themselves, as plain text.
    bio: String,
    /// Since when the account exists.
    created_at: DateTime<Utc>,
}

/// A user.
#[utoipa::path(
    get, path = "/users/{id}", tag = "users", params(("id" = i64, Path, description = "The user's id")),
    responses((status = 200, body = PublicUser), (status = 304, description = "As before"), failures::One, failures::Common)
)]
pub(super) async fn show(State(state): State<AppState>, wants: Wants, Id(user_id): Id) -> Result<Response, AppError> {
    let user = db::find_author(&state.pool, user_id).await?;
    let user = user.ok_or_else(|| AppError::NotFound(format!("user {user_id}")))?;
    let user = PublicUser { id: user.id, username: user.username, bio: user.bio, created_at: user.created_at };
    respond::public_json(&wants, &user)
}

/// What it takes to have an account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewUser {
    /// Letters, digits, `_` and `-`.
    #[schema(min_length = 2, max_length = 32, example = "eva")]
    username: String,
    /// Nobody else sees it.
    #[schema(max_length = 254, example = "eva@example.org")]
    email: String,
    /// At least ten characters.
    #[schema(min_length = 10, max_length = 1024, example = "three words and more", format = Password)]
    password: String,
}

/// A user's own account.
#[derive(Serialize, ToSchema)]
struct OwnAccount {
    /// The user's id.
    id: i64,
    /// The user name.
    username: String,
    /// The e-mail address.
    email: String,
    /// What they say about themselves, as plain text.
    bio: String,
    /// Since when the account exists.
    created_at: DateTime<Utc>,
}

impl From<Account> for OwnAccount {
    fn from(account: Account) -> Self {
        let Account { id, username, email, bio, created_at } = account;
        Self { id, username, email, bio, created_at }
    }
}

/// Register.
///
/// It does not log in: `POST /sessions` does.
#[utoipa::path(
    post, path = "/users", tag = "users", request_body = NewUser,
    responses((status = 201, body = OwnAccount, headers(("Location" = String, description = "The address of the user"))),
              failures::Body, failures::Change, failures::Common)
)]
pub(super) async fn create(
    State(state): State<AppState>,
    ClientAddress(client): ClientAddress,
    Json(user): Json<NewUser>,
) -> Result<Response, AppError> {
    let registration = Registration::parse(&user.username, &user.email, &user.password)?;
    let user = accounts::register(&state, client, registration).await??;
    let mut response = respond::private_json(StatusCode::CREATED, &own_account(&state, user.id).await?)?;
    if let Ok(address) = HeaderValue::try_from(format!("/api/users/{}", user.id)) {
        response.headers_mut().insert(LOCATION, address);
    }
    Ok(response)
}

/// One's own account.
#[utoipa::path(
    get, path = "/users/me", tag = "users", security(("token" = []), ("cookie" = [])),
    responses((status = 200, body = OwnAccount), failures::Authorized, failures::Common)
)]
pub(super) async fn show_own(State(state): State<AppState>, user: LoggedIn) -> Result<Response, AppError> {
    respond::private_json(StatusCode::OK, &own_account(&state, user.user.id).await?)
}

/// What may be changed of an account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangedUser {
    /// What they say about themselves, as plain text.
    #[schema(max_length = 2000, example = "Reads query plans before breakfast.")]
    bio: String,
}

/// Change one's own account.
#[utoipa::path(
    put, path = "/users/me", tag = "users", request_body = ChangedUser, security(("token" = []), ("cookie" = [])),
    responses((status = 200, body = OwnAccount), failures::Authorized, failures::Body, failures::Change, failures::Common)
)]
pub(super) async fn change_own(
    State(state): State<AppState>,
    user: LoggedIn,
    Json(changed): Json<ChangedUser>,
) -> Result<Response, AppError> {
    let bio = Bio::parse(&changed.bio).map_err(|message| Problems::one("bio", message))?;
    writing::change_bio(&state, &user.user, &bio).await?;
    respond::private_json(StatusCode::OK, &own_account(&state, user.user.id).await?)
}

async fn own_account(state: &AppState, user_id: i64) -> Result<OwnAccount, AppError> {
    let account = db::find_account(&state.pool, user_id).await?;
    // The account is gone, so nobody is logged in.
    account.map(OwnAccount::from).ok_or_else(|| AppError::LogInFirst { next: "/account".to_owned() })
}
