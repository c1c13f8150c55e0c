//! Releases over JSON.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;

use super::{ApplyBody, PreviewBody, PreviewView, ReleaseBody, ReleaseFilter, ReleaseList, ReleaseView, RollbackBody};
use crate::app::App;
use crate::audit::LedgerLine;
use crate::error::{Problem, Result};
use crate::ids::ReleaseId;
use crate::web::{Caller, Json, Path, Query, Tagged};

/// What happened to a release.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ReleaseTimeline {
    /// The events, newest first.
    pub items: Vec<LedgerLine>,
}

fn tagged(view: ReleaseView) -> Tagged<ReleaseView> {
    Tagged(view.release.revision, view)
}

/// Preview a release.
#[utoipa::path(post, path = "/releases/preview", tag = "Releases", operation_id = "preview_release", request_body = PreviewBody,
    responses((status = 201, body = PreviewView), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem), (status = 502, body = Problem)))]
pub async fn preview(
    State(app): State<App>,
    Caller(actor): Caller,
    Json(body): Json<PreviewBody>,
) -> Result<(StatusCode, Json<PreviewView>)> {
    Ok((StatusCode::CREATED, Json(super::preview(&app, &actor, body).await?)))
}

/// One preview.
#[utoipa::path(get, path = "/releases/previews/{preview_ref}", tag = "Releases", operation_id = "get_preview",
    params(("preview_ref" = String, Path)), responses((status = 200, body = PreviewView), (status = 404, body = Problem)))]
pub async fn show_preview(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(preview_ref): Path<String>,
) -> Result<Json<PreviewView>> {
    Ok(Json(super::show_preview(&app, &actor, &preview_ref).await?))
}

/// List releases.
#[utoipa::path(get, path = "/releases", tag = "Releases", operation_id = "list_releases", params(ReleaseFilter),
    responses((status = 200, body = ReleaseList), (status = 422, body = Problem)))]
pub async fn list(
    State(app): State<App>,
    Caller(actor): Caller,
    Query(filter): Query<ReleaseFilter>,
) -> Result<Json<ReleaseList>> {
    Ok(Json(super::list(&app, &actor, &filter).await?))
}

/// Ask for the release of a preview; it is applied, or waits for its approval.
#[utoipa::path(post, path = "/releases", tag = "Releases", operation_id = "create_release", request_body = ReleaseBody,
    responses((status = 201, body = ReleaseView), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem), (status = 502, body = Problem)))]
pub async fn create(
    State(app): State<App>,
    Caller(actor): Caller,
    Json(body): Json<ReleaseBody>,
) -> Result<(StatusCode, Tagged<ReleaseView>)> {
    Ok((StatusCode::CREATED, tagged(super::create(&app, &actor, body).await?)))
}

/// One release.
#[utoipa::path(get, path = "/releases/{release_id}", tag = "Releases", operation_id = "get_release",
    params(("release_id" = ReleaseId, Path)), responses((status = 200, body = ReleaseView), (status = 404, body = Problem)))]
pub async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(release): Path<ReleaseId>,
) -> Result<Tagged<ReleaseView>> {
    Ok(tagged(super::show(&app, &actor, release).await?))
}

/// Apply an approved release.
#[utoipa::path(post, path = "/releases/{release_id}/apply", tag = "Releases", operation_id = "apply_release",
    request_body = ApplyBody, params(("release_id" = ReleaseId, Path)),
    responses((status = 200, body = ReleaseView), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem), (status = 502, body = Problem)))]
pub async fn apply(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(release): Path<ReleaseId>,
    Json(body): Json<ApplyBody>,
) -> Result<Tagged<ReleaseView>> {
    Ok(tagged(super::apply(&app, &actor, release, body).await?))
}

/// Give a release up.
#[utoipa::path(post, path = "/releases/{release_id}/cancel", tag = "Releases", operation_id = "cancel_release",
    params(("release_id" = ReleaseId, Path)),
    responses((status = 200, body = ReleaseView), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
pub async fn cancel(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(release): Path<ReleaseId>,
) -> Result<Tagged<ReleaseView>> {
    Ok(tagged(super::cancel(&app, &actor, release).await?))
}

/// Preview the rollback of a release to a version that was applied before.
#[utoipa::path(post, path = "/releases/{release_id}/rollback", tag = "Releases", operation_id = "roll_back_release",
    request_body = RollbackBody, params(("release_id" = ReleaseId, Path)),
    responses((status = 201, body = PreviewView), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem), (status = 502, body = Problem)))]
pub async fn roll_back(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(release): Path<ReleaseId>,
    Json(body): Json<RollbackBody>,
) -> Result<(StatusCode, Json<PreviewView>)> {
    Ok((StatusCode::CREATED, Json(super::roll_back(&app, &actor, release, body).await?)))
}

/// What happened to a release.
#[utoipa::path(get, path = "/releases/{release_id}/timeline", tag = "Releases", operation_id = "get_release_timeline",
    params(("release_id" = ReleaseId, Path)),
    responses((status = 200, body = ReleaseTimeline), (status = 404, body = Problem)))]
pub async fn timeline(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(release): Path<ReleaseId>,
) -> Result<Json<ReleaseTimeline>> {
    Ok(Json(ReleaseTimeline { items: super::timeline(&app, &actor, release).await? }))
}
