//! Data sets: the files that models learn from, with their digest, their columns and what each column is for.
//!
//! A data set never changes its bytes: other bytes are another data set.

use std::collections::BTreeMap;

use axum::body::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::artifacts;
use crate::audit::{Act, Record};
use crate::db::{self, Conn};
use crate::error::{self, Error, Fields, Result};
use crate::identity::{Action, Actor, Relation};
use crate::ids::{DatasetId, UserId};
use crate::web::etag::check_revision;
use crate::web::{Cursor, Page, Revision, paging};

pub(super) mod api;
pub(super) mod file;
pub(super) mod pages;
pub mod rules;
mod store;

use file::Survey;
use rules::{ColumnRole, Columns, Preview};

/// A data set.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct DatasetView {
    /// Its number.
    pub dataset_id: DatasetId,
    /// Its name.
    pub name: String,
    /// What it is.
    pub description: String,
    /// The SHA-256 of the file.
    pub digest: String,
    /// Where the file stays, if it was not uploaded.
    pub location: Option<String>,
    /// How it is written.
    #[schema(example = "csv")]
    pub format: String,
    /// Rows, without the line of names.
    pub row_count: i64,
    /// Its columns, in the file's order.
    pub columns: Columns,
    /// Its size in bytes, if it was uploaded.
    pub size_bytes: Option<i64>,
    /// The file's name.
    pub file_name: String,
    /// Whether its bytes are kept here.
    pub stored: bool,
    /// Who added it.
    pub created_by_id: UserId,
    /// Their name.
    pub created_by_name: String,
    /// When.
    pub created_at: DateTime<Utc>,
    /// How many training jobs learn or learned from it.
    pub jobs: i64,
    /// How often it was changed; the ETag.
    pub revision: Revision,
}

/// A data set with its first rows.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct DatasetDetail {
    /// The data set.
    #[serde(flatten)]
    #[sqlx(flatten)]
    pub dataset: DatasetView,
    /// Its first rows, at most 20.
    pub preview: Preview,
}

/// A row of the list.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct DatasetRow {
    /// The data set.
    #[sqlx(flatten)]
    pub dataset: DatasetView,
    /// How many data sets the filter matches; the same in every row.
    pub total_count: i64,
}

/// Which data sets are wanted.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DatasetFilter {
    /// Text in the name.
    pub q: Option<String>,
    /// How many rows, 1 to 500; 50 if absent.
    pub limit: Option<i64>,
    /// Where the page starts.
    pub cursor: Option<Cursor>,
}

/// A page of data sets, the newest first.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct DatasetList {
    /// The data sets.
    pub items: Vec<DatasetView>,
    /// How many there are on all pages.
    pub total_count: i64,
    /// Where the next page starts; none on the last.
    pub next_cursor: Option<Cursor>,
}

/// A data set to be added.
#[derive(Debug, Clone, Default)]
pub struct NewDataset {
    /// Its name, unique, 3 to 100 characters.
    pub name: String,
    /// What it is, at most 1,000 characters.
    pub description: String,
    /// The uploaded file: its name and its bytes.
    pub file: Option<(String, Bytes)>,
    /// Instead: the path of a file on the server's machine, which stays there.
    pub location: Option<String>,
}

/// What is said of a data set.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DatasetBody {
    /// Its name, unique, 3 to 100 characters.
    pub name: String,
    /// What it is, at most 1,000 characters.
    #[serde(default)]
    pub description: String,
    /// The roles of columns, by their names; those that are not named keep theirs.
    #[serde(default)]
    pub roles: BTreeMap<String, ColumnRole>,
}

/// The data sets, the newest first.
///
/// # Errors
/// `forbidden`; `invalid` for a limit out of bounds or a foreign cursor.
pub async fn list(app: &App, actor: &Actor, filter: &DatasetFilter) -> Result<DatasetList> {
    actor.may(app, Action::DatasetView, &[])?;
    let limit = paging::limit(filter.limit)?;
    let after = filter.cursor.as_ref().map(Cursor::keys).transpose()?;
    let rows = store::page(&app.db, filter, limit, after).await?;
    let total_count = rows.first().map_or(0, |row| row.total_count);
    let page = Page::cut(rows, limit, |row| row.dataset.dataset_id).map(|row| row.dataset);
    Ok(DatasetList { items: page.items, total_count, next_cursor: page.next_cursor })
}

/// One data set with its first rows.
///
/// # Errors
/// `not_found`.
pub async fn show(app: &App, actor: &Actor, dataset: DatasetId) -> Result<DatasetDetail> {
    let hidden = || Error::not_found("data set", dataset);
    let detail = store::detail(&app.db, dataset).await?.ok_or_else(hidden)?;
    actor.may(app, Action::DatasetView, relations(actor, &detail.dataset)).map_err(|_| hidden())?;
    Ok(detail)
}

/// The data set, for an area that checks rights itself; none if there is no such.
///
/// # Errors
/// Only failures of the database.
pub async fn find(conn: impl Into<Conn<'_>>, dataset: DatasetId) -> Result<Option<DatasetView>> {
    Ok(store::view(conn, dataset).await?)
}

/// The data sets that may be chosen, by name.
///
/// # Errors
/// Only failures of the database.
pub async fn choices(app: &App, actor: &Actor) -> Result<Vec<(DatasetId, String)>> {
    if actor.can(app, Action::DatasetView, &[]) { Ok(store::names(&app.db).await?) } else { Ok(Vec::new()) }
}

/// Adds a data set: uploaded, or a file that stays where it is.
///
/// # Errors
/// `forbidden`, `invalid` with the line at fault if the file is no table, `too_large`, `conflict` if the name is taken.
pub async fn create(app: &App, actor: &Actor, new: NewDataset) -> Result<DatasetDetail> {
    actor.may(app, Action::DatasetCreate, &[])?;
    let mut fields = Fields::default();
    let (name, description) = checked(&mut fields, &new.name, &new.description);
    let location = new.location.as_deref().map(str::trim).filter(|text| !text.is_empty());
    let upload = new.file.filter(|(_, bytes)| !bytes.is_empty());
    match (&upload, location) {
        (Some(_), Some(_)) => fields.refuse("location", "Either upload a file or name one, not both."),
        (None, None) => fields.refuse("file", "Choose a file that is not empty."),
        _ => (),
    }
    fields.done()?;
    let (survey, stored, file_name, location) = match upload {
        Some((file_name, bytes)) => {
            let pieces = futures_util::stream::iter([Ok::<_, std::io::Error>(bytes)]);
            let stored = artifacts::keep(app, pieces, None).await?;
            let survey = file::survey(app, artifacts::file_of(app, &stored.digest), "file").await?;
            (survey, Some(stored), artifacts::safe_name(&file_name), None)
        }
        None => {
            let path = file::allowed(app, location.unwrap_or_default())?;
            let path_text = path.display().to_string();
            let file_name = artifacts::safe_name(&path_text);
            (file::survey(app, path, "location").await?, None, file_name, Some(path_text))
        }
    };
    let mut act = Act::begin(app, &actor.who).await?;
    match &stored {
        Some(stored) => artifacts::record_stored(&mut act, stored, &file_name, actor.user_id).await?,
        None => artifacts::record_reference(&mut act, &survey.digest, &file_name, actor.user_id).await?,
    }
    let now = act.now;
    let new = store::New { name: &name, description: &description, location, survey: &survey, by: actor.user_id };
    let dataset = store::insert(&mut act.tx, new, now).await.map_err(|cause| taken(cause, &name))?;
    act.record(Record::new("dataset.created", "dataset", dataset).after(said(&name, &description, &survey)));
    act.tell("datasets");
    act.commit().await?;
    show(app, actor, dataset).await
}

fn said(name: &str, description: &str, survey: &Survey) -> serde_json::Value {
    serde_json::json!({ "name": name, "description": description, "digest": survey.digest.as_str(),
        "row_count": survey.rows, "roles": roles_of(&survey.columns) })
}

/// Changes what is said of a data set. Jobs that were configured keep the columns they were configured with.
///
/// # Errors
/// `not_found`, `forbidden`, `stale`, `invalid`, or `conflict` if the name is taken.
pub async fn update(
    app: &App,
    actor: &Actor,
    dataset: DatasetId,
    seen: Revision,
    body: DatasetBody,
) -> Result<DatasetDetail> {
    let view = show(app, actor, dataset).await?.dataset;
    actor.may(app, Action::DatasetManage, relations(actor, &view))?;
    let mut act = Act::begin(app, &actor.who).await?;
    store::lock(&mut act.tx, dataset).await?;
    let before = store::view(&mut act.tx, dataset).await?.ok_or_else(|| Error::not_found("data set", dataset))?;
    check_revision("data set", seen, before.revision)?;
    let mut fields = Fields::default();
    let (name, description) = checked(&mut fields, &body.name, &body.description);
    let columns = with_roles(&mut fields, &before.columns, &body.roles);
    fields.done()?;
    store::update(&mut act.tx, dataset, &name, &description, &columns).await.map_err(|cause| taken(cause, &name))?;
    let roles = |name: &str, description: &str, columns: &Columns| serde_json::json!({ "name": name, "description": description, "roles": roles_of(columns) });
    act.record(
        Record::new("dataset.changed", "dataset", dataset)
            .before(roles(&before.name, &before.description, &before.columns))
            .after(roles(&name, &description, &columns)),
    );
    act.tell("datasets");
    act.commit().await?;
    show(app, actor, dataset).await
}

fn relations(actor: &Actor, dataset: &DatasetView) -> &'static [Relation] {
    if dataset.created_by_id == actor.user_id { &[Relation::Creator] } else { &[] }
}

/// Whether the person may change it.
#[must_use]
pub fn may_manage(app: &App, actor: &Actor, dataset: &DatasetView) -> bool {
    actor.can(app, Action::DatasetManage, relations(actor, dataset))
}

fn roles_of(columns: &Columns) -> BTreeMap<&str, ColumnRole> {
    columns.0.iter().map(|column| (column.name.as_str(), column.role)).collect()
}

fn checked(fields: &mut Fields, name: &str, description: &str) -> (String, String) {
    let name = super::rules::name(fields, name);
    (name, fields.optional_text("description", description, 1000))
}

fn with_roles(fields: &mut Fields, before: &Columns, roles: &BTreeMap<String, ColumnRole>) -> Columns {
    let mut columns = before.clone();
    for (name, role) in roles {
        match columns.0.iter_mut().find(|column| column.name == *name) {
            Some(column) => column.role = *role,
            None => fields.refuse("roles", format!("There is no column “{name}”.")),
        }
    }
    let targets = columns.0.iter().filter(|column| column.role == ColumnRole::Target).count();
    fields.check(targets <= 1, "roles", "Only one column can be the target.");
    columns
}

fn taken(cause: db::DbError, name: &str) -> Error {
    if db::is_duplicate(&cause) {
        Error::new(&error::CONFLICT, format!("There is a data set called “{name}” already."))
    } else {
        cause.into()
    }
}
