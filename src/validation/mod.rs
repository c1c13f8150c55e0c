//! Validation: the review of versions, from its intake to the last required approval.
//!
//! A request is approved by its approvals alone; nobody sets that state. What an approval covers is
//! named by digest, so that changed bytes are approved anew. This area makes no deployment task and
//! no ready pair itself: it tells those that do.

use axum::Router;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

mod api;
mod approving;
mod pages;
mod pages_new;
mod requests;
pub mod rules;
mod store;
#[cfg(test)]
mod tests;

pub use approving::{artifact_changed, models_beside, ticket_decided};
pub use requests::{NewRequest, RequestFilter, RequestList, Step, list, request, show, transition};
pub use store::{ApprovalView, RequestVersion, RequestView};

/// The JSON routes of this area.
pub fn api() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(api::list, api::request))
        .routes(routes!(api::show))
        .routes(routes!(api::transition))
        .routes(routes!(api::cancel))
}

/// The pages of this area.
pub fn pages() -> Router<App> {
    pages::routes()
}
