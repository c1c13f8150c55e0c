//! The pages of deployments and of drift.

use askama::Template;
use axum::extract::State;
use axum::response::{Html, IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::rules::DeploymentState;
use super::{DeploymentFilter, DeploymentView, DriftFinding, Verb};
use crate::app::App;
use crate::audit::{self, LedgerLine};
use crate::error::{Error, Result};
use crate::identity::Action;
use crate::identity::access;
use crate::ids::DeploymentId;
use crate::metrics::StatisticsFilter;
use crate::metrics::panel::panel;
use crate::web::{Form, Page, Path, Query, Refusal, Select, Shell, Toast, Visitor, back_to, filters, format, html};

#[derive(Template)]
#[template(path = "deployments/list.html")]
struct ListPage {
    shell: Shell,
    now: DateTime<Utc>,
    page: Page<DeploymentView>,
    state: Select,
    q: String,
    filtered: bool,
    next_href: Option<String>,
}

#[derive(Template)]
#[template(path = "deployments/show.html")]
struct ShowPage {
    shell: Shell,
    now: DateTime<Utc>,
    one: DeploymentView,
    may_manage: bool,
    events: Vec<LedgerLine>,
    /// The statistics, as HTML.
    statistics: String,
    refusal: Refusal,
}

impl ShowPage {
    fn can(&self, state: DeploymentState) -> bool {
        self.may_manage && self.one.ended_at.is_none() && self.one.state == state
    }

    fn can_retire(&self) -> bool {
        use DeploymentState::{Active, Failed, Paused};
        [Active, Paused, Failed].into_iter().any(|state| self.can(state))
    }
}

#[derive(Template)]
#[template(path = "deployments/drift.html")]
struct DriftPage {
    shell: Shell,
    now: DateTime<Utc>,
    findings: Vec<DriftFinding>,
}

/// What is to be done with a deployment.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct VerbForm {
    verb: String,
}

/// `GET /deployments`
pub async fn list(
    State(app): State<App>,
    visitor: Visitor,
    Query(filter): Query<DeploymentFilter>,
) -> Result<Html<String>> {
    let page = super::list(&app, &visitor.actor, &filter).await?;
    let word = |state: &DeploymentState| (state.as_str(), format::words(state.as_str()));
    let state = Select::filter("state", "Status", DeploymentState::ALL, filter.state, word);
    let q = filter.q.clone().unwrap_or_default();
    let filtered = filter.state.is_some() || !q.is_empty() || filter.model_id.is_some();
    let next = page.next_cursor.clone().map(|cursor| DeploymentFilter { cursor: Some(cursor), ..filter });
    let next_href =
        next.map(|filter| format!("/deployments?{}", serde_html_form::to_string(filter).unwrap_or_default()));
    let shell = Shell::new(&app, &visitor, "deployments", "Deployments").await?;
    html(&ListPage { shell, now: app.now(), page, state, q, filtered, next_href })
}

async fn show_page(
    app: &App,
    visitor: &Visitor,
    deployment: DeploymentId,
    window: &StatisticsFilter,
    refusal: Refusal,
) -> Result<Response> {
    let one = super::show(app, &visitor.actor, deployment).await?;
    let relations = access::relations(app, &app.db, &visitor.actor, one.model_id, None).await?.unwrap_or_default();
    let may_manage = visitor.actor.can(app, Action::DeploymentManage, &relations);
    let events = audit::timeline_of(&app.db, "deployment", deployment).await?;
    let statistics = panel(app, &visitor.actor, deployment, window).await?;
    let title = format!("{} {} in {}", one.model_name, one.version_number, one.environment_name);
    let shell = Shell::new(app, visitor, "deployments", title).await?;
    let status = refusal.status();
    Ok((status, html(&ShowPage { shell, now: app.now(), one, may_manage, events, statistics, refusal })?)
        .into_response())
}

/// `GET /deployments/{id}`
pub async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Path(deployment): Path<DeploymentId>,
    Query(window): Query<StatisticsFilter>,
) -> Result<Response> {
    show_page(&app, &visitor, deployment, &window, Refusal::default()).await
}

/// `POST /deployments/{id}/act`
pub async fn act(
    State(app): State<App>,
    Path(deployment): Path<DeploymentId>,
    form: Form<VerbForm>,
) -> Result<Response> {
    let verb: Verb = form.fields.verb.parse().map_err(|says: String| Error::field("verb", says))?;
    match super::act(&app, &form.visitor.actor, deployment, verb).await {
        Ok(view) => {
            let says = format!("The deployment is {}.", view.state);
            Ok(back_to(&format!("/deployments/{deployment}"), &Toast::done(says)))
        }
        Err(error) => {
            show_page(&app, &form.visitor, deployment, &StatisticsFilter::default(), Refusal::of(error)?).await
        }
    }
}

/// `GET /drift`
pub async fn drift(State(app): State<App>, visitor: Visitor) -> Result<Html<String>> {
    let findings = super::open_drift(&app, &visitor.actor).await?.items;
    let shell = Shell::new(&app, &visitor, "deployments", "Drift").await?;
    html(&DriftPage { shell, now: app.now(), findings })
}
