//! Validations in the browser: the list, and the request with its steps.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::{get, post};
use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::pages_new;
use super::requests::{self, RequestDetail, RequestEvent, RequestFilter, RequestList, RequestSort, StateFilter, Step};
use super::rules::{ValidationType, WAY, needs_reason, step_label};
use crate::app::App;
use crate::error::{Error, Result};
use crate::identity::Action;
use crate::ids::{RegionId, RequestId};
use crate::web::format::words;
use crate::web::{Form, Path, Query, Select, Shell, Toast, Visitor, back_to, filters, html};
use crate::words::{Priority, ValidationState};

pub fn routes() -> Router<App> {
    Router::new()
        .route("/validations", get(list))
        .route("/validations/new", get(pages_new::new).post(pages_new::ask))
        .route("/validations/{request_id}", get(show))
        .route("/validations/{request_id}/transition", post(transition))
}

#[derive(Template)]
#[template(path = "validation/list.html")]
struct ListPage {
    shell: Shell,
    now: DateTime<Utc>,
    tabs: Vec<Tab>,
    selects: Vec<Select>,
    filtered: bool,
    requested_sort: Option<&'static str>,
    by_target: bool,
    requested_href: String,
    target_href: String,
    first_href: String,
    next_href: Option<String>,
    may_ask: bool,
    list: RequestList,
    filter: RequestFilter,
}

struct Tab {
    label: &'static str,
    count: i64,
    href: String,
    here: bool,
}

async fn list(State(app): State<App>, visitor: Visitor, Query(filter): Query<RequestFilter>) -> Result<Html<String>> {
    let list = requests::list(&app, &visitor.actor, &filter).await?;
    let regions = super::store::region_choices(&app.db).await?;
    let shell = Shell::new(&app, &visitor, "validations", "Validations").await?;
    let mut page = ListPage::new(shell, app.now(), filter, list, &regions);
    page.may_ask = visitor.actor.can(&app, Action::ValidationRequest, &[]);
    html(&page)
}

fn href(filter: RequestFilter) -> String {
    format!("/validations?{}", serde_html_form::to_string(filter).unwrap_or_default())
}

impl ListPage {
    fn new(
        shell: Shell,
        now: DateTime<Utc>,
        filter: RequestFilter,
        list: RequestList,
        regions: &[(RegionId, String)],
    ) -> Self {
        let tab = |label, state: Option<StateFilter>| Tab {
            label,
            count: list.counts.of(state),
            here: state == filter.state,
            href: href(RequestFilter { state, cursor: None, ..filter.clone() }),
        };
        let tabs = vec![
            tab("All", None),
            tab("Open", Some(StateFilter::Open)),
            tab("Pending approval", Some(StateFilter::PendingApproval)),
            tab("Revision", Some(StateFilter::Revision)),
            tab("Approved", Some(StateFilter::Approved)),
        ];
        let sort = filter.sort.unwrap_or(RequestSort::Newest);
        let by = |sort| href(RequestFilter { sort: Some(sort), cursor: None, ..filter.clone() });
        let plain = RequestFilter { sort: filter.sort, cursor: filter.cursor.clone(), ..RequestFilter::default() };
        Self {
            tabs,
            selects: selects(&filter, regions),
            filtered: href(plain) != href(filter.clone()),
            requested_sort: match sort {
                RequestSort::Newest => Some("descending"),
                RequestSort::Oldest => Some("ascending"),
                RequestSort::Target => None,
            },
            by_target: sort == RequestSort::Target,
            requested_href: by(if sort == RequestSort::Newest { RequestSort::Oldest } else { RequestSort::Newest }),
            target_href: by(RequestSort::Target),
            first_href: href(RequestFilter { cursor: None, ..filter.clone() }),
            next_href: list
                .next_cursor
                .clone()
                .map(|next| href(RequestFilter { cursor: Some(next), ..filter.clone() })),
            may_ask: false,
            shell,
            now,
            list,
            filter,
        }
    }
}

fn selects(filter: &RequestFilter, regions: &[(RegionId, String)]) -> Vec<Select> {
    vec![
        Select::filter("state", "State", StateFilter::ALL, filter.state, |one| (*one, words(one.as_str()))),
        Select::filter("type", "Type", ValidationType::ALL, filter.r#type, |one| (*one, words(one.as_str()))),
        Select::filter("priority", "Priority", Priority::ALL, filter.priority, |one| (*one, words(one.as_str()))),
        Select::filter("region_id", "Region", regions, filter.region_id, |one| (one.0, one.1.clone())),
    ]
}

pub(super) fn field(error: &Error, name: &str) -> String {
    error.field_errors().iter().filter(|one| one.field == name).map(|one| one.message.as_str()).collect()
}

#[derive(Template)]
#[template(path = "validation/show.html")]
struct ShowPage {
    shell: Shell,
    now: DateTime<Utc>,
    heading: String,
    detail: RequestDetail,
    way: Vec<Place>,
    steps: Vec<Button>,
    asking: Option<Button>,
    reason: String,
    reason_error: String,
    error: String,
}

/// A state on the progress line.
struct Place {
    state: ValidationState,
    class: &'static str,
    here: bool,
    done: bool,
}

/// A step that the person can take.
#[derive(Clone)]
struct Button {
    to: ValidationState,
    label: &'static str,
    primary: bool,
    danger: bool,
    asks_why: bool,
    required: bool,
}

impl Button {
    fn new(from: ValidationState, to: ValidationState) -> Self {
        let asks_why = matches!(to, ValidationState::Cancelled | ValidationState::OnHold) || needs_reason(from, to);
        let back = from == ValidationState::Review && to == ValidationState::InProgress;
        Self {
            to,
            label: step_label(from, to),
            primary: !asks_why && !back,
            danger: to == ValidationState::Cancelled,
            asks_why,
            required: needs_reason(from, to),
        }
    }

    fn consequence(&self) -> &'static str {
        match self.to {
            ValidationState::Revision => {
                "Its tickets are withdrawn and the approvals given so far lapse; all are asked for anew."
            }
            ValidationState::OnHold => "Its tickets are withdrawn; the approvals given so far stay.",
            ValidationState::Cancelled => "It ends here. A new validation can be asked for.",
            _ => "",
        }
    }
}

impl RequestEvent {
    fn tone(&self) -> &'static str {
        match self.action.as_str() {
            "validation.approved" | "approval.given" => "is-ok",
            "approval.refused" => "is-bad",
            "approval.lapsed" => "is-warn",
            _ => "",
        }
    }

    fn icon(&self) -> &'static str {
        match self.action.as_str() {
            "validation.approved" | "approval.given" => "check",
            "approval.refused" | "validation.cancelled" => "x",
            "approval.lapsed" => "undo",
            "validation.requested" => "shield",
            _ => "chevron",
        }
    }

    fn says(&self) -> String {
        let role = self.role.as_deref().map(words).unwrap_or_default();
        match self.action.as_str() {
            "validation.requested" => "Asked for".to_owned(),
            "validation.approved" => "Approved with the last approval,".to_owned(),
            "validation.cancelled" => "Cancelled".to_owned(),
            "approval.given" => format!("{role}: approved"),
            "approval.refused" => format!("{role}: rejected"),
            "approval.lapsed" => "An approval lapsed, by an act".to_owned(),
            _ => format!("Moved to {}", self.state.as_deref().map(words).unwrap_or_default().to_lowercase()),
        }
    }
}

#[derive(Deserialize)]
struct Opened {
    step: Option<ValidationState>,
}

async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Path(request_id): Path<RequestId>,
    Query(opened): Query<Opened>,
) -> Result<Html<String>> {
    let mut page = page(&app, &visitor, request_id).await?;
    page.asking = opened.step.and_then(|to| page.steps.iter().find(|step| step.to == to && step.asks_why).cloned());
    html(&page)
}

async fn page(app: &App, visitor: &Visitor, request_id: RequestId) -> Result<ShowPage> {
    let detail = requests::show(app, &visitor.actor, request_id).await?;
    let heading = heading(&detail);
    let state = detail.request.state;
    Ok(ShowPage {
        shell: Shell::new(app, visitor, "validations", &heading).await?,
        now: app.now(),
        way: way(state, detail.request.held_from),
        steps: detail.next_states.iter().map(|to| Button::new(state, *to)).collect(),
        heading,
        detail,
        asking: None,
        reason: String::new(),
        reason_error: String::new(),
        error: String::new(),
    })
}

fn heading(detail: &RequestDetail) -> String {
    let names: Vec<_> =
        detail.versions.iter().map(|one| format!("{} {}", one.model_name, one.version_number)).collect();
    match names.as_slice() {
        [] => format!("Validation {}", detail.request.request_id),
        [one] => one.clone(),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
    }
}

/// The progress line: where the request is, or was when it was paused or sent back.
fn way(state: ValidationState, held_from: Option<ValidationState>) -> Vec<Place> {
    let at = match held_from.unwrap_or(state) {
        ValidationState::Revision => ValidationState::PendingApproval,
        other => other,
    };
    let reached = WAY.iter().position(|one| *one == at);
    let places = WAY.iter().enumerate().map(|(index, one)| {
        let here = Some(index) == reached;
        let done = reached.is_some_and(|place| index < place) || (here && state == ValidationState::Approved);
        let stopped = here && matches!(state, ValidationState::Revision | ValidationState::OnHold);
        let class = match (done, stopped, here) {
            (true, ..) => "is-done",
            (_, true, _) => "is-stopped",
            (.., true) => "is-here",
            _ => "",
        };
        Place { state: *one, class, here, done }
    });
    places.collect()
}

#[derive(Deserialize)]
struct StepForm {
    state: ValidationState,
    #[serde(default)]
    reason: String,
    revision: i64,
}

async fn transition(
    State(app): State<App>,
    Path(request_id): Path<RequestId>,
    form: Form<StepForm>,
) -> Result<Response> {
    let Form { visitor, fields } = form;
    let step = Step { to: fields.state, reason: Some(fields.reason.clone()), revision: fields.revision };
    match requests::transition(&app, &visitor.actor, request_id, step).await {
        Ok(detail) => {
            let state = words(detail.request.state.as_str()).to_lowercase();
            let toast = Toast::done(format!("Validation {request_id} is {state}."));
            Ok(back_to(&format!("/validations/{request_id}"), &toast))
        }
        Err(error) if error.status() == StatusCode::NOT_FOUND || error.status().is_server_error() => Err(error),
        Err(error) => {
            let mut page = page(&app, &visitor, request_id).await?;
            page.reason_error = field(&error, "reason");
            if page.reason_error.is_empty() {
                page.error = format!("{} {}", error.detail(), error.advice());
            } else {
                page.asking = page.steps.iter().find(|step| step.to == fields.state).cloned();
                page.reason = fields.reason;
            }
            Ok((error.status(), html(&page)?).into_response())
        }
    }
}
