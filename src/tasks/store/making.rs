//! The SQL of making tasks: the version to deploy, its regions, and the tasks themselves.

use chrono::{DateTime, NaiveDate, Utc};

use crate::db::{Conn, DbError, Query, Tx, json_list};
use crate::ids::{ModelId, RegionId, TaskId, UserId, VersionId};
use crate::words::ValidationState;

/// The version to deploy, as the modal shows it.
#[derive(Debug, sqlx::FromRow)]
pub struct VersionRow {
    pub version_id: VersionId,
    pub version_number: String,
    pub change_type: String,
    pub description: String,
    pub artifact_digest: Option<String>,
    pub model_id: ModelId,
    pub model_name: String,
    pub validation_request_id: Option<crate::ids::RequestId>,
    pub validation_state: Option<ValidationState>,
    pub validation_approved_date: Option<NaiveDate>,
    pub needs_validation: bool,
}

pub async fn version(conn: impl Into<Conn<'_>>, version: VersionId) -> Result<Option<VersionRow>, DbError> {
    Query::new(
        "SELECT v.version_id, v.number AS version_number, v.change_type, v.description, v.artifact_digest, v.model_id,
                m.name AS model_name, vv.request_id AS validation_request_id, vv.state AS validation_state,
                vv.completion_date AS validation_approved_date,
                (v.change_type = 'MAJOR' OR COALESCE(rule.needs_validation, FALSE)) AS needs_validation
         FROM versions v JOIN models m ON m.model_id = v.model_id
         LEFT JOIN version_requests vq ON vq.version_id = v.version_id
         LEFT JOIN validation_requests vv ON vv.request_id = vq.request_id
         LEFT JOIN minor_change_rules rule ON rule.risk_tier = m.risk_tier
         WHERE v.version_id = $1",
    )
    .bind(version)
    .optional(conn)
    .await
}

/// A target region of a version, as the modal shows it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct TargetRow {
    pub region_id: RegionId,
    pub region_code: String,
    pub region_name: String,
    pub time_zone: String,
    pub locked: bool,
    pub live_version: Option<String>,
    pub live_version_id: Option<VersionId>,
    pub live_since: Option<NaiveDate>,
    pub open_task_id: Option<TaskId>,
    pub assignee_id: UserId,
    pub is_regional_owner: bool,
}

pub async fn targets(conn: impl Into<Conn<'_>>, version: VersionId, person: UserId) -> Result<Vec<TargetRow>, DbError> {
    Query::new(
        "SELECT x.region_id, r.code AS region_code, r.name AS region_name, r.time_zone,
                EXISTS (SELECT 1 FROM version_locks l WHERE l.version_id = x.version_id AND l.region_id = x.region_id) AS locked,
                lv.number AS live_version, lv.version_id AS live_version_id, d.live_from AS live_since,
                (SELECT MIN(t.task_id) FROM deployment_tasks t WHERE t.version_id = x.version_id
                   AND COALESCE(t.region_id, 0) IN (0, x.region_id) AND t.status IN ('PENDING', 'ADJUSTED')) AS open_task_id,
                COALESCE(mr.regional_owner_id, m.owner_id) AS assignee_id,
                COALESCE(mr.regional_owner_id = $2, FALSE) AS is_regional_owner
         FROM version_targets x JOIN regions r ON r.region_id = x.region_id JOIN models m ON m.model_id = x.model_id
         LEFT JOIN model_regions mr ON mr.model_id = x.model_id AND mr.region_id = x.region_id
         LEFT JOIN region_deployments d ON d.model_id = x.model_id AND d.region_id = x.region_id AND d.live_to IS NULL
         LEFT JOIN versions lv ON lv.version_id = d.version_id
         WHERE x.version_id = $1 ORDER BY r.code",
    )
    .bind(version)
    .bind(person)
    .all(conn)
    .await
}

/// A task to be made: region, planned date, assignee.
#[derive(Debug, Clone, serde::Serialize)]
pub struct NewTask {
    pub region_id: Option<RegionId>,
    pub planned: NaiveDate,
    pub assignee_id: UserId,
}

/// Makes one task of a version.
pub async fn make(
    tx: &mut Tx,
    version: VersionId,
    model: ModelId,
    task: &NewTask,
    by: Option<UserId>,
    now: DateTime<Utc>,
) -> Result<TaskId, DbError> {
    Query::new(
        "INSERT INTO deployment_tasks (version_id, model_id, region_id, planned_production_date, assigned_to_id, status,
                                       created_at, created_by_id)
         VALUES ($1, $2, $3, $4, $5, 'PENDING', $6, $7) RETURNING task_id",
    )
    .bind(version)
    .bind(model)
    .bind(task.region_id)
    .bind(task.planned)
    .bind(task.assignee_id)
    .bind(now)
    .bind(by)
    .one::<(TaskId,)>(tx)
    .await
    .map(|row| row.0)
}

/// A version whose approval makes tasks: it has a planned date.
#[derive(Debug, sqlx::FromRow)]
pub struct PlannedVersion {
    pub version_id: VersionId,
    pub model_id: ModelId,
    pub planned: NaiveDate,
    pub owner_id: UserId,
    /// Whether one task stands for all regions: a global change without regions of its own.
    pub is_global: bool,
}

pub async fn planned_versions(tx: &mut Tx, versions: &[VersionId]) -> Result<Vec<PlannedVersion>, DbError> {
    Query::new(
        "SELECT v.version_id, v.model_id, v.planned_production_date AS planned, m.owner_id,
                (v.scope = 'GLOBAL' AND NOT EXISTS (SELECT 1 FROM version_regions x WHERE x.version_id = v.version_id)) AS is_global
         FROM versions v JOIN models m ON m.model_id = v.model_id
         WHERE v.planned_production_date IS NOT NULL
           AND v.version_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1)) ORDER BY v.version_id",
    )
    .bind(json_list(versions))
    .all(tx)
    .await
}
