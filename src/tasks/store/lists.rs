//! The SQL of lists of tasks: whose they are, filtered, paged, counted by day.

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::json;

use crate::db::{Conn, Db, DbError, Query, Value, json_list};
use crate::ids::{RegionId, TaskId, UserId};
use crate::tasks::TaskView;
use crate::tasks::list::{Page, Scope, StatusFilter, TaskFilter};
use crate::tasks::rules::{Bucket, zones_at};
use crate::web::paging::like_pattern;

/// What a task view is made of, for the tasks of the inner select `t`.
const VIEW: &str =
    "SELECT t.task_id, t.version_id, v.number AS version_number, t.model_id, m.name AS model_name, t.region_id,
        r.code AS region_code, r.name AS region_name, r.time_zone, t.planned_production_date, t.actual_production_date,
        t.assigned_to_id, a.name AS assigned_to_name, t.status, vv.request_id AS validation_request_id,
        COALESCE(vv.state, CASE WHEN v.change_type = 'MAJOR' OR COALESCE(rule.needs_validation, FALSE)
                                THEN 'NONE' ELSE 'NOT_REQUIRED' END) AS validation_status,
        (t.status IN ('PENDING', 'ADJUSTED') AND EXISTS (SELECT 1 FROM version_locks l WHERE l.version_id = t.version_id
            AND (t.region_id IS NULL OR l.region_id = t.region_id))) AS requires_regional_approval,
        t.confirmation_notes, t.adjustment_reason, t.cancellation_reason, t.confirmed_at, t.confirmed_by_id,
        c.name AS confirmed_by_name, t.deployed_before_validation_approved, t.deployed_before_regional_approval,
        t.validation_override_reason, t.evidence, t.created_at
    FROM (";

const VIEW_JOINS: &str = ") t
    JOIN versions v ON v.version_id = t.version_id
    JOIN models m ON m.model_id = t.model_id
    JOIN users a ON a.user_id = t.assigned_to_id
    LEFT JOIN users c ON c.user_id = t.confirmed_by_id
    LEFT JOIN regions r ON r.region_id = t.region_id
    LEFT JOIN version_requests vq ON vq.version_id = t.version_id
         LEFT JOIN validation_requests vv ON vv.request_id = vq.request_id
    LEFT JOIN minor_change_rules rule ON rule.risk_tier = m.risk_tier
    ORDER BY t.planned_production_date, t.task_id";

pub async fn views(conn: impl Into<Conn<'_>>, tasks: &[TaskId]) -> Result<Vec<TaskView>, DbError> {
    Query::new(VIEW)
        .push("SELECT * FROM deployment_tasks WHERE task_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))")
        .push(VIEW_JOINS)
        .bind(json_list(tasks))
        .all(conn)
        .await
}

/// The tasks that are a person's: assigned to them, of models they own, or lent to them. `$1` and `$2` are the
/// person and the instant. A branch an index that holds all that is read, and no task in two branches, so that
/// nothing has to be collected to be told apart.
macro_rules! mine {
    ($which:literal) => {
        concat!(
            " FROM (SELECT ", mine!(), " FROM deployment_tasks o WHERE o.assigned_to_id = $1", $which,
            " UNION ALL SELECT ", mine!(), " FROM models m JOIN deployment_tasks o ON o.model_id = m.model_id
              WHERE m.owner_id = $1 AND o.assigned_to_id <> $1", $which,
            " UNION ALL SELECT ", mine!(), " FROM delegations d JOIN models m ON m.model_id = d.model_id
                   JOIN deployment_tasks o ON o.model_id = d.model_id
              WHERE d.user_id = $1 AND d.can_deploy AND d.revoked_at IS NULL AND (d.expires_at IS NULL OR d.expires_at > $2)
                AND o.assigned_to_id <> $1 AND m.owner_id <> $1", $which,
            ") t"
        )
    };
    () => { "o.task_id, o.region_id, o.planned_production_date, o.model_id, o.version_id, o.status" };
}

/// Which tasks are looked at.
#[derive(Debug, Clone, Copy)]
pub struct Whose {
    pub person: UserId,
    pub scope: Scope,
    pub now: DateTime<Utc>,
}

/// Appends what selects the tasks `t` (with their region `r`) that a filter matches, but for its bucket.
fn matching(query: Query, whose: Whose, filter: &TaskFilter) -> Query {
    let open = filter.status.is_none();
    let query = query.bind(whose.person).bind(whose.now).push(match (whose.scope, open) {
        (Scope::All, _) => " FROM deployment_tasks t",
        (Scope::Mine, true) => mine!(" AND o.status IN ('PENDING', 'ADJUSTED')"),
        (Scope::Mine, false) => mine!(""),
    });
    let query = query.push(" LEFT JOIN regions r ON r.region_id = t.region_id WHERE TRUE");
    let query = match filter.status {
        None => query.push(" AND t.status IN ('PENDING', 'ADJUSTED')"),
        Some(StatusFilter::Any) => query,
        Some(StatusFilter::One(status)) => query.when(" AND t.status = {}", Some(status)),
    };
    let pattern = filter.q.as_deref().map(like_pattern);
    query
        .when(" AND t.region_id = {}", filter.region_id)
        .when(" AND t.model_id = {}", filter.model_id)
        .when(" AND t.planned_production_date >= {}", filter.from)
        .when(" AND t.planned_production_date <= {}", filter.to)
        .when(
            " AND EXISTS (SELECT 1 FROM models sm JOIN versions sv ON sv.model_id = sm.model_id
                 WHERE sv.version_id = t.version_id AND (LOWER(sm.name) || ' ' || sv.number) LIKE {} ESCAPE '\\')",
            pattern,
        )
}

/// A page of tasks, by planned date: first their numbers, then the names of just these.
pub async fn page(db: &Db, whose: Whose, filter: &TaskFilter, page: Page) -> Result<Vec<TaskView>, DbError> {
    let query = Query::new(VIEW).push("SELECT * FROM deployment_tasks WHERE task_id IN (SELECT t.task_id");
    let mut query = matching(query, whose, filter);
    if let Some(bucket) = filter.bucket {
        query = in_bucket(query, bucket, whose.now);
    }
    if let Some((date, task)) = page.after {
        query = query.when(" AND (t.planned_production_date, t.task_id) > ({}, ", Some(date)).when("{})", Some(task));
    }
    query
        .push(" ORDER BY t.planned_production_date, t.task_id")
        .limit(page.rows)
        .push(")")
        .push(VIEW_JOINS)
        .all(db)
        .await
}

/// Appends the condition of a bucket. The bounds that hold in every zone let the index find the place;
/// the region's own today decides.
fn in_bucket(mut query: Query, bucket: Bucket, now: DateTime<Utc>) -> Query {
    let (first, last) = bucket.days();
    let day = |days: i64| now.date_naive() + chrono::TimeDelta::days(days);
    if let Some(first) = first {
        query = query.when(" AND t.planned_production_date >= {}", Some(day(first - 1)));
        query = by_zone(query.push(" AND t.planned_production_date >= "), now, first);
    }
    if let Some(last) = last {
        query = query.when(" AND t.planned_production_date <= {}", Some(day(last + 1)));
        query = by_zone(query.push(" AND t.planned_production_date <= "), now, last);
    }
    query
}

/// Appends the date that is `days` away from a region's today: SQL that both engines speak knows no
/// zones, but there are three dates on Earth at most, so the zones of the other two are named.
fn by_zone(query: Query, now: DateTime<Utc>, days: i64) -> Query {
    let date = |shift: i64| Some(Value::from(now.date_naive() + chrono::TimeDelta::days(days + shift)));
    let zones = |shift| Some(json_list(zones_at(now, shift).into_iter().map(|zone| json!({ "zone": zone }))));
    query
        .when("CASE WHEN r.time_zone IN (SELECT value ->> 'zone' FROM json_each({}))", zones(-1))
        .when(" THEN {}", date(-1))
        .when(" WHEN r.time_zone IN (SELECT value ->> 'zone' FROM json_each({}))", zones(1))
        .when(" THEN {}", date(1))
        .when(" ELSE {} END", date(0))
}

/// How many tasks are planned for one day in one region (none for tasks of all regions).
#[derive(Debug, sqlx::FromRow)]
pub struct Day {
    pub region_id: Option<RegionId>,
    pub region_code: Option<String>,
    pub time_zone: Option<String>,
    pub planned: NaiveDate,
    pub tasks: i64,
}

/// How many tasks the filter matches, by region and planned day; the bucket and the region do not matter.
pub async fn days(db: &Db, whose: Whose, filter: &TaskFilter) -> Result<Vec<Day>, DbError> {
    let everywhere = TaskFilter { region_id: None, ..filter.clone() };
    let counted = Query::new(
        "SELECT d.region_id, r.code AS region_code, r.time_zone, d.planned, d.tasks
         FROM (SELECT t.region_id, t.planned_production_date AS planned, COUNT(*) AS tasks",
    );
    matching(counted, whose, &everywhere)
        .push(
            " GROUP BY t.region_id, t.planned_production_date) d
             LEFT JOIN regions r ON r.region_id = d.region_id ORDER BY r.code, d.region_id",
        )
        .all(db)
        .await
}
