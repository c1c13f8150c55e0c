//! The SQL of API tokens.

use chrono::{DateTime, Utc};

use crate::db::{Conn, Db, DbError, Query, Tx};
use crate::identity::rules::TokenScope;
use crate::identity::tokens::TokenView;
use crate::ids::{TokenId, UserId};

pub async fn add(
    tx: &mut Tx,
    user: UserId,
    name: &str,
    token_hash: &str,
    scope: TokenScope,
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> Result<TokenView, DbError> {
    Query::new(
        "INSERT INTO api_tokens (user_id, name, token_hash, scope, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)
         RETURNING token_id, name, scope, created_at, expires_at, last_used_at, revoked_at",
    )
    .bind(user)
    .bind(name)
    .bind(token_hash)
    .bind(scope)
    .bind(now)
    .bind(expires_at)
    .one(tx)
    .await
}

/// A person's tokens, the newest first.
pub async fn of_user(db: &Db, user: UserId) -> Result<Vec<TokenView>, DbError> {
    Query::new(
        "SELECT token_id, name, scope, created_at, expires_at, last_used_at, revoked_at
         FROM api_tokens WHERE user_id = $1 ORDER BY token_id DESC LIMIT 200",
    )
    .bind(user)
    .all(db)
    .await
}

pub async fn one(conn: impl Into<Conn<'_>>, token: TokenId) -> Result<Option<TokenView>, DbError> {
    Query::new(
        "SELECT token_id, name, scope, created_at, expires_at, last_used_at, revoked_at FROM api_tokens WHERE token_id = $1",
    )
    .bind(token)
    .optional(conn)
    .await
}

pub async fn owner(tx: &mut Tx, token: TokenId) -> Result<Option<UserId>, DbError> {
    let row: Option<(UserId,)> =
        Query::new("SELECT user_id FROM api_tokens WHERE token_id = $1").bind(token).optional(tx).await?;
    Ok(row.map(|row| row.0))
}

pub async fn revoke(tx: &mut Tx, token: TokenId, now: DateTime<Utc>) -> Result<u64, DbError> {
    Query::new("UPDATE api_tokens SET revoked_at = $2 WHERE token_id = $1 AND revoked_at IS NULL")
        .bind(token)
        .bind(now)
        .run(tx)
        .await
}

pub async fn revoke_all(tx: &mut Tx, user: UserId, now: DateTime<Utc>) -> Result<u64, DbError> {
    Query::new("UPDATE api_tokens SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2")
        .bind(user)
        .bind(now)
        .run(tx)
        .await
}
