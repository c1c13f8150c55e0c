//! The SQL of delegations.

use chrono::{DateTime, Utc};

use crate::db::{Conn, Db, DbError, Query, Tx};
use crate::identity::access::VISIBLE_MODEL;
use crate::identity::delegations::NewDelegation;
use crate::ids::{DelegationId, ModelId, UserId};

/// A delegation with the names of its people.
#[derive(Debug, sqlx::FromRow)]
pub struct DelegationRow {
    pub delegation_id: DelegationId,
    pub model_id: ModelId,
    pub model_name: String,
    pub user_id: UserId,
    pub user_name: String,
    pub user_email: String,
    pub can_deploy: bool,
    pub can_submit_changes: bool,
    pub granted_by_name: String,
    pub granted_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
    pub revoked_by_name: Option<String>,
}

const DELEGATIONS: &str = "SELECT d.delegation_id, d.model_id, m.name AS model_name, d.user_id, u.name AS user_name,
        u.email AS user_email, d.can_deploy, d.can_submit_changes, g.name AS granted_by_name, d.granted_at,
        d.expires_at, d.revoked_at, b.name AS revoked_by_name
    FROM delegations d JOIN models m ON m.model_id = d.model_id JOIN users u ON u.user_id = d.user_id
    JOIN users g ON g.user_id = d.granted_by_id LEFT JOIN users b ON b.user_id = d.revoked_by_id
    WHERE TRUE";

pub async fn of_model(db: &Db, model: ModelId) -> Result<Vec<DelegationRow>, DbError> {
    Query::new(DELEGATIONS)
        .when(" AND d.model_id = {}", Some(model))
        .push(" ORDER BY d.delegation_id DESC LIMIT 500")
        .all(db)
        .await
}

/// What was lent to a person; with `only_visible_to`, on the models that this MEMBER may see.
pub async fn of_user(
    db: &Db,
    user: UserId,
    only_visible_to: Option<UserId>,
    now: DateTime<Utc>,
) -> Result<Vec<DelegationRow>, DbError> {
    let query = match only_visible_to {
        Some(viewer) => Query::new(DELEGATIONS).bind(viewer).bind(now).push(" AND ").push(VISIBLE_MODEL),
        None => Query::new(DELEGATIONS),
    };
    query.when(" AND d.user_id = {}", Some(user)).push(" ORDER BY d.delegation_id DESC LIMIT 500").all(db).await
}

pub async fn one(conn: impl Into<Conn<'_>>, delegation: DelegationId) -> Result<Option<DelegationRow>, DbError> {
    Query::new(DELEGATIONS).when(" AND d.delegation_id = {}", Some(delegation)).optional(conn).await
}

/// The two sides of a loan.
#[derive(Debug, sqlx::FromRow)]
pub struct Parties {
    pub owner_id: UserId,
    pub disabled: bool,
}

/// The model's owner, and whether the person to be lent to exists and can sign in.
pub async fn parties(tx: &mut Tx, model: ModelId, user: UserId) -> Result<Option<Parties>, DbError> {
    Query::new("SELECT m.owner_id, u.disabled FROM models m, users u WHERE m.model_id = $1 AND u.user_id = $2")
        .bind(model)
        .bind(user)
        .optional(tx)
        .await
}

pub async fn add(
    tx: &mut Tx,
    model: ModelId,
    new: &NewDelegation,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<DelegationId, DbError> {
    Query::new(
        "INSERT INTO delegations (model_id, user_id, can_deploy, can_submit_changes, granted_by_id, granted_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING delegation_id",
    )
    .bind(model)
    .bind(new.user_id)
    .bind(new.can_deploy)
    .bind(new.can_submit_changes)
    .bind(by)
    .bind(now)
    .bind(new.expires_at.map(crate::db::storable))
    .one::<(DelegationId,)>(tx)
    .await
    .map(|row| row.0)
}

pub async fn revoke(tx: &mut Tx, delegation: DelegationId, by: UserId, now: DateTime<Utc>) -> Result<u64, DbError> {
    Query::new(
        "UPDATE delegations SET revoked_at = $2, revoked_by_id = $3 WHERE delegation_id = $1 AND revoked_at IS NULL",
    )
    .bind(delegation)
    .bind(now)
    .bind(by)
    .run(tx)
    .await
}

/// Revokes whatever a person was lent on a model, expired or not, and returns what it was.
pub async fn revoke_of(
    tx: &mut Tx,
    model: ModelId,
    user: UserId,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<Vec<DelegationId>, DbError> {
    let rows: Vec<(DelegationId,)> = Query::new(
        "UPDATE delegations SET revoked_at = $3, revoked_by_id = $4 WHERE model_id = $1 AND user_id = $2 AND revoked_at IS NULL
         RETURNING delegation_id",
    )
    .bind(model)
    .bind(user)
    .bind(now)
    .bind(by)
    .all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}
