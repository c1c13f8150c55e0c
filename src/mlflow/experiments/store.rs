//! The SQL of experiments.

use chrono::{DateTime, Utc};

use super::ExperimentRow;
use crate::app::App;
use crate::db::{Db, DbError, Query, Tx, json_list};
use crate::error::Result;
use crate::identity::{Actor, access};
use crate::ids::{ExperimentId, UserId};
use crate::mlflow::ViewType;
use crate::mlflow::search::{Field, Search, Searched};
use crate::mlflow::wire::Pair;

/// What can be searched by.
pub static SEARCHED: Searched = Searched {
    key: "e.experiment_id",
    column: "experiment_id",
    tags: Some("experiment_tags"),
    params: None,
    metrics: None,
    datasets: None,
    fields: &[
        ("name", Field::Text("e.name")),
        ("experiment_id", Field::Int("e.experiment_id")),
        ("creation_time", Field::Instant("e.created_at")),
        ("last_update_time", Field::Instant("e.updated_at")),
    ],
};

const COLUMNS: &str =
    "SELECT e.experiment_id, e.name, e.created_by_id, e.created_at, e.updated_at, e.deleted_at FROM experiments e";

/// The experiments that a person sees; `$1` is the person, `$2` the instant.
fn visible(query: Query, app: &App, actor: &Actor) -> Query {
    let query = query.push(" WHERE (e.model_id IS NULL");
    if access::sees_all_models(app, actor) {
        query.push(" OR TRUE)")
    } else {
        query.push(" OR e.model_id IN ").push(access::RELATED_MODELS).push(")")
    }
}

fn start(app: &App, actor: &Actor) -> Query {
    Query::new(COLUMNS).bind(actor.user_id).bind(app.now())
}

pub async fn by_id(app: &App, actor: &Actor, id: ExperimentId) -> Result<Option<ExperimentRow>, DbError> {
    visible(start(app, actor), app, actor).push(" AND e.experiment_id = ").param(id).optional(&app.db).await
}

pub async fn by_name(app: &App, actor: &Actor, name: &str) -> Result<Option<ExperimentRow>, DbError> {
    visible(start(app, actor), app, actor).push(" AND e.name = ").param(name).optional(&app.db).await
}

/// A page and one row more.
pub async fn search(
    app: &App,
    actor: &Actor,
    search: &Search,
    view: ViewType,
    cursor: Option<&str>,
    limit: i64,
) -> Result<Vec<ExperimentRow>> {
    let query = visible(search.joins(start(app, actor)), app, actor);
    let query = match view {
        ViewType::ActiveOnly => query.push(" AND e.deleted_at IS NULL"),
        ViewType::DeletedOnly => query.push(" AND e.deleted_at IS NOT NULL"),
        ViewType::All => query,
    };
    Ok(search.order(search.conditions(query, cursor)?).limit(limit + 1).all(&app.db).await?)
}

pub async fn tags(db: &Db, ids: &[ExperimentId]) -> Result<Vec<(ExperimentId, Pair)>, DbError> {
    let rows: Vec<(ExperimentId, String, String)> = Query::new(
        "SELECT experiment_id, name, value FROM experiment_tags
         WHERE experiment_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1)) ORDER BY experiment_id, name",
    )
    .bind(json_list(ids))
    .all(db)
    .await?;
    Ok(rows.into_iter().map(|(id, key, value)| (id, Pair { key, value })).collect())
}

pub async fn insert(tx: &mut Tx, name: &str, by: UserId, now: DateTime<Utc>) -> Result<ExperimentId, DbError> {
    Query::new(
        "INSERT INTO experiments (name, created_by_id, created_at, updated_at) VALUES ($1, $2, $3, $3) RETURNING experiment_id",
    )
    .bind(name)
    .bind(by)
    .bind(now)
    .one::<(ExperimentId,)>(tx)
    .await
    .map(|row| row.0)
}

pub async fn rename(tx: &mut Tx, id: ExperimentId, name: &str, now: DateTime<Utc>) -> Result<u64, DbError> {
    Query::new("UPDATE experiments SET name = $2, updated_at = $3 WHERE experiment_id = $1")
        .bind(id)
        .bind(name)
        .bind(now)
        .run(tx)
        .await
}

pub async fn set_deleted(
    tx: &mut Tx,
    id: ExperimentId,
    deleted: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<u64, DbError> {
    Query::new("UPDATE experiments SET deleted_at = $2, updated_at = $3 WHERE experiment_id = $1")
        .bind(id)
        .bind(deleted)
        .bind(now)
        .run(tx)
        .await
}
