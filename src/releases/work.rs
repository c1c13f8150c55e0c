//! What happens to a release once somebody decided, and while it is applied.

use countersign_runtimes::{Diagnostics, Done};
use serde_json::json;

use super::ask::{moved, queue, release_of, withdraw};
use super::checks::{Scene, refuse_closed};
use super::rules::{LifecycleState, ReleaseKind};
use super::store;
use crate::app::App;
use crate::approvals::Ticket;
use crate::approvals::rules::Verdict;
use crate::audit::{Act, Record};
use crate::error::{Error, Result};
use crate::identity::Actor;
use crate::identity::access::lock_models;
use crate::ids::ReleaseId;
use crate::operations::rules::CHECK;
use crate::operations::{Event, Future, Operation, Step};
use crate::words::Stage;
use crate::{deployments, environments, operations, tasks};

/// Somebody decided on a release. The last approval lets it be applied; a rejection ends it.
pub fn ticket_decided<'a>(
    act: &'a mut Act,
    actor: &'a Actor,
    ticket: &'a Ticket,
    verdict: Verdict,
) -> Future<'a, Result<()>> {
    Box::pin(async move {
        let release = release_of(ticket.subject_id);
        if store::lock(&mut act.tx, release).await? != LifecycleState::PendingApproval {
            return Ok(());
        }
        match verdict {
            Verdict::Approve => approved(act, actor, ticket, release).await,
            Verdict::Reject => rejected(act, ticket, release).await,
        }
    })
}

async fn approved(act: &mut Act, actor: &Actor, ticket: &Ticket, release: ReleaseId) -> Result<()> {
    let facts = store::apply_facts(&mut act.tx, release).await?;
    let mut record = Record::new("release.approved", "release", release)
        .model(facts.model_id)
        .after(json!({ "ticket": ticket.ticket_id.number(), "kind": ticket.kind }));
    if let Some(comment) = &ticket.comment {
        record = record.reason(comment.clone());
    }
    act.record(record);
    act.tell("releases");
    if store::waits(&mut act.tx, release).await? {
        return Ok(());
    }
    let now = act.now;
    store::approve(&mut act.tx, release, actor.user_id, now).await?;
    if facts.apply_on_approval && !operations::is_busy(&mut act.tx, facts.environment_id).await? {
        let row = store::preview_in(&mut act.tx, &facts.preview_ref).await?;
        let scene = Scene::read_in(act, row.kind, row.environment_id, row.version_id).await?;
        // What stands in the way now leaves it approved: somebody applies it when it is gone.
        if refuse_closed(&scene.checks(row.kind), scene.waived(facts.freeze_until)).is_ok() {
            queue(act, release, &row, &scene).await?;
        }
    }
    Ok(())
}

async fn rejected(act: &mut Act, ticket: &Ticket, release: ReleaseId) -> Result<()> {
    let facts = store::apply_facts(&mut act.tx, release).await?;
    withdraw(act, release, "The release was rejected.").await?;
    let now = act.now;
    store::set_state(&mut act.tx, release, LifecycleState::Rejected, now).await?;
    let mut record = Record::new("release.rejected", "release", release)
        .model(facts.model_id)
        .after(json!({ "ticket": ticket.ticket_id.number() }));
    if let Some(comment) = &ticket.comment {
        record = record.reason(comment.clone());
    }
    act.record(record);
    act.tell("releases");
    Ok(())
}

/// Takes a step of the operation that applies a release.
pub fn took<'a>(app: &'a App, operation: &'a Operation, step: &'a Step) -> Future<'a, Result<Done, Box<Diagnostics>>> {
    Box::pin(async move {
        if step.name == CHECK {
            return check(app, operation).await;
        }
        let target = match environments::read(app, operation.environment_id).await {
            Ok(place) => environments::target(app, place.environment_id, &place.endpoint),
            Err(error) => Err(error),
        };
        let target = target.map_err(|error| broken(&step.name, &error))?;
        let what = serde_json::from_str(&step.step).map_err(|cause| broken(&step.name, &Error::internal(cause)))?;
        app.runtime.execute(&target, &what).await
    })
}

/// The first step: what the preview showed still is. Nothing was touched yet.
async fn check(app: &App, operation: &Operation) -> Result<Done, Box<Diagnostics>> {
    let release = ReleaseId(operation.subject_id);
    let found = async {
        let row = store::preview_of(&app.db, release).await?;
        let scene = Scene::read(app, row.kind, row.environment_id, row.version_id, true).await?;
        let live = app.runtime.observe(&scene.target).await.map_err(|why| super::preview::failed(&why))?;
        let bytes = scene.bytes.clone();
        Ok::<_, Error>((moved(&row, &scene, &live)?, bytes))
    };
    let (moved, bytes) = found.await.map_err(|error| broken(CHECK, &error))?;
    if bytes != super::rules::Bytes::Verified {
        let says = "The artifact that is kept is not the one that was approved.";
        return Err(Box::new(operations::refusal(
            CHECK,
            "artifact_unverified",
            says,
            "Upload the version's own bytes.",
        )));
    }
    if moved.is_empty() {
        let sentence = "Everything is as it was at the preview.".to_owned();
        return Ok(Done { sentence, facts: json!({}) });
    }
    let names: Vec<_> = moved.iter().map(|one| one.what.replace('_', " ")).collect();
    let says = format!("Since the preview was made this changed: {}.", names.join(", "));
    Err(Box::new(operations::refusal(CHECK, "preview_mismatch", &says, "Preview it again and look at what changed.")))
}

fn broken(stage: &str, error: &Error) -> Box<Diagnostics> {
    error.log();
    Box::new(operations::refusal(stage, error.code().code, error.detail(), error.advice()))
}

/// Is told what happened to the operation that applies a release, and writes it to the timeline.
pub fn was_told<'a>(act: &'a mut Act, operation: &'a Operation, event: &'a Event<'a>) -> Future<'a, Result<()>> {
    Box::pin(async move {
        let release = ReleaseId(operation.subject_id);
        let facts = store::apply_facts(&mut act.tx, release).await?;
        let said = |name, release| Record::new(name, "release", release).model(facts.model_id);
        act.tell("releases");
        act.tell("deployments");
        match event {
            Event::Began(step) => act.record(said("release.step_started", release).after(step_facts(step, ""))),
            Event::Succeeded(step, done) => {
                act.record(said("release.step_succeeded", release).after(step_facts(step, &done.sentence)));
            }
            Event::Failed(step, why) => {
                act.record(said("release.step_failed", release).after(json!({
                    "position": step.position, "step": step.sentence, "diagnostics": why
                })));
            }
            Event::Done => applied(act, release, &facts).await?,
            Event::GaveUp(why) => ended(act, release, &facts, LifecycleState::Failed, Some(why)).await?,
            Event::Cancelled => ended(act, release, &facts, LifecycleState::Cancelled, None).await?,
        }
        Ok(())
    })
}

fn step_facts(step: &Step, came: &str) -> serde_json::Value {
    json!({ "position": step.position, "step": step.sentence, "is_way_back": step.is_undo, "outcome": came })
}

/// All steps were done: the version serves, as verified. In production the owner is asked to ratify it.
async fn applied(act: &mut Act, release: ReleaseId, facts: &store::ApplyFacts) -> Result<()> {
    lock_models(&mut act.tx, &[facts.model_id]).await?;
    let now = act.now;
    let before = store::applied_before(&mut act.tx, facts, release).await?;
    store::set_state(&mut act.tx, release, LifecycleState::Applied, now).await?;
    act.record(Record::new("release.applied", "release", release).model(facts.model_id).after(
        json!({ "version": facts.version_number, "environment": facts.environment_name, "digest": facts.digest }),
    ));
    deployments::applied(act, release).await?;
    if facts.kind == ReleaseKind::Rollback
        && let Some((undone, version)) = before
    {
        store::set_state(&mut act.tx, undone, LifecycleState::Rollback, now).await?;
        let says = json!({ "rolled_back_by": release });
        act.record(Record::new("release.rollback_completed", "release", undone).model(facts.model_id).after(says));
        if facts.stage == Stage::Production && version != facts.version_id {
            tasks::rolled_back(act, facts.model_id, facts.region_id, version, facts.requested_by_id).await?;
        }
    }
    if facts.stage == Stage::Production {
        let released = tasks::Released {
            version_id: facts.version_id,
            model_id: facts.model_id,
            region_id: facts.region_id,
            by: facts.requested_by_id,
            evidence: json!({
                "release_id": release, "environment": facts.environment_name, "approver": facts.approved_by,
                "digest": format!("sha256:{}", facts.digest.as_deref().unwrap_or_default()),
                "probe": store::probe(&mut act.tx, release).await?, "applied_at": now,
            }),
        };
        tasks::released(act, &released).await?;
    }
    Ok(())
}

async fn ended(
    act: &mut Act,
    release: ReleaseId,
    facts: &store::ApplyFacts,
    state: LifecycleState,
    why: Option<&Diagnostics>,
) -> Result<()> {
    let now = act.now;
    store::end(&mut act.tx, release, state, why, now).await?;
    let name = if state == LifecycleState::Failed { "release.failed" } else { "release.cancelled" };
    let mut record = Record::new(name, "release", release).model(facts.model_id);
    if let Some(why) = why {
        record = record.after(json!({ "diagnostics": why }));
    }
    act.record(record);
    deployments::ended(act, release, why.map(|why| why.message.as_str())).await
}
