//! Validations over JSON.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;

use super::requests::{self, NewRequest, RequestDetail, RequestFilter, RequestList, Step};
use crate::app::App;
use crate::error::{Problem, Result};
use crate::ids::RequestId;
use crate::web::{Caller, IfMatch, Json, Path, Query, Tagged};
use crate::words::ValidationState;

/// A step of a request.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StepBody {
    /// The state to go to; never APPROVED, which only the last approval reaches.
    state: ValidationState,
    /// Why; sending back and cancelling need it. At most 2,000 characters.
    #[serde(default)]
    reason: Option<String>,
}

/// Why a request is given up.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelBody {
    /// The reason, at most 2,000 characters.
    reason: String,
}

/// List validation requests.
#[utoipa::path(get, path = "/validations", tag = "Validations", params(RequestFilter),
    responses((status = 200, body = RequestList), (status = 422, body = Problem)))]
pub async fn list(
    State(app): State<App>,
    Caller(actor): Caller,
    Query(filter): Query<RequestFilter>,
) -> Result<Json<RequestList>> {
    Ok(Json(requests::list(&app, &actor, &filter).await?))
}

/// Ask for the validation of versions.
#[utoipa::path(post, path = "/validations", tag = "Validations", request_body = NewRequest,
    responses((status = 201, body = RequestDetail), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn request(
    State(app): State<App>,
    Caller(actor): Caller,
    Json(body): Json<NewRequest>,
) -> Result<(StatusCode, Tagged<RequestDetail>)> {
    let detail = requests::request(&app, &actor, body).await?;
    Ok((StatusCode::CREATED, Tagged(detail.request.revision, detail)))
}

/// One validation request.
#[utoipa::path(get, path = "/validations/{request_id}", tag = "Validations", params(("request_id" = RequestId, Path)),
    responses((status = 200, body = RequestDetail), (status = 404, body = Problem)))]
pub async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(request_id): Path<RequestId>,
) -> Result<Tagged<RequestDetail>> {
    let detail = requests::show(&app, &actor, request_id).await?;
    Ok(Tagged(detail.request.revision, detail))
}

/// Take a validation request to another state.
#[utoipa::path(post, path = "/validations/{request_id}/transition", tag = "Validations", request_body = StepBody,
    params(("request_id" = RequestId, Path), ("If-Match" = String, Header, description = "The ETag of the request that was read")),
    responses((status = 200, body = RequestDetail), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)))]
pub async fn transition(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(request_id): Path<RequestId>,
    IfMatch(revision): IfMatch,
    Json(body): Json<StepBody>,
) -> Result<Tagged<RequestDetail>> {
    let step = Step { to: body.state, reason: body.reason, revision };
    let detail = requests::transition(&app, &actor, request_id, step).await?;
    Ok(Tagged(detail.request.revision, detail))
}

/// Cancel a validation request.
#[utoipa::path(post, path = "/validations/{request_id}/cancel", tag = "Validations", request_body = CancelBody,
    params(("request_id" = RequestId, Path), ("If-Match" = String, Header, description = "The ETag of the request that was read")),
    responses((status = 200, body = RequestDetail), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)))]
pub async fn cancel(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(request_id): Path<RequestId>,
    IfMatch(revision): IfMatch,
    Json(body): Json<CancelBody>,
) -> Result<Tagged<RequestDetail>> {
    let step = Step { to: ValidationState::Cancelled, reason: Some(body.reason), revision };
    let detail = requests::transition(&app, &actor, request_id, step).await?;
    Ok(Tagged(detail.request.revision, detail))
}
