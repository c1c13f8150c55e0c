//! Releases that wait no more: nobody decided or applied them in time, or the same was asked for again.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;

use super::ask::{TICKET_KINDS, release_of, subjects_of, withdraw};
use super::rules::{APPROVAL_HOLDS, LifecycleState};
use super::store::{self, PreviewRow};
use crate::app::App;
use crate::approvals::rules::TicketKind;
use crate::approvals::{self, Ticket};
use crate::audit::{Act, Record, Who};
use crate::error::Result;
use crate::identity::access::lock_models;
use crate::ids::{ModelId, ReleaseId, TicketId};
use crate::operations::Future;

/// How often a server looks for approvals that nobody made use of. Applying looks by itself.
const PAUSE: Duration = Duration::from_secs(60);

/// Ends what expires, for as long as the product runs.
pub async fn keep_expiring(app: App) {
    loop {
        if let Err(error) = expire_due(&app).await {
            tracing::warn!(%error, "releases could not be expired");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Ends the approved releases that were not applied in time, and says how many there were.
///
/// # Errors
/// Only failures of the database.
pub async fn expire_due(app: &App) -> Result<usize> {
    let due = store::unused_since(&app.db, app.now() - APPROVAL_HOLDS).await?;
    for (release, model) in &due {
        let mut act = Act::begin(app, &Who::system("expiry")).await?;
        lock_models(&mut act.tx, &[*model]).await?;
        // Somebody may have applied it meanwhile.
        if store::lock(&mut act.tx, *release).await? == LifecycleState::Approved {
            expire(&mut act, *release, *model, "It was approved, and nobody applied it in time.").await?;
            act.commit().await?;
        }
    }
    Ok(due.len())
}

/// Whether the time to apply an approved release is over.
pub(super) fn is_over(state: LifecycleState, approved_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
    state == LifecycleState::Approved && approved_at.is_some_and(|at| at + APPROVAL_HOLDS <= now)
}

/// Nobody decided on a release in time: it ends, and what else was asked for it is taken back.
pub fn ticket_expired<'a>(act: &'a mut Act, ticket: &'a Ticket) -> Future<'a, Result<()>> {
    Box::pin(async move {
        let release = release_of(ticket.subject_id);
        if store::lock(&mut act.tx, release).await? != LifecycleState::PendingApproval {
            return Ok(());
        }
        let facts = store::apply_facts(&mut act.tx, release).await?;
        withdraw(act, release, "Nobody approved the release in time.").await?;
        expire(act, release, facts.model_id, "Nobody approved it in time.").await
    })
}

async fn expire(act: &mut Act, release: ReleaseId, model: ModelId, reason: &str) -> Result<()> {
    let now = act.now;
    store::set_state(&mut act.tx, release, LifecycleState::Expired, now).await?;
    act.record(Record::new("release.expired", "release", release).model(model).reason(reason));
    act.tell("releases");
    Ok(())
}

/// A release takes the place of those of the same version into the same environment that still wait: approvers decide
/// on the newest preview only. Old tickets lead to the new ones.
pub(super) async fn supersede(
    act: &mut Act,
    release: ReleaseId,
    row: &PreviewRow,
    tickets: &[(TicketKind, TicketId)],
) -> Result<()> {
    let now = act.now;
    for old in store::waiting(&mut act.tx, row, release).await? {
        let reason = format!("Release {release} was asked for in its place.");
        for kind in TICKET_KINDS {
            if let Some((_, new)) = tickets.iter().find(|(of, _)| *of == kind) {
                approvals::supersede(act, kind, &subjects_of(old), *new, &reason).await?;
            }
        }
        withdraw(act, old, &reason).await?;
        store::set_state(&mut act.tx, old, LifecycleState::Cancelled, now).await?;
        let says = json!({ "superseded_by": release });
        act.record(Record::new("release.cancelled", "release", old).model(row.model_id).after(says).reason(reason));
    }
    Ok(())
}
