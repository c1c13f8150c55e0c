//! The pages of this area.

use askama::Template;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::export::Format;
use super::store::choices::Choice;
use super::{Dashboard, Found, History, HistoryFilter, Matrix, MatrixFilter, Overrides, OverridesFilter, api};
use crate::app::App;
use crate::error::{Error, Result};
use crate::identity::Action;
use crate::tasks::Scope;
use crate::tasks::rules::OverrideState;
use crate::web::intervals::{Picture, picture};
use crate::web::{Json, Query, Shell, Visitor, filters, html};

#[derive(Template)]
#[template(path = "reports/dashboard.html")]
struct DashboardPage {
    shell: Shell,
    now: DateTime<Utc>,
    board: Dashboard,
    /// The length of the list that the first card leads to.
    awaiting: i64,
}

/// `GET /`
pub async fn dashboard(State(app): State<App>, visitor: Visitor) -> Result<Html<String>> {
    let shell = Shell::new(&app, &visitor, "dashboard", "Dashboard").await?;
    let board = super::dashboard(&app, &visitor.actor).await?;
    let sees_all_ready = visitor.actor.can(&app, Action::ReadyViewAll, &[]);
    let awaiting = if sees_all_ready { board.all_ready } else { shell.badges.ready_pairs };
    html(&DashboardPage { shell, now: app.now(), board, awaiting })
}

/// What the command palette asks.
#[derive(Debug, Deserialize)]
pub struct Asked {
    #[serde(default)]
    q: String,
}

/// `GET /search?q=`: JSON for the command palette.
pub async fn search(State(app): State<App>, visitor: Visitor, Query(asked): Query<Asked>) -> Result<Json<Vec<Found>>> {
    super::search(&app, &visitor.actor, &asked.q).await.map(Json)
}

#[derive(Template)]
#[template(path = "reports/index.html")]
struct IndexPage {
    shell: Shell,
}

/// `GET /reports`
pub async fn index(State(app): State<App>, visitor: Visitor) -> Result<Html<String>> {
    visitor.actor.may(&app, Action::ReportView, &[])?;
    html(&IndexPage { shell: Shell::new(&app, &visitor, "reports", "Reports").await? })
}

/// The address of this page with one parameter changed.
fn with(filter: &impl Serialize, name: &str, value: &str) -> Result<String> {
    let text = serde_html_form::to_string(filter).map_err(Error::internal)?;
    let mut pairs: Vec<(String, String)> = serde_html_form::from_str(&text).map_err(Error::internal)?;
    pairs.retain(|(key, text)| key != name && key != "cursor" && !text.is_empty());
    pairs.push((name.to_owned(), value.to_owned()));
    serde_html_form::to_string(&pairs).map(|query| format!("?{query}")).map_err(Error::internal)
}

/// The links that every report page has.
struct Links {
    csv: String,
    next: Option<String>,
}

impl Links {
    fn new(filter: &impl Serialize, next: Option<&crate::web::Cursor>) -> Result<Self> {
        let next = next.map(|cursor| with(filter, "cursor", cursor.as_str())).transpose()?;
        Ok(Self { csv: with(filter, "format", Format::Csv.as_str())?, next })
    }
}

#[derive(Template)]
#[template(path = "reports/overrides.html")]
struct OverridesPage {
    shell: Shell,
    today: NaiveDate,
    filter: OverridesFilter,
    report: Overrides,
    regions: Vec<Choice>,
    projects: Vec<Choice>,
    links: Links,
}

/// `GET /reports/overrides`
pub async fn overrides(
    State(app): State<App>,
    visitor: Visitor,
    Query(filter): Query<OverridesFilter>,
) -> Result<Response> {
    if filter.format == Some(Format::Csv) {
        return api::overrides_csv(app, visitor.actor, filter).await;
    }
    let report = super::overrides(&app, &visitor.actor, &filter).await?;
    let links = Links::new(&filter, report.next_cursor.as_ref())?;
    let (regions, projects) = super::choices(&app).await?;
    let shell = Shell::new(&app, &visitor, "reports", "Overrides").await?;
    let today = app.now().date_naive();
    Ok(html(&OverridesPage { shell, today, filter, report, regions, projects, links })?.into_response())
}

#[derive(Template)]
#[template(path = "reports/regional-matrix.html")]
struct MatrixPage {
    shell: Shell,
    today: NaiveDate,
    filter: MatrixFilter,
    report: Matrix,
    links: Links,
}

/// `GET /reports/regional-matrix`
pub async fn regional_matrix(
    State(app): State<App>,
    visitor: Visitor,
    Query(filter): Query<MatrixFilter>,
) -> Result<Response> {
    if filter.format == Some(Format::Csv) {
        return api::matrix_csv(app, visitor.actor, filter).await;
    }
    let report = super::matrix(&app, &visitor.actor, &filter).await?;
    let links = Links::new(&filter, report.next_cursor.as_ref())?;
    let shell = Shell::new(&app, &visitor, "reports", "Regional matrix").await?;
    Ok(html(&MatrixPage { shell, today: app.now().date_naive(), filter, report, links })?.into_response())
}

#[derive(Template)]
#[template(path = "reports/deployment-history.html")]
struct HistoryPage {
    shell: Shell,
    today: NaiveDate,
    filter: HistoryFilter,
    report: History,
    picture: Option<Picture>,
    links: Links,
}

/// `GET /reports/deployment-history?model_id=`
pub async fn deployment_history(
    State(app): State<App>,
    visitor: Visitor,
    Query(filter): Query<HistoryFilter>,
) -> Result<Response> {
    if filter.format == Some(Format::Csv) {
        return api::history_csv(app, visitor.actor, filter).await;
    }
    let report = super::history(&app, &visitor.actor, &filter).await?;
    let links = Links::new(&filter, report.next_cursor.as_ref())?;
    let picture = picture(report.items.iter().map(super::HistoryRow::interval).collect(), report.as_of);
    let shell = Shell::new(&app, &visitor, "reports", format!("Deployment history of {}", report.model_name)).await?;
    Ok(html(&HistoryPage { shell, today: app.now().date_naive(), filter, report, picture, links })?.into_response())
}
