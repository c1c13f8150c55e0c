//! The JSON door of the reports; the same addresses answer CSV.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};

use super::export::{self, Format};
use super::{History, HistoryFilter, Lineage, LineageFilter, Matrix, MatrixFilter, Overrides, OverridesFilter};
use crate::app::App;
use crate::error::{Problem, Result};
use crate::identity::Actor;
use crate::ids::ModelId;
use crate::web::{Caller, Json, Path, Query};

/// Report the confirmations before approval
///
/// As they stood at the end of a day. JSON is paged; CSV (`format=csv`, or `Accept: text/csv`) holds all rows.
#[utoipa::path(get, path = "/reports/overrides", operation_id = "report_overrides", tag = "Reports", params(OverridesFilter),
    responses((status = 200, description = "A page of overrides, newest first, with counts", content(
        (Overrides = "application/json"), (String = "text/csv")))))]
pub async fn overrides(
    State(app): State<App>,
    Caller(actor): Caller,
    headers: HeaderMap,
    Query(filter): Query<OverridesFilter>,
) -> Result<Response> {
    match Format::wanted(filter.format, &headers) {
        Format::Csv => overrides_csv(app, actor, filter).await,
        Format::Json => Ok(Json(super::overrides(&app, &actor, &filter).await?).into_response()),
    }
}

/// Report what was live in which region
///
/// Model by region at the end of a day: version, since when, on whose approval. JSON is paged by model; CSV
/// (`format=csv`, or `Accept: text/csv`) holds a line for each model and region.
#[utoipa::path(get, path = "/reports/regional-matrix", operation_id = "report_regional_matrix", tag = "Reports", params(MatrixFilter),
    responses((status = 200, description = "A page of models with a cell for each region", content(
        (Matrix = "application/json"), (String = "text/csv")))))]
pub async fn regional_matrix(
    State(app): State<App>,
    Caller(actor): Caller,
    headers: HeaderMap,
    Query(filter): Query<MatrixFilter>,
) -> Result<Response> {
    match Format::wanted(filter.format, &headers) {
        Format::Csv => matrix_csv(app, actor, filter).await,
        Format::Json => Ok(Json(super::matrix(&app, &actor, &filter).await?).into_response()),
    }
}

/// Report the deployment history of a model
///
/// Every version that was live, by region, planned against actual. JSON is paged; CSV (`format=csv`, or
/// `Accept: text/csv`) holds all rows.
#[utoipa::path(get, path = "/reports/deployment-history", operation_id = "report_deployment_history", tag = "Reports", params(HistoryFilter),
    responses((status = 200, description = "A page of intervals, newest first", content(
        (History = "application/json"), (String = "text/csv")))))]
pub async fn deployment_history(
    State(app): State<App>,
    Caller(actor): Caller,
    headers: HeaderMap,
    Query(filter): Query<HistoryFilter>,
) -> Result<Response> {
    match Format::wanted(filter.format, &headers) {
        Format::Csv => history_csv(app, actor, filter).await,
        Format::Json => Ok(Json(super::history(&app, &actor, &filter).await?).into_response()),
    }
}

/// Show the lineage of a model
///
/// A version a row, the newest first: the data set and the training job that it came from, its validation, and its last
/// releases and deployments.
#[utoipa::path(get, path = "/models/{model_id}/lineage", operation_id = "model_lineage", tag = "Reports",
    params(("model_id" = ModelId, Path, description = "The model"), LineageFilter),
    responses((status = 200, body = Lineage), (status = 404, body = Problem)))]
pub async fn lineage(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(model): Path<ModelId>,
    Query(filter): Query<LineageFilter>,
) -> Result<Json<Lineage>> {
    Ok(Json(super::lineage(&app, &actor, model, &filter).await?))
}

/// All overrides as a file.
pub async fn overrides_csv(app: App, actor: Actor, filter: OverridesFilter) -> Result<Response> {
    export::csv("overrides", move |limit, cursor| {
        let filter = OverridesFilter { limit: Some(limit), cursor, ..filter.clone() };
        let (app, actor) = (app.clone(), actor.clone());
        async move { super::overrides::overrides_page(&app, &actor, &filter).await }
    })
    .await
}

/// The whole matrix as a file.
pub async fn matrix_csv(app: App, actor: Actor, filter: MatrixFilter) -> Result<Response> {
    export::csv("regional-matrix", move |limit, cursor| {
        let filter = MatrixFilter { limit: Some(limit), cursor, ..filter.clone() };
        let (app, actor) = (app.clone(), actor.clone());
        async move { super::matrix::lines(&app, &actor, &filter).await }
    })
    .await
}

/// The whole history as a file.
pub async fn history_csv(app: App, actor: Actor, filter: HistoryFilter) -> Result<Response> {
    export::csv("deployment-history", move |limit, cursor| {
        let filter = HistoryFilter { limit: Some(limit), cursor, ..filter.clone() };
        let (app, actor) = (app.clone(), actor.clone());
        async move { super::history::history_page(&app, &actor, &filter).await }
    })
    .await
}
