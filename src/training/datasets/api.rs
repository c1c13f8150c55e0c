//! Data sets over JSON.

use axum::extract::State;
use axum::http::StatusCode;

use super::{DatasetBody, DatasetDetail, DatasetFilter, DatasetList, NewDataset};
use crate::app::App;
use crate::error::{Problem, Result};
use crate::ids::DatasetId;
use crate::web::{Caller, IfMatch, Json, MultipartBody, Path, Query, Tagged};

/// A data set to be added.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "it describes the form; the form is read by name")]
pub struct DatasetForm {
    /// Its name, unique, 3 to 100 characters.
    name: String,
    /// What it is.
    description: Option<String>,
    /// The CSV or Parquet file.
    #[schema(value_type = Option<String>, format = Binary)]
    file: Option<Vec<u8>>,
    /// Instead: the path of a file on the server's machine, below a folder that `data_folders` allows.
    location: Option<String>,
}

impl From<MultipartBody> for NewDataset {
    fn from(mut form: MultipartBody) -> Self {
        let mut field = |name: &str| form.fields.remove(name);
        let (name, description, location) = (field("name"), field("description"), field("location"));
        let (name, description) = (name.unwrap_or_default(), description.unwrap_or_default());
        Self { name, description, location, file: form.files.remove("file") }
    }
}

fn tagged(detail: DatasetDetail) -> Tagged<DatasetDetail> {
    Tagged(detail.dataset.revision, detail)
}

/// List data sets, the newest first.
#[utoipa::path(get, path = "/datasets", tag = "Training", operation_id = "list_datasets", params(DatasetFilter),
    responses((status = 200, body = DatasetList), (status = 401, body = Problem), (status = 422, body = Problem)))]
pub async fn list(
    State(app): State<App>,
    Caller(actor): Caller,
    Query(filter): Query<DatasetFilter>,
) -> Result<Json<DatasetList>> {
    Ok(Json(super::list(&app, &actor, &filter).await?))
}

/// Add a data set: upload a CSV or Parquet file, or name one that stays where it is.
#[utoipa::path(post, path = "/datasets", tag = "Training", operation_id = "create_dataset",
    request_body(content = DatasetForm, content_type = "multipart/form-data"),
    responses((status = 201, body = DatasetDetail), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 409, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem),
        (status = 422, body = Problem)))]
pub async fn create(
    State(app): State<App>,
    Caller(actor): Caller,
    form: MultipartBody,
) -> Result<(StatusCode, Tagged<DatasetDetail>)> {
    Ok((StatusCode::CREATED, tagged(super::create(&app, &actor, form.into()).await?)))
}

/// Show a data set with its columns and its first rows.
#[utoipa::path(get, path = "/datasets/{dataset_id}", tag = "Training", operation_id = "get_dataset",
    params(("dataset_id" = DatasetId, Path)),
    responses((status = 200, body = DatasetDetail), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(dataset): Path<DatasetId>,
) -> Result<Tagged<DatasetDetail>> {
    Ok(tagged(super::show(&app, &actor, dataset).await?))
}

/// Change a data set's name, description and the roles of its columns; its bytes never change.
#[utoipa::path(put, path = "/datasets/{dataset_id}", tag = "Training", operation_id = "update_dataset",
    request_body = DatasetBody,
    params(("dataset_id" = DatasetId, Path), ("If-Match" = String, Header, description = "The ETag of the data set that was read")),
    responses((status = 200, body = DatasetDetail), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 412, body = Problem),
        (status = 422, body = Problem), (status = 428, body = Problem)))]
pub async fn update(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(dataset): Path<DatasetId>,
    IfMatch(revision): IfMatch,
    Json(body): Json<DatasetBody>,
) -> Result<Tagged<DatasetDetail>> {
    Ok(tagged(super::update(&app, &actor, dataset, revision, body).await?))
}
