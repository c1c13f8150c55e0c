//! The routes of experiments.

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};

use super::{Change, ExperimentSearch, ExperimentView, Experiments, NewExperiment};
use crate::app::App;
use crate::error::Result;
use crate::ids::ExperimentId;
use crate::mlflow::wire::{Done, Int};
use crate::web::{Caller, Json, Query};

/// The routes.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/api/2.0/mlflow/experiments/create", post(create))
        .route("/api/2.0/mlflow/experiments/get", get(one))
        .route("/api/2.0/mlflow/experiments/get-by-name", get(by_name))
        .route("/api/2.0/mlflow/experiments/search", get(search_in_address).post(search))
        .route("/api/2.0/mlflow/experiments/list", get(search_in_address))
        .route("/api/2.0/mlflow/experiments/update", post(update))
        .route("/api/2.0/mlflow/experiments/delete", post(delete))
        .route("/api/2.0/mlflow/experiments/restore", post(restore))
        .route("/api/2.0/mlflow/experiments/set-experiment-tag", post(set_tag))
        .route("/api/2.0/mlflow/experiments/delete-experiment-tag", post(delete_tag))
}

/// An experiment, by its number.
#[derive(Debug, Deserialize)]
struct Named {
    experiment_id: Int,
}

impl Named {
    fn id(&self) -> ExperimentId {
        ExperimentId(self.experiment_id.0)
    }
}

/// An experiment that was made.
#[derive(Debug, Serialize)]
struct Made {
    experiment_id: String,
}

/// An experiment, in its envelope.
#[derive(Debug, Serialize)]
struct Shown {
    experiment: ExperimentView,
}

async fn create(State(app): State<App>, Caller(actor): Caller, Json(body): Json<NewExperiment>) -> Result<Json<Made>> {
    Ok(Json(Made { experiment_id: super::create(&app, &actor, body).await?.to_string() }))
}

async fn one(State(app): State<App>, Caller(actor): Caller, Query(named): Query<Named>) -> Result<Json<Shown>> {
    Ok(Json(Shown { experiment: super::get(&app, &actor, named.id()).await? }))
}

#[derive(Debug, Deserialize)]
struct ByName {
    experiment_name: String,
}

async fn by_name(State(app): State<App>, Caller(actor): Caller, Query(named): Query<ByName>) -> Result<Json<Shown>> {
    Ok(Json(Shown { experiment: super::get_by_name(&app, &actor, &named.experiment_name).await? }))
}

async fn search(
    State(app): State<App>,
    Caller(actor): Caller,
    Json(asked): Json<ExperimentSearch>,
) -> Result<Json<Experiments>> {
    Ok(Json(super::search(&app, &actor, asked).await?))
}

async fn search_in_address(
    State(app): State<App>,
    Caller(actor): Caller,
    Query(asked): Query<ExperimentSearch>,
) -> Result<Json<Experiments>> {
    Ok(Json(super::search(&app, &actor, asked).await?))
}

#[derive(Debug, Deserialize)]
struct Update {
    #[serde(flatten)]
    named: Named,
    #[serde(default)]
    new_name: Option<String>,
}

async fn update(State(app): State<App>, Caller(actor): Caller, Json(body): Json<Update>) -> Result<Json<Done>> {
    let change = Change::Rename(body.new_name.unwrap_or_default());
    Ok(Json(super::change(&app, &actor, body.named.id(), change).await?))
}

async fn delete(State(app): State<App>, Caller(actor): Caller, Json(named): Json<Named>) -> Result<Json<Done>> {
    Ok(Json(super::change(&app, &actor, named.id(), Change::Delete).await?))
}

async fn restore(State(app): State<App>, Caller(actor): Caller, Json(named): Json<Named>) -> Result<Json<Done>> {
    Ok(Json(super::change(&app, &actor, named.id(), Change::Restore).await?))
}

#[derive(Debug, Deserialize)]
struct Tag {
    #[serde(flatten)]
    named: Named,
    key: String,
    #[serde(default)]
    value: String,
}

async fn set_tag(State(app): State<App>, Caller(actor): Caller, Json(tag): Json<Tag>) -> Result<Json<Done>> {
    Ok(Json(super::tag(&app, &actor, tag.named.id(), &tag.key, Some(tag.value)).await?))
}

async fn delete_tag(State(app): State<App>, Caller(actor): Caller, Json(tag): Json<Tag>) -> Result<Json<Done>> {
    Ok(Json(super::tag(&app, &actor, tag.named.id(), &tag.key, None).await?))
}
