//! Environments: places models run, each of a region and a stage, with an approval rule and freeze windows.
//!
//! This area says where releases may go and when not; it never makes one, and it starts no process.

use axum::Router;
use axum::routing::{get, post};
use chrono::{DateTime, Utc};
use countersign_runtimes::Target;
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::audit::{Act, Record};
use crate::db::{self, Tx};
use crate::error::{self, Error, Fields, Result};
use crate::identity::{Action, Actor, Relation};
use crate::ids::{EnvironmentId, FreezeId, ProjectId, RegionId};
use crate::web::Revision;
use crate::web::etag::check_revision;
use crate::words::Stage;

mod api;
mod pages;
pub mod rules;
mod store;
#[cfg(test)]
mod tests;

use rules::{EnvironmentState, RuntimeKind};

/// The JSON routes of this area.
pub fn api() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(api::list, api::create))
        .routes(routes!(api::show, api::update))
        .routes(routes!(api::add_freeze))
        .routes(routes!(api::remove_freeze))
}

/// The pages of this area.
pub fn pages() -> Router<App> {
    Router::new()
        .route("/environments", get(pages::list).post(pages::create))
        .route("/environments/new", get(pages::new))
        .route("/environments/{environment_id}", get(pages::show).post(pages::update))
        .route("/environments/{environment_id}/edit", get(pages::edit))
        .route("/environments/{environment_id}/freeze", get(pages::freeze).post(pages::add_freeze))
        .route("/environments/{environment_id}/freeze/{freeze_id}/end", post(pages::end_freeze))
}

/// An environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct EnvironmentView {
    /// Its number.
    pub environment_id: EnvironmentId,
    /// Its name, unique.
    #[schema(example = "uk-production")]
    pub name: String,
    /// The project it belongs to; none for all.
    pub project_id: Option<ProjectId>,
    /// Its name.
    pub project_name: Option<String>,
    /// The region it serves.
    pub region_id: RegionId,
    /// Its code.
    pub region_code: String,
    /// How near to the customers it is.
    pub stage: Stage,
    /// What carries its models.
    pub runtime: RuntimeKind,
    /// Where clients reach its models.
    #[schema(example = "127.0.0.1:7101")]
    pub endpoint: String,
    /// Whether it can take releases.
    pub state: EnvironmentState,
    /// Whether a release into it waits for an approval.
    pub approval_required: bool,
    /// For how many minutes a preview holds.
    pub preview_minutes: i64,
    /// The reason of the freeze window that is open now.
    pub frozen_reason: Option<String>,
    /// When that window ends.
    pub frozen_until: Option<DateTime<Utc>>,
    /// How many deployments serve in it, or are about to.
    pub deployments: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// How often it was changed.
    pub revision: i64,
}

/// An environment with its freeze windows.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct EnvironmentDetail {
    /// The environment.
    #[serde(flatten)]
    pub environment: EnvironmentView,
    /// Its freeze windows that have not ended, by their start.
    pub freeze_windows: Vec<FreezeWindow>,
}

/// A time in which nothing is released.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct FreezeWindow {
    /// Its number.
    pub freeze_id: FreezeId,
    /// From when.
    pub starts_at: DateTime<Utc>,
    /// Until when.
    pub ends_at: DateTime<Utc>,
    /// Why.
    pub reason: String,
    /// Who set it.
    pub created_by: String,
}

/// What an environment is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnvironmentBody {
    /// Its name, unique, at most 100 characters.
    #[schema(example = "uk-production")]
    pub name: String,
    /// The project it belongs to; none for all.
    #[serde(default)]
    pub project_id: Option<ProjectId>,
    /// The region it serves.
    pub region_id: RegionId,
    /// How near to the customers it is.
    pub stage: Stage,
    /// What carries its models.
    #[serde(default = "EnvironmentBody::local")]
    pub runtime: RuntimeKind,
    /// Where clients reach its models, an IP address and a port; left out, a port of this machine is chosen.
    #[serde(default)]
    #[schema(example = "127.0.0.1:7101")]
    pub endpoint: Option<String>,
    /// Whether a release into it waits for an approval; left out, in production it does.
    #[serde(default)]
    pub approval_required: Option<bool>,
    /// For how many minutes a preview holds, 1 to 1,440.
    #[serde(default = "EnvironmentBody::half_an_hour")]
    pub preview_minutes: i64,
}

impl EnvironmentBody {
    fn local() -> RuntimeKind {
        RuntimeKind::Local
    }

    fn half_an_hour() -> i64 {
        30
    }
}

/// A freeze window to be set.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewFreeze {
    /// From when.
    pub starts_at: DateTime<Utc>,
    /// Until when.
    pub ends_at: DateTime<Utc>,
    /// Why, at most 500 characters.
    pub reason: String,
}

/// The environments that a person sees, by name.
///
/// # Errors
/// Only failures of the database.
pub async fn list(app: &App, actor: &Actor) -> Result<Vec<EnvironmentView>> {
    let only = (!actor.can(app, Action::EnvironmentView, &[])).then_some(actor.user_id);
    Ok(store::all(&app.db, only, app.now()).await?)
}

/// One environment with its freeze windows.
///
/// # Errors
/// `not_found`.
pub async fn show(app: &App, actor: &Actor, environment: EnvironmentId) -> Result<EnvironmentDetail> {
    let only = (!actor.can(app, Action::EnvironmentView, &[])).then_some(actor.user_id);
    let found = store::one(&app.db, environment, only, app.now()).await?;
    let environment = found.ok_or_else(|| Error::not_found("environment", environment))?;
    if only.is_some() {
        actor.may(app, Action::EnvironmentView, &[Relation::UsesRegion])?;
    }
    let freeze_windows = store::windows(&app.db, environment.environment_id, app.now()).await?;
    Ok(EnvironmentDetail { environment, freeze_windows })
}

/// The environment as it is now, locked, for an act on it; whoever acts was authorised for the act.
///
/// # Errors
/// `not_found`.
pub async fn lock(act: &mut Act, environment: EnvironmentId) -> Result<EnvironmentView> {
    store::lock(&mut act.tx, environment).await?;
    let now = act.now;
    let found = store::one(&mut act.tx, environment, None, now).await?;
    found.ok_or_else(|| Error::not_found("environment", environment))
}

/// The environment as the product itself sees it.
///
/// # Errors
/// `not_found`.
pub async fn read(app: &App, environment: EnvironmentId) -> Result<EnvironmentView> {
    let found = store::one(&app.db, environment, None, app.now()).await?;
    found.ok_or_else(|| Error::not_found("environment", environment))
}

/// All environments, for supervision.
///
/// # Errors
/// Only failures of the database.
pub async fn every(app: &App) -> Result<Vec<EnvironmentView>> {
    Ok(store::all(&app.db, None, app.now()).await?)
}

/// The environment as its runtime knows it.
///
/// # Errors
/// Only if the data folder has no absolute path, or the endpoint was changed by hand.
pub fn target(app: &App, environment: EnvironmentId, endpoint: &str) -> Result<Target> {
    let data = std::path::absolute(&app.settings.data).map_err(Error::internal)?;
    Ok(Target {
        key: format!("environment-{environment}"),
        folder: data.join("environments").join(environment.to_string()),
        endpoint: endpoint.parse().map_err(|cause| Error::internal(anyhow::Error::from(cause)))?,
    })
}

/// Adds an environment.
///
/// # Errors
/// `forbidden`, `invalid`, or `conflict` if the name or the endpoint is taken.
pub async fn create(app: &App, actor: &Actor, body: EnvironmentBody) -> Result<EnvironmentDetail> {
    actor.may(app, Action::EnvironmentManage, &[])?;
    let mut act = Act::begin(app, &actor.who).await?;
    let body = checked(&mut act.tx, body, None).await?;
    let now = act.now;
    let environment = store::insert(&mut act.tx, &body, now).await.map_err(|cause| taken(cause, &body))?;
    act.record(Record::new("environment.created", "environment", environment).after(&body));
    act.tell("environments");
    act.commit().await?;
    show(app, actor, environment).await
}

/// Changes an environment. What is under way keeps the plan that it was approved with.
///
/// # Errors
/// `not_found`, `forbidden`, `stale`, `invalid`, or `conflict` if the name is taken.
pub async fn update(
    app: &App,
    actor: &Actor,
    environment: EnvironmentId,
    seen: Revision,
    body: EnvironmentBody,
) -> Result<EnvironmentDetail> {
    actor.may(app, Action::EnvironmentManage, &[])?;
    let mut act = Act::begin(app, &actor.who).await?;
    let before = lock(&mut act, environment).await?;
    check_revision("environment", seen, before.revision)?;
    let body = checked(&mut act.tx, body, Some(&before)).await?;
    store::update(&mut act.tx, environment, &body).await.map_err(|cause| taken(cause, &body))?;
    act.record(Record::new("environment.changed", "environment", environment).before(before.body()).after(body));
    act.tell("environments");
    act.commit().await?;
    show(app, actor, environment).await
}

/// Sets a time in which nothing is released.
///
/// # Errors
/// `not_found`, `forbidden`, `invalid`.
pub async fn add_freeze(
    app: &App,
    actor: &Actor,
    environment: EnvironmentId,
    new: NewFreeze,
) -> Result<EnvironmentDetail> {
    actor.may(app, Action::EnvironmentManage, &[])?;
    let mut fields = Fields::default();
    let reason = fields.text("reason", &new.reason, 500);
    fields.check(new.starts_at < new.ends_at, "ends_at", "It must be after the start.");
    fields.check(new.ends_at > app.now(), "ends_at", "It must be in the future.");
    fields.done()?;
    let new = NewFreeze { starts_at: db::storable(new.starts_at), ends_at: db::storable(new.ends_at), reason };
    let mut act = Act::begin(app, &actor.who).await?;
    lock(&mut act, environment).await?;
    store::insert_window(&mut act.tx, environment, &new, actor.user_id).await?;
    act.record(Record::new("environment.frozen", "environment", environment).after(&new).reason(new.reason.clone()));
    act.tell("environments");
    act.commit().await?;
    show(app, actor, environment).await
}

/// Takes a freeze window away.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn remove_freeze(
    app: &App,
    actor: &Actor,
    environment: EnvironmentId,
    freeze: FreezeId,
) -> Result<EnvironmentDetail> {
    actor.may(app, Action::EnvironmentManage, &[])?;
    let mut act = Act::begin(app, &actor.who).await?;
    lock(&mut act, environment).await?;
    if store::delete_window(&mut act.tx, environment, freeze).await? == 0 {
        return Err(Error::not_found("freeze window", freeze));
    }
    let gone = serde_json::json!({ "freeze_id": freeze });
    act.record(Record::new("environment.thawed", "environment", environment).before(gone));
    act.tell("environments");
    act.commit().await?;
    show(app, actor, environment).await
}

impl EnvironmentView {
    /// What it is made of.
    fn body(&self) -> EnvironmentBody {
        EnvironmentBody {
            name: self.name.clone(),
            project_id: self.project_id,
            region_id: self.region_id,
            stage: self.stage,
            runtime: self.runtime,
            endpoint: Some(self.endpoint.clone()),
            approval_required: Some(self.approval_required),
            preview_minutes: self.preview_minutes,
        }
    }

    /// Whether a freeze window is open.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.frozen_until.is_some()
    }
}

/// Completes and checks a body. What serves in an environment keeps it where it is.
async fn checked(tx: &mut Tx, body: EnvironmentBody, before: Option<&EnvironmentView>) -> Result<EnvironmentBody> {
    let mut fields = Fields::default();
    let endpoint = match body.endpoint.as_deref().map(str::trim).filter(|text| !text.is_empty()) {
        Some(text) => rules::read_endpoint(&mut fields, text),
        None => match before {
            Some(before) => before.endpoint.clone(),
            None => rules::default_endpoint(store::highest(tx).await?),
        },
    };
    let (region, project) = store::known(tx, body.region_id, body.project_id).await?;
    fields.check(region, "region_id", "There is no such region.");
    fields.check(project, "project_id", "There is no such project.");
    let minutes = rules::PREVIEW_MINUTES.contains(&body.preview_minutes);
    fields.check(minutes, "preview_minutes", "It must be between 1 and 1,440.");
    if let Some(before) = before.filter(|before| before.deployments > 0) {
        let stays = "It cannot change while something is deployed here.";
        fields.check(endpoint == before.endpoint, "endpoint", stays);
        fields.check(body.region_id == before.region_id, "region_id", stays);
        fields.check(body.stage == before.stage, "stage", stays);
    }
    let body = EnvironmentBody {
        name: fields.text("name", &body.name, 100),
        endpoint: Some(endpoint),
        approval_required: Some(body.approval_required.unwrap_or(body.stage == Stage::Production)),
        ..body
    };
    fields.done()?;
    Ok(body)
}

fn taken(cause: db::DbError, body: &EnvironmentBody) -> Error {
    if db::is_duplicate(&cause) {
        let endpoint = body.endpoint.as_deref().unwrap_or_default();
        let says = format!("There is an environment called {} or reached at {endpoint} already.", body.name);
        Error::new(&error::CONFLICT, says)
    } else {
        cause.into()
    }
}
