//! The approvals of a request: asked for, given, refused, lapsed. The only way to APPROVED.

use std::pin::Pin;

use serde_json::json;

use super::rules::{ApprovalState, required_approvals};
use super::store::{self, Digests, Locked, Member, Standing};
use crate::approvals::rules::{Risk, TicketKind, Verdict};
use crate::approvals::{self, Ask, Ticket};
use crate::audit::{Act, Record};
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::identity::Actor;
use crate::ids::{ApprovalId, ModelId, RegionId, UserId, VersionId};
use crate::words::ValidationState;
use crate::{readiness, tasks};

const KIND: TicketKind = TicketKind::ValidationApproval;

/// Asks for the approvals that a request still lacks; with none lacking, it is complete.
pub(super) async fn ask(act: &mut Act, request: &Locked, members: &[Member]) -> Result<()> {
    let Some(first) = members.first() else { return Ok(()) };
    let standing = store::standing(&mut act.tx, request.request_id).await?;
    let regions = store::requiring_regions(&mut act.tx, request.request_id).await?;
    let requiring: Vec<RegionId> = regions.iter().map(|(region, _)| *region).collect();
    let rules = approvals::current_rules(act).await?;
    let digests = json!(store::digests(members)).to_string();
    let excluded = not_approvers(members);
    for (role, region) in required_approvals(&rules, first.risk_tier, &requiring) {
        if standing.iter().any(|one| one.role == role && one.region_id == region) {
            continue;
        }
        let approval = store::ask_approval(&mut act.tx, request.request_id, role, region, &digests, act.now).await?;
        let code = regions.iter().find(|(id, _)| Some(*id) == region).map(|(_, code)| code.as_str());
        let ask = Ask {
            kind: KIND,
            subject: question(members, code),
            subject_id: approval.0,
            requested_by: request.requested_by_id,
            required_role: role,
            model_id: first.model_id,
            version_id: first.version_id,
            region_id: region,
            environment: None,
            risk: Risk::of(first.risk_tier),
            excluded: excluded.clone(),
        };
        approvals::ask_as_part(act, ask, Some(request.request_id.0)).await?;
    }
    complete_if_approved(act, request, members).await
}

/// Who developed or submitted what is approved.
fn not_approvers(members: &[Member]) -> Vec<UserId> {
    members.iter().flat_map(|one| one.developer_id.into_iter().chain([one.submitted_by_id])).collect()
}

fn question(members: &[Member], region: Option<&str>) -> String {
    let Some(first) = members.first() else { return String::new() };
    let others = match members.len() - 1 {
        0 => String::new(),
        1 => " and 1 other".to_owned(),
        n => format!(" and {n} others"),
    };
    let place = region.map(|code| format!(" for {code}")).unwrap_or_default();
    format!("Approve {} {}{others}{place}", first.model_name, first.number)
}

/// Takes back what is still asked for. Approvals that were given stay, unless `keep_given` is false.
pub(super) async fn stop_asking(act: &mut Act, request: &Locked, keep_given: bool, reason: &str) -> Result<()> {
    let standing = store::standing(&mut act.tx, request.request_id).await?;
    let pending = numbers(&standing, ApprovalState::Pending);
    store::end_approvals(&mut act.tx, &pending, ApprovalState::Withdrawn).await?;
    approvals::withdraw_all(act, KIND, &pending, reason).await?;
    if !keep_given {
        let given = numbers(&standing, ApprovalState::Approved);
        lapse(act, &given, reason).await?;
    }
    Ok(())
}

fn numbers(standing: &[Standing], state: ApprovalState) -> Vec<i64> {
    standing.iter().filter(|one| one.state == state).map(|one| one.approval_id.0).collect()
}

async fn lapse(act: &mut Act, given: &[i64], reason: &str) -> Result<()> {
    if given.is_empty() {
        return Ok(());
    }
    store::end_approvals(&mut act.tx, given, ApprovalState::Lapsed).await?;
    approvals::lapse(act, KIND, given, reason).await?;
    for approval in given {
        act.record(
            Record::new("approval.lapsed", "validation_approval", approval)
                .before(json!({ "state": ApprovalState::Approved }))
                .after(json!({ "state": ApprovalState::Lapsed }))
                .reason(reason),
        );
    }
    Ok(())
}

/// What a decided ticket does to its request: the last approval completes it, a rejection sends it
/// back and takes back what else was asked.
pub fn ticket_decided<'a>(
    act: &'a mut Act,
    actor: &'a Actor,
    ticket: &'a Ticket,
    verdict: Verdict,
) -> Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>> {
    Box::pin(decided(act, actor, ticket, verdict))
}

async fn decided(act: &mut Act, actor: &Actor, ticket: &Ticket, verdict: Verdict) -> Result<()> {
    let approval = ApprovalId(ticket.subject_id);
    let Some(standing) = store::approval(&mut act.tx, approval).await? else {
        return Err(Error::not_found("approval", approval));
    };
    let request = store::lock(&mut act.tx, standing.request_id).await?;
    let members = store::members(&mut act.tx, standing.request_id).await?;
    let (state, name) = match verdict {
        Verdict::Approve => (ApprovalState::Approved, "approval.given"),
        Verdict::Reject => (ApprovalState::Rejected, "approval.refused"),
    };
    let comment = ticket.comment.as_deref();
    store::decide_approval(&mut act.tx, approval, state, actor.user_id, comment, act.now).await?;
    let digests: Digests = serde_json::from_str(&standing.digests).unwrap_or_default();
    let after = json!({
        "state": state, "request_id": standing.request_id, "role": standing.role, "region_id": standing.region_id,
        "digests": digests,
    });
    record(act, name, "validation_approval", approval.0, &members, None, after, comment);
    match verdict {
        Verdict::Approve => complete_if_approved(act, &request, &members).await,
        Verdict::Reject => {
            let reason = comment.unwrap_or("Rejected.");
            stop_asking(act, &request, false, "Another approver sent the request back.").await?;
            store::set_state(&mut act.tx, request.request_id, ValidationState::Revision, None, Some(reason)).await?;
            moved(act, &request, ValidationState::Revision, &members, Some(reason));
            Ok(())
        }
    }
}

/// Completes a request whose required approvals are all given, and tells those who wait for it.
async fn complete_if_approved(act: &mut Act, request: &Locked, members: &[Member]) -> Result<()> {
    let standing = store::standing(&mut act.tx, request.request_id).await?;
    if standing.is_empty() || standing.iter().any(|one| one.state == ApprovalState::Pending) {
        return Ok(());
    }
    store::complete(&mut act.tx, request.request_id, act.now.date_naive(), act.now).await?;
    moved(act, request, ValidationState::Approved, members, None);
    readiness::refresh(act, &models(members)).await?;
    let versions: Vec<VersionId> = members.iter().map(|one| one.version_id).collect();
    tasks::versions_approved(act, &versions).await
}

/// A version has another artifact now: approvals that named the old one lapse.
///
/// An approved request goes back to revision; one that waits for approvals asks for them anew, with
/// new tickets in place of the old. Regional approvals of the version lapse too. Called in the act
/// that gave the version its artifact, after it did, with the [`models_beside`] it locked.
///
/// # Errors
/// Only failures of the database.
pub async fn artifact_changed(act: &mut Act, version: VersionId) -> Result<()> {
    let Some(changed) = store::versions_named(&mut act.tx, &[version]).await?.pop() else { return Ok(()) };
    let reason = format!("The artifact of {} {} changed.", changed.model_name, changed.number);
    let mut touched = vec![changed.model_id];
    for request in store::requests_on(&mut act.tx, version).await? {
        let members = store::members(&mut act.tx, request.request_id).await?;
        touched.extend(models(&members));
        renew_approvals(act, &request, &members, &reason).await?;
    }
    lapse_regional(act, &changed, &reason).await?;
    touched.sort_unstable();
    touched.dedup();
    readiness::refresh(act, &touched).await
}

/// The models whose approvals another artifact of this version may end: its own, and those that were
/// ever validated together with it. In the order of their numbers.
///
/// # Errors
/// Only failures of the database.
pub async fn models_beside(tx: &mut Tx, version: VersionId) -> Result<Vec<ModelId>> {
    Ok(store::models_beside(tx, version).await?)
}

async fn renew_approvals(act: &mut Act, request: &Locked, members: &[Member], reason: &str) -> Result<()> {
    let now = store::digests(members);
    let standing = store::standing(&mut act.tx, request.request_id).await?;
    let empty = standing.is_empty();
    let outdated: Vec<Standing> = standing
        .into_iter()
        .filter(|one| serde_json::from_str::<Digests>(&one.digests).map_or(true, |named| named != now))
        .collect();
    // An approved request without approvals was brought in from elsewhere: it named no bytes at all.
    let unnamed = request.state == ValidationState::Approved && empty;
    if outdated.is_empty() && !unnamed {
        return Ok(());
    }
    let pending = numbers(&outdated, ApprovalState::Pending);
    store::renew_digests(&mut act.tx, &pending, &json!(now).to_string()).await?;
    approvals::renew(act, KIND, &pending, reason).await?;
    lapse(act, &numbers(&outdated, ApprovalState::Approved), reason).await?;
    match request.state {
        ValidationState::Approved => {
            store::set_state(&mut act.tx, request.request_id, ValidationState::Revision, None, Some(reason)).await?;
            moved(act, request, ValidationState::Revision, members, Some(reason));
            Ok(())
        }
        ValidationState::PendingApproval => ask(act, request, members).await,
        _ => Ok(()),
    }
}

async fn lapse_regional(act: &mut Act, version: &Member, reason: &str) -> Result<()> {
    for (region, _) in store::lapse_regional(&mut act.tx, version.version_id, act.now).await? {
        act.record(
            Record::new("regional_approval.lapsed", "version", version.version_id)
                .model(version.model_id)
                .before(json!({ "region_id": region }))
                .reason(reason),
        );
    }
    approvals::renew_for_version(act, TicketKind::RegionalApproval, version.version_id, reason).await
}

/// Writes to the ledger, and so to each model's timeline, that a request went to another state.
pub(super) fn moved(act: &mut Act, request: &Locked, to: ValidationState, members: &[Member], reason: Option<&str>) {
    let name = match to {
        ValidationState::Approved => "validation.approved",
        ValidationState::Cancelled => "validation.cancelled",
        _ => "validation.moved",
    };
    let before = Some(json!({ "state": request.state }));
    let after = json!({ "state": to, "versions": store::digests(members) });
    record(act, name, "validation", request.request_id.0, members, before, after, reason);
}

#[expect(clippy::too_many_arguments, reason = "the parts of a ledger entry")]
pub(super) fn record(
    act: &mut Act,
    action: &'static str,
    entity: &'static str,
    id: i64,
    members: &[Member],
    before: Option<serde_json::Value>,
    after: serde_json::Value,
    reason: Option<&str>,
) {
    for model in models(members) {
        let mut entry = Record::new(action, entity, id).model(model).after(&after);
        if let Some(before) = &before {
            entry = entry.before(before);
        }
        if let Some(reason) = reason {
            entry = entry.reason(reason);
        }
        act.record(entry);
    }
    act.tell("validations");
}

pub(super) fn models(members: &[Member]) -> Vec<ModelId> {
    members.iter().map(|one| one.model_id).collect()
}
