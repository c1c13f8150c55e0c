//! The lineage of a model: data set, job, version, validation, releases, deployments, a lane a version
//! (3-lifecycle, From job to deployment).

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::store;
use crate::app::App;
use crate::deployments::rules::DeploymentState;
use crate::error::Result;
use crate::identity::access::authorise;
use crate::identity::{Action, Actor};
use crate::ids::{DatasetId, DeploymentId, JobId, ModelId, ReleaseId, RequestId, VersionId};
use crate::releases::rules::{LifecycleState, ReleaseKind};
use crate::training::rules::JobState;
use crate::web::{Cursor, Page, paging};
use crate::words::ValidationState;

/// How many releases and deployments of a version are shown; the rest is counted.
pub(super) const MOST_SHOWN: i64 = 3;

/// Which part of a lineage is wanted.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LineageFilter {
    /// How many versions, 1 to 500; 50 if absent.
    pub limit: Option<i64>,
    /// Where the page starts.
    pub cursor: Option<Cursor>,
}

/// A page of a model's lineage, the newest version first.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Lineage {
    /// The versions, each with what it came from and where it went.
    pub items: Vec<Lane>,
    /// Where the next page starts; none on the last.
    pub next_cursor: Option<Cursor>,
}

/// A version, what it came from, and where it went.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Lane {
    /// The version.
    pub version_id: VersionId,
    /// Its number.
    pub version_number: String,
    /// When it was submitted.
    pub created_at: DateTime<Utc>,
    /// The SHA-256 of its artifact.
    pub artifact_digest: Option<String>,
    /// What the job learnt from.
    pub dataset_id: Option<DatasetId>,
    /// That data set's name, or that of what a client says its run learnt from.
    pub dataset_name: Option<String>,
    /// The SHA-256 of that data set, or the digest that the client told.
    pub dataset_digest: Option<String>,
    /// The training job that it came from.
    pub job_id: Option<JobId>,
    /// That job's name.
    pub job_name: Option<String>,
    /// How that job ended.
    pub job_state: Option<JobState>,
    /// Its validation.
    pub request_id: Option<RequestId>,
    /// How that stands.
    pub validation_state: Option<ValidationState>,
    /// Its last releases, the newest first.
    #[sqlx(skip)]
    pub releases: Vec<LineageRelease>,
    /// How many releases it has.
    #[sqlx(skip)]
    pub release_count: i64,
    /// Its last deployments, those that serve first.
    #[sqlx(skip)]
    pub deployments: Vec<LineageDeployment>,
    /// How many deployments it has.
    #[sqlx(skip)]
    pub deployment_count: i64,
}

/// A release of a version.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct LineageRelease {
    /// The version.
    #[serde(skip)]
    pub version_id: VersionId,
    /// The release.
    pub release_id: ReleaseId,
    /// Whether it is a release or a rollback.
    pub kind: ReleaseKind,
    /// Where it stands.
    pub lifecycle_state: LifecycleState,
    /// Where to.
    pub environment_name: String,
    /// How many the version has; the same in every row of it.
    #[serde(skip)]
    pub count: i64,
}

/// A deployment of a version.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct LineageDeployment {
    /// The version.
    #[serde(skip)]
    pub version_id: VersionId,
    /// The deployment.
    pub deployment_id: DeploymentId,
    /// How it is.
    pub state: DeploymentState,
    /// Where it serves; none where others run it.
    pub environment_name: Option<String>,
    /// How many the version has; the same in every row of it.
    #[serde(skip)]
    pub count: i64,
}

/// The lineage of a model: who may see the model may see this. Three statements, whatever its length.
///
/// # Errors
/// `not_found` for a model one may not see; `invalid` for a limit out of bounds or a foreign cursor.
pub async fn lineage(app: &App, actor: &Actor, model: ModelId, filter: &LineageFilter) -> Result<Lineage> {
    authorise(app, &app.db, actor, Action::ModelView, model).await?;
    let limit = paging::limit(filter.limit)?;
    let after = filter.cursor.as_ref().map(Cursor::keys).transpose()?;
    let rows = store::lineage::page(&app.db, model, limit, after).await?;
    let mut page = Page::cut(rows, limit, |row| (row.version_id,));
    let versions: Vec<_> = page.items.iter().map(|lane| lane.version_id).collect();
    let releases = store::lineage::releases(&app.db, &versions).await?;
    let deployments = store::lineage::deployments(&app.db, &versions).await?;
    for lane in &mut page.items {
        lane.releases = releases.iter().filter(|one| one.version_id == lane.version_id).cloned().collect();
        lane.release_count = lane.releases.first().map_or(0, |one| one.count);
        lane.deployments = deployments.iter().filter(|one| one.version_id == lane.version_id).cloned().collect();
        lane.deployment_count = lane.deployments.first().map_or(0, |one| one.count);
    }
    Ok(Lineage { items: page.items, next_cursor: page.next_cursor })
}
