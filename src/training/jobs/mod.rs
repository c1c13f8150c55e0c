//! Training jobs as people see and steer them: configured, queued, stopped, repeated, deleted.
//!
//! Carrying them out is the business of `run`.

use std::collections::BTreeMap;

use super::points;
use super::rules::Executor;
use super::run::log::{self, LogPiece};
use crate::app::App;
use crate::artifacts::{self, Download};
use crate::audit::Act;
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::identity::access::{self, sees_all_models};
use crate::identity::{Action, Actor, Relation};
use crate::ids::{ExperimentId, JobId, ModelId, UserId};
use crate::web::{Cursor, Page, paging};

mod act;
pub(super) mod api;
pub mod configure;
mod form;
pub(super) mod pages;
pub(super) mod store;
mod view;

pub use act::{create, delete, hold, refuse_evidence, retry, stop};
pub use view::{Input, JobDetail, JobFilter, JobList, JobRow, JobView, Origins};

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

/// Whether a person may steer jobs of this one's kind.
pub(super) fn may_run(app: &App, actor: &Actor, relations: &[Relation]) -> bool {
    actor.can(app, Action::TrainingRun, relations)
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
    let Origins { inputs, code } = origins(&mut act.tx, &view).await?;
    Ok(serde_json::json!({ "job_id": job, "dataset": view.dataset_name, "dataset_digest": view.dataset_digest,
        "inputs": inputs, "code": code, "parameters": params, "metrics": metrics }))
}

/// What a job came from: of a run that was carried out elsewhere, what its client told.
///
/// # Errors
/// Only failures of the database.
pub(super) async fn origins(conn: impl Into<Conn<'_>>, job: &JobView) -> Result<Origins> {
    if job.executor != Executor::Mlflow {
        return Ok(Origins { inputs: Vec::new(), code: job.code.clone() });
    }
    let mut conn = conn.into();
    let inputs = store::inputs(conn.again(), job.job_id, i64::try_from(LINEAGE_MOST).unwrap_or(0)).await?;
    let source: Vec<String> = store::source(conn, job.job_id).await?.into_iter().map(|one| one.1).collect();
    let code = job.code.clone().or_else(|| (!source.is_empty()).then(|| source.join(", commit ")));
    Ok(Origins { inputs, code })
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
