//! What other areas' news means for tasks: decided tickets, approved versions, new owners.

use std::pin::Pin;

use serde_json::json;

use super::deploy;
use super::rules::OverrideState;
use super::store::{self, NewTask, PlannedVersion};
use crate::approvals::rules::{TicketKind, Verdict};
use crate::approvals::{self, Ticket};
use crate::audit::{Act, Record};
use crate::error::{Error, Result};
use crate::identity::Actor;
use crate::ids::{ModelId, OverrideId, TaskId, UserId, VersionId};
use crate::readiness;

/// A region was asked for its approval, and answered. Granted, its tasks can be confirmed.
pub fn regional_ticket_decided<'a>(
    act: &'a mut Act,
    actor: &'a Actor,
    ticket: &'a Ticket,
    verdict: Verdict,
) -> Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>> {
    Box::pin(async move {
        let (Some(model), Some(version), Some(region)) = (ticket.model_id, ticket.version_id, ticket.region_id) else {
            return Err(Error::internal(anyhow::anyhow!(
                "the ticket {} names no version and region",
                ticket.ticket_id
            )));
        };
        let action = match verdict {
            Verdict::Approve => "regional_approval.granted",
            Verdict::Reject => "regional_approval.refused",
        };
        let mut record = Record::new(action, "version", version)
            .model(model)
            .after(json!({ "region_id": region, "ticket_id": ticket.ticket_id }));
        if let Some(comment) = &ticket.comment {
            record = record.reason(comment.clone());
        }
        act.record(record);
        act.tell("tasks");
        if verdict == Verdict::Approve {
            let now = act.now;
            store::grant_region(&mut act.tx, version, region, actor.user_id, ticket.ticket_id, now).await?;
            readiness::refresh(act, &[model]).await?;
        }
        Ok(())
    })
}

/// Compliance has reviewed an override.
pub fn override_ticket_decided<'a>(
    act: &'a mut Act,
    actor: &'a Actor,
    ticket: &'a Ticket,
    verdict: Verdict,
) -> Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>> {
    Box::pin(async move {
        let state = match verdict {
            Verdict::Approve => OverrideState::Accepted,
            Verdict::Reject => OverrideState::Rejected,
        };
        let review = OverrideId(ticket.subject_id);
        let now = act.now;
        let comment = ticket.comment.as_deref();
        store::close_review(&mut act.tx, review, state, Some(actor.user_id), comment, now).await?;
        let mut record = Record::new("override.reviewed", "override", review).after(json!({ "state": state }));
        if let Some(model) = ticket.model_id {
            record = record.model(model);
        }
        if let Some(comment) = comment {
            record = record.reason(comment);
        }
        act.record(record);
        act.tell("tasks");
        Ok(())
    })
}

/// Makes the tasks of versions whose validation was just approved and that have a planned date, and
/// closes their open override reviews as now approved.
///
/// Source: 2-governance, Validation, *On APPROVED*. The models are locked by the caller.
///
/// # Errors
/// Only failures of the database.
pub async fn versions_approved(act: &mut Act, versions: &[VersionId]) -> Result<()> {
    for (review, model) in store::open_reviews(&mut act.tx, versions).await? {
        let now = act.now;
        store::close_review(&mut act.tx, review, OverrideState::NowApproved, None, None, now).await?;
        approvals::withdraw(act, TicketKind::OverrideReview, review.0, "The version is now approved.").await?;
        act.record(
            Record::new("override.reviewed", "override", review)
                .model(model)
                .after(json!({ "state": OverrideState::NowApproved })),
        );
    }
    let mut made = Vec::new();
    for version in store::planned_versions(&mut act.tx, versions).await? {
        made.extend(make_planned(act, &version).await?);
    }
    deploy::ask_locked(act, &made).await?;
    act.tell("tasks");
    Ok(())
}

/// Makes the tasks of one version: one for all regions if the change is global and nothing stands in
/// the way of a single region, else one a region.
async fn make_planned(act: &mut Act, version: &PlannedVersion) -> Result<Vec<TaskId>> {
    let targets = store::targets(&mut act.tx, version.version_id, UserId(0)).await?;
    let waiting: Vec<_> = targets
        .iter()
        .filter(|target| target.open_task_id.is_none() && target.live_version_id != Some(version.version_id))
        .collect();
    let as_one = version.is_global && waiting.len() == targets.len() && !targets.iter().any(|target| target.locked);
    let tasks: Vec<NewTask> = if as_one && !targets.is_empty() {
        vec![NewTask { region_id: None, planned: version.planned, assignee_id: version.owner_id }]
    } else {
        let one = |target: &&store::TargetRow| NewTask {
            region_id: Some(target.region_id),
            planned: version.planned,
            assignee_id: target.assignee_id,
        };
        waiting.iter().map(one).collect()
    };
    let mut made = Vec::new();
    for task in tasks {
        let by = act.who.user_id;
        let now = act.now;
        let task_id = store::make(&mut act.tx, version.version_id, version.model_id, &task, by, now).await?;
        act.record(Record::new("task.created", "task", task_id).model(version.model_id).after(json!({
            "version_id": version.version_id, "region_id": task.region_id, "planned_production_date": task.planned
        })));
        made.push(task_id);
    }
    Ok(made)
}

/// Moves the open tasks of models to whoever owns them, or their region, now. The models are locked by the caller.
///
/// # Errors
/// Only failures of the database.
pub async fn owners_changed(act: &mut Act, models: &[ModelId]) -> Result<()> {
    for (task, model, assignee) in store::reassign(&mut act.tx, models).await? {
        act.record(
            Record::new("task.reassigned", "task", task).model(model).after(json!({ "assigned_to_id": assignee })),
        );
    }
    act.tell("tasks");
    Ok(())
}
