//! Approving several like tickets at once: each is decided exactly as it would be alone.

use serde::{Deserialize, Serialize};

use super::decisions::{Decision, decide};
use super::rules::Verdict;
use super::store::{self, TicketView};
use crate::app::App;
use crate::error::{Error, Problem, Result};
use crate::identity::{Action, Actor};
use crate::ids::TicketId;

/// The most tickets of one act.
const MOST_TICKETS: usize = 100;

/// A ticket as it was read.
#[derive(Debug, Clone, Copy, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SeenTicket {
    /// The ticket.
    pub ticket_id: TicketId,
    /// Its revision when it was read: if it changed since, it is not approved.
    #[schema(minimum = 1)]
    pub revision: i64,
}

/// Tickets of one kind, to be approved.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkApproval {
    /// The tickets, 1 to 100, all of one kind.
    #[schema(min_items = 1, max_items = 100)]
    pub tickets: Vec<SeenTicket>,
    /// Said with each, at most 2,000 characters.
    #[serde(default)]
    #[schema(max_length = 2000)]
    pub comment: Option<String>,
}

/// What became of each ticket.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct BulkDecision {
    /// The tickets that were approved, as they are now.
    pub approved: Vec<TicketView>,
    /// The tickets that were not.
    pub failed: Vec<TicketFailure>,
}

/// A ticket that was not approved, and why.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct TicketFailure {
    /// The ticket.
    pub ticket_id: TicketId,
    /// Why, as the single decision would have answered.
    pub problem: Problem,
}

/// Approves tickets of one kind; each succeeds or fails on its own. Only approving is done in bulk: a rejection
/// needs a reason of its own.
///
/// # Errors
/// `invalid` for none, too many, or tickets of several kinds; what is wrong with a ticket stands in the answer.
pub async fn approve_all(app: &App, actor: &Actor, bulk: BulkApproval) -> Result<BulkDecision> {
    actor.may(app, Action::TicketDecide, &[])?;
    if bulk.tickets.is_empty() || bulk.tickets.len() > MOST_TICKETS {
        return Err(Error::field("tickets", format!("Name 1 to {MOST_TICKETS} tickets.")));
    }
    if bulk.tickets.iter().any(|one| one.ticket_id.0 < 1 || one.revision < 1) {
        return Err(Error::field("tickets", "Numbers and revisions of tickets begin at 1."));
    }
    let ids: Vec<TicketId> = bulk.tickets.iter().map(|one| one.ticket_id).collect();
    let seen = chosen(app, actor, &ids).await?;
    if seen.windows(2).any(|pair| pair[0].kind != pair[1].kind) {
        return Err(Error::field("tickets", "They are of several kinds. Approve tickets of one kind at a time."));
    }
    let mut done = BulkDecision { approved: Vec::new(), failed: Vec::new() };
    for SeenTicket { ticket_id, revision } in bulk.tickets {
        let comment = bulk.comment.clone();
        let decision = Decision { verdict: Verdict::Approve, comment, revision };
        match decide(app, actor, ticket_id, decision).await {
            Ok(ticket) => done.approved.push(ticket),
            Err(error) if error.field_errors().is_empty() => {
                done.failed.push(TicketFailure { ticket_id, problem: error.problem() });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Those of these tickets that the person sees, in the order of their numbers.
pub(super) async fn chosen(app: &App, actor: &Actor, tickets: &[TicketId]) -> Result<Vec<TicketView>> {
    let sees_all = actor.can(app, Action::TicketViewAll, &[]);
    Ok(store::chosen(&app.db, actor.user_id, sees_all, tickets, app.now()).await?)
}
