//! The SQL of runs.

use chrono::{DateTime, Utc};

use super::{NewRow, RunRow};
use crate::app::App;
use crate::db::{Db, DbError, Query, Tx, json_list};
use crate::error::Result;
use crate::identity::{Actor, access};
use crate::ids::{ExperimentId, JobId, ModelId};
use crate::mlflow::search::{Field, Search, Searched};
use crate::mlflow::wire::Pair;
use crate::mlflow::{ViewType, rules};
use crate::training::rules::JobState;

/// What can be searched by.
pub static SEARCHED: Searched = Searched {
    key: "j.job_id",
    column: "job_id",
    tags: Some("job_tags"),
    params: Some("job_params"),
    metrics: Some("job_metrics"),
    datasets: Some("job_inputs"),
    fields: &[
        ("run_id", Field::Text("j.run_uuid")),
        ("run_uuid", Field::Text("j.run_uuid")),
        ("run_name", Field::Text("j.name")),
        ("Run name", Field::Text("j.name")),
        ("status", Field::Word("j.state", rules::state_word)),
        ("user_id", Field::Text("u.email")),
        ("experiment_id", Field::Int("j.experiment_id")),
        ("start_time", Field::Instant(STARTED)),
        ("created", Field::Instant(STARTED)),
        ("Created", Field::Instant(STARTED)),
        ("end_time", Field::Instant("j.finished_at")),
        ("job_id", Field::Int("j.job_id")),
    ],
};

/// When a run began, as the index has it.
const STARTED: &str = "COALESCE(j.started_at, j.created_at)";

/// Everybody who made a run is there. The join is a left one so that no planner begins with the people: it could not
/// follow the order of an index then.
const COLUMNS: &str =
    "SELECT j.job_id, j.run_uuid, j.experiment_id, j.name, j.executor, j.state, u.email, j.requested_by_id,
    j.created_at, j.started_at, j.finished_at, j.deleted_at
    FROM training_jobs j LEFT JOIN users u ON u.user_id = j.requested_by_id";

/// The runs that a person sees, as the list of training jobs has it: those of models they see, and their own of no model.
/// `$1` is the person, `$2` the instant.
fn visible(query: Query, app: &App, actor: &Actor) -> Query {
    if access::sees_all_models(app, actor) {
        return query.push(" WHERE TRUE");
    }
    let query = query.push(" WHERE ((j.model_id IS NULL AND j.requested_by_id = $1) OR j.model_id IN ");
    query.push(access::RELATED_MODELS).push(")")
}

pub async fn by_uuid(app: &App, actor: &Actor, run: &str) -> Result<Option<RunRow>, DbError> {
    let query = Query::new(COLUMNS).bind(actor.user_id).bind(app.now());
    visible(query, app, actor).push(" AND j.run_uuid = ").param(run).optional(&app.db).await
}

/// What a write to a run is decided on; the run is locked by it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Held {
    pub job_id: JobId,
    pub experiment_id: ExperimentId,
    pub model_id: Option<ModelId>,
    pub name: String,
    pub executor: crate::training::rules::Executor,
    pub state: JobState,
    pub requested_by_id: crate::ids::UserId,
    pub deleted_at: Option<DateTime<Utc>>,
}

pub async fn hold(tx: &mut Tx, run: &str) -> Result<Option<Held>, DbError> {
    Query::new(
        "SELECT job_id, experiment_id, model_id, name, executor, state, requested_by_id, deleted_at FROM training_jobs WHERE run_uuid = $1",
    )
    .bind(run)
    .for_update()
    .optional(tx)
    .await
}

/// A page and one row more.
pub async fn search(
    app: &App,
    actor: &Actor,
    search: &Search,
    experiments: &[ExperimentId],
    view: ViewType,
    cursor: Option<&str>,
    limit: i64,
) -> Result<Vec<RunRow>> {
    let query = search.joins(Query::new(COLUMNS).bind(actor.user_id).bind(app.now()));
    // SQLite plans without the values: unless the plus hides this column from its indexes, it may sort the whole experiment.
    let query = visible(query, app, actor).push(if search.is_led_by_metric() { " AND +" } else { " AND " });
    let query = query.push("j.experiment_id ");
    let query = match experiments {
        // One is a key that an index can lead by; a list is not.
        [one] => query.push("= ").param(*one),
        many => query.push("IN (SELECT CAST(value AS BIGINT) FROM json_each(").param(json_list(many)).push("))"),
    };
    let query = match view {
        ViewType::ActiveOnly => query.push(" AND j.deleted_at IS NULL"),
        ViewType::DeletedOnly => query.push(" AND j.deleted_at IS NOT NULL"),
        ViewType::All => query,
    };
    Ok(search.order(search.conditions(query, cursor)?).limit(limit + 1).all(&app.db).await?)
}

/// One thing that belongs to a run: a metric, parameter, tag, input or logged model.
#[derive(Debug, sqlx::FromRow)]
pub struct Detail {
    pub job_id: JobId,
    pub kind: String,
    pub name: String,
    pub text: Option<String>,
    pub number: Option<f64>,
    pub step: Option<i64>,
    pub at_ms: Option<i64>,
}

/// All that belongs to these runs, in one statement.
pub async fn details(db: &Db, jobs: &[JobId]) -> Result<Vec<Detail>, DbError> {
    Query::new(
        "SELECT m.job_id, 'm' AS kind, m.name, CAST(NULL AS TEXT) AS text, m.value AS number, m.step, m.at_ms FROM job_metrics m
         WHERE m.job_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))
         UNION ALL SELECT p.job_id, 'p', p.name, p.value, NULL, NULL, NULL FROM job_params p
         WHERE p.job_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))
         UNION ALL SELECT t.job_id, 't', t.name, t.value, NULL, NULL, NULL FROM job_tags t
         WHERE t.job_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))
         UNION ALL SELECT i.job_id, 'd', i.name, i.document, NULL, NULL, NULL FROM job_inputs i
         WHERE i.job_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))
         UNION ALL SELECT l.job_id, l.role, l.logged_model_id, NULL, NULL, l.step, NULL FROM job_logged_models l
         WHERE l.job_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))",
    )
    .bind(json_list(jobs))
    .all(db)
    .await
}

/// Adds a run. If its experiment is a model's, so is the run.
pub async fn insert(tx: &mut Tx, new: &NewRow<'_>) -> Result<(JobId, Option<ModelId>), DbError> {
    Query::new(
        "INSERT INTO training_jobs (run_uuid, experiment_id, model_id, name, executor, configuration, state, requested_by_id,
                created_at, started_at)
         SELECT $1, experiment_id, model_id, $3, 'mlflow', '{}', 'running', $4, $5, $6 FROM experiments WHERE experiment_id = $2
         RETURNING job_id, model_id",
    )
    .bind(new.run)
    .bind(new.experiment)
    .bind(new.name)
    .bind(new.by)
    .bind(new.now)
    .bind(new.started_at)
    .one(tx)
    .await
}

/// Sets what a client may say of a run; what is none stays.
pub async fn update(
    tx: &mut Tx,
    job: JobId,
    state: Option<JobState>,
    name: Option<&str>,
    finished_at: Option<DateTime<Utc>>,
) -> Result<u64, DbError> {
    Query::new(
        "UPDATE training_jobs SET state = COALESCE($2, state), name = COALESCE($3, name),
                finished_at = CASE WHEN COALESCE($2, state) IN ('queued', 'running') THEN NULL ELSE COALESCE($4, finished_at) END,
                revision = revision + 1 WHERE job_id = $1",
    )
    .bind(job)
    .bind(state)
    .bind(name)
    .bind(finished_at)
    .run(tx)
    .await
}

pub async fn set_deleted(tx: &mut Tx, job: JobId, deleted_at: Option<DateTime<Utc>>) -> Result<u64, DbError> {
    Query::new("UPDATE training_jobs SET deleted_at = $2, revision = revision + 1 WHERE job_id = $1")
        .bind(job)
        .bind(deleted_at)
        .run(tx)
        .await
}

/// Adds parameters, and answers one that was there with another value, with that value.
pub async fn add_params(tx: &mut Tx, job: JobId, params: &[Pair]) -> Result<Option<(String, String)>, DbError> {
    Query::new(
        "INSERT INTO job_params (job_id, name, value) SELECT $1, value ->> 0, value ->> 1 FROM json_each($2) WHERE TRUE
         ON CONFLICT (job_id, name) DO NOTHING",
    )
    .bind(job)
    .bind(crate::mlflow::pairs(params))
    .run(&mut *tx)
    .await?;
    Query::new(
        "SELECT p.name, p.value FROM json_each($2) AS given JOIN job_params p ON p.job_id = $1 AND p.name = given.value ->> 0
         WHERE p.value <> given.value ->> 1 ORDER BY p.name LIMIT 1",
    )
    .bind(job)
    .bind(crate::mlflow::pairs(params))
    .optional(tx)
    .await
}

/// Notes what a run read: name, digest, context and the whole of it.
pub async fn add_inputs(
    tx: &mut Tx,
    job: JobId,
    inputs: &[(String, String, Option<String>, String)],
) -> Result<u64, DbError> {
    Query::new(
        "INSERT INTO job_inputs (job_id, name, digest, context, document)
         SELECT $1, value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each($2) WHERE TRUE
         ON CONFLICT (job_id, name, digest) DO UPDATE SET context = excluded.context, document = excluded.document",
    )
    .bind(job)
    .bind(json_list(inputs))
    .run(tx)
    .await
}

/// Notes which logged models a run made or used, in this role.
pub async fn add_models(tx: &mut Tx, job: JobId, role: &str, models: &[(&str, i64)]) -> Result<u64, DbError> {
    Query::new(
        "INSERT INTO job_logged_models (job_id, logged_model_id, role, step)
         SELECT $1, value ->> 0, $3, CAST(value ->> 1 AS BIGINT) FROM json_each($2) WHERE TRUE
         ON CONFLICT (job_id, logged_model_id, role) DO UPDATE SET step = excluded.step",
    )
    .bind(job)
    .bind(json_list(models))
    .bind(role)
    .run(tx)
    .await
}

/// Notes metrics that were measured on logged models: the last of each.
pub async fn add_model_metrics(tx: &mut Tx, job: JobId, metrics: &[super::Metric]) -> Result<u64, DbError> {
    let mut last = std::collections::BTreeMap::new();
    for one in metrics {
        if let Some(model) = &one.model_id {
            last.insert((model, &one.key, &one.dataset_name, &one.dataset_digest), one);
        }
    }
    if last.is_empty() {
        return Ok(0);
    }
    let rows = last.into_values().map(|one| -> [crate::db::Value; 8] {
        [
            one.model_id.as_deref().unwrap_or_default().into(),
            (&one.key).into(),
            one.dataset_name.as_deref().unwrap_or_default().into(),
            one.dataset_digest.as_deref().unwrap_or_default().into(),
            job.into(),
            one.step.map_or(0, |step| step.0).into(),
            one.value.0.into(),
            one.timestamp.map_or(0, |at| at.0).into(),
        ]
    });
    Query::new(
        "INSERT INTO logged_model_metrics (logged_model_id, name, dataset, dataset_digest, job_id, step, value, at_ms) VALUES",
    )
    .rows(rows)
    .push(
        " ON CONFLICT (logged_model_id, name, dataset, dataset_digest) DO UPDATE SET job_id = excluded.job_id,
                 step = excluded.step, value = excluded.value, at_ms = excluded.at_ms",
    )
    .run(tx)
    .await
}
