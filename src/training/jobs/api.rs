//! Training jobs over JSON.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::configure::NewJob;
use super::{JobDetail, JobFilter, JobList, JobView};
use crate::app::App;
use crate::artifacts::attachment;
use crate::error::{Error, Problem, Result};
use crate::ids::JobId;
use crate::training::points::{self, Latest, Recorded, Series};
use crate::training::run::log::LogPiece;
use crate::web::{Caller, Json, Path, Query};

/// List training jobs, the newest first.
#[utoipa::path(get, path = "/training/jobs", tag = "Training", operation_id = "list_training_jobs", params(JobFilter),
    responses((status = 200, body = JobList), (status = 401, body = Problem), (status = 422, body = Problem)))]
pub async fn list(
    State(app): State<App>,
    Caller(actor): Caller,
    Query(filter): Query<JobFilter>,
) -> Result<Json<JobList>> {
    Ok(Json(super::list(&app, &actor, &filter).await?))
}

/// Queue a training job.
#[utoipa::path(post, path = "/training/jobs", tag = "Training", operation_id = "create_training_job",
    request_body = NewJob,
    responses((status = 201, body = JobDetail), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn create(
    State(app): State<App>,
    Caller(actor): Caller,
    Json(new): Json<NewJob>,
) -> Result<(StatusCode, Json<JobDetail>)> {
    Ok((StatusCode::CREATED, Json(super::create(&app, &actor, new).await?)))
}

/// Show a training job with the last value of each of its metrics.
#[utoipa::path(get, path = "/training/jobs/{job_id}", tag = "Training", operation_id = "get_training_job",
    params(("job_id" = JobId, Path)),
    responses((status = 200, body = JobDetail), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn show(State(app): State<App>, Caller(actor): Caller, Path(job): Path<JobId>) -> Result<Json<JobDetail>> {
    Ok(Json(super::show(&app, &actor, job).await?))
}

/// Delete a training job that has ended and was never deployed; answers what it was.
#[utoipa::path(delete, path = "/training/jobs/{job_id}", tag = "Training", operation_id = "delete_training_job",
    params(("job_id" = JobId, Path)),
    responses((status = 200, body = JobView), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn delete(State(app): State<App>, Caller(actor): Caller, Path(job): Path<JobId>) -> Result<Json<JobView>> {
    Ok(Json(super::delete(&app, &actor, job).await?))
}

/// Stop a training job: one that waits at once, one that runs as soon as its processes are gone.
#[utoipa::path(post, path = "/training/jobs/{job_id}/stop", tag = "Training", operation_id = "stop_training_job",
    params(("job_id" = JobId, Path)),
    responses((status = 200, body = JobDetail), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn stop(State(app): State<App>, Caller(actor): Caller, Path(job): Path<JobId>) -> Result<Json<JobDetail>> {
    Ok(Json(super::stop(&app, &actor, job).await?))
}

/// Queue a job like one that failed or was stopped.
#[utoipa::path(post, path = "/training/jobs/{job_id}/retry", tag = "Training", operation_id = "retry_training_job",
    params(("job_id" = JobId, Path)),
    responses((status = 201, body = JobDetail), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn retry(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(job): Path<JobId>,
) -> Result<(StatusCode, Json<JobDetail>)> {
    Ok((StatusCode::CREATED, Json(super::retry(&app, &actor, job).await?)))
}

/// Which metric is wanted.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct MetricFilter {
    /// Only this metric.
    name: Option<String>,
}

/// What a job measured.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Metrics {
    /// How many points there are: the number of the newest.
    points: i64,
    /// The last point of each metric, by name.
    latest: Vec<Latest>,
    /// Each metric from its first point to its last, in at most about a thousand stretches.
    series: Vec<Series>,
}

/// Show what a training job measured, from its first point to its last.
#[utoipa::path(get, path = "/training/jobs/{job_id}/metrics", tag = "Training", operation_id = "training_job_metrics",
    params(("job_id" = JobId, Path), MetricFilter),
    responses((status = 200, body = Metrics), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn metrics(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(job): Path<JobId>,
    Query(filter): Query<MetricFilter>,
) -> Result<Json<Metrics>> {
    let JobDetail { job, metrics: latest } = super::show(&app, &actor, job).await?;
    let series = points::series(&app.db, &[job.job_id], filter.name.as_deref()).await?;
    Ok(Json(Metrics { points: job.points, latest, series }))
}

/// Behind which point to go on.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PointFilter {
    /// The number of the last point that was read; 0 if absent.
    after: Option<i64>,
    /// Only this metric.
    name: Option<String>,
    /// How many points, 1 to 10,000; 1,000 if absent.
    limit: Option<i64>,
}

/// Points of a job, in the order of their coming.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Points {
    /// The points; fewer than the limit if there are no more yet.
    items: Vec<Recorded>,
}

/// Read the points of a training job exactly as they came.
#[utoipa::path(get, path = "/training/jobs/{job_id}/points", tag = "Training", operation_id = "training_job_points",
    params(("job_id" = JobId, Path), PointFilter),
    responses((status = 200, body = Points), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem)))]
pub async fn points(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(job): Path<JobId>,
    Query(PointFilter { after, name, limit }): Query<PointFilter>,
) -> Result<Json<Points>> {
    super::seen(&app, &actor, job).await?;
    let (after, limit) = (after.unwrap_or_default(), limit.unwrap_or(1000));
    if !(1..=10_000).contains(&limit) {
        return Err(Error::field("limit", "It must be between 1 and 10000."));
    }
    let items = match name {
        Some(name) => points::history(&app.db, job, &name, after, limit).await?,
        None => points::since(&app.db, job, after, limit).await?,
    };
    Ok(Json(Points { items }))
}

/// From where a log is read.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LogFilter {
    /// The `next_offset` of the piece before; 0 if absent.
    offset: Option<u64>,
}

/// Read a piece of a training job's log. Of a long one its first MiB and its last 256 KiB are kept.
#[utoipa::path(get, path = "/training/jobs/{job_id}/log", tag = "Training", operation_id = "training_job_log",
    params(("job_id" = JobId, Path), LogFilter),
    responses((status = 200, body = LogPiece), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn log(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(job): Path<JobId>,
    Query(LogFilter { offset }): Query<LogFilter>,
) -> Result<Json<LogPiece>> {
    Ok(Json(super::read_log(&app, &actor, job, offset.unwrap_or_default()).await?))
}

/// Download a training job's artifact.
#[utoipa::path(get, path = "/training/jobs/{job_id}/artifact", tag = "Training", operation_id = "training_job_artifact",
    params(("job_id" = JobId, Path)),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"), (status = 401, body = Problem),
        (status = 404, body = Problem)))]
pub async fn artifact(State(app): State<App>, Caller(actor): Caller, Path(job): Path<JobId>) -> Result<Response> {
    Ok(attachment(super::download(&app, &actor, job).await?))
}
