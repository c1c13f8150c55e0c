//! The inbox in the browser: the list, the ticket to decide on, the rules.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::{get, post};
use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::inbox::{Inbox, InboxFilter, TicketDetail, TicketSort};
use super::rules::{Risk, TicketKind, TicketState, Verdict, View};
use super::store::{self, Candidate, Choices};
use super::{Decision, MinorChangeRule, NewRule, Rulebook, decisions, expiry, inbox, rulebook};
use crate::app::App;
use crate::error::{Error, Result};
use crate::identity::{Action, Role};
use crate::ids::{RegionId, RuleId, TicketId, UserId};
use crate::web::format::words;
use crate::web::{Form, Path, Query, Select, Shell, Toast, Visitor, back_to, filters, html};
use crate::words::{Priority, RiskTier, Stage};

mod bulk;

use bulk::BulkDialog;

pub fn routes() -> Router<App> {
    Router::new()
        .route("/inbox", get(list))
        .route("/inbox/approve", get(bulk::choose).post(bulk::approve_all))
        .route("/inbox/{ticket_id}", get(show))
        .route("/inbox/{ticket_id}/decide", post(decide))
        .route("/inbox/{ticket_id}/comment", post(comment))
        .route("/inbox/{ticket_id}/assign", post(assign))
        .route("/inbox/{ticket_id}/ask-again", post(ask_again))
        .route("/approval-rules", get(rules).post(add_rule))
        .route("/approval-rules/minor", post(set_minor_rule))
        .route("/approval-rules/{rule_id}", post(change_rule))
        .route("/approval-rules/{rule_id}/remove", post(remove_rule))
}

#[derive(Template)]
#[template(path = "approvals/inbox.html")]
struct InboxPage {
    shell: Shell,
    now: DateTime<Utc>,
    view: View,
    tabs: Vec<Tab>,
    selects: Vec<Select>,
    filtered: bool,
    shown: i64,
    last_first: bool,
    sort_href: String,
    first_href: String,
    next_href: Option<String>,
    list: Inbox,
    filter: InboxFilter,
    /// Whether any ticket of the page can be decided by the visitor.
    decides: bool,
    dialog: Option<BulkDialog>,
}

struct Tab {
    label: &'static str,
    count: i64,
    href: String,
    here: bool,
}

async fn list(State(app): State<App>, visitor: Visitor, Query(filter): Query<InboxFilter>) -> Result<Html<String>> {
    html(&inbox_page(&app, &visitor, filter).await?)
}

async fn inbox_page(app: &App, visitor: &Visitor, filter: InboxFilter) -> Result<InboxPage> {
    let list = inbox::inbox(app, &visitor.actor, &filter).await?;
    let choices = store::choices(&app.db).await?;
    let shell = Shell::new(app, visitor, "inbox", "Approval inbox").await?;
    Ok(InboxPage::new(shell, app.now(), filter, list, &choices))
}

impl InboxPage {
    fn new(shell: Shell, now: DateTime<Utc>, filter: InboxFilter, list: Inbox, choices: &[Choices]) -> Self {
        let view = filter.view.unwrap_or(View::Mine);
        let counts = list.counts;
        let tab = |label, one: View, count| Tab {
            label,
            count,
            here: one == view,
            href: href(InboxFilter { view: Some(one), status: None, cursor: None, ..filter.clone() }),
        };
        let last_first = filter.sort == Some(TicketSort::DueLast);
        let turned = if last_first { TicketSort::Due } else { TicketSort::DueLast };
        let plain = InboxFilter {
            view: filter.view,
            sort: filter.sort,
            cursor: filter.cursor.clone(),
            ..InboxFilter::default()
        };
        Self {
            tabs: vec![
                tab("Mine", View::Mine, counts.mine),
                tab("Pending", View::Pending, counts.pending),
                tab("All", View::All, counts.all),
            ],
            filtered: href(plain) != href(filter.clone()),
            shown: counts.shown,
            last_first,
            sort_href: href(InboxFilter { sort: Some(turned), cursor: None, ..filter.clone() }),
            first_href: href(InboxFilter { cursor: None, ..filter.clone() }),
            next_href: list.next_cursor.clone().map(|next| href(InboxFilter { cursor: Some(next), ..filter.clone() })),
            selects: selects(&filter, view, choices),
            decides: list.items.iter().any(|one| one.can_decide),
            dialog: None,
            shell,
            now,
            view,
            list,
            filter,
        }
    }
}

impl InboxPage {
    /// The address of the list as it is shown.
    fn list_href(&self) -> String {
        href(self.filter.clone())
    }
}

/// The address of the list with this filter.
fn href(filter: InboxFilter) -> String {
    format!("/inbox?{}", serde_html_form::to_string(filter).unwrap_or_default())
}

fn selects(filter: &InboxFilter, view: View, choices: &[Choices]) -> Vec<Select> {
    let of = |what: &'static str| choices.iter().filter(move |one| one.what == what);
    let row = |one: &Choices| (one.id, one.label.clone());
    let mut selects = vec![
        Select::filter("kind", "Kind", TicketKind::ALL, filter.kind, |one| (*one, one.label())),
        Select::filter("risk", "Risk", Risk::ALL, filter.risk, |one| (*one, words(one.as_str()))),
        Select::filter("priority", "Priority", Priority::ALL, filter.priority, |one| (*one, words(one.as_str()))),
        Select::filter("region_id", "Region", of("region"), filter.region_id, row),
        Select::filter("environment_id", "Environment", of("environment"), filter.environment_id, row),
        Select::filter("project_id", "Project", of("project"), filter.project_id, row),
        Select::filter("team_id", "Team", of("team"), filter.team_id, row),
    ];
    if view != View::Pending {
        selects.push(Select::filter("status", "State", TicketState::ALL, filter.status, |one| {
            (*one, words(one.as_str()))
        }));
    }
    selects
}

#[derive(Template)]
#[template(path = "approvals/ticket.html")]
struct TicketPage {
    shell: Shell,
    now: DateTime<Utc>,
    detail: TicketDetail,
    candidates: Option<Vec<Candidate>>,
    error: String,
    comment: String,
    comment_error: String,
    remark: String,
    remark_error: String,
}

#[derive(Deserialize)]
struct Opened {
    assign: Option<String>,
}

async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Path(ticket_id): Path<TicketId>,
    Query(opened): Query<Opened>,
) -> Result<Html<String>> {
    let mut page = page(&app, &visitor, ticket_id).await?;
    if opened.assign.is_some() && page.detail.ticket.state == TicketState::Pending {
        page.candidates = Some(inbox::candidates(&app, ticket_id).await?);
    }
    html(&page)
}

async fn page(app: &App, visitor: &Visitor, ticket_id: TicketId) -> Result<TicketPage> {
    let detail = inbox::ticket(app, &visitor.actor, ticket_id).await?;
    let title = format!("{} {}", detail.ticket.number, detail.ticket.subject);
    Ok(TicketPage {
        shell: Shell::new(app, visitor, "inbox", title).await?,
        now: app.now(),
        detail,
        candidates: None,
        error: String::new(),
        comment: String::new(),
        comment_error: String::new(),
        remark: String::new(),
        remark_error: String::new(),
    })
}

/// Shows a page again with what was wrong; what cannot be shown beside a field is an error page.
fn again(error: &Error, page: &impl Template) -> Result<Response> {
    Ok((error.status(), html(page)?).into_response())
}

#[derive(Deserialize)]
struct DecisionForm {
    verdict: Verdict,
    #[serde(default)]
    comment: String,
    revision: i64,
}

async fn decide(State(app): State<App>, Path(ticket_id): Path<TicketId>, form: Form<DecisionForm>) -> Result<Response> {
    let Form { visitor, fields } = form;
    let decision =
        Decision { verdict: fields.verdict, comment: Some(fields.comment.clone()), revision: fields.revision };
    match decisions::decide(&app, &visitor.actor, ticket_id, decision).await {
        Ok(ticket) => {
            let done = match fields.verdict {
                Verdict::Approve => "Approved",
                Verdict::Reject => "Rejected",
            };
            let toast = Toast::done(format!("{done} {}.", ticket.number)).link(format!("/inbox/{ticket_id}"));
            Ok(back_to("/inbox", &toast))
        }
        Err(error) if error.status() == StatusCode::NOT_FOUND || error.status().is_server_error() => Err(error),
        Err(error) => {
            let mut page = page(&app, &visitor, ticket_id).await?;
            match error.field_errors().iter().find(|one| one.field == "comment") {
                Some(field) => page.comment_error.clone_from(&field.message),
                None => page.error = format!("{} {}", error.detail(), error.advice()),
            }
            page.comment = fields.comment;
            again(&error, &page)
        }
    }
}

#[derive(Deserialize)]
struct CommentForm {
    #[serde(default)]
    comment: String,
}

async fn comment(State(app): State<App>, Path(ticket_id): Path<TicketId>, form: Form<CommentForm>) -> Result<Response> {
    let Form { visitor, fields } = form;
    match decisions::comment(&app, &visitor.actor, ticket_id, &fields.comment).await {
        Ok(ticket) => {
            Ok(back_to(&format!("/inbox/{ticket_id}"), &Toast::done(format!("Comment added to {}.", ticket.number))))
        }
        Err(error) if !error.field_errors().is_empty() => {
            let mut page = page(&app, &visitor, ticket_id).await?;
            page.remark_error = error.field_errors().iter().map(|one| one.message.as_str()).collect();
            page.remark = fields.comment;
            again(&error, &page)
        }
        Err(error) => Err(error),
    }
}

#[derive(Deserialize)]
struct AssignForm {
    user_id: Option<UserId>,
}

async fn assign(State(app): State<App>, Path(ticket_id): Path<TicketId>, form: Form<AssignForm>) -> Result<Response> {
    let ticket = decisions::assign(&app, &form.visitor.actor, ticket_id, form.fields.user_id).await?;
    let to = ticket.assigned_to.as_deref().unwrap_or("nobody");
    Ok(back_to(&format!("/inbox/{ticket_id}"), &Toast::done(format!("{} was given to {to}.", ticket.number))))
}

async fn ask_again(State(app): State<App>, Path(ticket_id): Path<TicketId>, form: Form<Nothing>) -> Result<Response> {
    let ticket = expiry::ask_again(&app, &form.visitor.actor, ticket_id).await?;
    let to = format!("/inbox/{}", ticket.ticket_id);
    Ok(back_to(&to, &Toast::done(format!("Asked again as {}.", ticket.number))))
}

#[derive(Template)]
#[template(path = "approvals/rules.html")]
struct RulesPage {
    shell: Shell,
    book: Rulebook,
    regions: Vec<Choices>,
    selects: Vec<Select>,
    needed: i64,
    may_change: bool,
    error: String,
}

impl RulesPage {
    fn region(&self, region: &Option<RegionId>) -> &str {
        let code = |id: &RegionId| self.regions.iter().find(|one| one.id == id.0).map(|one| one.label.as_str());
        region.as_ref().and_then(code).unwrap_or("All")
    }
}

async fn rules_page(app: &App, visitor: &Visitor, tried: Option<&NewRule>) -> Result<RulesPage> {
    let book = rulebook::rulebook(app, &visitor.actor).await?;
    let choices = store::choices(&app.db).await?;
    let regions: Vec<Choices> = choices.into_iter().filter(|one| one.what == "region").collect();
    let roles = [Role::GlobalApprover, Role::RegionalApprover, Role::Compliance, Role::Validator, Role::Operator];
    Ok(RulesPage {
        shell: Shell::new(app, visitor, "rules", "Approval rules").await?,
        selects: vec![
            Select::filter("kind", "Decision", TicketKind::ALL, tried.map(|one| one.kind), |one| (*one, one.label()))
                .required(),
            Select::filter("role", "Role", roles, tried.map(|one| one.role), |one| (one, one.label())).required(),
            Select::filter("stage", "Stage", Stage::ALL, tried.and_then(|one| one.stage), |one| {
                (*one, words(one.as_str()))
            }),
            Select::filter("region_id", "Region", &regions, tried.and_then(|one| one.region_id), |one| {
                (one.id, one.label.clone())
            }),
            Select::filter("risk_tier", "Risk tier", RiskTier::ALL, tried.and_then(|one| one.risk_tier), |one| {
                (*one, words(one.as_str()))
            }),
        ],
        needed: tried.map_or(1, |one| one.needed),
        may_change: visitor.actor.can(app, Action::RuleManage, &[]),
        error: String::new(),
        regions,
        book,
    })
}

async fn rules(State(app): State<App>, visitor: Visitor) -> Result<Html<String>> {
    html(&rules_page(&app, &visitor, None).await?)
}

async fn add_rule(State(app): State<App>, form: Form<NewRule>) -> Result<Response> {
    let Form { visitor, fields } = form;
    match rulebook::add_rule(&app, &visitor.actor, fields.clone()).await {
        Ok(_) => {
            Ok(back_to("/approval-rules", &Toast::done("The rule was added; it holds for tickets asked from now on.")))
        }
        Err(error) if error.status() == StatusCode::FORBIDDEN || error.status().is_server_error() => Err(error),
        Err(error) => {
            let mut page = rules_page(&app, &visitor, Some(&fields)).await?;
            page.error = error.field_errors().first().map_or(error.detail(), |one| one.message.as_str()).to_owned();
            again(&error, &page)
        }
    }
}

#[derive(Deserialize)]
struct NeededForm {
    needed: i64,
}

async fn change_rule(State(app): State<App>, Path(rule_id): Path<RuleId>, form: Form<NeededForm>) -> Result<Response> {
    match rulebook::change_rule(&app, &form.visitor.actor, rule_id, form.fields.needed).await {
        Ok(_) => Ok(back_to(
            "/approval-rules",
            &Toast::done("The rule was changed; it holds for tickets asked from now on."),
        )),
        Err(error) if !error.field_errors().is_empty() => {
            let mut page = rules_page(&app, &form.visitor, None).await?;
            page.error = error.field_errors().iter().map(|one| one.message.as_str()).collect();
            again(&error, &page)
        }
        Err(error) => Err(error),
    }
}

async fn remove_rule(State(app): State<App>, Path(rule_id): Path<RuleId>, form: Form<Nothing>) -> Result<Response> {
    rulebook::remove_rule(&app, &form.visitor.actor, rule_id).await?;
    Ok(back_to("/approval-rules", &Toast::done("The rule was removed.")))
}

async fn set_minor_rule(State(app): State<App>, form: Form<MinorForm>) -> Result<Response> {
    let Form { visitor, fields } = form;
    let rule = MinorChangeRule { risk_tier: fields.risk_tier, needs_validation: fields.needs_validation };
    rulebook::set_minor_rule(&app, &visitor.actor, rule).await?;
    Ok(back_to("/approval-rules", &Toast::done("The rule for minor changes was changed.")))
}

#[derive(Deserialize)]
struct Nothing {}

#[derive(Deserialize)]
struct MinorForm {
    risk_tier: RiskTier,
    needs_validation: bool,
}
