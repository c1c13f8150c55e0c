//! What the pages and the API show of validation requests, each in one statement.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;

use crate::db::{Db, DbError, Query, far_date, json_list};
use crate::identity::Role;
use crate::identity::access::VISIBLE_MODEL;
use crate::ids::{ApprovalId, ModelId, RegionId, RequestId, TicketId, UserId, VersionId};
use crate::validation::requests::{RequestFilter, RequestSort, StateFilter};
use crate::validation::rules::{ApprovalState, ValidationType};
use crate::web::paging::like_pattern;
use crate::words::{Priority, RiskTier, ValidationState};

/// A request as the list shows it.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct RequestRow {
    /// Its number.
    pub request_id: RequestId,
    /// What kind of review.
    pub r#type: ValidationType,
    /// How urgent.
    pub priority: Priority,
    /// Where it stands.
    pub state: ValidationState,
    /// When it should be finished.
    pub target_date: Option<NaiveDate>,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// Who asked.
    pub requested_by: String,
    /// The date of its approval, UTC.
    pub completion_date: Option<NaiveDate>,
    /// The first model under review.
    pub model_id: Option<ModelId>,
    /// Its name.
    pub model_name: Option<String>,
    /// The number of its version.
    pub version_number: Option<String>,
    /// How many versions are under review.
    pub versions: i64,
    /// How many of its approvals are given.
    pub approvals_given: i64,
    /// How many of its approvals are given or asked for.
    pub approvals_asked: i64,
    /// What the list is sorted by, with the number.
    #[serde(skip)]
    pub sort_date: NaiveDate,
}

/// Whoever does not see all models sees what they asked for and what concerns a model they may see.
/// `$1` is the person, `$2` the instant.
fn visible(query: Query, sees_all: bool) -> Query {
    query
        .when(" AND ({} OR r.requested_by_id = $1 OR EXISTS (", Some(sees_all))
        .push(
            "SELECT 1 FROM validation_versions sx JOIN versions sv ON sv.version_id = sx.version_id
             JOIN models m ON m.model_id = sv.model_id WHERE sx.request_id = r.request_id AND ",
        )
        .push(VISIBLE_MODEL)
        .push("))")
}

fn filtered(query: Query, filter: &RequestFilter) -> Query {
    query
        .when(" AND r.type = {}", filter.r#type)
        .when(" AND r.priority = {}", filter.priority)
        .when(
            " AND EXISTS (SELECT 1 FROM validation_regions fr WHERE fr.request_id = r.request_id AND fr.region_id = {})",
            filter.region_id,
        )
        .when(
            " AND EXISTS (SELECT 1 FROM validation_versions fx JOIN versions fv ON fv.version_id = fx.version_id
                          WHERE fx.request_id = r.request_id AND fv.model_id = {})",
            filter.model_id,
        )
        .when(
            " AND (LOWER(u.name) LIKE {} ESCAPE '\\' OR EXISTS (
                SELECT 1 FROM validation_versions qx JOIN versions qv ON qv.version_id = qx.version_id
                JOIN models qm ON qm.model_id = qv.model_id
                WHERE qx.request_id = r.request_id AND LOWER(qm.name) LIKE {} ESCAPE '\\'))",
            filter.q.as_deref().map(like_pattern),
        )
}

/// A page of requests, and one row more.
pub async fn list(
    db: &Db,
    person: UserId,
    sees_all: bool,
    filter: &RequestFilter,
    limit: i64,
    after: Option<(NaiveDate, RequestId)>,
    now: DateTime<Utc>,
) -> Result<Vec<RequestRow>, DbError> {
    let query = Query::new(
        "SELECT r.request_id, r.type, r.priority, r.state, r.target_date, r.requested_at, u.name AS requested_by,
                r.completion_date, m.model_id, m.name AS model_name, v.number AS version_number,
                (SELECT COUNT(*) FROM validation_versions c WHERE c.request_id = r.request_id) AS versions,
                (SELECT COUNT(*) FROM validation_approvals a WHERE a.request_id = r.request_id AND a.state = 'APPROVED')
                    AS approvals_given,
                (SELECT COUNT(*) FROM validation_approvals a WHERE a.request_id = r.request_id AND a.state IN ('APPROVED', 'PENDING'))
                    AS approvals_asked,
                COALESCE(r.target_date, $3) AS sort_date
         FROM validation_requests r JOIN users u ON u.user_id = r.requested_by_id
         LEFT JOIN versions v ON v.version_id = (SELECT MIN(x.version_id) FROM validation_versions x WHERE x.request_id = r.request_id)
         LEFT JOIN models m ON m.model_id = v.model_id
         WHERE TRUE",
    )
    .bind(person)
    .bind(now)
    .bind(far_date());
    let query = filtered(visible(query, sees_all), filter);
    let query = match filter.state {
        Some(StateFilter::Open) => query.push(" AND r.state NOT IN ('APPROVED', 'CANCELLED')"),
        other => query.when(" AND r.state = {}", other),
    };
    let (date, id) = after.unzip();
    match filter.sort.unwrap_or(RequestSort::Newest) {
        RequestSort::Newest => {
            query.when(" AND r.request_id < {}", id).push(" ORDER BY r.request_id DESC").limit(limit + 1)
        }
        RequestSort::Oldest => query.when(" AND r.request_id > {}", id).push(" ORDER BY r.request_id").limit(limit + 1),
        RequestSort::Target => query
            .when(" AND (COALESCE(r.target_date, $3), r.request_id) > ({}", date)
            .when(", {})", id)
            .push(" ORDER BY COALESCE(r.target_date, $3), r.request_id")
            .limit(limit + 1),
    }
    .all(db)
    .await
}

/// How many requests there are in each state, with the same filters but the state.
#[derive(Debug, Clone, Copy, Default, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct RequestCounts {
    /// All.
    pub all: i64,
    /// Neither approved nor cancelled.
    pub open: i64,
    pub intake: i64,
    pub planning: i64,
    pub in_progress: i64,
    pub review: i64,
    pub pending_approval: i64,
    pub revision: i64,
    pub approved: i64,
    pub on_hold: i64,
    pub cancelled: i64,
}

impl RequestCounts {
    /// How many match the filter of states.
    #[must_use]
    pub const fn of(&self, state: Option<StateFilter>) -> i64 {
        match state {
            None => self.all,
            Some(StateFilter::Open) => self.open,
            Some(StateFilter::Intake) => self.intake,
            Some(StateFilter::Planning) => self.planning,
            Some(StateFilter::InProgress) => self.in_progress,
            Some(StateFilter::Review) => self.review,
            Some(StateFilter::PendingApproval) => self.pending_approval,
            Some(StateFilter::Revision) => self.revision,
            Some(StateFilter::Approved) => self.approved,
            Some(StateFilter::OnHold) => self.on_hold,
            Some(StateFilter::Cancelled) => self.cancelled,
        }
    }
}

pub async fn counts(
    db: &Db,
    person: UserId,
    sees_all: bool,
    filter: &RequestFilter,
    now: DateTime<Utc>,
) -> Result<RequestCounts, DbError> {
    let query = Query::new(
        "SELECT COUNT(*) AS \"all\",
                COUNT(CASE WHEN r.state NOT IN ('APPROVED', 'CANCELLED') THEN 1 END) AS open,
                COUNT(CASE WHEN r.state = 'INTAKE' THEN 1 END) AS intake,
                COUNT(CASE WHEN r.state = 'PLANNING' THEN 1 END) AS planning,
                COUNT(CASE WHEN r.state = 'IN_PROGRESS' THEN 1 END) AS in_progress,
                COUNT(CASE WHEN r.state = 'REVIEW' THEN 1 END) AS review,
                COUNT(CASE WHEN r.state = 'PENDING_APPROVAL' THEN 1 END) AS pending_approval,
                COUNT(CASE WHEN r.state = 'APPROVED' THEN 1 END) AS approved,
                COUNT(CASE WHEN r.state = 'REVISION' THEN 1 END) AS revision,
                COUNT(CASE WHEN r.state = 'ON_HOLD' THEN 1 END) AS on_hold,
                COUNT(CASE WHEN r.state = 'CANCELLED' THEN 1 END) AS cancelled
         FROM validation_requests r JOIN users u ON u.user_id = r.requested_by_id
         WHERE TRUE",
    )
    .bind(person)
    .bind(now);
    filtered(visible(query, sees_all), filter).one(db).await
}

/// A request as its page shows it.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct RequestView {
    /// Its number.
    pub request_id: RequestId,
    /// What kind of review.
    pub r#type: ValidationType,
    /// How urgent.
    pub priority: Priority,
    /// Where it stands.
    pub state: ValidationState,
    /// The state it returns to, while it is on hold.
    pub held_from: Option<ValidationState>,
    /// Why it was sent back, held or cancelled.
    pub state_reason: Option<String>,
    /// When it should be finished.
    pub target_date: Option<NaiveDate>,
    /// Who asked.
    pub requested_by_id: UserId,
    /// The name of who asked.
    pub requested_by: String,
    /// When.
    pub requested_at: DateTime<Utc>,
    /// What the validators should know.
    pub note: String,
    /// The date of the approval, UTC.
    pub completion_date: Option<NaiveDate>,
    /// The instant of the approval.
    pub completed_at: Option<DateTime<Utc>>,
    /// Its revision: a step names the one it was decided on.
    pub revision: i64,
}

pub async fn one(
    db: &Db,
    person: UserId,
    sees_all: bool,
    request: RequestId,
    now: DateTime<Utc>,
) -> Result<Option<RequestView>, DbError> {
    let query = Query::new(
        "SELECT r.request_id, r.type, r.priority, r.state, r.held_from, r.state_reason, r.target_date, r.requested_by_id,
                u.name AS requested_by, r.requested_at, r.note, r.completion_date, r.completed_at, r.revision
         FROM validation_requests r JOIN users u ON u.user_id = r.requested_by_id
         WHERE r.request_id = $3",
    )
    .bind(person)
    .bind(now)
    .bind(request);
    visible(query, sees_all).optional(db).await
}

/// A version under review.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct RequestVersion {
    /// The version.
    pub version_id: VersionId,
    /// Its number.
    pub version_number: String,
    /// The model.
    pub model_id: ModelId,
    /// Its name.
    pub model_name: String,
    /// Its risk tier.
    pub risk_tier: RiskTier,
    /// MAJOR or MINOR.
    pub change_type: String,
    /// GLOBAL or REGIONAL.
    pub scope: String,
    /// What changes.
    pub description: String,
    /// The digest of its artifact.
    pub artifact_digest: Option<String>,
    /// When it should go live.
    pub planned_production_date: Option<NaiveDate>,
}

pub async fn versions(db: &Db, request: RequestId) -> Result<Vec<RequestVersion>, DbError> {
    Query::new(
        "SELECT v.version_id, v.number AS version_number, v.model_id, m.name AS model_name, m.risk_tier, v.change_type, v.scope,
                v.description, v.artifact_digest, v.planned_production_date
         FROM validation_versions x JOIN versions v ON v.version_id = x.version_id JOIN models m ON m.model_id = v.model_id
         WHERE x.request_id = $1 ORDER BY m.risk_tier, m.name, v.version_id",
    )
    .bind(request)
    .all(db)
    .await
}

pub async fn regions(db: &Db, request: RequestId) -> Result<Vec<String>, DbError> {
    let rows: Vec<(String,)> = Query::new(
        "SELECT r.code FROM validation_regions x JOIN regions r ON r.region_id = x.region_id WHERE x.request_id = $1 ORDER BY r.code",
    )
    .bind(request)
    .all(db)
    .await?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// An approval that was asked for.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct ApprovalView {
    /// Its number.
    pub approval_id: ApprovalId,
    /// The role that gives it.
    pub role: Role,
    /// The region it is given for.
    pub region_id: Option<RegionId>,
    /// The region's code.
    pub region_code: Option<String>,
    /// Where it stands.
    pub state: ApprovalState,
    /// Who gave or refused it.
    pub decided_by: Option<String>,
    /// When.
    pub decided_at: Option<DateTime<Utc>>,
    /// What they said.
    pub comment: Option<String>,
    /// The artifact digests it names, as JSON: by version number in addresses.
    pub digests: String,
    /// The ticket to decide it on.
    pub ticket_id: Option<TicketId>,
    /// Whether nobody decided that ticket in time; then it must be asked again.
    pub expired: bool,
    /// How many people must approve.
    pub needed: i64,
    /// How many have.
    pub given: i64,
}

pub async fn approvals(db: &Db, request: RequestId) -> Result<Vec<ApprovalView>, DbError> {
    Query::new(
        "SELECT a.approval_id, a.role, a.region_id, r.code AS region_code, a.state, u.name AS decided_by, a.decided_at, a.comment,
                a.digests, i.ticket_id, COALESCE(i.state = 'expired', FALSE) AS expired, COALESCE(i.needed, 1) AS needed,
                (SELECT COUNT(*) FROM approval_inbox_actions c WHERE c.ticket_id = i.ticket_id AND c.action = 'approved') AS given
         FROM validation_approvals a
         LEFT JOIN regions r ON r.region_id = a.region_id
         LEFT JOIN users u ON u.user_id = a.decided_by_id
         LEFT JOIN approval_inbox_items i ON i.kind = 'validation_approval' AND i.group_id = a.request_id
              AND i.subject_id = a.approval_id AND i.superseded_by_id IS NULL
         WHERE a.request_id = $1 ORDER BY a.approval_id",
    )
    .bind(request)
    .all(db)
    .await
}

/// One entry of the ledger about a request or its approvals.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Entry {
    pub action: String,
    pub entity_id: String,
    pub actor: String,
    pub at: DateTime<Utc>,
    pub after: Option<String>,
    pub reason: Option<String>,
}

/// What the ledger says of a request and its approvals, newest first; an act on a request of several
/// models has an entry for each.
pub async fn history(db: &Db, request: RequestId) -> Result<Vec<Entry>, DbError> {
    Query::new(
        "SELECT e.action, e.entity_id, e.actor, e.at, e.after, e.reason FROM ledger_entries e
         WHERE (e.entity = 'validation' AND e.entity_id = $1)
            OR (e.entity = 'validation_approval' AND e.entity_id IN (
                SELECT CAST(a.approval_id AS TEXT) FROM validation_approvals a WHERE a.request_id = $2))
         ORDER BY e.seq DESC LIMIT 500",
    )
    .bind(request.to_string())
    .bind(request)
    .all(db)
    .await
}

/// A version that a request can be made for, with what suggests the form's answers.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct VersionChoice {
    pub version_id: VersionId,
    pub number: String,
    pub model_id: ModelId,
    pub model_name: String,
    pub description: String,
    pub is_first: bool,
    pub region_id: Option<RegionId>,
    pub region_code: Option<String>,
    pub requires_regional_approval: bool,
}

/// Versions with their target regions, a row each.
pub async fn choices(db: &Db, versions: &[VersionId]) -> Result<Vec<VersionChoice>, DbError> {
    Query::new(
        "SELECT v.version_id, v.number, v.model_id, m.name AS model_name, v.description,
                NOT EXISTS (SELECT 1 FROM versions e WHERE e.model_id = v.model_id AND e.version_id < v.version_id) AS is_first,
                r.region_id, r.code AS region_code, COALESCE(r.requires_regional_approval, FALSE) AS requires_regional_approval
         FROM versions v JOIN models m ON m.model_id = v.model_id
         LEFT JOIN version_targets t ON t.version_id = v.version_id LEFT JOIN regions r ON r.region_id = t.region_id
         WHERE v.version_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1)) ORDER BY m.name, v.version_id, r.code",
    )
    .bind(json_list(versions))
    .all(db)
    .await
}

/// A version that a request could hold as well.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Candidate {
    pub version_id: VersionId,
    pub number: String,
    pub model_name: String,
    pub description: String,
}

/// The first twenty versions in no validation, of models that none of `chosen` is of, whose validation the
/// person may ask for.
pub async fn candidates(
    db: &Db,
    person: UserId,
    of_all: bool,
    chosen: &[VersionId],
    q: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Vec<Candidate>, DbError> {
    Query::new(
        "SELECT v.version_id, v.number, m.name AS model_name, v.description
         FROM models m JOIN versions v ON v.model_id = m.model_id
         WHERE ($3 OR m.owner_id = $1 OR m.developer_id = $1
                OR EXISTS (SELECT 1 FROM delegations d WHERE d.model_id = m.model_id AND d.user_id = $1 AND d.can_submit_changes
                           AND d.revoked_at IS NULL AND (d.expires_at IS NULL OR d.expires_at > $2)))
           AND m.model_id NOT IN (SELECT c.model_id FROM versions c
                                  WHERE c.version_id IN (SELECT CAST(value AS BIGINT) FROM json_each($4)))
           AND NOT EXISTS (SELECT 1 FROM validation_versions x JOIN validation_requests r ON r.request_id = x.request_id
                           WHERE x.version_id = v.version_id AND r.state <> 'CANCELLED')",
    )
    .bind(person)
    .bind(now)
    .bind(of_all)
    .bind(json_list(chosen))
    .when(" AND LOWER(m.name) LIKE {} ESCAPE '\\'", q.map(like_pattern))
    .push(" ORDER BY m.name, v.version_id DESC LIMIT 20")
    .all(db)
    .await
}

/// The regions that requests can be filtered by.
pub async fn region_choices(db: &Db) -> Result<Vec<(RegionId, String)>, DbError> {
    Query::new("SELECT region_id, code FROM regions ORDER BY code").all(db).await
}
