//! Training jobs as JSON, pages and tools show them, and which of them are wanted.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::configure::Configuration;
use crate::ids::{DatasetId, ExperimentId, JobId, ModelId, UserId, VersionId};
use crate::training::points::Latest;
use crate::training::rules::{Cause, Executor, JobState};
use crate::web::{Cursor, Revision};

/// A training job.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct JobView {
    /// Its number.
    pub job_id: JobId,
    /// What MLflow clients know it by.
    pub run_uuid: String,
    /// Its name.
    pub name: String,
    /// The model that it trains; none for a run of which no version was registered.
    pub model_id: Option<ModelId>,
    /// That model's name.
    pub model_name: Option<String>,
    /// The experiment that it belongs to.
    pub experiment_id: ExperimentId,
    /// What it learns from.
    pub dataset_id: Option<DatasetId>,
    /// That data set's name.
    pub dataset_name: Option<String>,
    /// The SHA-256 of that data set.
    pub dataset_digest: Option<String>,
    /// What carries it out.
    pub executor: Executor,
    /// What it is asked to do.
    pub configuration: Configuration,
    /// Where it stands.
    pub state: JobState,
    /// Why it ended otherwise than complete.
    pub cause: Option<Cause>,
    /// The same as a sentence.
    pub message: Option<String>,
    /// The program's exit code.
    pub exit_code: Option<i64>,
    /// Who asked for it.
    pub requested_by_id: UserId,
    /// Their name.
    pub requested_by_name: String,
    /// The job that it repeats.
    pub retry_of_id: Option<JobId>,
    /// Whether it is to be stopped.
    pub stop_asked: bool,
    /// Its place in the queue, from 1, while it waits.
    pub queue_position: Option<i64>,
    /// The epoch it is in.
    pub epoch: Option<i64>,
    /// Epochs in all.
    pub epochs: Option<i64>,
    /// Steps done.
    pub step: Option<i64>,
    /// Steps in all.
    pub steps: Option<i64>,
    /// How many points it measured.
    pub points: i64,
    /// Processor time that it took.
    pub cpu_seconds: Option<f64>,
    /// The most memory that its processes had together.
    pub peak_memory_bytes: Option<i64>,
    /// The SHA-256 of its artifact.
    pub artifact_digest: Option<String>,
    /// The artifact's size in bytes.
    pub artifact_size: Option<i64>,
    /// The artifact's file name.
    pub artifact_name: Option<String>,
    /// What code trained it: a program and its version, or the digest of a script.
    pub code: Option<String>,
    /// The version that it became.
    pub version_id: Option<VersionId>,
    /// That version's number.
    pub version_number: Option<String>,
    /// Whether a release of a version that it became was ever asked for; a run can have become several.
    pub deployed: bool,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it was started.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// How often it was changed.
    pub revision: Revision,
}

/// A training job with the last value of each of its metrics.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct JobDetail {
    /// The job.
    #[serde(flatten)]
    pub job: JobView,
    /// The last point of each metric, by name.
    pub metrics: Vec<Latest>,
}

/// A data set that a run read, as its client told it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// What tells its content from others', as the client computes it.
    pub digest: String,
    /// What for, such as `train` or `eval`.
    pub context: Option<String>,
}

/// What a job came from, beside a data set that is kept here.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    /// What it read.
    pub inputs: Vec<Input>,
    /// What code trained it.
    pub code: Option<String>,
}

/// A row of the list.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct JobRow {
    /// The job.
    #[sqlx(flatten)]
    pub job: JobView,
    /// How many jobs the filter matches; the same in every row.
    pub total_count: i64,
}

/// Which jobs are wanted.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct JobFilter {
    /// Only this state.
    #[param(inline)]
    pub state: Option<JobState>,
    /// Only of this model.
    pub model_id: Option<ModelId>,
    /// Only with this data set.
    pub dataset_id: Option<DatasetId>,
    /// Text in the name.
    pub q: Option<String>,
    /// How many rows, 1 to 500; 50 if absent.
    pub limit: Option<i64>,
    /// Where the page starts.
    pub cursor: Option<Cursor>,
}

/// A page of jobs, the newest first.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct JobList {
    /// The jobs.
    pub items: Vec<JobView>,
    /// How many there are on all pages.
    pub total_count: i64,
    /// Where the next page starts; none on the last.
    pub next_cursor: Option<Cursor>,
}
