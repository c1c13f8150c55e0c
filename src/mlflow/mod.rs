//! MLflow's REST API: the official Python client, pointed here, keeps its runs and models in this product.
//!
//! A run is a training job, a registered model is a model, a model version is a version: what the pages show and what the
//! client sees are the same rows, under the same policy. What the client measures is kept by `training`, its files by
//! `artifacts`; nothing is approved here, and an alias that means production only ever names what was.
//! `docs/mlflow.md` says endpoint by endpoint what is there.

use std::collections::HashMap;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn;
use axum::routing::{any, get};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::app::App;
use crate::db;
use crate::identity::{Action, Relation};
use crate::web::{Caller, Json};

mod answers;
mod experiments;
mod files;
mod filter;
mod logged;
mod registry;
pub mod rules;
mod runs;
mod search;
mod tags;
#[cfg(test)]
mod tests;
mod wire;

use wire::Pair;

/// The version of MLflow whose interface this is.
const INTERFACE: &str = "3.0.0";
/// Largest body of a message, in bytes: what MLflow's own limits on a batch can come to.
const BODY_LIMIT: usize = 8 << 20;
/// The act of keeping a run, as the policy names it.
const RECORD: Action = Action::TrainingRun;
/// How somebody stands to the runs that they make.
const OWN: Relation = Relation::Creator;

/// All routes, answering in MLflow's shape.
pub fn routes() -> Router<App> {
    Router::new()
        .merge(experiments::api::routes())
        .merge(runs::api::routes())
        .merge(logged::api::routes())
        .merge(registry::api::routes())
        .merge(registry::versions::api::routes())
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .merge(files::api::routes())
        .route("/api/2.0/mlflow/server-info", get(server_info))
        .route("/api/3.0/mlflow/server-info", get(server_info))
        .route("/version", get(version))
        .route("/api/2.0/{*path}", any(no_such_endpoint))
        .route("/api/3.0/{*path}", any(no_such_endpoint))
        .method_not_allowed_fallback(answers::no_such_endpoint)
        .layer(from_fn(answers::in_its_shape))
}

/// What the client may use beyond the common: nothing.
async fn server_info(_: Caller) -> Json<Value> {
    Json(json!({
        "store_type": "SqlStore", "workspaces_enabled": false, "trace_archival_enabled": false,
        "multipart_uploads_enabled": false, "multipart_downloads_enabled": false,
        "presigned_upload_run_id_supported": false, "presigned_upload_model_id_supported": false,
        "features_enabled": {}
    }))
}

async fn version(_: Caller) -> &'static str {
    INTERFACE
}

async fn no_such_endpoint(_: Caller, request: axum::extract::Request) -> axum::response::Response {
    answers::no_such_endpoint(request).await
}

/// Whether a thing is there or deleted, in MLflow's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Lifecycle {
    Active,
    Deleted,
}

impl Lifecycle {
    fn of(deleted_at: Option<DateTime<Utc>>) -> Self {
        if deleted_at.is_some() { Self::Deleted } else { Self::Active }
    }
}

/// Whether deleted things are asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
enum ViewType {
    #[default]
    #[serde(rename = "ACTIVE_ONLY")]
    ActiveOnly,
    #[serde(rename = "DELETED_ONLY")]
    DeletedOnly,
    #[serde(rename = "ALL")]
    All,
}

/// Names and values as one parameter; of one name the last counts.
fn pairs(pairs: &[Pair]) -> db::Value {
    db::json_list(rules::distinct(pairs))
}

/// Rows of many things, by the thing they belong to.
fn grouped<K: std::hash::Hash + Eq, T>(rows: Vec<(K, T)>) -> HashMap<K, Vec<T>> {
    let mut groups: HashMap<K, Vec<T>> = HashMap::new();
    for (key, row) in rows {
        groups.entry(key).or_default().push(row);
    }
    groups
}

/// The value under a name.
fn value_of<'a>(pairs: Option<&'a Vec<Pair>>, name: &str) -> Option<&'a str> {
    pairs?.iter().find(|pair| pair.key == name).map(|pair| pair.value.as_str())
}
