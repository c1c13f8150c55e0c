//! Deciding a ticket, commenting on it, giving it to somebody.

use serde_json::json;

use super::inbox::visible;
use super::rules::{Requirement, TicketAction, TicketState, Verdict, ineligible};
use super::store::{self, Locked};
use super::{Ticket, TicketView};
use crate::app::App;
use crate::audit::{Act, Record};
use crate::error::{self, Error, Fields, Result};
use crate::identity::access::lock_models;
use crate::identity::{Action, Actor, Role};
use crate::ids::{RegionId, TicketId, UserId};
use crate::web::Revision;
use crate::web::etag::check_revision;

/// The longest comment, in characters.
const MOST_COMMENT: usize = 2000;

/// A decision as somebody makes it.
#[derive(Debug, Clone)]
pub struct Decision {
    /// In favour or against.
    pub verdict: Verdict,
    /// Why; a rejection needs it.
    pub comment: Option<String>,
    /// The revision of the ticket that was read.
    pub revision: Revision,
}

/// Decides a ticket. The last approval that it needs, or a rejection, ends it, and whoever asked is
/// told in the same transaction.
///
/// # Errors
/// `not_found`, `forbidden`; `ticket_not_open` with the ticket as it ended; `stale` if it changed
/// since it was read; `not_eligible`; `invalid` for a rejection without comment.
pub async fn decide(app: &App, actor: &Actor, ticket_id: TicketId, decision: Decision) -> Result<TicketView> {
    visible(app, &app.db, actor, ticket_id).await?;
    actor.may(app, Action::TicketDecide, &[])?;
    let comment = check_comment(decision.comment.as_deref(), decision.verdict == Verdict::Reject)?;
    let mut act = Act::begin(app, &actor.who).await?;
    let models = store::models_of(&mut act.tx, ticket_id).await?;
    lock_models(&mut act.tx, &models).await?;
    let ticket = store::lock(&mut act.tx, ticket_id).await?;
    if ticket.state != TicketState::Pending || ticket.expires_at.is_some_and(|at| at <= act.now) {
        return Err(not_open(app, &mut act, actor, ticket_id).await?);
    }
    let wants = requirement(&ticket, store::given(&mut act.tx, ticket_id).await?);
    if let Some(why) = ineligible(&wants, actor.user_id, &actor.roles, &actor.approves_for) {
        return Err(Error::new(&error::NOT_ELIGIBLE, why).fact("required_role", ticket.required_role));
    }
    check_revision("ticket", decision.revision, ticket.revision)?;
    carry_out(&mut act, actor, &ticket, decision.verdict, comment, wants.given_here.len()).await?;
    act.commit().await?;
    visible(app, &app.db, actor, ticket_id).await
}

async fn carry_out(
    act: &mut Act,
    actor: &Actor,
    ticket: &Locked,
    verdict: Verdict,
    comment: Option<String>,
    given: usize,
) -> Result<()> {
    let (action, state, name) = match verdict {
        Verdict::Approve => (TicketAction::Approved, TicketState::Approved, "ticket.approved"),
        Verdict::Reject => (TicketAction::Rejected, TicketState::Rejected, "ticket.rejected"),
    };
    let id = ticket.ticket_id;
    store::note(&mut act.tx, id, action, Some(actor.user_id), comment.as_deref(), act.now).await?;
    let ends = verdict == Verdict::Reject || i64::try_from(given).unwrap_or(i64::MAX) + 1 >= ticket.needed;
    let after = if ends { state } else { TicketState::Pending };
    record(
        act,
        name,
        ticket,
        comment.as_deref(),
        json!({ "state": after, "number": id.number(), "given": given + 1, "needed": ticket.needed }),
    );
    if !ends {
        store::touch(&mut act.tx, id).await?;
        return Ok(());
    }
    store::close(&mut act.tx, id, state, Some(actor.user_id), comment.as_deref(), act.now).await?;
    let told = Ticket { comment, ..ticket.ticket() };
    let app = act.app().clone();
    match app.decisions.iter().find(|handler| handler.kind == ticket.kind) {
        Some(handler) => (handler.decided)(act, actor, &told, verdict).await,
        None => Ok(()),
    }
}

/// Adds a comment to a ticket.
///
/// # Errors
/// `not_found`, `forbidden`, `invalid`.
pub async fn comment(app: &App, actor: &Actor, ticket_id: TicketId, text: &str) -> Result<TicketView> {
    visible(app, &app.db, actor, ticket_id).await?;
    actor.may(app, Action::TicketComment, &[])?;
    let text = check_comment(Some(text), true)?;
    let mut act = Act::begin(app, &actor.who).await?;
    let ticket = store::lock(&mut act.tx, ticket_id).await?;
    store::note(&mut act.tx, ticket_id, TicketAction::Commented, Some(actor.user_id), text.as_deref(), act.now).await?;
    store::touch(&mut act.tx, ticket_id).await?;
    record(&mut act, "ticket.commented", &ticket, text.as_deref(), json!({ "number": ticket_id.number() }));
    act.commit().await?;
    visible(app, &app.db, actor, ticket_id).await
}

/// Gives a pending ticket to somebody who could decide it, or to nobody. Others can still decide it.
///
/// # Errors
/// `not_found`, `forbidden`, `ticket_not_open`; `invalid` if the person could not decide it.
pub async fn assign(app: &App, actor: &Actor, ticket_id: TicketId, to: Option<UserId>) -> Result<TicketView> {
    visible(app, &app.db, actor, ticket_id).await?;
    actor.may(app, Action::TicketComment, &[])?;
    let mut act = Act::begin(app, &actor.who).await?;
    let ticket = store::lock(&mut act.tx, ticket_id).await?;
    if ticket.state != TicketState::Pending {
        return Err(not_open(app, &mut act, actor, ticket_id).await?);
    }
    let name = match to {
        Some(user) => Some(could_decide(&mut act, &ticket, user).await?),
        None => None,
    };
    store::assign(&mut act.tx, ticket_id, to).await?;
    store::note(&mut act.tx, ticket_id, TicketAction::Assigned, Some(actor.user_id), name.as_deref(), act.now).await?;
    record(
        &mut act,
        "ticket.assigned",
        &ticket,
        None,
        json!({ "number": ticket_id.number(), "assigned_to_id": to, "assigned_to": name }),
    );
    act.commit().await?;
    visible(app, &app.db, actor, ticket_id).await
}

/// The name of a person, if they could decide the ticket.
async fn could_decide(act: &mut Act, ticket: &Locked, user: UserId) -> Result<String> {
    let rows = store::roles_of(&mut act.tx, user).await?;
    let Some((_, _, name)) = rows.first() else {
        return Err(Error::field("user_id", "There is no such person."));
    };
    let name = name.clone();
    let roles: Vec<Role> = rows.iter().filter_map(|row| row.0).collect();
    let regions: Vec<RegionId> = rows.iter().filter_map(|row| row.1).collect();
    let wants = requirement(ticket, store::given(&mut act.tx, ticket.ticket_id).await?);
    match ineligible(&wants, user, &roles, &regions) {
        None => Ok(name),
        Some(_) => Err(Error::field("user_id", format!("{name} could not decide this ticket."))),
    }
}

pub(super) fn requirement(ticket: &Locked, given: Vec<(UserId, bool)>) -> Requirement {
    let (here, beside): (Vec<_>, Vec<_>) = given.into_iter().partition(|(_, here)| *here);
    Requirement {
        role: ticket.required_role,
        region: ticket.region_id,
        excluded: serde_json::from_str(&ticket.excluded).unwrap_or_default(),
        given_here: here.into_iter().map(|(user, _)| user).collect(),
        given_beside: beside.into_iter().map(|(user, _)| user).collect(),
    }
}

async fn not_open(app: &App, act: &mut Act, actor: &Actor, ticket_id: TicketId) -> Result<Error> {
    let ticket = visible(app, &mut act.tx, actor, ticket_id).await?;
    let how = match ticket.state {
        TicketState::Pending => "has expired and must be asked again".to_owned(),
        state => match &ticket.decided_by {
            Some(name) => format!("was {state} by {name}"),
            None => format!("was {state}"),
        },
    };
    Ok(Error::new(&error::TICKET_NOT_OPEN, format!("{} {how}.", ticket.number)).fact("ticket", ticket))
}

fn check_comment(comment: Option<&str>, required: bool) -> Result<Option<String>> {
    let mut fields = Fields::default();
    let text = comment.unwrap_or_default();
    let text = if required {
        fields.text("comment", text, MOST_COMMENT)
    } else {
        fields.optional_text("comment", text, MOST_COMMENT)
    };
    fields.done()?;
    Ok(Some(text).filter(|text| !text.is_empty()))
}

fn record(act: &mut Act, action: &'static str, ticket: &Locked, reason: Option<&str>, after: serde_json::Value) {
    let mut record = Record::new(action, "ticket", ticket.ticket_id)
        .before(json!({ "state": ticket.state, "revision": ticket.revision }))
        .after(after);
    if let Some(reason) = reason {
        record = record.reason(reason);
    }
    if let Some(model) = ticket.model_id {
        record = record.model(model);
    }
    act.record(record);
    act.tell("inbox");
}
