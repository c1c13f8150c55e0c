//! Models: what the firm has, who answers for each, and where it is used.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::audit::{Act, Record};
use crate::db;
use crate::error::{self, Error, Fields, Result};
use crate::identity::{Action, Actor, access};
use crate::ids::{ModelId, ProjectId, RegionId, TeamId, UserId};
use crate::web::etag::check_revision;
use crate::web::{Cursor, Page, Revision, paging};
use crate::words::{ModelStatus, RiskTier};
use crate::{readiness, tasks};

mod api;
mod list;
mod pages;
mod store;

pub use api::api;
pub use list::{ModelFilter, ModelList, ModelRow, ModelSort, list};
pub use pages::pages;

/// A model with all that is kept of it.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct ModelView {
    /// Its number.
    pub model_id: ModelId,
    /// Its name, unique.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Who answers for it.
    pub owner_id: UserId,
    /// Their name.
    pub owner_name: String,
    /// Who makes it.
    pub developer_id: Option<UserId>,
    /// Their name.
    pub developer_name: Option<String>,
    /// The project it belongs to.
    pub project_id: ProjectId,
    /// That project's name.
    pub project_name: String,
    /// The team that holds the project.
    pub team_id: TeamId,
    /// That team's name.
    pub team_name: String,
    /// How much harm it can do.
    pub risk_tier: RiskTier,
    /// Where it is in its life.
    pub status: ModelStatus,
    /// What finds it again when its inventory is imported once more.
    pub external_key: Option<String>,
    /// When it was added.
    pub created_at: chrono::DateTime<chrono::Utc>,
    /// How often it was changed; the ETag.
    pub revision: Revision,
    /// The regions it is used in, by code.
    #[sqlx(skip)]
    pub regions: Vec<ModelRegion>,
    /// What an import could not map, in its own words.
    #[sqlx(skip)]
    pub notes: Vec<Note>,
}

/// A region that a model is used in.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct ModelRegion {
    /// The region.
    pub region_id: RegionId,
    /// Its code.
    pub region_code: String,
    /// Its name.
    pub region_name: String,
    /// Whether its own approver must approve.
    pub requires_regional_approval: bool,
    /// Who answers for the model there, if not its owner.
    pub regional_owner_id: Option<UserId>,
    /// Their name.
    pub regional_owner_name: Option<String>,
}

/// A labelled text that came with an import.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Note {
    /// What it is about.
    pub label: String,
    /// The text.
    pub text: String,
}

/// What a model is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelBody {
    /// Its name, unique, at most 200 characters.
    pub name: String,
    /// What it is for, at most 10,000 characters.
    #[serde(default)]
    pub description: String,
    /// Who answers for it.
    pub owner_id: UserId,
    /// Who makes it.
    #[serde(default)]
    pub developer_id: Option<UserId>,
    /// The project it belongs to.
    pub project_id: ProjectId,
    /// How much harm it can do.
    pub risk_tier: RiskTier,
    /// Where it is in its life.
    #[serde(default = "in_development")]
    pub status: ModelStatus,
    /// The regions it is used in; at least one.
    pub regions: Vec<RegionUse>,
}

fn in_development() -> ModelStatus {
    ModelStatus::InDevelopment
}

/// That a model is used in a region, and who answers for it there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegionUse {
    /// The region.
    pub region_id: RegionId,
    /// Who answers for the model there, if not its owner.
    #[serde(default)]
    pub regional_owner_id: Option<UserId>,
}

/// One model.
///
/// # Errors
/// `not_found` if there is none, or the person may not see it.
pub async fn get(app: &App, actor: &Actor, model: ModelId) -> Result<ModelView> {
    access::authorise(app, &app.db, actor, Action::ModelView, model).await?;
    view(app, model).await
}

/// The model, for somebody who was authorised already.
pub async fn view(app: &App, model: ModelId) -> Result<ModelView> {
    store::view(&app.db, model).await?.ok_or_else(|| Error::not_found("model", model))
}

/// Adds a model.
///
/// # Errors
/// `forbidden`, `invalid`, or `conflict` if the name is taken.
pub async fn create(app: &App, actor: &Actor, body: ModelBody) -> Result<ModelView> {
    actor.may(app, Action::ModelCreate, &[])?;
    let mut act = Act::begin(app, &actor.who).await?;
    let model = add(&mut act, body).await?;
    act.commit().await?;
    view(app, model).await
}

/// Adds a model within an act that was authorised.
///
/// # Errors
/// `invalid`, or `conflict` if the name is taken.
pub async fn add(act: &mut Act, body: ModelBody) -> Result<ModelId> {
    let body = checked(body)?;
    check_references(act, &body, None).await?;
    let model = store::insert(&mut act.tx, &body, act.now).await.map_err(|cause| name_taken(cause, &body.name))?;
    store::set_regions(&mut act.tx, model, &body.regions).await?;
    act.record(Record::new("model.created", "model", model).model(model).after(&body));
    act.tell("models");
    Ok(model)
}

/// Changes a model. Open tasks follow its owners, and what is ready follows its regions.
///
/// # Errors
/// `not_found`, `forbidden`, `invalid`, `stale`, or `conflict` if the name is taken or a region is
/// taken away in which something is live or due.
pub async fn update(app: &App, actor: &Actor, model: ModelId, seen: Revision, body: ModelBody) -> Result<ModelView> {
    access::authorise(app, &app.db, actor, Action::ModelEdit, model).await?;
    let after = checked(body)?;
    let mut act = Act::begin(app, &actor.who).await?;
    access::lock_models(&mut act.tx, &[model]).await?;
    let (revision, before) = store::body(&mut act.tx, model).await?.ok_or_else(|| Error::not_found("model", model))?;
    check_revision("model", seen, revision)?;
    if after == before {
        drop(act);
        return view(app, model).await;
    }
    check_references(&mut act, &after, Some(&before)).await?;
    check_removed_regions(&mut act, model, &before, &after).await?;
    store::update(&mut act.tx, model, &after).await.map_err(|cause| name_taken(cause, &after.name))?;
    store::set_regions(&mut act.tx, model, &after.regions).await?;
    let regions_changed = after.regions != before.regions;
    if regions_changed || after.owner_id != before.owner_id {
        tasks::owners_changed(&mut act, &[model]).await?;
        readiness::refresh(&mut act, &[model]).await?;
    } else if after.risk_tier != before.risk_tier {
        readiness::refresh(&mut act, &[model]).await?;
    }
    act.record(Record::new("model.changed", "model", model).model(model).before(before).after(after));
    act.tell("models");
    act.commit().await?;
    view(app, model).await
}

/// The rules that need no database; regions come out sorted, so that bodies can be compared.
fn checked(mut body: ModelBody) -> Result<ModelBody> {
    let mut fields = Fields::default();
    body.name = fields.text("name", &body.name, 200);
    body.description = fields.optional_text("description", &body.description, 10_000);
    fields.check(!body.regions.is_empty(), "regions", "A model is used in at least one region.");
    body.regions.sort_by_key(|region| region.region_id);
    let twice = body.regions.windows(2).any(|pair| pair[0].region_id == pair[1].region_id);
    fields.check(!twice, "regions", "A region is named twice.");
    fields.done()?;
    Ok(body)
}

/// That the people, project and regions named exist; people who were disabled may stay.
async fn check_references(act: &mut Act, body: &ModelBody, before: Option<&ModelBody>) -> Result<()> {
    let people = |body: &ModelBody| -> BTreeSet<UserId> {
        let regional = body.regions.iter().filter_map(|region| region.regional_owner_id);
        [Some(body.owner_id), body.developer_id].into_iter().flatten().chain(regional).collect()
    };
    let regions: Vec<RegionId> = body.regions.iter().map(|region| region.region_id).collect();
    let mut known = store::known(&mut act.tx, &people(body), body.project_id, &regions).await?;
    known.people.extend(before.map(people).unwrap_or_default());
    let is_known = |person: Option<UserId>| person.is_none_or(|person| known.people.contains(&person));
    let mut fields = Fields::default();
    fields.check(is_known(Some(body.owner_id)), "owner_id", "There is no such person, or they are disabled.");
    fields.check(is_known(body.developer_id), "developer_id", "There is no such person, or they are disabled.");
    fields.check(known.project, "project_id", "There is no such project.");
    for region in &body.regions {
        fields.check(known.regions.contains(&region.region_id), "regions", "There is no such region.");
        fields.check(is_known(region.regional_owner_id), "regions", "A regional owner does not exist or is disabled.");
    }
    fields.done()
}

/// A region in which something is live or due cannot be taken away from under it.
async fn check_removed_regions(act: &mut Act, model: ModelId, before: &ModelBody, after: &ModelBody) -> Result<()> {
    let kept: BTreeSet<RegionId> = after.regions.iter().map(|region| region.region_id).collect();
    let removed = before.regions.iter().map(|region| region.region_id).filter(|region| !kept.contains(region));
    let busy = store::busy_regions(&mut act.tx, model, removed.collect()).await?;
    if busy.is_empty() {
        return Ok(());
    }
    let names = busy.join(", ");
    Err(Error::new(&error::CONFLICT, format!("A version is live, or a deployment task is open, in {names}."))
        .hint("Keep the region, or end what is live and cancel the open task there first.")
        .fact("regions", busy))
}

fn name_taken(cause: db::DbError, name: &str) -> Error {
    if db::is_duplicate(&cause) {
        Error::new(&error::CONFLICT, format!("There is a model with the name “{name}” already."))
    } else {
        cause.into()
    }
}
