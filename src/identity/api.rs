//! People, roles, tokens, sessions and delegations over JSON.

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

mod delegations;
mod me;
mod users;

/// The routes of this area.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(users::list, users::add))
        .routes(routes!(users::show, users::edit))
        .routes(routes!(users::set_roles))
        .routes(routes!(users::set_password))
        .routes(routes!(users::disable))
        .routes(routes!(users::enable))
        .routes(routes!(delegations::of_user))
        .routes(routes!(delegations::of_model, delegations::grant))
        .routes(routes!(delegations::revoke))
        .routes(routes!(me::show))
        .routes(routes!(me::change_password))
        .routes(routes!(me::sessions, me::end_sessions))
        .routes(routes!(me::end_session))
        .routes(routes!(me::tokens, me::create_token))
        .routes(routes!(me::revoke_token))
}
