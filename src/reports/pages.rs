//! The pages of this area.

use askama::Template;
use axum::extract::State;
use axum::response::Html;
use chrono::{DateTime, Utc};

use super::Dashboard;
use crate::app::App;
use crate::error::Result;
use crate::identity::Action;
use crate::web::{Shell, Visitor, filters, html};

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
    let awaiting = if sees_all_ready { board.counts.all_ready } else { shell.badges.ready_pairs };
    html(&DashboardPage { shell, now: app.now(), board, awaiting })
}
