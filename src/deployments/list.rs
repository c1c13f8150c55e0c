//! Deployments as people see them: the table, and one of them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::rules::DeploymentState;
use super::{DeploymentView, store};
use crate::app::App;
use crate::db::{Value, text_enum};
use crate::error::{Error, Result};
use crate::identity::access::{self, sees_all_models};
use crate::identity::{Action, Actor};
use crate::ids::{DeploymentId, EnvironmentId, ModelId};
use crate::metrics::rules::{Availability, availability};
use crate::web::{Cursor, Page, paging};

text_enum! {
    /// How the table is sorted; a minus turns it round. What was not measured comes last either way.
    pub enum DeploymentSort {
        /// By the model's name.
        Model = "model",
        /// By the model's name, Z first.
        ModelDown = "-model",
        /// By requests a second, the fewest first.
        Rate = "requests_per_s",
        /// By requests a second, the most first.
        RateDown = "-requests_per_s",
        /// By P95, the fastest first.
        P95 = "p95_ms",
        /// By P95, the slowest first.
        P95Down = "-p95_ms",
        /// The oldest first.
        Deployed = "deployed",
        /// The newest first.
        DeployedDown = "-deployed",
    }
}

/// Which deployments are wanted.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeploymentFilter {
    /// Only this state.
    #[param(inline)]
    pub state: Option<DeploymentState>,
    /// Text in the model's name.
    pub q: Option<String>,
    /// Only in this environment.
    pub environment_id: Option<EnvironmentId>,
    /// Only of this model.
    pub model_id: Option<ModelId>,
    /// The order; the newest first if nobody says.
    #[param(inline)]
    pub sort: Option<DeploymentSort>,
    /// How many rows, 1 to 500; 50 if absent.
    pub limit: Option<i64>,
    /// Where the page starts.
    pub cursor: Option<Cursor>,
}

/// A row of the table.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct DeploymentRow {
    /// The deployment.
    #[serde(flatten)]
    #[sqlx(flatten)]
    pub deployment: DeploymentView,
    /// What can be said of its requests.
    #[sqlx(skip)]
    pub traffic: Availability,
    /// How many deployments the filter matches; the same in every row.
    #[serde(skip)]
    pub total_count: i64,
}

/// A page of deployments, with the count of everything that the filter matches.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct DeploymentList {
    /// The deployments.
    pub items: Vec<DeploymentRow>,
    /// How many there are on all pages.
    pub total_count: i64,
    /// Where the next page starts; none on the last.
    pub next_cursor: Option<Cursor>,
}

/// The row that a page starts behind.
#[derive(Debug)]
pub struct Place {
    /// What it is sorted by.
    pub key: Value,
    /// Its number.
    pub deployment_id: DeploymentId,
}

/// The deployments of the models that a person sees.
///
/// Source: 3-lifecycle, *Deployments*, Table.
///
/// # Errors
/// `invalid` for a limit out of bounds or a foreign cursor.
pub async fn list(app: &App, actor: &Actor, filter: &DeploymentFilter) -> Result<DeploymentList> {
    let limit = paging::limit(filter.limit)?;
    let sort = filter.sort.unwrap_or(DeploymentSort::DeployedDown);
    let after = filter.cursor.as_ref().map(|cursor| place(cursor, sort)).transpose()?;
    let (member, now) = ((!sees_all_models(app, actor)).then_some(actor.user_id), app.now());
    let rows = store::page(&app.db, member, now, filter, sort, limit, after).await?;
    let total_count = rows.first().map_or(0, |row| row.total_count);
    let page = Page::cut(rows, limit, |row| (sort_key(&row.deployment, sort), row.deployment.deployment_id));
    let page = page.map(|row| DeploymentRow { traffic: traffic(&row.deployment, now), ..row });
    Ok(DeploymentList { items: page.items, total_count, next_cursor: page.next_cursor })
}

/// What can be said of a deployment's requests of the last minutes.
fn traffic(one: &DeploymentView, now: DateTime<Utc>) -> Availability {
    let runs = matches!(one.state, DeploymentState::Deploying | DeploymentState::Active | DeploymentState::Paused);
    availability(runs, one.measured_at, i64::from(one.requests_per_s.is_some()), now)
}

/// What a row is sorted by, as text, which keeps a number's last digit.
fn sort_key(row: &DeploymentView, sort: DeploymentSort) -> String {
    use DeploymentSort as By;
    match sort {
        By::Model | By::ModelDown => row.model_name.clone(),
        By::Rate => row.requests_per_s.unwrap_or(1e300).to_string(),
        By::RateDown => row.requests_per_s.unwrap_or(-1.0).to_string(),
        By::P95 => row.p95_ms.unwrap_or(1e300).to_string(),
        By::P95Down => row.p95_ms.unwrap_or(-1.0).to_string(),
        By::Deployed | By::DeployedDown => row.created_at.to_rfc3339(),
    }
}

fn place(cursor: &Cursor, sort: DeploymentSort) -> Result<Place> {
    use DeploymentSort as By;
    let (key, deployment_id): (String, DeploymentId) = cursor.keys()?;
    let key = match sort {
        By::Model | By::ModelDown => Some(Value::from(key)),
        By::Rate | By::RateDown | By::P95 | By::P95Down => key.parse::<f64>().ok().map(Value::from),
        By::Deployed | By::DeployedDown => key.parse::<DateTime<Utc>>().ok().map(Value::from),
    };
    let foreign = || Error::field("cursor", "This is not a cursor of this list.");
    Ok(Place { key: key.ok_or_else(foreign)?, deployment_id })
}

/// One deployment, if the person may see its model.
///
/// # Errors
/// `not_found`.
pub async fn show(app: &App, actor: &Actor, deployment: DeploymentId) -> Result<DeploymentView> {
    let hidden = || Error::not_found("deployment", deployment);
    let row = store::view(&app.db, deployment).await?.ok_or_else(hidden)?;
    let relations = access::relations(app, &app.db, actor, row.model_id, None).await?.unwrap_or_default();
    if actor.can(app, Action::ModelView, &relations) { Ok(row) } else { Err(hidden()) }
}
