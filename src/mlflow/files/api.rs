//! The routes of files: MLflow's artifacts, through the server.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::error::Result;
use crate::mlflow::answers::not_supported;
use crate::mlflow::rules::FileInfo;
use crate::mlflow::runs::api::run_id;
use crate::mlflow::wire::Done;
use crate::web::{Caller, Json, Path, Query};

/// The routes.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/api/2.0/mlflow/artifacts/list", get(list_of_run))
        .route("/api/2.0/mlflow-artifacts/artifacts", get(list))
        .route("/api/2.0/mlflow-artifacts/artifacts/{*path}", get(read).put(write).delete(remove))
        .route("/api/2.0/mlflow-artifacts/mpu/{*path}", any(in_parts))
        .route("/api/2.0/mlflow-artifacts/presigned/{*path}", any(in_parts))
}

#[derive(Debug, Deserialize)]
struct OfRun {
    #[serde(default)]
    run_id: Option<String>,
    #[serde(default)]
    run_uuid: Option<String>,
    #[serde(default)]
    path: Option<String>,
}

/// A listing from the run's root.
#[derive(Debug, Serialize)]
struct RunListing {
    root_uri: String,
    files: Vec<FileInfo>,
}

async fn list_of_run(
    State(app): State<App>,
    Caller(actor): Caller,
    Query(of): Query<OfRun>,
) -> Result<Json<RunListing>> {
    let run = run_id(of.run_id, of.run_uuid)?;
    let (root_uri, files) = super::list_of_run(&app, &actor, &run, of.path.as_deref().unwrap_or_default()).await?;
    Ok(Json(RunListing { root_uri, files }))
}

#[derive(Debug, Deserialize)]
struct Below {
    #[serde(default)]
    path: Option<String>,
}

/// A listing by names.
#[derive(Debug, Serialize)]
struct Listing {
    files: Vec<FileInfo>,
}

async fn list(State(app): State<App>, Caller(actor): Caller, Query(below): Query<Below>) -> Result<Json<Listing>> {
    Ok(Json(Listing { files: super::list(&app, &actor, below.path.as_deref().unwrap_or_default()).await? }))
}

async fn write(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(path): Path<String>,
    body: Body,
) -> Result<Json<Done>> {
    Ok(Json(super::write(&app, &actor, &path, body.into_data_stream()).await?))
}

async fn read(State(app): State<App>, Caller(actor): Caller, Path(path): Path<String>) -> Result<Response> {
    let download = super::read(&app, &actor, &path).await?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, download.size.to_string()),
        // Whatever the bytes say they are, a browser does not show them.
        (header::CONTENT_DISPOSITION, "attachment".to_owned()),
    ];
    Ok((headers, Body::from_stream(download.stream())).into_response())
}

async fn remove(State(app): State<App>, Caller(actor): Caller, Path(path): Path<String>) -> Result<Json<Done>> {
    Ok(Json(super::delete(&app, &actor, &path).await?))
}

async fn in_parts(_: Caller) -> Result<Json<Done>> {
    Err(not_supported("Files are sent and fetched whole here, not in parts: the client does so by itself when told."))
}
