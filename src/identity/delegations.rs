//! Delegations: an owner lends rights on a model to somebody, for a while or until revoked.
//!
//! Nothing here is ever deleted: who lent what to whom, from when to when, stays readable. Whether
//! a loan is in force is told by the clock alone; no job ends it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::rules::{DelegationState, check_delegation, delegation_state};
use super::store::delegations::{self as store, DelegationRow};
use super::{Action, Actor, access};
use crate::app::App;
use crate::audit::{Act, Record};
use crate::error::{self, Error, Result};
use crate::ids::{DelegationId, ModelId, UserId};

/// Rights on a model, lent by its owner.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct DelegationView {
    /// Its number.
    pub delegation_id: DelegationId,
    /// The model.
    pub model_id: ModelId,
    /// The model's name.
    pub model_name: String,
    /// Who has the rights.
    pub user_id: UserId,
    /// Their name.
    pub user_name: String,
    /// Their address.
    pub user_email: String,
    /// Whether they may deploy: make, confirm, adjust and cancel tasks.
    pub can_deploy: bool,
    /// Whether they may submit changes.
    pub can_submit_changes: bool,
    /// Who lent them.
    pub granted_by_name: String,
    /// Since when.
    pub granted_at: DateTime<Utc>,
    /// When they end by themselves.
    pub expires_at: Option<DateTime<Utc>>,
    /// When they were taken back.
    pub revoked_at: Option<DateTime<Utc>>,
    /// Who took them back.
    pub revoked_by_name: Option<String>,
    /// Whether they are in force.
    pub state: DelegationState,
}

impl DelegationView {
    /// The rights in words.
    #[must_use]
    pub fn rights(&self) -> &'static str {
        match (self.can_deploy, self.can_submit_changes) {
            (true, true) => "Deploy, submit changes",
            (true, false) => "Deploy",
            (false, true) => "Submit changes",
            (false, false) => "None",
        }
    }

    /// Whether the rights are in force.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.state == DelegationState::Active
    }
}

/// The delegations of a model: those in force first, then the history, the newest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ModelDelegations {
    /// The delegations.
    pub items: Vec<DelegationView>,
    /// How many are in force.
    pub active_count: i64,
    /// Whether the caller may lend rights on this model and take them back.
    pub can_delegate: bool,
}

/// Rights to lend.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDelegation {
    /// Who gets them.
    pub user_id: UserId,
    /// Whether they may deploy.
    #[serde(default)]
    pub can_deploy: bool,
    /// Whether they may submit changes.
    #[serde(default)]
    pub can_submit_changes: bool,
    /// When they end by themselves, in the future; without it they last until revoked.
    #[serde(default)]
    pub expires_at: Option<DateTime<Utc>>,
}

/// The delegations of a model, with their history.
///
/// # Errors
/// `not_found` if the model cannot be seen.
pub async fn of_model(app: &App, actor: &Actor, model: ModelId) -> Result<ModelDelegations> {
    let relations = access::authorise(app, &app.db, actor, Action::ModelView, model).await?;
    let items = views(store::of_model(&app.db, model).await?, app.now());
    Ok(ModelDelegations {
        active_count: items.iter().map(|one| i64::from(one.is_active())).sum(),
        items,
        can_delegate: actor.can(app, Action::ModelDelegate, &relations),
    })
}

/// What was lent to a person, with its history, on the models that the caller may see.
///
/// # Errors
/// `forbidden`.
pub async fn of_user(app: &App, actor: &Actor, user: UserId) -> Result<Vec<DelegationView>> {
    actor.may(app, Action::PeopleView, &[])?;
    let now = app.now();
    let only_visible_to = (!access::sees_all_models(app, actor)).then_some(actor.user_id);
    Ok(views(store::of_user(&app.db, user, only_visible_to, now).await?, now))
}

/// Lends rights on a model. What the person was lent before is replaced.
///
/// # Errors
/// `not_found`, `forbidden`, `invalid`.
pub async fn grant(app: &App, actor: &Actor, model: ModelId, new: &NewDelegation) -> Result<DelegationView> {
    access::authorise(app, &app.db, actor, Action::ModelDelegate, model).await?;
    let mut act = Act::begin(app, &actor.who).await?;
    access::lock_models(&mut act.tx, &[model]).await?;
    let parties = store::parties(&mut act.tx, model, new.user_id).await?;
    let parties = parties.ok_or_else(|| Error::field("user_id", "There is no such person."))?;
    check_delegation(actor.user_id, parties.owner_id, parties.disabled, new, act.now)?;
    for replaced in store::revoke_of(&mut act.tx, model, new.user_id, actor.user_id, act.now).await? {
        act.record(
            Record::new("delegation.revoked", "delegation", replaced).model(model).reason("replaced by a new one"),
        );
    }
    let id = store::add(&mut act.tx, model, new, actor.user_id, act.now).await?;
    let view = one(&mut act, id).await?;
    act.record(Record::new("delegation.granted", "delegation", id).model(model).after(&view));
    finish(act).await?;
    Ok(view)
}

/// Takes lent rights back, at once.
///
/// # Errors
/// `not_found`, `forbidden`, `conflict` if they have ended already.
pub async fn revoke(app: &App, actor: &Actor, delegation: DelegationId) -> Result<DelegationView> {
    let hidden = || Error::not_found("delegation", delegation);
    let model = store::one(&app.db, delegation).await?.ok_or_else(hidden)?.model_id;
    let relations = access::relations(app, &app.db, actor, model, None).await?.ok_or_else(hidden)?;
    access::permit(app, actor, Action::ModelDelegate, &relations, hidden)?;
    let mut act = Act::begin(app, &actor.who).await?;
    access::lock_models(&mut act.tx, &[model]).await?;
    let before = one(&mut act, delegation).await?;
    if !before.is_active() {
        return Err(Error::new(&error::CONFLICT, "This delegation has ended already.").fact("delegation", before));
    }
    store::revoke(&mut act.tx, delegation, actor.user_id, act.now).await?;
    let after = one(&mut act, delegation).await?;
    act.record(Record::new("delegation.revoked", "delegation", delegation).model(model).before(&before).after(&after));
    finish(act).await?;
    Ok(after)
}

/// What a delegate may deploy, and sees as due, has changed.
async fn finish(mut act: Act) -> Result<()> {
    act.tell("tasks");
    act.tell("ready");
    act.commit().await
}

async fn one(act: &mut Act, delegation: DelegationId) -> Result<DelegationView> {
    let row = store::one(&mut act.tx, delegation).await?;
    row.map(|row| row.into_view(act.now)).ok_or_else(|| Error::not_found("delegation", delegation))
}

fn views(rows: Vec<DelegationRow>, now: DateTime<Utc>) -> Vec<DelegationView> {
    let mut views: Vec<_> = rows.into_iter().map(|row| row.into_view(now)).collect();
    views.sort_by_key(|view| !view.is_active());
    views
}

impl DelegationRow {
    /// The delegation as it stands at `now`.
    fn into_view(self, now: DateTime<Utc>) -> DelegationView {
        DelegationView {
            state: delegation_state(self.expires_at, self.revoked_at, now),
            delegation_id: self.delegation_id,
            model_id: self.model_id,
            model_name: self.model_name,
            user_id: self.user_id,
            user_name: self.user_name,
            user_email: self.user_email,
            can_deploy: self.can_deploy,
            can_submit_changes: self.can_submit_changes,
            granted_by_name: self.granted_by_name,
            granted_at: self.granted_at,
            expires_at: self.expires_at,
            revoked_at: self.revoked_at,
            revoked_by_name: self.revoked_by_name,
        }
    }
}
