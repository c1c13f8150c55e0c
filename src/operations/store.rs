//! The SQL of operations.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::rules::{OperationKind, OperationState, StepState};
use super::{NewOperation, NewStep, Operation, Step};
use crate::db::{Conn, Db, DbError, Query, Tx, json_list};
use crate::ids::{EnvironmentId, OperationId};

pub async fn insert(tx: &mut Tx, new: &NewOperation, now: DateTime<Utc>) -> Result<OperationId, DbError> {
    Query::new(
        "INSERT INTO operations (kind, subject_id, environment_id, state, requested_by_id, created_at)
         VALUES ($1, $2, $3, 'queued', $4, $5) RETURNING operation_id",
    )
    .bind(new.kind)
    .bind(new.subject_id)
    .bind(new.environment_id)
    .bind(new.requested_by)
    .bind(now)
    .one::<(OperationId,)>(tx)
    .await
    .map(|row| row.0)
}

/// All steps in one statement.
pub async fn insert_steps(tx: &mut Tx, operation: OperationId, steps: &[NewStep]) -> Result<u64, DbError> {
    let rows = steps.iter().enumerate().map(|(position, one)| {
        json!({ "position": position, "name": one.name, "sentence": one.sentence, "step": one.step,
                "is_undo": i64::from(one.is_undo) })
    });
    Query::new(
        "INSERT INTO operation_steps (operation_id, position, name, sentence, step, is_undo, state)
         SELECT $1, CAST(value ->> 'position' AS BIGINT), value ->> 'name', value ->> 'sentence', value ->> 'step',
                CAST(value ->> 'is_undo' AS BIGINT) = 1, 'waiting' FROM json_each($2)",
    )
    .bind(operation)
    .bind(json_list(rows))
    .run(tx)
    .await
}

pub async fn is_busy(conn: impl Into<Conn<'_>>, environment: EnvironmentId) -> Result<bool, DbError> {
    Query::new("SELECT operation_id FROM operations WHERE environment_id = $1 AND state IN ('queued', 'running')")
        .bind(environment)
        .optional::<(OperationId,)>(conn)
        .await
        .map(|found| found.is_some())
}

pub async fn ask_cancel(tx: &mut Tx, kind: OperationKind, subject: i64) -> Result<u64, DbError> {
    Query::new(
        "UPDATE operations SET cancel_asked = TRUE WHERE kind = $1 AND subject_id = $2 AND state IN ('queued', 'running')",
    )
    .bind(kind)
    .bind(subject)
    .run(tx)
    .await
}

const STEP: &str =
    "SELECT s.position, s.name, s.sentence, s.step, s.is_undo, s.state, s.detail, s.attempts, s.started_at,
        s.ended_at FROM operation_steps s ";

pub async fn steps(db: &Db, operation: OperationId) -> Result<Vec<Step>, DbError> {
    Query::new(STEP).push("WHERE s.operation_id = $1 ORDER BY s.position").bind(operation).all(db).await
}

pub async fn steps_of(conn: impl Into<Conn<'_>>, kind: OperationKind, subject: i64) -> Result<Vec<Step>, DbError> {
    Query::new(STEP)
        .push("JOIN operations o ON o.operation_id = s.operation_id WHERE o.kind = $1 AND o.subject_id = $2 ORDER BY s.position")
        .bind(kind)
        .bind(subject)
        .all(conn)
        .await
}

/// Whether there is anything to claim; asked before every claim, since a claim takes the writer.
pub async fn any_due(db: &Db, now: DateTime<Utc>) -> Result<bool, DbError> {
    Query::new(
        "SELECT operation_id FROM operations
         WHERE state IN ('queued', 'running') AND (leased_until IS NULL OR leased_until <= $1) LIMIT 1",
    )
    .bind(now)
    .optional::<(OperationId,)>(db)
    .await
    .map(|found| found.is_some())
}

/// Takes the oldest operation that nobody holds. Of two who ask at once the second finds the lease taken: the outer
/// condition is looked at again once the first is done.
pub async fn claim(
    tx: &mut Tx,
    worker: &str,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<Option<Operation>, DbError> {
    Query::new(
        "UPDATE operations SET state = 'running', worker = $1, fence = fence + 1, leased_until = $3
         WHERE operation_id = (SELECT operation_id FROM operations
                 WHERE state IN ('queued', 'running') AND (leased_until IS NULL OR leased_until <= $2)
                 ORDER BY operation_id LIMIT 1)
           AND state IN ('queued', 'running') AND (leased_until IS NULL OR leased_until <= $2)
         RETURNING operation_id, kind, subject_id, environment_id, requested_by_id, fence, cancel_asked",
    )
    .bind(worker)
    .bind(now)
    .bind(until)
    .optional(tx)
    .await
}

/// Holds on to an operation; whether it is to be given up, or nothing if somebody else has it now.
pub async fn renew(tx: &mut Tx, held: &Operation, until: DateTime<Utc>) -> Result<Option<bool>, DbError> {
    Query::new(
        "UPDATE operations SET leased_until = $3 WHERE operation_id = $1 AND fence = $2 AND state = 'running'
         RETURNING cancel_asked",
    )
    .bind(held.operation_id)
    .bind(held.fence)
    .bind(until)
    .optional::<(bool,)>(tx)
    .await
    .map(|row| row.map(|row| row.0))
}

/// Forgets all leases: for a server that knows itself to be the only one.
pub async fn forget_leases(tx: &mut Tx) -> Result<u64, DbError> {
    Query::new("UPDATE operations SET leased_until = NULL WHERE state = 'running' AND leased_until IS NOT NULL")
        .run(tx)
        .await
}

pub async fn begin_step(
    tx: &mut Tx,
    operation: OperationId,
    position: i64,
    now: DateTime<Utc>,
) -> Result<u64, DbError> {
    Query::new(
        "UPDATE operation_steps SET state = 'running', attempts = attempts + 1, started_at = COALESCE(started_at, $3)
         WHERE operation_id = $1 AND position = $2",
    )
    .bind(operation)
    .bind(position)
    .bind(now)
    .run(tx)
    .await
}

pub async fn end_step(
    tx: &mut Tx,
    operation: OperationId,
    position: i64,
    state: StepState,
    detail: &str,
    now: DateTime<Utc>,
) -> Result<u64, DbError> {
    Query::new(
        "UPDATE operation_steps SET state = $3, detail = $4, ended_at = $5 WHERE operation_id = $1 AND position = $2",
    )
    .bind(operation)
    .bind(position)
    .bind(state)
    .bind(detail)
    .bind(now)
    .run(tx)
    .await
}

/// Ends an operation that is still held under the fence; nothing is touched if it is not.
pub async fn end(tx: &mut Tx, held: &Operation, state: OperationState, now: DateTime<Utc>) -> Result<u64, DbError> {
    Query::new(
        "UPDATE operations SET state = $3, ended_at = $4, leased_until = NULL
         WHERE operation_id = $1 AND fence = $2 AND state = 'running'",
    )
    .bind(held.operation_id)
    .bind(held.fence)
    .bind(state)
    .bind(now)
    .run(tx)
    .await
}
