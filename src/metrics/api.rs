//! The JSON door of statistics.

use axum::extract::State;

use super::{Statistics, StatisticsFilter};
use crate::app::App;
use crate::error::Result;
use crate::ids::DeploymentId;
use crate::web::{Caller, Json, Path, Query};

/// The statistics of a deployment
///
/// Requests, percentiles of their durations and the share that failed, in a window, and the points of its chart.
#[utoipa::path(get, path = "/deployments/{deployment_id}/metrics", operation_id = "deployment_metrics", tag = "Deployments",
    params(("deployment_id" = DeploymentId, Path), StatisticsFilter),
    responses((status = 200, description = "The statistics", body = Statistics)))]
pub async fn metrics(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(deployment): Path<DeploymentId>,
    Query(filter): Query<StatisticsFilter>,
) -> Result<Json<Statistics>> {
    super::statistics(&app, &actor, deployment, &filter).await.map(Json)
}
