//! The SQL of tickets: asked, locked, decided. What the pages show is read in [`view`].

use chrono::{DateTime, Utc};

use super::rules::{ApprovalRule, Risk, TicketAction, TicketKind, TicketState};
use super::{Ask, Ticket};
use crate::db::{Conn, Db, DbError, Query, Tx, json_list};
use crate::identity::Role;
use crate::ids::{ModelId, RegionId, RuleId, TicketId, UserId, VersionId};
use crate::words::RiskTier;

mod view;

pub use view::{
    Candidate, Choices, DECIDABLE, Past, PreviewedRelease, Subject, TicketCounts, TicketView, candidates, choices,
    chosen, counts, history, list, release, subjects, view,
};

/// A ticket as a decision needs it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Locked {
    pub ticket_id: TicketId,
    pub kind: TicketKind,
    pub subject_id: i64,
    pub needed: i64,
    pub requested_by_id: UserId,
    pub required_role: Role,
    pub model_id: Option<ModelId>,
    pub version_id: Option<VersionId>,
    pub region_id: Option<RegionId>,
    pub state: TicketState,
    pub excluded: String,
    pub risk: Risk,
    pub due_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    pub superseded_by_id: Option<TicketId>,
    pub revision: i64,
}

impl Locked {
    /// The ticket as the area that asked for it knows it.
    pub fn ticket(&self) -> Ticket {
        Ticket {
            ticket_id: self.ticket_id,
            kind: self.kind,
            subject_id: self.subject_id,
            model_id: self.model_id,
            version_id: self.version_id,
            region_id: self.region_id,
            comment: None,
        }
    }
}

macro_rules! locked {
    ($rest:literal) => {
        concat!(
            "SELECT ticket_id, kind, subject_id, needed, requested_by_id, required_role, model_id, version_id,
                    region_id, state, excluded, risk, due_at, expires_at, superseded_by_id, revision
             FROM approval_inbox_items ",
            $rest
        )
    };
}

/// The ticket, locked until the transaction ends.
pub async fn lock(tx: &mut Tx, ticket: TicketId) -> Result<Locked, DbError> {
    Query::new(locked!("WHERE ticket_id = $1")).bind(ticket).for_update().one(tx).await
}

/// The ticket as a decision would find it, for saying why somebody cannot decide it.
pub async fn read(conn: impl Into<Conn<'_>>, ticket: TicketId) -> Result<Locked, DbError> {
    Query::new(locked!("WHERE ticket_id = $1")).bind(ticket).one(conn).await
}

/// The tickets on these subjects that nobody answered, locked: pending, or expired and not asked again.
pub async fn unanswered(tx: &mut Tx, kind: TicketKind, subjects: &[i64]) -> Result<Vec<Locked>, DbError> {
    Query::new(locked!(
        "WHERE kind = $1 AND state IN ('pending', 'expired') AND superseded_by_id IS NULL
           AND subject_id IN (SELECT CAST(value AS BIGINT) FROM json_each($2))
         ORDER BY ticket_id"
    ))
    .bind(kind)
    .bind(json_list(subjects))
    .for_update()
    .all(tx)
    .await
}

/// The tickets of a kind on a version that nobody answered, locked.
pub async fn unanswered_on(tx: &mut Tx, kind: TicketKind, version: VersionId) -> Result<Vec<Locked>, DbError> {
    Query::new(locked!(
        "WHERE kind = $1 AND state IN ('pending', 'expired') AND superseded_by_id IS NULL AND version_id = $2 ORDER BY ticket_id"
    ))
    .bind(kind)
    .bind(version)
    .for_update()
    .all(tx)
    .await
}

/// Whether there is a ticket whose time has run out.
pub async fn any_due(db: &Db, now: DateTime<Utc>) -> Result<bool, DbError> {
    Query::new("SELECT ticket_id FROM approval_inbox_items WHERE state = 'pending' AND expires_at <= $1 LIMIT 1")
        .bind(now)
        .optional::<(TicketId,)>(db)
        .await
        .map(|found| found.is_some())
}

/// The tickets whose time has run out, locked.
pub async fn due(tx: &mut Tx, now: DateTime<Utc>) -> Result<Vec<Locked>, DbError> {
    Query::new(locked!("WHERE state = 'pending' AND expires_at <= $1 ORDER BY ticket_id"))
        .bind(now)
        .for_update()
        .all(tx)
        .await
}

/// The models a decision on the ticket may touch: its own, and those validated together with it.
pub async fn models_of(conn: impl Into<Conn<'_>>, ticket: TicketId) -> Result<Vec<ModelId>, DbError> {
    let rows: Vec<(ModelId,)> = Query::new(
        "SELECT i.model_id FROM approval_inbox_items i WHERE i.ticket_id = $1 AND i.model_id IS NOT NULL
         UNION
         SELECT v.model_id FROM approval_inbox_items i
         JOIN validation_approvals a ON a.approval_id = i.subject_id
         JOIN validation_versions x ON x.request_id = a.request_id JOIN versions v ON v.version_id = x.version_id
         WHERE i.ticket_id = $1 AND i.kind = 'validation_approval'",
    )
    .bind(ticket)
    .all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

pub async fn insert(
    tx: &mut Tx,
    ask: &Ask,
    group: Option<i64>,
    needed: i64,
    agent: Option<&str>,
    now: DateTime<Utc>,
) -> Result<TicketId, DbError> {
    Query::new(
        "INSERT INTO approval_inbox_items (kind, subject, subject_id, group_id, needed, requested_by_id, agent, required_role,
             model_id, version_id, region_id, project_id, risk, priority, due_at, expires_at, state, excluded, created_at,
             environment_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, (SELECT project_id FROM models WHERE model_id = $9), $12, $13,
             $14, $15, 'pending', $16, $17, $18) RETURNING ticket_id",
    )
    .bind(ask.kind)
    .bind(&ask.subject)
    .bind(ask.subject_id)
    .bind(group)
    .bind(needed)
    .bind(ask.requested_by)
    .bind(agent.map(str::to_owned))
    .bind(ask.required_role)
    .bind(ask.model_id)
    .bind(ask.version_id)
    .bind(ask.region_id)
    .bind(ask.risk)
    .bind(ask.risk.priority())
    .bind(ask.risk.due(now))
    .bind(ask.kind.expires(ask.risk.due(now)))
    .bind(json_list(&ask.excluded))
    .bind(now)
    .bind(ask.environment.map(|(environment, _)| environment))
    .one::<(TicketId,)>(tx)
    .await
    .map(|row| row.0)
}

/// What is new about a ticket that takes the place of another.
#[derive(Debug)]
pub struct Copy {
    pub asked_by: UserId,
    pub excluded: Vec<UserId>,
    pub due: DateTime<Utc>,
    pub expires: Option<DateTime<Utc>>,
}

/// Asks the question of a closed ticket anew; everything else stays as it was.
pub async fn copy(tx: &mut Tx, old: TicketId, new: &Copy, now: DateTime<Utc>) -> Result<TicketId, DbError> {
    Query::new(
        "INSERT INTO approval_inbox_items (kind, subject, subject_id, group_id, needed, requested_by_id, agent, required_role,
             model_id, version_id, region_id, project_id, risk, priority, due_at, expires_at, state, assigned_to_id, excluded,
             created_at, environment_id)
         SELECT kind, subject, subject_id, group_id, needed, $3, agent, required_role,
             model_id, version_id, region_id, project_id, risk, priority, $4, $5, 'pending', assigned_to_id, $6, $2, environment_id
         FROM approval_inbox_items WHERE ticket_id = $1 RETURNING ticket_id",
    )
    .bind(old)
    .bind(now)
    .bind(new.asked_by)
    .bind(new.due)
    .bind(new.expires)
    .bind(json_list(&new.excluded))
    .one::<(TicketId,)>(tx)
    .await
    .map(|row| row.0)
}

pub async fn link(tx: &mut Tx, old: TicketId, new: TicketId) -> Result<u64, DbError> {
    Query::new("UPDATE approval_inbox_items SET superseded_by_id = $2 WHERE ticket_id = $1")
        .bind(old)
        .bind(new)
        .run(tx)
        .await
}

/// Ends a ticket.
pub async fn close(
    tx: &mut Tx,
    ticket: TicketId,
    state: TicketState,
    by: Option<UserId>,
    comment: Option<&str>,
    now: DateTime<Utc>,
) -> Result<u64, DbError> {
    Query::new(
        "UPDATE approval_inbox_items SET state = $2, decided_by_id = $3, comment = $4, decided_at = $5, revision = revision + 1
         WHERE ticket_id = $1",
    )
    .bind(ticket)
    .bind(state)
    .bind(by)
    .bind(comment.map(str::to_owned))
    .bind(now)
    .run(tx)
    .await
}

/// Says that a ticket changed without ending.
pub async fn touch(tx: &mut Tx, ticket: TicketId) -> Result<u64, DbError> {
    Query::new("UPDATE approval_inbox_items SET revision = revision + 1 WHERE ticket_id = $1")
        .bind(ticket)
        .run(tx)
        .await
}

pub async fn assign(tx: &mut Tx, ticket: TicketId, to: Option<UserId>) -> Result<u64, DbError> {
    Query::new("UPDATE approval_inbox_items SET assigned_to_id = $2, revision = revision + 1 WHERE ticket_id = $1")
        .bind(ticket)
        .bind(to)
        .run(tx)
        .await
}

pub async fn mark_lapsed(
    tx: &mut Tx,
    kind: TicketKind,
    subjects: &[i64],
    now: DateTime<Utc>,
) -> Result<Vec<TicketId>, DbError> {
    let rows: Vec<(TicketId,)> = Query::new(
        "UPDATE approval_inbox_items SET lapsed_at = $3, revision = revision + 1
         WHERE kind = $1 AND state = 'approved' AND lapsed_at IS NULL
           AND subject_id IN (SELECT CAST(value AS BIGINT) FROM json_each($2)) RETURNING ticket_id",
    )
    .bind(kind)
    .bind(json_list(subjects))
    .bind(now)
    .all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// Adds a line to a ticket's timeline.
pub async fn note(
    tx: &mut Tx,
    ticket: TicketId,
    action: TicketAction,
    by: Option<UserId>,
    comment: Option<&str>,
    now: DateTime<Utc>,
) -> Result<u64, DbError> {
    Query::new("INSERT INTO approval_inbox_actions (ticket_id, action, by_id, comment, at) VALUES ($1, $2, $3, $4, $5)")
        .bind(ticket)
        .bind(action)
        .bind(by)
        .bind(comment.map(str::to_owned))
        .bind(now)
        .run(tx)
        .await
}

/// Whose approvals of this ticket, and of the others of its group, stand.
pub async fn given(conn: impl Into<Conn<'_>>, ticket: TicketId) -> Result<Vec<(UserId, bool)>, DbError> {
    Query::new(
        "SELECT DISTINCT a.by_id, o.ticket_id = i.ticket_id AS here
         FROM approval_inbox_items i
         JOIN approval_inbox_items o ON o.ticket_id = i.ticket_id
              OR (o.kind = i.kind AND o.group_id = i.group_id AND o.state IN ('pending', 'approved') AND o.lapsed_at IS NULL)
         JOIN approval_inbox_actions a ON a.ticket_id = o.ticket_id
         WHERE i.ticket_id = $1 AND a.action = 'approved' AND a.by_id IS NOT NULL",
    )
    .bind(ticket)
    .all(conn)
    .await
}

/// A person's roles and the regions they approve for; nothing if they are disabled.
pub async fn roles_of(
    conn: impl Into<Conn<'_>>,
    user: UserId,
) -> Result<Vec<(Option<Role>, Option<RegionId>, String)>, DbError> {
    Query::new(
        "SELECT r.role, r.region_id, u.name FROM users u LEFT JOIN user_roles r ON r.user_id = u.user_id
         WHERE u.user_id = $1 AND NOT u.disabled",
    )
    .bind(user)
    .all(conn)
    .await
}

pub async fn tier_of(tx: &mut Tx, model: ModelId) -> Result<RiskTier, DbError> {
    Query::new("SELECT risk_tier FROM models WHERE model_id = $1")
        .bind(model)
        .one::<(RiskTier,)>(tx)
        .await
        .map(|row| row.0)
}

pub async fn rules(conn: impl Into<Conn<'_>>) -> Result<Vec<ApprovalRule>, DbError> {
    Query::new(
        "SELECT rule_id, kind, stage, region_id, risk_tier, role, needed FROM approval_rules ORDER BY kind, role, rule_id",
    )
    .all(conn)
    .await
}

pub async fn insert_rule(tx: &mut Tx, rule: &super::NewRule) -> Result<ApprovalRule, DbError> {
    Query::new(
        "INSERT INTO approval_rules (kind, stage, region_id, risk_tier, role, needed) VALUES ($1, $2, $3, $4, $5, $6)
         RETURNING rule_id, kind, stage, region_id, risk_tier, role, needed",
    )
    .bind(rule.kind)
    .bind(rule.stage)
    .bind(rule.region_id)
    .bind(rule.risk_tier)
    .bind(rule.role)
    .bind(rule.needed)
    .one(tx)
    .await
}

pub async fn rule(tx: &mut Tx, rule: RuleId) -> Result<Option<ApprovalRule>, DbError> {
    Query::new("SELECT rule_id, kind, stage, region_id, risk_tier, role, needed FROM approval_rules WHERE rule_id = $1")
        .bind(rule)
        .for_update()
        .optional(tx)
        .await
}

pub async fn set_needed(tx: &mut Tx, rule: RuleId, needed: i64) -> Result<u64, DbError> {
    Query::new("UPDATE approval_rules SET needed = $2 WHERE rule_id = $1").bind(rule).bind(needed).run(tx).await
}

pub async fn delete_rule(tx: &mut Tx, rule: RuleId) -> Result<u64, DbError> {
    Query::new("DELETE FROM approval_rules WHERE rule_id = $1").bind(rule).run(tx).await
}

pub async fn minor_rules(conn: impl Into<Conn<'_>>) -> Result<Vec<super::MinorChangeRule>, DbError> {
    Query::new("SELECT risk_tier, needs_validation FROM minor_change_rules ORDER BY risk_tier").all(conn).await
}

pub async fn set_minor_rule(tx: &mut Tx, rule: super::MinorChangeRule) -> Result<u64, DbError> {
    Query::new(
        "INSERT INTO minor_change_rules (risk_tier, needs_validation) VALUES ($1, $2)
         ON CONFLICT (risk_tier) DO UPDATE SET needs_validation = excluded.needs_validation",
    )
    .bind(rule.risk_tier)
    .bind(rule.needs_validation)
    .run(tx)
    .await
}
