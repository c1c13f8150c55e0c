//! The pages of training jobs.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::State;
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::form::JobForm;
use super::{JobDetail, JobFilter, JobList, JobView, Origins, store};
use crate::app::App;
use crate::artifacts::attachment;
use crate::audit::{self, LedgerLine};
use crate::error::{self, Error, Result};
use crate::identity::{Action, Role};
use crate::ids::JobId;
use crate::training::datasets;
use crate::training::deploy::pages::{DeployPanel, panel};
use crate::training::monitor;
use crate::training::rules::{Executor, JobState};
use crate::web::{
    Cursor, Form, Path, Query, Refusal, Select, Shell, Toast, Upload, Visitor, back_to, filters, format, html,
};

#[derive(Template)]
#[template(path = "training/jobs.html")]
struct ListPage {
    shell: Shell,
    now: DateTime<Utc>,
    list: JobList,
    state: Select,
    filter: JobFilter,
    may_train: bool,
}

#[derive(Template)]
#[template(path = "training/job_new.html")]
struct NewPage {
    shell: Shell,
    form: JobForm,
    model: Select,
    dataset: Select,
    algorithm: Select,
    program: Select,
    minutes: i64,
    memory_mib: i64,
    refusal: Refusal,
}

#[derive(Template)]
#[template(path = "training/job.html")]
struct ShowPage {
    shell: Shell,
    now: DateTime<Utc>,
    job: JobView,
    origins: Origins,
    params: Vec<(JobId, String, String)>,
    deploy: Option<DeployPanel>,
    /// The monitor, as HTML.
    monitor: String,
    events: Vec<LedgerLine>,
    may_run: bool,
    refusal: Refusal,
}

impl ListPage {
    fn address(&self, cursor: Option<&Cursor>) -> String {
        let filter = JobFilter { cursor: cursor.cloned(), ..self.filter.clone() };
        format!("/training/jobs?{}", serde_html_form::to_string(filter).unwrap_or_default())
    }

    fn is_filtered(&self) -> bool {
        let JobFilter { state, model_id, dataset_id, q, .. } = &self.filter;
        state.is_some() || model_id.is_some() || dataset_id.is_some() || q.is_some()
    }

    fn lasted(&self, job: &JobView) -> String {
        lasted(job, self.now)
    }

    /// Whether a job made something that its model's owner can deploy; its page says whether this person may.
    fn is_deployable(&self, job: &JobView) -> bool {
        let made = job.state == JobState::Complete && job.artifact_digest.is_some();
        self.may_train && made && job.model_id.is_some() && job.version_id.is_none()
    }

    /// How far a job is, in few words.
    fn stands(&self, job: &JobView) -> String {
        match (job.state, job.queue_position) {
            (JobState::Queued, Some(position)) => format!("place {position} in the queue"),
            (JobState::Running, _) if job.stop_asked => "being stopped".to_owned(),
            (JobState::Running, _) => match (job.epoch, job.epochs, job.step, job.steps) {
                (Some(epoch), Some(epochs), ..) => format!("epoch {epoch} of {epochs}"),
                (_, _, Some(step), Some(steps)) => format!("step {step} of {steps}"),
                _ => String::new(),
            },
            _ => job.cause.map(|cause| format::words(cause.as_str())).unwrap_or_default(),
        }
    }
}

/// How long a job took, or takes by now.
pub fn lasted(job: &JobView, now: DateTime<Utc>) -> String {
    let Some(started) = job.started_at else { return "–".to_owned() };
    format::duration((job.finished_at.unwrap_or(now) - started).num_milliseconds() as f64 / 1000.0)
}

impl ShowPage {
    fn lasted(&self) -> String {
        lasted(&self.job, self.now)
    }

    fn can_stop(&self) -> bool {
        self.may_run && self.job.state.is_open() && !self.job.stop_asked && self.is_ours()
    }

    fn can_retry(&self) -> bool {
        self.may_run && matches!(self.job.state, JobState::Failed | JobState::Cancelled) && self.is_ours()
    }

    fn can_delete(&self) -> bool {
        self.may_run && !self.job.state.is_open() && !self.job.deployed
    }

    /// Whether a server of this product carries it out.
    fn is_ours(&self) -> bool {
        self.job.executor != Executor::Mlflow
    }

    fn cpu(&self) -> String {
        self.job.cpu_seconds.map_or_else(|| "–".to_owned(), format::duration)
    }

    fn memory(&self) -> String {
        self.job.peak_memory_bytes.map_or_else(|| "–".to_owned(), format::bytes)
    }

    fn size(&self) -> String {
        self.job.artifact_size.map(format::bytes).unwrap_or_default()
    }
}

/// `GET /training/jobs`
pub async fn list(State(app): State<App>, visitor: Visitor, Query(filter): Query<JobFilter>) -> Result<Html<String>> {
    let list = super::list(&app, &visitor.actor, &filter).await?;
    let word = |state: &JobState| (state.as_str(), format::words(state.as_str()));
    let state = Select::filter("state", "State", JobState::ALL, filter.state, word);
    let shell = Shell::new(&app, &visitor, "training", "Training jobs").await?;
    let may_train = !visitor.actor.is(Role::Auditor);
    html(&ListPage { shell, now: app.now(), list, state, filter, may_train })
}

async fn new_page(app: &App, visitor: &Visitor, form: JobForm, refusal: Refusal) -> Result<Response> {
    let actor = &visitor.actor;
    let everything = actor.can(app, Action::TrainingRun, &[]);
    let models = store::trainable(&app.db, (!everything).then_some(actor.user_id), app.now()).await?;
    let model = Select::filter("model_id", "Model", models, Some(form.get("model_id")), |one| one).required();
    let sets = datasets::choices(app, actor).await?;
    let mut dataset =
        Select::filter("dataset_id", "Data set", sets, Some(form.get("dataset_id")), |one| one).required();
    if form.executor() == Executor::Command {
        dataset.none = Some("None");
    }
    let algorithms = [("logistic_regression", "Logistic regression"), ("boosted_trees", "Gradient-boosted trees")];
    let algorithm =
        Select::filter("algorithm", "Algorithm", algorithms, Some(form.get("algorithm")), |one| one).required();
    let limits = &app.settings.training;
    let programs = limits.programs.iter().map(|path| path.display().to_string());
    let program =
        Select::filter("program", "Program", programs, Some(form.get("program")), |one| (one.clone(), one)).required();
    let shell = Shell::new(app, visitor, "training", "New training job").await?;
    let status = refusal.status();
    let (minutes, memory_mib) = (limits.minutes, limits.memory_mib);
    let page = NewPage { shell, form, model, dataset, algorithm, program, minutes, memory_mib, refusal };
    Ok((status, html(&page)?).into_response())
}

/// `GET /training/jobs/new`
pub async fn new(
    State(app): State<App>,
    visitor: Visitor,
    Query(given): Query<BTreeMap<String, String>>,
) -> Result<Response> {
    new_page(&app, &visitor, JobForm::fresh(&given), Refusal::default()).await
}

/// `POST /training/jobs`
pub async fn create(State(app): State<App>, upload: Upload) -> Result<Response> {
    let Upload { visitor, fields, mut files } = upload;
    let script = files.remove("script").filter(|(_, bytes)| !bytes.is_empty());
    let script = script.map(|(name, bytes)| match String::from_utf8(bytes.into()) {
        Ok(text) => Ok((crate::artifacts::safe_name(&name), text)),
        Err(_) => Err(Error::field("script", "The script is not UTF-8 text.")),
    });
    let mut form = JobForm { fields, script: None };
    let asked = script.transpose().map(|script| form.script = script).and_then(|()| form.job());
    let outcome = match asked {
        Ok(new) => super::create(&app, &visitor.actor, new).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(made) => {
            let says = format!("Training job {} was queued.", made.job.name);
            Ok(back_to(&format!("/training/jobs/{}", made.job.job_id), &Toast::done(says)))
        }
        Err(error) => new_page(&app, &visitor, form, Refusal::of(error)?).await,
    }
}

/// A job's page, with what was refused.
///
/// # Errors
/// `not_found`.
pub async fn show_page(app: &App, visitor: &Visitor, job: JobId, refusal: Refusal) -> Result<Response> {
    let (job, relations) = super::seen(app, &visitor.actor, job).await?;
    let may_run = super::may_run(app, &visitor.actor, &relations);
    let deploy = panel(app, &visitor.actor, &job, &relations).await?;
    let monitor = monitor::fragment(app, &job).await?.html.to_string();
    let events = audit::timeline_of(&app.db, "training_job", job.job_id).await?;
    let shell = Shell::new(app, visitor, "training", job.name.clone()).await?;
    let status = refusal.status();
    let origins = super::origins(&app.db, &job).await?;
    let params = store::params(&app.db, &[job.job_id]).await?;
    let page = ShowPage { shell, now: app.now(), job, origins, params, deploy, monitor, events, may_run, refusal };
    Ok((status, html(&page)?).into_response())
}

/// `GET /training/jobs/{id}`
pub async fn show(State(app): State<App>, visitor: Visitor, Path(job): Path<JobId>) -> Result<Response> {
    show_page(&app, &visitor, job, Refusal::default()).await
}

/// `GET /training/runs/{uuid}`: the same by the number that MLflow's clients know.
pub async fn show_run(State(app): State<App>, visitor: Visitor, Path(run): Path<String>) -> Result<Redirect> {
    let hidden = || Error::not_found("run", &run);
    let job = store::by_run(&app.db, &run).await?.ok_or_else(hidden)?;
    match super::seen(&app, &visitor.actor, job).await {
        Ok(_) => Ok(Redirect::to(&format!("/training/jobs/{job}"))),
        Err(error) if error.code() == &error::NOT_FOUND => Err(hidden()),
        Err(error) => Err(error),
    }
}

/// What is to be done with a job.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct VerbForm {
    verb: String,
}

/// `POST /training/jobs/{id}/act`
pub async fn act(State(app): State<App>, Path(job): Path<JobId>, form: Form<VerbForm>) -> Result<Response> {
    let actor = &form.visitor.actor;
    let here = format!("/training/jobs/{job}");
    let outcome = match form.fields.verb.as_str() {
        "stop" => super::stop(&app, actor, job).await.map(|detail| (here, said(&detail))),
        "retry" => super::retry(&app, actor, job)
            .await
            .map(|again| (format!("/training/jobs/{}", again.job.job_id), "It was queued again.".to_owned())),
        "delete" => super::delete(&app, actor, job)
            .await
            .map(|gone| ("/training/jobs".to_owned(), format!("Training job {} was deleted.", gone.name))),
        _ => Err(Error::field("verb", "It is stop, retry or delete.")),
    };
    match outcome {
        Ok((address, says)) => Ok(back_to(&address, &Toast::done(says))),
        Err(error) => show_page(&app, &form.visitor, job, Refusal::of(error)?).await,
    }
}

fn said(detail: &JobDetail) -> String {
    match detail.job.state {
        JobState::Running => "The job is being stopped.".to_owned(),
        state => format!("The job is {state}."),
    }
}

/// `GET /training/jobs/{id}/log`: all that is kept of it, as plain text.
pub async fn log(State(app): State<App>, visitor: Visitor, Path(job): Path<JobId>) -> Result<String> {
    let (mut text, mut offset) = (String::new(), 0);
    loop {
        let piece = super::read_log(&app, &visitor.actor, job, offset).await?;
        if piece.omitted > 0 {
            text.push_str(&format!("\n… {} not kept …\n", format::bytes(piece.omitted)));
        }
        text.push_str(&piece.text);
        let next = u64::try_from(piece.next_offset).unwrap_or_default();
        if next <= offset || piece.next_offset >= piece.size {
            return Ok(text);
        }
        offset = next;
    }
}

/// `GET /training/jobs/{id}/artifact`
pub async fn artifact(State(app): State<App>, visitor: Visitor, Path(job): Path<JobId>) -> Result<Response> {
    Ok(attachment(super::download(&app, &visitor.actor, job).await?))
}

#[derive(Template)]
#[template(path = "training/toast.html")]
struct ToastPart {
    job: JobView,
}

/// `GET /training/jobs/{id}/toast`: what pages that are open say once a job has ended.
pub async fn toast(State(app): State<App>, visitor: Visitor, Path(job): Path<JobId>) -> Result<Html<String>> {
    let (job, _) = super::seen(&app, &visitor.actor, job).await?;
    html(&ToastPart { job })
}
