//! The SQL of deployments.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::drift::{DriftFinding, DriftKind};
use super::rules::DeploymentState;
use super::{DeploymentView, NewDeployment};
use crate::db::{Conn, Db, DbError, Query, Tx, json_list};
use crate::identity::access::RELATED_MODELS;
use crate::ids::{DeploymentId, DriftId, EnvironmentId, ModelId, ReleaseId, UserId};

mod external;
mod page;
pub use external::{Probed, externals, insert_external, lock_externals, probed};
pub use page::page;

pub async fn insert(tx: &mut Tx, new: &NewDeployment, now: DateTime<Utc>) -> Result<DeploymentId, DbError> {
    Query::new(
        "INSERT INTO deployments (environment_id, model_id, version_id, release_id, runtime_key, state, endpoint, digest,
             created_at)
         VALUES ($1, $2, $3, $4, $5, 'deploying', $6, $7, $8) RETURNING deployment_id",
    )
    .bind(new.environment_id)
    .bind(new.model_id)
    .bind(new.version_id)
    .bind(new.release_id)
    .bind(&new.runtime_key)
    .bind(&new.endpoint)
    .bind(&new.digest)
    .bind(now)
    .one::<(DeploymentId,)>(tx)
    .await
    .map(|row| row.0)
}

pub async fn activate(
    tx: &mut Tx,
    release: ReleaseId,
    now: DateTime<Utc>,
) -> Result<Vec<(DeploymentId, ModelId)>, DbError> {
    Query::new(
        "UPDATE deployments SET state = 'active', reason = NULL, weight = 100, running_digest = digest, observed_at = $2,
             active_at = $2, revision = revision + 1 WHERE release_id = $1 RETURNING deployment_id, model_id",
    )
    .bind(release)
    .bind(now)
    .all(tx)
    .await
}

/// Ends whatever else of the model served in the environment.
pub async fn retire_others(
    tx: &mut Tx,
    release: ReleaseId,
    now: DateTime<Utc>,
) -> Result<Vec<(DeploymentId, ModelId)>, DbError> {
    Query::new(
        "UPDATE deployments SET state = 'retired', reason = NULL, weight = 0, ended_at = $2, revision = revision + 1
         WHERE state IN ('active', 'paused', 'failed', 'deploying') AND ended_at IS NULL AND release_id <> $1
           AND (environment_id, model_id) IN (SELECT r.environment_id, r.model_id FROM releases r WHERE r.release_id = $1)
         RETURNING deployment_id, model_id",
    )
    .bind(release)
    .bind(now)
    .all(tx)
    .await
}

pub async fn give_up(
    tx: &mut Tx,
    release: ReleaseId,
    state: DeploymentState,
    why: &str,
    now: DateTime<Utc>,
) -> Result<Vec<(DeploymentId, ModelId)>, DbError> {
    Query::new(
        "UPDATE deployments SET state = $2, reason = $3, ended_at = $4, revision = revision + 1 WHERE release_id = $1
         RETURNING deployment_id, model_id",
    )
    .bind(release)
    .bind(state)
    .bind(why)
    .bind(now)
    .all(tx)
    .await
}

const COLUMNS: &str = "d.deployment_id, d.environment_id, e.name AS environment_name, e.stage, e.region_id,
        g.code AS region_code, d.model_id, m.name AS model_name, d.version_id, v.number AS version_number, v.job_id, d.release_id,
        d.state, d.reason, d.endpoint, d.weight, d.digest, d.running_digest, d.observed_at, d.restarts, d.created_at,
        d.active_at, d.ended_at, d.requests_per_s, d.p95_ms, d.error_rate, d.measured_at, d.revision, d.runtime_key, d.readiness_url,
        d.readiness_url IS NOT NULL AS external";

/// The outer joins always find their row; they have the engine begin with the deployments and not with the few regions.
const DEPLOYMENTS: &str = " FROM deployments d LEFT JOIN models m ON m.model_id = d.model_id
    LEFT JOIN environments e ON e.environment_id = d.environment_id
    LEFT JOIN regions g ON g.region_id = e.region_id LEFT JOIN versions v ON v.version_id = d.version_id ";

pub async fn view(conn: impl Into<Conn<'_>>, deployment: DeploymentId) -> Result<Option<DeploymentView>, DbError> {
    Query::new("SELECT ")
        .push(COLUMNS)
        .push(DEPLOYMENTS)
        .push("WHERE d.deployment_id = $1")
        .bind(deployment)
        .optional(conn)
        .await
}

/// The deployments of an environment that were applied and have not ended; not those that others run.
pub async fn applied_in(conn: impl Into<Conn<'_>>, environment: EnvironmentId) -> Result<Vec<DeploymentView>, DbError> {
    Query::new("SELECT ")
        .push(COLUMNS)
        .push(DEPLOYMENTS)
        .push(
            "WHERE d.environment_id = $1 AND d.ended_at IS NULL AND d.active_at IS NOT NULL
             AND d.readiness_url IS NULL ORDER BY d.deployment_id",
        )
        .bind(environment)
        .all(conn)
        .await
}

/// Moves a deployment on request.
pub async fn set_state(
    tx: &mut Tx,
    deployment: DeploymentId,
    state: DeploymentState,
    now: DateTime<Utc>,
) -> Result<u64, DbError> {
    Query::new(
        "UPDATE deployments SET state = $2, reason = NULL, revision = revision + 1,
             ended_at = CASE WHEN $2 = 'retired' THEN $3 ELSE ended_at END,
             weight = CASE WHEN $2 = 'retired' THEN 0 ELSE weight END WHERE deployment_id = $1",
    )
    .bind(deployment)
    .bind(state)
    .bind(now)
    .run(tx)
    .await
}

/// What an observation found.
#[derive(Debug, Clone)]
pub struct Observed {
    pub state: DeploymentState,
    pub reason: Option<String>,
    pub weight: i64,
    pub running_digest: Option<String>,
    pub restarts: i64,
    /// Where its statistics are read, as [`crate::metrics::MetricsSource`] is stored.
    pub metrics_source: Option<String>,
}

/// Writes down how deployments are, all in one statement.
pub async fn observed(tx: &mut Tx, found: &[(DeploymentId, Observed)], now: DateTime<Utc>) -> Result<u64, DbError> {
    let rows = found.iter().map(|(deployment, one)| {
        json!({ "id": deployment, "state": one.state, "reason": one.reason, "weight": one.weight,
                "digest": one.running_digest, "restarts": one.restarts, "source": one.metrics_source })
    });
    Query::new(
        "UPDATE deployments SET state = n.state, reason = n.reason, weight = n.weight, running_digest = n.digest,
             restarts = n.restarts, observed_at = $2, metrics_source = n.source,
             revision = revision + CASE WHEN deployments.state = n.state THEN 0 ELSE 1 END
         FROM (SELECT CAST(value ->> 'id' AS BIGINT) AS id, value ->> 'state' AS state, value ->> 'reason' AS reason,
                      CAST(value ->> 'weight' AS BIGINT) AS weight, value ->> 'digest' AS digest,
                      CAST(value ->> 'restarts' AS BIGINT) AS restarts, value ->> 'source' AS source FROM json_each($1)) n
         WHERE deployments.deployment_id = n.id AND deployments.ended_at IS NULL",
    )
    .bind(json_list(rows))
    .bind(now)
    .run(tx)
    .await
}

// Drift -------------------------------------------------------------------------------------------

/// What differs now, in production: a row a difference.
const DIFFERENCES: &str = "(
    SELECT 'digest_differs' AS kind, d.model_id, e.region_id, d.version_id, d.deployment_id,
           'approved ' || d.digest || ', running ' || d.running_digest AS detail
    FROM deployments d JOIN environments e ON e.environment_id = d.environment_id
    WHERE e.stage = 'production' AND d.ended_at IS NULL AND d.running_digest IS NOT NULL AND d.running_digest <> d.digest
    UNION ALL
    SELECT 'running_not_ratified', d.model_id, e.region_id, d.version_id, d.deployment_id,
           'Version ' || v.number || ' runs in ' || e.name || '; ' || COALESCE(lv.number || ' is ratified', 'none is ratified')
    FROM deployments d JOIN environments e ON e.environment_id = d.environment_id JOIN versions v ON v.version_id = d.version_id
    LEFT JOIN region_deployments l ON l.model_id = d.model_id AND l.region_id = e.region_id AND l.live_to IS NULL
    LEFT JOIN versions lv ON lv.version_id = l.version_id
    WHERE e.stage = 'production' AND d.ended_at IS NULL AND d.state IN ('active', 'paused')
      AND (l.version_id IS NULL OR l.version_id <> d.version_id)
    UNION ALL
    SELECT 'ratified_not_running', l.model_id, l.region_id, l.version_id, NULL,
           'Version ' || v.number || ' is ratified, and no deployment of it serves in the region'
    FROM region_deployments l JOIN versions v ON v.version_id = l.version_id
    WHERE l.live_to IS NULL
      AND EXISTS (SELECT 1 FROM deployments d JOIN environments e ON e.environment_id = d.environment_id
                  WHERE d.model_id = l.model_id AND e.region_id = l.region_id AND e.stage = 'production' AND d.active_at IS NOT NULL)
      AND NOT EXISTS (SELECT 1 FROM deployments d JOIN environments e ON e.environment_id = d.environment_id
                  WHERE d.model_id = l.model_id AND e.region_id = l.region_id AND e.stage = 'production'
                    AND d.version_id = l.version_id AND d.ended_at IS NULL AND d.state IN ('active', 'paused')))";

/// The condition under which difference `x` is the open finding `f`.
const SAME: &str = "f.ended_at IS NULL AND f.kind = x.kind AND f.model_id = x.model_id AND f.region_id = x.region_id
    AND COALESCE(f.deployment_id, 0) = COALESCE(x.deployment_id, 0) AND f.detail = x.detail";

/// Whether the findings are not those that there should be.
pub async fn drift_moved(db: &Db) -> Result<bool, DbError> {
    Query::new("SELECT EXISTS (SELECT 1 FROM ")
        .push(DIFFERENCES)
        .push(" x WHERE NOT EXISTS (SELECT 1 FROM drift_findings f WHERE ")
        .push(SAME)
        .push(")) OR EXISTS (SELECT 1 FROM drift_findings f WHERE f.ended_at IS NULL AND NOT EXISTS (SELECT 1 FROM ")
        .push(DIFFERENCES)
        .push(" x WHERE ")
        .push(SAME)
        .push("))")
        .one::<(bool,)>(db)
        .await
        .map(|row| row.0)
}

pub async fn end_drift(tx: &mut Tx, now: DateTime<Utc>) -> Result<Vec<(DriftId, ModelId)>, DbError> {
    Query::new("UPDATE drift_findings AS f SET ended_at = $1 WHERE f.ended_at IS NULL AND NOT EXISTS (SELECT 1 FROM ")
        .push(DIFFERENCES)
        .push(" x WHERE ")
        .push(SAME)
        .push(") RETURNING drift_id, model_id")
        .bind(now)
        .all(tx)
        .await
}

pub async fn note_drift(
    tx: &mut Tx,
    now: DateTime<Utc>,
) -> Result<Vec<(DriftId, ModelId, DriftKind, String)>, DbError> {
    Query::new(
        "INSERT INTO drift_findings (kind, model_id, region_id, version_id, deployment_id, detail, found_at)
         SELECT x.kind, x.model_id, x.region_id, x.version_id, x.deployment_id, x.detail, $1 FROM ",
    )
    .push(DIFFERENCES)
    .push(" x WHERE NOT EXISTS (SELECT 1 FROM drift_findings f WHERE ")
    .push(SAME)
    // Another server may note the same at this moment.
    .push(") ON CONFLICT DO NOTHING RETURNING drift_id, model_id, kind, detail")
    .bind(now)
    .all(tx)
    .await
}

/// The open findings, newest first. A member (`$1`) sees those of the models they have a relation to.
pub async fn open_drift(db: &Db, member: Option<UserId>, now: DateTime<Utc>) -> Result<Vec<DriftFinding>, DbError> {
    Query::new(
        "SELECT f.drift_id, f.kind, f.model_id, m.name AS model_name, f.region_id, g.code AS region_code, f.version_id,
                v.number AS version_number, f.deployment_id, f.detail, f.found_at
         FROM drift_findings f JOIN models m ON m.model_id = f.model_id JOIN regions g ON g.region_id = f.region_id
         LEFT JOIN versions v ON v.version_id = f.version_id
         WHERE f.ended_at IS NULL AND ($1 IS NULL OR $2 IS NULL OR f.model_id IN ",
    )
    .push(RELATED_MODELS)
    .push(") ORDER BY f.found_at DESC, f.drift_id DESC LIMIT 500")
    .bind(member)
    .bind(now)
    .all(db)
    .await
}
