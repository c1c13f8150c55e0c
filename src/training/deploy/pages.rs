//! The part of a job's page that deploys what it made.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;

use super::{DeployBody, JobDeploy, LiveDeploy, rules};
use crate::app::App;
use crate::error::{Error, Result};
use crate::identity::{Actor, Relation};
use crate::ids::JobId;
use crate::training::datasets;
use crate::training::jobs::{JobView, pages::show_page};
use crate::training::rules::{Executor, JobState};
use crate::web::{Form, Path, Refusal, Select, Toast, back_to};

/// What is deployed of a job, and where it can go.
#[derive(Debug)]
pub struct DeployPanel {
    /// Its releases that are under way, and its deployments that serve.
    pub live: Vec<LiveDeploy>,
    /// The environments to choose from; none for who may not deploy it, or if it is deployed.
    pub places: Option<Select>,
    /// A command that asks an endpoint for a prediction.
    pub example: Option<String>,
}

/// The panel of a job; none before it is complete.
///
/// # Errors
/// Only failures of the database.
pub async fn panel(app: &App, actor: &Actor, job: &JobView, relations: &[Relation]) -> Result<Option<DeployPanel>> {
    if job.state != JobState::Complete || job.model_id.is_none() || job.artifact_digest.is_none() {
        return Ok(None);
    }
    let live = super::live(app, job.job_id).await?;
    if !live.is_empty() || !super::may_deploy(app, actor, job, relations) {
        let example = example(app, actor, job, &live).await?;
        return Ok(Some(DeployPanel { live, places: None, example }));
    }
    let places = super::places(app, actor).await?;
    let read = |one: crate::environments::EnvironmentView| (one.environment_id, format!("{}, {}", one.name, one.stage));
    let places = Select::filter("environment_id", "Environment", places, None::<i64>, read).required();
    Ok(Some(DeployPanel { live, places: Some(places), example: None }))
}

/// How the endpoint is asked that serves what the builtin training made.
async fn example(app: &App, actor: &Actor, job: &JobView, live: &[LiveDeploy]) -> Result<Option<String>> {
    let endpoint = live.iter().find_map(|one| one.endpoint.as_deref());
    let (Some(endpoint), Some(dataset), Executor::Builtin) = (endpoint, job.dataset_id, job.executor) else {
        return Ok(None);
    };
    let dataset = datasets::show(app, actor, dataset).await?;
    let body = rules::example(&job.configuration.features, &dataset);
    // An apostrophe would end the shell's string.
    let command = |body: Value| format!("curl -s {endpoint}/infer -d '{}'", body.to_string().replace('\'', "'\\''"));
    Ok(body.map(command))
}

/// Where a job is to be deployed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct DeployForm {
    environment_id: String,
}

/// `POST /training/jobs/{id}/deploy`
pub async fn deploy(State(app): State<App>, Path(job): Path<JobId>, form: Form<DeployForm>) -> Result<Response> {
    let environment = form.fields.environment_id.parse();
    let outcome = match environment.map_err(|_| Error::field("environment_id", "Choose an environment.")) {
        Ok(environment_id) => super::deploy(&app, &form.visitor.actor, job, DeployBody { environment_id }).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(made) => Ok(went(&made)),
        Err(error) => show_page(&app, &form.visitor, job, Refusal::of(error)?).await,
    }
}

/// Back to the job if its release is on its way; else to the preview, which says what is missing.
fn went(made: &JobDeploy) -> Response {
    let JobDeploy { version_number, environment_name, .. } = made;
    match made.release_id {
        Some(release) => {
            let says = format!("Version {version_number} is on its way into {environment_name}.");
            let toast = Toast::done(says).link(format!("/releases/{release}"));
            back_to(&format!("/training/jobs/{}", made.job_id), &toast)
        }
        None => {
            let says =
                format!("Version {version_number} was registered. What {environment_name} asks for stands here.");
            back_to(&format!("/releases/previews/{}", made.preview_ref), &Toast::done(says))
        }
    }
}
