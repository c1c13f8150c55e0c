//! The SQL of the ledger.

use chrono::{DateTime, Utc};
use countersign_ledger::{Head, Sealed};

use super::IdempotencyKey;
use super::ledger::{LedgerFilter, Row};
use crate::db::{Conn, Db, DbError, Query, Tx};
use crate::ids::{ModelId, UserId};
use crate::web::paging::like_pattern;

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

// Reading ---------------------------------------------------------------------------------------

const ENTRY: &str = "SELECT l.seq, l.at, l.actor_id, l.actor, l.agent, l.action, l.entity, l.entity_id, l.model_id,
        l.before, l.after, l.reason, l.request_id, l.prev_hash, l.hash FROM ledger_entries l";

/// The recorded end, and the number of the last entry there is.
#[derive(Debug)]
pub struct End {
    pub head: Head,
    pub last: i64,
}

pub async fn head(db: &Db) -> Result<End, DbError> {
    let (seq, hash, last) = Query::new(
        "SELECT seq, hash, COALESCE((SELECT MAX(seq) FROM ledger_entries), 0) FROM ledger_head WHERE one = 1",
    )
    .one::<(i64, String, i64)>(db)
    .await?;
    Ok(End { head: Head { seq, hash }, last })
}

/// How many entries exports and verifications take at once.
const AT_ONCE: i64 = 1000;

/// Entries in the order of storage, for verification.
pub async fn chain(db: &Db, after: i64, last: i64) -> Result<Vec<Row>, DbError> {
    Query::new(ENTRY)
        .push(" WHERE l.seq > $1 AND l.seq <= $2 ORDER BY l.seq LIMIT $3")
        .bind(after)
        .bind(last)
        .bind(AT_ONCE)
        .all(db)
        .await
}

/// Entries that the filter matches, oldest first.
pub async fn following(db: &Db, filter: &LedgerFilter, after: i64, last: i64) -> Result<Vec<Row>, DbError> {
    matching(Query::new(ENTRY).push(" WHERE TRUE"), filter)
        .when(" AND l.seq > {}", Some(after))
        .when(" AND l.seq <= {}", Some(last))
        .push(" ORDER BY l.seq")
        .limit(AT_ONCE)
        .all(db)
        .await
}

/// Entries that the filter matches, newest first, before `before`.
pub async fn page(db: &Db, filter: &LedgerFilter, limit: i64, before: Option<i64>) -> Result<Vec<Row>, DbError> {
    matching(Query::new(ENTRY).push(" WHERE TRUE"), filter)
        .when(" AND l.seq < {}", before)
        .push(" ORDER BY l.seq DESC")
        .limit(limit + 1)
        .all(db)
        .await
}

fn matching(query: Query, filter: &LedgerFilter) -> Query {
    let (from, to) = filter.span();
    query
        .when(" AND l.actor_id = {}", filter.actor_id)
        .when(" AND LOWER(l.actor) LIKE {} ESCAPE '\\'", filter.actor.as_deref().map(like_pattern))
        .when(" AND l.action = {}", filter.action.as_deref())
        .when(" AND l.entity = {}", filter.entity.as_deref())
        .when(" AND l.entity_id = {}", filter.entity_id.as_deref())
        .when(" AND l.model_id = {}", filter.model_id)
        .when(" AND l.at >= {}", from)
        .when(" AND l.at < {}", to)
        .when(
            " AND LOWER(COALESCE(l.reason, '') || ' ' || COALESCE(l.before, '') || ' ' || COALESCE(l.after, '') || ' '
                        || l.entity_id || ' ' || l.request_id) LIKE {} ESCAPE '\\'",
            filter.q.as_deref().map(like_pattern),
        )
}

/// A model's entries, newest first.
pub async fn of_model(
    conn: impl Into<Conn<'_>>,
    model: ModelId,
    limit: i64,
    before: Option<i64>,
) -> Result<Vec<Row>, DbError> {
    Query::new(ENTRY)
        .push(" WHERE l.model_id = $1")
        .bind(model)
        .when(" AND l.seq < {}", before)
        .push(" ORDER BY l.seq DESC")
        .limit(limit + 1)
        .all(conn)
        .await
}

/// One thing's entries, newest first.
pub async fn of_entity(
    conn: impl Into<Conn<'_>>,
    entity: &str,
    entity_id: &str,
    limit: i64,
) -> Result<Vec<Row>, DbError> {
    Query::new(ENTRY)
        .push(" WHERE l.entity = $1 AND l.entity_id = $2 ORDER BY l.seq DESC LIMIT $3")
        .bind(entity)
        .bind(entity_id)
        .bind(limit)
        .all(conn)
        .await
}
