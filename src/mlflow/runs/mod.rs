//! Runs: training jobs that are carried out elsewhere and told of here, and those of this server, to be read.
//!
//! Who made a run keeps it; others read it once it is of a model that they see, as on the pages. That a run began and
//! ended stands in the ledger; what it measured, its parameters, tags and files are measurements, and do not.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::answers::{missing, wrong};
use super::filter::Subject;
use super::rules::{self, Holder};
use super::search::{self, KeyValue, Search};
use super::wire::{Done, Int, List, Pair, Real, instant, millis};
use super::{Lifecycle, OWN, RECORD, ViewType, experiments};
use crate::app::App;
use crate::audit::{Act, Record};
use crate::db;
use crate::error::{Error, Result};
use crate::identity::Actor;
use crate::ids::{ExperimentId, JobId, ModelId, UserId};
use crate::training::points::{self, Point};
use crate::training::rules::{Executor, JobState};

pub(super) mod api;
mod log;
mod store;

pub use log::{Batch, Inputs, Outputs, delete_tag, history, log_batch, log_inputs, log_outputs, record_model};

/// A run's row.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct RunRow {
    pub job_id: JobId,
    pub run_uuid: String,
    pub experiment_id: ExperimentId,
    name: String,
    state: JobState,
    email: String,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    deleted_at: Option<DateTime<Utc>>,
}

/// What is said of a run, as MLflow has it.
#[derive(Debug, Clone, Serialize)]
pub struct RunInfo {
    run_id: String,
    run_uuid: String,
    experiment_id: String,
    run_name: String,
    user_id: String,
    status: &'static str,
    start_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<i64>,
    artifact_uri: String,
    lifecycle_stage: Lifecycle,
}

impl From<RunRow> for RunInfo {
    fn from(row: RunRow) -> Self {
        Self {
            artifact_uri: Holder::run(&row.run_uuid).uri(row.experiment_id, ""),
            run_id: row.run_uuid.clone(),
            run_uuid: row.run_uuid,
            experiment_id: row.experiment_id.to_string(),
            run_name: row.name,
            user_id: row.email,
            status: rules::status(row.state),
            start_time: millis(row.started_at.unwrap_or(row.created_at)),
            end_time: row.finished_at.map(millis),
            lifecycle_stage: Lifecycle::of(row.deleted_at),
        }
    }
}

/// A metric's point, as MLflow has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Metric {
    key: String,
    value: Real,
    #[serde(default, serialize_with = "whole")]
    timestamp: Option<Int>,
    #[serde(default, serialize_with = "whole")]
    step: Option<Int>,
    #[serde(default, skip_serializing)]
    model_id: Option<String>,
    #[serde(default, skip_serializing)]
    dataset_name: Option<String>,
    #[serde(default, skip_serializing)]
    dataset_digest: Option<String>,
}

#[expect(clippy::ref_option, reason = "as serde calls it")]
fn whole<S: serde::Serializer>(number: &Option<Int>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_i64(number.map_or(0, |number| number.0))
}

impl Metric {
    fn new(key: String, value: Option<f64>, at_ms: i64, step: i64) -> Self {
        Self {
            key,
            value: Real(value),
            timestamp: Some(Int(at_ms)),
            step: Some(Int(step)),
            model_id: None,
            dataset_name: None,
            dataset_digest: None,
        }
    }
}

/// What a run measured and was told, as MLflow has it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RunData {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<Metric>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    params: Vec<Pair>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<Pair>,
}

/// A logged model that a run made or used.
#[derive(Debug, Clone, Serialize)]
pub struct UsedModel {
    model_id: String,
    step: i64,
}

#[derive(Debug, Clone, Default, Serialize)]
struct RunInputs {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dataset_inputs: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    model_inputs: Vec<UsedModel>,
}

#[derive(Debug, Clone, Default, Serialize)]
struct RunOutputs {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    model_outputs: Vec<UsedModel>,
}

/// A run, as MLflow has it.
#[derive(Debug, Clone, Serialize)]
pub struct RunView {
    info: RunInfo,
    data: RunData,
    inputs: RunInputs,
    outputs: RunOutputs,
}

/// All that belongs to a run.
#[derive(Debug, Default)]
struct Belongings {
    data: RunData,
    inputs: RunInputs,
    outputs: RunOutputs,
}

impl Belongings {
    fn add(&mut self, detail: store::Detail) {
        let store::Detail { kind, name, text, number, step, at_ms, .. } = detail;
        let pair = |key, value: Option<String>| Pair { key, value: value.unwrap_or_default() };
        let used = |model_id| UsedModel { model_id, step: step.unwrap_or(0) };
        match kind.as_str() {
            "m" => self.data.metrics.push(Metric::new(name, number, at_ms.unwrap_or(0), step.unwrap_or(0))),
            "p" => self.data.params.push(pair(name, text)),
            "t" => self.data.tags.push(pair(name, text)),
            "d" => self.inputs.dataset_inputs.extend(text.and_then(|text| RawValue::from_string(text).ok())),
            "input" => self.inputs.model_inputs.push(used(name)),
            _ => self.outputs.model_outputs.push(used(name)),
        }
    }

    fn of(self, row: RunRow) -> RunView {
        RunView { info: row.into(), data: self.data, inputs: self.inputs, outputs: self.outputs }
    }
}

async fn belongings(app: &App, rows: &[RunRow]) -> Result<HashMap<JobId, Belongings>> {
    let jobs: Vec<JobId> = rows.iter().map(|row| row.job_id).collect();
    let mut found: HashMap<JobId, Belongings> = HashMap::with_capacity(jobs.len());
    for detail in store::details(&app.db, &jobs).await? {
        found.entry(detail.job_id).or_default().add(detail);
    }
    Ok(found)
}

/// A run to be made.
#[derive(Debug, Deserialize)]
pub struct NewRun {
    #[serde(default)]
    experiment_id: Option<Int>,
    #[serde(default)]
    start_time: Option<Int>,
    #[serde(default)]
    run_name: Option<String>,
    #[serde(default)]
    tags: List<Pair>,
}

/// The row of a run to be made.
#[derive(Debug)]
struct NewRow<'a> {
    run: &'a str,
    experiment: ExperimentId,
    name: &'a str,
    by: UserId,
    now: DateTime<Utc>,
    started_at: DateTime<Utc>,
}

/// The tag that bears a run's name, too.
const NAME_TAG: &str = "mlflow.runName";

/// Makes a run, which is running.
///
/// # Errors
/// `forbidden`, `malformed`, or `not_found` if the person does not see the experiment.
pub async fn create(app: &App, actor: &Actor, mut new: NewRun) -> Result<RunView> {
    actor.may(app, RECORD, &[OWN])?;
    let experiment = ExperimentId(new.experiment_id.map_or(0, |id| id.0));
    experiments::for_runs(app, actor, experiment).await?;
    rules::check_tags(&new.tags.0)?;
    let uuid = hex::encode(app.random::<16>());
    let tagged = super::value_of(Some(&new.tags.0), NAME_TAG).map(str::to_owned);
    let name = new.run_name.filter(|name| !name.trim().is_empty()).or(tagged);
    let name = run_name(&name.unwrap_or_else(|| format!("run-{}", &uuid[..8])))?;
    new.tags.0.push(Pair { key: NAME_TAG.to_owned(), value: name.clone() });
    let mut act = Act::begin(app, &actor.who).await?;
    let started_at = new.start_time.map_or(act.now, |at| instant(at.0));
    let row = NewRow { run: &uuid, experiment, name: &name, by: actor.user_id, now: act.now, started_at };
    let (job, model) = store::insert(&mut act.tx, &row).await?;
    store::set_tags(&mut act.tx, job, &new.tags.0).await?;
    let after = json!({ "name": name, "executor": Executor::Mlflow, "experiment_id": experiment, "run_id": uuid });
    act.record(about("training.started", job, model).after(after));
    act.tell("training");
    act.commit().await?;
    get(app, actor, &uuid).await
}

/// What the ledger says of a run, beside what it says of its model.
fn about(action: &'static str, job: JobId, model: Option<ModelId>) -> Record {
    let record = Record::new(action, "training_job", job);
    match model {
        Some(model) => record.model(model),
        None => record,
    }
}

fn run_name(name: &str) -> Result<String> {
    let name = name.trim();
    if name.chars().count() <= 500 && !name.chars().any(char::is_control) {
        Ok(name.to_owned())
    } else {
        Err(wrong("A run's name has at most 500 characters, none of them a control character."))
    }
}

/// One run, deleted ones too.
///
/// # Errors
/// `not_found`.
pub async fn get(app: &App, actor: &Actor, run: &str) -> Result<RunView> {
    let row = seen(app, actor, run).await?;
    let mut belongings = belongings(app, std::slice::from_ref(&row)).await?;
    Ok(belongings.remove(&row.job_id).unwrap_or_default().of(row))
}

pub(super) async fn seen(app: &App, actor: &Actor, run: &str) -> Result<RunRow> {
    store::by_uuid(app, actor, run).await?.ok_or_else(|| missing("run", run))
}

/// What a client says anew of a run.
#[derive(Debug, Deserialize)]
pub struct RunUpdate {
    #[serde(default)]
    run_id: Option<String>,
    #[serde(default)]
    run_uuid: Option<String>,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    end_time: Option<Int>,
    #[serde(default)]
    run_name: Option<String>,
}

/// Says anew what a run's state, end and name are.
///
/// # Errors
/// `not_found`, `forbidden`, `malformed`; the state of a job of this server is not a client's to say.
pub async fn update(app: &App, actor: &Actor, asked: RunUpdate) -> Result<RunInfo> {
    let run = api::run_id(asked.run_id, asked.run_uuid)?;
    let mut act = Act::begin(app, &actor.who).await?;
    let held = hold(&mut act, actor, &run).await?;
    active(&held, &run)?;
    let state = asked.status.as_deref().map(read_state).transpose()?;
    if state.is_some_and(|state| state != held.state) && held.executor != Executor::Mlflow {
        return Err(wrong("This run is carried out by the server, which alone says how it stands."));
    }
    let name = asked.run_name.filter(|name| !name.trim().is_empty()).map(|name| run_name(&name)).transpose()?;
    let ended = state.is_some_and(|state| !state.is_open());
    let finished_at = asked.end_time.map(|at| instant(at.0)).or(ended.then_some(act.now));
    let finished_at = finished_at.filter(|_| held.executor == Executor::Mlflow);
    store::update(&mut act.tx, held.job_id, state, name.as_deref(), finished_at).await?;
    if let Some(name) = name {
        store::set_tags(&mut act.tx, held.job_id, &[Pair { key: NAME_TAG.to_owned(), value: name }]).await?;
    }
    if let Some(state) = state.filter(|state| *state != held.state) {
        let action = if state.is_open() { "training.resumed" } else { "training.ended" };
        let said = |state| json!({ "name": held.name, "state": state });
        act.record(about(action, held.job_id, held.model_id).before(said(held.state)).after(said(state)));
    }
    act.tell("training");
    act.commit().await?;
    Ok(seen(app, actor, &run).await?.into())
}

fn read_state(status: &str) -> Result<JobState> {
    let known =
        || wrong(format!("“{status}” is no status; there are RUNNING, SCHEDULED, FINISHED, FAILED and KILLED."));
    rules::state(status).ok_or_else(known)
}

/// Locks a run that somebody may write to.
async fn hold(act: &mut Act, actor: &Actor, run: &str) -> Result<store::Held> {
    let hidden = || missing("run", run);
    let held = store::hold(&mut act.tx, run).await?.ok_or_else(hidden)?;
    let relations = if held.requested_by_id == actor.user_id { &[OWN][..] } else { &[] };
    let app = act.app().clone();
    if let Err(refusal) = actor.may(&app, RECORD, relations) {
        // Whether it is there is told only to who sees it.
        return Err(store::by_uuid(&app, actor, run).await?.map_or_else(hidden, |_| refusal));
    }
    Ok(held)
}

/// Locks a run that somebody may write files to.
pub(super) async fn hold_files(act: &mut Act, actor: &Actor, run: &str) -> Result<ExperimentId> {
    let held = hold(act, actor, run).await?;
    active(&held, run)?;
    Ok(held.experiment_id)
}

fn active(held: &store::Held, run: &str) -> Result<()> {
    match held.deleted_at {
        None => Ok(()),
        Some(_) => Err(wrong(format!("The run {run} must be in the 'active' state; it is deleted."))),
    }
}

/// Hides a run, or shows it again.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn set_deleted(app: &App, actor: &Actor, run: &str, deleted: bool) -> Result<Done> {
    let mut act = Act::begin(app, &actor.who).await?;
    let held = hold(&mut act, actor, run).await?;
    if held.executor != Executor::Mlflow {
        return Err(wrong("This run is a training job of the server: delete it on its page."));
    }
    if held.deleted_at.is_some() != deleted {
        let deleted_at = deleted.then_some(act.now);
        store::set_deleted(&mut act.tx, held.job_id, deleted_at).await?;
        let action = if deleted { "training.deleted" } else { "training.restored" };
        act.record(about(action, held.job_id, held.model_id).after(json!({ "name": held.name })));
        act.tell("training");
    }
    act.commit().await?;
    Ok(Done {})
}

/// What is searched for.
#[derive(Debug, Deserialize)]
pub struct RunSearch {
    #[serde(default)]
    experiment_ids: List<Int>,
    #[serde(default)]
    filter: Option<String>,
    #[serde(default)]
    run_view_type: ViewType,
    #[serde(default)]
    max_results: Option<Int>,
    #[serde(default)]
    order_by: List<String>,
    #[serde(default)]
    page_token: Option<String>,
}

/// A page of runs.
#[derive(Debug, Serialize)]
pub struct Runs {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    runs: Vec<RunView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

/// Finds runs: two statements, whatever their number.
///
/// # Errors
/// `malformed` for a filter that cannot be understood.
pub async fn search(app: &App, actor: &Actor, asked: RunSearch) -> Result<Runs> {
    let limit = search::limit(asked.max_results.map(|most| most.0), 1000, 50_000)?;
    let filter = asked.filter.as_deref().unwrap_or_default();
    let search = Search::read(&store::SEARCHED, filter, &asked.order_by.0, &[("start_time", true), ("job_id", false)])?;
    let experiments: Vec<ExperimentId> = asked.experiment_ids.0.iter().map(|id| ExperimentId(id.0)).collect();
    let cursor = asked.page_token.as_deref();
    let mut rows = store::search(app, actor, &search, &experiments, asked.run_view_type, cursor, limit).await?;
    let more = i64::try_from(rows.len()).unwrap_or(i64::MAX) > limit;
    rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let mut belongings = belongings(app, &rows).await?;
    let last = rows.last().filter(|_| more);
    let next_page_token = last.map(|row| search.cursor(|subject| key_of(row, belongings.get(&row.job_id), subject)));
    let runs = rows.into_iter().map(|row| belongings.remove(&row.job_id).unwrap_or_default().of(row)).collect();
    Ok(Runs { runs, next_page_token })
}

fn key_of(row: &RunRow, own: Option<&Belongings>, subject: &Subject) -> KeyValue {
    let data = own.map(|own| &own.data);
    match subject {
        Subject::Metric(name) => {
            let metric = data.and_then(|data| data.metrics.iter().find(|metric| metric.key == *name));
            KeyValue::real(metric.and_then(|metric| metric.value.0))
        }
        Subject::Param(name) => KeyValue::text(super::value_of(data.map(|data| &data.params), name)),
        Subject::Tag(name) => KeyValue::text(super::value_of(data.map(|data| &data.tags), name)),
        Subject::Dataset(_) => KeyValue::None,
        Subject::Attribute(name) => match name.as_str() {
            "job_id" => KeyValue::Int(row.job_id.0),
            "experiment_id" => KeyValue::Int(row.experiment_id.0),
            "run_id" | "run_uuid" => KeyValue::Text(row.run_uuid.clone()),
            "run_name" | "Run name" => KeyValue::Text(row.name.clone()),
            "status" => KeyValue::Text(row.state.as_str().to_owned()),
            "user_id" => KeyValue::Text(row.email.clone()),
            "end_time" => row.finished_at.map_or(KeyValue::None, KeyValue::Instant),
            _ => KeyValue::Instant(row.started_at.unwrap_or(row.created_at)),
        },
    }
}

/// That what a statement names is not there, in words.
fn unknown_model(cause: db::DbError) -> Error {
    if db::is_dangling(&cause) { missing("logged model", "named here") } else { cause.into() }
}
