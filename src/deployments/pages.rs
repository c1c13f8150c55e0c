//! The pages of deployments and of drift.

use askama::Template;
use axum::extract::State;
use axum::response::{Html, IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::rules::DeploymentState;
use super::{DeploymentFilter, DeploymentList, DeploymentRow, DeploymentSort, DeploymentView, DriftFinding, Verb};
use crate::app::App;
use crate::audit::{self, LedgerLine};
use crate::error::{Error, Result};
use crate::identity::Action;
use crate::identity::access;
use crate::ids::DeploymentId;
use crate::metrics::rules::{Availability, Thresholds};
use crate::metrics::{StatisticsFilter, panel};
use crate::web::{Cursor, Form, Path, Query, Refusal, Select, Shell, Toast, Visitor, back_to, filters, format, html};

#[derive(Template)]
#[template(path = "deployments/list.html")]
struct ListPage {
    shell: Shell,
    now: DateTime<Utc>,
    list: DeploymentList,
    state: Select,
    filter: DeploymentFilter,
    limits: Thresholds,
    may_register: bool,
}

/// A figure of the table.
struct Figure {
    text: String,
    class: &'static str,
}

impl ListPage {
    /// The address of the list with another sort or page, all filters kept.
    fn address(&self, sort: Option<DeploymentSort>, cursor: Option<&Cursor>) -> String {
        let mut filter = DeploymentFilter { cursor: cursor.cloned(), ..self.filter.clone() };
        filter.sort = sort.or(filter.sort);
        format!("/deployments?{}", serde_html_form::to_string(filter).unwrap_or_default())
    }

    /// Where the heading of a sortable column leads: the order turned round if it is sorted already.
    fn sorted(&self, up: DeploymentSort, down: DeploymentSort) -> String {
        self.address(Some(if self.order() == up { down } else { up }), None)
    }

    /// `aria-sort` of a column's heading.
    fn direction(&self, up: DeploymentSort, down: DeploymentSort) -> &'static str {
        match self.order() {
            sort if sort == up => "ascending",
            sort if sort == down => "descending",
            _ => "none",
        }
    }

    fn order(&self) -> DeploymentSort {
        self.filter.sort.unwrap_or(DeploymentSort::DeployedDown)
    }

    fn is_filtered(&self) -> bool {
        let DeploymentFilter { state, q, environment_id, model_id, .. } = &self.filter;
        state.is_some() || environment_id.is_some() || model_id.is_some() || q.as_ref().is_some_and(|q| !q.is_empty())
    }

    /// Requests a second, P95 and error rate. What was not measured is told as such, in the first of them.
    fn figures(&self, row: &DeploymentRow) -> [Figure; 3] {
        let (one, limits) = (&row.deployment, &self.limits);
        let figure = |value: Option<f64>, show: fn(f64) -> String, limit: f64| Figure {
            text: value.map_or_else(|| "–".to_owned(), show),
            class: if value.is_some_and(|value| value > limit) { "status-bad" } else { "" },
        };
        let rate = match row.traffic {
            Availability::Available => figure(one.requests_per_s, panel::per_second, f64::INFINITY),
            Availability::NoTraffic => Figure { text: "no traffic".to_owned(), class: "muted" },
            Availability::Stale => Figure { text: "stale".to_owned(), class: "muted" },
            Availability::Unavailable => Figure { text: "–".to_owned(), class: "" },
        };
        let known = row.traffic == Availability::Available;
        let (p95, errors) = (one.p95_ms.filter(|_| known), one.error_rate.filter(|_| known));
        [rate, figure(p95, panel::milliseconds, limits.p95_ms), figure(errors, panel::percent, limits.error_rate)]
    }
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
        use DeploymentState::{Active, Deploying, Failed, Paused};
        [Active, Paused, Failed].into_iter().any(|state| self.can(state)) || (self.one.external && self.can(Deploying))
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
    let list = super::list(&app, &visitor.actor, &filter).await?;
    let word = |state: &DeploymentState| (state.as_str(), format::words(state.as_str()));
    let state = Select::filter("state", "Status", DeploymentState::ALL, filter.state, word);
    let shell = Shell::new(&app, &visitor, "deployments", "Deployments").await?;
    let limits = Thresholds::of(&app.settings);
    let may_register = visitor.actor.can(&app, Action::EnvironmentManage, &[]);
    html(&ListPage { shell, now: app.now(), list, state, filter, limits, may_register })
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
    let statistics = panel::panel(app, &visitor.actor, deployment, window).await?;
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
