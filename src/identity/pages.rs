//! The pages of this area: sign-in, one's own account, people.

use axum::Router;

use crate::app::App;

mod sign_in;

/// Their routes.
pub fn routes() -> Router<App> {
    Router::new().merge(sign_in::routes())
}
