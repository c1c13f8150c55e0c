//! The pages of data sets.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::State;
use axum::response::{Html, IntoResponse as _, Response};
use chrono::{DateTime, Utc};

use super::rules::{ColumnRole, DatasetColumn};
use super::{DatasetBody, DatasetDetail, DatasetFilter, DatasetList, NewDataset};
use crate::app::App;
use crate::error::{Error, Result};
use crate::identity::Action;
use crate::ids::DatasetId;
use crate::web::{
    Cursor, Form, MultipartBody, Path, Query, Refusal, Shell, Toast, Upload, Visitor, back_to, filters, format, html,
};

#[derive(Template)]
#[template(path = "training/datasets.html")]
struct ListPage {
    shell: Shell,
    now: DateTime<Utc>,
    list: DatasetList,
    filter: DatasetFilter,
    may_add: bool,
}

#[derive(Template)]
#[template(path = "training/dataset_new.html")]
struct NewPage {
    shell: Shell,
    name: String,
    description: String,
    location: String,
    folders: Vec<String>,
    most_mib: usize,
    refusal: Refusal,
}

#[derive(Template)]
#[template(path = "training/dataset.html")]
struct ShowPage {
    shell: Shell,
    now: DateTime<Utc>,
    detail: DatasetDetail,
    fields: BTreeMap<String, String>,
    may_manage: bool,
    may_train: bool,
    refusal: Refusal,
}

impl ListPage {
    fn address(&self, cursor: Option<&Cursor>) -> String {
        let filter = DatasetFilter { cursor: cursor.cloned(), ..self.filter.clone() };
        format!("/training/datasets?{}", serde_html_form::to_string(filter).unwrap_or_default())
    }
}

impl ShowPage {
    /// What a field holds: what was sent, or else what is known.
    fn field<'a>(&'a self, name: &str, known: &'a str) -> &'a str {
        self.fields.get(name).map_or(known, String::as_str)
    }

    /// The roles a column can have, with the one it has or was to get.
    fn roles(&self, at: &usize, column: &DatasetColumn) -> Vec<(&'static str, bool)> {
        let chosen = self.fields.get(&format!("role-{at}")).map_or(column.role.as_str(), String::as_str).to_owned();
        ColumnRole::ALL.iter().map(|role| (role.as_str(), role.as_str() == chosen)).collect()
    }

    fn size(&self, bytes: &i64) -> String {
        format::bytes(*bytes)
    }

    /// From the smallest number to the largest; nothing for texts.
    fn range(&self, column: &DatasetColumn) -> String {
        match (column.min, column.max) {
            (Some(min), Some(max)) => format!("{min} to {max}"),
            _ => "–".to_owned(),
        }
    }

    fn distinct(&self, column: &DatasetColumn) -> String {
        if column.distinct > 10_000 { "over 10,000".to_owned() } else { format::thousands(column.distinct) }
    }
}

/// `GET /training/datasets`
pub async fn list(
    State(app): State<App>,
    visitor: Visitor,
    Query(filter): Query<DatasetFilter>,
) -> Result<Html<String>> {
    let list = super::list(&app, &visitor.actor, &filter).await?;
    let shell = Shell::new(&app, &visitor, "datasets", "Data sets").await?;
    let may_add = visitor.actor.can(&app, Action::DatasetCreate, &[]);
    html(&ListPage { shell, now: app.now(), list, filter, may_add })
}

async fn new_page(app: &App, visitor: &Visitor, new: NewDataset, refusal: Refusal) -> Result<Response> {
    visitor.actor.may(app, Action::DatasetCreate, &[])?;
    let shell = Shell::new(app, visitor, "datasets", "Add a data set").await?;
    let folders = app.settings.data_folders.iter().map(|folder| folder.display().to_string()).collect();
    let status = refusal.status();
    let NewDataset { name, description, location, .. } = new;
    let (location, most_mib) = (location.unwrap_or_default(), app.settings.max_upload_bytes >> 20);
    let page = NewPage { shell, name, description, location, folders, most_mib, refusal };
    Ok((status, html(&page)?).into_response())
}

/// `GET /training/datasets/new`
pub async fn new(State(app): State<App>, visitor: Visitor) -> Result<Response> {
    new_page(&app, &visitor, NewDataset::default(), Refusal::default()).await
}

/// `POST /training/datasets`
pub async fn create(State(app): State<App>, upload: Upload) -> Result<Response> {
    let Upload { visitor, fields, files } = upload;
    let new = NewDataset::from(MultipartBody { fields, files });
    match super::create(&app, &visitor.actor, new.clone()).await {
        Ok(made) => {
            let one = &made.dataset;
            let says = format!("Data set {} was added. Look at what its columns are for.", one.name);
            Ok(back_to(&format!("/training/datasets/{}", one.dataset_id), &Toast::done(says)))
        }
        Err(error) => new_page(&app, &visitor, new, Refusal::of(error)?).await,
    }
}

async fn show_page(
    app: &App,
    visitor: &Visitor,
    dataset: DatasetId,
    fields: BTreeMap<String, String>,
    refusal: Refusal,
) -> Result<Response> {
    let detail = super::show(app, &visitor.actor, dataset).await?;
    let shell = Shell::new(app, visitor, "datasets", detail.dataset.name.clone()).await?;
    let may_manage = super::may_manage(app, &visitor.actor, &detail.dataset);
    let may_train = !visitor.actor.read_only;
    let status = refusal.status();
    let page = ShowPage { shell, now: app.now(), detail, fields, may_manage, may_train, refusal };
    Ok((status, html(&page)?).into_response())
}

/// `GET /training/datasets/{id}`
pub async fn show(State(app): State<App>, visitor: Visitor, Path(dataset): Path<DatasetId>) -> Result<Response> {
    show_page(&app, &visitor, dataset, BTreeMap::new(), Refusal::default()).await
}

/// `POST /training/datasets/{id}`
pub async fn update(
    State(app): State<App>,
    Path(dataset): Path<DatasetId>,
    form: Form<BTreeMap<String, String>>,
) -> Result<Response> {
    let Form { visitor, fields } = form;
    match changed(&app, &visitor, dataset, &fields).await {
        Ok(made) => {
            let says = format!("Data set {} was changed.", made.dataset.name);
            Ok(back_to(&format!("/training/datasets/{dataset}"), &Toast::done(says)))
        }
        Err(error) => show_page(&app, &visitor, dataset, fields, Refusal::of(error)?).await,
    }
}

/// The fields `role-0`, `role-1`, … are of the columns in the file's order: a column may be called anything.
async fn changed(
    app: &App,
    visitor: &Visitor,
    dataset: DatasetId,
    fields: &BTreeMap<String, String>,
) -> Result<DatasetDetail> {
    let known = super::show(app, &visitor.actor, dataset).await?.dataset;
    let text = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let mut roles = BTreeMap::new();
    for (at, column) in known.columns.0.iter().enumerate() {
        let Some(word) = fields.get(&format!("role-{at}")) else { continue };
        let role = word.parse().map_err(|says: String| Error::field("roles", says))?;
        roles.insert(column.name.clone(), role);
    }
    let seen = text("revision").parse().unwrap_or_default();
    let body = DatasetBody { name: text("name"), description: text("description"), roles };
    super::update(app, &visitor.actor, dataset, seen, body).await
}
