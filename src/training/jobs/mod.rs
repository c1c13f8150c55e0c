//! Training jobs as people see and steer them: configured, queued, stopped, repeated, deleted.
//!
//! Carrying them out is the business of `run`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::datasets;
use super::points::{self, Latest};
use super::rules::{Cause, Executor, JobState};
use super::run::log::{self, LogPiece};
use crate::app::App;
use crate::artifacts::{self, Download};
use crate::audit::{Act, Record};
use crate::error::{self, Error, Fields, Result};
use crate::identity::access::{self, sees_all_models};
use crate::identity::{Action, Actor, Relation};
use crate::ids::{DatasetId, ExperimentId, JobId, ModelId, UserId, VersionId};
use crate::web::{Cursor, Page, Revision, paging};

pub(super) mod api;
pub mod configure;
mod form;
pub(super) mod pages;
pub(super) mod store;

use configure::{Configuration, NewJob, Script};

/// A training job.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct JobView {
    /// Its number.
    pub job_id: JobId,
    /// What MLflow clients know it by.
    pub run_uuid: String,
    /// Its name.
    pub name: String,
    /// The model that it trains; none for a run of which no version was registered.
    pub model_id: Option<ModelId>,
    /// That model's name.
    pub model_name: Option<String>,
    /// The experiment that it belongs to.
    pub experiment_id: ExperimentId,
    /// What it learns from.
    pub dataset_id: Option<DatasetId>,
    /// That data set's name.
    pub dataset_name: Option<String>,
    /// The SHA-256 of that data set.
    pub dataset_digest: Option<String>,
    /// What carries it out.
    pub executor: Executor,
    /// What it is asked to do.
    pub configuration: Configuration,
    /// Where it stands.
    pub state: JobState,
    /// Why it ended otherwise than complete.
    pub cause: Option<Cause>,
    /// The same as a sentence.
    pub message: Option<String>,
    /// The program's exit code.
    pub exit_code: Option<i64>,
    /// Who asked for it.
    pub requested_by_id: UserId,
    /// Their name.
    pub requested_by_name: String,
    /// The job that it repeats.
    pub retry_of_id: Option<JobId>,
    /// Whether it is to be stopped.
    pub stop_asked: bool,
    /// Its place in the queue, from 1, while it waits.
    pub queue_position: Option<i64>,
    /// The epoch it is in.
    pub epoch: Option<i64>,
    /// Epochs in all.
    pub epochs: Option<i64>,
    /// Steps done.
    pub step: Option<i64>,
    /// Steps in all.
    pub steps: Option<i64>,
    /// How many points it measured.
    pub points: i64,
    /// Processor time that it took.
    pub cpu_seconds: Option<f64>,
    /// The most memory that its processes had together.
    pub peak_memory_bytes: Option<i64>,
    /// The SHA-256 of its artifact.
    pub artifact_digest: Option<String>,
    /// The artifact's size in bytes.
    pub artifact_size: Option<i64>,
    /// The artifact's file name.
    pub artifact_name: Option<String>,
    /// What code trained it: a program and its version, or the digest of a script.
    pub code: Option<String>,
    /// The version that it became.
    pub version_id: Option<VersionId>,
    /// Whether a release of that version was ever asked for.
    pub deployed: bool,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it was started.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// How often it was changed.
    pub revision: Revision,
}

/// A training job with the last value of each of its metrics.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct JobDetail {
    /// The job.
    #[serde(flatten)]
    pub job: JobView,
    /// The last point of each metric, by name.
    pub metrics: Vec<Latest>,
}

/// A row of the list.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct JobRow {
    /// The job.
    #[sqlx(flatten)]
    pub job: JobView,
    /// How many jobs the filter matches; the same in every row.
    pub total_count: i64,
}

/// Which jobs are wanted.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct JobFilter {
    /// Only this state.
    #[param(inline)]
    pub state: Option<JobState>,
    /// Only of this model.
    pub model_id: Option<ModelId>,
    /// Only with this data set.
    pub dataset_id: Option<DatasetId>,
    /// Text in the name.
    pub q: Option<String>,
    /// How many rows, 1 to 500; 50 if absent.
    pub limit: Option<i64>,
    /// Where the page starts.
    pub cursor: Option<Cursor>,
}

/// A page of jobs, the newest first.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct JobList {
    /// The jobs.
    pub items: Vec<JobView>,
    /// How many there are on all pages.
    pub total_count: i64,
    /// Where the next page starts; none on the last.
    pub next_cursor: Option<Cursor>,
}

/// The jobs that a person sees, the newest first.
///
/// # Errors
/// `invalid` for a limit out of bounds or a foreign cursor.
pub async fn list(app: &App, actor: &Actor, filter: &JobFilter) -> Result<JobList> {
    let limit = paging::limit(filter.limit)?;
    let after = filter.cursor.as_ref().map(Cursor::keys).transpose()?;
    let member = (!sees_all_models(app, actor)).then_some(actor.user_id);
    let rows = store::page(&app.db, member, app.now(), filter, limit, after).await?;
    let total_count = rows.first().map_or(0, |row| row.total_count);
    let page = Page::cut(rows, limit, |row| row.job.job_id).map(|row| row.job);
    Ok(JobList { items: page.items, total_count, next_cursor: page.next_cursor })
}

/// One job with its last metrics.
///
/// # Errors
/// `not_found` if the person may not see its model.
pub async fn show(app: &App, actor: &Actor, job: JobId) -> Result<JobDetail> {
    let (job, _) = seen(app, actor, job).await?;
    let metrics = points::latest(&app.db, &[job.job_id]).await?;
    Ok(JobDetail { job, metrics })
}

/// The job, if the person may see it, and how they stand to it.
pub(super) async fn seen(app: &App, actor: &Actor, job: JobId) -> Result<(JobView, Vec<Relation>)> {
    let hidden = || Error::not_found("training job", job);
    let view = store::view(&app.db, job).await?.ok_or_else(hidden)?;
    let relations = relations(app, actor, &view).await?;
    // A run of no model is its own person's affair.
    if !relations.contains(&Relation::Creator) {
        access::permit(app, actor, Action::ModelView, &relations, hidden)?;
    }
    Ok((view, relations))
}

async fn relations(app: &App, actor: &Actor, job: &JobView) -> Result<Vec<Relation>> {
    match job.model_id {
        Some(model) => Ok(access::relations(app, &app.db, actor, model, None).await?.unwrap_or_default()),
        None if job.requested_by_id == actor.user_id => Ok(vec![Relation::Creator]),
        None => Ok(Vec::new()),
    }
}

/// Lets an act on a job go on only if the policy permits it.
async fn authorise(app: &App, actor: &Actor, job: JobId) -> Result<()> {
    let (_, relations) = seen(app, actor, job).await?;
    actor.may(app, Action::TrainingRun, &relations)
}

/// Whether a person may steer jobs of this one's kind.
pub(super) fn may_run(app: &App, actor: &Actor, relations: &[Relation]) -> bool {
    actor.can(app, Action::TrainingRun, relations)
}

/// Queues a job.
///
/// # Errors
/// `not_found` and `forbidden` by its model; `invalid` with every field at fault.
pub async fn create(app: &App, actor: &Actor, new: NewJob) -> Result<JobDetail> {
    access::authorise(app, &app.db, actor, Action::TrainingRun, new.model_id).await?;
    let mut fields = Fields::default();
    let dataset = match new.dataset_id {
        Some(id) => {
            let found = datasets::show(app, actor, id).await.ok().map(|detail| detail.dataset);
            fields.check(found.is_some(), "dataset_id", "There is no such data set.");
            found
        }
        None => None,
    };
    let mut configuration = configure::configured(&mut fields, &new, dataset.as_ref(), &app.settings.training);
    fields.done()?;
    let script = new.command.as_ref().and_then(|command| command.script.clone());
    let stored = match &script {
        Some(script) => {
            let bytes = axum::body::Bytes::from(script.text.clone());
            Some(artifacts::keep(app, futures_util::stream::iter([Ok::<_, std::io::Error>(bytes)]), None).await?)
        }
        None => None,
    };
    let mut act = Act::begin(app, &actor.who).await?;
    access::lock_models(&mut act.tx, &[new.model_id]).await?;
    if let (Some(stored), Some(script), Some(command)) = (&stored, script, &mut configuration.command) {
        artifacts::record_stored(&mut act, stored, &script.file_name, actor.user_id).await?;
        command.script = Some(Script { file_name: script.file_name, digest: stored.digest.to_string() });
    }
    let asked = Asked { model: new.model_id, dataset: new.dataset_id, name: new.name.trim(), executor: new.executor };
    let job = queue(&mut act, actor, &asked, &configuration, None).await?;
    act.commit().await?;
    app.training.wake();
    show(app, actor, job).await
}

struct Asked<'a> {
    model: ModelId,
    dataset: Option<DatasetId>,
    name: &'a str,
    executor: Executor,
}

async fn queue(
    act: &mut Act,
    actor: &Actor,
    asked: &Asked<'_>,
    configuration: &Configuration,
    retry_of: Option<JobId>,
) -> Result<JobId> {
    let now = act.now;
    let experiment = experiment_of(act, asked.model, actor.user_id).await?;
    let code = match &configuration.command {
        None => format!("countersign {}", env!("CARGO_PKG_VERSION")),
        Some(command) => match &command.script {
            Some(script) => format!("sha256:{}", script.digest),
            None => command.program.clone(),
        },
    };
    let new = store::New {
        run_uuid: hex::encode(act.app().random::<16>()),
        experiment,
        model: asked.model,
        dataset: asked.dataset,
        name: asked.name,
        executor: asked.executor,
        configuration,
        by: actor.user_id,
        retry_of,
        code: &code,
    };
    let job = store::insert(&mut act.tx, new, now).await?;
    store::insert_params(&mut act.tx, job, &configuration.params()).await?;
    let after = serde_json::json!({ "name": asked.name, "dataset_id": asked.dataset, "executor": asked.executor,
        "configuration": configuration, "code": code, "retry_of_id": retry_of });
    act.record(Record::new("training.queued", "training_job", job).model(asked.model).after(after));
    act.tell("training");
    Ok(job)
}

/// The experiment that a model's jobs belong to, made when it is first needed; the model is locked by the caller.
///
/// # Errors
/// Only failures of the database.
pub async fn experiment_of(act: &mut Act, model: ModelId, by: UserId) -> Result<ExperimentId> {
    if let Some(known) = store::experiment_of(&mut act.tx, model).await? {
        return Ok(known);
    }
    let now = act.now;
    Ok(store::insert_experiment(&mut act.tx, model, by, now).await?)
}

/// How often a lineage names a kind of thing: it is part of the ledger, which is kept for ever.
const LINEAGE_MOST: usize = 100;

/// What a job's artifact came from: data, code, parameters, and what was measured at its end.
///
/// # Errors
/// `not_found`.
pub async fn lineage(act: &mut Act, job: JobId) -> Result<serde_json::Value> {
    let view = store::view(&mut act.tx, job).await?.ok_or_else(|| Error::not_found("training job", job))?;
    let params = store::params(&mut act.tx, &[job]).await?;
    let params: BTreeMap<_, _> = params.into_iter().take(LINEAGE_MOST).map(|(_, name, value)| (name, value)).collect();
    let metrics = points::latest(&mut act.tx, &[job]).await?;
    let metrics: BTreeMap<_, _> = metrics.into_iter().take(LINEAGE_MOST).map(|one| (one.name, one.value)).collect();
    Ok(serde_json::json!({ "job_id": job, "dataset": view.dataset_name, "dataset_digest": view.dataset_digest,
        "code": view.code, "parameters": params, "metrics": metrics }))
}

/// Stops a job: one that waits at once, one that runs as soon as its processes are gone.
///
/// # Errors
/// `not_found`, `forbidden`, or `wrong_transition` if it has ended, or runs elsewhere.
pub async fn stop(app: &App, actor: &Actor, job: JobId) -> Result<JobDetail> {
    authorise(app, actor, job).await?;
    let mut act = Act::begin(app, &actor.who).await?;
    let view = locked(&mut act, job).await?;
    let now = act.now;
    match (view.state, view.executor) {
        (JobState::Running, Executor::Mlflow) => {
            return Err(refused("This run is carried out elsewhere; whoever carries it out ends it."));
        }
        (JobState::Queued, _) => {
            let says = format!("{} stopped it before it began.", actor.who.name);
            store::cancel_queued(&mut act.tx, job, &says, now).await?;
        }
        (JobState::Running, _) => {
            store::ask_stop(&mut act.tx, job).await?;
        }
        _ => return Err(refused(&format!("The job has ended already: it is {}.", view.state))),
    }
    if !view.stop_asked {
        act.record(about("training.stopped", &view));
        act.tell("training");
    }
    act.commit().await?;
    app.training.stop(job);
    show(app, actor, job).await
}

/// Queues a job like one that failed or was stopped.
///
/// # Errors
/// `not_found`, `forbidden`, `wrong_transition`, or `invalid` if what it starts is not allowed any more.
pub async fn retry(app: &App, actor: &Actor, job: JobId) -> Result<JobDetail> {
    authorise(app, actor, job).await?;
    let mut act = Act::begin(app, &actor.who).await?;
    let view = store::view(&mut act.tx, job).await?.ok_or_else(|| Error::not_found("training job", job))?;
    let (Some(model), true) = (view.model_id, view.executor != Executor::Mlflow) else {
        return Err(refused("This run was carried out elsewhere; repeat it there."));
    };
    if !matches!(view.state, JobState::Failed | JobState::Cancelled) {
        return Err(refused(&format!("Only what failed or was stopped is repeated; the job is {}.", view.state)));
    }
    let mut fields = Fields::default();
    if let Some(command) = &view.configuration.command {
        configure::check_program(&mut fields, &command.program, &app.settings.training);
    }
    fields.done()?;
    access::lock_models(&mut act.tx, &[model]).await?;
    let asked = Asked { model, dataset: view.dataset_id, name: &view.name, executor: view.executor };
    let again = queue(&mut act, actor, &asked, &view.configuration, Some(job)).await?;
    act.commit().await?;
    app.training.wake();
    show(app, actor, again).await
}

/// Deletes a job that has ended and was never deployed, and answers what it was.
///
/// # Errors
/// `not_found`, `forbidden`, `wrong_transition` while it is open, `job_deployed`.
pub async fn delete(app: &App, actor: &Actor, job: JobId) -> Result<JobView> {
    authorise(app, actor, job).await?;
    let mut act = Act::begin(app, &actor.who).await?;
    let view = locked(&mut act, job).await?;
    if view.state.is_open() {
        return Err(refused(&format!("The job is {}; stop it first.", view.state)));
    }
    if view.deployed {
        return Err(Error::new(
            &error::JOB_DEPLOYED,
            "A release of what it made was asked for, and the job is part of the evidence of that.",
        ));
    }
    let now = act.now;
    store::delete(&mut act.tx, job, now).await?;
    act.record(about("training.deleted", &view).before(&view));
    act.tell("training");
    act.commit().await?;
    Ok(view)
}

async fn locked(act: &mut Act, job: JobId) -> Result<JobView> {
    store::lock(&mut act.tx, job).await?;
    store::view(&mut act.tx, job).await?.ok_or_else(|| Error::not_found("training job", job))
}

fn refused(why: &str) -> Error {
    Error::new(&error::WRONG_TRANSITION, why).hint("Look at the job again.")
}

fn about(action: &'static str, job: &JobView) -> Record {
    let record = Record::new(action, "training_job", job.job_id);
    match job.model_id {
        Some(model) => record.model(model),
        None => record,
    }
}

/// A piece of a job's log, from an offset on.
///
/// # Errors
/// `not_found`; the log cannot be read.
pub async fn read_log(app: &App, actor: &Actor, job: JobId, offset: u64) -> Result<LogPiece> {
    seen(app, actor, job).await?;
    let folder = super::run::folder(app, job);
    tokio::task::spawn_blocking(move || log::read(&folder, offset))
        .await
        .map_err(Error::internal)?
        .map_err(Error::internal)
}

/// The end of a job's log, for somebody who was let in already.
pub(super) async fn log_end(app: &App, job: JobId) -> Result<LogPiece> {
    let folder = super::run::folder(app, job);
    let read = tokio::task::spawn_blocking(move || log::read_end(&folder, 8 << 10)).await;
    read.map_err(Error::internal)?.map_err(Error::internal)
}

/// A job's artifact.
///
/// # Errors
/// `not_found` if it has none.
pub async fn download(app: &App, actor: &Actor, job: JobId) -> Result<Download> {
    let (view, _) = seen(app, actor, job).await?;
    let missing = || Error::not_found("artifact of training job", job);
    let digest = view.artifact_digest.ok_or_else(missing)?.parse().map_err(|_| missing())?;
    artifacts::open(app, &digest, view.artifact_name.unwrap_or_default()).await
}
