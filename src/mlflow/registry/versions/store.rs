//! The SQL of model versions.

use std::collections::HashMap;

use super::Row;
use crate::app::App;
use crate::artifacts::Digest;
use crate::db::{Conn, Db, DbError, Query, Tx, json_list};
use crate::error::Result;
use crate::identity::{Actor, access};
use crate::ids::{ExperimentId, JobId, ModelId, VersionId};
use crate::mlflow::rules::Holder;
use crate::mlflow::search::{Field, Search, Searched};
use crate::words::ValidationState;

/// What can be searched by.
pub static SEARCHED: Searched = Searched {
    key: "v.version_id",
    column: "version_id",
    tags: Some("version_tags"),
    params: None,
    metrics: None,
    datasets: None,
    fields: &[
        ("name", Field::Text("m.name")),
        ("version_number", Field::Int("v.ordinal")),
        ("run_id", Field::Text("v.run_uuid")),
        ("source_path", Field::Text("v.source")),
        ("source", Field::Text("v.source")),
        ("user_id", Field::Text("u.email")),
        ("creation_timestamp", Field::Instant("v.created_at")),
        ("last_updated_timestamp", Field::Instant("v.created_at")),
    ],
};

const COLUMNS: &str =
    "SELECT v.version_id, v.model_id, m.name, v.ordinal, v.number, v.created_at, v.description, u.email, v.source,
    v.run_uuid, vv.state AS validation_state
    FROM versions v JOIN models m ON m.model_id = v.model_id JOIN users u ON u.user_id = v.submitted_by_id
    LEFT JOIN version_requests vq ON vq.version_id = v.version_id
    LEFT JOIN validation_requests vv ON vv.request_id = vq.request_id";

/// The versions that a person sees; `$1` is the person, `$2` the instant.
fn visible(query: Query, app: &App, actor: &Actor) -> Query {
    let query = query.push(" WHERE v.ordinal IS NOT NULL");
    if access::sees_all_models(app, actor) {
        query
    } else {
        query.push(" AND v.model_id IN ").push(access::RELATED_MODELS)
    }
}

fn start(app: &App, actor: &Actor) -> Query {
    Query::new(COLUMNS).bind(actor.user_id).bind(app.now())
}

pub async fn by_number(app: &App, actor: &Actor, name: &str, number: i64) -> Result<Option<Row>, DbError> {
    visible(start(app, actor), app, actor)
        .push(" AND m.name = ")
        .param(name)
        .push(" AND v.ordinal = ")
        .param(number)
        .optional(&app.db)
        .await
}

/// A page and one row more: the numbers first, then their rows, so that what is sorted is small.
pub async fn search(app: &App, actor: &Actor, search: &Search, cursor: Option<&str>, limit: i64) -> Result<Vec<Row>> {
    // Everybody who submitted a version is there, and every model is: what the search does not look at is not joined.
    let query = Query::new(
        "SELECT v.version_id FROM versions v LEFT JOIN models m ON m.model_id = v.model_id
         LEFT JOIN users u ON u.user_id = v.submitted_by_id",
    );
    let query = visible(search.joins(query.bind(actor.user_id).bind(app.now())), app, actor);
    let found: Vec<(VersionId,)> =
        search.order(search.conditions(query, cursor)?).limit(limit + 1).all(&app.db).await?;
    let rows = Query::new(COLUMNS)
        .push(" WHERE v.version_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))")
        .bind(json_list(found.iter().map(|one| one.0)))
        .all(&app.db)
        .await?;
    let mut rows: HashMap<VersionId, Row> = rows.into_iter().map(|row: Row| (row.version_id, row)).collect();
    Ok(found.iter().filter_map(|one| rows.remove(&one.0)).collect())
}

pub async fn newest(db: &Db, models: &[ModelId]) -> Result<Vec<Row>, DbError> {
    Query::new(COLUMNS)
        .push(
            " WHERE v.model_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))
              AND v.ordinal = (SELECT MAX(n.ordinal) FROM versions n WHERE n.model_id = v.model_id)",
        )
        .bind(json_list(models))
        .all(db)
        .await
}

/// Tags and aliases of versions: version, `t` or `a`, name, value.
pub async fn details(db: &Db, versions: &[VersionId]) -> Result<Vec<(VersionId, String, String, String)>, DbError> {
    Query::new(
        "SELECT t.version_id, 't' AS kind, t.name, t.value FROM version_tags t
         WHERE t.version_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))
         UNION ALL SELECT a.version_id, 'a', a.alias, '' FROM model_aliases a
         WHERE a.version_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))",
    )
    .bind(json_list(versions))
    .all(db)
    .await
}

/// What an alias that means production is decided on.
#[derive(Debug, sqlx::FromRow)]
pub struct Approval {
    pub version_id: VersionId,
    /// The number that people know it by.
    pub number: String,
    pub validation_state: Option<ValidationState>,
    needs_validation: bool,
}

impl Approval {
    /// Whether its validation is approved, or it needs none and has none.
    pub fn is_given(&self) -> bool {
        match self.validation_state {
            Some(state) => state == ValidationState::Approved,
            None => !self.needs_validation,
        }
    }
}

pub async fn approval(conn: impl Into<Conn<'_>>, model: ModelId, number: i64) -> Result<Option<Approval>, DbError> {
    Query::new(
        "SELECT v.version_id, v.number, vv.state AS validation_state,
                (v.change_type = 'MAJOR' OR COALESCE(rule.needs_validation, TRUE)) AS needs_validation
         FROM versions v JOIN models m ON m.model_id = v.model_id
         LEFT JOIN minor_change_rules rule ON rule.risk_tier = m.risk_tier
         LEFT JOIN version_requests vq ON vq.version_id = v.version_id
         LEFT JOIN validation_requests vv ON vv.request_id = vq.request_id
         WHERE v.model_id = $1 AND v.ordinal = $2",
    )
    .bind(model)
    .bind(number)
    .optional(conn)
    .await
}

/// Where a version's files are: holder, folder, and the experiment that the holder is of.
pub async fn place(db: &Db, version: VersionId) -> Result<Option<(String, String, ExperimentId)>, DbError> {
    Query::new(
        "SELECT v.source_holder, COALESCE(v.source_folder, ''), COALESCE(j.experiment_id, l.experiment_id)
         FROM versions v LEFT JOIN training_jobs j ON j.run_uuid = v.source_holder
         LEFT JOIN logged_models l ON l.logged_model_id = v.source_holder
         WHERE v.version_id = $1 AND (j.job_id IS NOT NULL OR l.logged_model_id IS NOT NULL)",
    )
    .bind(version)
    .optional(db)
    .await
}

/// Where a version came from.
#[derive(Debug)]
pub struct From<'a> {
    pub source: &'a str,
    pub holder: &'a Holder,
    pub folder: &'a str,
    pub run: Option<&'a str>,
}

pub async fn set_source(tx: &mut Tx, version: VersionId, from: &From<'_>) -> Result<u64, DbError> {
    Query::new(
        "UPDATE versions SET source = $2, source_holder = $3, source_folder = $4, run_uuid = $5 WHERE version_id = $1",
    )
    .bind(version)
    .bind(from.source)
    .bind(from.holder.as_str())
    .bind(from.folder)
    .bind(from.run)
    .run(tx)
    .await
}

/// The job that a run is, and whether it became a version already.
pub async fn job_of(tx: &mut Tx, run: &str) -> Result<Option<(JobId, bool)>, DbError> {
    Query::new(
        "SELECT j.job_id, EXISTS (SELECT 1 FROM versions v WHERE v.job_id = j.job_id) FROM training_jobs j WHERE j.run_uuid = $1",
    )
    .bind(run)
    .optional(tx)
    .await
}

/// Makes a job one of this model, with this artifact, where it is of none and has none.
pub async fn bind_job(tx: &mut Tx, job: JobId, model: ModelId, digest: &Digest) -> Result<u64, DbError> {
    Query::new(
        "UPDATE training_jobs SET model_id = COALESCE(model_id, $2), artifact_digest = COALESCE(artifact_digest, $3),
                revision = revision + 1 WHERE job_id = $1",
    )
    .bind(job)
    .bind(model)
    .bind(digest.as_str())
    .run(tx)
    .await
}

pub async fn ordinal(tx: &mut Tx, version: VersionId) -> Result<i64, DbError> {
    Query::new("SELECT ordinal FROM versions WHERE version_id = $1")
        .bind(version)
        .one::<(i64,)>(tx)
        .await
        .map(|row| row.0)
}

pub async fn describe(tx: &mut Tx, version: VersionId, text: &str) -> Result<u64, DbError> {
    Query::new("UPDATE versions SET description = $2, revision = revision + 1 WHERE version_id = $1")
        .bind(version)
        .bind(text)
        .run(tx)
        .await
}
