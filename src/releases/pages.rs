//! The pages of releases: list, preview, one release with its steps and timeline.

use askama::Template;
use axum::extract::State;
use axum::response::{Html, IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use countersign_runtimes::Strategy;
use countersign_runtimes::canary::Limits;
use countersign_runtimes::spec::CanaryStep;
use serde::Deserialize;

use super::rules::{APPROVAL_HOLDS, Answer, Gate, LifecycleState};
use super::{
    ApplyBody, PreviewBody, PreviewView, ReleaseBody, ReleaseFilter, ReleaseList, ReleaseView, RollbackBody,
    list as lists,
};
use crate::app::App;
use crate::audit::LedgerLine;
use crate::environments;
use crate::error::{Fields, Result};
use crate::identity::access;
use crate::identity::{Action, Relation};
use crate::ids::{ReleaseId, VersionId};
use crate::inventory::versions;
use crate::web::form::read;
use crate::web::{Form, Path, Query, Refusal, Select, Shell, Toast, Visitor, back_to, filters, format, html};

#[derive(Template)]
#[template(path = "releases/list.html")]
struct ListPage {
    shell: Shell,
    now: DateTime<Utc>,
    page: ReleaseList,
    selects: Vec<Select>,
    filtered: bool,
    next_href: Option<String>,
}

#[derive(Template)]
#[template(path = "releases/new.html")]
struct NewPage {
    shell: Shell,
    fields: PreviewFields,
    refusal: Refusal,
    selects: Vec<Select>,
}

#[derive(Template)]
#[template(path = "releases/preview.html")]
struct PreviewPage {
    shell: Shell,
    now: DateTime<Utc>,
    preview: PreviewView,
    refusal: Refusal,
    fields: ReleaseFields,
}

#[derive(Template)]
#[template(path = "releases/show.html")]
struct ShowPage {
    shell: Shell,
    now: DateTime<Utc>,
    view: ReleaseView,
    events: Vec<LedgerLine>,
    back_to: Vec<(VersionId, String)>,
    may_apply: bool,
    may_roll_back: bool,
    refusal: Refusal,
}

impl ShowPage {
    /// Until when an approved release can be applied.
    fn apply_until(&self) -> Option<DateTime<Utc>> {
        let release = &self.view.release;
        let approved = release.lifecycle_state == LifecycleState::Approved;
        release.approved_at.filter(|_| approved).map(|at| at + APPROVAL_HOLDS)
    }

    fn may_cancel(&self) -> bool {
        use LifecycleState::{Applying, Approved, PendingApproval};
        self.may_apply && matches!(self.view.release.lifecycle_state, PendingApproval | Approved | Applying)
    }

    fn diagnosis(&self, name: &str) -> &str {
        self.view.diagnostics.as_ref().and_then(|facts| facts[name].as_str()).unwrap_or_default()
    }
}

impl PreviewPage {
    /// Whether a gate is closed that nobody can open by agreeing.
    fn is_closed(&self) -> bool {
        self.preview.checks.iter().any(|check| check.answer == Answer::Deny)
    }

    /// Whether the version's validation is missing, or not approved yet.
    fn lacks_validation(&self) -> bool {
        self.preview.checks.iter().any(|check| check.gate == Gate::Validation && check.answer == Answer::Deny)
    }

    /// Whether that validation was never asked for.
    fn validation_unasked(&self) -> bool {
        let mut checks = self.preview.checks.iter();
        checks.any(|check| check.gate == Gate::Validation && check.facts["validation_state"] == "none")
    }

    fn is_frozen(&self) -> bool {
        self.preview.checks.iter().any(|check| check.until.is_some())
    }
}

/// What the form of a preview holds.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct PreviewFields {
    version_id: String,
    environment_id: String,
    strategy: String,
    window: String,
}

impl PreviewFields {
    fn body(&self) -> Result<PreviewBody> {
        let mut fields = Fields::default();
        let version_id = read(&mut fields, "version_id", &self.version_id, "Choose a version.");
        let environment_id = read(&mut fields, "environment_id", &self.environment_id, "Choose an environment.");
        let window = read::<u64>(&mut fields, "window", &self.window, "Give a number of seconds.");
        fields.done()?;
        let (Some(version_id), Some(environment_id)) = (version_id, environment_id) else {
            return Err(crate::error::Error::field("version_id", "Choose a version."));
        };
        let window = window.unwrap_or(60).clamp(1, 86_400);
        let limits = Limits::default();
        let strategy = match self.strategy.as_str() {
            "blue_green" => Strategy::BlueGreen { window, limits },
            "canary" => {
                let steps = [10, 50].into_iter().map(|weight| CanaryStep { weight, window }).collect();
                Strategy::Canary { steps, limits }
            }
            _ => Strategy::Rolling,
        };
        Ok(PreviewBody { environment_id, version_id, strategy, options: std::collections::BTreeMap::new() })
    }
}

/// What the form of a release holds.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ReleaseFields {
    preview_ref: String,
    apply_on_approval: Option<String>,
    freeze_reason: String,
}

/// What the forms of a release's page hold: to apply it, to give it up, to roll it back.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ActFields {
    version_id: String,
    reason: String,
    preview_ref: String,
}

/// `GET /releases`
pub async fn list(
    State(app): State<App>,
    visitor: Visitor,
    Query(filter): Query<ReleaseFilter>,
) -> Result<Html<String>> {
    let page = super::list(&app, &visitor.actor, &filter).await?;
    let places = environments::list(&app, &visitor.actor).await?;
    let word = |state: &LifecycleState| (state.as_str(), format::words(state.as_str()));
    let selects = vec![
        Select::filter("lifecycle_state", "State", LifecycleState::ALL, filter.lifecycle_state, word),
        Select::filter("environment_id", "Environment", places, filter.environment_id, |one| {
            (one.environment_id, one.name)
        }),
    ];
    let filtered = filter.lifecycle_state.is_some() || filter.environment_id.is_some() || filter.model_id.is_some();
    let next = page.next_cursor.clone().map(|cursor| ReleaseFilter { cursor: Some(cursor), ..filter });
    let next_href = next.map(|filter| format!("/releases?{}", serde_html_form::to_string(filter).unwrap_or_default()));
    let shell = Shell::new(&app, &visitor, "releases", "Releases").await?;
    html(&ListPage { shell, now: app.now(), page, selects, filtered, next_href })
}

async fn new_page(app: &App, visitor: &Visitor, fields: PreviewFields, refusal: Refusal) -> Result<Response> {
    let version = versions::select(app, &visitor.actor, true, &fields.version_id).await?;
    let places = environments::list(app, &visitor.actor).await?;
    let chosen = Some(&fields.environment_id);
    let place = Select::filter("environment_id", "Environment", places, chosen, |one| {
        (one.environment_id, format!("{} ({})", one.name, one.stage))
    });
    let ways = [
        ("rolling", "Rolling: all at once"),
        ("blue_green", "Blue-green: the old one stays a while"),
        ("canary", "Canary: 10 %, 50 %, all"),
    ];
    let way = Select::filter("strategy", "Strategy", ways, Some(&fields.strategy), |one| one);
    let status = refusal.status();
    let shell = Shell::new(app, visitor, "releases", "New release").await?;
    let page = NewPage { shell, fields, refusal, selects: vec![version, place.required(), way.required()] };
    Ok((status, html(&page)?).into_response())
}

/// `GET /releases/new`
pub async fn new(
    State(app): State<App>,
    visitor: Visitor,
    Query(mut fields): Query<PreviewFields>,
) -> Result<Response> {
    if fields.window.is_empty() {
        "60".clone_into(&mut fields.window);
    }
    new_page(&app, &visitor, fields, Refusal::default()).await
}

/// `POST /releases/new`
pub async fn preview(State(app): State<App>, form: Form<PreviewFields>) -> Result<Response> {
    let outcome = match form.fields.body() {
        Ok(body) => super::preview(&app, &form.visitor.actor, body).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(made) => Ok(to_preview(&made)),
        Err(error) => new_page(&app, &form.visitor, form.fields, Refusal::of(error)?).await,
    }
}

fn to_preview(made: &PreviewView) -> Response {
    let says = format!("The preview was made; nothing of {} has changed yet.", made.environment_name);
    back_to(&format!("/releases/previews/{}", made.preview_ref), &Toast::done(says))
}

async fn preview_page(app: &App, visitor: &Visitor, fields: ReleaseFields, refusal: Refusal) -> Result<Response> {
    let preview = super::show_preview(app, &visitor.actor, &fields.preview_ref).await?;
    let status = refusal.status();
    let shell = Shell::new(app, visitor, "releases", "Preview").await?;
    Ok((status, html(&PreviewPage { shell, now: app.now(), preview, refusal, fields })?).into_response())
}

/// `GET /releases/previews/{preview_ref}`
pub async fn show_preview(
    State(app): State<App>,
    visitor: Visitor,
    Path(preview_ref): Path<String>,
) -> Result<Response> {
    let fields = ReleaseFields { preview_ref, ..ReleaseFields::default() };
    preview_page(&app, &visitor, fields, Refusal::default()).await
}

/// `POST /releases`
pub async fn create(State(app): State<App>, form: Form<ReleaseFields>) -> Result<Response> {
    let fields = form.fields;
    let body = ReleaseBody {
        preview_ref: Some(fields.preview_ref.clone()),
        apply_on_approval: fields.apply_on_approval.is_some(),
        freeze_reason: Some(fields.freeze_reason.clone()),
    };
    match super::create(&app, &form.visitor.actor, body).await {
        Ok(view) => Ok(to_release(&view)),
        Err(error) => preview_page(&app, &form.visitor, fields, Refusal::of(error)?).await,
    }
}

fn to_release(view: &ReleaseView) -> Response {
    let release = &view.release;
    let state = format::words(release.lifecycle_state.as_str()).to_lowercase();
    let says =
        format!("Release {} of {} {} is {state}.", release.release_id, release.model_name, release.version_number);
    back_to(&format!("/releases/{}", release.release_id), &Toast::done(says))
}

async fn show_page(app: &App, visitor: &Visitor, release: ReleaseId, refusal: Refusal) -> Result<Response> {
    let view = super::show(app, &visitor.actor, release).await?;
    let row = &view.release;
    let actor = &visitor.actor;
    let mut relations = access::relations(app, &app.db, actor, row.model_id, None).await?.unwrap_or_default();
    if row.requested_by_id == actor.user_id {
        relations.push(Relation::Requester);
    }
    let may_apply = actor.can(app, Action::ReleaseApply, &relations);
    let applied = row.lifecycle_state == LifecycleState::Applied;
    let may_roll_back = applied && actor.can(app, Action::ReleaseRollback, &relations);
    let back_to = if may_roll_back { lists::once_applied(app, release).await? } else { Vec::new() };
    let events = super::timeline(app, actor, release).await?;
    let title = format!("Release {release}");
    let shell = Shell::new(app, visitor, "releases", title).await?;
    let status = refusal.status();
    let page = ShowPage { shell, now: app.now(), view, events, back_to, may_apply, may_roll_back, refusal };
    Ok((status, html(&page)?).into_response())
}

/// `GET /releases/{id}`
pub async fn show(State(app): State<App>, visitor: Visitor, Path(release): Path<ReleaseId>) -> Result<Response> {
    show_page(&app, &visitor, release, Refusal::default()).await
}

/// `POST /releases/{id}/apply`
pub async fn apply(State(app): State<App>, Path(release): Path<ReleaseId>, form: Form<ActFields>) -> Result<Response> {
    let body = ApplyBody { preview_ref: Some(form.fields.preview_ref) };
    match super::apply(&app, &form.visitor.actor, release, body).await {
        Ok(view) => Ok(to_release(&view)),
        Err(error) => show_page(&app, &form.visitor, release, Refusal::of(error)?).await,
    }
}

/// `POST /releases/{id}/cancel`
pub async fn cancel(State(app): State<App>, Path(release): Path<ReleaseId>, form: Form<ActFields>) -> Result<Response> {
    match super::cancel(&app, &form.visitor.actor, release).await {
        Ok(view) => Ok(to_release(&view)),
        Err(error) => show_page(&app, &form.visitor, release, Refusal::of(error)?).await,
    }
}

/// `POST /releases/{id}/rollback`
pub async fn roll_back(
    State(app): State<App>,
    Path(release): Path<ReleaseId>,
    form: Form<ActFields>,
) -> Result<Response> {
    let version =
        form.fields.version_id.parse().map_err(|_| crate::error::Error::field("version_id", "Choose a version."));
    let outcome = match version {
        Ok(version_id) => {
            let body = RollbackBody { version_id, reason: form.fields.reason.clone() };
            super::roll_back(&app, &form.visitor.actor, release, body).await
        }
        Err(error) => Err(error),
    };
    match outcome {
        Ok(made) => Ok(to_preview(&made)),
        Err(error) => show_page(&app, &form.visitor, release, Refusal::of(error)?).await,
    }
}
