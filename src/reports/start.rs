//! First steps: what a newcomer does from a training to a ratified deployment, and how far they have come.

use askama::Template;
use axum::extract::State;
use axum::response::Html;
use serde::Deserialize;

use super::store::start::{self as store, Way};
use crate::app::App;
use crate::error::Result;
use crate::ids::JobId;
use crate::training::jobs::{self, JobFilter, JobView};
use crate::training::rules::JobState;
use crate::web::{Query, Shell, Visitor, filters, html};
use crate::words::ValidationState;

/// Whose way is followed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartFilter {
    /// The training job; the newest that one sees if absent.
    job_id: Option<JobId>,
}

/// A step of the way.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    title: &'static str,
    says: &'static str,
    /// Who does it.
    who: &'static str,
    /// As whom in the demo.
    in_demo: &'static str,
    done: bool,
    /// Where it is done, or what came of it.
    href: Option<String>,
    action: &'static str,
}

#[derive(Template)]
#[template(path = "reports/start.html")]
struct StartPage {
    shell: Shell,
    job: Option<JobView>,
    steps: Vec<Step>,
    demo: bool,
}

impl StartPage {
    /// The step that is next; behind the last if all are done.
    fn next(&self) -> usize {
        self.steps.iter().position(|step| !step.done).unwrap_or(self.steps.len())
    }
}

/// `GET /start`
pub async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Query(StartFilter { job_id }): Query<StartFilter>,
) -> Result<Html<String>> {
    let actor = &visitor.actor;
    let job = match job_id {
        Some(job) => Some(jobs::show(&app, actor, job).await?.job),
        None => {
            let newest = JobFilter { limit: Some(1), ..JobFilter::default() };
            jobs::list(&app, actor, &newest).await?.items.pop()
        }
    };
    let way = match &job {
        Some(job) => store::way(&app.db, job.job_id).await?,
        None => None,
    };
    let train = match store::untouched(&app.db, actor.user_id).await? {
        Some(model) => format!("/training/jobs/new?name=First+run&model_id={model}"),
        None => "/training/jobs/new?name=First+run".to_owned(),
    };
    let steps = steps(job.as_ref(), way.as_ref(), train);
    html(&StartPage {
        shell: Shell::new(&app, &visitor, "start", "First steps").await?,
        job,
        steps,
        demo: app.settings.demo,
    })
}

/// The steps, with what is done of them; `train` is where a training is asked for.
fn steps(job: Option<&JobView>, way: Option<&Way>, train: String) -> Vec<Step> {
    let at_job = job.map(|job| format!("/training/jobs/{}", job.job_id));
    let version = way.map(|way| way.version_id);
    let complete = job.is_some_and(|job| job.state == JobState::Complete);
    let tried = way.is_some_and(|way| way.tried);
    let validated = way.is_some_and(|way| way.validation_state == Some(ValidationState::Approved));
    let request = way.and_then(|way| way.request_id).map(|request| format!("/validations/{request}"));
    let release = way.and_then(|way| way.release_id).map(|release| format!("/releases/{release}"));
    let serving = way.and_then(|way| way.serving_id);
    vec![
        Step {
            title: "Train",
            says: "Choose a model that you own and the data set; the rest can stay. Watch its loss fall.",
            who: "The model’s owner or developer.",
            in_demo: "Anna or Mia",
            done: complete,
            href: at_job.clone().filter(|_| complete).or(Some(train)),
            action: if complete { "See the job" } else { "New training job" },
        },
        Step {
            title: "Deploy into development",
            says: "On the job’s page, choose a development environment: the artifact becomes a version, and serves.",
            who: "Whoever trained it.",
            in_demo: "Anna or Mia",
            done: tried,
            href: at_job.clone().filter(|_| complete),
            action: if tried { "See where it serves" } else { "Go to the job" },
        },
        Step {
            title: "Ask it",
            says: "The job’s page has a request to copy: a row of the data, answered with a probability by the endpoint.",
            who: "Whoever reaches the endpoint.",
            in_demo: "you, in a terminal",
            done: way.is_some_and(|way| way.asked),
            href: at_job.filter(|_| tried),
            action: "Copy the request",
        },
        Step {
            title: "Have it validated",
            says: "Ask for the validation of the version. A validator works on it, and the approvers decide in the inbox.",
            who: "The owner asks; a validator and the approvers decide.",
            in_demo: "Anna asks, Viktor validates, Grace approves",
            done: validated,
            href: request.or_else(|| version.map(|version| format!("/validations/new?version_id={version}"))),
            action: if way.is_some_and(|way| way.request_id.is_some()) {
                "See the validation"
            } else {
                "Ask for validation"
            },
        },
        Step {
            title: "Release into production",
            says: "Preview what will change, ask for the release; somebody else reads the same and approves.",
            who: "The owner or an operator asks; the environment’s approvers decide.",
            in_demo: "Anna or Omar asks, Grace approves",
            done: serving.is_some(),
            href: release
                .or_else(|| version.filter(|_| validated).map(|version| format!("/releases/new?version_id={version}"))),
            action: if way.is_some_and(|way| way.release_id.is_some()) { "See the release" } else { "Preview it" },
        },
        Step {
            title: "Ratify",
            says: "What serves in production waits for the owner’s countersignature: one click, with the evidence beside it.",
            who: "The model’s owner.",
            in_demo: "Anna",
            done: way.is_some_and(|way| way.ratified),
            href: serving.map(|_| "/my-deployment-tasks".to_owned()),
            action: "My deployment tasks",
        },
    ]
}
