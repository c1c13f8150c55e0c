//! The JSON routes of regions.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{RegionBody, RegionView};
use crate::app::App;
use crate::error::{Problem, Result};
use crate::ids::RegionId;
use crate::web::{Caller, Json, Path};

/// The JSON routes.
#[must_use]
pub fn api() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, update))
}

/// All regions.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Regions {
    /// The regions, by code.
    pub items: Vec<RegionView>,
}

/// Lists the regions.
#[utoipa::path(get, path = "/regions", tag = "Inventory", operation_id = "list_regions",
    responses((status = 200, body = Regions), (status = 401, body = Problem)))]
async fn list(State(app): State<App>, _caller: Caller) -> Result<Json<Regions>> {
    Ok(Json(Regions { items: super::list(&app).await? }))
}

/// Shows a region.
#[utoipa::path(get, path = "/regions/{region_id}", tag = "Inventory", operation_id = "get_region",
    params(("region_id" = RegionId, Path)),
    responses((status = 200, body = RegionView), (status = 401, body = Problem), (status = 404, body = Problem)))]
async fn get(State(app): State<App>, _caller: Caller, Path(region): Path<RegionId>) -> Result<Json<RegionView>> {
    Ok(Json(super::get(&app, region).await?))
}

/// Adds a region.
#[utoipa::path(post, path = "/regions", tag = "Inventory", operation_id = "create_region", request_body = RegionBody,
    responses((status = 201, body = RegionView), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn create(
    State(app): State<App>,
    Caller(actor): Caller,
    Json(body): Json<RegionBody>,
) -> Result<(StatusCode, Json<RegionView>)> {
    Ok((StatusCode::CREATED, Json(super::create(&app, &actor, body).await?)))
}

/// Changes a region.
#[utoipa::path(put, path = "/regions/{region_id}", tag = "Inventory", operation_id = "update_region",
    params(("region_id" = RegionId, Path)), request_body = RegionBody,
    responses((status = 200, body = RegionView), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn update(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(region): Path<RegionId>,
    Json(body): Json<RegionBody>,
) -> Result<Json<RegionView>> {
    Ok(Json(super::update(&app, &actor, region, body).await?))
}
