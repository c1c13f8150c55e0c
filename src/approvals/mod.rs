//! The approval inbox: one queue, one decision, for everything that somebody must approve.
//!
//! Other areas ask ([`ask`]) and are told the answer by way of their [`DecisionHandler`]; this area
//! knows tickets and who may decide them, never what a decision does.

use axum::Router;
use std::future::Future;
use std::pin::Pin;
use utoipa_axum::router::OpenApiRouter;

use crate::app::App;
use crate::audit::Act;
use crate::error::Result;
use crate::identity::{Actor, Role};
use crate::ids::{ModelId, RegionId, TicketId, UserId, VersionId};

pub mod rules;

use rules::{Risk, TicketKind, Verdict};

/// What a decided ticket does: called in the transaction of the decision.
pub type Decided =
    for<'a> fn(&'a mut Act, &'a Actor, &'a Ticket, Verdict) -> Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

/// Who is told the answer to tickets of a kind.
#[derive(Debug, Clone, Copy)]
pub struct DecisionHandler {
    /// The kind.
    pub kind: TicketKind,
    /// What to call.
    pub decided: Decided,
}

/// The JSON routes of this area.
#[must_use]
pub fn api() -> OpenApiRouter<App> {
    OpenApiRouter::new()
}

/// The pages of this area.
#[must_use]
pub fn pages() -> Router<App> {
    Router::new()
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
    let _ = ask;
    act.tell("inbox");
    Ok(TicketId(0))
}

/// Takes a question back: its pending ticket, if there is one, is cancelled.
///
/// # Errors
/// Only failures of the database.
pub async fn withdraw(act: &mut Act, kind: TicketKind, subject_id: i64, reason: &str) -> Result<()> {
    let _ = (kind, subject_id, reason);
    act.tell("inbox");
    Ok(())
}
