//! The SQL of deployment tasks.

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::json;

use super::TaskView;
use super::act::Confirm;
use super::list::{Page, Scope, StatusFilter, TaskFilter};
use super::rules::{Bucket, Missing, Readiness, TaskStatus, zones_at};
use crate::db::{Conn, Db, DbError, Query, Tx, Value, json_list};
use crate::identity::Relation;
use crate::ids::{ModelId, OverrideId, RegionId, TaskId, UserId, VersionId};
use crate::web::paging::like_pattern;
use crate::words::{RiskTier, ValidationState};

/// Everything the rules ask about a task, and how the person stands to it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Facts {
    pub task_id: TaskId,
    pub version_id: VersionId,
    pub version_number: String,
    pub version_created_at: DateTime<Utc>,
    pub artifact_digest: Option<String>,
    pub model_id: ModelId,
    pub model_name: String,
    pub risk_tier: RiskTier,
    pub developer_id: Option<UserId>,
    pub region_id: Option<RegionId>,
    pub region_code: Option<String>,
    pub time_zone: Option<String>,
    pub planned_production_date: NaiveDate,
    pub assigned_to_id: UserId,
    pub status: TaskStatus,
    pub validation_state: Option<ValidationState>,
    pub needs_validation: bool,
    pub locked: bool,
    pub live_since: Option<NaiveDate>,
    is_owner: bool,
    is_developer: bool,
    is_regional_owner: bool,
    can_deploy: bool,
    can_submit: bool,
    is_assignee: bool,
}

impl Facts {
    pub fn readiness(&self) -> Readiness {
        Readiness { validation: self.validation_state, needs_validation: self.needs_validation, locked: self.locked }
    }

    pub fn relations(&self) -> Vec<Relation> {
        [
            (self.is_owner, Relation::Owner),
            (self.is_developer, Relation::Developer),
            (self.is_regional_owner, Relation::RegionalOwner),
            (self.can_deploy, Relation::DelegateDeploy),
            (self.can_submit, Relation::DelegateSubmit),
            (self.is_assignee, Relation::Assignee),
        ]
        .into_iter()
        .filter_map(|(holds, relation)| holds.then_some(relation))
        .collect()
    }
}

pub async fn models_of(tx: &mut Tx, tasks: &[TaskId]) -> Result<Vec<ModelId>, DbError> {
    let rows = Query::new(
        "SELECT DISTINCT model_id FROM deployment_tasks
         WHERE task_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))",
    )
    .bind(json_list(tasks))
    .all::<(ModelId,)>(tx)
    .await?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// The facts of some tasks, and how a person stands to them.
pub async fn facts(
    conn: impl Into<Conn<'_>>,
    tasks: &[TaskId],
    person: UserId,
    now: DateTime<Utc>,
) -> Result<Vec<Facts>, DbError> {
    Query::new(
        "SELECT t.task_id, t.version_id, v.number AS version_number, v.created_at AS version_created_at, v.artifact_digest,
                t.model_id, m.name AS model_name, m.risk_tier, m.developer_id, t.region_id, r.code AS region_code, r.time_zone,
                t.planned_production_date, t.assigned_to_id, t.status, vv.state AS validation_state,
                (v.change_type = 'MAJOR' OR COALESCE(rule.needs_validation, FALSE)) AS needs_validation,
                EXISTS (SELECT 1 FROM version_locks l WHERE l.version_id = t.version_id
                        AND (t.region_id IS NULL OR l.region_id = t.region_id)) AS locked,
                (SELECT MAX(d.live_from) FROM region_deployments d WHERE d.model_id = t.model_id AND d.live_to IS NULL
                   AND d.version_id <> t.version_id
                   AND (d.region_id = t.region_id OR (t.region_id IS NULL AND d.region_id IN
                        (SELECT x.region_id FROM version_targets x WHERE x.version_id = t.version_id)))) AS live_since,
                m.owner_id = $2 AS is_owner, COALESCE(m.developer_id = $2, FALSE) AS is_developer,
                EXISTS (SELECT 1 FROM model_regions o WHERE o.model_id = t.model_id AND o.regional_owner_id = $2
                        AND (t.region_id IS NULL OR o.region_id = t.region_id)) AS is_regional_owner,
                EXISTS (SELECT 1 FROM delegations d WHERE d.model_id = t.model_id AND d.user_id = $2 AND d.can_deploy
                        AND d.revoked_at IS NULL AND (d.expires_at IS NULL OR d.expires_at > $3)) AS can_deploy,
                EXISTS (SELECT 1 FROM delegations d WHERE d.model_id = t.model_id AND d.user_id = $2 AND d.can_submit_changes
                        AND d.revoked_at IS NULL AND (d.expires_at IS NULL OR d.expires_at > $3)) AS can_submit,
                t.assigned_to_id = $2 AS is_assignee
         FROM deployment_tasks t
         JOIN versions v ON v.version_id = t.version_id
         JOIN models m ON m.model_id = t.model_id
         LEFT JOIN regions r ON r.region_id = t.region_id
         LEFT JOIN version_requests vq ON vq.version_id = t.version_id
         LEFT JOIN validation_requests vv ON vv.request_id = vq.request_id
         LEFT JOIN minor_change_rules rule ON rule.risk_tier = m.risk_tier
         WHERE t.task_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))
         ORDER BY t.task_id",
    )
    .bind(json_list(tasks))
    .bind(person)
    .bind(now)
    .all(conn)
    .await
}

/// Marks tasks as confirmed, each with its own override flags.
pub async fn confirm(
    tx: &mut Tx,
    passed: &[(Facts, Missing)],
    with: &Confirm,
    by: Option<UserId>,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let flags = passed.iter().map(|(facts, missing)| {
        json!({ "id": facts.task_id, "validation": i64::from(missing.validation), "regional": i64::from(missing.regional) })
    });
    let text =
        |text: &Option<String>| text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    Query::new(
        "UPDATE deployment_tasks SET status = 'CONFIRMED', actual_production_date = $2, confirmation_notes = $3,
                confirmed_at = $4, confirmed_by_id = $5,
                deployed_before_validation_approved = flag.validation = 1, deployed_before_regional_approval = flag.regional = 1,
                validation_override_reason = CASE WHEN flag.validation + flag.regional > 0 THEN $6 END
         FROM (SELECT CAST(value ->> 'id' AS BIGINT) AS id, CAST(value ->> 'validation' AS BIGINT) AS validation,
                      CAST(value ->> 'regional' AS BIGINT) AS regional FROM json_each($1)) flag
         WHERE flag.id = deployment_tasks.task_id",
    )
    .bind(json_list(flags))
    .bind(with.actual_production_date)
    .bind(text(&with.confirmation_notes))
    .bind(now)
    .bind(by)
    .bind(text(&with.validation_override_reason))
    .run(tx)
    .await
    .map(drop)
}

/// The pairs of model and region in which some tasks (`$1`) make a version live, as `place`. Two branches
/// and no outer join: SQLite would work out the targets of every version there is.
const PLACES: &str = "(SELECT t.task_id, t.version_id, t.model_id, t.region_id FROM deployment_tasks t
      WHERE t.region_id IS NOT NULL AND t.task_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))
      UNION ALL
      SELECT t.task_id, t.version_id, t.model_id, x.region_id
      FROM deployment_tasks t JOIN version_targets x ON x.version_id = t.version_id
      WHERE t.region_id IS NULL AND t.task_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))) place";

/// Ends what was live in the tasks' regions, and begins what is live from `date` on. Where the version
/// is live already, nothing changes.
pub async fn open_intervals(
    tx: &mut Tx,
    tasks: &[TaskId],
    date: NaiveDate,
    by: Option<UserId>,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let tasks = json_list(tasks);
    Query::new("UPDATE region_deployments SET live_to = $2 FROM ")
        .push(PLACES)
        .push(
            " WHERE region_deployments.model_id = place.model_id AND region_deployments.region_id = place.region_id
                AND region_deployments.live_to IS NULL AND region_deployments.version_id <> place.version_id",
        )
        .bind(tasks.clone())
        .bind(date)
        .run(&mut *tx)
        .await?;
    Query::new(
        "INSERT INTO region_deployments (model_id, region_id, version_id, task_id, live_from, recorded_at, recorded_by_id)
         SELECT place.model_id, place.region_id, place.version_id, place.task_id, $2, $3, $4 FROM ",
    )
    .push(PLACES)
    .push(
        " WHERE NOT EXISTS (SELECT 1 FROM region_deployments d WHERE d.model_id = place.model_id
                              AND d.region_id = place.region_id AND d.live_to IS NULL)",
    )
    .bind(tasks)
    .bind(date)
    .bind(now)
    .bind(by)
    .run(tx)
    .await
    .map(drop)
}

pub async fn adjust(tx: &mut Tx, tasks: &[TaskId], date: NaiveDate, reason: &str) -> Result<(), DbError> {
    Query::new(
        "UPDATE deployment_tasks SET status = 'ADJUSTED', planned_production_date = $2, adjustment_reason = $3
         WHERE task_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))",
    )
    .bind(json_list(tasks))
    .bind(date)
    .bind(reason)
    .run(tx)
    .await
    .map(drop)
}

pub async fn cancel(tx: &mut Tx, tasks: &[TaskId], reason: &str) -> Result<(), DbError> {
    Query::new(
        "UPDATE deployment_tasks SET status = 'CANCELLED', cancellation_reason = $2
         WHERE task_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))",
    )
    .bind(json_list(tasks))
    .bind(reason)
    .run(tx)
    .await
    .map(drop)
}

pub async fn open_review(
    tx: &mut Tx,
    facts: &Facts,
    reason: &str,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<OverrideId, DbError> {
    Query::new(
        "INSERT INTO override_reviews (task_id, version_id, model_id, reason, state, overridden_by_id, opened_at)
         VALUES ($1, $2, $3, $4, 'OPEN', $5, $6) RETURNING override_id",
    )
    .bind(facts.task_id)
    .bind(facts.version_id)
    .bind(facts.model_id)
    .bind(reason)
    .bind(by)
    .bind(now)
    .one::<(OverrideId,)>(tx)
    .await
    .map(|row| row.0)
}

// Lists -----------------------------------------------------------------------------------------

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

// Making tasks ----------------------------------------------------------------------------------

/// The version to deploy, as the modal shows it.
#[derive(Debug, sqlx::FromRow)]
pub struct VersionRow {
    pub version_id: VersionId,
    pub version_number: String,
    pub change_type: String,
    pub description: String,
    pub artifact_digest: Option<String>,
    pub model_id: ModelId,
    pub model_name: String,
    pub validation_request_id: Option<crate::ids::RequestId>,
    pub validation_state: Option<ValidationState>,
    pub validation_approved_date: Option<NaiveDate>,
    pub needs_validation: bool,
}

pub async fn version(conn: impl Into<Conn<'_>>, version: VersionId) -> Result<Option<VersionRow>, DbError> {
    Query::new(
        "SELECT v.version_id, v.number AS version_number, v.change_type, v.description, v.artifact_digest, v.model_id,
                m.name AS model_name, vv.request_id AS validation_request_id, vv.state AS validation_state,
                vv.completion_date AS validation_approved_date,
                (v.change_type = 'MAJOR' OR COALESCE(rule.needs_validation, FALSE)) AS needs_validation
         FROM versions v JOIN models m ON m.model_id = v.model_id
         LEFT JOIN version_requests vq ON vq.version_id = v.version_id
         LEFT JOIN validation_requests vv ON vv.request_id = vq.request_id
         LEFT JOIN minor_change_rules rule ON rule.risk_tier = m.risk_tier
         WHERE v.version_id = $1",
    )
    .bind(version)
    .optional(conn)
    .await
}

/// A target region of a version, as the modal shows it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct TargetRow {
    pub region_id: RegionId,
    pub region_code: String,
    pub region_name: String,
    pub time_zone: String,
    pub locked: bool,
    pub live_version: Option<String>,
    pub live_version_id: Option<VersionId>,
    pub live_since: Option<NaiveDate>,
    pub open_task_id: Option<TaskId>,
    pub assignee_id: UserId,
    pub is_regional_owner: bool,
}

pub async fn targets(conn: impl Into<Conn<'_>>, version: VersionId, person: UserId) -> Result<Vec<TargetRow>, DbError> {
    Query::new(
        "SELECT x.region_id, r.code AS region_code, r.name AS region_name, r.time_zone,
                EXISTS (SELECT 1 FROM version_locks l WHERE l.version_id = x.version_id AND l.region_id = x.region_id) AS locked,
                lv.number AS live_version, lv.version_id AS live_version_id, d.live_from AS live_since,
                (SELECT MIN(t.task_id) FROM deployment_tasks t WHERE t.version_id = x.version_id
                   AND COALESCE(t.region_id, 0) IN (0, x.region_id) AND t.status IN ('PENDING', 'ADJUSTED')) AS open_task_id,
                COALESCE(mr.regional_owner_id, m.owner_id) AS assignee_id,
                COALESCE(mr.regional_owner_id = $2, FALSE) AS is_regional_owner
         FROM version_targets x JOIN regions r ON r.region_id = x.region_id JOIN models m ON m.model_id = x.model_id
         LEFT JOIN model_regions mr ON mr.model_id = x.model_id AND mr.region_id = x.region_id
         LEFT JOIN region_deployments d ON d.model_id = x.model_id AND d.region_id = x.region_id AND d.live_to IS NULL
         LEFT JOIN versions lv ON lv.version_id = d.version_id
         WHERE x.version_id = $1 ORDER BY r.code",
    )
    .bind(version)
    .bind(person)
    .all(conn)
    .await
}

/// A task to be made: region, planned date, assignee.
#[derive(Debug, Clone, serde::Serialize)]
pub struct NewTask {
    pub region_id: Option<RegionId>,
    pub planned: NaiveDate,
    pub assignee_id: UserId,
}

/// Makes one task of a version.
pub async fn make(
    tx: &mut Tx,
    version: VersionId,
    model: ModelId,
    task: &NewTask,
    by: Option<UserId>,
    now: DateTime<Utc>,
) -> Result<TaskId, DbError> {
    Query::new(
        "INSERT INTO deployment_tasks (version_id, model_id, region_id, planned_production_date, assigned_to_id, status,
                                       created_at, created_by_id)
         VALUES ($1, $2, $3, $4, $5, 'PENDING', $6, $7) RETURNING task_id",
    )
    .bind(version)
    .bind(model)
    .bind(task.region_id)
    .bind(task.planned)
    .bind(task.assignee_id)
    .bind(now)
    .bind(by)
    .one::<(TaskId,)>(tx)
    .await
    .map(|row| row.0)
}

/// A version whose approval makes tasks: it has a planned date.
#[derive(Debug, sqlx::FromRow)]
pub struct PlannedVersion {
    pub version_id: VersionId,
    pub model_id: ModelId,
    pub planned: NaiveDate,
    pub owner_id: UserId,
    /// Whether one task stands for all regions: a global change without regions of its own.
    pub is_global: bool,
}

pub async fn planned_versions(tx: &mut Tx, versions: &[VersionId]) -> Result<Vec<PlannedVersion>, DbError> {
    Query::new(
        "SELECT v.version_id, v.model_id, v.planned_production_date AS planned, m.owner_id,
                (v.scope = 'GLOBAL' AND NOT EXISTS (SELECT 1 FROM version_regions x WHERE x.version_id = v.version_id)) AS is_global
         FROM versions v JOIN models m ON m.model_id = v.model_id
         WHERE v.planned_production_date IS NOT NULL
           AND v.version_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1)) ORDER BY v.version_id",
    )
    .bind(json_list(versions))
    .all(tx)
    .await
}

// Decisions of the inbox --------------------------------------------------------------------------

pub async fn grant_region(
    tx: &mut Tx,
    version: VersionId,
    region: RegionId,
    by: UserId,
    ticket: crate::ids::TicketId,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    Query::new(
        "INSERT INTO regional_approvals (version_id, region_id, granted_by_id, granted_at, ticket_id, digest)
         SELECT $1, $2, $3, $4, $5, v.artifact_digest FROM versions v WHERE v.version_id = $1",
    )
    .bind(version)
    .bind(region)
    .bind(by)
    .bind(now)
    .bind(ticket)
    .run(tx)
    .await
    .map(drop)
}

/// Closes a review, if it is open, and returns whether it was.
pub async fn close_review(
    tx: &mut Tx,
    review: OverrideId,
    state: super::rules::OverrideState,
    by: Option<UserId>,
    comment: Option<&str>,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let closed = Query::new(
        "UPDATE override_reviews SET state = $2, closed_by_id = $3, comment = $4, closed_at = $5
         WHERE override_id = $1 AND state = 'OPEN'",
    )
    .bind(review)
    .bind(state)
    .bind(by)
    .bind(comment)
    .bind(now)
    .run(tx)
    .await?;
    Ok(closed > 0)
}

pub async fn open_reviews(tx: &mut Tx, versions: &[VersionId]) -> Result<Vec<(OverrideId, ModelId)>, DbError> {
    Query::new(
        "SELECT override_id, model_id FROM override_reviews
         WHERE state = 'OPEN' AND version_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1)) ORDER BY override_id",
    )
    .bind(json_list(versions))
    .all(tx)
    .await
}

/// Gives a model's open tasks to whoever owns them now; returns which moved.
pub async fn reassign(tx: &mut Tx, models: &[ModelId]) -> Result<Vec<(TaskId, ModelId, UserId)>, DbError> {
    Query::new(
        "UPDATE deployment_tasks SET assigned_to_id = now.assignee_id
         FROM (SELECT t.task_id, COALESCE(mr.regional_owner_id, m.owner_id) AS assignee_id
               FROM deployment_tasks t JOIN models m ON m.model_id = t.model_id
               LEFT JOIN model_regions mr ON mr.model_id = t.model_id AND mr.region_id = t.region_id
               WHERE t.model_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))
               AND t.status IN ('PENDING', 'ADJUSTED')) now
         WHERE now.task_id = deployment_tasks.task_id AND deployment_tasks.assigned_to_id <> now.assignee_id
         RETURNING deployment_tasks.task_id, deployment_tasks.model_id, deployment_tasks.assigned_to_id",
    )
    .bind(json_list(models))
    .all(tx)
    .await
}

// Releases ----------------------------------------------------------------------------------------

/// Keeps what a release left behind for the owner.
pub async fn set_evidence(tx: &mut Tx, task: TaskId, evidence: Option<&str>) -> Result<u64, DbError> {
    Query::new("UPDATE deployment_tasks SET evidence = $2 WHERE task_id = $1")
        .bind(task)
        .bind(evidence.map(str::to_owned))
        .run(tx)
        .await
}

pub async fn zone(tx: &mut Tx, region: RegionId) -> Result<String, DbError> {
    Query::new("SELECT time_zone FROM regions WHERE region_id = $1")
        .bind(region)
        .one::<(String,)>(tx)
        .await
        .map(|row| row.0)
}

/// Ends what is ratified live of a version in a region; never before it began.
pub async fn end_interval(
    tx: &mut Tx,
    model: ModelId,
    region: RegionId,
    version: VersionId,
    today: NaiveDate,
) -> Result<u64, DbError> {
    Query::new(
        "UPDATE region_deployments SET live_to = CASE WHEN live_from > $4 THEN live_from ELSE $4 END
         WHERE model_id = $1 AND region_id = $2 AND version_id = $3 AND live_to IS NULL",
    )
    .bind(model)
    .bind(region)
    .bind(version)
    .bind(today)
    .run(tx)
    .await
}
