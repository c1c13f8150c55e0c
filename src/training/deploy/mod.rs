//! From a job to a deployment: its artifact becomes a version, and the version is released (3-lifecycle, From job to
//! deployment).
//!
//! The release is one like any other: previewed, gated, applied. This opens no gate and goes round none.

use countersign_runtimes::Strategy;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::jobs::{self, JobView};
use super::points;
use super::rules::JobState;
use crate::app::App;
use crate::artifacts::Digest;
use crate::audit::{Act, Record};
use crate::db;
use crate::deployments::rules::DeploymentState;
use crate::environments::{self, EnvironmentView};
use crate::error::{self, Error, Result};
use crate::identity::access::lock_models;
use crate::identity::{Action, Actor, Relation};
use crate::ids::{DeploymentId, EnvironmentId, JobId, ModelId, ReleaseId, VersionId};
use crate::inventory::versions::{self, Trained};
use crate::releases::rules::{Answer, GateCheck, LifecycleState};
use crate::releases::{self, PreviewBody, PreviewView, ReleaseBody};
use crate::words::Stage;

pub(super) mod api;
pub(super) mod pages;
mod rules;
mod store;

/// Where a job's artifact is to be deployed.
#[derive(Debug, Clone, Copy, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeployBody {
    /// The environment.
    pub environment_id: EnvironmentId,
}

/// What deploying a job came to.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct JobDeploy {
    /// The job.
    pub job_id: JobId,
    /// The version that its artifact is.
    pub version_id: VersionId,
    /// That version's number.
    pub version_number: String,
    /// Where to.
    pub environment_name: String,
    /// The release that is being applied; none if its preview has to be asked for first.
    pub release_id: Option<ReleaseId>,
    /// The preview: ask for its release once what is missing is there.
    pub preview_ref: String,
    /// The gates that are not open, each with what it waits for.
    pub missing: Vec<GateCheck>,
}

/// A release of a job's version that is under way, or whose deployment serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct LiveDeploy {
    /// The release.
    pub release_id: ReleaseId,
    /// Where that stands.
    pub lifecycle_state: LifecycleState,
    /// Where to.
    pub environment_name: String,
    /// The version.
    pub version_id: VersionId,
    /// Its number.
    pub version_number: String,
    /// The deployment; none before the release is applied.
    pub deployment_id: Option<DeploymentId>,
    /// How that is.
    pub deployment_state: Option<DeploymentState>,
    /// Where it answers.
    pub endpoint: Option<String>,
}

/// Deploys what a job made. Its artifact becomes a version of its model, once; into a development environment that asks
/// for no approval the release is applied at once, elsewhere its preview says what is missing.
///
/// # Errors
/// `not_found`, `forbidden`; `job_not_complete`; `already_deployed`; `wrong_transition` if the job has no model or no
/// artifact; `version_creation_blocked`; what [`releases::preview`] and [`releases::create`] refuse.
pub async fn deploy(app: &App, actor: &Actor, job: JobId, body: DeployBody) -> Result<JobDeploy> {
    let (job, relations) = jobs::seen(app, actor, job).await?;
    for action in wanted(&job) {
        actor.may(app, action, &relations)?;
    }
    let place = environment(app, actor, body.environment_id).await?;
    let version = version_of(app, actor, &job).await?;
    let strategy = Strategy::Rolling;
    let options = std::collections::BTreeMap::new();
    let wanted = PreviewBody { environment_id: place.environment_id, version_id: version, strategy, options };
    let preview = releases::preview(app, actor, wanted).await?;
    let missing: Vec<_> = preview.checks.iter().filter(|check| check.answer != Answer::Allow).cloned().collect();
    let straight = place.stage == Stage::Development && missing.is_empty();
    let release_id = if straight { Some(release(app, actor, &job, &preview).await?) } else { None };
    Ok(JobDeploy {
        job_id: job.job_id,
        version_id: version,
        version_number: preview.version_number,
        environment_name: preview.environment_name,
        release_id,
        preview_ref: preview.preview_ref,
        missing,
    })
}

/// What a person must be allowed to deploy a job.
fn wanted(job: &JobView) -> impl Iterator<Item = Action> + use<> {
    let submit = job.version_id.is_none().then_some(Action::VersionSubmit);
    std::iter::once(Action::ReleaseRequest).chain(submit)
}

/// Whether a person may deploy a job.
pub(super) fn may_deploy(app: &App, actor: &Actor, job: &JobView, relations: &[Relation]) -> bool {
    wanted(job).all(|action| actor.can(app, action, relations))
}

/// The releases of a job's version that are under way, and those whose deployment serves.
///
/// # Errors
/// Only failures of the database.
pub(super) async fn live(app: &App, job: JobId) -> Result<Vec<LiveDeploy>> {
    Ok(store::live(&app.db, job).await?)
}

async fn environment(app: &App, actor: &Actor, environment: EnvironmentId) -> Result<EnvironmentView> {
    match environments::show(app, actor, environment).await {
        Ok(found) => Ok(found.environment),
        Err(error) if error.code() == &error::NOT_FOUND => {
            Err(Error::field("environment_id", "There is no such environment."))
        }
        Err(error) => Err(error),
    }
}

/// The version that a job's artifact is, made now if it is none yet.
async fn version_of(app: &App, actor: &Actor, job: &JobView) -> Result<VersionId> {
    let (model, digest) = ready(job)?;
    let mut act = Act::begin(app, &actor.who).await?;
    lock_models(&mut act.tx, &[model]).await?;
    // Another may have deployed it since it was read, or made a version of it, or deleted it.
    let job = jobs::hold(&mut act, job.job_id).await?;
    if let Some(live) = store::live(&mut act.tx, job.job_id).await?.first() {
        return Err(already(live));
    }
    if let Some(version) = job.version_id {
        return Ok(version);
    }
    let latest = points::latest(&mut act.tx, &[job.job_id]).await?;
    let lineage = jobs::lineage(&mut act, job.job_id).await?;
    let description = rules::description(&job, &latest);
    let trained = Trained { job: Some(job.job_id), digest: &digest, description: &description, lineage };
    let version = versions::register(&mut act, actor, model, trained).await?;
    let says = json!({ "version_id": version, "artifact_digest": digest.as_str() });
    act.record(Record::new("training.registered", "training_job", job.job_id).model(model).after(says));
    act.tell("training");
    act.commit().await?;
    Ok(version)
}

/// The model and the bytes of a job that can be deployed.
fn ready(job: &JobView) -> Result<(ModelId, Digest)> {
    if job.state != JobState::Complete {
        let says = format!("Only completed training jobs can be deployed; this one is {}.", job.state);
        return Err(Error::new(&error::JOB_NOT_COMPLETE, says).fact("state", job.state));
    }
    let refused = |why: &str, hint: &str| Error::new(&error::WRONG_TRANSITION, why).hint(hint);
    let Some(model) = job.model_id else {
        let hint = "Register its model with the MLflow client first.";
        return Err(refused("The run belongs to no model.", hint));
    };
    match job.artifact_digest.as_deref().map(str::parse::<Digest>) {
        Some(Ok(digest)) => Ok((model, digest)),
        _ => Err(refused("The job left no artifact.", "Train again, and write a model.")),
    }
}

fn already(live: &LiveDeploy) -> Error {
    let says = format!(
        "This job already has an active deployment: version {} in {}.",
        live.version_number, live.environment_name
    );
    Error::new(&error::ALREADY_DEPLOYED, says).fact("deploy", live)
}

/// Asks for the release of a preview that no gate is closed to. Of two who ask at once the database lets one through.
async fn release(app: &App, actor: &Actor, job: &JobView, preview: &PreviewView) -> Result<ReleaseId> {
    let body = ReleaseBody { preview_ref: Some(preview.preview_ref.clone()), ..ReleaseBody::default() };
    let says = json!({ "environment": preview.environment_name, "version_id": preview.version_id });
    let asked = releases::create_with(app, actor, body, async |act, release| {
        jobs::hold(act, job.job_id).await?;
        let now = act.now;
        store::end_stale(&mut act.tx, job.job_id, now).await?;
        let noted = store::insert(&mut act.tx, job.job_id, release).await;
        if noted.as_ref().is_err_and(db::is_duplicate) {
            return Err(Error::new(&error::ALREADY_DEPLOYED, "This job already has an active deployment."));
        }
        noted?;
        let record = Record::new("training.deployed", "training_job", job.job_id).model(preview.model_id);
        act.record(record.after(says));
        act.tell("training");
        Ok(())
    });
    match asked.await {
        Ok(view) => Ok(view.release.release_id),
        // Whoever came second finds the environment busy or the preview outdated: because of the first.
        Err(error) => match store::live(&app.db, job.job_id).await?.first() {
            Some(live) => Err(already(live)),
            None => Err(error),
        },
    }
}

/// The environments that a person may choose from, those of development first.
pub(super) async fn places(app: &App, actor: &Actor) -> Result<Vec<EnvironmentView>> {
    let mut places = environments::list(app, actor).await?;
    places.sort_by_key(|one| one.stage != Stage::Development);
    Ok(places)
}
