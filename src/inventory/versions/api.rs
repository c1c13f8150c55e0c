//! The JSON routes of versions.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Outlook, VersionBody, VersionPatch, VersionRow, VersionView, truths};
use crate::app::App;
use crate::artifacts::attachment;
use crate::error::{self, Error, Problem, Result};
use crate::identity::{Action, access};
use crate::ids::{ModelId, VersionId};
use crate::web::{Caller, Cursor, IfMatch, Json, Page, Path, Query, Tagged};

/// The JSON routes.
#[must_use]
pub fn api() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(outlook))
        .routes(routes!(model_truths))
        .routes(routes!(get, update, delete))
        .routes(routes!(upload, download))
        .routes(routes!(refer))
}

/// Which page of a list is asked for.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Paging {
    /// How many rows; 50 if nobody says, at most 500.
    pub limit: Option<i64>,
    /// Where the page starts: the `next_cursor` of the one before.
    pub cursor: Option<Cursor>,
}

/// Lists a model's versions, the newest first.
#[utoipa::path(get, path = "/models/{model_id}/versions", tag = "Versions", operation_id = "list_versions",
    params(("model_id" = ModelId, Path), Paging),
    responses((status = 200, body = Page<VersionRow>), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem)))]
async fn list(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(model): Path<ModelId>,
    Query(page): Query<Paging>,
) -> Result<Json<Page<VersionRow>>> {
    Ok(Json(super::list(&app, &actor, model, page.limit, page.cursor.as_ref()).await?))
}

/// Submits a change: makes the model's next version.
#[utoipa::path(post, path = "/models/{model_id}/versions", tag = "Versions", operation_id = "submit_version",
    params(("model_id" = ModelId, Path)), request_body = VersionBody,
    responses((status = 201, body = VersionView), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem),
        (status = 409, body = Problem, description = "`version_creation_blocked` with `blockers`, or `conflict`"),
        (status = 422, body = Problem)))]
async fn create(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(model): Path<ModelId>,
    Json(body): Json<VersionBody>,
) -> Result<(StatusCode, Tagged<VersionView>)> {
    let view = super::create(&app, &actor, model, body).await?;
    Ok((StatusCode::CREATED, Tagged(view.revision, view)))
}

/// Shows the numbers that come next, and what blocks another version.
#[utoipa::path(get, path = "/models/{model_id}/version-outlook", tag = "Versions", operation_id = "get_version_outlook",
    params(("model_id" = ModelId, Path)),
    responses((status = 200, body = Outlook), (status = 401, body = Problem), (status = 404, body = Problem)))]
async fn outlook(State(app): State<App>, Caller(actor): Caller, Path(model): Path<ModelId>) -> Result<Json<Outlook>> {
    Ok(Json(super::outlook(&app, &actor, model).await?))
}

/// What is approved, ratified and running, a region at a time.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ModelTruths {
    /// One for each region in which anything is approved or live.
    pub items: Vec<truths::RegionTruth>,
}

/// Shows the three truths about a model.
#[utoipa::path(get, path = "/models/{model_id}/truths", tag = "Versions", operation_id = "get_model_truths",
    params(("model_id" = ModelId, Path)),
    responses((status = 200, body = ModelTruths), (status = 401, body = Problem), (status = 404, body = Problem)))]
async fn model_truths(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(model): Path<ModelId>,
) -> Result<Json<ModelTruths>> {
    access::authorise(&app, &app.db, &actor, Action::ModelView, model).await?;
    Ok(Json(ModelTruths { items: truths::of_model(&app, model).await? }))
}

/// Shows a version with its three truths.
#[utoipa::path(get, path = "/versions/{version_id}", tag = "Versions", operation_id = "get_version",
    params(("version_id" = VersionId, Path)),
    responses((status = 200, body = VersionView, headers(("ETag" = String, description = "The revision"))),
        (status = 401, body = Problem), (status = 404, body = Problem)))]
async fn get(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(version): Path<VersionId>,
) -> Result<Tagged<VersionView>> {
    let view = super::get(&app, &actor, version).await?;
    Ok(Tagged(view.revision, view))
}

/// Plans the day a version goes live, or takes the plan back.
#[utoipa::path(patch, path = "/versions/{version_id}", tag = "Versions", operation_id = "update_version",
    params(("version_id" = VersionId, Path), ("If-Match" = String, Header, description = "The ETag that was read")),
    request_body = VersionPatch,
    responses((status = 200, body = VersionView), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem), (status = 412, body = Problem),
        (status = 422, body = Problem), (status = 428, body = Problem)))]
async fn update(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(version): Path<VersionId>,
    IfMatch(revision): IfMatch,
    Json(body): Json<VersionPatch>,
) -> Result<Tagged<VersionView>> {
    let view = super::update(&app, &actor, version, revision, body).await?;
    Ok(Tagged(view.revision, view))
}

/// Deletes a bare draft and answers what it was; its number is never given again.
#[utoipa::path(delete, path = "/versions/{version_id}", tag = "Versions", operation_id = "delete_version",
    params(("version_id" = VersionId, Path)),
    responses((status = 200, body = VersionView), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn delete(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(version): Path<VersionId>,
) -> Result<Json<VersionView>> {
    Ok(Json(super::delete(&app, &actor, version).await?))
}

/// How an upload is named and checked.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct UploadParams {
    /// The file's name.
    #[serde(default)]
    file_name: String,
    /// The SHA-256 that the bytes must have.
    digest: Option<String>,
}

/// Uploads a version's artifact: the request's body is its bytes.
#[utoipa::path(put, path = "/versions/{version_id}/artifact", tag = "Versions", operation_id = "upload_artifact",
    params(("version_id" = VersionId, Path), UploadParams),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, body = VersionView), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem)))]
async fn upload(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(version): Path<VersionId>,
    Query(UploadParams { file_name, digest }): Query<UploadParams>,
    headers: HeaderMap,
    body: Body,
) -> Result<Tagged<VersionView>> {
    if headers.get(header::CONTENT_TYPE).is_none_or(|kind| kind != "application/octet-stream") {
        return Err(Error::new(&error::UNSUPPORTED_MEDIA, "The body must be sent as application/octet-stream."));
    }
    let bytes = body.into_data_stream();
    let view = super::upload(&app, &actor, version, &file_name, digest.as_deref(), bytes).await?;
    Ok(Tagged(view.revision, view))
}

/// Names a version's artifact by its digest.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ArtifactReference {
    /// The SHA-256, 64 hexadecimal digits.
    digest: String,
    /// The file's name.
    file_name: Option<String>,
}

/// Names a version's artifact by its digest; the bytes stay elsewhere.
#[utoipa::path(put, path = "/versions/{version_id}/artifact-reference", tag = "Versions",
    operation_id = "refer_to_artifact", params(("version_id" = VersionId, Path)), request_body = ArtifactReference,
    responses((status = 200, body = VersionView), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn refer(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(version): Path<VersionId>,
    Json(body): Json<ArtifactReference>,
) -> Result<Tagged<VersionView>> {
    let view = super::refer(&app, &actor, version, &body.digest, body.file_name.as_deref()).await?;
    Ok(Tagged(view.revision, view))
}

/// Downloads a version's artifact.
#[utoipa::path(get, path = "/versions/{version_id}/artifact", tag = "Versions", operation_id = "download_artifact",
    params(("version_id" = VersionId, Path)),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"), (status = 401, body = Problem),
        (status = 404, body = Problem)))]
async fn download(State(app): State<App>, Caller(actor): Caller, Path(version): Path<VersionId>) -> Result<Response> {
    Ok(attachment(super::download(&app, &actor, version).await?))
}
