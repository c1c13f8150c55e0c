//! The SQL of jobs being carried out. Everything is written under the fence of the claim.

use chrono::{DateTime, Utc};

use super::output::Progress;
use super::{Ended, Held};
use crate::db::{Db, DbError, Query, Tx};
use crate::ids::JobId;

/// Whether there is anything to claim; asked before every claim, since a claim takes the writer.
pub async fn any_queued(db: &Db) -> Result<bool, DbError> {
    Query::new("SELECT job_id FROM training_jobs WHERE state = 'queued' AND executor <> 'mlflow' AND deleted_at IS NULL LIMIT 1")
        .optional::<(JobId,)>(db)
        .await
        .map(|found| found.is_some())
}

/// Takes the oldest job that waits. Of two who ask at once the second finds it taken: the outer condition is looked at
/// again once the first is done.
pub async fn claim(
    tx: &mut Tx,
    worker: &str,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<Option<Held>, DbError> {
    Query::new(
        "UPDATE training_jobs SET state = 'running', worker = $1, fence = fence + 1, leased_until = $3, started_at = $2,
             revision = revision + 1
         WHERE job_id = (SELECT job_id FROM training_jobs
                 WHERE state = 'queued' AND executor <> 'mlflow' AND deleted_at IS NULL ORDER BY job_id LIMIT 1)
           AND state = 'queued'
         RETURNING job_id, model_id, dataset_id, executor, configuration, fence, run_uuid",
    )
    .bind(worker)
    .bind(now)
    .bind(until)
    .optional(tx)
    .await
}

/// Holds on to a job and writes down how far it is; whether it is to be stopped, or nothing if it is lost.
pub async fn renew(
    tx: &mut Tx,
    held: &Held,
    until: DateTime<Utc>,
    progress: &Progress,
) -> Result<Option<bool>, DbError> {
    Query::new(
        "UPDATE training_jobs SET leased_until = $3, epoch = COALESCE($4, epoch), epochs = COALESCE($5, epochs),
             step = COALESCE($6, step), steps = COALESCE($7, steps)
         WHERE job_id = $1 AND fence = $2 AND state = 'running' RETURNING stop_asked",
    )
    .bind(held.job_id)
    .bind(held.fence)
    .bind(until)
    .bind(progress.epoch)
    .bind(progress.epochs)
    .bind(progress.step)
    .bind(progress.steps)
    .optional::<(bool,)>(tx)
    .await
    .map(|row| row.map(|row| row.0))
}

/// Ends a job that is still held under the fence; nothing is touched if it is not.
pub async fn end(tx: &mut Tx, held: &Held, ended: &Ended, now: DateTime<Utc>) -> Result<u64, DbError> {
    Query::new(
        "UPDATE training_jobs SET state = $3, cause = $4, message = $5, exit_code = $6, cpu_seconds = $7,
             peak_memory_bytes = $8, artifact_digest = $9, finished_at = $10, leased_until = NULL, revision = revision + 1
         WHERE job_id = $1 AND fence = $2 AND state = 'running'",
    )
    .bind(held.job_id)
    .bind(held.fence)
    .bind(ended.state)
    .bind(ended.cause)
    .bind(ended.message.clone())
    .bind(ended.exit_code)
    .bind(ended.cpu_seconds)
    .bind(ended.peak_memory_bytes)
    .bind(ended.artifact.as_ref().map(|stored| stored.digest.as_str()))
    .bind(now)
    .run(tx)
    .await
}

/// The jobs of which nobody has given a sign of life in time; all that run, if `now` is none.
pub async fn lost(db: &Db, now: Option<DateTime<Utc>>) -> Result<Vec<Held>, DbError> {
    Query::new(
        "SELECT job_id, model_id, dataset_id, executor, configuration, fence, run_uuid FROM training_jobs
         WHERE state = 'running' AND executor <> 'mlflow'",
    )
    .when(" AND (leased_until IS NULL OR leased_until <= {})", now)
    .all(db)
    .await
}
