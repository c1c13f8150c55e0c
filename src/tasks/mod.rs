//! tasks

use axum::Router;
use utoipa_axum::router::OpenApiRouter;

use crate::app::App;

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

/// X
pub fn regional_ticket_decided<'a>(
    act: &'a mut crate::audit::Act,
    actor: &'a crate::identity::Actor,
    ticket: &'a crate::approvals::Ticket,
    verdict: crate::approvals::rules::Verdict,
) -> std::pin::Pin<Box<dyn Future<Output = crate::error::Result<()>> + Send + 'a>> {
    let _ = (act, actor, ticket, verdict);
    Box::pin(async { Ok(()) })
}

/// X
pub fn override_ticket_decided<'a>(
    act: &'a mut crate::audit::Act,
    actor: &'a crate::identity::Actor,
    ticket: &'a crate::approvals::Ticket,
    verdict: crate::approvals::rules::Verdict,
) -> std::pin::Pin<Box<dyn Future<Output = crate::error::Result<()>> + Send + 'a>> {
    let _ = (act, actor, ticket, verdict);
    Box::pin(async { Ok(()) })
}

/// Makes the tasks of versions whose validation was just approved and that have a planned date, and
/// closes their open override reviews as now approved.
///
/// # Errors
/// Only failures of the database.
pub async fn versions_approved(
    act: &mut crate::audit::Act,
    versions: &[crate::ids::VersionId],
) -> crate::error::Result<()> {
    let _ = versions;
    act.tell("tasks");
    Ok(())
}

/// Moves a model's open tasks to whoever owns it, or its region, now.
///
/// # Errors
/// Only failures of the database.
pub async fn owners_changed(act: &mut crate::audit::Act, model: crate::ids::ModelId) -> crate::error::Result<()> {
    let _ = model;
    act.tell("tasks");
    Ok(())
}
