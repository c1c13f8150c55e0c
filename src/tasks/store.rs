//! The SQL of deployment tasks: what a decision on one reads and writes. Lists are read in [`lists`], tasks made in [`making`].

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::json;

use super::act::Confirm;
use super::rules::{Missing, Readiness, TaskStatus};
use crate::db::{Conn, DbError, Query, Tx, json_list};
use crate::identity::Relation;
use crate::ids::{ModelId, OverrideId, RegionId, TaskId, UserId, VersionId};
use crate::words::{RiskTier, ValidationState};

mod lists;
mod making;

pub use lists::{Day, Whose, days, page, views};
pub use making::{NewTask, PlannedVersion, TargetRow, VersionRow, make, planned_versions, targets, version};

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
