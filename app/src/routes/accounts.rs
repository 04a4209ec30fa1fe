//! Accounts: registering, logging in and out, and one's own page.

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use minijinja::context;
use serde::Deserialize;

use super::forms::{CREDENTIALS_BYTES_MAX, Form, field, form_page, personal_page, status, summary};
use super::next::next;
use crate::client_address::ClientAddress;
use crate::cursor::Cursor;
use crate::error::{AppError, with_next};
use crate::input::{Bio, Problems, Registration};
use crate::session::{CurrentSession, LoggedIn, User};
use crate::state::AppState;
use crate::{accounts, db, pages, writing};

/// How many of their posts the page of an account lists.
const OWN_POSTS_SHOWN: i64 = 50;

pub(super) fn router() -> Router<AppState> {
    let credentials = Router::new()
        .route("/register", get(show_registration).post(register))
        .route("/login", get(show_log_in).post(log_in))
        .layer(DefaultBodyLimit::max(CREDENTIALS_BYTES_MAX));
    credentials.route("/logout", post(log_out)).route("/account", get(show_account).post(change_bio))
}

/// Where to go when somebody is logged in.
#[derive(Default, Deserialize)]
struct Next {
    #[serde(default)]
    next: String,
}

type NextParameter = Result<Query<Next>, QueryRejection>;

fn next_of(parameter: NextParameter) -> String {
    // Twice the same parameter, or bytes that are no text: not one of our links.
    let Query(parameter) = parameter.unwrap_or_default();
    next(&parameter.next).unwrap_or_default()
}

fn destination(text: &str) -> Redirect {
    Redirect::to(&next(text).unwrap_or_else(|| "/account".to_owned()))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RegistrationForm {
    username: String,
    email: String,
    password: String,
    next: String,
}

async fn show_registration(session: CurrentSession, parameter: NextParameter) -> Result<Response, AppError> {
    let next = next_of(parameter);
    if session.session.is_some_and(|session| session.user().is_some()) {
        return Ok(destination(&next).into_response());
    }
    registration_page(&RegistrationForm { next, ..RegistrationForm::default() }, None)
}

async fn register(
    State(state): State<AppState>,
    ClientAddress(client): ClientAddress,
    session: CurrentSession,
    Form(form): Form<RegistrationForm>,
) -> Result<Response, AppError> {
    let registered = match Registration::parse(&form.username, &form.email, &form.password) {
        Ok(registration) => accounts::register(&state, client, registration).await?,
        Err(problems) => Err(problems),
    };
    match registered {
        Ok(user) => begin_session(&state, session, user, &form.next).await,
        Err(problems) => registration_page(&form, Some(&problems)),
    }
}

fn registration_page(form: &RegistrationForm, problems: Option<&Problems>) -> Result<Response, AppError> {
    let next = next(&form.next).unwrap_or_default();
    let context = context! {
        problems => summary(problems),
        username => field("username", &form.username, problems),
        email => field("email", &form.email, problems),
        password => field("password", "", problems),
        next => &next,
        other_page => with_next("/login", &next),
    };
    form_page(status(problems), "register.html", context)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LogInForm {
    username: String,
    password: String,
    next: String,
}

async fn show_log_in(session: CurrentSession, parameter: NextParameter) -> Result<Response, AppError> {
    let next = next_of(parameter);
    if session.session.is_some_and(|session| session.user().is_some()) {
        return Ok(destination(&next).into_response());
    }
    log_in_page(&LogInForm { next, ..LogInForm::default() }, None)
}

async fn log_in(
    State(state): State<AppState>,
    ClientAddress(client): ClientAddress,
    session: CurrentSession,
    Form(form): Form<LogInForm>,
) -> Result<Response, AppError> {
    match accounts::log_in(&state, client, &form.username, &form.password).await? {
        Ok(user) => begin_session(&state, session, user, &form.next).await,
        Err(problems) => log_in_page(&form, Some(&problems)),
    }
}

fn log_in_page(form: &LogInForm, problems: Option<&Problems>) -> Result<Response, AppError> {
    let next = next(&form.next).unwrap_or_default();
    let context = context! {
        problems => summary(problems),
        username => field("username", &form.username, problems),
        password => field("password", "", problems),
        next => &next,
        other_page => with_next("/register", &next),
    };
    form_page(status(problems), "log_in.html", context)
}

async fn begin_session(state: &AppState, before: CurrentSession, user: User, next: &str) -> Result<Response, AppError> {
    let session = state.sessions.log_in(before.session.as_ref(), user).await?;
    let mut response = destination(next).into_response();
    state.sessions.cookies().log_in(response.headers_mut(), session.id());
    Ok(response)
}

/// Ends the session, on the server too. Without one there is nothing to end, and that is fine.
async fn log_out(State(state): State<AppState>, session: CurrentSession) -> Result<Response, AppError> {
    if let Some(session) = session.session {
        state.sessions.end(session.id()).await?;
    }
    let mut response = Redirect::to("/").into_response();
    state.sessions.cookies().clear(response.headers_mut());
    Ok(response)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct BioForm {
    bio: String,
}

async fn show_account(State(state): State<AppState>, user: LoggedIn) -> Result<Response, AppError> {
    account_page(&state, &user, None, None).await
}

async fn change_bio(
    State(state): State<AppState>,
    user: LoggedIn,
    Form(form): Form<BioForm>,
) -> Result<Response, AppError> {
    match Bio::parse(&form.bio) {
        Ok(bio) => {
            writing::change_bio(&state, &user.user, &bio).await?;
            Ok(Redirect::to("/account").into_response())
        }
        Err(message) => account_page(&state, &user, Some(&form.bio), Some(&Problems::one("bio", message))).await,
    }
}

async fn account_page(
    state: &AppState,
    user: &LoggedIn,
    bio: Option<&str>,
    problems: Option<&Problems>,
) -> Result<Response, AppError> {
    let account = db::find_account(&state.pool, user.user.id).await?;
    // The account is gone, so nobody is logged in.
    let account = account.ok_or_else(|| AppError::LogInFirst { next: "/account".to_owned() })?;
    let posts = db::list_posts_by_author(&state.pool, account.id, Cursor::START, OWN_POSTS_SHOWN).await?;
    let context = context! {
        problems => summary(problems),
        account => context! {
            id => account.id,
            username => account.username,
            email => account.email,
            created_at => pages::time(account.created_at),
        },
        bio => field("bio", bio.unwrap_or(&account.bio), problems),
        has_more_posts => posts.len() >= usize::try_from(OWN_POSTS_SHOWN).unwrap_or(usize::MAX),
        posts => posts.iter().map(super::lists::summary).collect::<Vec<_>>(),
        served_by => state.config.name.as_str(),
    };
    personal_page(status(problems), "account.html", context)
}
