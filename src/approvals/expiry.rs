//! Tickets that nobody decided in time: they end, block what waits for them, and can be asked again.

use std::time::Duration;

use serde_json::json;

use super::TicketView;
use super::inbox::visible;
use super::rules::{TicketAction, TicketKind, TicketState};
use super::store::{self, Locked};
use crate::app::App;
use crate::audit::{Act, Record, Who};
use crate::error::{self, Error, Result};
use crate::identity::access::{self, lock_models};
use crate::identity::{Action, Actor};
use crate::ids::{TicketId, UserId};

/// How often a server looks for tickets whose time has run out. A decision looks by itself.
const PAUSE: Duration = Duration::from_secs(60);

/// Ends what expires, for as long as the product runs.
pub async fn keep_expiring(app: App) {
    loop {
        if let Err(error) = expire_due(&app).await {
            tracing::warn!(%error, "tickets could not be expired");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Ends the tickets whose time has run out by now, and says how many there were.
///
/// # Errors
/// Only failures of the database.
pub async fn expire_due(app: &App) -> Result<usize> {
    // Most of the time there is none; then nothing is locked.
    if !store::any_due(&app.db, app.now()).await? {
        return Ok(0);
    }
    let mut act = Act::begin(app, &Who::system("expiry")).await?;
    let due = store::due(&mut act.tx, act.now).await?;
    for ticket in &due {
        expire(&mut act, ticket).await?;
    }
    act.commit().await?;
    Ok(due.len())
}

/// Ends a pending ticket whose time has run out, and tells whoever asked.
pub(super) async fn expire(act: &mut Act, ticket: &Locked) -> Result<()> {
    store::close(&mut act.tx, ticket.ticket_id, TicketState::Expired, None, None, act.now).await?;
    store::note(&mut act.tx, ticket.ticket_id, TicketAction::Expired, None, None, act.now).await?;
    let mut record = Record::new("ticket.expired", "ticket", ticket.ticket_id)
        .before(json!({ "state": ticket.state, "expires_at": ticket.expires_at }))
        .after(json!({ "state": TicketState::Expired, "number": ticket.ticket_id.number() }));
    if let Some(model) = ticket.model_id {
        record = record.model(model);
    }
    act.record(record);
    act.tell("inbox");
    act.tell("validations");
    let app = act.app().clone();
    match app.decisions.iter().find(|handler| handler.kind == ticket.kind).and_then(|handler| handler.expired) {
        Some(expired) => expired(act, &ticket.ticket()).await,
        None => Ok(()),
    }
}

/// Asks the question of an expired ticket again, with a new one in its place. Whoever asks again decides
/// the new one no more than the old.
///
/// # Errors
/// `not_found`, `forbidden`; `conflict` if the ticket has not expired, or was asked again already.
pub async fn ask_again(app: &App, actor: &Actor, ticket_id: TicketId) -> Result<TicketView> {
    let seen = visible(app, &app.db, actor, ticket_id).await?;
    authorise(app, actor, &seen).await?;
    let mut act = Act::begin(app, &actor.who).await?;
    let models = store::models_of(&mut act.tx, ticket_id).await?;
    lock_models(&mut act.tx, &models).await?;
    let old = store::lock(&mut act.tx, ticket_id).await?;
    if old.kind.is_of_release() {
        let says = "A release that expired is asked for again with a new preview.";
        return Err(Error::new(&error::CONFLICT, says));
    }
    check(&old, act.now)?;
    if old.state == TicketState::Pending {
        expire(&mut act, &old).await?;
    }
    let mut excluded: Vec<UserId> = serde_json::from_str(&old.excluded).unwrap_or_default();
    excluded.push(actor.user_id);
    excluded.sort_unstable();
    excluded.dedup();
    let due = old.risk.due(act.now);
    let copy = store::Copy { asked_by: actor.user_id, excluded, due, expires: old.kind.expires(due) };
    let new = store::copy(&mut act.tx, ticket_id, &copy, act.now).await?;
    store::link(&mut act.tx, ticket_id, new).await?;
    store::note(&mut act.tx, new, TicketAction::Asked, Some(actor.user_id), None, act.now).await?;
    let mut record = Record::new("ticket.asked", "ticket", new).after(json!({
        "number": new.number(), "supersedes": ticket_id.number(), "kind": old.kind,
    }));
    if let Some(model) = old.model_id {
        record = record.model(model);
    }
    act.record(record);
    act.tell("inbox");
    act.tell("validations");
    act.commit().await?;
    visible(app, &app.db, actor, new).await
}

/// Whoever could have asked in the first place may ask again.
async fn authorise(app: &App, actor: &Actor, ticket: &TicketView) -> Result<()> {
    if ticket.kind == TicketKind::ValidationApproval && actor.can(app, Action::ValidationWork, &[]) {
        return Ok(());
    }
    let action = match ticket.kind {
        TicketKind::RegionalApproval => Action::TaskCreate,
        TicketKind::ValidationApproval | TicketKind::OverrideReview => Action::ValidationRequest,
        TicketKind::ReleaseApproval | TicketKind::RollbackApproval | TicketKind::FreezeOverride => {
            Action::ReleaseRequest
        }
    };
    match ticket.model_id {
        Some(model) => access::authorise(app, &app.db, actor, action, model).await.map(drop),
        None => actor.may(app, action, &[]),
    }
}

/// Whether the person may ask again, for the page.
pub(super) async fn may_ask_again(app: &App, actor: &Actor, ticket: &TicketView) -> bool {
    let expired = ticket.state == TicketState::Expired && ticket.superseded_by_id.is_none();
    expired && !ticket.kind.is_of_release() && authorise(app, actor, ticket).await.is_ok()
}

fn check(ticket: &Locked, now: chrono::DateTime<chrono::Utc>) -> Result<()> {
    let name = ticket.ticket_id.number();
    if let Some(new) = ticket.superseded_by_id {
        let again = format!("{name} was asked again as {}.", new.number());
        return Err(Error::new(&error::CONFLICT, again).fact("ticket_id", new));
    }
    let out_of_time = ticket.state == TicketState::Pending && ticket.expires_at.is_some_and(|at| at <= now);
    if ticket.state != TicketState::Expired && !out_of_time {
        let detail = format!("{name} is {}; only what has expired is asked again.", ticket.state);
        return Err(Error::new(&error::CONFLICT, detail));
    }
    Ok(())
}
