//! What people do with training jobs: queue, stop, repeat, delete.

use super::configure::{self, Configuration, NewJob, Script};
use super::{JobDetail, JobView, experiment_of, seen, show, store};
use crate::app::App;
use crate::artifacts;
use crate::audit::{Act, Record};
use crate::error::{self, Error, Fields, Result};
use crate::identity::{Action, Actor, access};
use crate::ids::{DatasetId, JobId, ModelId};
use crate::training::datasets;
use crate::training::rules::{Executor, JobState};

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

/// Lets an act on a job go on only if the policy permits it.
async fn authorise(app: &App, actor: &Actor, job: JobId) -> Result<()> {
    let (_, relations) = seen(app, actor, job).await?;
    actor.may(app, Action::TrainingRun, &relations)
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

/// Stops a job: one that waits at once, one that runs as soon as its processes are gone.
///
/// # Errors
/// `not_found`, `forbidden`, or `wrong_transition` if it has ended, or runs elsewhere.
pub async fn stop(app: &App, actor: &Actor, job: JobId) -> Result<JobDetail> {
    authorise(app, actor, job).await?;
    let mut act = Act::begin(app, &actor.who).await?;
    let view = hold(&mut act, job).await?;
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
    let view = hold(&mut act, job).await?;
    if view.state.is_open() {
        return Err(refused(&format!("The job is {}; stop it first.", view.state)));
    }
    refuse_evidence(&view)?;
    let now = act.now;
    store::delete(&mut act.tx, job, now).await?;
    act.record(about("training.deleted", &view).before(&view));
    act.tell("training");
    act.commit().await?;
    Ok(view)
}

/// Refuses to delete a job of whose versions a release was asked for.
///
/// # Errors
/// `job_deployed`.
pub fn refuse_evidence(job: &JobView) -> Result<()> {
    if job.deployed {
        let says = "A release of what it made was asked for, and the job is part of the evidence of that.";
        return Err(Error::new(&error::JOB_DEPLOYED, says));
    }
    Ok(())
}

/// A job, locked: what is done with it until the act ends is done alone.
///
/// # Errors
/// `not_found` if it was deleted.
pub async fn hold(act: &mut Act, job: JobId) -> Result<JobView> {
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
