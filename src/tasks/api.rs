//! The JSON door of deployment tasks.

use axum::extract::State;

use super::{
    Adjust, Bulk, BulkAnswer, Cancel, Confirm, Deploy, DeployAnswer, DeployModal, TaskFilter, TaskList, TaskView,
};
use crate::app::App;
use crate::error::Result;
use crate::ids::{TaskId, VersionId};
use crate::web::{Caller, Json, Path, Query};

/// List deployment tasks by planned date
///
/// The caller's own: assigned to them, of models they own, or lent to them; with `scope=all` everybody's.
/// The open ones, unless a status is asked for.
#[utoipa::path(get, path = "/deployment-tasks/my-tasks", operation_id = "my_tasks", tag = "Deployment tasks", params(TaskFilter),
    responses((status = 200, description = "A page of tasks, with counts by bucket", body = TaskList)))]
pub async fn my_tasks(
    State(app): State<App>,
    Caller(actor): Caller,
    Query(filter): Query<TaskFilter>,
) -> Result<Json<TaskList>> {
    super::my_tasks(&app, &actor, &filter).await.map(Json)
}

/// Show a deployment task
#[utoipa::path(get, path = "/deployment-tasks/{task_id}", operation_id = "deployment_task", tag = "Deployment tasks",
    params(("task_id" = TaskId, Path, description = "The task")),
    responses((status = 200, description = "The task", body = TaskView)))]
pub async fn task(State(app): State<App>, Caller(actor): Caller, Path(task): Path<TaskId>) -> Result<Json<TaskView>> {
    super::task(&app, &actor, task).await.map(Json)
}

/// Confirm that a version went live
///
/// If its validation is not approved, the answer is 400 `validation_not_approved` with `requires_override`; a reason of at
/// least 20 characters lets it through, and compliance reviews it. Of two confirmations one wins; the other is
/// answered 409 `task_not_open` with the task as it ended.
#[utoipa::path(patch, path = "/deployment-tasks/{task_id}/confirm", operation_id = "confirm_task", tag = "Deployment tasks",
    params(("task_id" = TaskId, Path, description = "The task")), request_body = Confirm,
    responses((status = 200, description = "The confirmed task", body = TaskView)))]
pub async fn confirm(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(task): Path<TaskId>,
    Json(body): Json<Confirm>,
) -> Result<Json<TaskView>> {
    super::confirm(&app, &actor, task, &body).await.map(Json)
}

/// Move a task's planned date
#[utoipa::path(patch, path = "/deployment-tasks/{task_id}/adjust", operation_id = "adjust_task", tag = "Deployment tasks",
    params(("task_id" = TaskId, Path, description = "The task")), request_body = Adjust,
    responses((status = 200, description = "The adjusted task", body = TaskView)))]
pub async fn adjust(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(task): Path<TaskId>,
    Json(body): Json<Adjust>,
) -> Result<Json<TaskView>> {
    super::adjust(&app, &actor, task, &body).await.map(Json)
}

/// Cancel a task
#[utoipa::path(patch, path = "/deployment-tasks/{task_id}/cancel", operation_id = "cancel_task", tag = "Deployment tasks",
    params(("task_id" = TaskId, Path, description = "The task")), request_body = Cancel,
    responses((status = 200, description = "The cancelled task", body = TaskView)))]
pub async fn cancel(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(task): Path<TaskId>,
    Json(body): Json<Cancel>,
) -> Result<Json<TaskView>> {
    super::cancel(&app, &actor, task, &body).await.map(Json)
}

/// Confirm many tasks
///
/// Each succeeds or fails on its own.
#[utoipa::path(patch, path = "/deployment-tasks/bulk/confirm", operation_id = "bulk_confirm_tasks", tag = "Deployment tasks",
    request_body = Bulk<Confirm>, responses((status = 200, description = "What became of each task", body = BulkAnswer)))]
pub async fn bulk_confirm(
    State(app): State<App>,
    Caller(actor): Caller,
    Json(body): Json<Bulk<Confirm>>,
) -> Result<Json<BulkAnswer>> {
    super::bulk_confirm(&app, &actor, &body).await.map(Json)
}

/// Move the planned date of many tasks
///
/// Each succeeds or fails on its own.
#[utoipa::path(patch, path = "/deployment-tasks/bulk/adjust", operation_id = "bulk_adjust_tasks", tag = "Deployment tasks",
    request_body = Bulk<Adjust>, responses((status = 200, description = "What became of each task", body = BulkAnswer)))]
pub async fn bulk_adjust(
    State(app): State<App>,
    Caller(actor): Caller,
    Json(body): Json<Bulk<Adjust>>,
) -> Result<Json<BulkAnswer>> {
    super::bulk_adjust(&app, &actor, &body).await.map(Json)
}

/// Cancel many tasks
///
/// Each succeeds or fails on its own.
#[utoipa::path(patch, path = "/deployment-tasks/bulk/cancel", operation_id = "bulk_cancel_tasks", tag = "Deployment tasks",
    request_body = Bulk<Cancel>, responses((status = 200, description = "What became of each task", body = BulkAnswer)))]
pub async fn bulk_cancel(
    State(app): State<App>,
    Caller(actor): Caller,
    Json(body): Json<Bulk<Cancel>>,
) -> Result<Json<BulkAnswer>> {
    super::bulk_cancel(&app, &actor, &body).await.map(Json)
}

/// Show what the deploy modal of a version shows
#[utoipa::path(get, path = "/versions/{version_id}/deploy-modal", operation_id = "deploy_modal", tag = "Deployment tasks",
    params(("version_id" = VersionId, Path, description = "The version")),
    responses((status = 200, description = "The version and its target regions", body = DeployModal)))]
pub async fn deploy_modal(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(version): Path<VersionId>,
) -> Result<Json<DeployModal>> {
    super::deploy_modal(&app, &actor, version).await.map(Json)
}

/// Deploy a version now, or schedule it
///
/// Makes a task a region. With `now` they are confirmed at once, but for locked regions, which are asked for their approval
/// and scheduled. All of it or nothing is done.
#[utoipa::path(post, path = "/versions/{version_id}/deploy", operation_id = "deploy_version", tag = "Deployment tasks",
    params(("version_id" = VersionId, Path, description = "The version")), request_body = Deploy,
    responses((status = 200, description = "The tasks that were made", body = DeployAnswer)))]
pub async fn deploy(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(version): Path<VersionId>,
    Json(body): Json<Deploy>,
) -> Result<Json<DeployAnswer>> {
    super::deploy(&app, &actor, version, &body).await.map(Json)
}
