//! Confirmations before approval.

use chrono::{DateTime, NaiveDate, Utc};

use crate::db::{Db, DbError, Query};
use crate::ids::{ModelId, OverrideId, TaskId, UserId, VersionId};
use crate::reports::overrides::{OverrideRow, OverridesFilter, Totals};
use crate::reports::rules::AsOf;
use crate::tasks::rules::OverrideState;
use crate::web::paging::like_pattern;

/// From the review to what it is about. `$1` is the end of the day.
///
/// The approval that was missing came when the last of the missing ones came: the validation's, the
/// region's, or both.
const FROM: &str = " FROM (
        SELECT o.override_id, o.task_id, o.version_id, o.model_id, o.reason, o.opened_at, o.overridden_by_id,
               CASE WHEN o.closed_at < $1 THEN o.state ELSE 'OPEN' END AS state,
               CASE WHEN o.closed_at < $1 THEN o.closed_at END AS closed_at,
               CASE WHEN o.closed_at < $1 THEN o.comment END AS comment,
               CASE WHEN o.closed_at < $1 THEN o.closed_by_id END AS closed_by_id
        FROM override_reviews o WHERE o.opened_at < $1) o
    JOIN deployment_tasks t ON t.task_id = o.task_id
    JOIN models m ON m.model_id = o.model_id";

pub async fn page(
    db: &Db,
    as_of: AsOf,
    filter: &OverridesFilter,
    limit: i64,
    after: Option<(DateTime<Utc>, OverrideId)>,
) -> Result<Vec<OverrideRow>, DbError> {
    let rows: Vec<Raw> = matching(
        Query::new(
            "SELECT o.override_id, o.task_id, o.model_id, m.name AS model_name, o.version_id, v.number AS version_number,
                    r.code AS region_code, t.planned_production_date, t.actual_production_date,
                    t.deployed_before_validation_approved, t.deployed_before_regional_approval,
                    o.reason, o.overridden_by_id, u.name AS overridden_by, o.opened_at, o.state, o.closed_at,
                    c.name AS closed_by, o.comment,
                    (SELECT MIN(q.completion_date) FROM validation_versions w
                     JOIN validation_requests q ON q.request_id = w.request_id
                     WHERE w.version_id = o.version_id AND q.completed_at < $1) AS validated_on,
                    (SELECT MIN(a.granted_at) FROM regional_approvals a
                     WHERE a.version_id = o.version_id AND (t.region_id IS NULL OR a.region_id = t.region_id)
                       AND a.granted_at < $1) AS granted_at",
        )
        .push(FROM)
        .push(
            " JOIN versions v ON v.version_id = o.version_id
              JOIN users u ON u.user_id = o.overridden_by_id
              LEFT JOIN users c ON c.user_id = o.closed_by_id
              LEFT JOIN regions r ON r.region_id = t.region_id",
        ),
        as_of,
        filter,
    )
    .when(" AND (o.opened_at, o.override_id) < ({}", after.map(|keys| keys.0))
    .when(", {})", after.map(|keys| keys.1))
    .push(" ORDER BY o.opened_at DESC, o.override_id DESC")
    .limit(limit + 1)
    .all(db)
    .await?;
    Ok(rows.into_iter().map(|row| row.finish(as_of)).collect())
}

/// How many the filter matches, whatever the page.
pub async fn totals(db: &Db, as_of: AsOf, filter: &OverridesFilter) -> Result<Totals, DbError> {
    let query = Query::new(
        "SELECT COUNT(*) AS total_count, CAST(COALESCE(SUM(CASE WHEN o.state = 'OPEN' THEN 1 ELSE 0 END), 0) AS BIGINT) AS open_count",
    );
    matching(query.push(FROM), as_of, filter).one(db).await
}

fn matching(query: Query, as_of: AsOf, filter: &OverridesFilter) -> Query {
    let text = filter.q.as_deref().map(like_pattern);
    query
        .push(" WHERE TRUE")
        .bind(as_of.end)
        .when(" AND o.state = {}", filter.state)
        .when(" AND t.region_id = {}", filter.region_id)
        .when(" AND m.project_id = {}", filter.project_id)
        .when(" AND o.model_id = {}", filter.model_id)
        .when(" AND (LOWER(m.name) LIKE {} ESCAPE '\\' OR LOWER(o.reason) LIKE {} ESCAPE '\\')", text)
}

#[derive(Debug, sqlx::FromRow)]
struct Raw {
    override_id: OverrideId,
    task_id: TaskId,
    model_id: ModelId,
    model_name: String,
    version_id: VersionId,
    version_number: String,
    region_code: Option<String>,
    planned_production_date: NaiveDate,
    actual_production_date: Option<NaiveDate>,
    deployed_before_validation_approved: bool,
    deployed_before_regional_approval: bool,
    reason: String,
    overridden_by_id: UserId,
    overridden_by: String,
    opened_at: DateTime<Utc>,
    state: OverrideState,
    closed_at: Option<DateTime<Utc>>,
    closed_by: Option<String>,
    comment: Option<String>,
    validated_on: Option<NaiveDate>,
    granted_at: Option<DateTime<Utc>>,
}

impl Raw {
    fn finish(self, as_of: AsOf) -> OverrideRow {
        let (validation, regional) = (self.deployed_before_validation_approved, self.deployed_before_regional_approval);
        let granted_on = self.granted_at.map(|at| at.date_naive());
        let approved_on = match (validation, regional) {
            (true, true) => self.validated_on.zip(granted_on).map(|(one, other)| one.max(other)),
            (true, false) => self.validated_on,
            _ => granted_on,
        };
        let since = self.actual_production_date;
        let days = |until: Option<NaiveDate>| until.zip(since).map(|(until, since)| (until - since).num_days().max(0));
        OverrideRow {
            override_id: self.override_id,
            task_id: self.task_id,
            model_id: self.model_id,
            model_name: self.model_name,
            version_id: self.version_id,
            version_number: self.version_number,
            region_code: self.region_code,
            planned_production_date: self.planned_production_date,
            actual_production_date: self.actual_production_date,
            before_validation_approved: validation,
            before_regional_approval: regional,
            reason: self.reason,
            overridden_by_id: self.overridden_by_id,
            overridden_by: self.overridden_by,
            confirmed_at: self.opened_at,
            review_state: self.state,
            reviewed_by: self.closed_by,
            reviewed_at: self.closed_at,
            review_comment: self.comment,
            approved_on,
            days_until_approved: days(approved_on),
            days_unapproved: if approved_on.is_none() { days(Some(as_of.date)) } else { None },
        }
    }
}
