//! Experiments: what runs are grouped by. One that belongs to a model is seen by who sees the model, others by everybody.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::answers::{missing, wrong};
use super::filter::Subject;
use super::search::{self, KeyValue, Search};
use super::tags;
use super::wire::{Done, Int, List, Pair, millis};
use super::{Lifecycle, OWN, RECORD, ViewType, rules};
use crate::app::App;
use crate::audit::{Act, Record};
use crate::db;
use crate::error::{self, Error, Result};
use crate::identity::{Actor, Relation};
use crate::ids::{ExperimentId, UserId};

pub(super) mod api;
mod store;

/// An experiment, as MLflow has it.
#[derive(Debug, Clone, Serialize)]
pub struct ExperimentView {
    experiment_id: String,
    name: String,
    artifact_location: String,
    lifecycle_stage: Lifecycle,
    last_update_time: i64,
    creation_time: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<Pair>,
}

/// An experiment's row.
#[derive(Debug, Clone, sqlx::FromRow)]
struct ExperimentRow {
    experiment_id: ExperimentId,
    name: String,
    created_by_id: Option<UserId>,
    created_at: chrono::DateTime<chrono::Utc>,
    updated_at: chrono::DateTime<chrono::Utc>,
    deleted_at: Option<chrono::DateTime<chrono::Utc>>,
}

impl ExperimentRow {
    fn view(self, tags: Vec<Pair>) -> ExperimentView {
        ExperimentView {
            experiment_id: self.experiment_id.to_string(),
            name: self.name,
            artifact_location: format!("mlflow-artifacts:/{}", self.experiment_id),
            lifecycle_stage: Lifecycle::of(self.deleted_at),
            last_update_time: millis(self.updated_at),
            creation_time: millis(self.created_at),
            tags,
        }
    }
}

/// An experiment to make.
#[derive(Debug, Deserialize)]
pub struct NewExperiment {
    name: String,
    #[serde(default)]
    artifact_location: Option<String>,
    #[serde(default)]
    tags: List<Pair>,
}

/// What is searched for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ExperimentSearch {
    filter: Option<String>,
    order_by: Option<Vec<String>>,
    view_type: Option<ViewType>,
    max_results: Option<Int>,
    page_token: Option<String>,
}

/// A page of experiments.
#[derive(Debug, Serialize)]
pub struct Experiments {
    experiments: Vec<ExperimentView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

/// Makes an experiment.
///
/// # Errors
/// `forbidden`, `malformed`, or `conflict` if the name is taken.
pub async fn create(app: &App, actor: &Actor, new: NewExperiment) -> Result<ExperimentId> {
    actor.may(app, RECORD, &[OWN])?;
    let name = rules::experiment_name(&new.name)?;
    if new.artifact_location.is_some_and(|place| !place.is_empty()) {
        return Err(wrong("Artifacts are kept by this server: leave artifact_location out."));
    }
    rules::check_tags(&new.tags.0)?;
    let mut act = Act::begin(app, &actor.who).await?;
    let made = store::insert(&mut act.tx, name, actor.user_id, act.now).await;
    let id = made.map_err(|cause| taken(cause, name))?;
    tags::EXPERIMENT.set(&mut act.tx, id, &new.tags.0).await?;
    act.record(Record::new("experiment.created", "experiment", id).after(json!({ "name": name })));
    act.tell("training");
    act.commit().await?;
    Ok(id)
}

fn taken(cause: db::DbError, name: &str) -> Error {
    if db::is_duplicate(&cause) {
        Error::new(&error::CONFLICT, format!("Experiment '{name}' already exists."))
    } else {
        cause.into()
    }
}

/// One experiment, deleted ones too.
///
/// # Errors
/// `not_found`.
pub async fn get(app: &App, actor: &Actor, id: ExperimentId) -> Result<ExperimentView> {
    with_tags(app, seen(app, actor, id).await?).await
}

/// One experiment by its name, deleted ones too.
///
/// # Errors
/// `not_found`.
pub async fn get_by_name(app: &App, actor: &Actor, name: &str) -> Result<ExperimentView> {
    let row = store::by_name(app, actor, name).await?;
    with_tags(app, row.ok_or_else(|| missing("experiment", name))?).await
}

async fn with_tags(app: &App, row: ExperimentRow) -> Result<ExperimentView> {
    let tags = store::tags(&app.db, &[row.experiment_id]).await?.into_iter().map(|tag| tag.1).collect();
    Ok(row.view(tags))
}

async fn seen(app: &App, actor: &Actor, id: ExperimentId) -> Result<ExperimentRow> {
    store::by_id(app, actor, id).await?.ok_or_else(|| missing("experiment", &id.to_string()))
}

/// Lets somebody put runs into an experiment that they see and that is not deleted.
///
/// # Errors
/// `not_found`, `malformed` if it is deleted.
pub(super) async fn for_runs(app: &App, actor: &Actor, id: ExperimentId) -> Result<()> {
    match seen(app, actor, id).await?.deleted_at {
        None => Ok(()),
        Some(_) => Err(wrong(format!("The experiment {id} must be active; it is deleted."))),
    }
}

/// Finds experiments.
///
/// # Errors
/// `malformed` for a filter that cannot be understood.
pub async fn search(app: &App, actor: &Actor, asked: ExperimentSearch) -> Result<Experiments> {
    let limit = search::limit(asked.max_results.map(|most| most.0), 1000, 50_000)?;
    let order = asked.order_by.unwrap_or_default();
    let ends: &[_] = if order.is_empty() {
        &[("creation_time", true), ("experiment_id", true)]
    } else {
        &[("experiment_id", false)]
    };
    let search = Search::read(&store::SEARCHED, asked.filter.as_deref().unwrap_or_default(), &order, ends)?;
    let view = asked.view_type.unwrap_or_default();
    let mut rows = store::search(app, actor, &search, view, asked.page_token.as_deref(), limit).await?;
    let more = i64::try_from(rows.len()).unwrap_or(i64::MAX) > limit;
    rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let ids: Vec<ExperimentId> = rows.iter().map(|row| row.experiment_id).collect();
    let mut tags = super::grouped(store::tags(&app.db, &ids).await?);
    let next_page_token = rows.last().filter(|_| more).map(|row| search.cursor(|subject| key_of(row, &tags, subject)));
    let experiments = rows.into_iter().map(|row| {
        let own = tags.remove(&row.experiment_id).unwrap_or_default();
        row.view(own)
    });
    Ok(Experiments { experiments: experiments.collect(), next_page_token })
}

fn key_of(
    row: &ExperimentRow,
    tags: &std::collections::HashMap<ExperimentId, Vec<Pair>>,
    subject: &Subject,
) -> KeyValue {
    match subject {
        Subject::Attribute(name) => match name.as_str() {
            "name" => KeyValue::Text(row.name.clone()),
            "experiment_id" => KeyValue::Int(row.experiment_id.0),
            "last_update_time" => KeyValue::Instant(row.updated_at),
            _ => KeyValue::Instant(row.created_at),
        },
        Subject::Tag(name) => KeyValue::text(super::value_of(tags.get(&row.experiment_id), name)),
        _ => KeyValue::None,
    }
}

/// Renames, deletes or restores an experiment.
#[derive(Debug)]
pub enum Change {
    /// Gives it another name.
    Rename(String),
    /// Hides it; its runs stay.
    Delete,
    /// Shows it again.
    Restore,
}

/// Changes an experiment: who made it, and administrators.
///
/// # Errors
/// `not_found`, `forbidden`, `malformed`, or `conflict` if the name is taken.
pub async fn change(app: &App, actor: &Actor, id: ExperimentId, change: Change) -> Result<Done> {
    let before = seen(app, actor, id).await?;
    own(app, actor, &before)?;
    if before.created_by_id.is_none() {
        return Err(wrong("The experiment that is used if none is named stays as it is."));
    }
    let mut act = Act::begin(app, &actor.who).await?;
    let (action, after) = match change {
        Change::Rename(name) => {
            let name = rules::experiment_name(&name)?.to_owned();
            let renamed = store::rename(&mut act.tx, id, &name, act.now).await;
            renamed.map_err(|cause| taken(cause, &name))?;
            ("experiment.renamed", name)
        }
        Change::Delete => {
            store::set_deleted(&mut act.tx, id, Some(act.now), act.now).await?;
            ("experiment.deleted", before.name.clone())
        }
        Change::Restore => {
            store::set_deleted(&mut act.tx, id, None, act.now).await?;
            ("experiment.restored", before.name.clone())
        }
    };
    let named = |name: &str| json!({ "name": name });
    act.record(Record::new(action, "experiment", id).before(named(&before.name)).after(named(&after)));
    act.tell("training");
    act.commit().await?;
    Ok(Done {})
}

fn own(app: &App, actor: &Actor, row: &ExperimentRow) -> Result<()> {
    let relations: &[Relation] = if row.created_by_id == Some(actor.user_id) { &[OWN] } else { &[] };
    actor.may(app, RECORD, relations)
}

/// Sets a tag of an experiment, or takes it away. Whoever may put runs into it may tag it.
///
/// # Errors
/// `not_found`, `forbidden`, `malformed`.
pub async fn tag(app: &App, actor: &Actor, id: ExperimentId, name: &str, value: Option<String>) -> Result<Done> {
    seen(app, actor, id).await?;
    actor.may(app, RECORD, &[OWN])?;
    let mut act = Act::begin(app, &actor.who).await?;
    match value {
        Some(value) => {
            let tag = [Pair { key: name.to_owned(), value }];
            rules::check_tags(&tag)?;
            tags::EXPERIMENT.set(&mut act.tx, id, &tag).await?;
        }
        None if tags::EXPERIMENT.remove(&mut act.tx, id, name).await? == 0 => {
            return Err(missing("tag", name));
        }
        None => (),
    }
    act.commit().await?;
    Ok(Done {})
}
