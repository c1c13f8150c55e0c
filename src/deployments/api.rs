//! Deployments over JSON.

use axum::extract::State;
use axum::http::StatusCode;

use super::{DeploymentFilter, DeploymentList, DeploymentView, DriftList, NewExternal, Verb, external};
use crate::app::App;
use crate::error::{Problem, Result};
use crate::ids::DeploymentId;
use crate::web::{Caller, Json, Path, Query, Tagged};

/// List deployments.
#[utoipa::path(get, path = "/deployments", tag = "Deployments", operation_id = "list_deployments", params(DeploymentFilter),
    responses((status = 200, body = DeploymentList), (status = 422, body = Problem)))]
pub async fn list(
    State(app): State<App>,
    Caller(actor): Caller,
    Query(filter): Query<DeploymentFilter>,
) -> Result<Json<DeploymentList>> {
    Ok(Json(super::list(&app, &actor, &filter).await?))
}

/// Register an endpoint that others run.
///
/// It is probed and measured, and shown as external: it was not released here, and ratifies nothing.
#[utoipa::path(post, path = "/deployments", tag = "Deployments", operation_id = "register_deployment", request_body = NewExternal,
    responses((status = 201, body = DeploymentView), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn register(
    State(app): State<App>,
    Caller(actor): Caller,
    Json(body): Json<NewExternal>,
) -> Result<(StatusCode, Json<DeploymentView>)> {
    Ok((StatusCode::CREATED, Json(external::register(&app, &actor, body).await?)))
}

/// One deployment.
#[utoipa::path(get, path = "/deployments/{deployment_id}", tag = "Deployments", operation_id = "get_deployment",
    params(("deployment_id" = DeploymentId, Path)),
    responses((status = 200, body = DeploymentView), (status = 404, body = Problem)))]
pub async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(deployment): Path<DeploymentId>,
) -> Result<Tagged<DeploymentView>> {
    let view = super::show(&app, &actor, deployment).await?;
    Ok(Tagged(view.revision, view))
}

/// Stop the traffic of a deployment; its server runs on.
#[utoipa::path(post, path = "/deployments/{deployment_id}/pause", tag = "Deployments", operation_id = "pause_deployment",
    params(("deployment_id" = DeploymentId, Path)),
    responses((status = 200, body = DeploymentView), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 502, body = Problem)))]
pub async fn pause(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(deployment): Path<DeploymentId>,
) -> Result<Json<DeploymentView>> {
    Ok(Json(super::act(&app, &actor, deployment, Verb::Pause).await?))
}

/// Let a paused deployment take requests again.
#[utoipa::path(post, path = "/deployments/{deployment_id}/resume", tag = "Deployments", operation_id = "resume_deployment",
    params(("deployment_id" = DeploymentId, Path)),
    responses((status = 200, body = DeploymentView), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 502, body = Problem)))]
pub async fn resume(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(deployment): Path<DeploymentId>,
) -> Result<Json<DeploymentView>> {
    Ok(Json(super::act(&app, &actor, deployment, Verb::Resume).await?))
}

/// Stop a deployment for good.
#[utoipa::path(post, path = "/deployments/{deployment_id}/retire", tag = "Deployments", operation_id = "retire_deployment",
    params(("deployment_id" = DeploymentId, Path)),
    responses((status = 200, body = DeploymentView), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 502, body = Problem)))]
pub async fn retire(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(deployment): Path<DeploymentId>,
) -> Result<Json<DeploymentView>> {
    Ok(Json(super::act(&app, &actor, deployment, Verb::Retire).await?))
}

/// List where what runs differs from what was approved or ratified.
#[utoipa::path(get, path = "/drift", tag = "Deployments", operation_id = "list_drift",
    responses((status = 200, body = DriftList)))]
pub async fn drift(State(app): State<App>, Caller(actor): Caller) -> Result<Json<DriftList>> {
    Ok(Json(super::open_drift(&app, &actor).await?))
}
