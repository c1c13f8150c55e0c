//! Environments over JSON.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;

use super::{EnvironmentBody, EnvironmentDetail, EnvironmentView, NewFreeze};
use crate::app::App;
use crate::error::{Problem, Result};
use crate::ids::{EnvironmentId, FreezeId};
use crate::web::{Caller, IfMatch, Json, Path, Tagged};

/// The environments that one may see.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Environments {
    /// The environments, by name.
    pub items: Vec<EnvironmentView>,
}

fn tagged(detail: EnvironmentDetail) -> Tagged<EnvironmentDetail> {
    Tagged(detail.environment.revision, detail)
}

/// List environments.
#[utoipa::path(get, path = "/environments", tag = "Environments", operation_id = "list_environments",
    responses((status = 200, body = Environments)))]
pub async fn list(State(app): State<App>, Caller(actor): Caller) -> Result<Json<Environments>> {
    Ok(Json(Environments { items: super::list(&app, &actor).await? }))
}

/// Add an environment.
#[utoipa::path(post, path = "/environments", tag = "Environments", operation_id = "create_environment",
    request_body = EnvironmentBody,
    responses((status = 201, body = EnvironmentDetail), (status = 403, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub async fn create(
    State(app): State<App>,
    Caller(actor): Caller,
    Json(body): Json<EnvironmentBody>,
) -> Result<(StatusCode, Tagged<EnvironmentDetail>)> {
    Ok((StatusCode::CREATED, tagged(super::create(&app, &actor, body).await?)))
}

/// One environment with its freeze windows.
#[utoipa::path(get, path = "/environments/{environment_id}", tag = "Environments", operation_id = "get_environment",
    params(("environment_id" = EnvironmentId, Path)),
    responses((status = 200, body = EnvironmentDetail), (status = 404, body = Problem)))]
pub async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(environment): Path<EnvironmentId>,
) -> Result<Tagged<EnvironmentDetail>> {
    Ok(tagged(super::show(&app, &actor, environment).await?))
}

/// Change an environment.
#[utoipa::path(put, path = "/environments/{environment_id}", tag = "Environments", operation_id = "update_environment",
    request_body = EnvironmentBody,
    params(("environment_id" = EnvironmentId, Path), ("If-Match" = String, Header, description = "The ETag of the environment that was read")),
    responses((status = 200, body = EnvironmentDetail), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)))]
pub async fn update(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(environment): Path<EnvironmentId>,
    IfMatch(revision): IfMatch,
    Json(body): Json<EnvironmentBody>,
) -> Result<Tagged<EnvironmentDetail>> {
    Ok(tagged(super::update(&app, &actor, environment, revision, body).await?))
}

/// Set a time in which nothing is released.
#[utoipa::path(post, path = "/environments/{environment_id}/freeze-windows", tag = "Environments",
    operation_id = "add_freeze_window", request_body = NewFreeze, params(("environment_id" = EnvironmentId, Path)),
    responses((status = 201, body = EnvironmentDetail), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem)))]
pub async fn add_freeze(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(environment): Path<EnvironmentId>,
    Json(body): Json<NewFreeze>,
) -> Result<(StatusCode, Tagged<EnvironmentDetail>)> {
    Ok((StatusCode::CREATED, tagged(super::add_freeze(&app, &actor, environment, body).await?)))
}

/// Take a freeze window away.
#[utoipa::path(delete, path = "/environments/{environment_id}/freeze-windows/{freeze_id}", tag = "Environments",
    operation_id = "remove_freeze_window",
    params(("environment_id" = EnvironmentId, Path), ("freeze_id" = FreezeId, Path)),
    responses((status = 200, body = EnvironmentDetail), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn remove_freeze(
    State(app): State<App>,
    Caller(actor): Caller,
    Path((environment, freeze)): Path<(EnvironmentId, FreezeId)>,
) -> Result<Tagged<EnvironmentDetail>> {
    Ok(tagged(super::remove_freeze(&app, &actor, environment, freeze).await?))
}
