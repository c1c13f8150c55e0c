//! The frame around every page: title, sidebar with badges, the person, toasts.

use askama::Template;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde::{Deserialize, Serialize};

use super::extract::{Visitor, cookie};
use crate::app::App;
use crate::error::{Error, Result};
use crate::identity::{Action, Actor, Role};

/// The toast cookie's name.
pub const TOAST_COOKIE: &str = "countersign_toast";

/// The live numbers in the sidebar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Badges {
    /// My open deployment tasks.
    pub open_tasks: i64,
    /// Pairs of version and region that I may deploy.
    pub ready_pairs: i64,
    /// Tickets that I can decide.
    pub tickets: i64,
}

impl Badges {
    /// The number beside "My Deployment Tasks": open tasks and ready pairs together.
    #[must_use]
    pub fn deployment_tasks(&self) -> i64 {
        self.open_tasks + self.ready_pairs
    }
}

/// What happened on the page before, said once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Toast {
    /// What happened, as a sentence.
    pub text: String,
    /// Where to look at it.
    pub href: Option<String>,
    /// Whether it went wrong.
    pub bad: bool,
}

impl Toast {
    /// Something was done.
    #[must_use]
    pub fn done(text: impl Into<String>) -> Self {
        Self { text: text.into(), href: None, bad: false }
    }

    /// Something was refused or failed.
    #[must_use]
    pub fn bad(text: impl Into<String>) -> Self {
        Self { text: text.into(), href: None, bad: true }
    }

    /// With a link to the thing.
    #[must_use]
    pub fn link(mut self, href: impl Into<String>) -> Self {
        self.href = Some(href.into());
        self
    }

    /// The toast a request brings along.
    #[must_use]
    pub fn take(headers: &HeaderMap) -> Option<Self> {
        let value = cookie(headers, TOAST_COOKIE)?;
        serde_json::from_slice(&hex::decode(value).ok()?).ok()
    }
}

/// Sends the browser on to `address`, where the toast is shown.
#[must_use]
pub fn back_to(address: &str, toast: &Toast) -> Response {
    let mut response = Redirect::to(address).into_response();
    let value = hex::encode(serde_json::to_vec(toast).unwrap_or_default());
    let cookie = format!("{TOAST_COOKIE}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age=60");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// The frame of a page for somebody who is signed in.
#[derive(Debug, Clone)]
pub struct Shell {
    /// The page's title.
    pub title: String,
    /// The section of the sidebar it belongs to.
    pub section: &'static str,
    /// The person's name.
    pub name: String,
    /// The person's e-mail.
    pub email: String,
    /// Their roles, as people read them.
    pub roles: String,
    /// The live numbers.
    pub badges: Badges,
    /// What the page's forms must carry.
    pub csrf: String,
    /// What the page before wants to have said.
    pub toast: Option<Toast>,
    /// The page's own address.
    pub here: String,
    /// The product's address, as the browser reached it.
    pub origin: String,
    /// Whether the sidebar shows reports over all models.
    pub sees_reports: bool,
    /// Whether the sidebar shows the ledger.
    pub sees_ledger: bool,
    /// Whether the sidebar shows the administration.
    pub administers: bool,
    /// Whether they may import and add models.
    pub adds_models: bool,
}

impl Shell {
    /// Makes the frame: one statement, for the badges.
    ///
    /// # Errors
    /// Only failures of the database.
    pub async fn new(app: &App, visitor: &Visitor, section: &'static str, title: impl Into<String>) -> Result<Self> {
        let badges = (app.badges)(app, &visitor.actor).await?;
        Ok(Self::with_badges(app, visitor, section, title, badges))
    }

    /// Makes the frame with badges that the page has counted itself.
    #[must_use]
    pub fn with_badges(
        app: &App,
        visitor: &Visitor,
        section: &'static str,
        title: impl Into<String>,
        badges: Badges,
    ) -> Self {
        let Visitor { actor, toast, here, origin } = visitor;
        let Actor { who, email, roles, .. } = actor;
        let labels: Vec<_> = roles.iter().map(|role| role.label()).collect();
        Self {
            title: title.into(),
            section,
            name: who.name.clone(),
            email: email.clone(),
            roles: if labels.is_empty() { "Member".to_owned() } else { labels.join(", ") },
            badges,
            csrf: actor.csrf_token().to_owned(),
            toast: toast.clone(),
            here: here.clone(),
            origin: origin.clone(),
            sees_reports: actor.can(app, Action::ReportView, &[]),
            sees_ledger: actor.can(app, Action::LedgerView, &[]),
            administers: actor.is(Role::Admin),
            adds_models: actor.can(app, Action::ModelCreate, &[]),
        }
    }
}

/// Renders a template.
///
/// # Errors
/// Only a bug in a template.
pub fn html(template: &impl Template) -> Result<Html<String>> {
    template.render().map(Html).map_err(Error::internal)
}
