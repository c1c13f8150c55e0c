//! The SQL of endpoints that others run.

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::db::{Db, DbError, Query, Tx, json_list};
use crate::deployments::external::NewExternal;
use crate::deployments::rules::DeploymentState;
use crate::ids::{DeploymentId, ModelId};

pub async fn insert_external(
    tx: &mut Tx,
    new: &NewExternal,
    model: ModelId,
    digest: &str,
    now: DateTime<Utc>,
) -> Result<DeploymentId, DbError> {
    Query::new(
        "INSERT INTO deployments (environment_id, model_id, version_id, runtime_key, state, endpoint, readiness_url, metrics_source,
             weight, digest, created_at)
         VALUES ($1, $2, $3, '', 'deploying', $4, $5, $6, 100, $7, $8) RETURNING deployment_id",
    )
    .bind(new.environment_id)
    .bind(model)
    .bind(new.version_id)
    .bind(&new.endpoint)
    .bind(new.readiness_url.clone())
    .bind(new.metrics.as_ref().and_then(|source| serde_json::to_string(source).ok()))
    .bind(digest)
    .bind(now)
    .one::<(DeploymentId,)>(tx)
    .await
    .map(|row| row.0)
}

/// The external endpoints, and where each says that it is ready.
pub async fn externals(db: &Db) -> Result<Vec<(DeploymentId, String)>, DbError> {
    Query::new(
        "SELECT deployment_id, readiness_url FROM deployments WHERE readiness_url IS NOT NULL AND ended_at IS NULL",
    )
    .all(db)
    .await
}

/// The states of the external endpoints, locked: of two servers that saw the same change one records it.
pub async fn lock_externals(tx: &mut Tx) -> Result<Vec<(DeploymentId, ModelId, DeploymentState)>, DbError> {
    Query::new(
        "SELECT deployment_id, model_id, state FROM deployments WHERE readiness_url IS NOT NULL AND ended_at IS NULL
         ORDER BY deployment_id",
    )
    .for_update()
    .all(tx)
    .await
}

/// What a probe found.
#[derive(Debug)]
pub struct Probed {
    pub deployment_id: DeploymentId,
    pub state: DeploymentState,
    pub reason: Option<String>,
}

/// Writes down what the probes found, of those that were not retired meanwhile.
pub async fn probed(tx: &mut Tx, found: &[Probed], now: DateTime<Utc>) -> Result<u64, DbError> {
    let rows = found.iter().map(|one| json!({ "id": one.deployment_id, "state": one.state, "reason": one.reason }));
    Query::new(
        "UPDATE deployments SET state = n.state, reason = n.reason, observed_at = $2,
             active_at = CASE WHEN n.state = 'active' THEN COALESCE(active_at, $2) ELSE active_at END,
             revision = revision + CASE WHEN deployments.state = n.state THEN 0 ELSE 1 END
         FROM (SELECT CAST(value ->> 'id' AS BIGINT) AS id, value ->> 'state' AS state, value ->> 'reason' AS reason
               FROM json_each($1)) n
         WHERE n.id = deployments.deployment_id AND deployments.ended_at IS NULL",
    )
    .bind(json_list(rows))
    .bind(now)
    .run(tx)
    .await
}
