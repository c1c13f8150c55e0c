//! The SQL of imports: a statement a batch of rows, never one a row. Names become numbers in the database itself.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::merge::Particulars;
use super::model::{ImportedProject, LabelledNote, RegionDefinition};
use crate::db::{DbError, Query, Tx, json_list};
use crate::identity::access;
use crate::ids::{ModelId, ProjectId, RegionId, TeamId};
use crate::words::{ModelStatus, RiskTier};

/// How many rows a statement takes.
const BATCH: usize = 500;

/// A model that an import brought before.
#[derive(Debug)]
pub struct Stored {
    pub model_id: ModelId,
    pub now: Particulars,
    /// What the last import brought, as JSON.
    pub imported_row: Option<String>,
    pub notes: Vec<LabelledNote>,
}

#[derive(sqlx::FromRow)]
struct StoredRow {
    model_id: ModelId,
    external_key: String,
    name: String,
    description: String,
    owner: String,
    developer: Option<String>,
    project: String,
    risk_tier: RiskTier,
    status: ModelStatus,
    imported_row: Option<String>,
}

/// The models with these external keys, locked.
pub async fn models(tx: &mut Tx, keys: &[&str]) -> Result<HashMap<String, Stored>, DbError> {
    let mut found = HashMap::new();
    let ids = ids(tx, keys).await?;
    access::lock_models(tx, &ids).await?;
    for batch in ids.chunks(BATCH) {
        let (mut regions, mut notes) = (regions_of(tx, batch).await?, notes_of(tx, batch).await?);
        let rows: Vec<StoredRow> = Query::new(
            "SELECT m.model_id, m.external_key, m.name, m.description, o.email AS owner, d.email AS developer,
                    p.name AS project, m.risk_tier, m.status, m.imported_row
             FROM models m JOIN users o ON o.user_id = m.owner_id LEFT JOIN users d ON d.user_id = m.developer_id
             JOIN projects p ON p.project_id = m.project_id
             WHERE m.model_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))",
        )
        .bind(json_list(batch))
        .all(&mut *tx)
        .await?;
        for row in rows {
            let regions = regions.remove(&row.model_id).unwrap_or_default();
            let notes = notes.remove(&row.model_id).unwrap_or_default();
            let StoredRow { model_id, name, description, owner, developer, project, risk_tier, status, .. } = row;
            let now = Particulars { name, description, owner, developer, project, risk_tier, status, regions };
            found.insert(row.external_key, Stored { model_id, now, imported_row: row.imported_row, notes });
        }
    }
    Ok(found)
}

async fn ids(tx: &mut Tx, keys: &[&str]) -> Result<Vec<ModelId>, DbError> {
    let mut ids = Vec::new();
    for batch in keys.chunks(BATCH) {
        let rows: Vec<(ModelId,)> =
            Query::new("SELECT model_id FROM models WHERE external_key IN (SELECT value ->> 0 FROM json_each($1))")
                .bind(texts(batch))
                .all(&mut *tx)
                .await?;
        ids.extend(rows.into_iter().map(|row| row.0));
    }
    ids.sort_unstable();
    Ok(ids)
}

/// Texts as a parameter; each in a list of its own, for that is how both engines take a text out of JSON.
fn texts<T: Serialize>(texts: &[T]) -> crate::db::Value {
    json_list(texts.iter().map(|text| [text]))
}

async fn regions_of(tx: &mut Tx, models: &[ModelId]) -> Result<HashMap<ModelId, Vec<String>>, DbError> {
    let rows: Vec<(ModelId, String)> = Query::new(
        "SELECT m.model_id, r.code FROM model_regions m JOIN regions r ON r.region_id = m.region_id
         WHERE m.model_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))",
    )
    .bind(json_list(models))
    .all(tx)
    .await?;
    let mut by_model: HashMap<ModelId, Vec<String>> = HashMap::new();
    for (model, code) in rows {
        by_model.entry(model).or_default().push(code);
    }
    // Sorted here and not there: engines do not agree on the order of texts.
    by_model.values_mut().for_each(|codes| codes.sort());
    Ok(by_model)
}

async fn notes_of(tx: &mut Tx, models: &[ModelId]) -> Result<HashMap<ModelId, Vec<LabelledNote>>, DbError> {
    let rows: Vec<(ModelId, String, String)> = Query::new(
        "SELECT model_id, label, text FROM model_notes
         WHERE model_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1)) ORDER BY model_id, position",
    )
    .bind(json_list(models))
    .all(tx)
    .await?;
    let mut by_model: HashMap<ModelId, Vec<LabelledNote>> = HashMap::new();
    for (model, label, text) in rows {
        by_model.entry(model).or_default().push(LabelledNote { label, text });
    }
    Ok(by_model)
}

/// Who bears these names.
pub async fn names(tx: &mut Tx, names: &[&str]) -> Result<HashMap<String, ModelId>, DbError> {
    let mut holders = HashMap::new();
    for batch in names.chunks(BATCH) {
        let rows: Vec<(String, ModelId)> =
            Query::new("SELECT name, model_id FROM models WHERE name IN (SELECT value ->> 0 FROM json_each($1))")
                .bind(texts(batch))
                .all(&mut *tx)
                .await?;
        holders.extend(rows);
    }
    Ok(holders)
}

/// The codes of all regions.
pub async fn region_codes(tx: &mut Tx) -> Result<HashSet<String>, DbError> {
    let rows: Vec<(String,)> = Query::new("SELECT code FROM regions").all(tx).await?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// The addresses of all disabled people.
pub async fn disabled_people(tx: &mut Tx) -> Result<HashSet<String>, DbError> {
    let rows: Vec<(String,)> = Query::new("SELECT email FROM users WHERE disabled").all(tx).await?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// Adds the teams that are not there.
pub async fn add_teams(tx: &mut Tx, names: &[&str]) -> Result<Vec<(TeamId, String)>, DbError> {
    Query::new(
        "INSERT INTO teams (name) SELECT value ->> 0 FROM json_each($1) WHERE TRUE
         ON CONFLICT (name) DO NOTHING RETURNING team_id, name",
    )
    .bind(texts(names))
    .all(tx)
    .await
}

/// Adds the projects that are not there; one that is stays in its team.
pub async fn add_projects(
    tx: &mut Tx,
    projects: &[&ImportedProject],
) -> Result<Vec<(ProjectId, String, TeamId)>, DbError> {
    Query::new(
        "INSERT INTO projects (name, team_id) SELECT j.value ->> 'name', t.team_id
         FROM json_each($1) j JOIN teams t ON t.name = j.value ->> 'team' WHERE TRUE
         ON CONFLICT (name) DO NOTHING RETURNING project_id, name, team_id",
    )
    .bind(json_list(projects))
    .all(tx)
    .await
}

/// The names of all projects.
pub async fn known_projects(tx: &mut Tx) -> Result<HashSet<String>, DbError> {
    let rows: Vec<(String,)> = Query::new("SELECT name FROM projects").all(tx).await?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// Adds a region that is not there.
pub async fn add_region(tx: &mut Tx, code: &str, region: &RegionDefinition) -> Result<RegionId, DbError> {
    Query::new(
        "INSERT INTO regions (code, name, time_zone, requires_regional_approval) VALUES ($1, $2, $3, $4) RETURNING region_id",
    )
    .bind(code)
    .bind(&region.name)
    .bind(&region.time_zone)
    .bind(region.requires_regional_approval)
    .one::<(RegionId,)>(tx)
    .await
    .map(|row| row.0)
}

/// A model to be written.
#[derive(Debug, Serialize)]
pub struct Written<'a> {
    /// None if it is to be added.
    pub model_id: Option<ModelId>,
    pub external_key: &'a str,
    #[serde(flatten)]
    pub after: &'a Particulars,
    pub imported_row: &'a str,
}

/// Adds models and answers their numbers by external key.
pub async fn insert(
    tx: &mut Tx,
    models: &[Written<'_>],
    now: DateTime<Utc>,
) -> Result<HashMap<String, ModelId>, DbError> {
    let mut ids = HashMap::new();
    for batch in models.chunks(BATCH) {
        let rows: Vec<(String, ModelId)> = Query::new(
            "INSERT INTO models (name, description, owner_id, developer_id, project_id, risk_tier, status, external_key,
                                 imported_row, created_at)
             SELECT j.value ->> 'name', j.value ->> 'description', o.user_id, d.user_id, p.project_id,
                    j.value ->> 'risk_tier', j.value ->> 'status', j.value ->> 'external_key',
                    j.value ->> 'imported_row', $2
             FROM json_each($1) j JOIN users o ON o.email = j.value ->> 'owner'
             LEFT JOIN users d ON d.email = j.value ->> 'developer' JOIN projects p ON p.name = j.value ->> 'project'
             ORDER BY j.key RETURNING external_key, model_id",
        )
        .bind(json_list(batch))
        .bind(now)
        .all(&mut *tx)
        .await?;
        ids.extend(rows);
    }
    Ok(ids)
}

/// Changes models. Names go by way of one that nothing else bears, so that two models can change theirs with each other.
pub async fn update(tx: &mut Tx, models: &[Written<'_>]) -> Result<(), DbError> {
    for batch in models.chunks(BATCH) {
        Query::new(
            "UPDATE models SET name = '~' || CAST(model_id AS TEXT) || ' ' || external_key
             WHERE model_id IN (SELECT CAST(value ->> 'model_id' AS BIGINT) FROM json_each($1))",
        )
        .bind(json_list(batch))
        .run(&mut *tx)
        .await?;
    }
    for batch in models.chunks(BATCH) {
        Query::new(
            "UPDATE models SET name = n.name, description = n.description, owner_id = n.owner_id,
                    developer_id = n.developer_id, project_id = n.project_id, risk_tier = n.risk_tier,
                    status = n.status, imported_row = n.imported_row, revision = revision + 1
             FROM (SELECT CAST(j.value ->> 'model_id' AS BIGINT) AS model_id, j.value ->> 'name' AS name,
                          j.value ->> 'description' AS description, o.user_id AS owner_id,
                          d.user_id AS developer_id, p.project_id, j.value ->> 'risk_tier' AS risk_tier,
                          j.value ->> 'status' AS status, j.value ->> 'imported_row' AS imported_row
                   FROM json_each($1) j JOIN users o ON o.email = j.value ->> 'owner'
                   LEFT JOIN users d ON d.email = j.value ->> 'developer'
                   JOIN projects p ON p.name = j.value ->> 'project') n
             WHERE n.model_id = models.model_id",
        )
        .bind(json_list(batch))
        .run(&mut *tx)
        .await?;
    }
    Ok(())
}

/// Notes what the import brought of models that it leaves as they are.
pub async fn remember(tx: &mut Tx, models: &[Written<'_>]) -> Result<(), DbError> {
    for batch in models.chunks(BATCH) {
        Query::new(
            "UPDATE models SET imported_row = n.imported_row
             FROM (SELECT CAST(value ->> 'model_id' AS BIGINT) AS model_id, value ->> 'imported_row' AS imported_row
                   FROM json_each($1)) n
             WHERE n.model_id = models.model_id",
        )
        .bind(json_list(batch))
        .run(&mut *tx)
        .await?;
    }
    Ok(())
}

/// Adds regions, by code, to models that are not used there yet.
pub async fn add_regions(tx: &mut Tx, uses: &[(ModelId, &str)]) -> Result<(), DbError> {
    for batch in uses.chunks(BATCH) {
        Query::new(
            "INSERT INTO model_regions (model_id, region_id)
             SELECT CAST(j.value ->> 0 AS BIGINT), r.region_id
             FROM json_each($1) j JOIN regions r ON r.code = j.value ->> 1 WHERE TRUE
             ON CONFLICT (model_id, region_id) DO NOTHING",
        )
        .bind(json_list(batch))
        .run(&mut *tx)
        .await?;
    }
    Ok(())
}

/// Makes the notes of models these and no others.
pub async fn replace_notes(tx: &mut Tx, models: &[(ModelId, &[LabelledNote])]) -> Result<(), DbError> {
    for batch in models.chunks(BATCH) {
        Query::new("DELETE FROM model_notes WHERE model_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))")
            .bind(json_list(batch.iter().map(|one| one.0)))
            .run(&mut *tx)
            .await?;
        let rows = batch.iter().flat_map(|(model, notes)| {
            notes.iter().enumerate().map(move |(place, note)| (model, place + 1, &note.label, &note.text))
        });
        Query::new(
            "INSERT INTO model_notes (model_id, position, label, text)
             SELECT CAST(value ->> 0 AS BIGINT), CAST(value ->> 1 AS BIGINT), value ->> 2, value ->> 3
             FROM json_each($1)",
        )
        .bind(json_list(rows))
        .run(&mut *tx)
        .await?;
    }
    Ok(())
}
