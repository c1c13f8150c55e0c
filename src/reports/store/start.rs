//! How far a training job has come on its way to its customers, and where a newcomer can begin: a statement each.

use crate::db::{Db, DbError, Query};
use crate::ids::{DeploymentId, JobId, ModelId, ReleaseId, RequestId, UserId, VersionId};
use crate::words::ValidationState;

/// What became of a job's version.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Way {
    pub version_id: VersionId,
    pub version_number: String,
    pub request_id: Option<RequestId>,
    pub validation_state: Option<ValidationState>,
    /// Whether it ever served in development.
    pub tried: bool,
    /// Whether it was ever asked there, as counted by the endpoint.
    pub asked: bool,
    /// Its last release into production that came to something, or still can.
    pub release_id: Option<ReleaseId>,
    /// The last deployment that serves it in production.
    pub serving_id: Option<DeploymentId>,
    pub ratified: bool,
}

pub async fn way(db: &Db, job: JobId) -> Result<Option<Way>, DbError> {
    Query::new(
        "SELECT v.version_id, v.number AS version_number, q.request_id, q.state AS validation_state,
                EXISTS (SELECT 1 FROM deployments d JOIN environments e ON e.environment_id = d.environment_id
                 WHERE d.version_id = v.version_id AND d.active_at IS NOT NULL AND e.stage = 'development') AS tried,
                EXISTS (SELECT 1 FROM deployments d JOIN environments e ON e.environment_id = d.environment_id
                 JOIN deployment_statistics s ON s.deployment_id = d.deployment_id
                 WHERE d.version_id = v.version_id AND s.requests > 0 AND e.stage = 'development') AS asked,
                (SELECT MAX(r.release_id) FROM releases r JOIN environments e ON e.environment_id = r.environment_id
                 WHERE r.version_id = v.version_id AND e.stage = 'production'
                     AND r.lifecycle_state IN ('pending_approval', 'approved', 'applying', 'applied')) AS release_id,
                (SELECT MAX(d.deployment_id) FROM deployments d JOIN environments e ON e.environment_id = d.environment_id
                 WHERE d.version_id = v.version_id AND d.state = 'active' AND e.stage = 'production') AS serving_id,
                EXISTS (SELECT 1 FROM region_deployments g WHERE g.version_id = v.version_id) AS ratified
         FROM versions v LEFT JOIN version_requests vq ON vq.version_id = v.version_id
         LEFT JOIN validation_requests q ON q.request_id = vq.request_id WHERE v.job_id = $1",
    )
    .bind(job)
    .optional(db)
    .await
}

/// The first model of a person that has no version yet: nothing keeps it from its first.
pub async fn untouched(db: &Db, person: UserId) -> Result<Option<ModelId>, DbError> {
    Query::new(
        "SELECT m.model_id FROM models m WHERE (m.owner_id = $1 OR m.developer_id = $1) AND m.status <> 'RETIRED'
         AND NOT EXISTS (SELECT 1 FROM versions v WHERE v.model_id = m.model_id) ORDER BY m.model_id LIMIT 1",
    )
    .bind(person)
    .optional::<(ModelId,)>(db)
    .await
    .map(|row| row.map(|row| row.0))
}
