//! Reports: what the inventory looks like as a whole, today or on any past day.
//!
//! Dashboard, badges, a model's page, the three reports and the search of the command palette. This area reads the
//! facts of the other areas with its own set-based SQL and never changes anything.

use axum::Router;
use axum::routing::get;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::error::Result;
use crate::identity::access::sees_all_models;
use crate::identity::{Action, Actor};
use crate::tasks::{self, Scope};
use crate::training::rules::JobState;
use crate::web::Badges;
use crate::words::ValidationState;

mod api;
mod export;
mod history;
mod lineage;
mod matrix;
mod model;
mod overrides;
mod pages;
mod rules;
mod search;
mod start;
mod store;
#[cfg(test)]
mod tests;

pub use export::Format;
pub use history::{History, HistoryFilter, HistoryRow, history};
pub use lineage::{Lane, Lineage, LineageDeployment, LineageFilter, LineageRelease, lineage};
pub use matrix::{Column, Matrix, MatrixFilter, MatrixRow, matrix};
pub use overrides::{OverrideRow, Overrides, OverridesFilter, Totals, overrides};
pub use search::{Found, search};
pub use store::matrix::Cell;

use store::choices::Choice;
use store::dashboard::Sight;
pub use store::dashboard::{Due, StateCount};

/// The JSON routes of this area.
pub fn api() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(api::overrides))
        .routes(routes!(api::regional_matrix))
        .routes(routes!(api::deployment_history))
        .routes(routes!(api::lineage))
}

/// The pages of this area.
pub fn pages() -> Router<App> {
    Router::new()
        .route("/", get(pages::dashboard))
        .route("/models/{model_id}", get(model::show))
        .route("/search", get(pages::search))
        .route("/start", get(start::show))
        .route("/reports", get(pages::index))
        .route("/reports/overrides", get(pages::overrides))
        .route("/reports/regional-matrix", get(pages::regional_matrix))
        .route("/reports/deployment-history", get(pages::deployment_history))
}

/// The regions and projects that reports can be filtered by: one statement.
async fn choices(app: &App) -> Result<(Vec<Choice>, Vec<Choice>)> {
    let all = store::choices::all(&app.db).await?;
    Ok(all.into_iter().partition(|one| one.kind == "region"))
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
    /// Pairs of version and region that are ready, in all models.
    pub all_ready: i64,
    /// Open tasks whose planned date is past in their region.
    pub overdue: i64,
    /// Whether these are everybody's, or the person's own.
    pub overdue_of: Scope,
    /// Pending tickets that the person can see.
    pub tickets: i64,
    /// Override reviews that are open.
    pub overrides: i64,
    /// Differences between what runs and what was ratified.
    pub drift: i64,
    /// Deployments that are not retired, by state.
    pub deployments: Vec<StateCount>,
    /// Training jobs by state, in the order of the states.
    pub jobs: Vec<StateCount>,
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
    let may = |action| actor.can(app, action, &[]);
    let sees = Sight { models: sees_all_models(app, actor), tickets: may(Action::TicketViewAll) };
    let counts = store::dashboard::counts(&app.db, actor.user_id, app.now(), sees).await?;
    let overdue_of = if may(Action::TaskViewAll) { Scope::All } else { Scope::Mine };
    let overdue = tasks::overdue(app, actor, overdue_of).await?;
    let due = if may(Action::TicketDecide) { store::dashboard::due(&app.db, actor.user_id).await? } else { Vec::new() };
    let (mut validations, rest): (Vec<_>, Vec<_>) = counts.into_iter().partition(|one| one.kind == "validation");
    validations.sort_by_key(|one| ValidationState::ALL.iter().position(|state| state.as_str() == one.word));
    let (deployments, rest): (Vec<_>, Vec<_>) = rest.into_iter().partition(|one| one.kind == "deployment");
    let (mut jobs, rest): (Vec<_>, Vec<_>) = rest.into_iter().partition(|one| one.kind == "job");
    jobs.sort_by_key(|one| JobState::ALL.iter().position(|state| state.as_str() == one.word));
    let (models, sums): (Vec<_>, Vec<_>) = rest.into_iter().partition(|one| one.kind == "model");
    let sum = |kind| sums.iter().find(|one| one.kind == kind).map_or(0, |one| one.count);
    let (all_ready, tickets, overrides) = (sum("ready"), sum("tickets"), sum("overrides"));
    let drift = sum("drift");
    Ok(Dashboard {
        all_ready,
        overdue,
        overdue_of,
        tickets,
        overrides,
        drift,
        deployments,
        jobs,
        validations,
        models,
        due,
    })
}
