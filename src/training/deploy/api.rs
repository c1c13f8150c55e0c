//! Deploying a job over JSON.

use axum::extract::State;

use super::{DeployBody, JobDeploy};
use crate::app::App;
use crate::error::{Problem, Result};
use crate::ids::JobId;
use crate::web::{Caller, Json, Path};

/// Deploy what a complete job made: into development at once, elsewhere as a preview that says what is missing.
#[utoipa::path(post, path = "/training/jobs/{job_id}/deploy", tag = "Training", operation_id = "deploy_training_job",
    params(("job_id" = JobId, Path)), request_body = DeployBody,
    responses((status = 200, body = JobDeploy), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem),
        (status = 502, body = Problem)))]
pub async fn deploy(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(job): Path<JobId>,
    Json(body): Json<DeployBody>,
) -> Result<Json<JobDeploy>> {
    Ok(Json(super::deploy(&app, &actor, job, body).await?))
}
