//! The registry: models of the inventory as MLflow's registered models, with tags and aliases.
//!
//! Every change is an act with its ledger entries, under the rules of the pages. An alias that means production names only
//! a version that is approved, and stops answering if the approval lapses.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::answers::{missing, wrong};
use super::filter::Subject;
use super::rules;
use super::search::{self, KeyValue, Search};
use super::tags;
use super::wire::{Done, Int, List, Pair, millis};
use crate::app::App;
use crate::audit::{Act, Record};
use crate::error::{self, Error, Result};
use crate::identity::{Action, Actor, access};
use crate::ids::{ModelId, UserId, VersionId};
use crate::inventory::models::{self, ModelBody, ModelView};
use crate::inventory::{projects, regions};
use crate::words::{ModelStatus, RiskTier};

mod aliases;
pub(super) mod api;
mod store;
pub(super) mod versions;

pub use aliases::{delete_alias, get_by_alias, set_alias};
use versions::VersionView;

/// A model's row.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct ModelRow {
    pub model_id: ModelId,
    name: String,
    description: String,
    created_at: DateTime<Utc>,
    changed_at: DateTime<Utc>,
}

#[derive(Debug, Clone, Serialize)]
struct AliasView {
    alias: String,
    version: String,
}

/// A registered model, as MLflow has it.
#[derive(Debug, Clone, Serialize)]
pub struct RegisteredModel {
    name: String,
    creation_timestamp: i64,
    last_updated_timestamp: i64,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    latest_versions: Vec<VersionView>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<Pair>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    aliases: Vec<AliasView>,
}

/// What belongs to a model.
#[derive(Debug, Default)]
struct Belongings {
    tags: Vec<Pair>,
    aliases: Vec<AliasView>,
    latest: Vec<VersionView>,
}

impl ModelRow {
    fn view(self, own: Belongings) -> RegisteredModel {
        RegisteredModel {
            name: self.name,
            creation_timestamp: millis(self.created_at),
            last_updated_timestamp: millis(self.changed_at),
            description: self.description,
            latest_versions: own.latest,
            tags: own.tags,
            aliases: own.aliases,
        }
    }
}

async fn belongings(app: &App, rows: &[ModelRow]) -> Result<HashMap<ModelId, Belongings>> {
    let ids: Vec<ModelId> = rows.iter().map(|row| row.model_id).collect();
    let mut found: HashMap<ModelId, Belongings> = HashMap::new();
    for (model, kind, key, value) in store::details(&app.db, &ids).await? {
        let own = found.entry(model).or_default();
        match kind.as_str() {
            "t" => own.tags.push(Pair { key, value }),
            _ => own.aliases.push(AliasView { alias: key, version: value }),
        }
    }
    for (model, version) in versions::newest(app, &ids).await? {
        found.entry(model).or_default().latest.push(version);
    }
    Ok(found)
}

/// A model to be registered.
#[derive(Debug, Deserialize)]
pub struct NewModel {
    name: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    tags: List<Pair>,
}

/// The project that models come into if nobody names one, made when it is needed.
const PROJECT: &str = "MLflow";
const PROJECT_TAG: &str = "countersign.project";
const TIER_TAG: &str = "countersign.risk_tier";

/// Adds a model to the inventory, owned by whoever registers it.
///
/// Its project and risk tier are what the tags `countersign.project` and `countersign.risk_tier` say. What is not
/// classified counts as the highest tier, and as used in every region.
///
/// # Errors
/// `conflict` if there is such a model, which a client takes for an answer; `forbidden`, `malformed`.
pub async fn create(app: &App, actor: &Actor, new: NewModel) -> Result<RegisteredModel> {
    if store::by_name(app, actor, &new.name).await?.is_some() {
        return Err(exists(&new.name));
    }
    actor.may(app, Action::ModelCreate, &[])?;
    rules::check_tags(&new.tags.0)?;
    if new.name.contains(['/', ':']) {
        return Err(wrong("A model's name has no / and no : in it, for clients name its versions by them."));
    }
    let tag = |name| super::value_of(Some(&new.tags.0), name);
    let tier = tag(TIER_TAG).map(str::parse::<RiskTier>).transpose().map_err(wrong)?.unwrap_or(RiskTier::Tier1);
    let regions = regions::list(app).await?;
    if regions.is_empty() {
        let sentence = "A model is used in at least one region, and there is none yet: add one first.";
        return Err(Error::new(&error::ENVIRONMENT_NOT_READY, sentence));
    }
    let mut act = Act::begin(app, &actor.who).await?;
    let project_id = match tag(PROJECT_TAG) {
        Some(name) => projects::named(&mut act, name).await?.ok_or_else(|| missing("project", name))?,
        None => projects::ensure(&mut act, PROJECT).await?,
    };
    let body = ModelBody {
        name: new.name,
        description: new.description.unwrap_or_default(),
        owner_id: actor.user_id,
        developer_id: None,
        project_id,
        risk_tier: tier,
        status: ModelStatus::InDevelopment,
        regions: regions
            .into_iter()
            .map(|region| models::RegionUse { region_id: region.region_id, regional_owner_id: None })
            .collect(),
    };
    let name = body.name.clone();
    let model = models::add(&mut act, body).await?;
    tags::MODEL.set(&mut act.tx, model, &new.tags.0).await?;
    act.commit().await?;
    get(app, actor, name.trim()).await
}

fn exists(name: &str) -> Error {
    Error::new(&error::CONFLICT, format!("Registered Model (name={name}) already exists."))
}

/// One model.
///
/// # Errors
/// `not_found`.
pub async fn get(app: &App, actor: &Actor, name: &str) -> Result<RegisteredModel> {
    let row = seen(app, actor, name).await?;
    let own = belongings(app, std::slice::from_ref(&row)).await?.remove(&row.model_id).unwrap_or_default();
    Ok(row.view(own))
}

async fn seen(app: &App, actor: &Actor, name: &str) -> Result<ModelRow> {
    store::by_name(app, actor, name).await?.ok_or_else(|| missing("registered model", name))
}

/// The model of a name, on which the person may act so.
async fn authorised(app: &App, actor: &Actor, action: Action, name: &str) -> Result<ModelId> {
    let model = seen(app, actor, name).await?.model_id;
    access::authorise(app, &app.db, actor, action, model).await?;
    Ok(model)
}

/// What changes of a model.
#[derive(Debug, Default)]
pub struct ModelChange {
    /// Its new name.
    pub name: Option<String>,
    /// Its new description.
    pub description: Option<String>,
}

/// Renames a model, or describes it anew: as its page does.
///
/// # Errors
/// `not_found`, `forbidden`, `invalid`, or `conflict` if the name is taken.
pub async fn update(app: &App, actor: &Actor, name: &str, change: ModelChange) -> Result<RegisteredModel> {
    let model = seen(app, actor, name).await?.model_id;
    let before = models::get(app, actor, model).await?;
    let revision = before.revision;
    let mut body = body_of(before);
    if let Some(description) = change.description {
        body.description = description;
    }
    if let Some(name) = change.name {
        body.name = name;
    }
    let after = models::update(app, actor, model, revision, body).await?;
    get(app, actor, &after.name).await
}

fn body_of(view: ModelView) -> ModelBody {
    let regions = view.regions.iter();
    ModelBody {
        regions: regions
            .map(|one| models::RegionUse { region_id: one.region_id, regional_owner_id: one.regional_owner_id })
            .collect(),
        name: view.name,
        description: view.description,
        owner_id: view.owner_id,
        developer_id: view.developer_id,
        project_id: view.project_id,
        risk_tier: view.risk_tier,
        status: view.status,
    }
}

/// Removes a model that nothing was ever made of.
///
/// # Errors
/// `not_found`, `forbidden`, or `version_in_use` if it has versions or any other history.
pub async fn delete(app: &App, actor: &Actor, name: &str) -> Result<Done> {
    let model = authorised(app, actor, Action::ModelEdit, name).await?;
    let before = models::get(app, actor, model).await?;
    let mut act = Act::begin(app, &actor.who).await?;
    access::lock_models(&mut act.tx, &[model]).await?;
    let history = || {
        let sentence = format!(
            "The model {name} has versions or other history, which is never deleted: set it to RETIRED on its page instead."
        );
        Error::new(&error::VERSION_IN_USE, sentence)
    };
    if store::has_history(&mut act.tx, model).await? {
        return Err(history());
    }
    let gone = store::delete(&mut act.tx, model).await;
    gone.map_err(|cause| if crate::db::is_dangling(&cause) { history() } else { cause.into() })?;
    act.record(Record::new("model.deleted", "model", model).before(before));
    act.tell("models");
    act.commit().await?;
    Ok(Done {})
}

/// Sets a tag of a model, or takes it away.
///
/// # Errors
/// `not_found`, `forbidden`, `malformed`.
pub async fn tag(app: &App, actor: &Actor, name: &str, key: &str, value: Option<String>) -> Result<Done> {
    let model = authorised(app, actor, Action::VersionSubmit, name).await?;
    let mut act = Act::begin(app, &actor.who).await?;
    let before = tags::MODEL.get(&mut act.tx, model, key).await?;
    let said = |value: Option<&str>| json!({ "tag": key, "value": value });
    let record = Record::new("model.tagged", "model", model).model(model).before(said(before.as_deref()));
    match value {
        Some(value) => {
            let tag = [Pair { key: key.to_owned(), value }];
            rules::check_tags(&tag)?;
            tags::MODEL.set(&mut act.tx, model, &tag).await?;
            act.record(record.after(said(Some(&tag[0].value))));
        }
        None if tags::MODEL.remove(&mut act.tx, model, key).await? == 0 => return Err(missing("tag", key)),
        None => act.record(record.after(said(None))),
    }
    act.tell("models");
    act.commit().await?;
    Ok(Done {})
}

/// What is searched for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ModelSearch {
    filter: Option<String>,
    max_results: Option<Int>,
    order_by: Option<Vec<String>>,
    page_token: Option<String>,
}

/// A page of models.
#[derive(Debug, Serialize)]
pub struct RegisteredModels {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    registered_models: Vec<RegisteredModel>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

/// Finds models.
///
/// # Errors
/// `malformed` for a filter that cannot be understood.
pub async fn search(app: &App, actor: &Actor, asked: ModelSearch) -> Result<RegisteredModels> {
    let limit = search::limit(asked.max_results.map(|most| most.0), 100, 1000)?;
    let filter = asked.filter.as_deref().unwrap_or_default();
    let search = Search::read(&store::SEARCHED, filter, &asked.order_by.unwrap_or_default(), &[("name", false)])?;
    let mut rows = store::search(app, actor, &search, asked.page_token.as_deref(), limit).await?;
    let more = i64::try_from(rows.len()).unwrap_or(i64::MAX) > limit;
    rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let mut own = belongings(app, &rows).await?;
    let last = rows.last().filter(|_| more);
    let next_page_token = last.map(|row| search.cursor(|subject| key_of(row, own.get(&row.model_id), subject)));
    let models = rows.into_iter().map(|row| {
        let own = own.remove(&row.model_id).unwrap_or_default();
        row.view(own)
    });
    Ok(RegisteredModels { registered_models: models.collect(), next_page_token })
}

fn key_of(row: &ModelRow, own: Option<&Belongings>, subject: &Subject) -> KeyValue {
    match subject {
        Subject::Attribute(name) => match name.as_str() {
            "name" => KeyValue::Text(row.name.clone()),
            "last_updated_timestamp" => KeyValue::Instant(row.changed_at),
            _ => KeyValue::Instant(row.created_at),
        },
        Subject::Tag(name) => KeyValue::text(super::value_of(own.map(|own| &own.tags), name)),
        _ => KeyValue::None,
    }
}
