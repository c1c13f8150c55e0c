//! The routes of logged models.

use axum::Router;
use axum::extract::State;
use axum::routing::{delete, get, patch, post};
use serde::{Deserialize, Serialize};

use super::{Change, LoggedModel, LoggedModels, LoggedSearch, NewLoggedModel};
use crate::app::App;
use crate::error::Result;
use crate::mlflow::rules::FileInfo;
use crate::mlflow::wire::{Done, List, Pair};
use crate::web::{Caller, Json, Path, Query};

/// The routes.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/api/2.0/mlflow/logged-models", post(create))
        .route("/api/2.0/mlflow/logged-models/search", post(search))
        .route("/api/2.0/mlflow/logged-models/{id}", get(one).patch(finalise).delete(remove))
        .route("/api/2.0/mlflow/logged-models/{id}/tags", patch(set_tags))
        .route("/api/2.0/mlflow/logged-models/{id}/tags/{name}", delete(delete_tag))
        .route("/api/2.0/mlflow/logged-models/{id}/params", post(add_params))
        .route("/api/2.0/mlflow/logged-models/{id}/artifacts/directories", get(list_files))
}

/// A logged model, in its envelope.
#[derive(Debug, Serialize)]
struct Shown {
    model: LoggedModel,
}

async fn create(State(app): State<App>, Caller(actor): Caller, Json(new): Json<NewLoggedModel>) -> Result<Json<Shown>> {
    Ok(Json(Shown { model: super::create(&app, &actor, new).await? }))
}

async fn one(State(app): State<App>, Caller(actor): Caller, Path(id): Path<String>) -> Result<Json<Shown>> {
    Ok(Json(Shown { model: super::get(&app, &actor, &id).await? }))
}

async fn search(
    State(app): State<App>,
    Caller(actor): Caller,
    Json(asked): Json<LoggedSearch>,
) -> Result<Json<LoggedModels>> {
    Ok(Json(super::search(&app, &actor, asked).await?))
}

#[derive(Debug, Deserialize)]
struct Status {
    status: String,
}

async fn finalise(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Json(body): Json<Status>,
) -> Result<Json<Shown>> {
    super::change(&app, &actor, &id, Change::Status(body.status)).await?;
    Ok(Json(Shown { model: super::get(&app, &actor, &id).await? }))
}

async fn remove(State(app): State<App>, Caller(actor): Caller, Path(id): Path<String>) -> Result<Json<Done>> {
    super::change(&app, &actor, &id, Change::Delete).await?;
    Ok(Json(Done {}))
}

#[derive(Debug, Deserialize)]
struct Tags {
    #[serde(default)]
    tags: List<Pair>,
}

async fn set_tags(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Json(body): Json<Tags>,
) -> Result<Json<Done>> {
    super::change(&app, &actor, &id, Change::Tags(body.tags.0)).await?;
    Ok(Json(Done {}))
}

async fn delete_tag(
    State(app): State<App>,
    Caller(actor): Caller,
    Path((id, name)): Path<(String, String)>,
) -> Result<Json<Done>> {
    super::change(&app, &actor, &id, Change::Untag(name)).await?;
    Ok(Json(Done {}))
}

#[derive(Debug, Deserialize)]
struct Params {
    #[serde(default)]
    params: List<Pair>,
}

async fn add_params(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Json(body): Json<Params>,
) -> Result<Json<Done>> {
    super::change(&app, &actor, &id, Change::Params(body.params.0)).await?;
    Ok(Json(Done {}))
}

#[derive(Debug, Deserialize)]
struct Below {
    #[serde(default)]
    artifact_directory_path: Option<String>,
}

/// A listing of files.
#[derive(Debug, Serialize)]
struct Listing {
    root_uri: String,
    files: Vec<FileInfo>,
}

async fn list_files(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Query(below): Query<Below>,
) -> Result<Json<Listing>> {
    let folder = below.artifact_directory_path.unwrap_or_default();
    let (root_uri, files) = super::list_files(&app, &actor, &id, &folder).await?;
    let files = files.into_iter().map(|file| below_root(file, &folder)).collect();
    Ok(Json(Listing { root_uri, files }))
}

/// A file's path from the root, as this listing has it.
fn below_root(mut file: FileInfo, folder: &str) -> FileInfo {
    let folder = folder.trim_end_matches('/');
    if !folder.is_empty() {
        file.path = format!("{folder}/{}", file.path);
    }
    file
}
