//! The SQL of the table of deployments.

use chrono::{DateTime, Utc};

use super::{COLUMNS, DEPLOYMENTS};
use crate::db::{Db, DbError, Query, Value};
use crate::deployments::list::{DeploymentSort, Place};
use crate::deployments::{DeploymentFilter, DeploymentRow};
use crate::identity::access::RELATED_MODELS;
use crate::ids::UserId;
use crate::web::paging::like_pattern;

/// The same deployments, beginning with the models in the order of their names.
const BY_MODEL: &str = " FROM models m JOIN deployments d ON d.model_id = m.model_id
    LEFT JOIN environments e ON e.environment_id = d.environment_id
    LEFT JOIN regions g ON g.region_id = e.region_id LEFT JOIN versions v ON v.version_id = d.version_id ";

/// One page and one row more, each row with the count of all. A member sees those of the models they have a relation to.
pub async fn page(
    db: &Db,
    member: Option<UserId>,
    now: DateTime<Utc>,
    filter: &DeploymentFilter,
    sort: DeploymentSort,
    limit: i64,
    after: Option<Place>,
) -> Result<Vec<DeploymentRow>, DbError> {
    let (behind, order) = sort_sql(sort);
    let query = Query::new("SELECT (SELECT COUNT(*) FROM deployments d WHERE TRUE").bind(member).bind(now);
    let query = matching(query, member, filter).push(") AS total_count, ").push(COLUMNS);
    let query = match sort {
        DeploymentSort::Model | DeploymentSort::ModelDown => query.push(BY_MODEL),
        _ => query.push(DEPLOYMENTS),
    };
    let (key, number) = after.map(|place| (place.key, Value::from(place.deployment_id))).unzip();
    matching(query.push("WHERE TRUE"), member, filter)
        .when(behind, key)
        .when(", {})", number)
        .push(order)
        .limit(limit + 1)
        .all(db)
        .await
}

/// Appends what the filter asks of a deployment `d`; `$1` and `$2` are the member and the instant.
fn matching(query: Query, member: Option<UserId>, filter: &DeploymentFilter) -> Query {
    let query = if member.is_some() { query.push(" AND d.model_id IN ").push(RELATED_MODELS) } else { query };
    query
        .when(" AND d.state = {}", filter.state)
        .when(" AND d.environment_id = {}", filter.environment_id)
        .when(" AND d.model_id = {}", filter.model_id)
        .when(
            " AND d.model_id IN (SELECT n.model_id FROM models n WHERE LOWER(n.name) LIKE {} ESCAPE '\\')",
            filter.q.as_deref().filter(|text| !text.is_empty()).map(like_pattern),
        )
}

/// How a page starts behind its cursor (the number follows), and how rows are ordered.
const fn sort_sql(sort: DeploymentSort) -> (&'static str, &'static str) {
    use DeploymentSort as By;
    match sort {
        By::Model => (" AND (m.name, d.deployment_id) > ({}", " ORDER BY m.name, d.deployment_id"),
        By::ModelDown => (" AND (m.name, d.deployment_id) < ({}", " ORDER BY m.name DESC, d.deployment_id DESC"),
        By::Rate => (
            " AND (COALESCE(d.requests_per_s, 1e300), d.deployment_id) > ({}",
            " ORDER BY COALESCE(d.requests_per_s, 1e300), d.deployment_id",
        ),
        By::RateDown => (
            " AND (COALESCE(d.requests_per_s, -1), d.deployment_id) < ({}",
            " ORDER BY COALESCE(d.requests_per_s, -1) DESC, d.deployment_id DESC",
        ),
        By::P95 => (
            " AND (COALESCE(d.p95_ms, 1e300), d.deployment_id) > ({}",
            " ORDER BY COALESCE(d.p95_ms, 1e300), d.deployment_id",
        ),
        By::P95Down => (
            " AND (COALESCE(d.p95_ms, -1), d.deployment_id) < ({}",
            " ORDER BY COALESCE(d.p95_ms, -1) DESC, d.deployment_id DESC",
        ),
        By::Deployed => (" AND (d.created_at, d.deployment_id) > ({}", " ORDER BY d.created_at, d.deployment_id"),
        By::DeployedDown => {
            (" AND (d.created_at, d.deployment_id) < ({}", " ORDER BY d.created_at DESC, d.deployment_id DESC")
        }
    }
}
