//! The inventory: regions, teams, projects, models and their versions.
//!
//! Here stands what there is and who answers for it. What was approved, ratified or is ready is
//! decided by other areas; this one shows their facts beside each other.

use axum::Router;
use utoipa_axum::router::OpenApiRouter;

use crate::app::App;

pub mod import;
pub mod models;
pub mod projects;
pub mod regions;
pub mod rules;
#[cfg(test)]
mod tests;
pub mod versions;

/// The JSON routes of this area.
pub fn api() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(regions::api())
        .merge(projects::api())
        .merge(models::api())
        .merge(versions::api())
        .merge(import::api())
}

/// The pages of this area.
pub fn pages() -> Router<App> {
    Router::new()
        .merge(regions::pages())
        .merge(projects::pages())
        .merge(models::pages())
        .merge(versions::pages())
        .merge(import::pages())
}
