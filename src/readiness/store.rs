//! The SQL of readiness.

use chrono::{DateTime, NaiveDate, Utc};

use super::{Audience, ReadyFilter, ReadyItem, ReadySort};
use crate::db::{Db, DbError, Query, Tx, json_list};
use crate::ids::{ModelId, RegionId, RequestId, TaskId, UserId, VersionId};

/// The place of a row in the list: approved on, version, region.
pub type Key = (NaiveDate, VersionId, RegionId);

#[derive(Debug, sqlx::FromRow)]
pub struct PairRow {
    model_id: ModelId,
    model_name: String,
    pub version_id: VersionId,
    version_number: String,
    pub region_id: RegionId,
    region_code: String,
    region_name: String,
    validation_request_id: RequestId,
    pub validation_approved_date: NaiveDate,
    requires_regional_approval: bool,
    current_deployed_version: Option<String>,
    pending_task_id: Option<TaskId>,
    superseded: bool,
    owner_id: UserId,
    regional_owner_id: Option<UserId>,
    /// Whether the person who looks may deploy the model for its owner.
    is_lent: bool,
    /// How many pairs the filter matches, this page or not.
    pub total: i64,
}

impl PairRow {
    /// The pair as it is shown to a person who deploys everything, or only what is theirs.
    pub fn into_item(self, today: NaiveDate, person: UserId, deploys_all: bool) -> ReadyItem {
        let is_theirs = self.owner_id == person || self.regional_owner_id == Some(person) || self.is_lent;
        ReadyItem {
            model_id: self.model_id,
            model_name: self.model_name,
            version_id: self.version_id,
            version_number: self.version_number,
            region_id: self.region_id,
            region_code: self.region_code,
            region_name: self.region_name,
            validation_request_id: self.validation_request_id,
            validation_approved_date: self.validation_approved_date,
            days_since_approval: (today - self.validation_approved_date).num_days().max(0),
            requires_regional_approval: self.requires_regional_approval,
            current_deployed_version: self.current_deployed_version,
            pending_task_id: self.pending_task_id,
            superseded: self.superseded,
            may_deploy: deploys_all || is_theirs,
        }
    }
}

/// The pairs a person may deploy: as owner, as regional owner, as delegate; `$1` and `$2` are the
/// person and the instant. A branch an index; UNION drops what two branches give.
const MINE: &str = "SELECT p.* FROM ready_pairs p WHERE p.owner_id = $1
    UNION SELECT p.* FROM ready_pairs p WHERE p.regional_owner_id = $1
    UNION SELECT p.* FROM ready_pairs p JOIN delegations d ON d.model_id = p.model_id
          WHERE d.user_id = $1 AND d.can_deploy AND d.revoked_at IS NULL AND (d.expires_at IS NULL OR d.expires_at > $2)";

/// A statement over the pairs of an audience, as `p`.
fn over(select: &'static str, audience: Audience, and: &'static str) -> Query {
    let query = Query::new(select).push(and);
    match audience {
        Audience::All => query.push(" FROM ready_pairs p WHERE TRUE"),
        Audience::Of(person, now) => query.push(" FROM (").push(MINE).push(") p WHERE TRUE").bind(person).bind(now),
    }
}

fn filtered(query: Query, filter: &ReadyFilter) -> Query {
    let query = if filter.include_superseded { query } else { query.push(" AND p.superseded = FALSE") };
    query.when(" AND p.model_id = {}", filter.model_id).when(" AND p.region_id = {}", filter.region_id)
}

/// A page of pairs, each with how many the filter matches: first the keys of the page by index, then
/// the names of just these rows.
pub async fn pairs(
    db: &Db,
    audience: Audience,
    (person, now): (UserId, DateTime<Utc>),
    filter: &ReadyFilter,
    after: Option<Key>,
    rows: i64,
) -> Result<Vec<PairRow>, DbError> {
    let inner = filtered(
        over(
            "SELECT p.model_id, m.name AS model_name, p.version_id, v.number AS version_number, p.region_id,
                    r.code AS region_code, r.name AS region_name, p.request_id AS validation_request_id,
                    p.approved_date AS validation_approved_date, p.requires_regional_approval, p.superseded, p.owner_id,
                    p.regional_owner_id, p.total, lent.user_id IS NOT NULL AS is_lent,
                    (SELECT lv.number FROM region_deployments d JOIN versions lv ON lv.version_id = d.version_id
                     WHERE d.model_id = p.model_id AND d.region_id = p.region_id AND d.live_to IS NULL) AS current_deployed_version,
                    (SELECT MIN(t.task_id) FROM deployment_tasks t
                     WHERE t.version_id = p.version_id AND COALESCE(t.region_id, 0) IN (0, p.region_id)
                       AND t.status IN ('PENDING', 'ADJUSTED')) AS pending_task_id
             FROM (SELECT p.* FROM (SELECT p.*, ",
            audience,
            total(audience, filter),
        ),
        filter,
    );
    let mut query = inner.push(") p WHERE TRUE");
    if let Some((approved, version, region)) = after {
        let clause = match filter.sort {
            ReadySort::Waiting => " AND (p.approved_date, p.version_id, p.region_id) > ({}, ",
            ReadySort::Newest => " AND (p.approved_date, p.version_id, p.region_id) < ({}, ",
        };
        query = query.when(clause, Some(approved)).when("{}, ", Some(version)).when("{})", Some(region));
    }
    let order = match filter.sort {
        ReadySort::Waiting => " ORDER BY p.approved_date, p.version_id, p.region_id",
        ReadySort::Newest => " ORDER BY p.approved_date DESC, p.version_id DESC, p.region_id DESC",
    };
    query
        .push(order)
        .limit(rows)
        .push(
            ") p JOIN models m ON m.model_id = p.model_id JOIN versions v ON v.version_id = p.version_id
               JOIN regions r ON r.region_id = p.region_id
               LEFT JOIN delegations lent ON lent.model_id = p.model_id AND lent.can_deploy AND lent.revoked_at IS NULL",
        )
        .when(" AND lent.user_id = {}", Some(person))
        .when(" AND (lent.expires_at IS NULL OR lent.expires_at > {})", Some(now))
        .push(order)
        .all(db)
        .await
}

/// How many pairs a filter matches, as an expression. A person's pairs are all read before they are
/// sorted, so counting them costs nothing; everybody's are counted by their sums.
fn total(audience: Audience, filter: &ReadyFilter) -> &'static str {
    match (audience, filter.include_superseded, filter.model_id, filter.region_id) {
        (Audience::Of(..), ..) | (_, true, ..) | (_, _, Some(_), _) => "COUNT(*) OVER () AS total",
        (_, _, None, None) => "(SELECT t.pairs FROM ready_totals t WHERE t.region_id = 0) AS total",
        (_, _, None, Some(_)) => "(SELECT t.pairs FROM ready_totals t WHERE t.region_id = p.region_id) AS total",
    }
}

#[derive(Debug, Default, sqlx::FromRow)]
pub struct Counts {
    pub pairs: i64,
    pub models: i64,
    pub regions: i64,
}

/// How many pairs, models and regions a filter matches. Everybody's come from the sums.
pub async fn counts(db: &Db, audience: Audience, filter: &ReadyFilter) -> Result<Counts, DbError> {
    if matches!(audience, Audience::All) && !filter.include_superseded {
        return sums(filter).one(db).await;
    }
    let select =
        "SELECT COUNT(*) AS pairs, COUNT(DISTINCT p.model_id) AS models, COUNT(DISTINCT p.region_id) AS regions";
    filtered(over(select, audience, ""), filter).one(db).await
}

fn sums(filter: &ReadyFilter) -> Query {
    match (filter.model_id, filter.region_id) {
        (None, None) => Query::new(
            "SELECT t.pairs, t.models,
                    (SELECT COUNT(*) FROM ready_totals r WHERE r.region_id > 0 AND r.pairs > 0) AS regions
             FROM ready_totals t WHERE t.region_id = 0",
        ),
        (None, Some(region)) => Query::new(
            "SELECT COALESCE(MAX(t.pairs), 0) AS pairs, COALESCE(MAX(t.models), 0) AS models,
                    COALESCE(MAX(CASE WHEN t.pairs > 0 THEN 1 ELSE 0 END), 0) + CAST(0 AS BIGINT) AS regions
             FROM ready_totals t WHERE t.region_id = $1",
        )
        .bind(region),
        (Some(model), region) => Query::new(
            "SELECT CAST(COALESCE(SUM(c.pairs), 0) AS BIGINT) AS pairs, COUNT(DISTINCT c.model_id) AS models,
                    COUNT(*) AS regions
             FROM ready_counts c WHERE c.region_id > 0 AND c.model_id = $1",
        )
        .bind(model)
        .when(" AND c.region_id = {}", region),
    }
}

pub async fn all_models(tx: &mut Tx) -> Result<Vec<ModelId>, DbError> {
    let rows = Query::new("SELECT model_id FROM models ORDER BY model_id").for_update().all::<(ModelId,)>(tx).await?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// The statements that derive the pairs of some models (`$1`, a JSON list), in this order. The sums
/// lose what the models had before, and gain what they have then.
const DERIVE: [&str; 6] = [
    "DELETE FROM ready_pairs WHERE model_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))",
    "INSERT INTO ready_pairs (version_id, region_id, model_id, owner_id, regional_owner_id, request_id, approved_date,
                              requires_regional_approval, superseded)
     SELECT t.version_id, t.region_id, t.model_id, m.owner_id, mr.regional_owner_id, vv.request_id, vv.completion_date,
            EXISTS (SELECT 1 FROM version_locks l WHERE l.version_id = t.version_id AND l.region_id = t.region_id),
            EXISTS (SELECT 1 FROM region_deployments d JOIN version_validations lv ON lv.version_id = d.version_id
                    WHERE d.model_id = t.model_id AND d.region_id = t.region_id AND d.live_to IS NULL
                      AND lv.state = 'APPROVED' AND lv.completed_at > vv.completed_at)
     FROM version_targets t
     JOIN models m ON m.model_id = t.model_id
     JOIN version_validations vv ON vv.version_id = t.version_id AND vv.state = 'APPROVED'
     LEFT JOIN model_regions mr ON mr.model_id = t.model_id AND mr.region_id = t.region_id
     WHERE t.model_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))
       AND NOT EXISTS (SELECT 1 FROM region_deployments d WHERE d.model_id = t.model_id AND d.region_id = t.region_id
                       AND d.live_to IS NULL AND d.version_id = t.version_id)",
    "UPDATE ready_totals SET pairs = ready_totals.pairs - old.pairs, models = ready_totals.models - old.models
     FROM (SELECT c.region_id, CAST(SUM(c.pairs) AS BIGINT) AS pairs, COUNT(*) AS models FROM ready_counts c
           WHERE c.model_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1)) GROUP BY c.region_id) old
     WHERE old.region_id = ready_totals.region_id",
    "DELETE FROM ready_counts WHERE model_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))",
    "INSERT INTO ready_counts (model_id, region_id, pairs)
     SELECT p.model_id, p.region_id, COUNT(*) FROM ready_pairs p
     WHERE p.superseded = FALSE AND p.model_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))
     GROUP BY p.model_id, p.region_id
     UNION ALL
     SELECT p.model_id, 0, COUNT(*) FROM ready_pairs p
     WHERE p.superseded = FALSE AND p.model_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))
     GROUP BY p.model_id",
    "INSERT INTO ready_totals (region_id, pairs, models)
     SELECT c.region_id, CAST(SUM(c.pairs) AS BIGINT), COUNT(*) FROM ready_counts c
     WHERE c.model_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1)) GROUP BY c.region_id
     ON CONFLICT (region_id) DO UPDATE
     SET pairs = ready_totals.pairs + excluded.pairs, models = ready_totals.models + excluded.models",
];

/// Derives the pairs, counts and sums of some models.
pub async fn derive(tx: &mut Tx, models: &[ModelId]) -> Result<(), DbError> {
    let models = json_list(models);
    Query::new("SELECT pairs FROM ready_totals WHERE region_id = 0").for_update().one::<(i64,)>(&mut *tx).await?;
    for statement in DERIVE {
        Query::new(statement).bind(models.clone()).run(&mut *tx).await?;
    }
    Ok(())
}
