//! The numbers in the sidebar: one statement, every part of it on an index.

use chrono::{DateTime, Utc};

use crate::approvals::DECIDABLE;
use crate::db::{Db, DbError, Query};
use crate::ids::UserId;
use crate::web::Badges;

/// Counts a person's open tasks, the pairs they may deploy, and the tickets they can decide.
///
/// The branches of each sum exclude one another, so that nothing is counted twice and nothing has
/// to be collected to be told apart. Whoever deploys everything is shown the kept total.
pub async fn count(
    db: &Db,
    user: UserId,
    now: DateTime<Utc>,
    deploys_all: bool,
    decides: bool,
) -> Result<Badges, DbError> {
    Query::new(
        "SELECT
           (SELECT COUNT(*) FROM deployment_tasks t WHERE t.assigned_to_id = $1 AND t.status IN ('PENDING', 'ADJUSTED'))
         + (SELECT COUNT(*) FROM models m JOIN deployment_tasks t ON t.model_id = m.model_id
            WHERE m.owner_id = $1 AND t.status IN ('PENDING', 'ADJUSTED') AND t.assigned_to_id <> $1)
         + (SELECT COUNT(*) FROM delegations d JOIN models m ON m.model_id = d.model_id
                                             JOIN deployment_tasks t ON t.model_id = d.model_id
            WHERE d.user_id = $1 AND d.can_deploy AND d.revoked_at IS NULL AND (d.expires_at IS NULL OR d.expires_at > $2)
              AND t.status IN ('PENDING', 'ADJUSTED') AND t.assigned_to_id <> $1 AND m.owner_id <> $1) AS open_tasks,
           CASE WHEN $3 THEN COALESCE((SELECT pairs FROM ready_totals WHERE region_id = 0), 0) ELSE
             (SELECT COUNT(*) FROM ready_pairs p WHERE p.owner_id = $1 AND p.superseded = FALSE)
           + (SELECT COUNT(*) FROM ready_pairs p
              WHERE p.regional_owner_id = $1 AND p.superseded = FALSE AND p.owner_id <> $1)
           + (SELECT COUNT(*) FROM delegations d JOIN ready_pairs p ON p.model_id = d.model_id AND p.superseded = FALSE
              WHERE d.user_id = $1 AND d.can_deploy AND d.revoked_at IS NULL AND (d.expires_at IS NULL OR d.expires_at > $2)
                AND p.owner_id <> $1 AND (p.regional_owner_id IS NULL OR p.regional_owner_id <> $1))
           END AS ready_pairs,
           CASE WHEN $4 THEN (SELECT COUNT(*) FROM approval_inbox_items i",
    )
    .push(DECIDABLE)
    .push(") ELSE 0 END AS tickets")
    .bind(user)
    .bind(now)
    .bind(deploys_all)
    .bind(decides)
    .one(db)
    .await
}
