//! Logged models: what a run says it made, with its files, before anybody registers it as a version of a model.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::answers::{missing, wrong};
use super::filter::Subject;
use super::rules::{self, FileInfo, Holder};
use super::search::{self, KeyValue, Search};
use super::tags;
use super::wire::{Int, List, Pair, Real, millis};
use super::{OWN, RECORD, experiments, files, runs};
use crate::app::App;
use crate::audit::Act;
use crate::error::Result;
use crate::identity::Actor;
use crate::ids::{ExperimentId, JobId, UserId};

pub(super) mod api;
mod store;

/// A logged model's row.
#[derive(Debug, Clone, sqlx::FromRow)]
struct Row {
    logged_model_id: String,
    experiment_id: ExperimentId,
    run_uuid: Option<String>,
    name: String,
    kind: String,
    status: String,
    created_by_id: UserId,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

#[derive(Debug, Clone, Serialize)]
struct Info {
    model_id: String,
    experiment_id: String,
    name: String,
    creation_timestamp_ms: i64,
    last_updated_timestamp_ms: i64,
    artifact_uri: String,
    status: String,
    model_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_run_id: Option<String>,
    tags: Vec<Pair>,
}

/// A metric that was measured on a logged model.
#[derive(Debug, Clone, Serialize)]
struct Measured {
    key: String,
    value: Real,
    timestamp: i64,
    step: i64,
    model_id: String,
    run_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    dataset_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    dataset_digest: String,
}

#[derive(Debug, Clone, Default, Serialize)]
struct Data {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    params: Vec<Pair>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<Measured>,
}

/// A logged model, as MLflow has it.
#[derive(Debug, Clone, Serialize)]
pub struct LoggedModel {
    info: Info,
    data: Data,
}

/// What belongs to a logged model.
#[derive(Debug, Default)]
struct Belongings {
    tags: Vec<Pair>,
    data: Data,
}

impl Row {
    fn view(self, own: Belongings) -> LoggedModel {
        let info = Info {
            artifact_uri: Holder::model(&self.logged_model_id).uri(self.experiment_id, ""),
            model_id: self.logged_model_id,
            experiment_id: self.experiment_id.to_string(),
            name: self.name,
            creation_timestamp_ms: millis(self.created_at),
            last_updated_timestamp_ms: millis(self.updated_at),
            status: self.status,
            model_type: self.kind,
            source_run_id: self.run_uuid,
            tags: own.tags,
        };
        LoggedModel { info, data: own.data }
    }
}

async fn belongings(app: &App, rows: &[Row]) -> Result<HashMap<String, Belongings>> {
    let ids: Vec<&str> = rows.iter().map(|row| row.logged_model_id.as_str()).collect();
    let mut found: HashMap<String, Belongings> = HashMap::new();
    for one in store::details(&app.db, &ids).await? {
        let own = found.entry(one.logged_model_id.clone()).or_default();
        match one.kind.as_str() {
            "t" => own.tags.push(Pair { key: one.name, value: one.text }),
            "p" => own.data.params.push(Pair { key: one.name, value: one.text }),
            _ => own.data.metrics.push(Measured {
                key: one.name,
                value: Real(one.number),
                timestamp: one.at_ms.unwrap_or(0),
                step: one.step.unwrap_or(0),
                model_id: one.logged_model_id,
                run_id: one.text,
                dataset_name: one.dataset.unwrap_or_default(),
                dataset_digest: one.dataset_digest.unwrap_or_default(),
            }),
        }
    }
    Ok(found)
}

/// A logged model to be made.
#[derive(Debug, Deserialize)]
pub struct NewLoggedModel {
    experiment_id: Int,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    model_type: Option<String>,
    #[serde(default)]
    source_run_id: Option<String>,
    #[serde(default)]
    params: List<Pair>,
    #[serde(default)]
    tags: List<Pair>,
}

/// Makes a logged model, whose files come next.
///
/// # Errors
/// `forbidden`, `malformed`, or `not_found` if the person does not see the experiment or run.
pub async fn create(app: &App, actor: &Actor, new: NewLoggedModel) -> Result<LoggedModel> {
    actor.may(app, RECORD, &[OWN])?;
    let experiment = ExperimentId(new.experiment_id.0);
    experiments::for_runs(app, actor, experiment).await?;
    rules::check_params(&new.params.0)?;
    rules::check_tags(&new.tags.0)?;
    let id = format!("m-{}", hex::encode(app.random::<16>()));
    let name = new.name.filter(|name| !name.is_empty()).unwrap_or_else(|| format!("model-{}", &id[2..10]));
    if name.chars().count() > 500 || name.chars().any(|c| c.is_control() || matches!(c, '/' | ':' | '%' | '"' | '\'')) {
        return Err(wrong("A logged model's name has at most 500 characters, without / : % or quotes."));
    }
    let job: Option<JobId> = match new.source_run_id.as_deref().filter(|run| !run.is_empty()) {
        Some(run) => Some(runs::seen(app, actor, run).await?.job_id),
        None => None,
    };
    let mut act = Act::begin(app, &actor.who).await?;
    let kind = new.model_type.unwrap_or_default();
    let made = store::NewRow { id: &id, experiment, job, name: &name, kind: &kind, by: actor.user_id, now: act.now };
    store::insert(&mut act.tx, &made).await?;
    store::add_params(&mut act.tx, &id, &new.params.0).await?;
    tags::LOGGED_MODEL.set(&mut act.tx, &id, &new.tags.0).await?;
    act.commit().await?;
    get(app, actor, &id).await
}

/// One logged model.
///
/// # Errors
/// `not_found`.
pub async fn get(app: &App, actor: &Actor, id: &str) -> Result<LoggedModel> {
    let row = seen(app, actor, id).await?;
    let own = belongings(app, std::slice::from_ref(&row)).await?.remove(id).unwrap_or_default();
    Ok(row.view(own))
}

async fn seen(app: &App, actor: &Actor, id: &str) -> Result<Row> {
    store::by_id(app, actor, id).await?.ok_or_else(|| missing("logged model", id))
}

/// The experiment of a logged model, for somebody who sees it.
pub(super) async fn experiment(app: &App, actor: &Actor, id: &str) -> Result<ExperimentId> {
    Ok(seen(app, actor, id).await?.experiment_id)
}

/// The run that made a logged model, for somebody who sees it.
pub(super) async fn run_of(app: &App, actor: &Actor, id: &str) -> Result<Option<String>> {
    Ok(seen(app, actor, id).await?.run_uuid)
}

/// Lets a write to a logged model go on: by who made it, and administrators. It is locked by it.
pub(super) async fn hold(act: &mut Act, actor: &Actor, id: &str) -> Result<ExperimentId> {
    let app = act.app().clone();
    let row = seen(&app, actor, id).await?;
    let relations = if row.created_by_id == actor.user_id { &[OWN][..] } else { &[] };
    actor.may(&app, RECORD, relations)?;
    store::lock(&mut act.tx, id).await?;
    Ok(row.experiment_id)
}

/// What is written anew of a logged model.
#[derive(Debug)]
pub enum Change {
    /// Its status.
    Status(String),
    /// Some tags.
    Tags(Vec<Pair>),
    /// A tag is taken away.
    Untag(String),
    /// Some parameters.
    Params(Vec<Pair>),
    /// It is deleted, unless a version came from it.
    Delete,
}

const STATUSES: [&str; 3] = ["LOGGED_MODEL_PENDING", "LOGGED_MODEL_READY", "LOGGED_MODEL_UPLOAD_FAILED"];

/// Changes a logged model.
///
/// # Errors
/// `not_found`, `forbidden`, `malformed`, or `version_in_use` if a version came from it and it would be deleted.
pub async fn change(app: &App, actor: &Actor, id: &str, change: Change) -> Result<()> {
    let mut act = Act::begin(app, &actor.who).await?;
    hold(&mut act, actor, id).await?;
    let (tx, now) = (&mut act.tx, act.now);
    match change {
        Change::Status(status) if STATUSES.contains(&status.as_str()) => {
            store::set_status(tx, id, &status, now).await?
        }
        Change::Status(status) => return Err(wrong(format!("“{status}” is no status of a logged model."))),
        Change::Tags(tags) => {
            rules::check_tags(&tags)?;
            tags::LOGGED_MODEL.set(tx, id, &tags).await?
        }
        Change::Untag(name) => match tags::LOGGED_MODEL.remove(tx, id, &name).await? {
            0 => return Err(missing("tag", &name)),
            gone => gone,
        },
        Change::Params(params) => {
            rules::check_params(&params)?;
            store::add_params(tx, id, &params).await?
        }
        Change::Delete => {
            files::check_unsealed(tx, &Holder::model(id), "").await?;
            store::delete(tx, id, now).await?
        }
    };
    act.commit().await
}

/// What is searched for.
#[derive(Debug, Deserialize)]
pub struct LoggedSearch {
    #[serde(default)]
    experiment_ids: List<Int>,
    #[serde(default)]
    filter: Option<String>,
    #[serde(default)]
    max_results: Option<Int>,
    #[serde(default)]
    order_by: List<OrderBy>,
    #[serde(default)]
    page_token: Option<String>,
}

/// One key of the order.
#[derive(Debug, Deserialize)]
struct OrderBy {
    field_name: String,
    #[serde(default)]
    ascending: Option<bool>,
}

/// A page of logged models.
#[derive(Debug, Serialize)]
pub struct LoggedModels {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    models: Vec<LoggedModel>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

/// Finds logged models.
///
/// # Errors
/// `malformed` for a filter that cannot be understood.
pub async fn search(app: &App, actor: &Actor, asked: LoggedSearch) -> Result<LoggedModels> {
    let limit = search::limit(asked.max_results.map(|most| most.0), 100, 1000)?;
    // Here, alone, MLflow's order is ascending unless it says otherwise in a field of its own.
    let order: Vec<String> = asked
        .order_by
        .0
        .iter()
        .map(|key| format!("{}{}", key.field_name, if key.ascending.unwrap_or(true) { "" } else { " DESC" }))
        .collect();
    let ends = [("creation_timestamp", true), ("model_id", false)];
    let search = Search::read(&store::SEARCHED, asked.filter.as_deref().unwrap_or_default(), &order, &ends)?;
    let experiments: Vec<ExperimentId> = asked.experiment_ids.0.iter().map(|id| ExperimentId(id.0)).collect();
    let mut rows = store::search(app, actor, &search, &experiments, asked.page_token.as_deref(), limit).await?;
    let more = i64::try_from(rows.len()).unwrap_or(i64::MAX) > limit;
    rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let mut own = belongings(app, &rows).await?;
    let last = rows.last().filter(|_| more);
    let next_page_token = last.map(|row| search.cursor(|subject| key_of(row, own.get(&row.logged_model_id), subject)));
    let models = rows.into_iter().map(|row| {
        let own = own.remove(&row.logged_model_id).unwrap_or_default();
        row.view(own)
    });
    Ok(LoggedModels { models: models.collect(), next_page_token })
}

fn key_of(row: &Row, own: Option<&Belongings>, subject: &Subject) -> KeyValue {
    match subject {
        Subject::Metric(name) => {
            let metric = own.and_then(|own| own.data.metrics.iter().find(|metric| metric.key == *name));
            KeyValue::real(metric.and_then(|metric| metric.value.0))
        }
        Subject::Param(name) => KeyValue::text(super::value_of(own.map(|own| &own.data.params), name)),
        Subject::Tag(name) => KeyValue::text(super::value_of(own.map(|own| &own.tags), name)),
        Subject::Dataset(_) => KeyValue::None,
        Subject::Attribute(name) => match name.as_str() {
            "name" => KeyValue::Text(row.name.clone()),
            "model_id" => KeyValue::Text(row.logged_model_id.clone()),
            "model_type" => KeyValue::Text(row.kind.clone()),
            "status" => KeyValue::Text(row.status.clone()),
            "source_run_id" => KeyValue::text(row.run_uuid.as_deref()),
            "last_updated_timestamp" => KeyValue::Instant(row.updated_at),
            _ => KeyValue::Instant(row.created_at),
        },
    }
}

/// The files of a logged model, below a folder.
///
/// # Errors
/// `not_found`, `malformed`.
pub async fn list_files(app: &App, actor: &Actor, id: &str, folder: &str) -> Result<(String, Vec<FileInfo>)> {
    let row = seen(app, actor, id).await?;
    let holder = Holder::model(id);
    let folder = rules::clean(folder)?;
    Ok((holder.uri(row.experiment_id, ""), files::below(app, &holder, &folder).await?))
}
