//! Tags.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::{self, Parameters};
use super::{failures, respond};
use crate::db;
use crate::error::AppError;
use crate::http::Wants;
use crate::state::AppState;

/// A page of the tags, in alphabetical order.
#[derive(Serialize, ToSchema)]
struct TagPage {
    /// The names of the tags. `GET /posts?tag=` takes them.
    tags: Vec<String>,
    /// What to pass as `after` for the page after this one; null if this is the last one.
    next: Option<String>,
}

/// Which tags.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParameters {
    /// The `next` of the page before; the first tags without it.
    after: Option<String>,
    /// How many tags, 1 to 100. Default 20.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    limit: Option<String>,
}

/// A page of the tags, in alphabetical order.
#[utoipa::path(
    get, path = "/tags", tag = "tags", params(ListParameters),
    responses((status = 200, body = TagPage), (status = 304, description = "As before"), failures::Parameters, failures::Common)
)]
pub(super) async fn list(
    State(state): State<AppState>,
    wants: Wants,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Response, AppError> {
    let (limit, fetched) = extract::limit(parameters.limit.as_deref())?;
    let after = parameters.after.unwrap_or_default();
    if after.contains('\0') {
        return Err(extract::wrong_parameter("after", "`after` is the name of a tag."));
    }
    let mut tags = db::list_tags(&state.pool, &after, fetched).await?;
    let has_more = tags.len() > limit;
    tags.truncate(limit);
    let next = tags.last().filter(|_| has_more).cloned();
    respond::public_json(&wants, &TagPage { tags, next })
}
