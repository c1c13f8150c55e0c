//! The dialog that approves several like tickets of the list at once.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Response};
use serde::Deserialize;

use super::{InboxPage, href, inbox_page};
use crate::app::App;
use crate::approvals::bulk::{self, BulkApproval, BulkDecision, SeenTicket};
use crate::approvals::{InboxFilter, TicketView};
use crate::error::{Error, Result};
use crate::ids::TicketId;
use crate::web::{Form, Query, Toast, Visitor, back_to, format, html};

/// The tickets that are about to be approved, what was typed, and what is wrong with it.
pub struct BulkDialog {
    /// Those that the person can decide.
    pub tickets: Vec<TicketView>,
    /// Chosen too, but not theirs to decide, or not any more.
    pub others: Vec<TicketView>,
    pub comment: String,
    pub refusal: Option<String>,
    pub back: String,
}

impl BulkDialog {
    /// Whether they are decided in one act: it takes tickets of one kind.
    pub fn alike(&self) -> bool {
        self.tickets.windows(2).all(|pair| pair[0].kind == pair[1].kind)
    }

    pub fn title(&self) -> String {
        match self.tickets.len() {
            0 => "Nothing to approve here".to_owned(),
            1 => "Approve 1 ticket".to_owned(),
            count => format!("Approve {count} tickets"),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
pub struct Chosen {
    /// The list's own address.
    #[serde(default)]
    back: String,
    #[serde(default)]
    ticket_id: Vec<TicketId>,
}

/// Reads the address of the list that a form brought along; any other place counts as the bare list.
fn filter_of(back: &str) -> InboxFilter {
    serde_html_form::from_str(back.strip_prefix("/inbox?").unwrap_or_default()).unwrap_or_default()
}

/// `GET /inbox/approve`
pub async fn choose(State(app): State<App>, visitor: Visitor, Query(chosen): Query<Chosen>) -> Result<Html<String>> {
    let filter = filter_of(&chosen.back);
    let mut page = inbox_page(&app, &visitor, filter).await?;
    page.open(bulk::chosen(&app, &visitor.actor, &chosen.ticket_id).await?);
    html(&page)
}

impl InboxPage {
    fn open(&mut self, chosen: Vec<TicketView>) {
        let (tickets, others): (Vec<_>, Vec<_>) = chosen.into_iter().partition(|one| one.can_decide);
        let back = href(self.filter.clone());
        self.dialog = Some(BulkDialog { tickets, others, comment: String::new(), refusal: None, back });
    }
}

#[derive(Debug, Deserialize)]
pub struct Fields {
    #[serde(default)]
    back: String,
    /// Each as its number and the revision that was read, with a dash between.
    #[serde(default)]
    seen: Vec<String>,
    #[serde(default)]
    comment: String,
}

impl Fields {
    fn tickets(&self) -> Result<Vec<SeenTicket>> {
        let read = |text: &String| {
            let (ticket, revision) = text.split_once('-')?;
            Some(SeenTicket { ticket_id: ticket.parse().ok()?, revision: revision.parse().ok()? })
        };
        let seen: Option<Vec<_>> = self.seen.iter().map(read).collect();
        seen.ok_or_else(|| Error::field("seen", "A ticket is its number and revision, as 17-2."))
    }
}

/// `POST /inbox/approve`: back to the list if anything was approved; else the dialog again.
pub async fn approve_all(State(app): State<App>, form: Form<Fields>) -> Result<Response> {
    let Form { visitor, fields } = form;
    let tickets = fields.tickets()?;
    let ids: Vec<TicketId> = tickets.iter().map(|one| one.ticket_id).collect();
    let comment = Some(fields.comment.clone());
    let refusal = match bulk::approve_all(&app, &visitor.actor, BulkApproval { tickets, comment }).await {
        Ok(done) if !done.approved.is_empty() => return Ok(back_to(&href(filter_of(&fields.back)), &toast(&done))),
        Ok(done) => done.failed.into_iter().next().map(|one| format!("{} {}", one.problem.detail, one.problem.hint)),
        Err(error) => match error.field_errors().first() {
            Some(field) => Some(field.message.clone()),
            None => return Err(error),
        },
    };
    let mut page = inbox_page(&app, &visitor, filter_of(&fields.back)).await?;
    page.open(bulk::chosen(&app, &visitor.actor, &ids).await?);
    if let Some(dialog) = &mut page.dialog {
        dialog.comment = fields.comment;
        dialog.refusal = refusal;
    }
    Ok((StatusCode::UNPROCESSABLE_ENTITY, html(&page)?).into_response())
}

fn toast(done: &BulkDecision) -> Toast {
    let count = |number: usize| format::plural(i64::try_from(number).unwrap_or(i64::MAX), "ticket");
    let approved = format!("{} approved", count(done.approved.len()));
    match done.failed.first() {
        None => Toast::done(format!("{approved}.")),
        Some(one) => Toast::bad(format!("{approved}, {} not: {}", done.failed.len(), one.problem.detail)),
    }
}
