//! The dashboard's counts: two statements, whatever the size.

use chrono::{DateTime, Utc};

use crate::approvals::DECIDABLE;
use crate::db::{Db, DbError, Query};
use crate::identity::access::RELATED_MODELS;
use crate::ids::{TicketId, UserId};

/// How many things of a kind are in a state.
#[derive(Debug, sqlx::FromRow)]
pub struct StateCount {
    /// `model`, `validation`, `deployment`, `job`, `tickets`, `overrides`, `drift` or `ready`.
    pub kind: String,
    /// The state or status of what is counted.
    pub word: String,
    /// How many.
    pub count: i64,
}

/// A ticket that waits for the person.
#[derive(Debug, sqlx::FromRow)]
pub struct Due {
    /// Its number in addresses.
    pub ticket_id: TicketId,
    /// The question.
    pub subject: String,
    /// When it is due.
    pub due_at: DateTime<Utc>,
}

/// What the person may see all of; of the rest they see what they have a relation to.
#[derive(Debug, Clone, Copy)]
pub struct Sight {
    pub models: bool,
    pub tickets: bool,
}

/// Models by status, open validations, deployments and training jobs by state, drift, pending tickets, overrides under review, and the pairs
/// that are ready in all models.
pub async fn counts(db: &Db, user: UserId, now: DateTime<Utc>, sees: Sight) -> Result<Vec<StateCount>, DbError> {
    let mut query = Query::new("SELECT 'model' AS kind, m.status AS word, COUNT(*) AS count FROM models m");
    if !sees.models {
        query = query.push(" WHERE m.model_id IN ").push(RELATED_MODELS);
    }
    query = query.push(
        " GROUP BY m.status
          UNION ALL SELECT 'validation', r.state, COUNT(*) FROM validation_requests r
          WHERE r.state IN ('INTAKE', 'PLANNING', 'IN_PROGRESS', 'REVIEW', 'PENDING_APPROVAL', 'REVISION', 'ON_HOLD')",
    );
    if !sees.models {
        query = query
            .push(
                " AND EXISTS (SELECT 1 FROM validation_versions vv JOIN versions v ON v.version_id = vv.version_id
                              WHERE vv.request_id = r.request_id AND v.model_id IN ",
            )
            .push(RELATED_MODELS)
            .push(")");
    }
    query = query.push(
        " GROUP BY r.state
          UNION ALL SELECT 'tickets', '', COUNT(*) FROM approval_inbox_items i WHERE i.state = 'pending'",
    );
    if !sees.tickets {
        query = query
            .push(" AND (i.requested_by_id = $1 OR i.assigned_to_id = $1 OR i.model_id IN ")
            .push(RELATED_MODELS)
            .push(")");
    }
    query = query.push(" UNION ALL SELECT 'drift', '', COUNT(*) FROM drift_findings f WHERE f.ended_at IS NULL");
    if !sees.models {
        query = query.push(" AND f.model_id IN ").push(RELATED_MODELS);
    }
    query =
        query.push(" UNION ALL SELECT 'deployment', d.state, COUNT(*) FROM deployments d WHERE d.state <> 'retired'");
    if !sees.models {
        query = query.push(" AND d.model_id IN ").push(RELATED_MODELS);
    }
    query = query.push(
        " GROUP BY d.state
          UNION ALL SELECT 'job', j.state, COUNT(*) FROM training_jobs j WHERE j.deleted_at IS NULL",
    );
    if !sees.models {
        query = query
            .push(" AND (j.model_id IN ")
            .push(RELATED_MODELS)
            .push(" OR (j.model_id IS NULL AND j.requested_by_id = $1))");
    }
    query = query.push(
        " GROUP BY j.state
          UNION ALL SELECT 'overrides', '', COUNT(*) FROM override_reviews WHERE state = 'OPEN'
          UNION ALL SELECT 'ready', '', pairs FROM ready_totals WHERE region_id = 0
          ORDER BY 1, 2",
    );
    // The person is a parameter only where something is hidden from them.
    if sees.models && sees.tickets { query } else { query.bind(user).bind(now) }.all(db).await
}

/// The tickets that the person can decide, the most urgent first.
pub async fn due(db: &Db, user: UserId) -> Result<Vec<Due>, DbError> {
    Query::new("SELECT i.ticket_id, i.subject, i.due_at FROM approval_inbox_items i")
        .push(DECIDABLE)
        .push(" ORDER BY i.due_at, i.ticket_id LIMIT 8")
        .bind(user)
        .all(db)
        .await
}
