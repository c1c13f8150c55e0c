//! The SQL of the ledger.

use chrono::{DateTime, Utc};
use countersign_ledger::{Head, Sealed};

use super::IdempotencyKey;
use crate::db::{Db, DbError, Query, Tx};
use crate::ids::UserId;

/// The end of the chain, locked until the transaction ends.
pub async fn lock_head(tx: &mut Tx) -> Result<Head, DbError> {
    let (seq, hash) =
        Query::new("SELECT seq, hash FROM ledger_head WHERE one = 1").for_update().one::<(i64, String)>(tx).await?;
    Ok(Head { seq, hash })
}

/// Appends sealed entries, whatever their number, in one statement, and moves the head.
pub async fn append(tx: &mut Tx, at: DateTime<Utc>, sealed: &[Sealed], head: &Head) -> Result<(), DbError> {
    Query::new(
        "INSERT INTO ledger_entries (seq, at, actor_id, actor, agent, action, entity, entity_id, model_id,
                                     before, after, reason, request_id, prev_hash, hash)
         SELECT CAST(value ->> 'seq' AS BIGINT), $2, CAST(value ->> 'actor_id' AS BIGINT), value ->> 'actor',
                value ->> 'agent', value ->> 'action', value ->> 'entity', value ->> 'entity_id',
                CAST(value ->> 'model_id' AS BIGINT), value ->> 'before', value ->> 'after', value ->> 'reason',
                value ->> 'request_id', value ->> 'prev_hash', value ->> 'hash'
         FROM json_each($1)",
    )
    .bind(crate::db::json_list(sealed))
    .bind(at)
    .run(&mut *tx)
    .await?;
    Query::new("UPDATE ledger_head SET seq = $1, hash = $2 WHERE one = 1")
        .bind(head.seq)
        .bind(&head.hash)
        .run(tx)
        .await
        .map(drop)
}

/// Claims an idempotency key for the act in whose transaction this is.
pub async fn claim_key(tx: &mut Tx, user: UserId, key: &IdempotencyKey, now: DateTime<Utc>) -> Result<(), DbError> {
    Query::new("INSERT INTO idempotency_keys (user_id, key, request, created_at) VALUES ($1, $2, $3, $4)")
        .bind(user)
        .bind(&key.key)
        .bind(&key.request)
        .bind(now)
        .run(tx)
        .await
        .map(drop)
}

/// The request, status and body kept for a key.
pub async fn key(db: &Db, user: UserId, key: &str) -> Result<Option<(String, Option<i64>, Option<String>)>, DbError> {
    Query::new("SELECT request, status, answer FROM idempotency_keys WHERE user_id = $1 AND key = $2")
        .bind(user)
        .bind(key)
        .optional(db)
        .await
}

/// Keeps the answer of a claimed key.
pub async fn keep_answer(db: &Db, user: UserId, key: &str, status: i64, answer: &str) -> Result<(), DbError> {
    Query::new("UPDATE idempotency_keys SET status = $3, answer = $4 WHERE user_id = $1 AND key = $2")
        .bind(user)
        .bind(key)
        .bind(status)
        .bind(answer)
        .run(db)
        .await
        .map(drop)
}
