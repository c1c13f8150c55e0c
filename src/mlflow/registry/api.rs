//! The routes of registered models.

use axum::Router;
use axum::extract::State;
use axum::routing::{delete, get, patch, post};
use serde::{Deserialize, Serialize};

use super::versions::VersionView;
use super::{ModelChange, ModelSearch, NewModel, RegisteredModel, RegisteredModels, versions};
use crate::app::App;
use crate::error::Result;
use crate::mlflow::wire::{Done, Int, List};
use crate::web::{Caller, Json, Query};

/// The routes.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/api/2.0/mlflow/registered-models/create", post(create))
        .route("/api/2.0/mlflow/registered-models/get", get(one))
        .route("/api/2.0/mlflow/registered-models/rename", post(rename))
        .route("/api/2.0/mlflow/registered-models/update", patch(update))
        .route("/api/2.0/mlflow/registered-models/delete", delete(remove))
        .route("/api/2.0/mlflow/registered-models/search", get(search))
        .route("/api/2.0/mlflow/registered-models/list", get(search))
        .route("/api/2.0/mlflow/registered-models/set-tag", post(set_tag))
        .route("/api/2.0/mlflow/registered-models/delete-tag", delete(delete_tag))
        .route("/api/2.0/mlflow/registered-models/alias", get(by_alias).post(set_alias).delete(delete_alias))
        .route("/api/2.0/mlflow/registered-models/get-latest-versions", get(latest_in_address).post(latest))
}

/// A model, in its envelope.
#[derive(Debug, Serialize)]
struct Shown {
    registered_model: RegisteredModel,
}

/// A model, by its name.
#[derive(Debug, Deserialize)]
struct Named {
    name: String,
}

async fn create(State(app): State<App>, Caller(actor): Caller, Json(new): Json<NewModel>) -> Result<Json<Shown>> {
    Ok(Json(Shown { registered_model: super::create(&app, &actor, new).await? }))
}

async fn one(State(app): State<App>, Caller(actor): Caller, Query(named): Query<Named>) -> Result<Json<Shown>> {
    Ok(Json(Shown { registered_model: super::get(&app, &actor, &named.name).await? }))
}

#[derive(Debug, Deserialize)]
struct Rename {
    name: String,
    new_name: String,
}

async fn rename(State(app): State<App>, Caller(actor): Caller, Json(body): Json<Rename>) -> Result<Json<Shown>> {
    let change = ModelChange { name: Some(body.new_name), ..ModelChange::default() };
    Ok(Json(Shown { registered_model: super::update(&app, &actor, &body.name, change).await? }))
}

#[derive(Debug, Deserialize)]
struct Describe {
    name: String,
    #[serde(default)]
    description: Option<String>,
}

async fn update(State(app): State<App>, Caller(actor): Caller, Json(body): Json<Describe>) -> Result<Json<Shown>> {
    let change = ModelChange { description: Some(body.description.unwrap_or_default()), ..ModelChange::default() };
    Ok(Json(Shown { registered_model: super::update(&app, &actor, &body.name, change).await? }))
}

async fn remove(State(app): State<App>, Caller(actor): Caller, Json(named): Json<Named>) -> Result<Json<Done>> {
    Ok(Json(super::delete(&app, &actor, &named.name).await?))
}

async fn search(
    State(app): State<App>,
    Caller(actor): Caller,
    Query(asked): Query<ModelSearch>,
) -> Result<Json<RegisteredModels>> {
    Ok(Json(super::search(&app, &actor, asked).await?))
}

#[derive(Debug, Deserialize)]
struct Tag {
    name: String,
    key: String,
    #[serde(default)]
    value: String,
}

async fn set_tag(State(app): State<App>, Caller(actor): Caller, Json(tag): Json<Tag>) -> Result<Json<Done>> {
    Ok(Json(super::tag(&app, &actor, &tag.name, &tag.key, Some(tag.value)).await?))
}

async fn delete_tag(State(app): State<App>, Caller(actor): Caller, Json(tag): Json<Tag>) -> Result<Json<Done>> {
    Ok(Json(super::tag(&app, &actor, &tag.name, &tag.key, None).await?))
}

#[derive(Debug, Deserialize)]
struct Alias {
    name: String,
    alias: String,
    #[serde(default)]
    version: Option<Int>,
}

/// A version, in its envelope.
#[derive(Debug, Serialize)]
struct ShownVersion {
    model_version: VersionView,
}

async fn by_alias(
    State(app): State<App>,
    Caller(actor): Caller,
    Query(of): Query<Alias>,
) -> Result<Json<ShownVersion>> {
    Ok(Json(ShownVersion { model_version: super::get_by_alias(&app, &actor, &of.name, &of.alias).await? }))
}

async fn set_alias(State(app): State<App>, Caller(actor): Caller, Json(of): Json<Alias>) -> Result<Json<Done>> {
    let number = of.version.map_or(0, |number| number.0);
    Ok(Json(super::set_alias(&app, &actor, &of.name, &of.alias, number).await?))
}

async fn delete_alias(State(app): State<App>, Caller(actor): Caller, Json(of): Json<Alias>) -> Result<Json<Done>> {
    Ok(Json(super::delete_alias(&app, &actor, &of.name, &of.alias).await?))
}

#[derive(Debug, Deserialize)]
struct Latest {
    name: String,
    #[serde(default)]
    stages: List<String>,
}

#[derive(Debug, Serialize)]
struct LatestVersions {
    model_versions: Vec<VersionView>,
}

async fn latest(State(app): State<App>, Caller(actor): Caller, Json(of): Json<Latest>) -> Result<Json<LatestVersions>> {
    Ok(Json(LatestVersions { model_versions: versions::latest(&app, &actor, &of.name, &of.stages.0).await? }))
}

async fn latest_in_address(
    State(app): State<App>,
    Caller(actor): Caller,
    Query(of): Query<Named>,
) -> Result<Json<LatestVersions>> {
    Ok(Json(LatestVersions { model_versions: versions::latest(&app, &actor, &of.name, &[]).await? }))
}
