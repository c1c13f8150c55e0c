//! inventory

use axum::Router;
use utoipa_axum::router::OpenApiRouter;

use crate::app::App;

/// The JSON routes of this area.
#[must_use]
pub fn api() -> OpenApiRouter<App> {
    OpenApiRouter::new()
}

/// The pages of this area.
#[must_use]
pub fn pages() -> Router<App> {
    Router::new()
}
