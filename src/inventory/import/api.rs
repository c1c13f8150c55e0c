//! The JSON route of imports.

use axum::extract::State;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{ImportReport, shipped};
use crate::app::App;
use crate::error::{Error, Problem, Result};
use crate::web::{Caller, Json, MultipartBody, Query};

/// The JSON routes.
#[must_use]
pub fn api() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(import_inventory))
}

/// Whether an import is done, and what with wrong rows.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ImportParams {
    /// Answer what would change, and change nothing.
    #[serde(default)]
    dry_run: bool,
    /// Leave out the rows that cannot be imported, instead of refusing the file.
    #[serde(default)]
    skip_bad_rows: bool,
}

/// An inventory and how to read it.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "it describes the form; the form is read by name")]
struct ImportForm {
    /// The CSV file.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// The mapping, in TOML; or `mapping_name`.
    mapping: Option<String>,
    /// The name of a mapping that comes with the product.
    #[schema(example = "federal-ai-use-cases-2024")]
    mapping_name: Option<String>,
}

/// Imports an inventory from a CSV file, as a whole or not at all.
#[utoipa::path(post, path = "/inventory/import", tag = "Inventory", params(ImportParams),
    request_body(content = ImportForm, content_type = "multipart/form-data"),
    responses((status = 200, body = ImportReport), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 409, body = Problem), (status = 413, body = Problem),
        (status = 415, body = Problem), (status = 422, body = Problem)))]
async fn import_inventory(
    State(app): State<App>,
    Caller(actor): Caller,
    Query(ImportParams { dry_run, skip_bad_rows }): Query<ImportParams>,
    mut form: MultipartBody,
) -> Result<Json<ImportReport>> {
    let mapping = mapping(&mut form, "mapping_name")?;
    let (_, file) = form.files.remove("file").ok_or_else(|| Error::field("file", "This is required."))?;
    Ok(Json(super::import_file(&app, &actor, file, mapping, !dry_run, skip_bad_rows).await?))
}

/// The mapping that a form brings: its text as a field or as a file, or else the name of one that comes with the product.
pub(super) fn mapping(form: &mut MultipartBody, name_field: &str) -> Result<String> {
    let text = form.fields.remove("mapping").filter(|text| !text.trim().is_empty());
    let file = form.files.remove("mapping").filter(|(_, bytes)| !bytes.is_empty());
    if let Some((_, bytes)) = file {
        let text = String::from_utf8(bytes.into());
        return text.map_err(|_| Error::field("mapping", "The mapping is not UTF-8 text."));
    }
    if let Some(text) = text {
        return Ok(text);
    }
    let name = form.fields.get(name_field).map_or("", String::as_str);
    if name.is_empty() {
        return Err(Error::field("mapping", "Choose a mapping, or bring a mapping file."));
    }
    shipped::text(name).ok_or_else(|| {
        let names = shipped::names().join(", ");
        Error::field(name_field, format!("No mapping of this name comes with the product; there is {names}."))
    })
}
