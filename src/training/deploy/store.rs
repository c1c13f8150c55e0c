//! The SQL of a job's way into an environment.

use chrono::{DateTime, Utc};

use super::LiveDeploy;
use crate::db::{Conn, DbError, Query, Tx};
use crate::ids::{JobId, ReleaseId};

/// Whether a release `r`, with its deployment `d`, is under way or serves.
const LIVE: &str = "(r.lifecycle_state IN ('pending_approval', 'approved', 'applying')
    OR (r.lifecycle_state = 'applied' AND d.state <> 'retired' AND d.ended_at IS NULL))";

/// The releases of a job's version that are under way or serve, the oldest first.
pub async fn live(conn: impl Into<Conn<'_>>, job: JobId) -> Result<Vec<LiveDeploy>, DbError> {
    Query::new(
        "SELECT r.release_id, r.lifecycle_state, e.name AS environment_name, v.version_id, v.number AS version_number,
                d.deployment_id, d.state AS deployment_state, d.endpoint
         FROM versions v JOIN releases r ON r.version_id = v.version_id
         JOIN environments e ON e.environment_id = r.environment_id
         LEFT JOIN deployments d ON d.release_id = r.release_id
         WHERE v.job_id = $1 AND ",
    )
    .push(LIVE)
    .push(" ORDER BY r.release_id")
    .bind(job)
    .all(conn)
    .await
}

/// Ends what keeps a job from being deployed though its release came to nothing or its deployment ended.
pub async fn end_stale(tx: &mut Tx, job: JobId, now: DateTime<Utc>) -> Result<u64, DbError> {
    Query::new(
        "UPDATE job_deploys SET ended_at = $2 WHERE job_id = $1 AND ended_at IS NULL AND NOT EXISTS (
             SELECT 1 FROM releases r LEFT JOIN deployments d ON d.release_id = r.release_id
             WHERE r.release_id = job_deploys.release_id AND ",
    )
    .push(LIVE)
    .push(")")
    .bind(job)
    .bind(now)
    .run(tx)
    .await
}

pub async fn insert(tx: &mut Tx, job: JobId, release: ReleaseId) -> Result<u64, DbError> {
    Query::new("INSERT INTO job_deploys (release_id, job_id) VALUES ($1, $2)").bind(release).bind(job).run(tx).await
}
