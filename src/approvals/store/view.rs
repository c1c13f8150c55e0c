//! What the inbox and the ticket page show, each in one statement.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;

use crate::approvals::inbox::{InboxFilter, TicketSort};
use crate::approvals::rules::{Risk, TicketAction, TicketKind, TicketState, View};
use crate::db::{Conn, Db, DbError, Query, json_list};
use crate::identity::Role;
use crate::identity::access::VISIBLE_MODEL;
use crate::ids::{ModelId, ProjectId, RegionId, ReleaseId, RequestId, TaskId, TicketId, UserId, VersionId};
use crate::truths::RUNNING;
use crate::words::{Priority, RiskTier, ValidationState};

/// The condition on `i`, a row of `approval_inbox_items`, that holds for the tickets a person can
/// decide: `rules::ineligible` in SQL. The last two parts are one rule, each by its own index: who
/// approved this ticket, or another of the same kind and group, does not approve again.
macro_rules! can_decide {
    ($person:literal) => {
        concat!(
            "(i.state = 'pending'
              AND EXISTS (SELECT 1 FROM user_roles ur WHERE ur.user_id = ",
            $person,
            " AND ur.role = i.required_role
                  AND (i.region_id IS NULL OR ur.region_id IS NULL OR ur.region_id = i.region_id))
              AND NOT EXISTS (SELECT 1 FROM json_each(i.excluded) ex WHERE CAST(ex.value AS BIGINT) = ",
            $person,
            ")
              AND NOT EXISTS (SELECT 1 FROM approval_inbox_actions ga
                  WHERE ga.ticket_id = i.ticket_id AND ga.action = 'approved' AND ga.by_id = ",
            $person,
            ")
              AND NOT EXISTS (SELECT 1 FROM approval_inbox_items gi JOIN approval_inbox_actions ga ON ga.ticket_id = gi.ticket_id
                  WHERE gi.kind = i.kind AND gi.group_id = i.group_id AND gi.state IN ('pending', 'approved')
                    AND gi.lapsed_at IS NULL AND ga.action = 'approved' AND ga.by_id = ",
            $person,
            "))"
        )
    };
}

/// The pending tickets that person `$1` can decide: what stands behind `FROM approval_inbox_items i` in
/// counts. That the person has the role is said twice, for the index on it.
pub const DECIDABLE: &str = concat!(
    " WHERE i.required_role IN (SELECT mr.role FROM user_roles mr WHERE mr.user_id = $1) AND ",
    can_decide!("$1")
);

/// A ticket as lists and pages show it.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct TicketView {
    /// Its number in addresses.
    pub ticket_id: TicketId,
    /// Its number as people say it.
    #[schema(example = "CS-1042")]
    pub number: String,
    /// What kind of decision it is.
    pub kind: TicketKind,
    /// The question in a few words.
    pub subject: String,
    /// Where it stands.
    pub state: TicketState,
    /// How much depends on it.
    pub risk: Risk,
    /// How urgent it is.
    pub priority: Priority,
    /// The role that decides.
    pub required_role: Role,
    /// How many different people of that role must approve.
    pub needed: i64,
    /// How many have approved so far.
    pub given: i64,
    /// Who asked.
    pub requested_by_id: UserId,
    /// The name of who asked.
    pub requested_by: String,
    /// The software agent that asked for them, if one did.
    pub agent: Option<String>,
    /// The model it concerns.
    pub model_id: Option<ModelId>,
    /// The model's name.
    pub model_name: Option<String>,
    /// The version it concerns.
    pub version_id: Option<VersionId>,
    /// The version's number.
    pub version_number: Option<String>,
    /// The region it concerns.
    pub region_id: Option<RegionId>,
    /// The region's code.
    pub region_code: Option<String>,
    /// The model's project.
    pub project_id: Option<ProjectId>,
    /// The project's name.
    pub project_name: Option<String>,
    /// The project's team.
    pub team_name: Option<String>,
    /// Whom it was given to.
    pub assigned_to_id: Option<UserId>,
    /// The name of whom it was given to.
    pub assigned_to: Option<String>,
    /// When it should be decided.
    pub due_at: DateTime<Utc>,
    /// Whether it should have been decided by now.
    pub overdue: bool,
    /// When it can no longer be decided.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was asked.
    pub created_at: DateTime<Utc>,
    /// When it ended.
    pub decided_at: Option<DateTime<Utc>>,
    /// Who decided it.
    pub decided_by_id: Option<UserId>,
    /// The name of who decided it.
    pub decided_by: Option<String>,
    /// What was said with the decision.
    pub comment: Option<String>,
    /// When an approval ceased to hold.
    pub lapsed_at: Option<DateTime<Utc>>,
    /// The ticket that took its place.
    pub superseded_by_id: Option<TicketId>,
    /// The validation request it is part of.
    pub validation_request_id: Option<RequestId>,
    /// The deployment task whose override is reviewed.
    pub task_id: Option<TaskId>,
    /// The reason given for the override that is reviewed.
    pub override_reason: Option<String>,
    /// Whether the person who asks can decide it now.
    pub can_decide: bool,
    /// Its revision: a decision names the one it was made on.
    pub revision: i64,
}

macro_rules! ticket_from {
    () => {
        " FROM approval_inbox_items i
          LEFT JOIN users rq ON rq.user_id = i.requested_by_id
          LEFT JOIN models m ON m.model_id = i.model_id
          LEFT JOIN versions v ON v.version_id = i.version_id
          LEFT JOIN regions r ON r.region_id = i.region_id
          LEFT JOIN projects p ON p.project_id = i.project_id
          LEFT JOIN teams t ON t.team_id = p.team_id
          LEFT JOIN users au ON au.user_id = i.assigned_to_id
          LEFT JOIN users du ON du.user_id = i.decided_by_id
          LEFT JOIN override_reviews o ON i.kind = 'override_review' AND o.override_id = i.subject_id "
    };
}

/// `$1` is the person who looks, `$2` the instant.
macro_rules! ticket_view {
    ($rest:literal) => {
        concat!(
            "SELECT i.ticket_id, 'CS-' || CAST(1000 + i.ticket_id AS TEXT) AS number, i.kind, i.subject, i.state, i.risk, i.priority,
                    i.required_role, i.needed, i.requested_by_id, rq.name AS requested_by, i.agent, i.model_id, m.name AS model_name,
                    (SELECT COUNT(*) FROM approval_inbox_actions ac WHERE ac.ticket_id = i.ticket_id AND ac.action = 'approved') AS given,
                    i.version_id, v.number AS version_number, i.region_id, r.code AS region_code, i.project_id, p.name AS project_name,
                    t.name AS team_name, i.assigned_to_id, au.name AS assigned_to, i.due_at,
                    (i.state = 'pending' AND i.due_at < $2) AS overdue, i.expires_at, i.created_at, i.decided_at, i.decided_by_id,
                    du.name AS decided_by, i.comment, i.lapsed_at, i.superseded_by_id,
                    CASE WHEN i.kind = 'validation_approval' THEN i.group_id END AS validation_request_id,
                    o.task_id, o.reason AS override_reason, i.revision, ",
            can_decide!("$1"),
            " AS can_decide",
            ticket_from!(),
            $rest
        )
    };
}

/// One ticket, if the person may see it.
pub async fn view(
    conn: impl Into<Conn<'_>>,
    person: UserId,
    sees_all: bool,
    ticket: TicketId,
    now: DateTime<Utc>,
) -> Result<Option<TicketView>, DbError> {
    let query = Query::new(ticket_view!(" WHERE i.ticket_id = $3")).bind(person).bind(now).bind(ticket);
    visible(query, sees_all).optional(conn).await
}

/// Those of these tickets that the person may see.
pub async fn chosen(
    db: &Db,
    person: UserId,
    sees_all: bool,
    tickets: &[TicketId],
    now: DateTime<Utc>,
) -> Result<Vec<TicketView>, DbError> {
    let query = Query::new(ticket_view!(" WHERE i.ticket_id IN (SELECT CAST(value AS BIGINT) FROM json_each($3))"))
        .bind(person)
        .bind(now)
        .bind(json_list(tickets));
    visible(query, sees_all).push(" ORDER BY i.ticket_id").all(db).await
}

/// A page of tickets, and one row more.
pub async fn list(
    db: &Db,
    person: UserId,
    sees_all: bool,
    filter: &InboxFilter,
    limit: i64,
    after: Option<(DateTime<Utc>, TicketId)>,
    now: DateTime<Utc>,
) -> Result<Vec<TicketView>, DbError> {
    let query = Query::new(ticket_view!(" WHERE TRUE")).bind(person).bind(now);
    let query = filtered(visible(query, sees_all), filter);
    let query = match filter.view.unwrap_or(View::Mine) {
        View::Mine if filter.status.is_some() => {
            query.push(concat!(" AND (i.requested_by_id = $1 OR i.decided_by_id = $1 OR ", can_decide!("$1"), ")"))
        }
        View::Mine => {
            query.push(concat!(" AND i.state = 'pending' AND (i.requested_by_id = $1 OR ", can_decide!("$1"), ")"))
        }
        View::Pending => query.push(" AND i.state = 'pending'"),
        View::All => query,
    };
    let (due, id) = after.unzip();
    match filter.sort.unwrap_or(TicketSort::Due) {
        TicketSort::Due => query
            .when(" AND (i.due_at, i.ticket_id) > ({}", due)
            .when(", {})", id)
            .push(" ORDER BY i.due_at, i.ticket_id")
            .limit(limit + 1),
        TicketSort::DueLast => query
            .when(" AND (i.due_at, i.ticket_id) < ({}", due)
            .when(", {})", id)
            .push(" ORDER BY i.due_at DESC, i.ticket_id DESC")
            .limit(limit + 1),
    }
    .all(db)
    .await
}

/// How many tickets each view has, with the same filters.
#[derive(Debug, Clone, Copy, Default, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct TicketCounts {
    /// Those that I can decide or asked for, and that are pending.
    pub mine: i64,
    /// Those that are pending.
    pub pending: i64,
    /// All that I may see.
    pub all: i64,
    /// Those that the list has: of its view, and of the state asked for.
    pub shown: i64,
}

pub async fn counts(
    db: &Db,
    person: UserId,
    sees_all: bool,
    filter: &InboxFilter,
    now: DateTime<Utc>,
) -> Result<TicketCounts, DbError> {
    let query = Query::new(concat!(
        "SELECT CAST(COALESCE(SUM(CASE WHEN i.state <> 'pending' THEN 0 WHEN i.requested_by_id = $1 OR ",
        can_decide!("$1"),
        " THEN 1 ELSE 0 END), 0) AS BIGINT) AS mine,
                CAST(COALESCE(SUM(CASE WHEN i.state = 'pending' THEN 1 ELSE 0 END), 0) AS BIGINT) AS pending,
                COUNT(*) AS \"all\""
    ))
    .bind(person)
    .bind(now);
    let query = match (filter.view.unwrap_or(View::Mine), filter.status) {
        (View::Mine, Some(status)) => query.when(
            concat!(
                ", COUNT(CASE WHEN i.state = {} AND (i.requested_by_id = $1 OR i.decided_by_id = $1 OR ",
                can_decide!("$1"),
                ") THEN 1 END) AS shown"
            ),
            Some(status),
        ),
        (View::Pending, Some(status)) => {
            query.when(", COUNT(CASE WHEN i.state = 'pending' AND i.state = {} THEN 1 END) AS shown", Some(status))
        }
        (View::All, Some(status)) => query.when(", COUNT(CASE WHEN i.state = {} THEN 1 END) AS shown", Some(status)),
        (_, None) => query.push(", CAST(0 AS BIGINT) AS shown"),
    };
    let query = query.push(concat!(ticket_from!(), " WHERE TRUE"));
    let everything = InboxFilter { status: None, ..filter.clone() };
    filtered(visible(query, sees_all), &everything).one(db).await
}

/// Whoever does not see all tickets sees those that they asked for, were given, or that concern a
/// model they may see.
fn visible(query: Query, sees_all: bool) -> Query {
    query
        .when(" AND ({} OR i.requested_by_id = $1 OR i.assigned_to_id = $1 OR ", Some(sees_all))
        .push(VISIBLE_MODEL)
        .push(")")
}

fn filtered(query: Query, filter: &InboxFilter) -> Query {
    query
        .when(" AND i.kind = {}", filter.kind)
        .when(" AND i.risk = {}", filter.risk)
        .when(" AND i.priority = {}", filter.priority)
        .when(" AND i.state = {}", filter.status)
        .when(" AND i.region_id = {}", filter.region_id)
        .when(" AND i.environment_id = {}", filter.environment_id)
        .when(" AND i.project_id = {}", filter.project_id)
        .when(" AND p.team_id = {}", filter.team_id)
        .when(
            " AND (LOWER(i.subject) LIKE {} ESCAPE '\\' OR LOWER(m.name) LIKE {} ESCAPE '\\' OR LOWER(rq.name) LIKE {} ESCAPE '\\'
               OR 'cs-' || CAST(1000 + i.ticket_id AS TEXT) LIKE {} ESCAPE '\\')",
            filter.q.as_deref().map(crate::web::paging::like_pattern),
        )
}

/// One choice of a filter.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Choices {
    pub what: String,
    pub id: i64,
    pub label: String,
}

/// The regions, projects, teams and environments that tickets can be filtered by.
pub async fn choices(db: &Db) -> Result<Vec<Choices>, DbError> {
    Query::new(
        "SELECT 'region' AS what, region_id AS id, code AS label FROM regions
         UNION ALL SELECT 'team', team_id, name FROM teams
         UNION ALL SELECT 'project', p.project_id, p.name FROM projects p
             WHERE EXISTS (SELECT 1 FROM approval_inbox_items i WHERE i.project_id = p.project_id)
         UNION ALL SELECT 'environment', environment_id, name FROM environments
         ORDER BY 1, 3, 2",
    )
    .all(db)
    .await
}

/// What happened to this ticket and to those that belong with it: its predecessors, its group, and
/// all on the same version.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Past {
    pub ticket_id: TicketId,
    pub kind: TicketKind,
    pub required_role: Role,
    pub region_code: Option<String>,
    pub action: TicketAction,
    pub by_name: Option<String>,
    pub comment: Option<String>,
    pub at: DateTime<Utc>,
    pub lapsed: bool,
}

pub async fn history(db: &Db, ticket: TicketId) -> Result<Vec<Past>, DbError> {
    Query::new(
        "SELECT o.ticket_id, o.kind, o.required_role, r.code AS region_code, a.action, u.name AS by_name, a.comment, a.at,
                o.lapsed_at IS NOT NULL AS lapsed
         FROM approval_inbox_items i
         JOIN approval_inbox_items o ON o.ticket_id = i.ticket_id OR o.version_id = i.version_id
              OR (o.kind = i.kind AND o.group_id = i.group_id)
         JOIN approval_inbox_actions a ON a.ticket_id = o.ticket_id
         LEFT JOIN users u ON u.user_id = a.by_id LEFT JOIN regions r ON r.region_id = o.region_id
         WHERE i.ticket_id = $1 AND (o.ticket_id = i.ticket_id OR a.action IN ('approved', 'rejected'))
         ORDER BY a.action_id DESC LIMIT 200",
    )
    .bind(ticket)
    .all(db)
    .await
}

/// A version that a ticket decides on, in one of its target regions.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Subject {
    pub version_id: VersionId,
    pub number: String,
    pub model_id: ModelId,
    pub model_name: String,
    pub risk_tier: RiskTier,
    pub change_type: String,
    pub scope: String,
    pub description: String,
    pub planned_production_date: Option<NaiveDate>,
    pub artifact_digest: Option<String>,
    pub file_name: Option<String>,
    pub submitted_by: String,
    pub request_id: Option<RequestId>,
    pub validation_state: Option<ValidationState>,
    pub completion_date: Option<NaiveDate>,
    pub region_id: Option<RegionId>,
    pub region_code: Option<String>,
    pub region_name: Option<String>,
    pub requires_regional_approval: bool,
    pub in_scope: bool,
    pub regional_approval_at: Option<DateTime<Utc>>,
    pub live_version_id: Option<VersionId>,
    pub live_number: Option<String>,
    pub live_from: Option<NaiveDate>,
    pub running: Option<String>,
}

/// The versions a ticket decides on, a row a target region: what the three truths are made of.
pub async fn subjects(db: &Db, ticket: TicketId) -> Result<Vec<Subject>, DbError> {
    Query::new(
        "SELECT v.version_id, v.number, v.model_id, m.name AS model_name, m.risk_tier, v.change_type, v.scope, v.description,
                v.planned_production_date, v.artifact_digest, af.file_name, su.name AS submitted_by,
                vv.request_id, vv.state AS validation_state, vv.completion_date,
                r.region_id, r.code AS region_code, r.name AS region_name,
                COALESCE(r.requires_regional_approval, FALSE) AS requires_regional_approval,
                EXISTS (SELECT 1 FROM validation_regions vr WHERE vr.request_id = vv.request_id AND vr.region_id = r.region_id)
                    AS in_scope,
                ra.granted_at AS regional_approval_at,
                d.version_id AS live_version_id, lv.number AS live_number, d.live_from, ",
    )
    .push(RUNNING)
    .push(
        "FROM versions v
         JOIN models m ON m.model_id = v.model_id
         JOIN users su ON su.user_id = v.submitted_by_id
         LEFT JOIN artifacts af ON af.digest = v.artifact_digest
         LEFT JOIN version_requests vq ON vq.version_id = v.version_id
         LEFT JOIN validation_requests vv ON vv.request_id = vq.request_id
         LEFT JOIN version_targets t ON t.version_id = v.version_id
         LEFT JOIN regions r ON r.region_id = t.region_id
         LEFT JOIN regional_approvals ra ON ra.version_id = v.version_id AND ra.region_id = r.region_id AND ra.lapsed_at IS NULL
         LEFT JOIN region_deployments d ON d.model_id = v.model_id AND d.region_id = r.region_id AND d.live_to IS NULL
         LEFT JOIN versions lv ON lv.version_id = d.version_id
         WHERE v.version_id IN (
             SELECT i.version_id FROM approval_inbox_items i WHERE i.ticket_id = $1
             UNION
             SELECT x.version_id FROM approval_inbox_items i JOIN validation_approvals a ON a.approval_id = i.subject_id
             JOIN validation_versions x ON x.request_id = a.request_id
             WHERE i.ticket_id = $1 AND i.kind = 'validation_approval')
         ORDER BY m.name, v.version_id, r.code",
    )
    .bind(ticket)
    .all(db)
    .await
}

/// The release that a ticket decides on, as it was previewed.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct PreviewedRelease {
    pub release_id: ReleaseId,
    pub environment_name: String,
    pub preview_ref: String,
    pub digest: String,
    pub plan: String,
    pub checks: String,
}

pub async fn release(db: &Db, ticket: TicketId) -> Result<Option<PreviewedRelease>, DbError> {
    Query::new(
        "SELECT r.release_id, e.name AS environment_name, p.preview_ref, p.digest, p.plan, p.checks
         FROM approval_inbox_items i JOIN releases r ON r.release_id = i.group_id
         JOIN environments e ON e.environment_id = r.environment_id JOIN release_previews p ON p.preview_ref = r.preview_ref
         WHERE i.ticket_id = $1 AND i.kind IN ('release_approval', 'rollback_approval', 'freeze_override')",
    )
    .bind(ticket)
    .optional(db)
    .await
}

/// Somebody who could decide a ticket.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Candidate {
    /// The person.
    pub user_id: UserId,
    /// Their name.
    pub name: String,
}

pub async fn candidates(db: &Db, ticket: TicketId) -> Result<Vec<Candidate>, DbError> {
    Query::new(concat!(
        "SELECT u.user_id, u.name FROM users u JOIN approval_inbox_items i ON i.ticket_id = $1
         WHERE NOT u.disabled AND ",
        can_decide!("u.user_id"),
        " ORDER BY u.name, u.user_id LIMIT 200"
    ))
    .bind(ticket)
    .all(db)
    .await
}
