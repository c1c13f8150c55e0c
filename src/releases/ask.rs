//! Asking for a release, applying it, giving it up.

use serde_json::json;

use super::checks::{Scene, Wanted, refuse_closed, ticket_kind};
use super::preview::failed;
use super::rules::{self, Gate, LifecycleState, Moved, ReleaseKind};
use super::store::{self, PreviewRow};
use super::{ApplyBody, ReleaseBody, ReleaseRow, ReleaseView, expiry, list, preview};
use crate::app::App;
use crate::approvals::rules::{Risk, TicketKind};
use crate::approvals::{self, Ask};
use crate::audit::{Act, Record};
use crate::db;
use crate::deployments;
use crate::error::{self, Error, Fields, Result};
use crate::identity::access::{self, lock_models, permit};
use crate::identity::{Action, Actor, Relation, Role};
use crate::ids::{ReleaseId, TicketId};
use crate::operations::rules::{CHECK, OperationKind};
use crate::operations::{self, NewOperation, NewStep};

/// The shortest reason for going into a freeze window, in characters; as for an override.
const SHORTEST_REASON: usize = 20;

/// Asks for the release of a preview. Where the environment asks for an approval, it waits for it; else it is applied.
///
/// # Errors
/// `preview_required`, `preview_expired`, `preview_used`, `preview_mismatch` with what moved; what a closed gate
/// answers: `validation_missing`, `regional_approval_required`, `freeze_window`, `artifact_unverified`,
/// `environment_not_ready`, `environment_busy`; `not_found`, `forbidden`, `invalid`.
pub async fn create(app: &App, actor: &Actor, body: ReleaseBody) -> Result<ReleaseView> {
    create_with(app, actor, body, async |_, _| Ok(())).await
}

/// [`create`], with something that is written together with the release, or not at all.
///
/// # Errors
/// As [`create`], and those of `also`.
pub async fn create_with(
    app: &App,
    actor: &Actor,
    body: ReleaseBody,
    also: impl AsyncFnOnce(&mut Act, ReleaseId) -> Result<()>,
) -> Result<ReleaseView> {
    let Some(preview_ref) = body.preview_ref.as_deref().filter(|text| !text.is_empty()) else {
        return Err(Error::new(
            &error::PREVIEW_REQUIRED,
            "A release is asked for with the preview that was looked at.",
        ));
    };
    let row = preview::visible(app, actor, preview_ref).await?;
    let action = if row.kind == ReleaseKind::Rollback { Action::ReleaseRollback } else { Action::ReleaseRequest };
    access::authorise(app, &app.db, actor, action, row.model_id).await?;
    let freeze_reason = freeze_reason(body.freeze_reason.as_deref())?;
    let live = observe(app, &row).await?;
    let mut act = Act::begin(app, &actor.who).await?;
    lock_models(&mut act.tx, &[row.model_id]).await?;
    let scene = Scene::read_in(&mut act, row.kind, row.environment_id, row.version_id).await?;
    check_preview(&mut act, &row, &scene, &live).await?;
    // A reason that no window asks for is not kept: it must not open one that comes later.
    let freeze = freeze_reason.as_deref().zip(scene.environment.frozen_until);
    if freeze.is_some() && scene.freeze_approvers.is_empty() {
        let says = "No approval rule says who may agree to a release in a freeze window.";
        return Err(Error::new(&error::FREEZE_WINDOW, says).fact("until", scene.environment.frozen_until));
    }
    let asked = asked(&scene, row.kind, freeze.is_some());
    let waits: &[Gate] = match (asked.is_empty(), freeze.is_some()) {
        (true, _) => &[],
        (false, true) => &[Gate::Approval, Gate::Freeze, Gate::Turn],
        (false, false) => &[Gate::Approval, Gate::Turn],
    };
    refuse_closed(&scene.checks(row.kind), waits)?;
    let release = store::insert(&mut act.tx, &row, &body, freeze, actor.user_id, act.now).await;
    let release = release.map_err(|cause| if db::is_duplicate(&cause) { used(&row) } else { cause.into() })?;
    requested(&mut act, release, &row, freeze.map(|(reason, _)| reason));
    also(&mut act, release).await?;
    let tickets = ask(&mut act, release, &row, &scene, &asked, actor).await?;
    expiry::supersede(&mut act, release, &row, &tickets).await?;
    if asked.is_empty() {
        approve_unasked(&mut act, release, &row, &scene).await?;
    }
    act.tell("releases");
    act.commit().await?;
    operations::wake(app);
    list::show(app, actor, release).await
}

fn freeze_reason(reason: Option<&str>) -> Result<Option<String>> {
    let Some(reason) = reason.filter(|reason| !reason.trim().is_empty()) else { return Ok(None) };
    let mut fields = Fields::default();
    let reason = fields.text("freeze_reason", reason, 2000);
    let long = reason.chars().count() >= SHORTEST_REASON;
    fields.check(long, "freeze_reason", "Give a reason of at least 20 characters.");
    fields.done()?;
    Ok(Some(reason))
}

async fn observe(app: &App, row: &PreviewRow) -> Result<countersign_runtimes::LiveState> {
    let environment = crate::environments::read(app, row.environment_id).await?;
    let target = crate::environments::target(app, row.environment_id, &environment.endpoint)?;
    app.runtime.observe(&target).await.map_err(|why| failed(&why))
}

/// Refuses a preview that was used, ran out, or no longer says what is.
async fn check_preview(
    act: &mut Act,
    row: &PreviewRow,
    scene: &Scene,
    live: &countersign_runtimes::LiveState,
) -> Result<()> {
    if store::is_used(&mut act.tx, &row.preview_ref).await? {
        return Err(used(row));
    }
    if row.expires_at <= act.now {
        let says = format!("The preview held until {}.", row.expires_at.format("%Y-%m-%d %H:%M UTC"));
        return Err(Error::new(&error::PREVIEW_EXPIRED, says).fact("preview_expires_at", row.expires_at));
    }
    refuse_moved(&moved(row, scene, live)?)
}

/// What is not as it was when the preview was made.
pub(super) fn moved(row: &PreviewRow, scene: &Scene, live: &countersign_runtimes::LiveState) -> Result<Vec<Moved>> {
    let before = row.covers()?;
    let read = |name: &str| before.get(name).cloned().unwrap_or_default();
    let strategy = serde_json::from_value(read("strategy")).map_err(Error::internal)?;
    let options = serde_json::from_value(read("variables")).map_err(Error::internal)?;
    let wanted = Wanted { preview_ref: &row.preview_ref, strategy: &strategy, options: &options };
    // The manifest follows from version, artifact, environment, strategy and variables; each stands for itself.
    let manifest = read("manifest");
    Ok(rules::moved(&before, &scene.covers(&wanted, live, manifest.as_str().unwrap_or_default())))
}

fn refuse_moved(moved: &[Moved]) -> Result<()> {
    if moved.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = moved.iter().map(|one| one.what.replace('_', " ")).collect();
    let says = format!("Since the preview was made this changed: {}.", names.join(", "));
    Err(Error::new(&error::PREVIEW_MISMATCH, says).fact("moved", moved))
}

fn used(row: &PreviewRow) -> Error {
    let error = Error::new(&error::PREVIEW_USED, "This preview was used for a release already.");
    match row.release_id {
        Some(release) => error.fact("release_id", release),
        None => error,
    }
}

/// The decisions that a release waits for.
fn asked(scene: &Scene, kind: ReleaseKind, into_freeze: bool) -> Vec<(TicketKind, Role)> {
    let mut asked: Vec<_> = scene.approvers.iter().map(|role| (ticket_kind(kind), *role)).collect();
    if into_freeze {
        asked.extend(scene.freeze_approvers.iter().map(|role| (TicketKind::FreezeOverride, *role)));
    }
    asked
}

fn requested(act: &mut Act, release: ReleaseId, row: &PreviewRow, freeze_reason: Option<&str>) {
    let name = if row.kind == ReleaseKind::Rollback { "release.rollback_requested" } else { "release.requested" };
    let says = json!({ "preview_ref": row.preview_ref, "digest": row.digest, "version_id": row.version_id,
                       "environment_id": row.environment_id, "freeze_reason": freeze_reason });
    let mut record = Record::new(name, "release", release).model(row.model_id).after(says);
    if let Some(reason) = &row.reason {
        record = record.reason(reason.clone());
    }
    act.record(record);
}

async fn approve_unasked(act: &mut Act, release: ReleaseId, row: &PreviewRow, scene: &Scene) -> Result<()> {
    let now = act.now;
    store::set_state(&mut act.tx, release, LifecycleState::Approved, now).await?;
    let says = json!({ "approval_required": false });
    act.record(Record::new("release.approved", "release", release).model(row.model_id).after(says));
    queue(act, release, row, scene).await
}

async fn ask(
    act: &mut Act,
    release: ReleaseId,
    row: &PreviewRow,
    scene: &Scene,
    asked: &[(TicketKind, Role)],
    actor: &Actor,
) -> Result<Vec<(TicketKind, TicketId)>> {
    let mut tickets = Vec::new();
    let (facts, place) = (&scene.facts, &scene.environment);
    let verb = if row.kind == ReleaseKind::Rollback { "Roll back to" } else { "Release" };
    for (position, (kind, role)) in (0_i64..).zip(asked) {
        let how = if *kind == TicketKind::FreezeOverride { " in a freeze window" } else { "" };
        let ask = Ask {
            kind: *kind,
            subject: format!("{verb} {} {} into {}{how}", facts.model_name, facts.version_number, place.name),
            // A release has several tickets where several roles decide; each is one thing to decide.
            subject_id: release.0 * TICKETS_EACH + position,
            requested_by: actor.user_id,
            required_role: *role,
            model_id: facts.model_id,
            version_id: facts.version_id,
            region_id: Some(place.region_id),
            environment: Some((place.environment_id, place.stage)),
            risk: if row.kind == ReleaseKind::Rollback { Risk::Critical } else { Risk::of(facts.risk_tier) },
            excluded: vec![actor.user_id],
        };
        let ticket = approvals::ask_as_part(act, ask, Some(release.0)).await?;
        let says = json!({ "ticket": ticket.number(), "role": role });
        act.record(Record::new("release.pending_approval", "release", release).model(row.model_id).after(says));
        tickets.push((*kind, ticket));
    }
    Ok(tickets)
}

/// How many tickets a release can have at most: a ticket's subject is the release times this, plus its place.
const TICKETS_EACH: i64 = 16;

/// The release that a ticket's subject stands for.
pub(super) fn release_of(subject: i64) -> ReleaseId {
    ReleaseId(subject / TICKETS_EACH)
}

/// Queues the operation that applies an approved release. From here on it is being applied.
pub(super) async fn queue(act: &mut Act, release: ReleaseId, row: &PreviewRow, scene: &Scene) -> Result<()> {
    let plan = row.plan()?;
    let step = |is_undo: bool, step: &countersign_runtimes::Step| NewStep {
        name: step.name().to_owned(),
        sentence: step.sentence(),
        step: serde_json::to_string(step).unwrap_or_default(),
        is_undo,
    };
    let look = NewStep {
        name: CHECK.to_owned(),
        sentence: "Check that nothing has changed since the preview".to_owned(),
        step: String::new(),
        is_undo: false,
    };
    let steps = std::iter::once(look)
        .chain(plan.steps.iter().map(|one| step(false, one)))
        .chain(plan.undo.iter().map(|one| step(true, one)))
        .collect();
    let requested_by = row.requested_by_id;
    let kind = OperationKind::Release;
    let new = NewOperation { kind, subject_id: release.0, environment_id: row.environment_id, requested_by, steps };
    operations::queue(act, new).await?;
    let now = act.now;
    store::set_state(&mut act.tx, release, LifecycleState::Applying, now).await?;
    let served = rules::served_name(&scene.facts.model_name, row.model_id.0);
    let new = deployments::NewDeployment {
        environment_id: row.environment_id,
        model_id: row.model_id,
        version_id: row.version_id,
        release_id: release,
        runtime_key: new_key(&plan).unwrap_or_default(),
        endpoint: format!("http://{}/v2/models/{served}", scene.environment.endpoint),
        digest: scene.facts.artifact_digest.clone().unwrap_or_default(),
    };
    deployments::begin(act, &new).await?;
    act.record(
        Record::new("release.applying", "release", release)
            .model(row.model_id)
            .after(json!({ "steps": plan.steps.len() })),
    );
    act.tell("releases");
    Ok(())
}

/// The name of the deployment that a plan starts.
fn new_key(plan: &countersign_runtimes::Plan) -> Option<String> {
    plan.steps.iter().find_map(|step| match step {
        countersign_runtimes::Step::Start { deployment } => Some(deployment.key.clone()),
        _ => None,
    })
}

/// Applies an approved release.
///
/// # Errors
/// `preview_required`, `preview_mismatch`; `wrong_transition` unless it is approved; what a closed gate answers;
/// `not_found`, `forbidden`.
pub async fn apply(app: &App, actor: &Actor, release: ReleaseId, body: ApplyBody) -> Result<ReleaseView> {
    let seen = list::visible(app, actor, release).await?;
    authorise(app, actor, &seen).await?;
    match body.preview_ref.as_deref() {
        None | Some("") => {
            return Err(Error::new(&error::PREVIEW_REQUIRED, "Apply names the preview that was looked at."));
        }
        Some(named) if named != seen.preview_ref => {
            let says = "The release was asked for with another preview.";
            return Err(Error::new(&error::PREVIEW_MISMATCH, says).fact("preview_ref", &seen.preview_ref));
        }
        Some(_) => (),
    }
    let row = preview::visible(app, actor, &seen.preview_ref).await?;
    let live = observe(app, &row).await?;
    let mut act = Act::begin(app, &actor.who).await?;
    lock_models(&mut act.tx, &[row.model_id]).await?;
    let state = store::lock(&mut act.tx, release).await?;
    let state = if expiry::is_over(state, seen.approved_at, act.now) { LifecycleState::Expired } else { state };
    if state != LifecycleState::Approved {
        return Err(wrong_state(state, "Only an approved release is applied."));
    }
    let scene = Scene::read_in(&mut act, row.kind, row.environment_id, row.version_id).await?;
    refuse_closed(&scene.checks(row.kind), scene.waived(seen.freeze_until))?;
    refuse_moved(&moved(&row, &scene, &live)?)?;
    queue(&mut act, release, &row, &scene).await?;
    act.commit().await?;
    operations::wake(app);
    list::show(app, actor, release).await
}

/// Gives a release up: its tickets are taken back; if it is being applied, the way back is gone after the step that
/// is under way.
///
/// # Errors
/// `wrong_transition` if it has ended; `not_found`, `forbidden`.
pub async fn cancel(app: &App, actor: &Actor, release: ReleaseId) -> Result<ReleaseView> {
    let seen = list::visible(app, actor, release).await?;
    authorise(app, actor, &seen).await?;
    let mut act = Act::begin(app, &actor.who).await?;
    lock_models(&mut act.tx, &[seen.model_id]).await?;
    match store::lock(&mut act.tx, release).await? {
        LifecycleState::PendingApproval | LifecycleState::Approved => {
            withdraw(&mut act, release, "The release was cancelled.").await?;
            let now = act.now;
            store::set_state(&mut act.tx, release, LifecycleState::Cancelled, now).await?;
            act.record(Record::new("release.cancelled", "release", release).model(seen.model_id));
        }
        LifecycleState::Applying if operations::ask_cancel(&mut act, OperationKind::Release, release.0).await? => {
            act.record(Record::new("release.cancel_asked", "release", release).model(seen.model_id));
        }
        state => return Err(wrong_state(state, "What has ended cannot be cancelled.")),
    }
    act.tell("releases");
    act.commit().await?;
    operations::wake(app);
    list::show(app, actor, release).await
}

/// The kinds of tickets that decide on a release.
pub(super) const TICKET_KINDS: [TicketKind; 3] =
    [TicketKind::ReleaseApproval, TicketKind::RollbackApproval, TicketKind::FreezeOverride];

/// What the tickets of a release have for their subjects.
pub(super) fn subjects_of(release: ReleaseId) -> Vec<i64> {
    (0..TICKETS_EACH).map(|position| release.0 * TICKETS_EACH + position).collect()
}

/// Takes back every ticket of a release that nobody answered.
pub(super) async fn withdraw(act: &mut Act, release: ReleaseId, reason: &str) -> Result<()> {
    for kind in TICKET_KINDS {
        approvals::withdraw_all(act, kind, &subjects_of(release), reason).await?;
    }
    Ok(())
}

fn wrong_state(state: LifecycleState, why: &str) -> Error {
    let says = format!("The release is {}. {why}", state.as_str().replace('_', " "));
    Error::new(&error::WRONG_TRANSITION, says).fact("lifecycle_state", state)
}

async fn authorise(app: &App, actor: &Actor, release: &ReleaseRow) -> Result<()> {
    let mut relations = access::relations(app, &app.db, actor, release.model_id, None).await?.unwrap_or_default();
    if release.requested_by_id == actor.user_id {
        relations.push(Relation::Requester);
    }
    permit(app, actor, Action::ReleaseApply, &relations, || Error::not_found("release", release.release_id))
}
