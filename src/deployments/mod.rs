//! Deployments: versions serving in environments, as they are observed.
//!
//! A release makes a deployment; observation keeps it true. This area starts nothing by itself but what was applied
//! and died, and it never decides what may run.

use axum::Router;
use axum::routing::{get, post};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::audit::{Act, Record};
use crate::error::Result;
use crate::ids::{DeploymentId, EnvironmentId, JobId, ModelId, RegionId, ReleaseId, VersionId};
use crate::words::Stage;

mod act;
mod api;
mod drift;
mod external;
mod list;
mod pages;
mod register;
pub mod rules;
mod store;
#[cfg(test)]
mod tests;
mod watch;

pub use act::{Verb, act};
pub use drift::{DriftFinding, DriftKind, DriftList, find_drift, open_drift};
pub use external::{NewExternal, keep_probing, probe_all};
pub use list::{DeploymentFilter, DeploymentList, DeploymentRow, DeploymentSort, list, show};
pub use watch::{keep_watching, observe_all, resume_all, stop_all};

use rules::DeploymentState;

/// The JSON routes of this area.
pub fn api() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(api::list, api::register))
        .routes(routes!(api::show))
        .routes(routes!(api::pause))
        .routes(routes!(api::resume))
        .routes(routes!(api::retire))
        .routes(routes!(api::drift))
}

/// The pages of this area.
pub fn pages() -> Router<App> {
    Router::new()
        .route("/deployments", get(pages::list))
        .route("/deployments/register", get(register::form).post(register::submit))
        .route("/deployments/{deployment_id}", get(pages::show))
        .route("/deployments/{deployment_id}/act", post(pages::act))
        .route("/drift", get(pages::drift))
}

/// A deployment.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct DeploymentView {
    /// Its number.
    pub deployment_id: DeploymentId,
    /// Where it serves.
    pub environment_id: EnvironmentId,
    /// Its name.
    pub environment_name: String,
    /// Its stage.
    pub stage: Stage,
    /// Its region.
    pub region_id: RegionId,
    /// That region's code.
    pub region_code: String,
    /// The model.
    pub model_id: ModelId,
    /// Its name.
    pub model_name: String,
    /// What serves.
    pub version_id: VersionId,
    /// Its number.
    pub version_number: String,
    /// The training job that the version came from.
    pub job_id: Option<JobId>,
    /// The release that made it.
    pub release_id: Option<ReleaseId>,
    /// Where it stands.
    pub state: DeploymentState,
    /// Why it does not serve.
    pub reason: Option<String>,
    /// Where it answers, in the Open Inference Protocol.
    pub endpoint: String,
    /// Its share of the traffic, relative to the others'.
    pub weight: i64,
    /// The digest of the approved bytes.
    pub digest: String,
    /// The digest of the bytes that run, as last observed.
    pub running_digest: Option<String>,
    /// When it was last observed.
    pub observed_at: Option<DateTime<Utc>>,
    /// How often its server was started again.
    pub restarts: i64,
    /// When its release was applied first.
    pub created_at: DateTime<Utc>,
    /// Since when it serves.
    pub active_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// Requests a second of the last minutes; none without traffic.
    pub requests_per_s: Option<f64>,
    /// 95 in 100 of these took at most so many milliseconds.
    pub p95_ms: Option<f64>,
    /// The share of these that failed, 0 to 1.
    pub error_rate: Option<f64>,
    /// When the endpoint's statistics were last read.
    pub measured_at: Option<DateTime<Utc>>,
    /// Whether others run it: it was registered, not released, and its bytes are not known.
    pub external: bool,
    /// Where an external one says that it is ready.
    pub readiness_url: Option<String>,
    /// How often it changed.
    pub revision: i64,
    #[serde(skip)]
    runtime_key: String,
}

impl DeploymentView {
    /// The name under which its model is served.
    #[must_use]
    pub fn served_name(&self) -> &str {
        self.endpoint.rsplit('/').next().unwrap_or_default()
    }
}

/// A deployment that a release is about to make.
#[derive(Debug, Clone)]
pub struct NewDeployment {
    /// Where.
    pub environment_id: EnvironmentId,
    /// The model.
    pub model_id: ModelId,
    /// What.
    pub version_id: VersionId,
    /// The release.
    pub release_id: ReleaseId,
    /// What the runtime knows it by.
    pub runtime_key: String,
    /// Where it will answer.
    pub endpoint: String,
    /// The digest of the approved bytes.
    pub digest: String,
}

/// A release begins to be applied: its deployment is deploying.
///
/// # Errors
/// Only failures of the database.
pub async fn begin(act: &mut Act, new: &NewDeployment) -> Result<DeploymentId> {
    let now = act.now;
    let deployment = store::insert(&mut act.tx, new, now).await?;
    let says = serde_json::json!({ "release_id": new.release_id, "endpoint": new.endpoint });
    act.record(Record::new("deployment.begun", "deployment", deployment).model(new.model_id).after(says));
    act.tell("deployments");
    Ok(deployment)
}

/// A release was applied and verified: its deployment is active, and those it replaced are retired.
///
/// # Errors
/// Only failures of the database.
pub async fn applied(act: &mut Act, release: ReleaseId) -> Result<()> {
    let now = act.now;
    for (deployment, model) in store::activate(&mut act.tx, release, now).await? {
        act.record(Record::new("deployment.active", "deployment", deployment).model(model));
    }
    for (deployment, model) in store::retire_others(&mut act.tx, release, now).await? {
        let says = serde_json::json!({ "replaced_by_release": release });
        act.record(Record::new("deployment.retired", "deployment", deployment).model(model).after(says));
    }
    act.tell("deployments");
    Ok(())
}

/// A release could not be applied, or was cancelled: its deployment never served.
///
/// # Errors
/// Only failures of the database.
pub async fn ended(act: &mut Act, release: ReleaseId, why: Option<&str>) -> Result<()> {
    let now = act.now;
    let state = if why.is_some() { DeploymentState::Failed } else { DeploymentState::Retired };
    let why = why.unwrap_or("Its release was cancelled.");
    for (deployment, model) in store::give_up(&mut act.tx, release, state, why, now).await? {
        act.record(
            Record::new("deployment.not_deployed", "deployment", deployment)
                .model(model)
                .after(serde_json::json!({ "state": state, "reason": why })),
        );
    }
    act.tell("deployments");
    Ok(())
}
