//! The page of imports: choose a file, look at what it would change, confirm.

use askama::Template;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde::Deserialize;

use super::report::ImportReport;
use super::{api, kept, shipped};
use crate::app::App;
use crate::error::{Error, Result};
use crate::identity::Action;
use crate::web::{Form, MultipartBody, Refusal, Shell, Toast, Upload, Visitor, back_to, filters, html};

/// The pages.
pub fn pages() -> Router<App> {
    Router::new().route("/import", get(choose).post(preview)).route("/import/confirm", post(confirm))
}

#[derive(Template)]
#[template(path = "inventory/import.html")]
struct ImportPage {
    shell: Shell,
    mappings: Vec<String>,
    chosen: String,
    refusal: Refusal,
}

#[derive(Template)]
#[template(path = "inventory/import_preview.html")]
struct PreviewPage {
    shell: Shell,
    file_name: String,
    /// The digests of the file and of the mapping: what the confirmation carries.
    file: String,
    mapping: String,
    report: ImportReport,
}

async fn show(app: &App, visitor: &Visitor, chosen: String, refusal: Refusal) -> Result<Response> {
    visitor.actor.may(app, Action::InventoryImport, &[])?;
    let shell = Shell::new(app, visitor, "import", "Import an inventory").await?;
    let page = ImportPage { shell, mappings: shipped::names(), chosen, refusal };
    Ok((page.refusal.status(), html(&page)?).into_response())
}

async fn choose(State(app): State<App>, visitor: Visitor) -> Result<Response> {
    show(&app, &visitor, String::new(), Refusal::default()).await
}

async fn preview(State(app): State<App>, upload: Upload) -> Result<Response> {
    let Upload { visitor, fields, files } = upload;
    visitor.actor.may(&app, Action::InventoryImport, &[])?;
    let chosen = fields.get("mapping_name").cloned().unwrap_or_default();
    match read(&app, &visitor, MultipartBody { fields, files }).await {
        Ok((file_name, file, mapping, report)) => {
            let shell = Shell::new(&app, &visitor, "import", "Preview of the import").await?;
            Ok(html(&PreviewPage { shell, file_name, file, mapping, report })?.into_response())
        }
        Err(error) => show(&app, &visitor, chosen, Refusal::of(error)?).await,
    }
}

/// Keeps what was uploaded and tries it out: the name and digest of the file, the digest of the mapping, the report.
async fn read(app: &App, visitor: &Visitor, mut form: MultipartBody) -> Result<(String, String, String, ImportReport)> {
    let (name, file) = form.files.remove("file").unwrap_or_default();
    if file.is_empty() {
        return Err(Error::field("file", "Choose a CSV file that is not empty."));
    }
    let mapping = api::mapping(&mut form, "mapping_name")?;
    let report = super::import_file(app, &visitor.actor, file.clone(), mapping.clone(), false, true).await?;
    let file = kept::keep(app, &file).await?;
    let mapping = kept::keep(app, &Bytes::from(mapping)).await?;
    Ok((name, file.as_str().to_owned(), mapping.as_str().to_owned(), report))
}

#[derive(Debug, Deserialize)]
struct Confirmation {
    #[serde(default)]
    file: String,
    #[serde(default)]
    mapping: String,
    #[serde(default)]
    skip_bad_rows: bool,
}

async fn confirm(State(app): State<App>, form: Form<Confirmation>) -> Result<Response> {
    let Form { visitor, fields } = form;
    match apply(&app, &visitor, &fields).await {
        Ok(report) => Ok(back_to("/models", &Toast::done(format!("Imported: {}.", report.summary())))),
        Err(error) => show(&app, &visitor, String::new(), Refusal::of(error)?).await,
    }
}

async fn apply(app: &App, visitor: &Visitor, fields: &Confirmation) -> Result<ImportReport> {
    visitor.actor.may(app, Action::InventoryImport, &[])?;
    let (file, mapping) = (kept::open(app, &fields.file).await?, kept::open(app, &fields.mapping).await?);
    let mapping =
        String::from_utf8(mapping.into()).map_err(|_| Error::field("mapping", "The mapping is not UTF-8."))?;
    let report = super::import_file(app, &visitor.actor, file, mapping, true, fields.skip_bad_rows).await?;
    kept::remove(app, &fields.file).await;
    kept::remove(app, &fields.mapping).await;
    Ok(report)
}
