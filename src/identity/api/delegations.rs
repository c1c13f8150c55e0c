//! Delegations of a model and of a person.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;

use crate::app::App;
use crate::error::{Problem, Result};
use crate::identity::delegations::{self, DelegationView, ModelDelegations, NewDelegation};
use crate::ids::{DelegationId, ModelId, UserId};
use crate::web::{Caller, Json, Path};

/// What was lent to a person.
#[derive(Serialize, utoipa::ToSchema)]
pub struct UserDelegations {
    /// The delegations: those in force first.
    items: Vec<DelegationView>,
}

/// What was lent to a person, with its history, on the models that you may see.
#[utoipa::path(get, path = "/users/{user_id}/delegations", tag = "People", params(("user_id" = UserId, Path)),
    responses((status = 200, body = UserDelegations)))]
pub async fn of_user(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(user_id): Path<UserId>,
) -> Result<Json<UserDelegations>> {
    Ok(Json(UserDelegations { items: delegations::of_user(&app, &actor, user_id).await? }))
}

/// The delegations of a model, with their history.
#[utoipa::path(get, path = "/models/{model_id}/delegations", tag = "Models", params(("model_id" = ModelId, Path)),
    responses((status = 200, body = ModelDelegations), (status = 404, body = Problem)))]
pub async fn of_model(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(model_id): Path<ModelId>,
) -> Result<Json<ModelDelegations>> {
    Ok(Json(delegations::of_model(&app, &actor, model_id).await?))
}

/// Lend rights on a model; what the person was lent before is replaced.
#[utoipa::path(post, path = "/models/{model_id}/delegations", tag = "Models", request_body = NewDelegation,
    params(("model_id" = ModelId, Path)),
    responses((status = 201, body = DelegationView), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem)))]
pub async fn grant(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(model_id): Path<ModelId>,
    Json(body): Json<NewDelegation>,
) -> Result<(StatusCode, Json<DelegationView>)> {
    Ok((StatusCode::CREATED, Json(delegations::grant(&app, &actor, model_id, &body).await?)))
}

/// Take lent rights back.
#[utoipa::path(post, path = "/delegations/{delegation_id}/revoke", tag = "Models",
    params(("delegation_id" = DelegationId, Path)),
    responses((status = 200, body = DelegationView), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
pub async fn revoke(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(delegation_id): Path<DelegationId>,
) -> Result<Json<DelegationView>> {
    Ok(Json(delegations::revoke(&app, &actor, delegation_id).await?))
}
