//! The SQL of logged models.

use chrono::{DateTime, Utc};

use super::Row;
use crate::app::App;
use crate::db::{Db, DbError, Query, Tx, json_list};
use crate::error::Result;
use crate::identity::{Actor, access};
use crate::ids::{ExperimentId, JobId, UserId};
use crate::mlflow::search::{Field, Search, Searched};
use crate::mlflow::wire::Pair;

/// What can be searched by.
pub static SEARCHED: Searched = Searched {
    key: "l.logged_model_id",
    column: "logged_model_id",
    tags: Some("logged_model_tags"),
    params: Some("logged_model_params"),
    metrics: Some("logged_model_metrics"),
    datasets: None,
    fields: &[
        ("name", Field::Text("l.name")),
        ("model_id", Field::Text("l.logged_model_id")),
        ("model_type", Field::Text("l.kind")),
        ("status", Field::Text("l.status")),
        ("source_run_id", Field::Text("j.run_uuid")),
        ("creation_timestamp", Field::Instant("l.created_at")),
        ("creation_time", Field::Instant("l.created_at")),
        ("last_updated_timestamp", Field::Instant("l.updated_at")),
        ("last_updated_time", Field::Instant("l.updated_at")),
    ],
};

const COLUMNS: &str =
    "SELECT l.logged_model_id, l.experiment_id, j.run_uuid, l.name, l.kind, l.status, l.created_by_id, l.created_at,
    l.updated_at FROM logged_models l JOIN experiments e ON e.experiment_id = l.experiment_id
    LEFT JOIN training_jobs j ON j.job_id = l.job_id";

/// Those that a person sees, which are of the same model as their run or experiment; `$1` is the person, `$2` the instant.
fn visible(query: Query, app: &App, actor: &Actor) -> Query {
    let query = query.push(" WHERE l.deleted_at IS NULL");
    if access::sees_all_models(app, actor) {
        return query;
    }
    let query = query.push(" AND ((COALESCE(j.model_id, e.model_id) IS NULL AND l.created_by_id = $1)");
    query.push(" OR COALESCE(j.model_id, e.model_id) IN ").push(access::RELATED_MODELS).push(")")
}

pub async fn by_id(app: &App, actor: &Actor, id: &str) -> Result<Option<Row>, DbError> {
    let query = Query::new(COLUMNS).bind(actor.user_id).bind(app.now());
    visible(query, app, actor).push(" AND l.logged_model_id = ").param(id).optional(&app.db).await
}

/// A page and one row more.
pub async fn search(
    app: &App,
    actor: &Actor,
    search: &Search,
    experiments: &[ExperimentId],
    cursor: Option<&str>,
    limit: i64,
) -> Result<Vec<Row>> {
    let query = search.joins(Query::new(COLUMNS).bind(actor.user_id).bind(app.now()));
    let query = visible(query, app, actor)
        .push(" AND l.experiment_id IN (SELECT CAST(value AS BIGINT) FROM json_each(")
        .param(json_list(experiments))
        .push("))");
    Ok(search.order(search.conditions(query, cursor)?).limit(limit + 1).all(&app.db).await?)
}

/// Something that belongs to a logged model.
#[derive(Debug, sqlx::FromRow)]
pub struct Detail {
    pub logged_model_id: String,
    pub kind: String,
    pub name: String,
    pub text: String,
    pub number: Option<f64>,
    pub step: Option<i64>,
    pub at_ms: Option<i64>,
    pub dataset: Option<String>,
    pub dataset_digest: Option<String>,
}

/// All that belongs to these, in one statement.
pub async fn details(db: &Db, ids: &[&str]) -> Result<Vec<Detail>, DbError> {
    Query::new(
        "SELECT t.logged_model_id, 't' AS kind, t.name, t.value AS text, CAST(NULL AS DOUBLE PRECISION) AS number,
                CAST(NULL AS BIGINT) AS step, CAST(NULL AS BIGINT) AS at_ms, CAST(NULL AS TEXT) AS dataset,
                CAST(NULL AS TEXT) AS dataset_digest
         FROM logged_model_tags t WHERE t.logged_model_id IN (SELECT value ->> 0 FROM json_each($1))
         UNION ALL SELECT p.logged_model_id, 'p', p.name, p.value, NULL, NULL, NULL, NULL, NULL
         FROM logged_model_params p WHERE p.logged_model_id IN (SELECT value ->> 0 FROM json_each($1))
         UNION ALL SELECT m.logged_model_id, 'm', m.name, j.run_uuid, m.value, m.step, m.at_ms, m.dataset, m.dataset_digest
         FROM logged_model_metrics m JOIN training_jobs j ON j.job_id = m.job_id
         WHERE m.logged_model_id IN (SELECT value ->> 0 FROM json_each($1))",
    )
    .bind(json_list(ids.iter().map(|id| [id])))
    .all(db)
    .await
}

/// The row of a logged model to be made.
#[derive(Debug)]
pub struct NewRow<'a> {
    pub id: &'a str,
    pub experiment: ExperimentId,
    pub job: Option<JobId>,
    pub name: &'a str,
    pub kind: &'a str,
    pub by: UserId,
    pub now: DateTime<Utc>,
}

pub async fn insert(tx: &mut Tx, new: &NewRow<'_>) -> Result<u64, DbError> {
    Query::new(
        "INSERT INTO logged_models (logged_model_id, experiment_id, job_id, name, kind, status, created_by_id, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, 'LOGGED_MODEL_PENDING', $6, $7, $7)",
    )
    .bind(new.id)
    .bind(new.experiment)
    .bind(new.job)
    .bind(new.name)
    .bind(new.kind)
    .bind(new.by)
    .bind(new.now)
    .run(tx)
    .await
}

pub async fn lock(tx: &mut Tx, id: &str) -> Result<(), DbError> {
    Query::new("SELECT logged_model_id FROM logged_models WHERE logged_model_id = $1")
        .bind(id)
        .for_update()
        .optional::<(String,)>(tx)
        .await
        .map(drop)
}

pub async fn set_status(tx: &mut Tx, id: &str, status: &str, now: DateTime<Utc>) -> Result<u64, DbError> {
    Query::new("UPDATE logged_models SET status = $2, updated_at = $3 WHERE logged_model_id = $1")
        .bind(id)
        .bind(status)
        .bind(now)
        .run(tx)
        .await
}

pub async fn delete(tx: &mut Tx, id: &str, now: DateTime<Utc>) -> Result<u64, DbError> {
    Query::new("UPDATE logged_models SET deleted_at = $2 WHERE logged_model_id = $1").bind(id).bind(now).run(tx).await
}

pub async fn add_params(tx: &mut Tx, id: &str, params: &[Pair]) -> Result<u64, DbError> {
    Query::new(
        "INSERT INTO logged_model_params (logged_model_id, name, value)
         SELECT $1, value ->> 0, value ->> 1 FROM json_each($2) WHERE TRUE
         ON CONFLICT (logged_model_id, name) DO UPDATE SET value = excluded.value",
    )
    .bind(id)
    .bind(crate::mlflow::pairs(params))
    .run(tx)
    .await
}
