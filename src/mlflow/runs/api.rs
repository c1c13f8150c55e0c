//! The routes of runs.

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};

use super::log::History;
use super::{Batch, Inputs, Metric, NewRun, Outputs, RunInfo, RunSearch, RunUpdate, RunView, Runs};
use crate::app::App;
use crate::error::Result;
use crate::mlflow::answers::wrong;
use crate::mlflow::wire::{Done, Int, List, Pair};
use crate::web::{Caller, Json, Query};

/// The routes.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/api/2.0/mlflow/runs/create", post(create))
        .route("/api/2.0/mlflow/runs/get", get(one))
        .route("/api/2.0/mlflow/runs/update", post(update))
        .route("/api/2.0/mlflow/runs/delete", post(delete))
        .route("/api/2.0/mlflow/runs/restore", post(restore))
        .route("/api/2.0/mlflow/runs/search", post(search))
        .route("/api/2.0/mlflow/runs/log-metric", post(log_metric))
        .route("/api/2.0/mlflow/runs/log-parameter", post(log_param))
        .route("/api/2.0/mlflow/runs/log-batch", post(log_batch))
        .route("/api/2.0/mlflow/runs/log-inputs", post(log_inputs))
        .route("/api/2.0/mlflow/runs/outputs", post(log_outputs))
        .route("/api/2.0/mlflow/runs/log-model", post(log_model))
        .route("/api/2.0/mlflow/runs/set-tag", post(set_tag))
        .route("/api/2.0/mlflow/runs/delete-tag", post(delete_tag))
        .route("/api/2.0/mlflow/metrics/get-history", get(history))
}

/// A run's name in a message: `run_id`, or `run_uuid` as older clients send it.
pub fn run_id(run_id: Option<String>, run_uuid: Option<String>) -> Result<String> {
    run_id.or(run_uuid).filter(|id| !id.is_empty()).ok_or_else(|| wrong("The run_id is missing."))
}

/// A run that is named.
#[derive(Debug, Deserialize)]
struct Named {
    #[serde(default)]
    run_id: Option<String>,
    #[serde(default)]
    run_uuid: Option<String>,
}

impl Named {
    fn id(self) -> Result<String> {
        run_id(self.run_id, self.run_uuid)
    }
}

/// A run, in its envelope.
#[derive(Debug, Serialize)]
struct Shown {
    run: RunView,
}

/// What is said of a run, in its envelope.
#[derive(Debug, Serialize)]
struct Updated {
    run_info: RunInfo,
}

async fn create(State(app): State<App>, Caller(actor): Caller, Json(new): Json<NewRun>) -> Result<Json<Shown>> {
    Ok(Json(Shown { run: super::create(&app, &actor, new).await? }))
}

async fn one(State(app): State<App>, Caller(actor): Caller, Query(named): Query<Named>) -> Result<Json<Shown>> {
    Ok(Json(Shown { run: super::get(&app, &actor, &named.id()?).await? }))
}

async fn update(State(app): State<App>, Caller(actor): Caller, Json(body): Json<RunUpdate>) -> Result<Json<Updated>> {
    Ok(Json(Updated { run_info: super::update(&app, &actor, body).await? }))
}

async fn delete(State(app): State<App>, Caller(actor): Caller, Json(named): Json<Named>) -> Result<Json<Done>> {
    Ok(Json(super::set_deleted(&app, &actor, &named.id()?, true).await?))
}

async fn restore(State(app): State<App>, Caller(actor): Caller, Json(named): Json<Named>) -> Result<Json<Done>> {
    Ok(Json(super::set_deleted(&app, &actor, &named.id()?, false).await?))
}

async fn search(State(app): State<App>, Caller(actor): Caller, Json(asked): Json<RunSearch>) -> Result<Json<Runs>> {
    Ok(Json(super::search(&app, &actor, asked).await?))
}

async fn log_batch(State(app): State<App>, Caller(actor): Caller, Json(batch): Json<Batch>) -> Result<Json<Done>> {
    Ok(Json(super::log_batch(&app, &actor, batch).await?))
}

/// One metric, which names its run; `run_id` may stand in the metric, too.
#[derive(Debug, Deserialize)]
struct OneMetric {
    #[serde(default)]
    run_id: Option<String>,
    #[serde(default)]
    run_uuid: Option<String>,
    key: String,
    value: crate::mlflow::wire::Real,
    #[serde(default)]
    timestamp: Option<Int>,
    #[serde(default)]
    step: Option<Int>,
    #[serde(default)]
    model_id: Option<String>,
    #[serde(default)]
    dataset_name: Option<String>,
    #[serde(default)]
    dataset_digest: Option<String>,
}

async fn log_metric(State(app): State<App>, Caller(actor): Caller, Json(one): Json<OneMetric>) -> Result<Json<Done>> {
    let OneMetric { run_id, run_uuid, key, value, timestamp, step, model_id, dataset_name, dataset_digest } = one;
    let metric = Metric { key, value, timestamp, step, model_id, dataset_name, dataset_digest };
    let run = self::run_id(run_id, run_uuid)?;
    let batch = Batch { run_id: Some(run), metrics: List(vec![metric]), ..Batch::default() };
    Ok(Json(super::log_batch(&app, &actor, batch).await?))
}

/// A parameter or a tag of a run.
#[derive(Debug, Deserialize)]
struct OnePair {
    #[serde(default)]
    run_id: Option<String>,
    #[serde(default)]
    run_uuid: Option<String>,
    key: String,
    #[serde(default)]
    value: String,
}

impl OnePair {
    fn split(self) -> Result<(String, Pair)> {
        Ok((run_id(self.run_id, self.run_uuid)?, Pair { key: self.key, value: self.value }))
    }
}

async fn log_param(State(app): State<App>, Caller(actor): Caller, Json(one): Json<OnePair>) -> Result<Json<Done>> {
    let (run, pair) = one.split()?;
    let batch = Batch { run_id: Some(run), params: List(vec![pair]), ..Batch::default() };
    Ok(Json(super::log_batch(&app, &actor, batch).await?))
}

async fn set_tag(State(app): State<App>, Caller(actor): Caller, Json(one): Json<OnePair>) -> Result<Json<Done>> {
    let (run, pair) = one.split()?;
    let batch = Batch { run_id: Some(run), tags: List(vec![pair]), ..Batch::default() };
    Ok(Json(super::log_batch(&app, &actor, batch).await?))
}

async fn delete_tag(State(app): State<App>, Caller(actor): Caller, Json(one): Json<OnePair>) -> Result<Json<Done>> {
    let (run, pair) = one.split()?;
    Ok(Json(super::delete_tag(&app, &actor, &run, &pair.key).await?))
}

async fn log_inputs(State(app): State<App>, Caller(actor): Caller, Json(body): Json<Inputs>) -> Result<Json<Done>> {
    Ok(Json(super::log_inputs(&app, &actor, body).await?))
}

async fn log_outputs(State(app): State<App>, Caller(actor): Caller, Json(body): Json<Outputs>) -> Result<Json<Done>> {
    Ok(Json(super::log_outputs(&app, &actor, body).await?))
}

#[derive(Debug, Deserialize)]
struct LoggedBefore {
    run_id: String,
    model_json: String,
}

async fn log_model(
    State(app): State<App>,
    Caller(actor): Caller,
    Json(body): Json<LoggedBefore>,
) -> Result<Json<Done>> {
    Ok(Json(super::record_model(&app, &actor, &body.run_id, &body.model_json).await?))
}

#[derive(Debug, Deserialize)]
struct HistoryOf {
    #[serde(default)]
    run_id: Option<String>,
    #[serde(default)]
    run_uuid: Option<String>,
    metric_key: String,
    #[serde(default)]
    max_results: Option<Int>,
    #[serde(default)]
    page_token: Option<String>,
}

async fn history(State(app): State<App>, Caller(actor): Caller, Query(of): Query<HistoryOf>) -> Result<Json<History>> {
    let run = run_id(of.run_id, of.run_uuid)?;
    let (limit, token) = (of.max_results.map(|most| most.0), of.page_token.as_deref());
    Ok(Json(super::history(&app, &actor, &run, &of.metric_key, limit, token).await?))
}
