//! The SQL of previews and releases.

use chrono::{DateTime, Utc};
use countersign_runtimes::{Diagnostics, Done, Plan};

use super::rules::{Covers, GateCheck, LifecycleState, ReleaseKind};
use super::{ReleaseBody, ReleaseFilter, ReleaseRow, ReleaseTicket};
use crate::db::{Conn, Db, DbError, Query, Tx};
use crate::identity::access::RELATED_MODELS;
use crate::ids::{EnvironmentId, ModelId, RegionId, ReleaseId, UserId, VersionId};
use crate::words::{RiskTier, Stage, ValidationState};

// Previews ----------------------------------------------------------------------------------------

/// What the gates ask about a version in a region.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Facts {
    pub version_id: VersionId,
    pub version_number: String,
    pub artifact_digest: Option<String>,
    pub artifact_stored: bool,
    pub model_id: ModelId,
    pub model_name: String,
    pub risk_tier: RiskTier,
    pub needs_validation: bool,
    pub validation_state: Option<ValidationState>,
    pub targeted: bool,
    pub locked: bool,
}

pub async fn facts(conn: impl Into<Conn<'_>>, version: VersionId, region: RegionId) -> Result<Option<Facts>, DbError> {
    Query::new(
        "SELECT v.version_id, v.number AS version_number, v.artifact_digest, COALESCE(a.stored, FALSE) AS artifact_stored,
                v.model_id, m.name AS model_name, m.risk_tier,
                (v.change_type = 'MAJOR' OR COALESCE(rule.needs_validation, TRUE)) AS needs_validation,
                vv.state AS validation_state,
                EXISTS (SELECT 1 FROM version_targets t WHERE t.version_id = v.version_id AND t.region_id = $2) AS targeted,
                EXISTS (SELECT 1 FROM version_locks l WHERE l.version_id = v.version_id AND l.region_id = $2) AS locked
         FROM versions v JOIN models m ON m.model_id = v.model_id
         LEFT JOIN artifacts a ON a.digest = v.artifact_digest
         LEFT JOIN minor_change_rules rule ON rule.risk_tier = m.risk_tier
         LEFT JOIN version_requests vq ON vq.version_id = v.version_id
         LEFT JOIN validation_requests vv ON vv.request_id = vq.request_id
         WHERE v.version_id = $1",
    )
    .bind(version)
    .bind(region)
    .optional(conn)
    .await
}

pub async fn model_of(db: &Db, version: VersionId) -> Result<Option<ModelId>, DbError> {
    Query::new("SELECT model_id FROM versions WHERE version_id = $1")
        .bind(version)
        .optional::<(ModelId,)>(db)
        .await
        .map(|row| row.map(|row| row.0))
}

/// A preview to be kept.
#[derive(Debug)]
pub struct NewPreview<'a> {
    pub preview_ref: &'a str,
    pub kind: ReleaseKind,
    pub environment: EnvironmentId,
    pub version: VersionId,
    pub model: ModelId,
    pub digest: String,
    pub covers: &'a Covers,
    pub plan: &'a Plan,
    pub checks: &'a [GateCheck],
    pub reason: Option<String>,
    pub by: UserId,
    pub now: DateTime<Utc>,
    pub expires: DateTime<Utc>,
}

pub async fn insert_preview(tx: &mut Tx, new: &NewPreview<'_>) -> Result<u64, DbError> {
    let json = |value: Result<String, serde_json::Error>| value.map_err(|cause| DbError::Encode(cause.into()));
    Query::new(
        "INSERT INTO release_previews (preview_ref, environment_id, version_id, model_id, kind, covers, digest, plan, checks,
             warnings, reason, requested_by_id, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind(new.preview_ref)
    .bind(new.environment)
    .bind(new.version)
    .bind(new.model)
    .bind(new.kind)
    .bind(json(serde_json::to_string(new.covers))?)
    .bind(&new.digest)
    .bind(json(serde_json::to_string(new.plan))?)
    .bind(json(serde_json::to_string(new.checks))?)
    .bind(json(serde_json::to_string(&new.plan.warnings))?)
    .bind(new.reason.clone())
    .bind(new.by)
    .bind(new.now)
    .bind(new.expires)
    .run(tx)
    .await
}

/// A preview as it is kept.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct PreviewRow {
    pub preview_ref: String,
    pub environment_id: EnvironmentId,
    pub version_id: VersionId,
    pub model_id: ModelId,
    pub kind: ReleaseKind,
    pub covers: String,
    pub digest: String,
    pub plan: String,
    pub checks: String,
    pub reason: Option<String>,
    pub requested_by_id: UserId,
    pub requested_by: String,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub release_id: Option<ReleaseId>,
}

const PREVIEW: &str =
    "SELECT p.preview_ref, p.environment_id, p.version_id, p.model_id, p.kind, p.covers, p.digest, p.plan,
        p.checks, p.reason, p.requested_by_id, u.name AS requested_by, p.created_at, p.expires_at, r.release_id
    FROM release_previews p JOIN users u ON u.user_id = p.requested_by_id
    LEFT JOIN releases r ON r.preview_ref = p.preview_ref ";

pub async fn preview(db: &Db, preview_ref: &str) -> Result<Option<PreviewRow>, DbError> {
    Query::new(PREVIEW).push("WHERE p.preview_ref = $1").bind(preview_ref).optional(db).await
}

pub async fn preview_in(tx: &mut Tx, preview_ref: &str) -> Result<PreviewRow, DbError> {
    Query::new(PREVIEW).push("WHERE p.preview_ref = $1").bind(preview_ref).one(tx).await
}

pub async fn preview_of(db: &Db, release: ReleaseId) -> Result<PreviewRow, DbError> {
    Query::new(PREVIEW).push("WHERE r.release_id = $1").bind(release).one(db).await
}

pub async fn is_used(tx: &mut Tx, preview_ref: &str) -> Result<bool, DbError> {
    Query::new("SELECT release_id FROM releases WHERE preview_ref = $1")
        .bind(preview_ref)
        .optional::<(ReleaseId,)>(tx)
        .await
        .map(|found| found.is_some())
}

// Releases ----------------------------------------------------------------------------------------

pub async fn insert(
    tx: &mut Tx,
    preview: &PreviewRow,
    body: &ReleaseBody,
    freeze: Option<(&str, DateTime<Utc>)>,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<ReleaseId, DbError> {
    Query::new(
        "INSERT INTO releases (environment_id, model_id, version_id, kind, lifecycle_state, preview_ref, apply_on_approval,
             freeze_reason, freeze_until, reason, requested_by_id, created_at)
         VALUES ($1, $2, $3, $4, 'pending_approval', $5, $6, $7, $8, $9, $10, $11) RETURNING release_id",
    )
    .bind(preview.environment_id)
    .bind(preview.model_id)
    .bind(preview.version_id)
    .bind(preview.kind)
    .bind(&preview.preview_ref)
    .bind(body.apply_on_approval)
    .bind(freeze.map(|(reason, _)| reason.to_owned()))
    .bind(freeze.map(|(_, until)| until))
    .bind(preview.reason.clone())
    .bind(by)
    .bind(now)
    .one::<(ReleaseId,)>(tx)
    .await
    .map(|row| row.0)
}

/// The state of a release, with its row locked.
pub async fn lock(tx: &mut Tx, release: ReleaseId) -> Result<LifecycleState, DbError> {
    Query::new("SELECT lifecycle_state FROM releases WHERE release_id = $1")
        .bind(release)
        .for_update()
        .one::<(LifecycleState,)>(tx)
        .await
        .map(|row| row.0)
}

/// Moves a release; what ends it also says when.
pub async fn set_state(
    tx: &mut Tx,
    release: ReleaseId,
    state: LifecycleState,
    now: DateTime<Utc>,
) -> Result<u64, DbError> {
    Query::new(
        "UPDATE releases SET lifecycle_state = $2, revision = revision + 1,
             ended_at = CASE WHEN $2 IN ('pending_approval', 'approved', 'applying') THEN ended_at ELSE COALESCE(ended_at, $3) END
         WHERE release_id = $1",
    )
    .bind(release)
    .bind(state)
    .bind(now)
    .run(tx)
    .await
}

pub async fn approve(tx: &mut Tx, release: ReleaseId, by: UserId, now: DateTime<Utc>) -> Result<u64, DbError> {
    Query::new(
        "UPDATE releases SET lifecycle_state = 'approved', approved_by_id = $2, approved_at = $3, revision = revision + 1
         WHERE release_id = $1",
    )
    .bind(release)
    .bind(by)
    .bind(now)
    .run(tx)
    .await
}

pub async fn end(
    tx: &mut Tx,
    release: ReleaseId,
    state: LifecycleState,
    why: Option<&Diagnostics>,
    now: DateTime<Utc>,
) -> Result<u64, DbError> {
    Query::new(
        "UPDATE releases SET lifecycle_state = $2, diagnostics = $3, ended_at = $4, revision = revision + 1
         WHERE release_id = $1",
    )
    .bind(release)
    .bind(state)
    .bind(why.and_then(|why| serde_json::to_string(why).ok()))
    .bind(now)
    .run(tx)
    .await
}

/// The approved releases that were approved by an instant and not applied since, with their models.
pub async fn unused_since(db: &Db, instant: DateTime<Utc>) -> Result<Vec<(ReleaseId, ModelId)>, DbError> {
    Query::new("SELECT release_id, model_id FROM releases WHERE lifecycle_state = 'approved' AND approved_at <= $1 ORDER BY release_id")
        .bind(instant)
        .all(db)
        .await
}

/// The other releases of the preview's version into its environment that still wait, locked.
pub async fn waiting(tx: &mut Tx, preview: &PreviewRow, but: ReleaseId) -> Result<Vec<ReleaseId>, DbError> {
    let rows: Vec<(ReleaseId,)> = Query::new(
        "SELECT release_id FROM releases WHERE environment_id = $1 AND version_id = $2 AND kind = $3 AND release_id <> $4
             AND lifecycle_state IN ('pending_approval', 'approved') ORDER BY release_id",
    )
    .bind(preview.environment_id)
    .bind(preview.version_id)
    .bind(preview.kind)
    .bind(but)
    .for_update()
    .all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// Whether a decision on the release is still missing.
pub async fn waits(tx: &mut Tx, release: ReleaseId) -> Result<bool, DbError> {
    Query::new(
        "SELECT EXISTS (SELECT 1 FROM approval_inbox_items i WHERE i.group_id = $1 AND i.superseded_by_id IS NULL
             AND i.kind IN ('release_approval', 'rollback_approval', 'freeze_override') AND i.state <> 'approved')",
    )
    .bind(release)
    .one::<(bool,)>(tx)
    .await
    .map(|row| row.0)
}

/// What an applied release means for others.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct ApplyFacts {
    pub kind: ReleaseKind,
    pub environment_id: EnvironmentId,
    pub environment_name: String,
    pub stage: Stage,
    pub region_id: RegionId,
    pub model_id: ModelId,
    pub version_id: VersionId,
    pub version_number: String,
    pub digest: Option<String>,
    pub preview_ref: String,
    pub apply_on_approval: bool,
    pub freeze_until: Option<DateTime<Utc>>,
    pub requested_by_id: UserId,
    pub approved_by: Option<String>,
}

pub async fn apply_facts(tx: &mut Tx, release: ReleaseId) -> Result<ApplyFacts, DbError> {
    Query::new(
        "SELECT r.kind, r.environment_id, e.name AS environment_name, e.stage, e.region_id, r.model_id, r.version_id,
                v.number AS version_number, v.artifact_digest AS digest, r.preview_ref, r.apply_on_approval, r.freeze_until,
                r.requested_by_id, a.name AS approved_by
         FROM releases r JOIN environments e ON e.environment_id = r.environment_id
         JOIN versions v ON v.version_id = r.version_id LEFT JOIN users a ON a.user_id = r.approved_by_id
         WHERE r.release_id = $1",
    )
    .bind(release)
    .one(tx)
    .await
}

/// The release of the model that serves in the environment until this one is applied, and its version.
pub async fn applied_before(
    tx: &mut Tx,
    facts: &ApplyFacts,
    release: ReleaseId,
) -> Result<Option<(ReleaseId, VersionId)>, DbError> {
    Query::new(
        "SELECT release_id, version_id FROM releases WHERE environment_id = $1 AND model_id = $2 AND release_id <> $3
             AND lifecycle_state = 'applied' ORDER BY ended_at DESC, release_id DESC LIMIT 1",
    )
    .bind(facts.environment_id)
    .bind(facts.model_id)
    .bind(release)
    .optional(tx)
    .await
}

/// What the verification of the running server found.
pub async fn probe(tx: &mut Tx, release: ReleaseId) -> Result<Option<String>, DbError> {
    let row = Query::new(
        "SELECT s.detail FROM operation_steps s JOIN operations o ON o.operation_id = s.operation_id
         WHERE o.kind = 'release' AND o.subject_id = $1 AND s.name = 'verify' AND NOT s.is_undo ORDER BY s.position LIMIT 1",
    )
    .bind(release)
    .optional::<(Option<String>,)>(tx)
    .await?;
    let done = row.and_then(|row| row.0).and_then(|text| serde_json::from_str::<Done>(&text).ok());
    Ok(done.map(|done| done.sentence))
}

pub async fn was_applied(
    db: &Db,
    environment: EnvironmentId,
    model: ModelId,
    version: VersionId,
) -> Result<bool, DbError> {
    Query::new(
        "SELECT EXISTS (SELECT 1 FROM releases WHERE environment_id = $1 AND model_id = $2 AND version_id = $3
             AND lifecycle_state IN ('applied', 'rollback'))",
    )
    .bind(environment)
    .bind(model)
    .bind(version)
    .one::<(bool,)>(db)
    .await
    .map(|row| row.0)
}

/// The versions that a release could be rolled back to, newest first: applied there once, and not the one it brought.
pub async fn once_applied(db: &Db, release: ReleaseId) -> Result<Vec<(VersionId, String)>, DbError> {
    Query::new(
        "SELECT DISTINCT v.version_id, v.number FROM releases r
         JOIN releases o ON o.environment_id = r.environment_id AND o.model_id = r.model_id AND o.version_id <> r.version_id
         JOIN versions v ON v.version_id = o.version_id
         WHERE r.release_id = $1 AND o.lifecycle_state IN ('applied', 'rollback')
         ORDER BY v.version_id DESC",
    )
    .bind(release)
    .all(db)
    .await
}

/// A release and what belongs to it. It is all there; as outer joins, lists walk the releases in their own order and sort none.
const VIEW: &str = "r.release_id, r.kind, r.lifecycle_state, r.environment_id, e.name AS environment_name, e.stage, e.runtime AS runtime_type, e.region_id, g.code AS region_code,
        r.model_id, m.name AS model_name, r.version_id, v.number AS version_number, r.preview_ref,
        p.expires_at AS preview_expires_at, r.apply_on_approval, r.freeze_reason, r.freeze_until, r.reason, r.requested_by_id,
        u.name AS requested_by, a.name AS approved_by, r.created_at, r.approved_at, r.ended_at, r.revision, r.diagnostics,
        (SELECT MAX(d.deployment_id) FROM deployments d WHERE d.release_id = r.release_id) AS deployment_id
    FROM releases r LEFT JOIN environments e ON e.environment_id = r.environment_id LEFT JOIN regions g ON g.region_id = e.region_id
    LEFT JOIN models m ON m.model_id = r.model_id LEFT JOIN versions v ON v.version_id = r.version_id
    LEFT JOIN release_previews p ON p.preview_ref = r.preview_ref LEFT JOIN users u ON u.user_id = r.requested_by_id
    LEFT JOIN users a ON a.user_id = r.approved_by_id ";

pub async fn view(db: &Db, release: ReleaseId) -> Result<Option<ReleaseRow>, DbError> {
    Query::new("SELECT ").push(VIEW).push("WHERE r.release_id = $1").bind(release).optional(db).await
}

/// One page and one row more, newest first, each row with the count of all. A member sees those of the models they have
/// a relation to.
pub async fn page(
    db: &Db,
    member: Option<UserId>,
    now: DateTime<Utc>,
    filter: &ReleaseFilter,
    limit: i64,
    after: Option<(DateTime<Utc>, ReleaseId)>,
) -> Result<Vec<ReleaseRow>, DbError> {
    let query = Query::new("SELECT (SELECT COUNT(*) FROM releases r WHERE TRUE").bind(member).bind(now);
    let query = if member.is_some() { query.push(" AND r.model_id IN ").push(RELATED_MODELS) } else { query };
    let query = matching(query, filter).push(") AS total_count, ").push(VIEW);
    // The rows are walked in their order and looked up one by one, whoever asks, until the page is full.
    let query = query.push("WHERE ($1 IS NULL OR $2 IS NULL OR r.model_id IN ").push(RELATED_MODELS).push(")");
    matching(query, filter)
        .when(" AND (r.created_at, r.release_id) < ({}", after.map(|keys| keys.0))
        .when(", {})", after.map(|keys| keys.1))
        .push(" ORDER BY r.created_at DESC, r.release_id DESC")
        .limit(limit + 1)
        .all(db)
        .await
}

/// Appends what the filter asks of a release `r`.
fn matching(query: Query, filter: &ReleaseFilter) -> Query {
    query
        .when(" AND r.lifecycle_state = {}", filter.lifecycle_state)
        .when(" AND r.environment_id = {}", filter.environment_id)
        .when(" AND r.model_id = {}", filter.model_id)
        .when(" AND r.version_id = {}", filter.version_id)
}

pub async fn tickets(db: &Db, release: ReleaseId) -> Result<Vec<ReleaseTicket>, DbError> {
    Query::new(
        "SELECT i.ticket_id, 'CS-' || CAST(1000 + i.ticket_id AS TEXT) AS number, i.kind, i.required_role, i.state
         FROM approval_inbox_items i WHERE i.group_id = $1
           AND i.kind IN ('release_approval', 'rollback_approval', 'freeze_override') ORDER BY i.ticket_id",
    )
    .bind(release)
    .all(db)
    .await
}
