//! The SQL of registered models: the inventory's models, read, with tags and aliases, kept.

use chrono::{DateTime, Utc};

use super::{ModelRow, UserId};
use crate::app::App;
use crate::db::{Db, DbError, Query, Tx, json_list};
use crate::error::Result;
use crate::identity::{Actor, access};
use crate::ids::{ModelId, VersionId};
use crate::mlflow::search::{Field, Search, Searched};

/// When the newest version was made, or the model.
const CHANGED: &str =
    "COALESCE((SELECT MAX(c.created_at) FROM versions c WHERE c.model_id = m.model_id), m.created_at)";

/// What can be searched by.
pub static SEARCHED: Searched = Searched {
    key: "m.model_id",
    column: "model_id",
    tags: Some("model_tags"),
    params: None,
    metrics: None,
    datasets: None,
    fields: &[
        ("name", Field::Text("m.name")),
        ("timestamp", Field::Instant("m.created_at")),
        ("creation_timestamp", Field::Instant("m.created_at")),
        ("last_updated_timestamp", Field::Instant(CHANGED)),
    ],
};

/// The models that a person sees; `$1` is the person, `$2` the instant.
fn visible(app: &App, actor: &Actor, search: Option<&Search>) -> Query {
    let query = Query::new("SELECT m.model_id, m.name, m.description, m.created_at, ")
        .bind(actor.user_id)
        .bind(app.now())
        .push(CHANGED)
        .push(" AS changed_at FROM models m");
    let query = match search {
        Some(search) => search.joins(query),
        None => query,
    };
    if access::sees_all_models(app, actor) {
        query.push(" WHERE TRUE")
    } else {
        query.push(" WHERE m.model_id IN ").push(access::RELATED_MODELS)
    }
}

pub async fn by_name(app: &App, actor: &Actor, name: &str) -> Result<Option<ModelRow>, DbError> {
    visible(app, actor, None).push(" AND m.name = ").param(name).optional(&app.db).await
}

/// A page and one row more.
pub async fn search(
    app: &App,
    actor: &Actor,
    search: &Search,
    cursor: Option<&str>,
    limit: i64,
) -> Result<Vec<ModelRow>> {
    let query = search.conditions(visible(app, actor, Some(search)), cursor)?;
    Ok(search.order(query).limit(limit + 1).all(&app.db).await?)
}

/// Tags and aliases of models: model, `t` or `a`, name, value; of an alias the version's number.
pub async fn details(db: &Db, models: &[ModelId]) -> Result<Vec<(ModelId, String, String, String)>, DbError> {
    Query::new(
        "SELECT t.model_id, 't' AS kind, t.name, t.value FROM model_tags t
         WHERE t.model_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))
         UNION ALL SELECT a.model_id, 'a', a.alias, CAST(v.ordinal AS TEXT)
         FROM model_aliases a JOIN versions v ON v.version_id = a.version_id
         WHERE a.model_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))",
    )
    .bind(json_list(models))
    .all(db)
    .await
}

/// The version that an alias names, by the number that people know it by.
pub async fn alias(tx: &mut Tx, model: ModelId, alias: &str) -> Result<Option<String>, DbError> {
    let row: Option<(String,)> = Query::new(
        "SELECT v.number FROM model_aliases a JOIN versions v ON v.version_id = a.version_id
         WHERE a.model_id = $1 AND a.alias = $2",
    )
    .bind(model)
    .bind(alias)
    .optional(tx)
    .await?;
    Ok(row.map(|row| row.0))
}

/// The same, by the number that clients know it by.
pub async fn alias_number(db: &Db, model: ModelId, alias: &str) -> Result<Option<i64>, DbError> {
    let row: Option<(i64,)> = Query::new(
        "SELECT v.ordinal FROM model_aliases a JOIN versions v ON v.version_id = a.version_id
         WHERE a.model_id = $1 AND a.alias = $2 AND v.ordinal IS NOT NULL",
    )
    .bind(model)
    .bind(alias)
    .optional(db)
    .await?;
    Ok(row.map(|row| row.0))
}

pub async fn set_alias(
    tx: &mut Tx,
    model: ModelId,
    alias: &str,
    version: VersionId,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<u64, DbError> {
    Query::new(
        "INSERT INTO model_aliases (model_id, alias, version_id, set_by_id, set_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (model_id, alias) DO UPDATE SET version_id = excluded.version_id, set_by_id = excluded.set_by_id,
                set_at = excluded.set_at",
    )
    .bind(model)
    .bind(alias)
    .bind(version)
    .bind(by)
    .bind(now)
    .run(tx)
    .await
}

pub async fn delete_alias(tx: &mut Tx, model: ModelId, alias: &str) -> Result<u64, DbError> {
    Query::new("DELETE FROM model_aliases WHERE model_id = $1 AND alias = $2").bind(model).bind(alias).run(tx).await
}

/// Whether anything was ever made of a model: a version, one that was deleted, a run, an experiment, a delegation.
pub async fn has_history(tx: &mut Tx, model: ModelId) -> Result<bool, DbError> {
    Query::new(
        "SELECT EXISTS (SELECT 1 FROM versions WHERE model_id = $1)
             OR EXISTS (SELECT 1 FROM retired_version_numbers WHERE model_id = $1)
             OR EXISTS (SELECT 1 FROM training_jobs WHERE model_id = $1)
             OR EXISTS (SELECT 1 FROM experiments WHERE model_id = $1)
             OR EXISTS (SELECT 1 FROM delegations WHERE model_id = $1) AS has",
    )
    .bind(model)
    .one::<(bool,)>(tx)
    .await
    .map(|row| row.0)
}

/// Deletes a model of which there is nothing else.
pub async fn delete(tx: &mut Tx, model: ModelId) -> Result<(), DbError> {
    for statement in [
        "DELETE FROM model_tags WHERE model_id = $1",
        "DELETE FROM model_notes WHERE model_id = $1",
        "DELETE FROM model_regions WHERE model_id = $1",
        "DELETE FROM models WHERE model_id = $1",
    ] {
        Query::new(statement).bind(model).run(&mut *tx).await?;
    }
    Ok(())
}
