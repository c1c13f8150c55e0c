//! Reports: what the inventory looks like as a whole, today or on any past day.
//!
//! Dashboard, badges, the three reports and the search of the command palette. This area reads the
//! facts of the other areas with its own set-based SQL and never changes anything.

use axum::Router;
use axum::routing::get;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::error::Result;
use crate::identity::access::sees_all_models;
use crate::identity::{Action, Actor};
use crate::web::Badges;

mod api;
mod export;
mod history;
mod matrix;
mod overrides;
mod pages;
mod rules;
mod search;
mod store;
#[cfg(test)]
mod tests;

pub use export::Format;
pub use history::{History, HistoryFilter, HistoryRow, history};
pub use matrix::{Column, Matrix, MatrixFilter, MatrixRow, matrix};
pub use overrides::{OverrideRow, Overrides, OverridesFilter, Totals, overrides};
pub use search::{Found, search};
pub use store::matrix::Cell;

pub use store::dashboard::{Counts, Due, StateCount};

/// The JSON routes of this area.
pub fn api() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(api::overrides))
        .routes(routes!(api::regional_matrix))
        .routes(routes!(api::deployment_history))
}

/// The pages of this area.
pub fn pages() -> Router<App> {
    Router::new()
        .route("/", get(pages::dashboard))
        .route("/search", get(pages::search))
        .route("/reports", get(pages::index))
        .route("/reports/overrides", get(pages::overrides))
        .route("/reports/regional-matrix", get(pages::regional_matrix))
        .route("/reports/deployment-history", get(pages::deployment_history))
}

/// Counts what the sidebar shows.
///
/// # Errors
/// Only failures of the database.
pub async fn badges(app: &App, actor: &Actor) -> Result<Badges> {
    let deploys_all = actor.can(app, Action::TaskCreate, &[]);
    let decides = actor.can(app, Action::TicketDecide, &[]);
    Ok(store::badges::count(&app.db, actor.user_id, app.now(), deploys_all, decides).await?)
}

/// What the dashboard shows: counts, each of exactly the rows of the list it leads to.
#[derive(Debug)]
pub struct Dashboard {
    /// Counts of work.
    pub counts: Counts,
    /// Validations that are not ended, by state, in the order of the states.
    pub validations: Vec<StateCount>,
    /// Models by status.
    pub models: Vec<StateCount>,
    /// The tickets that wait for this person, the most urgent first.
    pub due: Vec<Due>,
}

/// Counts what the dashboard shows to a person: three statements.
///
/// # Errors
/// Only failures of the database.
pub async fn dashboard(app: &App, actor: &Actor) -> Result<Dashboard> {
    let (user, now) = (actor.user_id, app.now());
    let may = |action| actor.can(app, action, &[]);
    let counts = store::dashboard::counts(&app.db, user, now, may(Action::TicketViewAll)).await?;
    let states = store::dashboard::states(&app.db, user, now, sees_all_models(app, actor)).await?;
    let due = if may(Action::TicketDecide) { store::dashboard::due(&app.db, user).await? } else { Vec::new() };
    let (mut validations, models): (Vec<_>, Vec<_>) = states.into_iter().partition(|one| one.kind == "validation");
    validations
        .sort_by_key(|one| crate::words::ValidationState::ALL.iter().position(|state| state.as_str() == one.word));
    Ok(Dashboard { counts, validations, models, due })
}
