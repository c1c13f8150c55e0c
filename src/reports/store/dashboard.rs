//! The dashboard's counts: three statements, whatever the size.

use chrono::{DateTime, Utc};

use super::DECIDABLE;
use crate::db::{Db, DbError, Query};
use crate::identity::access::RELATED_MODELS;
use crate::ids::{TicketId, UserId};

/// Counts of work.
#[derive(Debug, sqlx::FromRow)]
pub struct Counts {
    /// Pairs of version and region that are ready, in all models.
    pub all_ready: i64,
    /// My open tasks whose planned date is past.
    pub overdue: i64,
    /// Pending tickets that I can see.
    pub tickets: i64,
    /// Override reviews that are open.
    pub overrides: i64,
}

/// How many things are in a state.
#[derive(Debug, sqlx::FromRow)]
pub struct StateCount {
    /// `model` or `validation`.
    pub kind: String,
    /// The state or status.
    pub word: String,
    /// How many.
    pub count: i64,
}

/// A ticket that waits for the person.
#[derive(Debug, sqlx::FromRow)]
pub struct Due {
    /// Its number.
    pub ticket_id: TicketId,
    /// The question.
    pub subject: String,
    /// When it is due.
    pub due_at: DateTime<Utc>,
}

/// A task is overdue when its planned date is past in UTC, as everywhere in lists.
pub async fn counts(db: &Db, user: UserId, now: DateTime<Utc>, all_tickets: bool) -> Result<Counts, DbError> {
    let tickets = if all_tickets {
        Query::new("SELECT (SELECT COUNT(*) FROM approval_inbox_items i WHERE i.state = 'pending') AS tickets,")
    } else {
        Query::new(
            "SELECT (SELECT COUNT(*) FROM (
                SELECT i.ticket_id FROM approval_inbox_items i WHERE i.requested_by_id = $1 AND i.state = 'pending'
                UNION SELECT i.ticket_id FROM user_roles r JOIN approval_inbox_items i",
        )
        .push(DECIDABLE)
        .push(") AS seen) AS tickets,")
    };
    tickets
        .push(
            " COALESCE((SELECT pairs FROM ready_totals WHERE region_id = 0), 0) AS all_ready,
              (SELECT COUNT(*) FROM override_reviews WHERE state = 'OPEN') AS overrides,
              (SELECT COUNT(*) FROM deployment_tasks t
               WHERE t.assigned_to_id = $1 AND t.status IN ('PENDING', 'ADJUSTED') AND t.planned_production_date < $3)
            + (SELECT COUNT(*) FROM models m JOIN deployment_tasks t ON t.model_id = m.model_id
               WHERE m.owner_id = $1 AND t.status IN ('PENDING', 'ADJUSTED') AND t.planned_production_date < $3
                 AND t.assigned_to_id <> $1)
            + (SELECT COUNT(*) FROM delegations d JOIN models m ON m.model_id = d.model_id
                                                JOIN deployment_tasks t ON t.model_id = d.model_id
               WHERE d.user_id = $1 AND d.can_deploy AND d.revoked_at IS NULL
                 AND (d.expires_at IS NULL OR d.expires_at > $2) AND t.status IN ('PENDING', 'ADJUSTED')
                 AND t.planned_production_date < $3 AND t.assigned_to_id <> $1 AND m.owner_id <> $1) AS overdue",
        )
        .bind(user)
        .bind(now)
        .bind(now.date_naive())
        .one(db)
        .await
}

/// Open validations by state and models by status, of the models the person may see.
pub async fn states(db: &Db, user: UserId, now: DateTime<Utc>, sees_all: bool) -> Result<Vec<StateCount>, DbError> {
    const OPEN: &str = " GROUP BY m.status
         UNION ALL
         SELECT 'validation', r.state, COUNT(*) FROM validation_requests r
         WHERE r.state IN ('INTAKE', 'PLANNING', 'IN_PROGRESS', 'REVIEW', 'PENDING_APPROVAL', 'REVISION', 'ON_HOLD')";
    let query = Query::new("SELECT 'model' AS kind, m.status AS word, COUNT(*) AS count FROM models m");
    let query = if sees_all {
        query.push(OPEN)
    } else {
        query
            .push(" WHERE m.model_id IN ")
            .push(RELATED_MODELS)
            .push(OPEN)
            .push(
                " AND EXISTS (SELECT 1 FROM validation_versions vv JOIN versions v ON v.version_id = vv.version_id
                              WHERE vv.request_id = r.request_id AND v.model_id IN ",
            )
            .push(RELATED_MODELS)
            .push(")")
            .bind(user)
            .bind(now)
    };
    query.push(" GROUP BY r.state ORDER BY 1, 2").all(db).await
}

/// The tickets that the person can decide, the most urgent first.
pub async fn due(db: &Db, user: UserId) -> Result<Vec<Due>, DbError> {
    Query::new("SELECT DISTINCT i.ticket_id, i.subject, i.due_at FROM user_roles r JOIN approval_inbox_items i")
        .push(DECIDABLE)
        .push(" ORDER BY i.due_at, i.ticket_id LIMIT 8")
        .bind(user)
        .all(db)
        .await
}
