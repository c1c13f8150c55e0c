//! The approval inbox: one queue, one decision, for everything that somebody must approve.
//!
//! Other areas ask ([`ask`]) and are told the answer by way of their [`DecisionHandler`]; this area
//! knows tickets and who may decide them, never what a decision does.

use axum::Router;
use std::future::Future;
use std::pin::Pin;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::audit::{Act, Record};
use crate::db::Db;
use crate::error::Result;
use crate::identity::{Actor, Role};
use crate::ids::{EnvironmentId, ModelId, RegionId, TicketId, UserId, VersionId};
use crate::words::Stage;

mod api;
mod bulk;
mod decisions;
mod expiry;
mod inbox;
mod pages;
mod rulebook;
pub mod rules;
mod store;
#[cfg(test)]
mod tests;

pub use bulk::{BulkApproval, BulkDecision, SeenTicket, TicketFailure, approve_all};
pub use decisions::{Decision, assign, comment, decide};
pub use expiry::{ask_again, expire_due, keep_expiring};
pub use inbox::{Inbox, InboxFilter, TicketDetail, inbox, ticket};
pub use rulebook::{MinorChangeRule, NewRule, Rulebook, add_rule, change_rule, remove_rule, rulebook, set_minor_rule};
pub use store::{DECIDABLE, TicketView};

use rules::{ApprovalRule, Risk, TicketAction, TicketKind, TicketState, Verdict};

/// What a decided ticket does: called in the transaction of the decision.
pub type Decided =
    for<'a> fn(&'a mut Act, &'a Actor, &'a Ticket, Verdict) -> Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

/// What the end of a ticket that nobody decided in time does: called in the transaction that ends it.
pub type Expired = for<'a> fn(&'a mut Act, &'a Ticket) -> Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

/// Who is told the answer to tickets of a kind.
#[derive(Debug, Clone, Copy)]
pub struct DecisionHandler {
    /// The kind.
    pub kind: TicketKind,
    /// What to call.
    pub decided: Decided,
    /// What to call if nobody answered in time. Where it is absent, the same question can be asked again.
    pub expired: Option<Expired>,
}

/// The JSON routes of this area.
pub fn api() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(api::list))
        .routes(routes!(api::show))
        .routes(routes!(api::approve))
        .routes(routes!(api::approve_all))
        .routes(routes!(api::reject))
        .routes(routes!(api::comment))
        .routes(routes!(api::assign))
        .routes(routes!(api::ask_again))
        .routes(routes!(api::rules, api::add_rule))
        .routes(routes!(api::change_rule, api::remove_rule))
        .routes(routes!(api::set_minor_rule))
}

/// The pages of this area.
pub fn pages() -> Router<App> {
    pages::routes()
}

/// One thing to decide, as the area that asked for it knows it.
#[derive(Debug, Clone)]
pub struct Ticket {
    /// Its number.
    pub ticket_id: TicketId,
    /// What kind of decision it is.
    pub kind: TicketKind,
    /// What was asked for: an approval, a version and region, an override.
    pub subject_id: i64,
    /// The model.
    pub model_id: Option<ModelId>,
    /// The version.
    pub version_id: Option<VersionId>,
    /// The region.
    pub region_id: Option<RegionId>,
    /// The comment given with the decision.
    pub comment: Option<String>,
}

/// What an area asks to have decided.
#[derive(Debug, Clone)]
pub struct Ask {
    /// What kind of decision it is.
    pub kind: TicketKind,
    /// The question in a few words, for the list.
    pub subject: String,
    /// The asking area's own number; with the kind it names the thing to decide, once.
    pub subject_id: i64,
    /// Who asks.
    pub requested_by: UserId,
    /// The role that decides.
    pub required_role: Role,
    /// The model it concerns.
    pub model_id: ModelId,
    /// The version it concerns.
    pub version_id: VersionId,
    /// The region it concerns.
    pub region_id: Option<RegionId>,
    /// The environment it concerns, and its stage.
    pub environment: Option<(EnvironmentId, Stage)>,
    /// How much depends on it.
    pub risk: Risk,
    /// People who do not decide it, beside the one who asks.
    pub excluded: Vec<UserId>,
}

/// Asks for a decision; asking again for the same thing returns the pending ticket.
///
/// # Errors
/// Only failures of the database.
pub async fn ask(act: &mut Act, ask: Ask) -> Result<TicketId> {
    ask_as_part(act, ask, None).await
}

/// Asks for a decision that is one of several on the same thing: tickets of one kind and `group`.
/// A person decides for one role of the group only.
///
/// # Errors
/// Only failures of the database.
pub async fn ask_as_part(act: &mut Act, mut ask: Ask, group: Option<i64>) -> Result<TicketId> {
    let before = store::unanswered(&mut act.tx, ask.kind, &[ask.subject_id]).await?;
    for old in &before {
        match old.expires_at.filter(|at| *at <= act.now) {
            None if old.state == TicketState::Pending => return Ok(old.ticket_id),
            Some(_) if old.state == TicketState::Pending => expiry::expire(act, old).await?,
            _ => (),
        }
    }
    ask.excluded.push(ask.requested_by);
    ask.excluded.sort_unstable();
    ask.excluded.dedup();
    let tier = store::tier_of(&mut act.tx, ask.model_id).await?;
    let rules = store::rules(&mut act.tx).await?;
    let case = rules::Case { stage: ask.environment.map(|(_, stage)| stage), region: ask.region_id, tier: Some(tier) };
    let needed = rules::needed(&rules, ask.kind, ask.required_role, case).unwrap_or(1);
    let ticket = store::insert(&mut act.tx, &ask, group, needed, act.who.agent.as_deref(), act.now).await?;
    for old in &before {
        store::link(&mut act.tx, old.ticket_id, ticket).await?;
    }
    store::note(&mut act.tx, ticket, TicketAction::Asked, Some(ask.requested_by), None, act.now).await?;
    act.record(Record::new("ticket.asked", "ticket", ticket).model(ask.model_id).after(serde_json::json!({
        "number": ticket.number(), "kind": ask.kind, "subject": ask.subject,
        "required_role": ask.required_role, "region_id": ask.region_id, "needed": needed, "risk": ask.risk,
    })));
    act.tell("inbox");
    Ok(ticket)
}

/// Takes a question back: its ticket, if nobody answered it, is cancelled.
///
/// # Errors
/// Only failures of the database.
pub async fn withdraw(act: &mut Act, kind: TicketKind, subject_id: i64, reason: &str) -> Result<()> {
    withdraw_all(act, kind, &[subject_id], reason).await
}

/// Takes several questions back.
///
/// # Errors
/// Only failures of the database.
pub async fn withdraw_all(act: &mut Act, kind: TicketKind, subjects: &[i64], reason: &str) -> Result<()> {
    for ticket in store::unanswered(&mut act.tx, kind, subjects).await? {
        cancel(act, &ticket, TicketAction::Withdrawn, reason).await?;
    }
    Ok(())
}

/// Something else is asked in place of these subjects: each ticket on them that nobody answered gives way to `new`.
///
/// # Errors
/// Only failures of the database.
pub async fn supersede(act: &mut Act, kind: TicketKind, subjects: &[i64], new: TicketId, reason: &str) -> Result<()> {
    for old in store::unanswered(&mut act.tx, kind, subjects).await? {
        cancel(act, &old, TicketAction::Superseded, reason).await?;
        store::link(&mut act.tx, old.ticket_id, new).await?;
    }
    Ok(())
}

/// What was asked about has changed: each ticket that nobody answered gives way to a new one, linked,
/// and what was decided on the old one so far counts no more.
///
/// # Errors
/// Only failures of the database.
pub async fn renew(act: &mut Act, kind: TicketKind, subjects: &[i64], reason: &str) -> Result<()> {
    for old in store::unanswered(&mut act.tx, kind, subjects).await? {
        renew_one(act, &old, reason).await?;
    }
    Ok(())
}

/// As [`renew`], for the tickets of a kind on one version.
///
/// # Errors
/// Only failures of the database.
pub async fn renew_for_version(act: &mut Act, kind: TicketKind, version: VersionId, reason: &str) -> Result<()> {
    for old in store::unanswered_on(&mut act.tx, kind, version).await? {
        renew_one(act, &old, reason).await?;
    }
    Ok(())
}

async fn renew_one(act: &mut Act, old: &store::Locked, reason: &str) -> Result<()> {
    cancel(act, old, TicketAction::Superseded, reason).await?;
    let copy = store::Copy {
        asked_by: old.requested_by_id,
        excluded: serde_json::from_str(&old.excluded).unwrap_or_default(),
        due: old.due_at,
        expires: old.kind.expires(old.risk.due(act.now)),
    };
    let new = store::copy(&mut act.tx, old.ticket_id, &copy, act.now).await?;
    store::link(&mut act.tx, old.ticket_id, new).await?;
    store::note(&mut act.tx, new, TicketAction::Asked, Some(old.requested_by_id), Some(reason), act.now).await?;
    let mut record = Record::new("ticket.asked", "ticket", new).reason(reason).after(serde_json::json!({
        "number": new.number(), "supersedes": old.ticket_id.number(), "kind": old.kind,
    }));
    if let Some(model) = old.model_id {
        record = record.model(model);
    }
    act.record(record);
    Ok(())
}

/// Says that approvals given on these subjects no longer hold. The tickets stay decided: that they
/// were approved is a fact; that it counts no more is another.
///
/// # Errors
/// Only failures of the database.
pub async fn lapse(act: &mut Act, kind: TicketKind, subjects: &[i64], reason: &str) -> Result<()> {
    for ticket in store::mark_lapsed(&mut act.tx, kind, subjects, act.now).await? {
        store::note(&mut act.tx, ticket, TicketAction::Lapsed, act.who.user_id, Some(reason), act.now).await?;
    }
    act.tell("inbox");
    Ok(())
}

/// The rules that say which approvals each kind of decision needs.
///
/// # Errors
/// Only failures of the database.
pub async fn current_rules(act: &mut Act) -> Result<Vec<ApprovalRule>> {
    Ok(store::rules(&mut act.tx).await?)
}

/// The same outside of an act.
///
/// # Errors
/// Only failures of the database.
pub async fn rules_now(db: &Db) -> Result<Vec<ApprovalRule>> {
    Ok(store::rules(db).await?)
}

async fn cancel(act: &mut Act, ticket: &store::Locked, action: TicketAction, reason: &str) -> Result<()> {
    store::close(&mut act.tx, ticket.ticket_id, TicketState::Cancelled, None, Some(reason), act.now).await?;
    store::note(&mut act.tx, ticket.ticket_id, action, act.who.user_id, Some(reason), act.now).await?;
    let name = if action == TicketAction::Superseded { "ticket.superseded" } else { "ticket.withdrawn" };
    let mut record = Record::new(name, "ticket", ticket.ticket_id)
        .before(serde_json::json!({ "state": ticket.state }))
        .after(serde_json::json!({ "state": TicketState::Cancelled }))
        .reason(reason);
    if let Some(model) = ticket.model_id {
        record = record.model(model);
    }
    act.record(record);
    act.tell("inbox");
    Ok(())
}
