//! Jobs being carried out: claimed from the queue, run as processes under a supervisor, followed, and ended.
//!
//! A server holds a job under a lease and a fence, as operations are held. If the server is gone, so are the job's
//! processes: its supervisor sees to that. The job then is failed, honestly, and never taken up in its middle.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::jobs::configure::Configuration;
use super::rules::{Cause, Executor, JobState};
use crate::app::App;
use crate::artifacts::{self, Stored};
use crate::audit::{Act, Record, Who};
use crate::db::Engine;
use crate::error::Result;
use crate::ids::{DatasetId, JobId, ModelId, UserId};

mod carry;
mod conclude;
mod listen;
pub mod log;
pub mod output;
mod place;
mod store;
pub mod supervise;

/// How long a worker waits if nothing tells it of work.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A job, as whoever carries it out holds it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Held {
    /// Its number.
    pub job_id: JobId,
    /// Its model.
    pub model_id: Option<ModelId>,
    /// What it learns from.
    pub dataset_id: Option<DatasetId>,
    /// What carries it out.
    pub executor: Executor,
    /// What it is asked to do.
    pub configuration: Configuration,
    /// Rises with every change of hands.
    pub fence: i64,
    /// What MLflow clients know it by.
    pub run_uuid: String,
}

/// How a job ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Complete, failed or cancelled.
    pub state: JobState,
    /// Why it is not complete.
    pub cause: Option<Cause>,
    /// The same as a sentence.
    pub message: Option<String>,
    /// The program's exit code.
    pub exit_code: Option<i64>,
    /// Processor time.
    pub cpu_seconds: Option<f64>,
    /// The most memory at once.
    pub peak_memory_bytes: Option<i64>,
    /// The artifact.
    pub artifact: Option<Stored>,
    /// The name to keep the artifact under.
    pub artifact_name: String,
}

impl Default for Ended {
    fn default() -> Self {
        Self {
            state: JobState::Complete,
            cause: None,
            message: None,
            exit_code: None,
            cpu_seconds: None,
            peak_memory_bytes: None,
            artifact: None,
            artifact_name: String::new(),
        }
    }
}

impl Ended {
    fn failed(cause: Cause, message: impl Into<String>) -> Self {
        Self { state: JobState::Failed, cause: Some(cause), message: Some(message.into()), ..Self::default() }
    }

    /// The end of a job whose server was stopped.
    fn interrupted() -> Self {
        Self::failed(Cause::Interrupted, "The server that carried it out was stopped. It can be repeated.")
    }
}

/// The folder of a job: its log, and its own folder while it runs.
#[must_use]
pub fn folder(app: &App, job: JobId) -> PathBuf {
    app.settings.data.join("jobs").join(job.to_string())
}

/// Carries out jobs for as long as the server runs.
pub async fn keep_running(app: App) {
    let worker = format!("training-{}", hex::encode(app.random::<6>()));
    let places = Arc::new(Semaphore::new(app.settings.training.at_once));
    let mut under_way = JoinSet::new();
    loop {
        if let Err(error) = end_lost(&app, Some(app.now())).await {
            tracing::warn!(%error, "cannot look for jobs that were lost; trying again");
        }
        let looked = match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => claim(&app, &worker).await.map(|claimed| claimed.map(|held| (held, place))),
            Err(_) => Ok(None),
        };
        match looked {
            Ok(Some((held, place))) => {
                let app = app.clone();
                under_way.spawn(async move {
                    carry_out(&app, held).await;
                    drop(place);
                    app.training.wake();
                });
            }
            outcome => {
                if let Err(error) = outcome {
                    tracing::warn!(%error, "cannot look for jobs; trying again");
                }
                tokio::select! { () = tokio::time::sleep(LOOK_AGAIN) => (), () = app.training.woken() => () }
            }
        }
        while under_way.try_join_next().is_some() {}
    }
}

/// At the start of a server that is the only one on its database: what ran when it was stopped runs no more.
///
/// # Errors
/// Only failures of the database.
pub async fn recover(app: &App) -> Result<()> {
    if app.db.engine() == Engine::Sqlite { end_lost(app, None).await } else { Ok(()) }
}

/// Claims one job and carries it out to its end; false if none waits.
///
/// # Errors
/// Only failures of the database.
pub async fn run_one(app: &App, worker: &str) -> Result<bool> {
    match claim(app, worker).await? {
        Some(held) => {
            carry_out(app, held).await;
            Ok(true)
        }
        None => Ok(false),
    }
}

async fn claim(app: &App, worker: &str) -> Result<Option<Held>> {
    if !store::any_queued(&app.db).await? {
        return Ok(None);
    }
    let mut act = Act::begin(app, &Who::system("training")).await?;
    let now = act.now;
    let Some(held) = store::claim(&mut act.tx, worker, now, leased_until(app, now)).await? else { return Ok(None) };
    act.tell("training");
    act.commit().await?;
    Ok(Some(held))
}

fn leased_until(app: &App, now: DateTime<Utc>) -> DateTime<Utc> {
    now + app.lease
}

/// Carries a job out and writes its end down; tries for a while if the database does not answer.
async fn carry_out(app: &App, held: Held) {
    let Some(ended) = carry::carry_out(app, &held).await else {
        tracing::warn!(job = %held.job_id, "a training job was lost to another server");
        return;
    };
    for _ in 0..60 {
        match end(app, &held, &ended).await {
            Ok(()) => return,
            Err(error) => tracing::warn!(%error, job = %held.job_id, "the end of a job was not recorded; trying again"),
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Writes down how a job ended, if it is still held.
async fn end(app: &App, held: &Held, ended: &Ended) -> Result<()> {
    let mut act = Act::begin(app, &Who::system(&format!("training-job-{}", held.job_id))).await?;
    let now = act.now;
    if let Some(stored) = &ended.artifact {
        let by = requester(&mut act, held.job_id).await?;
        artifacts::record_stored(&mut act, stored, &ended.artifact_name, by).await?;
    }
    if store::end(&mut act.tx, held, ended, now).await? == 0 {
        return Ok(());
    }
    let after = serde_json::json!({ "state": ended.state, "cause": ended.cause, "message": ended.message,
        "exit_code": ended.exit_code, "artifact_digest": ended.artifact.as_ref().map(|stored| stored.digest.as_str()),
        "cpu_seconds": ended.cpu_seconds, "peak_memory_bytes": ended.peak_memory_bytes });
    let record = Record::new("training.ended", "training_job", held.job_id).after(after);
    act.record(match held.model_id {
        Some(model) => record.model(model),
        None => record,
    });
    act.tell("training");
    act.tell(format!("training-ended:{}", held.job_id));
    act.commit().await
}

async fn requester(act: &mut Act, job: JobId) -> Result<UserId> {
    let view = super::jobs::store::view(&mut act.tx, job).await?;
    Ok(view.map_or(UserId(0), |view| view.requested_by_id))
}

/// Ends what nobody carries out any more.
async fn end_lost(app: &App, now: Option<DateTime<Utc>>) -> Result<()> {
    for held in store::lost(&app.db, now).await? {
        end(app, &held, &Ended::interrupted()).await?;
        carry::tidy(app, held.job_id).await;
    }
    Ok(())
}
