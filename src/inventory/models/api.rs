//! The JSON routes of models.

use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{ModelBody, ModelFilter, ModelList, ModelView};
use crate::app::App;
use crate::error::{Problem, Result};
use crate::ids::ModelId;
use crate::web::{Caller, IfMatch, Json, Path, Query, Tagged};

/// The JSON routes.
#[must_use]
pub fn api() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, update))
}

/// Lists the models that the caller may see.
#[utoipa::path(get, path = "/models", tag = "Models", operation_id = "list_models", params(ModelFilter),
    responses((status = 200, body = ModelList), (status = 401, body = Problem), (status = 422, body = Problem)))]
async fn list(
    State(app): State<App>,
    Caller(actor): Caller,
    Query(filter): Query<ModelFilter>,
) -> Result<Json<ModelList>> {
    Ok(Json(super::list(&app, &actor, &filter).await?))
}

/// Shows a model.
#[utoipa::path(get, path = "/models/{model_id}", tag = "Models", operation_id = "get_model",
    params(("model_id" = ModelId, Path)),
    responses((status = 200, body = ModelView, headers(("ETag" = String, description = "The revision"))),
        (status = 401, body = Problem), (status = 404, body = Problem)))]
async fn get(State(app): State<App>, Caller(actor): Caller, Path(model): Path<ModelId>) -> Result<Tagged<ModelView>> {
    let view = super::get(&app, &actor, model).await?;
    Ok(Tagged(view.revision, view))
}

/// Adds a model.
#[utoipa::path(post, path = "/models", tag = "Models", operation_id = "create_model", request_body = ModelBody,
    responses((status = 201, body = ModelView), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn create(
    State(app): State<App>,
    Caller(actor): Caller,
    Json(body): Json<ModelBody>,
) -> Result<(StatusCode, Tagged<ModelView>)> {
    let view = super::create(&app, &actor, body).await?;
    Ok((StatusCode::CREATED, Tagged(view.revision, view)))
}

/// Changes a model: its particulars, owners and regions.
#[utoipa::path(put, path = "/models/{model_id}", tag = "Models", operation_id = "update_model",
    params(("model_id" = ModelId, Path), ("If-Match" = String, Header, description = "The ETag that was read")),
    request_body = ModelBody,
    responses((status = 200, body = ModelView), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 412, body = Problem), (status = 422, body = Problem), (status = 428, body = Problem)))]
async fn update(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(model): Path<ModelId>,
    IfMatch(revision): IfMatch,
    Json(body): Json<ModelBody>,
) -> Result<Tagged<ModelView>> {
    let view = super::update(&app, &actor, model, revision, body).await?;
    Ok(Tagged(view.revision, view))
}
