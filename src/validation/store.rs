//! The SQL of validation requests and their approvals. What lists and pages show is in [`view`].

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};

use super::requests::NewRequest;
use super::rules::ApprovalState;
use crate::db::{Conn, DbError, Query, Tx, json_list};
use crate::identity::Role;
use crate::ids::{ApprovalId, ModelId, RegionId, RequestId, UserId, VersionId};
use crate::words::{RiskTier, ValidationState};

mod view;

pub use view::{
    ApprovalView, Candidate, Entry, RequestCounts, RequestRow, RequestVersion, RequestView, VersionChoice, approvals,
    candidates, choices, counts, history, list, one, region_choices, regions, versions,
};

/// A request as a change of its state needs it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Locked {
    pub request_id: RequestId,
    pub state: ValidationState,
    pub held_from: Option<ValidationState>,
    pub requested_by_id: UserId,
    pub revision: i64,
}

/// A version under review, with what eligibility and tickets need to know of it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Member {
    pub version_id: VersionId,
    pub number: String,
    pub model_id: ModelId,
    pub model_name: String,
    pub risk_tier: RiskTier,
    pub developer_id: Option<UserId>,
    pub submitted_by_id: UserId,
    pub artifact_digest: Option<String>,
}

/// What an approver sees, and what an approval names: each version's artifact digest.
pub type Digests = BTreeMap<String, Option<String>>;

/// The digests of these versions, as an approval names them.
pub fn digests(members: &[Member]) -> Digests {
    members.iter().map(|one| (one.version_id.to_string(), one.artifact_digest.clone())).collect()
}

/// An approval that is asked for or given.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Standing {
    pub approval_id: ApprovalId,
    pub request_id: RequestId,
    pub role: Role,
    pub region_id: Option<RegionId>,
    pub state: ApprovalState,
    pub digests: String,
}

macro_rules! members {
    ($rest:literal) => {
        concat!(
            "SELECT v.version_id, v.number, v.model_id, m.name AS model_name, m.risk_tier, m.developer_id, v.submitted_by_id,
                    v.artifact_digest
             FROM versions v JOIN models m ON m.model_id = v.model_id ",
            $rest,
            " ORDER BY m.risk_tier, m.name, v.version_id"
        )
    };
}

/// The versions of a request, the highest risk first.
pub async fn members(conn: impl Into<Conn<'_>>, request: RequestId) -> Result<Vec<Member>, DbError> {
    Query::new(members!("JOIN validation_versions x ON x.version_id = v.version_id WHERE x.request_id = $1"))
        .bind(request)
        .all(conn)
        .await
}

/// These versions, the highest risk first.
pub async fn versions_named(conn: impl Into<Conn<'_>>, versions: &[VersionId]) -> Result<Vec<Member>, DbError> {
    Query::new(members!("WHERE v.version_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))"))
        .bind(json_list(versions))
        .all(conn)
        .await
}

/// The regions these versions are meant for.
pub async fn targets(conn: impl Into<Conn<'_>>, versions: &[VersionId]) -> Result<Vec<RegionId>, DbError> {
    let rows: Vec<(RegionId,)> = Query::new(
        "SELECT DISTINCT region_id FROM version_targets
         WHERE version_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1)) ORDER BY region_id",
    )
    .bind(json_list(versions))
    .all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// An open request that holds one of these versions.
pub async fn open_request(tx: &mut Tx, versions: &[VersionId]) -> Result<Option<(RequestId, VersionId)>, DbError> {
    Query::new(
        "SELECT r.request_id, x.version_id FROM validation_requests r JOIN validation_versions x ON x.request_id = r.request_id
         WHERE r.state NOT IN ('APPROVED', 'CANCELLED') AND x.version_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))
         ORDER BY r.request_id LIMIT 1",
    )
    .bind(json_list(versions))
    .optional(tx)
    .await
}

pub async fn insert(
    tx: &mut Tx,
    new: &NewRequest,
    note: &str,
    regions: &[RegionId],
    by: UserId,
    now: DateTime<Utc>,
) -> Result<RequestId, DbError> {
    let (request,): (RequestId,) = Query::new(
        "INSERT INTO validation_requests (type, priority, state, target_date, requested_by_id, requested_at, note)
         VALUES ($1, $2, 'INTAKE', $3, $4, $5, $6) RETURNING request_id",
    )
    .bind(new.r#type)
    .bind(new.priority)
    .bind(new.target_date)
    .bind(by)
    .bind(now)
    .bind(note)
    .one(&mut *tx)
    .await?;
    Query::new(
        "INSERT INTO validation_versions (request_id, version_id) SELECT $1, CAST(value AS BIGINT) FROM json_each($2)",
    )
    .bind(request)
    .bind(json_list(&new.version_ids))
    .run(&mut *tx)
    .await?;
    Query::new(
        "INSERT INTO validation_regions (request_id, region_id) SELECT $1, CAST(value AS BIGINT) FROM json_each($2)",
    )
    .bind(request)
    .bind(json_list(regions))
    .run(tx)
    .await?;
    Ok(request)
}

pub async fn lock(tx: &mut Tx, request: RequestId) -> Result<Locked, DbError> {
    Query::new(
        "SELECT request_id, state, held_from, requested_by_id, revision FROM validation_requests WHERE request_id = $1",
    )
    .bind(request)
    .for_update()
    .one(tx)
    .await
}

/// Moves a request; whatever was completed no longer is.
pub async fn set_state(
    tx: &mut Tx,
    request: RequestId,
    state: ValidationState,
    held_from: Option<ValidationState>,
    reason: Option<&str>,
) -> Result<u64, DbError> {
    Query::new(
        "UPDATE validation_requests SET state = $2, held_from = $3, state_reason = $4, completion_date = NULL,
                completed_at = NULL, revision = revision + 1 WHERE request_id = $1",
    )
    .bind(request)
    .bind(state)
    .bind(held_from)
    .bind(reason.map(str::to_owned))
    .run(tx)
    .await
}

/// Completes a request on `date`.
pub async fn complete(tx: &mut Tx, request: RequestId, date: NaiveDate, now: DateTime<Utc>) -> Result<u64, DbError> {
    Query::new(
        "UPDATE validation_requests SET state = 'APPROVED', held_from = NULL, state_reason = NULL, completion_date = $2,
                completed_at = $3, revision = revision + 1 WHERE request_id = $1",
    )
    .bind(request)
    .bind(date)
    .bind(now)
    .run(tx)
    .await
}

/// The regions in a request's scope that require regional approval.
pub async fn requiring_regions(tx: &mut Tx, request: RequestId) -> Result<Vec<(RegionId, String)>, DbError> {
    Query::new(
        "SELECT r.region_id, r.code FROM validation_regions x JOIN regions r ON r.region_id = x.region_id
         WHERE x.request_id = $1 AND r.requires_regional_approval ORDER BY r.code",
    )
    .bind(request)
    .all(tx)
    .await
}

/// The approvals of a request that are asked for or given.
pub async fn standing(tx: &mut Tx, request: RequestId) -> Result<Vec<Standing>, DbError> {
    Query::new(
        "SELECT approval_id, request_id, role, region_id, state, digests FROM validation_approvals
         WHERE request_id = $1 AND state IN ('PENDING', 'APPROVED') ORDER BY approval_id",
    )
    .bind(request)
    .all(tx)
    .await
}

pub async fn approval(tx: &mut Tx, approval: ApprovalId) -> Result<Option<Standing>, DbError> {
    Query::new(
        "SELECT approval_id, request_id, role, region_id, state, digests FROM validation_approvals WHERE approval_id = $1",
    )
    .bind(approval)
    .for_update()
    .optional(tx)
    .await
}

pub async fn ask_approval(
    tx: &mut Tx,
    request: RequestId,
    role: Role,
    region: Option<RegionId>,
    digests: &str,
    now: DateTime<Utc>,
) -> Result<ApprovalId, DbError> {
    Query::new(
        "INSERT INTO validation_approvals (request_id, role, region_id, state, digests, created_at)
         VALUES ($1, $2, $3, 'PENDING', $4, $5) RETURNING approval_id",
    )
    .bind(request)
    .bind(role)
    .bind(region)
    .bind(digests)
    .bind(now)
    .one::<(ApprovalId,)>(tx)
    .await
    .map(|row| row.0)
}

pub async fn decide_approval(
    tx: &mut Tx,
    approval: ApprovalId,
    state: ApprovalState,
    by: UserId,
    comment: Option<&str>,
    now: DateTime<Utc>,
) -> Result<u64, DbError> {
    Query::new(
        "UPDATE validation_approvals SET state = $2, decided_by_id = $3, comment = $4, decided_at = $5 WHERE approval_id = $1",
    )
    .bind(approval)
    .bind(state)
    .bind(by)
    .bind(comment.map(str::to_owned))
    .bind(now)
    .run(tx)
    .await
}

/// Moves approvals to a state without a decision: lapsed, withdrawn.
pub async fn end_approvals(tx: &mut Tx, approvals: &[i64], state: ApprovalState) -> Result<u64, DbError> {
    Query::new(
        "UPDATE validation_approvals SET state = $2
         WHERE approval_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))",
    )
    .bind(json_list(approvals))
    .bind(state)
    .run(tx)
    .await
}

/// Gives approvals that are still asked for the digests there are now.
pub async fn renew_digests(tx: &mut Tx, approvals: &[i64], digests: &str) -> Result<u64, DbError> {
    Query::new(
        "UPDATE validation_approvals SET digests = $2
         WHERE approval_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))",
    )
    .bind(json_list(approvals))
    .bind(digests)
    .run(tx)
    .await
}

/// The requests that hold a version and whose approvals may name its artifact.
pub async fn requests_on(tx: &mut Tx, version: VersionId) -> Result<Vec<Locked>, DbError> {
    Query::new(
        "SELECT request_id, state, held_from, requested_by_id, revision FROM validation_requests
         WHERE state <> 'CANCELLED' AND request_id IN (SELECT request_id FROM validation_versions WHERE version_id = $1)
         ORDER BY request_id",
    )
    .bind(version)
    .for_update()
    .all(tx)
    .await
}

/// The model of a version and those of the versions that share a request with it that may hold approvals.
pub async fn models_beside(tx: &mut Tx, version: VersionId) -> Result<Vec<ModelId>, DbError> {
    let rows: Vec<(ModelId,)> = Query::new(
        "SELECT model_id FROM versions WHERE version_id = $1
         UNION
         SELECT v.model_id FROM validation_versions x JOIN validation_requests r ON r.request_id = x.request_id
         JOIN validation_versions y ON y.request_id = x.request_id JOIN versions v ON v.version_id = y.version_id
         WHERE x.version_id = $1 AND r.state <> 'CANCELLED'
         ORDER BY model_id",
    )
    .bind(version)
    .all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// Ends the regional approvals of a version that name another artifact than it has now.
pub async fn lapse_regional(
    tx: &mut Tx,
    version: VersionId,
    now: DateTime<Utc>,
) -> Result<Vec<(RegionId, i64)>, DbError> {
    Query::new(
        "UPDATE regional_approvals SET lapsed_at = $2
         WHERE version_id = $1 AND lapsed_at IS NULL
           AND COALESCE(digest, '') <> COALESCE((SELECT v.artifact_digest FROM versions v WHERE v.version_id = $1), '')
         RETURNING region_id, ticket_id",
    )
    .bind(version)
    .bind(now)
    .all(tx)
    .await
}
