//! What was live of a model, where and when.

use chrono::NaiveDate;

use crate::db::{Db, DbError, Query};
use crate::ids::{ModelId, RegionDeploymentId};
use crate::reports::history::HistoryRow;
use crate::reports::rules::AsOf;

/// The intervals that had begun by the day, newest first; one that ended later was still going on.
pub async fn page(
    db: &Db,
    as_of: AsOf,
    model: ModelId,
    limit: i64,
    after: Option<(NaiveDate, RegionDeploymentId)>,
) -> Result<Vec<HistoryRow>, DbError> {
    let (day, id) = after.unzip();
    Query::new(
        "SELECT d.region_deployment_id, d.model_id, m.name AS model_name, d.region_id, r.code AS region_code, d.version_id,
                v.number AS version_number, d.live_from, CASE WHEN d.live_to <= $2 THEN d.live_to END AS live_to,
                t.planned_production_date, t.actual_production_date, d.task_id,
                COALESCE(t.deployed_before_validation_approved OR t.deployed_before_regional_approval, FALSE) AS overridden,
                u.name AS recorded_by, d.recorded_at
         FROM region_deployments d
         JOIN models m ON m.model_id = d.model_id
         JOIN regions r ON r.region_id = d.region_id
         JOIN versions v ON v.version_id = d.version_id
         JOIN users u ON u.user_id = d.recorded_by_id
         LEFT JOIN deployment_tasks t ON t.task_id = d.task_id
         WHERE d.model_id = $1 AND d.live_from <= $2",
    )
    .bind(model)
    .bind(as_of.date)
    .when(" AND (d.live_from, d.region_deployment_id) < ({}", day)
    .when(", {})", id)
    .push(" ORDER BY d.live_from DESC, d.region_deployment_id DESC")
    .limit(limit + 1)
    .all(db)
    .await
}

/// The model's name.
pub async fn model_name(db: &Db, model: ModelId) -> Result<String, DbError> {
    Query::new("SELECT name FROM models WHERE model_id = $1").bind(model).one::<(String,)>(db).await.map(|row| row.0)
}
