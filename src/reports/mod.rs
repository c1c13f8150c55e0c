//! reports

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

/// Counts what the sidebar shows.
///
/// # Errors
/// Only failures of the database.
pub async fn badges(_: &App, _: &crate::identity::Actor) -> crate::error::Result<crate::web::Badges> {
    Ok(crate::web::Badges::default())
}
