//! The routes of model versions.

use axum::Router;
use axum::extract::State;
use axum::routing::{delete, get, patch, post};
use serde::{Deserialize, Serialize};

use super::{NewVersion, VersionSearch, VersionView, Versions};
use crate::app::App;
use crate::error::Result;
use crate::mlflow::wire::{Done, Int};
use crate::web::{Caller, Json, Query};

/// The routes.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/api/2.0/mlflow/model-versions/create", post(create))
        .route("/api/2.0/mlflow/model-versions/get", get(one))
        .route("/api/2.0/mlflow/model-versions/update", patch(update))
        .route("/api/2.0/mlflow/model-versions/delete", delete(remove))
        .route("/api/2.0/mlflow/model-versions/search", get(search))
        .route("/api/2.0/mlflow/model-versions/get-download-uri", get(download_uri))
        .route("/api/2.0/mlflow/model-versions/transition-stage", post(transition))
        .route("/api/2.0/mlflow/model-versions/set-tag", post(set_tag))
        .route("/api/2.0/mlflow/model-versions/delete-tag", delete(delete_tag))
}

/// A version, in its envelope.
#[derive(Debug, Serialize)]
struct Shown {
    model_version: VersionView,
}

/// A version, by its model's name and its number.
#[derive(Debug, Deserialize)]
struct Named {
    name: String,
    version: Int,
}

async fn create(State(app): State<App>, Caller(actor): Caller, Json(new): Json<NewVersion>) -> Result<Json<Shown>> {
    Ok(Json(Shown { model_version: super::create(&app, &actor, new).await? }))
}

async fn one(State(app): State<App>, Caller(actor): Caller, Query(of): Query<Named>) -> Result<Json<Shown>> {
    Ok(Json(Shown { model_version: super::get(&app, &actor, &of.name, of.version.0).await? }))
}

#[derive(Debug, Deserialize)]
struct Describe {
    #[serde(flatten)]
    of: Named,
    #[serde(default)]
    description: Option<String>,
}

async fn update(State(app): State<App>, Caller(actor): Caller, Json(body): Json<Describe>) -> Result<Json<Shown>> {
    let Describe { of, description } = body;
    let text = description.unwrap_or_default();
    Ok(Json(Shown { model_version: super::describe(&app, &actor, &of.name, of.version.0, &text).await? }))
}

async fn remove(State(app): State<App>, Caller(actor): Caller, Json(of): Json<Named>) -> Result<Json<Done>> {
    Ok(Json(super::delete(&app, &actor, &of.name, of.version.0).await?))
}

async fn search(
    State(app): State<App>,
    Caller(actor): Caller,
    Query(asked): Query<VersionSearch>,
) -> Result<Json<Versions>> {
    Ok(Json(super::search(&app, &actor, asked).await?))
}

#[derive(Debug, Serialize)]
struct DownloadUri {
    artifact_uri: String,
}

async fn download_uri(
    State(app): State<App>,
    Caller(actor): Caller,
    Query(of): Query<Named>,
) -> Result<Json<DownloadUri>> {
    Ok(Json(DownloadUri { artifact_uri: super::download_uri(&app, &actor, &of.name, of.version.0).await? }))
}

async fn transition(_: Caller) -> Result<Json<Done>> {
    Err(super::no_stages())
}

#[derive(Debug, Deserialize)]
struct Tag {
    #[serde(flatten)]
    of: Named,
    key: String,
    #[serde(default)]
    value: String,
}

async fn set_tag(State(app): State<App>, Caller(actor): Caller, Json(tag): Json<Tag>) -> Result<Json<Done>> {
    Ok(Json(super::tag(&app, &actor, &tag.of.name, tag.of.version.0, &tag.key, Some(tag.value)).await?))
}

async fn delete_tag(State(app): State<App>, Caller(actor): Caller, Json(tag): Json<Tag>) -> Result<Json<Done>> {
    Ok(Json(super::tag(&app, &actor, &tag.of.name, tag.of.version.0, &tag.key, None).await?))
}
