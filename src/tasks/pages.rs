//! My Deployment Tasks: what is ready, what is scheduled, and the dialogs that act on it.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::rules::{Bucket, OVERRIDE_POLICY, OVERRIDE_REASON_LENGTH};
use super::{Adjust, Bulk, BulkAnswer, Cancel, Confirm, Scope, StatusFilter, TaskFilter, TaskList, TaskView, list};
use crate::app::App;
use crate::error::{Error, FieldError, Result};
use crate::identity::{Action, Actor};
use crate::ids::{ModelId, RegionId, TaskId};
use crate::readiness::{self, ReadyFilter, ReadyPage};
use crate::web::{Cursor, Form, Path, Query, Shell, Toast, Visitor, back_to, filters, format, html};

/// The page's address: what is filtered, and which dialog is open.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
pub struct Address {
    #[serde(default, skip_serializing_if = "is_mine")]
    scope: Scope,
    #[serde(skip_serializing_if = "Option::is_none")]
    bucket: Option<Bucket>,
    #[serde(skip_serializing_if = "Option::is_none")]
    q: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<NaiveDate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<NaiveDate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region_id: Option<RegionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_id: Option<ModelId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<Cursor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ready_cursor: Option<Cursor>,
    #[serde(rename = "do", skip_serializing)]
    verb: Option<VerbWord>,
    #[serde(default, skip_serializing)]
    task_id: Vec<TaskId>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_mine(scope: &Scope) -> bool {
    *scope == Scope::Mine
}

/// What a dialog is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum VerbWord {
    Confirm,
    Adjust,
    Cancel,
}

/// The page's own path.
const PATH: &str = "/my-deployment-tasks";

impl Address {
    /// The address without a dialog.
    fn link(&self) -> String {
        match serde_html_form::to_string(self).unwrap_or_default() {
            query if query.is_empty() => PATH.to_owned(),
            query => format!("{PATH}?{query}"),
        }
    }

    /// Reads an address that a form brought along; any other place counts as the bare page.
    fn parse(back: &str) -> Self {
        let query = back.strip_prefix(PATH).and_then(|rest| rest.strip_prefix('?')).unwrap_or_default();
        serde_html_form::from_str(query).unwrap_or_default()
    }

    fn with_bucket(&self, bucket: Option<Bucket>) -> String {
        Self { bucket, cursor: None, ..self.clone() }.link()
    }

    fn at(&self, cursor: Option<&Cursor>) -> String {
        Self { cursor: cursor.cloned(), ..self.clone() }.link()
    }

    fn ready_at(&self, cursor: Option<&Cursor>) -> String {
        Self { ready_cursor: cursor.cloned(), ..self.clone() }.link()
    }

    /// A link that opens a dialog on one task.
    fn act_on(&self, word: &str, task: &TaskId) -> String {
        let link = self.link();
        let joint = if link.contains('?') { '&' } else { '?' };
        format!("{link}{joint}do={word}&task_id={task}")
    }

    fn filters(&self) -> TaskFilter {
        TaskFilter {
            scope: self.scope,
            status: None::<StatusFilter>,
            bucket: self.bucket,
            q: self.q.clone(),
            from: self.from,
            to: self.to,
            region_id: self.region_id,
            model_id: self.model_id,
            limit: None,
            cursor: self.cursor.clone(),
        }
    }

    fn is_filtered(&self) -> bool {
        self.bucket.is_some()
            || self.q.is_some()
            || self.from.is_some()
            || self.to.is_some()
            || self.region_id.is_some()
            || self.model_id.is_some()
    }
}

/// A tab above the table: a bucket with its count.
struct BucketTab {
    label: &'static str,
    href: String,
    count: i64,
    current: bool,
}

#[derive(Template)]
#[template(path = "tasks/tasks.html")]
struct TasksPage {
    shell: Shell,
    address: Address,
    tabs: Vec<BucketTab>,
    ready: ReadyPage,
    tasks: TaskList,
    /// How many tasks the filter matches, bucket and all.
    matching: i64,
    sees_all: bool,
    dialog: Option<Dialog>,
}

/// An open dialog, with what was typed and what is wrong with it.
struct Dialog {
    verb: VerbWord,
    tasks: Vec<TaskView>,
    /// Chosen, but no longer open: said, not offered.
    closed: Vec<TaskView>,
    needs_override: bool,
    back: String,
    date: String,
    text: String,
    reason: String,
    errors: Vec<FieldError>,
    refusal: Option<String>,
}

impl Dialog {
    fn new(verb: VerbWord, chosen: Vec<TaskView>, back: String, now: DateTime<Utc>) -> Self {
        let (tasks, closed): (Vec<_>, Vec<_>) = chosen.into_iter().partition(|task| task.status.is_open());
        let dates = tasks.iter().map(|task| match verb {
            VerbWord::Confirm => task.today(now),
            VerbWord::Adjust | VerbWord::Cancel => task.planned_production_date,
        });
        Self {
            date: dates.min().map(|date| date.to_string()).unwrap_or_default(),
            needs_override: verb == VerbWord::Confirm && tasks.iter().any(|task| task.requires_override),
            verb,
            tasks,
            closed,
            back,
            text: String::new(),
            reason: String::new(),
            errors: Vec::new(),
            refusal: None,
        }
    }

    fn error(&self, field: &str) -> Option<&str> {
        self.errors.iter().find(|error| error.field == field).map(|error| error.message.as_str())
    }

    fn title(&self) -> String {
        let what = match self.verb {
            VerbWord::Confirm => "Confirm",
            VerbWord::Adjust => "Adjust",
            VerbWord::Cancel => "Cancel",
        };
        match self.tasks.len() {
            0 => "Nothing to do here".to_owned(),
            1 => format!("{what} deployment"),
            count => format!("{what} {count} deployments"),
        }
    }

    fn policy(&self) -> &'static str {
        OVERRIDE_POLICY
    }

    fn reason_length(&self) -> usize {
        OVERRIDE_REASON_LENGTH
    }
}

/// `GET /my-deployment-tasks`: five statements, with or without the dialogs' own.
pub async fn tasks(State(app): State<App>, visitor: Visitor, Query(address): Query<Address>) -> Result<Html<String>> {
    let dialog = match address.verb {
        Some(verb) => {
            let chosen = list::chosen(&app, &visitor.actor, &address.task_id).await?;
            (!chosen.is_empty()).then(|| Dialog::new(verb, chosen, address.link(), app.now()))
        }
        None => None,
    };
    render(&app, &visitor, address, dialog).await
}

async fn render(app: &App, visitor: &Visitor, address: Address, dialog: Option<Dialog>) -> Result<Html<String>> {
    let ready_filter = ReadyFilter {
        region_id: address.region_id,
        model_id: address.model_id,
        cursor: address.ready_cursor.clone(),
        ..ReadyFilter::default()
    };
    let ready = readiness::ready_page(app, &visitor.actor, &ready_filter).await?;
    let tasks = super::my_tasks(app, &visitor.actor, &address.filters()).await?;
    let tab = |label, bucket| BucketTab {
        label,
        href: address.with_bucket(bucket),
        count: tasks.counts.of(bucket),
        current: address.bucket == bucket,
    };
    let tabs = vec![
        tab("All", None),
        tab("Overdue", Some(Bucket::Overdue)),
        tab("Due today", Some(Bucket::DueToday)),
        tab("Due within 7 days", Some(Bucket::DueSoon)),
        tab("Upcoming", Some(Bucket::Upcoming)),
    ];
    let shell = Shell::new(app, visitor, "tasks", "My Deployment Tasks").await?;
    let sees_all = visitor.actor.can(app, Action::TaskViewAll, &[]);
    let matching = tasks.counts.of(address.bucket);
    html(&TasksPage { shell, address, tabs, ready, tasks, matching, sees_all, dialog })
}

/// The fields of the three dialogs.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct DialogFields {
    #[serde(default)]
    back: String,
    #[serde(default)]
    task_id: Vec<TaskId>,
    #[serde(default)]
    date: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    reason: String,
}

impl DialogFields {
    fn date(&self, field: &str) -> Result<NaiveDate> {
        self.date.parse().map_err(|_| Error::field(field, "Choose a date."))
    }
}

/// `POST /my-deployment-tasks/confirm`
pub async fn confirm(State(app): State<App>, form: Form<DialogFields>) -> Response {
    let outcome = confirm_chosen(&app, &form.visitor.actor, &form.fields).await;
    answer(&app, form, VerbWord::Confirm, outcome, "confirmed").await
}

/// The reason goes with the tasks that need one, and with no other.
async fn confirm_chosen(app: &App, actor: &Actor, fields: &DialogFields) -> Result<BulkAnswer> {
    let chosen = list::chosen(app, actor, &fields.task_id).await?;
    let (over, plain): (Vec<_>, Vec<_>) = chosen.iter().partition(|task| task.requires_override);
    let mut answer = BulkAnswer { succeeded: Vec::new(), failed: Vec::new() };
    for (tasks, reason) in [(plain, None), (over, Some(fields.reason.clone()))] {
        if tasks.is_empty() {
            continue;
        }
        // Whoever ratifies what a release has shown to serve types no date.
        let shown = tasks.first().filter(|_| chosen.len() == 1 && fields.date.is_empty());
        let date = match shown.and_then(|task| task.served_since()) {
            Some(date) => date,
            None => fields.date("actual_production_date")?,
        };
        let with = Confirm {
            actual_production_date: date,
            confirmation_notes: Some(fields.text.clone()),
            validation_override_reason: reason,
        };
        let bulk = Bulk { task_ids: tasks.iter().map(|task| task.task_id).collect(), with };
        let part = super::bulk_confirm(app, actor, &bulk).await?;
        answer.succeeded.extend(part.succeeded);
        answer.failed.extend(part.failed);
    }
    Ok(answer)
}

/// `POST /my-deployment-tasks/adjust`
pub async fn adjust(State(app): State<App>, form: Form<DialogFields>) -> Response {
    let fields = &form.fields;
    let outcome = async {
        let planned_production_date = fields.date("planned_production_date")?;
        let with = Adjust { planned_production_date, adjustment_reason: fields.text.clone() };
        super::bulk_adjust(&app, &form.visitor.actor, &Bulk { task_ids: fields.task_id.clone(), with }).await
    }
    .await;
    answer(&app, form, VerbWord::Adjust, outcome, "adjusted").await
}

/// `POST /my-deployment-tasks/cancel`
pub async fn cancel(State(app): State<App>, form: Form<DialogFields>) -> Response {
    let with = Cancel { cancellation_reason: form.fields.text.clone() };
    let bulk = Bulk { task_ids: form.fields.task_id.clone(), with };
    let outcome = super::bulk_cancel(&app, &form.visitor.actor, &bulk).await;
    answer(&app, form, VerbWord::Cancel, outcome, "cancelled").await
}

/// Back to the list if anything was done; else the dialog again, with what is wrong and what was typed.
async fn answer(
    app: &App,
    form: Form<DialogFields>,
    verb: VerbWord,
    outcome: Result<BulkAnswer>,
    done: &str,
) -> Response {
    let address = Address::parse(&form.fields.back);
    match outcome {
        Ok(answer) if !answer.succeeded.is_empty() => back_to(&address.link(), &toast(&answer, done)),
        Ok(answer) => {
            let problem = answer.failed.into_iter().next().map(|failure| failure.problem);
            let (errors, refusal) = problem.map_or((Vec::new(), None), |problem| {
                let refusal = problem.fields.is_empty().then(|| format!("{} {}", problem.detail, problem.hint));
                (problem.fields, refusal)
            });
            again(app, form, verb, errors, refusal).await
        }
        Err(error) => {
            let refusal = error.field_errors().is_empty().then(|| error.detail().to_owned());
            let errors = error.field_errors().to_vec();
            again(app, form, verb, errors, refusal).await
        }
    }
}

fn toast(answer: &BulkAnswer, done: &str) -> Toast {
    let count = i64::try_from(answer.succeeded.len()).unwrap_or(i64::MAX);
    let text = match (answer.succeeded.as_slice(), answer.failed.first()) {
        ([one], None) => format!("{} {} in {} {done}.", one.model_name, one.version_number, one.place()),
        (_, None) => format!("{} {done}.", format::plural(count, "deployment")),
        (_, Some(first)) => format!(
            "{} {done}, {} not: {}",
            format::plural(count, "deployment"),
            answer.failed.len(),
            first.problem.detail
        ),
    };
    let toast = if answer.failed.is_empty() { Toast::done(text) } else { Toast::bad(text) };
    match answer.succeeded.as_slice() {
        [one] => toast.link(format!("/deployment-tasks/{}", one.task_id)),
        _ => toast,
    }
}

async fn again(
    app: &App,
    form: Form<DialogFields>,
    verb: VerbWord,
    errors: Vec<FieldError>,
    refusal: Option<String>,
) -> Response {
    let Form { visitor, fields } = form;
    let address = Address::parse(&fields.back);
    let shown = async {
        let chosen = list::chosen(app, &visitor.actor, &fields.task_id).await?;
        let fresh = Dialog::new(verb, chosen, address.link(), app.now());
        let dialog = Dialog { date: fields.date, text: fields.text, reason: fields.reason, errors, refusal, ..fresh };
        render(app, &visitor, address, Some(dialog)).await
    };
    match shown.await {
        Ok(page) => (StatusCode::UNPROCESSABLE_ENTITY, page).into_response(),
        Err(error) => error.into_response(),
    }
}

#[derive(Template)]
#[template(path = "tasks/task.html")]
struct TaskPage {
    shell: Shell,
    task: TaskView,
    now: DateTime<Utc>,
}

/// `GET /deployment-tasks/{task_id}`
pub async fn task(State(app): State<App>, visitor: Visitor, Path(task): Path<TaskId>) -> Result<Html<String>> {
    let task = super::task(&app, &visitor.actor, task).await?;
    let title = format!("{} {} in {}", task.model_name, task.version_number, task.place());
    let shell = Shell::new(&app, &visitor, "tasks", title).await?;
    html(&TaskPage { shell, task, now: app.now() })
}
