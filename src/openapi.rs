//! The API's description, generated from the handlers.

use axum::Router;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::app::App;

/// Splits the API into its routes and their description.
#[must_use]
pub fn assemble(api: OpenApiRouter<App>) -> (Router<App>, OpenApi) {
    api.split_for_parts()
}

/// The reference page.
pub fn pages() -> Router<App> {
    Router::new()
}
