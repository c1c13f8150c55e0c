//! The SQL of artifacts.

use chrono::{DateTime, Utc};

use super::Digest;
use crate::db::{DbError, Query, Tx};
use crate::ids::UserId;

/// Notes an artifact; with a size its bytes are kept here, which stays so.
pub async fn record(
    tx: &mut Tx,
    digest: &Digest,
    size: Option<i64>,
    file_name: &str,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    Query::new(
        "INSERT INTO artifacts (digest, size_bytes, file_name, stored, recorded_by_id, recorded_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (digest) DO UPDATE SET stored = artifacts.stored OR excluded.stored,
                size_bytes = COALESCE(artifacts.size_bytes, excluded.size_bytes),
                file_name = CASE WHEN artifacts.stored THEN artifacts.file_name ELSE excluded.file_name END",
    )
    .bind(digest.as_str())
    .bind(size)
    .bind(file_name)
    .bind(size.is_some())
    .bind(by)
    .bind(now)
    .run(tx)
    .await
    .map(drop)
}
