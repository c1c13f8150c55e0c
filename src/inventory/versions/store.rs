//! The SQL of versions.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, Utc};

use super::change::VersionBody;
use super::{VersionRow, VersionView};
use crate::db::{Conn, Db, DbError, Query, Tx, json_list};
use crate::identity::access::RELATED_MODELS;
use crate::ids::{JobId, ModelId, RegionId, UserId, VersionId};
use crate::inventory::rules::{Facts, VersionNumber};

/// How many versions a form offers; another one is chosen on its own page.
const MOST_OFFERED: i64 = 1000;

pub async fn model_of(db: &Db, version: VersionId) -> Result<Option<ModelId>, DbError> {
    let row: Option<(ModelId,)> =
        Query::new("SELECT model_id FROM versions WHERE version_id = $1").bind(version).optional(db).await?;
    Ok(row.map(|row| row.0))
}

pub async fn view(db: &Db, version: VersionId) -> Result<Option<VersionView>, DbError> {
    Query::new(
        "SELECT v.version_id, v.model_id, m.name AS model_name, v.number, v.change_type, v.scope, v.description,
                (v.change_type = 'MAJOR' OR COALESCE(rule.needs_validation, TRUE)) AS needs_validation,
                v.planned_production_date,
                (SELECT MAX(d.live_from) FROM region_deployments d WHERE d.version_id = v.version_id) AS actual_production_date,
                vv.request_id, vv.state AS validation_state, vv.completion_date AS validation_approved_date,
                v.artifact_digest, a.file_name AS artifact_name, a.size_bytes AS artifact_size,
                COALESCE(a.stored, FALSE) AS artifact_stored,
                v.job_id, v.submitted_by_id, u.name AS submitted_by_name, v.created_at, v.revision,
                EXISTS (SELECT 1 FROM region_deployments d WHERE d.version_id = v.version_id AND d.live_to IS NULL) AS live_now,
                EXISTS (SELECT 1 FROM region_deployments d WHERE d.version_id = v.version_id) AS live_ever,
                EXISTS (SELECT 1 FROM version_regions r WHERE r.version_id = v.version_id) AS names_regions
         FROM versions v JOIN models m ON m.model_id = v.model_id JOIN users u ON u.user_id = v.submitted_by_id
         LEFT JOIN minor_change_rules rule ON rule.risk_tier = m.risk_tier
         LEFT JOIN version_requests vq ON vq.version_id = v.version_id
         LEFT JOIN validation_requests vv ON vv.request_id = vq.request_id
         LEFT JOIN artifacts a ON a.digest = v.artifact_digest
         WHERE v.version_id = $1",
    )
    .bind(version)
    .optional(db)
    .await
}

/// The versions that a form offers, by model and newest first, the chosen one before all: of the models that a member
/// has a relation to, and only those whose bytes are kept if that is asked.
pub async fn offered(
    db: &Db,
    member: Option<UserId>,
    now: DateTime<Utc>,
    kept: bool,
    chosen: Option<VersionId>,
) -> Result<Vec<(VersionId, String, String)>, DbError> {
    let query = Query::new(
        "SELECT v.version_id, m.name, v.number FROM versions v JOIN models m ON m.model_id = v.model_id
         LEFT JOIN artifacts a ON a.digest = v.artifact_digest WHERE ($1 IS NULL OR $2 IS NULL OR v.model_id IN ",
    )
    .push(RELATED_MODELS)
    .push(")")
    .bind(member)
    .bind(now)
    .bind(chosen);
    let query = if kept { query.push(" AND (a.stored OR v.version_id = $3)") } else { query };
    query
        .push(" ORDER BY CASE WHEN v.version_id = $3 THEN 0 ELSE 1 END, m.name, v.version_id DESC")
        .limit(MOST_OFFERED)
        .all(db)
        .await
}

/// One page of a model's versions and one row more, the newest first.
pub async fn rows(db: &Db, model: ModelId, after: Option<VersionId>, limit: i64) -> Result<Vec<VersionRow>, DbError> {
    Query::new(
        "SELECT v.version_id, v.number, v.change_type, v.scope, v.description, v.planned_production_date,
                vv.request_id, vv.state AS validation_state, v.artifact_digest,
                (SELECT COUNT(*) FROM version_targets t WHERE t.version_id = v.version_id) AS target_regions,
                (SELECT COUNT(*) FROM region_deployments d WHERE d.version_id = v.version_id AND d.live_to IS NULL) AS live_regions,
                EXISTS (SELECT 1 FROM region_deployments d WHERE d.version_id = v.version_id) AS live_ever,
                u.name AS submitted_by_name, v.created_at
         FROM versions v JOIN users u ON u.user_id = v.submitted_by_id
         LEFT JOIN version_requests vq ON vq.version_id = v.version_id
         LEFT JOIN validation_requests vv ON vv.request_id = vq.request_id
         WHERE v.model_id = $1",
    )
    .bind(model)
    .when(" AND v.version_id < {}", after)
    .push(" ORDER BY v.version_id DESC")
    .limit(limit + 1)
    .all(db)
    .await
}

/// The facts of all versions of a model, and every number that it ever gave.
pub async fn facts(conn: impl Into<Conn<'_>>, model: ModelId) -> Result<(Vec<Facts>, Vec<VersionNumber>), DbError> {
    #[derive(sqlx::FromRow)]
    struct Row {
        #[sqlx(flatten)]
        facts: Facts,
        retired: bool,
    }
    let rows: Vec<Row> = Query::new(
        "SELECT v.version_id, v.number, v.change_type, vv.request_id, vv.state AS validation_state,
                EXISTS (SELECT 1 FROM region_deployments d WHERE d.version_id = v.version_id AND d.live_to IS NULL) AS live_now,
                EXISTS (SELECT 1 FROM region_deployments d WHERE d.version_id = v.version_id) AS live_ever,
                FALSE AS retired
         FROM versions v LEFT JOIN version_requests vq ON vq.version_id = v.version_id
         LEFT JOIN validation_requests vv ON vv.request_id = vq.request_id WHERE v.model_id = $1
         UNION ALL
         SELECT 0, r.number, 'MINOR', NULL, NULL, FALSE, FALSE, TRUE FROM retired_version_numbers r WHERE r.model_id = $1",
    )
    .bind(model)
    .all(conn)
    .await?;
    let used = rows.iter().filter_map(|row| row.facts.number.parse().ok()).collect();
    let facts = rows.into_iter().filter(|row| !row.retired).map(|row| row.facts).collect();
    Ok((facts, used))
}

/// Whether a MINOR change of this model needs a validation: its tier's rule, or yes without one.
pub async fn minor_needs_validation(db: &Db, model: ModelId) -> Result<bool, DbError> {
    Query::new(
        "SELECT COALESCE(r.needs_validation, TRUE) AS needed FROM models m
         LEFT JOIN minor_change_rules r ON r.risk_tier = m.risk_tier WHERE m.model_id = $1",
    )
    .bind(model)
    .one::<(bool,)>(db)
    .await
    .map(|row| row.0)
}

/// The regions of a model with their time zones.
pub async fn model_regions(tx: &mut Tx, model: ModelId) -> Result<Vec<(RegionId, String)>, DbError> {
    Query::new(
        "SELECT r.region_id, r.time_zone FROM model_regions mr JOIN regions r ON r.region_id = mr.region_id WHERE mr.model_id = $1",
    )
    .bind(model)
    .all(tx)
    .await
}

/// The time zones of a version's target regions.
pub async fn target_zones(tx: &mut Tx, version: VersionId) -> Result<Vec<String>, DbError> {
    let rows: Vec<(String,)> = Query::new(
        "SELECT r.time_zone FROM version_targets t JOIN regions r ON r.region_id = t.region_id WHERE t.version_id = $1",
    )
    .bind(version)
    .all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

pub async fn insert(
    tx: &mut Tx,
    model: ModelId,
    number: VersionNumber,
    body: &VersionBody,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<VersionId, DbError> {
    let version = Query::new(
        "INSERT INTO versions (model_id, number, major, minor, change_type, scope, description, planned_production_date,
                submitted_by_id, created_at, ordinal)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10,
                (SELECT COALESCE(MAX(given.ordinal), 0) + 1
                 FROM (SELECT ordinal FROM versions WHERE model_id = $1
                       UNION ALL SELECT ordinal FROM retired_version_numbers WHERE model_id = $1) given))
         RETURNING version_id",
    )
    .bind(model)
    .bind(number.to_string())
    .bind(i64::from(number.major))
    .bind(i64::from(number.minor))
    .bind(body.change_type)
    .bind(body.scope)
    .bind(&body.description)
    .bind(body.planned_production_date)
    .bind(by)
    .bind(now)
    .one::<(VersionId,)>(&mut *tx)
    .await?
    .0;
    let regions: BTreeSet<RegionId> = body.affected_region_ids.iter().copied().collect();
    if !regions.is_empty() {
        Query::new(
            "INSERT INTO version_regions (version_id, region_id) SELECT $1, CAST(value AS BIGINT) FROM json_each($2)",
        )
        .bind(version)
        .bind(json_list(regions))
        .run(tx)
        .await?;
    }
    Ok(version)
}

/// What a change of a version is decided on.
#[derive(Debug, sqlx::FromRow)]
pub struct State {
    pub number: String,
    pub planned_production_date: Option<NaiveDate>,
    pub artifact_digest: Option<String>,
    pub revision: i64,
    /// Whether it was ever asked to be validated.
    pub has_validation: bool,
    /// Whether it ever had a deployment task.
    pub has_task: bool,
    /// Whether it was ever ratified.
    pub live_ever: bool,
}

pub async fn state(tx: &mut Tx, version: VersionId) -> Result<Option<State>, DbError> {
    Query::new(
        "SELECT v.number, v.planned_production_date, v.artifact_digest, v.revision,
                EXISTS (SELECT 1 FROM validation_versions x WHERE x.version_id = v.version_id) AS has_validation,
                EXISTS (SELECT 1 FROM deployment_tasks t WHERE t.version_id = v.version_id) AS has_task,
                EXISTS (SELECT 1 FROM region_deployments d WHERE d.version_id = v.version_id) AS live_ever
         FROM versions v WHERE v.version_id = $1",
    )
    .bind(version)
    .optional(tx)
    .await
}

pub async fn plan(tx: &mut Tx, version: VersionId, date: Option<NaiveDate>) -> Result<u64, DbError> {
    Query::new("UPDATE versions SET planned_production_date = $2, revision = revision + 1 WHERE version_id = $1")
        .bind(version)
        .bind(date)
        .run(tx)
        .await
}

pub async fn set_artifact(tx: &mut Tx, version: VersionId, digest: &str) -> Result<u64, DbError> {
    Query::new("UPDATE versions SET artifact_digest = $2, revision = revision + 1 WHERE version_id = $1")
        .bind(version)
        .bind(digest)
        .run(tx)
        .await
}

/// Notes the training job that a version came from.
pub async fn set_job(tx: &mut Tx, version: VersionId, job: JobId) -> Result<u64, DbError> {
    Query::new("UPDATE versions SET job_id = $2 WHERE version_id = $1").bind(version).bind(job).run(tx).await
}

/// Deletes a bare draft and keeps its numbers from being given again.
pub async fn delete(tx: &mut Tx, version: VersionId) -> Result<(), DbError> {
    Query::new(
        "INSERT INTO retired_version_numbers (model_id, number, ordinal)
         SELECT model_id, number, ordinal FROM versions WHERE version_id = $1",
    )
    .bind(version)
    .run(&mut *tx)
    .await?;
    Query::new("DELETE FROM version_regions WHERE version_id = $1").bind(version).run(&mut *tx).await?;
    Query::new("DELETE FROM versions WHERE version_id = $1").bind(version).run(tx).await.map(drop)
}
