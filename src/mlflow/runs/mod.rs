//! Runs: training jobs that are carried out elsewhere and told of here, and those of this server, to be read.
//!
//! Who made a run keeps it; others read it once it is of a model that they see, as on the pages. That a run began and
//! ended stands in the ledger; what it measured, its parameters, tags and files are measurements, and do not.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;

use super::answers::{missing, wrong};
use super::rules::{self, Holder};
use super::tags;
use super::wire::{Done, Int, List, Pair, Real, instant, millis};
use super::{Lifecycle, OWN, RECORD, ViewType, experiments};
use crate::app::App;
use crate::audit::{Act, Record};
use crate::db;
use crate::error::{Error, Result};
use crate::identity::Actor;
use crate::ids::{ExperimentId, JobId, ModelId, UserId};
use crate::training::jobs;
use crate::training::points::{self, Point};
use crate::training::rules::{Executor, JobState};

pub(super) mod api;
mod log;
mod query;
mod store;
mod view;

pub use log::{Batch, Inputs, Outputs, delete_tag, history, log_batch, log_inputs, log_outputs, record_model};
pub use query::{RunSearch, Runs, search};
use view::Belongings;
pub use view::{Metric, RunInfo, RunView};

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
    tags::RUN.set(&mut act.tx, job, &new.tags.0).await?;
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
        tags::RUN.set(&mut act.tx, held.job_id, &[Pair { key: NAME_TAG.to_owned(), value: name }]).await?;
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
/// `not_found`, `forbidden`, `job_deployed` if a release of what it made was asked for.
pub async fn set_deleted(app: &App, actor: &Actor, run: &str, deleted: bool) -> Result<Done> {
    let mut act = Act::begin(app, &actor.who).await?;
    let held = hold(&mut act, actor, run).await?;
    if held.executor != Executor::Mlflow {
        return Err(wrong("This run is a training job of the server: delete it on its page."));
    }
    if held.deleted_at.is_some() != deleted {
        if deleted {
            jobs::refuse_evidence(&jobs::hold(&mut act, held.job_id).await?)?;
        }
        let deleted_at = deleted.then_some(act.now);
        store::set_deleted(&mut act.tx, held.job_id, deleted_at).await?;
        let action = if deleted { "training.deleted" } else { "training.restored" };
        act.record(about(action, held.job_id, held.model_id).after(json!({ "name": held.name })));
        act.tell("training");
    }
    act.commit().await?;
    Ok(Done {})
}

/// That what a statement names is not there, in words.
fn unknown_model(cause: db::DbError) -> Error {
    if db::is_dangling(&cause) { missing("logged model", "named here") } else { cause.into() }
}
