//! The JSON door of readiness.

use axum::extract::State;

use super::{ReadyFilter, ReadyList};
use crate::app::App;
use crate::error::Result;
use crate::web::{Caller, Json, Query};

/// List approved versions that are not live in a target region
///
/// Shows what the caller may deploy; administrators, operators, compliance and auditors see all. Counts
/// are of everything the filter matches, not of the page.
#[utoipa::path(
    get, path = "/deployment-tasks/ready-to-deploy", operation_id = "ready_to_deploy", tag = "Deployment tasks",
    params(ReadyFilter),
    responses((status = 200, description = "A page of pairs of version and region", body = ReadyList))
)]
pub async fn ready_to_deploy(
    State(app): State<App>,
    Caller(actor): Caller,
    Query(filter): Query<ReadyFilter>,
) -> Result<Json<ReadyList>> {
    super::ready_to_deploy(&app, &actor, &filter).await.map(Json)
}
