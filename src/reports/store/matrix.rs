//! Model by region on a day: three statements for a page of models.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;

use super::choices::{Choice, REGIONS_AND_PROJECTS};
use crate::db::{Db, DbError, Query, json_list};
use crate::ids::{ModelId, ProjectId, RegionId, RequestId, VersionId};
use crate::reports::matrix::MatrixFilter;
use crate::reports::rules::AsOf;
use crate::web::paging::like_pattern;

/// Regions and projects by code and name, and how many models the filter matches on the day.
pub async fn choices(db: &Db, as_of: AsOf, filter: &MatrixFilter) -> Result<(Vec<Choice>, i64), DbError> {
    let query = Query::new(REGIONS_AND_PROJECTS)
        .push(" UNION ALL SELECT 'total', COUNT(*), '', '', FALSE FROM models m WHERE m.created_at < $1")
        .bind(as_of.end);
    let mut rows: Vec<Choice> = matching(query, filter).push(" ORDER BY 1, 3").all(db).await?;
    let total = rows.pop_if(|row| row.kind == "total").map_or(0, |row| row.id);
    Ok((rows, total))
}

/// A model, as the row's head.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct ModelRow {
    pub model_id: ModelId,
    pub name: String,
    pub owner: String,
    pub risk_tier: String,
}

/// A page of the models there were on that day, by name.
pub async fn models(
    db: &Db,
    as_of: AsOf,
    filter: &MatrixFilter,
    limit: i64,
    after: Option<(String, ModelId)>,
) -> Result<Vec<ModelRow>, DbError> {
    let query = Query::new(
        "SELECT m.model_id, m.name, u.name AS owner, m.risk_tier FROM models m JOIN users u ON u.user_id = m.owner_id
         WHERE m.created_at < $1",
    )
    .bind(as_of.end);
    let (name, id) = after.unzip();
    matching(query, filter)
        .when(" AND (m.name, m.model_id) > ({}", name)
        .when(", {})", id)
        .push(" ORDER BY m.name, m.model_id")
        .limit(limit + 1)
        .all(db)
        .await
}

fn matching(query: Query, filter: &MatrixFilter) -> Query {
    query
        .when(" AND m.project_id = {}", filter.project_id.map(|ProjectId(id)| id))
        .when(" AND m.model_id = {}", filter.model_id)
        .when(" AND LOWER(m.name) LIKE {} ESCAPE '\\'", filter.q.as_deref().map(like_pattern))
        .when(
            " AND EXISTS (SELECT 1 FROM model_regions f WHERE f.model_id = m.model_id AND f.region_id = {})",
            filter.region_id,
        )
}

/// What was true of a model in a region on the day.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Cell {
    /// The model.
    #[serde(skip)]
    pub model_id: ModelId,
    /// The region.
    pub region_id: RegionId,
    /// The version that was live; none if none was.
    pub version_id: Option<VersionId>,
    /// Its number.
    pub version_number: Option<String>,
    /// Since when it was live.
    pub live_since: Option<NaiveDate>,
    /// The validation that had approved the version.
    pub validation_request_id: Option<RequestId>,
    /// Who gave the global approval.
    pub validation_approved_by: Option<String>,
    /// When the validation was approved.
    pub validation_approved_on: Option<NaiveDate>,
    /// Who gave the region's approval.
    pub regional_approved_by: Option<String>,
    /// When they gave it.
    pub regional_approved_at: Option<DateTime<Utc>>,
    /// Whether it was confirmed before an approval that it needed.
    pub overridden: bool,
    /// Tasks that were open past their planned date.
    pub overdue_tasks: i64,
}

/// The cells of these models. `$2` is the day, `$3` its end.
///
/// When a task was cancelled stands in the ledger alone, so the ledger says whether it was still
/// open on the day.
pub async fn cells(db: &Db, as_of: AsOf, models: &[ModelId], region: Option<RegionId>) -> Result<Vec<Cell>, DbError> {
    Query::new(
        "WITH page AS (SELECT CAST(value AS BIGINT) AS model_id FROM json_each($1)),
              late AS (
            SELECT t.model_id, COALESCE(t.region_id, 0) AS region_id, COUNT(*) AS tasks
            FROM page JOIN deployment_tasks t ON t.model_id = page.model_id
            WHERE t.planned_production_date < $2 AND t.created_at < $3
              AND (t.status IN ('PENDING', 'ADJUSTED')
                   OR (t.status = 'CONFIRMED' AND t.confirmed_at >= $3)
                   OR (t.status = 'CANCELLED' AND EXISTS (
                         SELECT 1 FROM ledger_entries l WHERE l.entity = 'task' AND l.entity_id = CAST(t.task_id AS TEXT)
                           AND l.action = 'task.cancelled' AND l.at >= $3)))
            GROUP BY t.model_id, COALESCE(t.region_id, 0)),
              pairs AS (
            SELECT r.model_id, r.region_id FROM page JOIN model_regions r ON r.model_id = page.model_id
            UNION
            SELECT d.model_id, d.region_id FROM page JOIN region_deployments d ON d.model_id = page.model_id
            WHERE d.live_from <= $2 AND (d.live_to IS NULL OR d.live_to > $2))
         SELECT p.model_id, p.region_id, d.version_id, v.number AS version_number, d.live_from AS live_since,
                q.request_id AS validation_request_id, gu.name AS validation_approved_by,
                q.completion_date AS validation_approved_on,
                COALESCE(au.name, lu.name) AS regional_approved_by,
                COALESCE(a.granted_at, l.decided_at) AS regional_approved_at,
                COALESCE(t.deployed_before_validation_approved OR t.deployed_before_regional_approval, FALSE) AS overridden,
                COALESCE(o.tasks, 0) + COALESCE(g_o.tasks, 0) AS overdue_tasks
         FROM pairs p
         LEFT JOIN region_deployments d ON d.model_id = p.model_id AND d.region_id = p.region_id
               AND d.live_from <= $2 AND (d.live_to IS NULL OR d.live_to > $2)
         LEFT JOIN versions v ON v.version_id = d.version_id
         LEFT JOIN deployment_tasks t ON t.task_id = d.task_id
         LEFT JOIN validation_requests q ON q.request_id = (
               SELECT MAX(w.request_id) FROM validation_versions w JOIN validation_requests x ON x.request_id = w.request_id
               WHERE w.version_id = d.version_id AND x.completed_at < $3)
         LEFT JOIN validation_approvals g ON g.request_id = q.request_id AND g.role = 'GLOBAL_APPROVER'
               AND g.region_id IS NULL AND g.state = 'APPROVED' AND g.decided_at < $3
         LEFT JOIN users gu ON gu.user_id = g.decided_by_id
         LEFT JOIN validation_approvals l ON l.request_id = q.request_id AND l.role = 'REGIONAL_APPROVER'
               AND l.region_id = p.region_id AND l.state = 'APPROVED' AND l.decided_at < $3
         LEFT JOIN users lu ON lu.user_id = l.decided_by_id
         LEFT JOIN regional_approvals a ON a.version_id = d.version_id AND a.region_id = p.region_id
               AND a.granted_at < $3 AND (a.lapsed_at IS NULL OR a.lapsed_at >= $3)
         LEFT JOIN users au ON au.user_id = a.granted_by_id
         LEFT JOIN late o ON o.model_id = p.model_id AND o.region_id = p.region_id
         LEFT JOIN late g_o ON g_o.model_id = p.model_id AND g_o.region_id = 0
         WHERE TRUE",
    )
    .bind(json_list(models))
    .bind(as_of.date)
    .bind(as_of.end)
    .when(" AND p.region_id = {}", region)
    .push(" ORDER BY p.model_id, p.region_id, d.region_deployment_id")
    .all(db)
    .await
}
