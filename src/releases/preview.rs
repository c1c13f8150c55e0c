//! Previews: the plan of a release against what runs, with the gates' answers, kept until it is used or runs out.

use chrono::TimeDelta;
use countersign_runtimes::{Diagnostics, Plan, Strategy};
use serde_json::json;

use super::checks::{Scene, Wanted};
use super::rules::{self, ReleaseKind};
use super::store::{self, NewPreview, PreviewRow};
use super::{PreviewBody, PreviewView, RollbackBody, list};
use crate::app::App;
use crate::audit::{Act, Record};
use crate::environments;
use crate::error::{self, Error, Fields, Result};
use crate::identity::access;
use crate::identity::{Action, Actor};
use crate::ids::ReleaseId;

/// Previews a release.
///
/// # Errors
/// `not_found`, `forbidden`; `strategy_unsupported`; `artifact_unverified` without an artifact; `runtime_failed` if the
/// live state cannot be read.
pub async fn preview(app: &App, actor: &Actor, body: PreviewBody) -> Result<PreviewView> {
    let model = store::model_of(&app.db, body.version_id).await?;
    let model = model.ok_or_else(|| Error::not_found("version", body.version_id))?;
    access::authorise(app, &app.db, actor, Action::ReleaseRequest, model).await?;
    environments::show(app, actor, body.environment_id).await?;
    make(app, actor, ReleaseKind::Release, &body, None).await
}

/// Previews the rollback of a release to a version that was applied in its environment before.
///
/// # Errors
/// As [`preview`], and `never_applied` if the version never was.
pub async fn roll_back(app: &App, actor: &Actor, release: ReleaseId, body: RollbackBody) -> Result<PreviewView> {
    let from = list::visible(app, actor, release).await?;
    access::authorise(app, &app.db, actor, Action::ReleaseRollback, from.model_id).await?;
    let mut fields = Fields::default();
    let reason = fields.text("reason", &body.reason, 2000);
    fields.check(body.version_id != from.version_id, "version_id", "It is the version that the release brought.");
    fields.done()?;
    if !store::was_applied(&app.db, from.environment_id, from.model_id, body.version_id).await? {
        let says = format!("That version of {} was never applied in {}.", from.model_name, from.environment_name);
        return Err(Error::new(&error::NEVER_APPLIED, says));
    }
    let wanted = PreviewBody {
        environment_id: from.environment_id,
        version_id: body.version_id,
        strategy: Strategy::Rolling,
        options: std::collections::BTreeMap::new(),
    };
    make(app, actor, ReleaseKind::Rollback, &wanted, Some(reason)).await
}

async fn make(
    app: &App,
    actor: &Actor,
    kind: ReleaseKind,
    body: &PreviewBody,
    reason: Option<String>,
) -> Result<PreviewView> {
    let scene = Scene::read(app, kind, body.environment_id, body.version_id, true).await?;
    if !app.runtime.supports(&body.strategy) {
        let says = format!("The runtime {} does not know this strategy.", scene.environment.runtime);
        return Err(Error::new(&error::STRATEGY_UNSUPPORTED, says));
    }
    let preview_ref = hex::encode(app.random::<12>());
    let wanted = Wanted { preview_ref: &preview_ref, strategy: &body.strategy, options: &body.options };
    let desired = scene.desired(app, &wanted)?;
    let plan = app.runtime.plan(&scene.target, &desired, &body.strategy).await.map_err(|why| failed(&why))?;
    let covers = scene.covers(&wanted, &plan.live, &plan.rendered);
    let now = app.now();
    let new = NewPreview {
        preview_ref: &preview_ref,
        kind,
        environment: body.environment_id,
        version: body.version_id,
        model: scene.facts.model_id,
        digest: rules::digest(&covers),
        covers: &covers,
        plan: &plan,
        checks: &scene.checks(kind),
        reason,
        by: actor.user_id,
        now,
        expires: now + TimeDelta::minutes(scene.environment.preview_minutes),
    };
    let mut act = Act::begin(app, &actor.who).await?;
    store::insert_preview(&mut act.tx, &new).await?;
    let says = json!({ "kind": kind, "environment": scene.environment.name, "version": scene.facts.version_number,
                       "digest": new.digest, "diff": plan.diff });
    act.record(Record::new("release.previewed", "preview", &preview_ref).model(scene.facts.model_id).after(says));
    act.commit().await?;
    show_preview(app, actor, &preview_ref).await
}

/// What went wrong on the machine, as a refusal.
pub fn failed(why: &Diagnostics) -> Error {
    Error::new(&error::RUNTIME_FAILED, why.message.clone()).hint(why.hint.clone()).fact("diagnostics", why)
}

/// One preview.
///
/// # Errors
/// `not_found`.
pub async fn show_preview(app: &App, actor: &Actor, preview_ref: &str) -> Result<PreviewView> {
    let row = visible(app, actor, preview_ref).await?;
    let scene = Scene::read(app, row.kind, row.environment_id, row.version_id, false).await?;
    let plan = row.plan()?;
    let approvers: Vec<String> = scene.approvers.iter().map(|role| role.label().to_owned()).collect();
    Ok(PreviewView {
        approval_required: !approvers.is_empty(),
        approvers,
        covers: row.covers()?,
        checks: row.checks()?,
        rendered: plan.rendered.clone(),
        diff: plan.diff.clone(),
        steps: plan.steps.iter().map(countersign_runtimes::Step::sentence).collect(),
        warnings: plan.warnings,
        environment_name: scene.environment.name,
        runtime_type: scene.environment.runtime.to_string(),
        model_name: scene.facts.model_name,
        version_number: scene.facts.version_number,
        preview_ref: row.preview_ref,
        kind: row.kind,
        environment_id: row.environment_id,
        model_id: row.model_id,
        version_id: row.version_id,
        digest: row.digest,
        preview_expires_at: row.expires_at,
        created_at: row.created_at,
        requested_by: row.requested_by,
        release_id: row.release_id,
    })
}

/// A preview, if the person may see its model.
pub(super) async fn visible(app: &App, actor: &Actor, preview_ref: &str) -> Result<PreviewRow> {
    let hidden = || Error::not_found("preview", preview_ref);
    let row = store::preview(&app.db, preview_ref).await?.ok_or_else(hidden)?;
    let relations = access::relations(app, &app.db, actor, row.model_id, None).await?.unwrap_or_default();
    if actor.can(app, Action::ModelView, &relations) { Ok(row) } else { Err(hidden()) }
}

/// The parts of a preview that are kept as JSON.
impl PreviewRow {
    /// The plan.
    pub fn plan(&self) -> Result<Plan> {
        serde_json::from_str(&self.plan).map_err(Error::internal)
    }

    /// What the digest covers.
    pub fn covers(&self) -> Result<rules::Covers> {
        serde_json::from_str(&self.covers).map_err(Error::internal)
    }

    /// The gates' answers.
    pub fn checks(&self) -> Result<Vec<rules::GateCheck>> {
        serde_json::from_str(&self.checks).map_err(Error::internal)
    }
}
