//! The SQL of environments.

use chrono::{DateTime, Utc};

use super::{EnvironmentBody, EnvironmentView, FreezeWindow, NewFreeze};
use crate::db::{Conn, Db, DbError, Query, Tx};
use crate::identity::access::RELATED_MODELS;
use crate::ids::{EnvironmentId, FreezeId, ProjectId, RegionId, UserId};

const VIEW: &str =
    "SELECT e.environment_id, e.name, e.project_id, p.name AS project_name, e.region_id, r.code AS region_code,
        e.stage, e.runtime, e.endpoint, e.state, e.approval_required, e.preview_minutes, w.reason AS frozen_reason,
        w.ends_at AS frozen_until,
        (SELECT COUNT(*) FROM deployments d WHERE d.environment_id = e.environment_id
           AND d.state IN ('deploying', 'active', 'paused')) AS deployments,
        e.created_at, e.revision
    FROM environments e JOIN regions r ON r.region_id = e.region_id LEFT JOIN projects p ON p.project_id = e.project_id
    LEFT JOIN freeze_windows w ON w.freeze_id = (SELECT MAX(f.freeze_id) FROM freeze_windows f
        WHERE f.environment_id = e.environment_id AND f.starts_at <= $2 AND f.ends_at > $2)
    WHERE ($1 IS NULL OR e.region_id IN (SELECT mr.region_id FROM model_regions mr WHERE mr.model_id IN ";

/// All of them by name; only those of the regions where `only` has a model, if it is given.
pub async fn all(db: &Db, only: Option<UserId>, now: DateTime<Utc>) -> Result<Vec<EnvironmentView>, DbError> {
    Query::new(VIEW).push(RELATED_MODELS).push(")) ORDER BY e.name").bind(only).bind(now).all(db).await
}

pub async fn one(
    conn: impl Into<Conn<'_>>,
    environment: EnvironmentId,
    only: Option<UserId>,
    now: DateTime<Utc>,
) -> Result<Option<EnvironmentView>, DbError> {
    Query::new(VIEW)
        .push(RELATED_MODELS)
        .push(")) AND e.environment_id = $3")
        .bind(only)
        .bind(now)
        .bind(environment)
        .optional(conn)
        .await
}

/// Locks the row, so that acts on one environment do not interleave.
pub async fn lock(tx: &mut Tx, environment: EnvironmentId) -> Result<(), DbError> {
    Query::new("SELECT environment_id FROM environments WHERE environment_id = $1")
        .bind(environment)
        .for_update()
        .optional::<(EnvironmentId,)>(tx)
        .await
        .map(drop)
}

/// The windows that have not ended, by their start.
pub async fn windows(db: &Db, environment: EnvironmentId, now: DateTime<Utc>) -> Result<Vec<FreezeWindow>, DbError> {
    Query::new(
        "SELECT f.freeze_id, f.starts_at, f.ends_at, f.reason, u.name AS created_by FROM freeze_windows f
         JOIN users u ON u.user_id = f.created_by_id WHERE f.environment_id = $1 AND f.ends_at > $2 ORDER BY f.starts_at",
    )
    .bind(environment)
    .bind(now)
    .all(db)
    .await
}

/// The highest number there is.
pub async fn highest(tx: &mut Tx) -> Result<i64, DbError> {
    Query::new("SELECT COALESCE(MAX(environment_id), 0) FROM environments").one::<(i64,)>(tx).await.map(|row| row.0)
}

/// Whether the region and the project are there.
pub async fn known(tx: &mut Tx, region: RegionId, project: Option<ProjectId>) -> Result<(bool, bool), DbError> {
    Query::new(
        "SELECT EXISTS (SELECT 1 FROM regions WHERE region_id = $1),
                ($2 IS NULL OR EXISTS (SELECT 1 FROM projects WHERE project_id = $2))",
    )
    .bind(region)
    .bind(project)
    .one(tx)
    .await
}

pub async fn insert(tx: &mut Tx, body: &EnvironmentBody, now: DateTime<Utc>) -> Result<EnvironmentId, DbError> {
    Query::new(
        "INSERT INTO environments (name, project_id, region_id, stage, runtime, endpoint, state, approval_required,
             preview_minutes, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, 'ready', $7, $8, $9) RETURNING environment_id",
    )
    .bind(&body.name)
    .bind(body.project_id)
    .bind(body.region_id)
    .bind(body.stage)
    .bind(body.runtime)
    .bind(body.endpoint.clone())
    .bind(body.approval_required)
    .bind(body.preview_minutes)
    .bind(now)
    .one::<(EnvironmentId,)>(tx)
    .await
    .map(|row| row.0)
}

pub async fn update(tx: &mut Tx, environment: EnvironmentId, body: &EnvironmentBody) -> Result<u64, DbError> {
    Query::new(
        "UPDATE environments SET name = $2, project_id = $3, region_id = $4, stage = $5, runtime = $6, endpoint = $7,
             approval_required = $8, preview_minutes = $9, revision = revision + 1 WHERE environment_id = $1",
    )
    .bind(environment)
    .bind(&body.name)
    .bind(body.project_id)
    .bind(body.region_id)
    .bind(body.stage)
    .bind(body.runtime)
    .bind(body.endpoint.clone())
    .bind(body.approval_required)
    .bind(body.preview_minutes)
    .run(tx)
    .await
}

pub async fn insert_window(
    tx: &mut Tx,
    environment: EnvironmentId,
    new: &NewFreeze,
    by: UserId,
) -> Result<u64, DbError> {
    Query::new(
        "INSERT INTO freeze_windows (environment_id, starts_at, ends_at, reason, created_by_id) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(environment)
    .bind(new.starts_at)
    .bind(new.ends_at)
    .bind(&new.reason)
    .bind(by)
    .run(tx)
    .await
}

pub async fn delete_window(tx: &mut Tx, environment: EnvironmentId, freeze: FreezeId) -> Result<u64, DbError> {
    Query::new("DELETE FROM freeze_windows WHERE environment_id = $1 AND freeze_id = $2")
        .bind(environment)
        .bind(freeze)
        .run(tx)
        .await
}
