//! The reading list: posts that a visitor put aside, with or without an account. It lives in the session and nowhere else, on purpose:
//! here one can *see* what becomes of a session when another server answers, or when one stops.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use minijinja::{Value, context};
use serde::Deserialize;

use super::forms::{Form, personal_page};
use super::next::next;
use super::{lists, parse_id};
use crate::client_address::ClientAddress;
use crate::config::SessionStoreKind;
use crate::db;
use crate::error::AppError;
use crate::limits::{Rule, Subject};
use crate::session::{CurrentSession, READING_LIST_MAX, Session};
use crate::state::AppState;

pub(super) fn router() -> Router<AppState> {
    Router::new().route("/reading-list", get(show).post(add)).route("/reading-list/remove", post(remove))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PickForm {
    post_id: String,
    next: String,
}

/// Opening the list counts, and that is all that it changes: a link to it from another site does no harm.
async fn show(State(state): State<AppState>, current: CurrentSession) -> Result<Response, AppError> {
    let session = match &current.session {
        Some(session) => state.sessions.change(session, |data| data.visits += 1).await?,
        None => None,
    };
    let data = session.as_ref().map(Session::data);
    let picked = data.map_or(&[][..], |data| &data.reading_list);
    let mut posts = if picked.is_empty() { Vec::new() } else { db::pick_posts(&state.pool, picked).await? };
    posts.sort_by_key(|post| picked.iter().position(|post_id| *post_id == post.id));
    let context = context! {
        posts => posts.iter().map(lists::summary).collect::<Vec<Value>>(),
        visits => data.map(|data| data.visits),
        is_unknown => current.is_unknown,
        username => data.and_then(|data| data.user.as_ref()).map(|user| user.username.as_str()),
        served_by => state.config.name.as_str(),
        is_in_memory => state.config.session.store == SessionStoreKind::Memory,
        posts_max => READING_LIST_MAX,
    };
    personal_page(StatusCode::OK, "reading_list.html", context)
}

async fn add(
    State(state): State<AppState>,
    ClientAddress(client): ClientAddress,
    current: CurrentSession,
    Form(form): Form<PickForm>,
) -> Result<Response, AppError> {
    let post_id = parse_id("post", &form.post_id)?;
    if db::pick_posts(&state.pool, &[post_id]).await?.is_empty() {
        return Err(AppError::NotFound(format!("post {post_id}")));
    }
    let changed = match &current.session {
        Some(session) => state.sessions.change(session, |data| data.add_to_reading_list(post_id)).await?,
        None => None,
    };
    let mut response = Redirect::to(&next(&form.next).unwrap_or_else(|| "/reading-list".to_owned())).into_response();
    if changed.is_none() {
        // The first thing that this visitor wants to find again: now there is something to remember.
        state.limits.check(&[(Rule::VisitorSession, Subject::Address(client))]).await?;
        let session = state.sessions.begin(|data| data.add_to_reading_list(post_id)).await?;
        state.sessions.cookies().begin(response.headers_mut(), session.id());
    }
    Ok(response)
}

async fn remove(
    State(state): State<AppState>,
    current: CurrentSession,
    Form(form): Form<PickForm>,
) -> Result<Response, AppError> {
    let post_id = parse_id("post", &form.post_id)?;
    if let Some(session) = &current.session {
        state.sessions.change(session, |data| data.remove_from_reading_list(post_id)).await?;
    }
    Ok(Redirect::to("/reading-list").into_response())
}
