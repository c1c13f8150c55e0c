//! The command palette's search: things by their names, among what the person may see.

use serde::Serialize;

use super::store;
use crate::app::App;
use crate::error::Result;
use crate::identity::access::sees_all_models;
use crate::identity::{Action, Actor};
use crate::web::paging::like_pattern;

/// Something found.
#[derive(Debug, Clone, Serialize)]
pub struct Found {
    /// Its name.
    pub label: String,
    /// What it is.
    pub kind: String,
    /// Where it is.
    pub href: String,
}

/// Something found, as the database names it.
#[derive(Debug, sqlx::FromRow)]
pub struct Raw {
    pub(super) kind: String,
    pub(super) label: String,
    pub(super) id: i64,
    pub(super) part: i64,
}

/// Pages that are not in the sidebar, which the palette knows itself.
const PAGES: &[(&str, &str)] =
    &[("Overrides report", "/reports/overrides"), ("Regional matrix report", "/reports/regional-matrix")];

/// At most eight of each kind whose name holds `text`: one statement.
///
/// # Errors
/// Only failures of the database.
pub async fn search(app: &App, actor: &Actor, text: &str) -> Result<Vec<Found>> {
    let text: String = text.trim().to_lowercase().chars().take(100).collect();
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let may = |action| actor.can(app, action, &[]);
    let wanted = store::search::Wanted {
        text: &text,
        pattern: &like_pattern(&text),
        all_models: sees_all_models(app, actor),
        all_tickets: may(Action::TicketViewAll),
    };
    let rows = store::search::find(&app.db, actor.user_id, app.now(), &wanted).await?;
    let pages = PAGES.iter().filter(|(label, _)| may(Action::ReportView) && label.to_lowercase().contains(&text));
    let pages = pages.map(|(label, href)| Found { label: (*label).into(), kind: "Page".into(), href: (*href).into() });
    Ok(pages.chain(rows.into_iter().map(Found::from)).collect())
}

impl From<Raw> for Found {
    fn from(raw: Raw) -> Self {
        let Raw { kind, label, id, part } = raw;
        let href = match kind.as_str() {
            "Version" => format!("/versions/{part}"),
            "Ticket" => format!("/inbox/{id}"),
            "Person" => format!("/people/{id}"),
            _ => format!("/models/{id}"),
        };
        Self { label, kind, href }
    }
}
