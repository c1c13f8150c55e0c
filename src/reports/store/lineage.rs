//! The lineage of a model's versions: three statements, each for a whole page.

use crate::db::{Db, DbError, Query, json_list};
use crate::ids::{ModelId, VersionId};
use crate::reports::lineage::{Lane, LineageDeployment, LineageRelease, MOST_SHOWN};

/// What a client said that run `j` learnt from: the first to train on.
const TOLD: &str = " FROM job_inputs i WHERE i.job_id = j.job_id
    ORDER BY CASE i.context WHEN 'train' THEN 0 WHEN 'training' THEN 0 ELSE 1 END, i.name, i.digest LIMIT 1)";

/// One page of versions and one more, the newest first, with what they came from and their validations.
pub async fn page(db: &Db, model: ModelId, limit: i64, after: Option<(VersionId,)>) -> Result<Vec<Lane>, DbError> {
    Query::new(
        "SELECT v.version_id, v.number AS version_number, v.created_at, v.artifact_digest, d.dataset_id,
                j.job_id, j.name AS job_name, j.state AS job_state, q.request_id, q.state AS validation_state,
                COALESCE(d.name, (SELECT i.name",
    )
    .push(TOLD)
    .push(") AS dataset_name, COALESCE(d.digest, (SELECT i.digest")
    .push(TOLD)
    .push(
        ") AS dataset_digest
         FROM versions v LEFT JOIN training_jobs j
             ON j.job_id = COALESCE(v.job_id, (SELECT r.job_id FROM training_jobs r WHERE r.run_uuid = v.run_uuid))
         LEFT JOIN datasets d ON d.dataset_id = j.dataset_id
         LEFT JOIN version_requests vr ON vr.version_id = v.version_id
         LEFT JOIN validation_requests q ON q.request_id = vr.request_id WHERE v.model_id = $1",
    )
    .bind(model)
    .when(" AND v.version_id < {}", after.map(|(version,)| version))
    .push(" ORDER BY v.version_id DESC")
    .limit(limit + 1)
    .all(db)
    .await
}

/// The last releases of each of these versions, the newest first.
pub async fn releases(db: &Db, versions: &[VersionId]) -> Result<Vec<LineageRelease>, DbError> {
    Query::new(
        "SELECT * FROM (
             SELECT r.version_id, r.release_id, r.kind, r.lifecycle_state, e.name AS environment_name,
                    COUNT(*) OVER (PARTITION BY r.version_id) AS count,
                    ROW_NUMBER() OVER (PARTITION BY r.version_id ORDER BY r.release_id DESC) AS place
             FROM releases r JOIN environments e ON e.environment_id = r.environment_id
             WHERE r.version_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))) ranked
         WHERE ranked.place <= $2 ORDER BY ranked.version_id, ranked.place",
    )
    .bind(json_list(versions))
    .bind(MOST_SHOWN)
    .all(db)
    .await
}

/// The last deployments of each of these versions, those that serve first.
pub async fn deployments(db: &Db, versions: &[VersionId]) -> Result<Vec<LineageDeployment>, DbError> {
    Query::new(
        "SELECT * FROM (
             SELECT d.version_id, d.deployment_id, d.state, e.name AS environment_name,
                    COUNT(*) OVER (PARTITION BY d.version_id) AS count,
                    ROW_NUMBER() OVER (PARTITION BY d.version_id
                        ORDER BY CASE WHEN d.ended_at IS NULL THEN 0 ELSE 1 END, d.deployment_id DESC) AS place
             FROM deployments d LEFT JOIN environments e ON e.environment_id = d.environment_id
             WHERE d.version_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))) ranked
         WHERE ranked.place <= $2 ORDER BY ranked.version_id, ranked.place",
    )
    .bind(json_list(versions))
    .bind(MOST_SHOWN)
    .all(db)
    .await
}
