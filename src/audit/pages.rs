//! The ledger page.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::{Html, Response};
use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::api;
use super::ledger::{self, Ledger, LedgerFilter, Verification};
use super::rules::ACTS;
use crate::app::App;
use crate::error::{Error, Result};
use crate::web::{Form, Query, Shell, Visitor, filters, html};

#[derive(Template)]
#[template(path = "audit/ledger.html")]
struct LedgerPage {
    shell: Shell,
    now: DateTime<Utc>,
    filter: LedgerFilter,
    filtered: bool,
    ledger: Ledger,
    /// The filter as the tail of an address, without the place.
    query: String,
    next: Option<String>,
    verification: Option<Verification>,
}

/// `GET /ledger`
pub async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Query(filter): Query<LedgerFilter>,
) -> Result<Html<String>> {
    render(&app, &visitor, filter, None).await
}

/// The form of the button has no fields of its own.
#[derive(Debug, Deserialize)]
pub struct Nothing {}

/// `POST /ledger/verify`: the ledger page, with what the verification found.
pub async fn verify(State(app): State<App>, form: Form<Nothing>) -> Result<Html<String>> {
    let verification = ledger::verify_for(&app, &form.visitor.actor).await?;
    render(&app, &form.visitor, LedgerFilter::default(), Some(verification)).await
}

/// `GET /ledger/export`
pub async fn export(State(app): State<App>, visitor: Visitor, RawQuery(query): RawQuery) -> Result<Response> {
    api::export_all(app, &visitor.actor, query.as_deref().unwrap_or_default()).await
}

async fn render(
    app: &App,
    visitor: &Visitor,
    filter: LedgerFilter,
    verification: Option<Verification>,
) -> Result<Html<String>> {
    let ledger = ledger::ledger(app, &visitor.actor, &filter).await?;
    let shell = Shell::new(app, visitor, "ledger", "Ledger").await?;
    let here = LedgerFilter { cursor: None, limit: None, ..filter.clone() };
    let query = serde_html_form::to_string(&here).map_err(Error::internal)?;
    let next = ledger.next_cursor.as_ref().map(|cursor| format!("/ledger?{query}&cursor={}", cursor.as_str()));
    let filtered = !filter.is_empty();
    html(&LedgerPage { shell, now: app.now(), filter, filtered, ledger, query, next, verification })
}
