//! The SQL of training jobs.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::json;

use super::configure::Configuration;
use super::{Input, JobFilter, JobRow, JobView};
use crate::db::{Conn, Db, DbError, Query, Tx, json_list};
use crate::identity::access::RELATED_MODELS;
use crate::ids::{ExperimentId, JobId, ModelId, UserId};
use crate::training::rules::{Cause, JobState};
use crate::web::paging::like_pattern;

const COLUMNS: &str = "j.job_id, j.run_uuid, j.name, j.model_id, m.name AS model_name, j.experiment_id, j.dataset_id,
    d.name AS dataset_name, d.digest AS dataset_digest, j.executor, j.configuration, j.state, j.cause, j.message, j.exit_code,
    j.requested_by_id, u.name AS requested_by_name, j.retry_of_id, j.stop_asked, j.epoch, j.epochs, j.step, j.steps,
    j.points, j.cpu_seconds, j.peak_memory_bytes, j.artifact_digest, a.size_bytes AS artifact_size,
    a.file_name AS artifact_name, j.code, j.created_at, j.started_at, j.finished_at, j.revision,
    CASE WHEN j.state = 'queued' THEN (SELECT COUNT(*) FROM training_jobs q WHERE q.state = 'queued'
        AND q.executor <> 'mlflow' AND q.deleted_at IS NULL AND q.job_id <= j.job_id) END AS queue_position,
    v.version_id, v.number AS version_number, (EXISTS (SELECT 1 FROM releases r WHERE r.version_id = v.version_id)
        OR EXISTS (SELECT 1 FROM versions w JOIN releases r ON r.version_id = w.version_id WHERE w.run_uuid = j.run_uuid)) AS deployed";
const TABLES: &str = " FROM training_jobs j JOIN users u ON u.user_id = j.requested_by_id
    LEFT JOIN models m ON m.model_id = j.model_id LEFT JOIN datasets d ON d.dataset_id = j.dataset_id
    LEFT JOIN artifacts a ON a.digest = j.artifact_digest LEFT JOIN versions v ON v.job_id = j.job_id ";

/// A job to be queued.
#[derive(Debug)]
pub struct New<'a> {
    pub run_uuid: String,
    pub experiment: ExperimentId,
    pub model: ModelId,
    pub dataset: Option<crate::ids::DatasetId>,
    pub name: &'a str,
    pub executor: crate::training::rules::Executor,
    pub configuration: &'a Configuration,
    pub by: UserId,
    pub retry_of: Option<JobId>,
    pub code: &'a str,
}

pub async fn insert(tx: &mut Tx, new: New<'_>, now: DateTime<Utc>) -> Result<JobId, DbError> {
    Query::new(
        "INSERT INTO training_jobs (run_uuid, experiment_id, model_id, dataset_id, name, executor, configuration, state,
             requested_by_id, retry_of_id, code, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 'queued', $8, $9, $10, $11) RETURNING job_id",
    )
    .bind(new.run_uuid)
    .bind(new.experiment)
    .bind(new.model)
    .bind(new.dataset)
    .bind(new.name)
    .bind(new.executor)
    .bind(new.configuration.clone())
    .bind(new.by)
    .bind(new.retry_of)
    .bind(new.code)
    .bind(now)
    .one::<(JobId,)>(tx)
    .await
    .map(|row| row.0)
}

/// All parameters in one statement.
pub async fn insert_params(tx: &mut Tx, job: JobId, params: &BTreeMap<String, String>) -> Result<u64, DbError> {
    let rows = params.iter().map(|(name, value)| json!({ "name": name, "value": value }));
    Query::new("INSERT INTO job_params (job_id, name, value) SELECT $1, value ->> 'name', value ->> 'value' FROM json_each($2)")
        .bind(job)
        .bind(json_list(rows))
        .run(tx)
        .await
}

pub async fn experiment_of(tx: &mut Tx, model: ModelId) -> Result<Option<ExperimentId>, DbError> {
    Query::new("SELECT experiment_id FROM experiments WHERE model_id = $1")
        .bind(model)
        .optional::<(ExperimentId,)>(tx)
        .await
        .map(|row| row.map(|row| row.0))
}

/// A model's own experiment, named like the model, or with its number where that name is taken.
pub async fn insert_experiment(
    tx: &mut Tx,
    model: ModelId,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<ExperimentId, DbError> {
    Query::new(
        "INSERT INTO experiments (name, model_id, created_by_id, created_at, updated_at)
         SELECT CASE WHEN EXISTS (SELECT 1 FROM experiments e WHERE e.name = m.name)
                THEN m.name || ' (model ' || CAST(m.model_id AS TEXT) || ')' ELSE m.name END, m.model_id, $2, $3, $3
         FROM models m WHERE m.model_id = $1 RETURNING experiment_id",
    )
    .bind(model)
    .bind(by)
    .bind(now)
    .one::<(ExperimentId,)>(tx)
    .await
    .map(|row| row.0)
}

pub async fn view(conn: impl Into<Conn<'_>>, job: JobId) -> Result<Option<JobView>, DbError> {
    Query::new("SELECT ")
        .push(COLUMNS)
        .push(TABLES)
        .push("WHERE j.job_id = $1 AND j.deleted_at IS NULL")
        .bind(job)
        .optional(conn)
        .await
}

pub async fn by_run(db: &Db, run: &str) -> Result<Option<JobId>, DbError> {
    Query::new("SELECT job_id FROM training_jobs WHERE run_uuid = $1")
        .bind(run)
        .optional::<(JobId,)>(db)
        .await
        .map(|row| row.map(|row| row.0))
}

/// What a client said that a run read, those to train on first.
pub async fn inputs(conn: impl Into<Conn<'_>>, job: JobId, most: i64) -> Result<Vec<Input>, DbError> {
    Query::new(
        "SELECT name, digest, context FROM job_inputs WHERE job_id = $1
         ORDER BY CASE context WHEN 'train' THEN 0 WHEN 'training' THEN 0 ELSE 1 END, name, digest",
    )
    .bind(job)
    .limit(most)
    .all(conn)
    .await
}

/// The program that a client said it is, and the commit of its repository, by the names of their tags.
pub async fn source(conn: impl Into<Conn<'_>>, job: JobId) -> Result<Vec<(String, String)>, DbError> {
    Query::new(
        "SELECT name, value FROM job_tags WHERE job_id = $1 AND name IN ('mlflow.source.name', 'mlflow.source.git.commit')
         ORDER BY name DESC",
    )
    .bind(job)
    .all(conn)
    .await
}

/// The parameters of these jobs, by job and name.
pub async fn params(conn: impl Into<Conn<'_>>, jobs: &[JobId]) -> Result<Vec<(JobId, String, String)>, DbError> {
    Query::new(
        "SELECT job_id, name, value FROM job_params WHERE job_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))
         ORDER BY job_id, name",
    )
    .bind(json_list(jobs))
    .all(conn)
    .await
}

/// The newest first, one row more than asked for, each with the count of all. A member sees those of the models they
/// have a relation to, and runs of no model that are their own.
pub async fn page(
    db: &Db,
    member: Option<UserId>,
    now: DateTime<Utc>,
    filter: &JobFilter,
    limit: i64,
    after: Option<JobId>,
) -> Result<Vec<JobRow>, DbError> {
    let query =
        Query::new("SELECT (SELECT COUNT(*) FROM training_jobs j WHERE j.deleted_at IS NULL").bind(member).bind(now);
    let query = matching(query, member, filter).push(") AS total_count, ").push(COLUMNS).push(TABLES);
    matching(query.push("WHERE j.deleted_at IS NULL"), member, filter)
        .when(" AND j.job_id < {}", after)
        .push(" ORDER BY j.job_id DESC")
        .limit(limit + 1)
        .all(db)
        .await
}

/// Appends what the filter asks of a job `j`; `$1` and `$2` are the member and the instant.
fn matching(query: Query, member: Option<UserId>, filter: &JobFilter) -> Query {
    let query = if member.is_some() {
        query
            .push(" AND (j.model_id IN ")
            .push(RELATED_MODELS)
            .push(" OR (j.model_id IS NULL AND j.requested_by_id = $1))")
    } else {
        query
    };
    query
        .when(" AND j.state = {}", filter.state)
        .when(" AND j.model_id = {}", filter.model_id)
        .when(" AND j.dataset_id = {}", filter.dataset_id)
        .when(
            " AND LOWER(j.name) LIKE {} ESCAPE '\\'",
            filter.q.as_deref().filter(|text| !text.is_empty()).map(like_pattern),
        )
}

/// Locks the row until the transaction ends.
pub async fn lock(tx: &mut Tx, job: JobId) -> Result<(), DbError> {
    Query::new("SELECT job_id FROM training_jobs WHERE job_id = $1")
        .bind(job)
        .for_update()
        .optional::<(JobId,)>(tx)
        .await
        .map(drop)
}

/// Ends a job that waits.
pub async fn cancel_queued(tx: &mut Tx, job: JobId, message: &str, now: DateTime<Utc>) -> Result<u64, DbError> {
    Query::new(
        "UPDATE training_jobs SET state = $2, cause = $3, message = $4, finished_at = $5, revision = revision + 1
         WHERE job_id = $1 AND state = 'queued'",
    )
    .bind(job)
    .bind(JobState::Cancelled)
    .bind(Cause::Stopped)
    .bind(message)
    .bind(now)
    .run(tx)
    .await
}

/// Asks for a job that runs to be stopped.
pub async fn ask_stop(tx: &mut Tx, job: JobId) -> Result<u64, DbError> {
    Query::new(
        "UPDATE training_jobs SET stop_asked = TRUE, revision = revision + 1 WHERE job_id = $1 AND state = 'running' AND NOT stop_asked",
    )
    .bind(job)
    .run(tx)
    .await
}

pub async fn delete(tx: &mut Tx, job: JobId, now: DateTime<Utc>) -> Result<u64, DbError> {
    Query::new(
        "UPDATE training_jobs SET deleted_at = $2, revision = revision + 1 WHERE job_id = $1 AND deleted_at IS NULL",
    )
    .bind(job)
    .bind(now)
    .run(tx)
    .await
}

/// The models that a person may train, by name: all, or those of which they are owner, developer or such a delegate.
pub async fn trainable(db: &Db, member: Option<UserId>, now: DateTime<Utc>) -> Result<Vec<(ModelId, String)>, DbError> {
    Query::new(
        "SELECT m.model_id, m.name FROM models m WHERE m.status <> 'RETIRED' AND ($1 IS NULL OR m.owner_id = $1 OR m.developer_id = $1
             OR m.model_id IN (SELECT d.model_id FROM delegations d WHERE d.user_id = $1 AND d.can_submit_changes
                 AND d.revoked_at IS NULL AND (d.expires_at IS NULL OR d.expires_at > $2)))
         ORDER BY m.name LIMIT 500",
    )
    .bind(member)
    .bind(now)
    .all(db)
    .await
}
