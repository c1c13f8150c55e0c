//! Versions: one immutable change of a model each, from its submission on.
//!
//! A version's status and its truths are never stored: they follow from the facts that validation
//! and deployment leave behind.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;

use crate::app::App;
use crate::audit::{Act, Record};
use crate::db;
use crate::error::{self, Error, Fields, Result};
use crate::identity::{Action, Actor, Relation, access};
use crate::ids::{JobId, ModelId, RegionId, RequestId, UserId, VersionId};
use crate::web::etag::check_revision;
use crate::web::{Cursor, Page, Revision, paging};
use crate::words::{ChangeType, ValidationState, VersionScope, VersionStatus};

use super::rules::{self, Blocker, VersionNumber};

pub(super) mod api;
mod artifact;
mod change;
mod pages;
mod store;
pub mod truths;

pub use api::api;
pub use artifact::{download, refer, upload};
pub use change::{Trained, VersionBody, VersionPatch, create, delete, register, update};
pub use pages::{pages, select};
pub use truths::TruthView;

/// A version with its derived facts.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct VersionView {
    /// Its number in the product.
    pub version_id: VersionId,
    /// Its model.
    pub model_id: ModelId,
    /// That model's name.
    pub model_name: String,
    /// Its number within the model.
    #[sqlx(rename = "number")]
    #[schema(example = "2.1")]
    pub version_number: String,
    /// How far the change goes.
    pub change_type: ChangeType,
    /// Where it is meant to go.
    pub scope: VersionScope,
    /// What changes, and why.
    pub description: String,
    /// Where it stands: derived.
    #[sqlx(skip)]
    pub status: VersionStatus,
    /// Whether it must be approved before it goes live.
    pub needs_validation: bool,
    /// The day it is planned to go live.
    pub planned_production_date: Option<NaiveDate>,
    /// The day the last of its regions so far was ratified: derived.
    pub actual_production_date: Option<NaiveDate>,
    /// Its validation: the newest request that is not cancelled.
    pub request_id: Option<RequestId>,
    /// Where that stands.
    pub validation_state: Option<ValidationState>,
    /// The day it was approved.
    pub validation_approved_date: Option<NaiveDate>,
    /// The SHA-256 of its artifact.
    pub artifact_digest: Option<String>,
    /// The artifact's file name.
    pub artifact_name: Option<String>,
    /// The artifact's size in bytes, where it is known.
    pub artifact_size: Option<i64>,
    /// Whether the artifact's bytes are kept here, or only its digest.
    pub artifact_stored: bool,
    /// The training job that it came from.
    pub job_id: Option<JobId>,
    /// Who submitted it.
    pub submitted_by_id: UserId,
    /// Their name.
    pub submitted_by_name: String,
    /// When.
    pub created_at: DateTime<Utc>,
    /// How often it was changed; the ETag.
    pub revision: Revision,
    /// The regions it names; none means all of the model's.
    #[sqlx(skip)]
    pub affected_region_ids: Vec<RegionId>,
    /// The three truths in each of its target regions.
    #[sqlx(skip)]
    pub targets: Vec<TruthView>,
    #[serde(skip)]
    live_now: bool,
    #[serde(skip)]
    live_ever: bool,
    #[serde(skip)]
    names_regions: bool,
}

/// A row of a model's versions.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct VersionRow {
    /// Its number in the product.
    pub version_id: VersionId,
    /// Its number within the model.
    #[sqlx(rename = "number")]
    pub version_number: String,
    /// How far the change goes.
    pub change_type: ChangeType,
    /// Where it is meant to go.
    pub scope: VersionScope,
    /// What changes, and why.
    pub description: String,
    /// Where it stands: derived.
    #[sqlx(skip)]
    pub status: VersionStatus,
    /// The day it is planned to go live.
    pub planned_production_date: Option<NaiveDate>,
    /// Its validation.
    pub request_id: Option<RequestId>,
    /// Where that stands.
    pub validation_state: Option<ValidationState>,
    /// The SHA-256 of its artifact.
    pub artifact_digest: Option<String>,
    /// How many regions it targets.
    pub target_regions: i64,
    /// In how many of them it is ratified live.
    pub live_regions: i64,
    /// Who submitted it.
    pub submitted_by_name: String,
    /// When.
    pub created_at: DateTime<Utc>,
    #[serde(skip)]
    live_ever: bool,
}

/// What there is to know before submitting a change.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Outlook {
    /// The number that a MAJOR change would get.
    pub next_major: String,
    /// The number that a MINOR change would get.
    pub next_minor: String,
    /// Whether a MINOR change needs a validation, too.
    pub minor_needs_validation: bool,
    /// What must end before another version can be submitted.
    pub blockers: Vec<Blocker>,
}

/// One version.
///
/// # Errors
/// `not_found` if there is none, or the person may not see its model.
pub async fn get(app: &App, actor: &Actor, version: VersionId) -> Result<VersionView> {
    shown(app, actor, version).await.map(|(view, _)| view)
}

/// The version, and how the person stands to its model.
async fn shown(app: &App, actor: &Actor, version: VersionId) -> Result<(VersionView, Vec<Relation>)> {
    let hidden = || Error::not_found("version", version);
    let view = store::view(&app.db, version).await?.ok_or_else(hidden)?;
    let relations = access::relations(app, &app.db, actor, view.model_id, None).await?.ok_or_else(hidden)?;
    access::permit(app, actor, Action::ModelView, &relations, hidden)?;
    Ok((complete(app, view).await?, relations))
}

/// Lets an act on a version go on only if the policy permits it, and says which model it is of.
async fn authorise(app: &App, actor: &Actor, action: Action, version: VersionId) -> Result<ModelId> {
    let hidden = || Error::not_found("version", version);
    let model = store::model_of(&app.db, version).await?.ok_or_else(hidden)?;
    let relations = access::relations(app, &app.db, actor, model, None).await?.ok_or_else(hidden)?;
    access::permit(app, actor, action, &relations, hidden)?;
    Ok(model)
}

/// The version, for somebody who was authorised already.
async fn view(app: &App, version: VersionId) -> Result<VersionView> {
    let view = store::view(&app.db, version).await?.ok_or_else(|| Error::not_found("version", version))?;
    complete(app, view).await
}

/// Adds what follows from the facts.
async fn complete(app: &App, mut view: VersionView) -> Result<VersionView> {
    view.status = rules::version_status(view.live_now, view.live_ever, view.validation_state);
    view.targets = truths::of_version(app, view.version_id).await?;
    if view.names_regions {
        view.affected_region_ids = view.targets.iter().map(|target| target.region_id).collect();
    }
    Ok(view)
}

/// A model's versions, the newest first.
///
/// # Errors
/// `not_found` if the person may not see the model; `invalid` for a bad cursor.
pub async fn list(
    app: &App,
    actor: &Actor,
    model: ModelId,
    limit: Option<i64>,
    cursor: Option<&Cursor>,
) -> Result<Page<VersionRow>> {
    access::authorise(app, &app.db, actor, Action::ModelView, model).await?;
    rows(app, model, limit, cursor).await
}

/// The versions, for somebody who was authorised already.
pub async fn rows(app: &App, model: ModelId, limit: Option<i64>, cursor: Option<&Cursor>) -> Result<Page<VersionRow>> {
    let limit = paging::limit(limit)?;
    let after = cursor.map(Cursor::keys::<VersionId>).transpose()?;
    let mut rows = store::rows(&app.db, model, after, limit).await?;
    for row in &mut rows {
        row.status = rules::version_status(row.live_regions > 0, row.live_ever, row.validation_state);
    }
    Ok(Page::cut(rows, limit, |row| row.version_id))
}

/// The numbers that come next, and what blocks another version.
///
/// # Errors
/// `not_found` if the person may not see the model.
pub async fn outlook(app: &App, actor: &Actor, model: ModelId) -> Result<Outlook> {
    access::authorise(app, &app.db, actor, Action::ModelView, model).await?;
    known_outlook(app, model).await
}

/// The outlook, for somebody who was authorised already.
pub async fn known_outlook(app: &App, model: ModelId) -> Result<Outlook> {
    let (facts, used) = store::facts(&app.db, model).await?;
    Ok(Outlook {
        next_major: rules::next_number(&used, ChangeType::Major).to_string(),
        next_minor: rules::next_number(&used, ChangeType::Minor).to_string(),
        minor_needs_validation: store::minor_needs_validation(&app.db, model).await?,
        blockers: rules::blockers(&facts),
    })
}
