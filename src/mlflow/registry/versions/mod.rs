//! Versions of models as MLflow's model versions: registered from a folder of files, whose bytes are what is approved.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{ModelId, VersionId, authorised};
use crate::app::App;
use crate::audit::{Act, Record};
use crate::error::{self, Error, Result};
use crate::identity::{Action, Actor};
use crate::inventory;
use crate::mlflow::answers::{missing, not_supported, wrong};
use crate::mlflow::filter::Subject;
use crate::mlflow::rules::{self, Holder};
use crate::mlflow::search::{self, KeyValue, Search};
use crate::mlflow::tags;
use crate::mlflow::wire::{Done, Int, List, Pair, millis};
use crate::words::ValidationState;

pub mod api;
mod create;
mod store;

pub use create::{NewVersion, create};
pub(super) use store::Approval;

/// A version's row.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct Row {
    version_id: VersionId,
    model_id: ModelId,
    name: String,
    ordinal: i64,
    number: String,
    created_at: DateTime<Utc>,
    description: String,
    email: String,
    source: Option<String>,
    run_uuid: Option<String>,
    validation_state: Option<ValidationState>,
}

/// A model version, as MLflow has it.
#[derive(Debug, Clone, Serialize)]
pub struct VersionView {
    name: String,
    version: String,
    creation_timestamp: i64,
    last_updated_timestamp: i64,
    user_id: String,
    current_stage: &'static str,
    description: String,
    source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<String>,
    status: &'static str,
    status_message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<Pair>,
    run_link: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    aliases: Vec<String>,
}

/// What belongs to a version.
#[derive(Debug, Default)]
struct Belongings {
    tags: Vec<Pair>,
    aliases: Vec<String>,
}

impl Row {
    fn view(self, own: Belongings) -> VersionView {
        let validation = self.validation_state.map_or("NONE", ValidationState::as_str);
        VersionView {
            name: self.name,
            version: self.ordinal.to_string(),
            creation_timestamp: millis(self.created_at),
            last_updated_timestamp: millis(self.created_at),
            user_id: self.email,
            current_stage: "None",
            description: self.description,
            source: self.source.unwrap_or_default(),
            run_id: self.run_uuid,
            status: "READY",
            status_message: format!("Version {}; validation: {validation}", self.number),
            tags: own.tags,
            run_link: "",
            aliases: own.aliases,
        }
    }
}

async fn belongings(app: &App, rows: &[Row]) -> Result<HashMap<VersionId, Belongings>> {
    let ids: Vec<VersionId> = rows.iter().map(|row| row.version_id).collect();
    let mut found: HashMap<VersionId, Belongings> = HashMap::new();
    for (version, kind, key, value) in store::details(&app.db, &ids).await? {
        let own = found.entry(version).or_default();
        match kind.as_str() {
            "t" => own.tags.push(Pair { key, value }),
            _ => own.aliases.push(key),
        }
    }
    Ok(found)
}

async fn views(app: &App, rows: Vec<Row>) -> Result<Vec<VersionView>> {
    let mut own = belongings(app, &rows).await?;
    let view = |row: Row| {
        let own = own.remove(&row.version_id).unwrap_or_default();
        row.view(own)
    };
    Ok(rows.into_iter().map(view).collect())
}

/// The newest version of each of these models, for somebody who sees them.
pub(super) async fn newest(app: &App, models: &[ModelId]) -> Result<Vec<(ModelId, VersionView)>> {
    let rows = store::newest(&app.db, models).await?;
    let of: Vec<ModelId> = rows.iter().map(|row| row.model_id).collect();
    Ok(of.into_iter().zip(views(app, rows).await?).collect())
}

/// Whether a version of a model is approved, by the number that clients know it by.
pub(super) async fn approval(
    conn: impl Into<crate::db::Conn<'_>>,
    model: ModelId,
    number: i64,
) -> Result<Option<Approval>> {
    Ok(store::approval(conn, model, number).await?)
}

/// One version.
///
/// # Errors
/// `not_found`.
pub async fn get(app: &App, actor: &Actor, name: &str, number: i64) -> Result<VersionView> {
    let row = seen(app, actor, name, number).await?;
    views(app, vec![row]).await?.pop().ok_or_else(|| unknown(name, number))
}

async fn seen(app: &App, actor: &Actor, name: &str, number: i64) -> Result<Row> {
    store::by_number(app, actor, name, number).await?.ok_or_else(|| unknown(name, number))
}

fn unknown(name: &str, number: i64) -> Error {
    missing("model version", &format!("{name}, {number}"))
}

/// Where a version's files are, for a client to load them.
///
/// # Errors
/// `not_found`; `artifact_unverified` if it has no files here, but an artifact that was uploaded otherwise.
pub async fn download_uri(app: &App, actor: &Actor, name: &str, number: i64) -> Result<String> {
    let row = seen(app, actor, name, number).await?;
    match store::place(&app.db, row.version_id).await? {
        Some((holder, folder, experiment)) => Ok(Holder::model(&holder).uri(experiment, &folder)),
        None => Err(Error::new(
            &error::ARTIFACT_UNVERIFIED,
            format!(
                "Version {} of {name} was not registered from files: download its artifact on its page.",
                row.number
            ),
        )),
    }
}

/// Describes a version anew, as long as nobody was asked to validate it.
///
/// # Errors
/// `not_found`, `forbidden`, or `version_in_use` once it is being validated.
pub async fn describe(app: &App, actor: &Actor, name: &str, number: i64, text: &str) -> Result<VersionView> {
    let model = authorised(app, actor, Action::VersionSubmit, name).await?;
    let row = seen(app, actor, name, number).await?;
    if row.validation_state.is_some() {
        let sentence = "The version is being validated, or was: what was said of it then stays.";
        return Err(Error::new(&error::VERSION_IN_USE, sentence));
    }
    if text.chars().count() > 10_000 {
        return Err(wrong("A description has at most 10,000 characters."));
    }
    let mut act = Act::begin(app, &actor.who).await?;
    store::describe(&mut act.tx, row.version_id, text).await?;
    let said = |text: &str| json!({ "description": text });
    act.record(
        Record::new("version.described", "version", row.version_id)
            .model(model)
            .before(said(&row.description))
            .after(said(text)),
    );
    act.tell("models");
    act.commit().await?;
    get(app, actor, name, number).await
}

/// Deletes a bare draft; its files are no longer sealed by it.
///
/// # Errors
/// `not_found`, `forbidden`, or `version_in_use` if it has a history.
pub async fn delete(app: &App, actor: &Actor, name: &str, number: i64) -> Result<Done> {
    let row = seen(app, actor, name, number).await?;
    inventory::versions::delete(app, actor, row.version_id).await?;
    Ok(Done {})
}

/// Sets a tag of a version, or takes it away.
///
/// # Errors
/// `not_found`, `forbidden`, `malformed`.
pub async fn tag(app: &App, actor: &Actor, name: &str, number: i64, key: &str, value: Option<String>) -> Result<Done> {
    let model = authorised(app, actor, Action::VersionSubmit, name).await?;
    let version = seen(app, actor, name, number).await?.version_id;
    let mut act = Act::begin(app, &actor.who).await?;
    let before = tags::VERSION.get(&mut act.tx, version, key).await?;
    let said = |value: Option<&str>| json!({ "tag": key, "value": value });
    let record = Record::new("version.tagged", "version", version).model(model).before(said(before.as_deref()));
    match value {
        Some(value) => {
            let tag = [Pair { key: key.to_owned(), value }];
            rules::check_tags(&tag)?;
            tags::VERSION.set(&mut act.tx, version, &tag).await?;
            act.record(record.after(said(Some(&tag[0].value))));
        }
        None if tags::VERSION.remove(&mut act.tx, version, key).await? == 0 => return Err(missing("tag", key)),
        None => act.record(record.after(said(None))),
    }
    act.tell("models");
    act.commit().await?;
    Ok(Done {})
}

/// Stages are not how this product says what is in production.
///
/// # Errors
/// Always `not_supported`.
pub fn no_stages() -> Error {
    not_supported(
        "Stages are not kept here: a version is approved by its validation, and an alias such as “champion” names it. Use aliases.",
    )
}

/// The newest version of a model, as a client asks for it by stage.
///
/// # Errors
/// `not_found`.
pub async fn latest(app: &App, actor: &Actor, name: &str, stages: &[String]) -> Result<Vec<VersionView>> {
    let model = super::seen(app, actor, name).await?.model_id;
    if !stages.is_empty() && !stages.iter().any(|stage| stage.eq_ignore_ascii_case("none")) {
        return Ok(Vec::new());
    }
    Ok(newest(app, &[model]).await?.into_iter().map(|one| one.1).collect())
}

/// What is searched for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct VersionSearch {
    filter: Option<String>,
    max_results: Option<Int>,
    order_by: Option<Vec<String>>,
    page_token: Option<String>,
}

/// A page of versions.
#[derive(Debug, Serialize)]
pub struct Versions {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    model_versions: Vec<VersionView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

/// Finds versions: three statements, whatever their number.
///
/// # Errors
/// `malformed` for a filter that cannot be understood.
pub async fn search(app: &App, actor: &Actor, asked: VersionSearch) -> Result<Versions> {
    let limit = search::limit(asked.max_results.map(|most| most.0), 10_000, 200_000)?;
    let ends = [("last_updated_timestamp", true), ("name", false), ("version_number", true)];
    let filter = asked.filter.as_deref().unwrap_or_default();
    let search = Search::read(&store::SEARCHED, filter, &asked.order_by.unwrap_or_default(), &ends)?;
    let mut rows = store::search(app, actor, &search, asked.page_token.as_deref(), limit).await?;
    let more = i64::try_from(rows.len()).unwrap_or(i64::MAX) > limit;
    rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let mut own = belongings(app, &rows).await?;
    let last = rows.last().filter(|_| more);
    let next_page_token = last.map(|row| search.cursor(|subject| key_of(row, own.get(&row.version_id), subject)));
    let views = rows.into_iter().map(|row| {
        let own = own.remove(&row.version_id).unwrap_or_default();
        row.view(own)
    });
    Ok(Versions { model_versions: views.collect(), next_page_token })
}

fn key_of(row: &Row, own: Option<&Belongings>, subject: &Subject) -> KeyValue {
    match subject {
        Subject::Attribute(name) => match name.as_str() {
            "name" => KeyValue::Text(row.name.clone()),
            "version_number" => KeyValue::Int(row.ordinal),
            "run_id" => KeyValue::text(row.run_uuid.as_deref()),
            "source_path" | "source" => KeyValue::text(row.source.as_deref()),
            "user_id" => KeyValue::Text(row.email.clone()),
            _ => KeyValue::Instant(row.created_at),
        },
        Subject::Tag(name) => KeyValue::text(crate::mlflow::value_of(own.map(|own| &own.tags), name)),
        _ => KeyValue::None,
    }
}
