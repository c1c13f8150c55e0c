//! The SQL of models.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};

use super::list::{ModelFilter, ModelRow, ModelSort};
use super::{ModelBody, ModelRegion, ModelView, Note, RegionUse};
use crate::app::App;
use crate::db::{Db, DbError, Query, Tx, json_list};
use crate::error::Result;
use crate::identity::{Actor, access};
use crate::ids::{ModelId, ProjectId, RegionId, UserId};
use crate::web::paging::like_pattern;
use crate::words::{ModelStatus, RiskTier};

pub async fn view(db: &Db, model: ModelId) -> Result<Option<ModelView>, DbError> {
    let found: Option<ModelView> = Query::new(
        "SELECT m.model_id, m.name, m.description, m.owner_id, o.name AS owner_name, m.developer_id, d.name AS developer_name,
                m.project_id, p.name AS project_name, t.team_id, t.name AS team_name, m.risk_tier, m.status, m.external_key,
                m.created_at, m.revision
         FROM models m JOIN users o ON o.user_id = m.owner_id LEFT JOIN users d ON d.user_id = m.developer_id
         JOIN projects p ON p.project_id = m.project_id JOIN teams t ON t.team_id = p.team_id
         WHERE m.model_id = $1",
    )
    .bind(model)
    .optional(db)
    .await?;
    let Some(mut view) = found else { return Ok(None) };
    view.regions = regions(db, model).await?;
    view.notes = Query::new("SELECT label, text FROM model_notes WHERE model_id = $1 ORDER BY position")
        .bind(model)
        .all::<Note>(db)
        .await?;
    Ok(Some(view))
}

async fn regions(db: &Db, model: ModelId) -> Result<Vec<ModelRegion>, DbError> {
    Query::new(
        "SELECT r.region_id, r.code AS region_code, r.name AS region_name, r.requires_regional_approval,
                mr.regional_owner_id, u.name AS regional_owner_name
         FROM model_regions mr JOIN regions r ON r.region_id = mr.region_id
         LEFT JOIN users u ON u.user_id = mr.regional_owner_id
         WHERE mr.model_id = $1 ORDER BY r.code",
    )
    .bind(model)
    .all(db)
    .await
}

/// One page and one row more, each row with the count of all.
pub async fn list(
    app: &App,
    actor: &Actor,
    filter: &ModelFilter,
    sort: ModelSort,
    limit: i64,
) -> Result<Vec<ModelRow>> {
    let (after, order) = sort_sql(sort);
    let keys: Option<(String, ModelId)> = filter.cursor.as_ref().map(|cursor| cursor.keys()).transpose()?;
    let (text, number) = keys.unzip();
    let query = Query::new(
        "SELECT m.model_id, m.name, m.risk_tier, m.status, m.owner_id, o.name AS owner_name, m.project_id, p.name AS project_name,
                (SELECT COUNT(*) FROM region_deployments d WHERE d.model_id = m.model_id AND d.live_to IS NULL) AS live_regions,
                (SELECT COUNT(*) FROM models m WHERE TRUE",
    )
    .bind(actor.user_id)
    .bind(app.now());
    let query = matching(query, app, actor, filter)?.push(
        ") AS total_count
         FROM models m JOIN users o ON o.user_id = m.owner_id JOIN projects p ON p.project_id = m.project_id WHERE TRUE",
    );
    let query =
        matching(query, app, actor, filter)?.when(after, text).when(", {})", number).push(order).limit(limit + 1);
    Ok(query.all(&app.db).await?)
}

/// Appends what the filter asks of a model `m`; `$1` and `$2` are the person and the instant.
fn matching(query: Query, app: &App, actor: &Actor, filter: &ModelFilter) -> Result<Query> {
    let query = if access::sees_all_models(app, actor) {
        query
    } else {
        query.push(" AND m.model_id IN ").push(access::RELATED_MODELS)
    };
    Ok(query
        .when(
            " AND LOWER(m.name || ' ' || COALESCE(m.external_key, '') || ' ' || m.description) LIKE {} ESCAPE '\\'",
            filter.q.as_deref().map(like_pattern),
        )
        .when(" AND m.status = {}", filter.status)
        .when(" AND m.risk_tier = {}", filter.risk_tier)
        .when(" AND m.project_id = {}", filter.project_id)
        .when(" AND m.owner_id = {}", filter.owner_id(actor)?)
        .when(
            " AND EXISTS (SELECT 1 FROM model_regions fr WHERE fr.model_id = m.model_id AND fr.region_id = {})",
            filter.region_id,
        ))
}

/// How a page starts behind its cursor (the number follows), and how rows are ordered.
const fn sort_sql(sort: ModelSort) -> (&'static str, &'static str) {
    match sort {
        ModelSort::Name => (" AND (m.name, m.model_id) > ({}", " ORDER BY m.name, m.model_id"),
        ModelSort::NameDown => (" AND (m.name, m.model_id) < ({}", " ORDER BY m.name DESC, m.model_id DESC"),
        ModelSort::Tier => (" AND (m.risk_tier, m.model_id) > ({}", " ORDER BY m.risk_tier, m.model_id"),
        ModelSort::TierDown => (" AND (m.risk_tier, m.model_id) < ({}", " ORDER BY m.risk_tier DESC, m.model_id DESC"),
        ModelSort::Status => (" AND (m.status, m.model_id) > ({}", " ORDER BY m.status, m.model_id"),
        ModelSort::StatusDown => (" AND (m.status, m.model_id) < ({}", " ORDER BY m.status DESC, m.model_id DESC"),
        // Numbers are given in the order of making.
        ModelSort::Created => (" AND ('', m.model_id) > ({}", " ORDER BY m.model_id"),
        ModelSort::CreatedDown => (" AND ('', m.model_id) < ({}", " ORDER BY m.model_id DESC"),
    }
}

/// Adds the codes of their regions to rows.
pub async fn with_regions(db: &Db, mut rows: Vec<ModelRow>) -> Result<Vec<ModelRow>, DbError> {
    let codes: Vec<(ModelId, String)> = Query::new(
        "SELECT mr.model_id, r.code FROM model_regions mr JOIN regions r ON r.region_id = mr.region_id
         WHERE mr.model_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1)) ORDER BY r.code",
    )
    .bind(json_list(rows.iter().map(|row| row.model_id)))
    .all(db)
    .await?;
    let mut by_model: HashMap<ModelId, Vec<String>> = HashMap::new();
    for (model, code) in codes {
        by_model.entry(model).or_default().push(code);
    }
    for row in &mut rows {
        row.regions = by_model.remove(&row.model_id).unwrap_or_default();
    }
    Ok(rows)
}

#[derive(sqlx::FromRow)]
struct BodyRow {
    name: String,
    description: String,
    owner_id: UserId,
    developer_id: Option<UserId>,
    project_id: ProjectId,
    risk_tier: RiskTier,
    status: ModelStatus,
    revision: i64,
}

/// The model as it is now, with its revision.
pub async fn body(tx: &mut Tx, model: ModelId) -> Result<Option<(i64, ModelBody)>, DbError> {
    let row: Option<BodyRow> = Query::new(
        "SELECT name, description, owner_id, developer_id, project_id, risk_tier, status, revision FROM models WHERE model_id = $1",
    )
    .bind(model)
    .optional(&mut *tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let regions =
        Query::new("SELECT region_id, regional_owner_id FROM model_regions WHERE model_id = $1 ORDER BY region_id")
            .bind(model)
            .all(tx)
            .await?;
    let BodyRow { name, description, owner_id, developer_id, project_id, risk_tier, status, revision } = row;
    Ok(Some((
        revision,
        ModelBody { name, description, owner_id, developer_id, project_id, risk_tier, status, regions },
    )))
}

pub async fn insert(tx: &mut Tx, body: &ModelBody, now: DateTime<Utc>) -> Result<ModelId, DbError> {
    Query::new(
        "INSERT INTO models (name, description, owner_id, developer_id, project_id, risk_tier, status, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING model_id",
    )
    .bind(&body.name)
    .bind(&body.description)
    .bind(body.owner_id)
    .bind(body.developer_id)
    .bind(body.project_id)
    .bind(body.risk_tier)
    .bind(body.status)
    .bind(now)
    .one::<(ModelId,)>(tx)
    .await
    .map(|row| row.0)
}

pub async fn update(tx: &mut Tx, model: ModelId, body: &ModelBody) -> Result<u64, DbError> {
    Query::new(
        "UPDATE models SET name = $2, description = $3, owner_id = $4, developer_id = $5, project_id = $6, risk_tier = $7,
                status = $8, revision = revision + 1 WHERE model_id = $1",
    )
    .bind(model)
    .bind(&body.name)
    .bind(&body.description)
    .bind(body.owner_id)
    .bind(body.developer_id)
    .bind(body.project_id)
    .bind(body.risk_tier)
    .bind(body.status)
    .run(tx)
    .await
}

/// Makes a model's regions these and no others.
pub async fn set_regions(tx: &mut Tx, model: ModelId, regions: &[RegionUse]) -> Result<(), DbError> {
    Query::new(
        "DELETE FROM model_regions WHERE model_id = $1
         AND region_id NOT IN (SELECT CAST(value AS BIGINT) FROM json_each($2))",
    )
    .bind(model)
    .bind(json_list(regions.iter().map(|region| region.region_id)))
    .run(&mut *tx)
    .await?;
    // WHERE TRUE keeps SQLite from reading ON CONFLICT as a join's condition.
    Query::new(
        "INSERT INTO model_regions (model_id, region_id, regional_owner_id)
         SELECT $1, CAST(value ->> 'region_id' AS BIGINT), CAST(value ->> 'regional_owner_id' AS BIGINT)
         FROM json_each($2) WHERE TRUE
         ON CONFLICT (model_id, region_id) DO UPDATE SET regional_owner_id = excluded.regional_owner_id",
    )
    .bind(model)
    .bind(json_list(regions))
    .run(tx)
    .await
    .map(drop)
}

/// Which of the people, the project and the regions that a body names there are.
#[derive(Debug, Default)]
pub struct Known {
    pub people: BTreeSet<UserId>,
    pub project: bool,
    pub regions: BTreeSet<RegionId>,
}

pub async fn known(
    tx: &mut Tx,
    people: &BTreeSet<UserId>,
    project: ProjectId,
    regions: &[RegionId],
) -> Result<Known, DbError> {
    let rows: Vec<(String, i64)> = Query::new(
        "SELECT 'person' AS kind, user_id AS id FROM users
         WHERE NOT disabled AND user_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))
         UNION ALL SELECT 'project', project_id FROM projects WHERE project_id = $2
         UNION ALL SELECT 'region', region_id FROM regions
         WHERE region_id IN (SELECT CAST(value AS BIGINT) FROM json_each($3))",
    )
    .bind(json_list(people))
    .bind(project)
    .bind(json_list(regions))
    .all(tx)
    .await?;
    let mut known = Known::default();
    for (kind, id) in rows {
        match kind.as_str() {
            "person" => drop(known.people.insert(UserId(id))),
            "project" => known.project = true,
            _ => drop(known.regions.insert(RegionId(id))),
        }
    }
    Ok(known)
}

/// Those of the regions, by code, in which a version of the model is live or a task is open.
pub async fn busy_regions(tx: &mut Tx, model: ModelId, regions: Vec<RegionId>) -> Result<Vec<String>, DbError> {
    if regions.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<(String,)> = Query::new(
        "SELECT r.code FROM regions r
         WHERE r.region_id IN (SELECT CAST(value AS BIGINT) FROM json_each($2))
         AND (EXISTS (SELECT 1 FROM region_deployments d
                      WHERE d.model_id = $1 AND d.region_id = r.region_id AND d.live_to IS NULL)
              OR EXISTS (SELECT 1 FROM deployment_tasks t
                         WHERE t.model_id = $1 AND t.status IN ('PENDING', 'ADJUSTED')
                         AND (t.region_id = r.region_id OR t.region_id IS NULL)))
         ORDER BY r.code",
    )
    .bind(model)
    .bind(json_list(regions))
    .all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// What the lists' filters and the forms offer: people, projects, regions.
#[derive(Debug, Default)]
pub struct Choices {
    pub people: Vec<(UserId, String)>,
    pub projects: Vec<(ProjectId, String)>,
    pub regions: Vec<(RegionId, String)>,
}

/// The choices; the people only where a form needs them.
pub async fn choices(db: &Db, with_people: bool) -> Result<Choices, DbError> {
    let rows: Vec<(String, i64, String)> = Query::new(
        "SELECT 'person' AS kind, user_id AS id, name AS label FROM users WHERE $1 AND NOT disabled
         UNION ALL SELECT 'project', project_id, name FROM projects
         UNION ALL SELECT 'region', region_id, code || ' – ' || name FROM regions ORDER BY label",
    )
    .bind(with_people)
    .all(db)
    .await?;
    let mut choices = Choices::default();
    for (kind, id, label) in rows {
        match kind.as_str() {
            "person" => choices.people.push((UserId(id), label)),
            "project" => choices.projects.push((ProjectId(id), label)),
            _ => choices.regions.push((RegionId(id), label)),
        }
    }
    Ok(choices)
}
