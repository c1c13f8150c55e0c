//! `/users`.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;

use crate::app::App;
use crate::error::{Problem, Result};
use crate::identity::people::{self, EditUser, NewUser, People, PeopleFilter, PersonView, SetRoles};
use crate::ids::UserId;
use crate::web::{Caller, IfMatch, Json, Path, Query, Tagged};

/// A password to set.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordBody {
    /// The new password, 12 to 200 characters.
    #[schema(min_length = 12, max_length = 200)]
    password: String,
}

fn tagged(person: PersonView) -> Tagged<PersonView> {
    Tagged(person.revision, person)
}

/// List people.
#[utoipa::path(get, path = "/users", tag = "People", params(PeopleFilter),
    responses((status = 200, body = People), (status = 422, body = Problem)))]
pub async fn list(
    State(app): State<App>,
    Caller(actor): Caller,
    Query(filter): Query<PeopleFilter>,
) -> Result<Json<People>> {
    Ok(Json(people::list_users(&app, &actor, &filter).await?))
}

/// Add a person.
#[utoipa::path(post, path = "/users", tag = "People", request_body = NewUser,
    responses((status = 201, body = PersonView), (status = 403, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub async fn add(
    State(app): State<App>,
    Caller(actor): Caller,
    Json(body): Json<NewUser>,
) -> Result<(StatusCode, Tagged<PersonView>)> {
    Ok((StatusCode::CREATED, tagged(people::add_user(&app, &actor, body).await?)))
}

/// One person.
#[utoipa::path(get, path = "/users/{user_id}", tag = "People", params(("user_id" = UserId, Path)),
    responses((status = 200, body = PersonView), (status = 404, body = Problem)))]
pub async fn show(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(user_id): Path<UserId>,
) -> Result<Tagged<PersonView>> {
    Ok(tagged(people::show_user(&app, &actor, user_id).await?))
}

/// Change a person's name and address.
#[utoipa::path(patch, path = "/users/{user_id}", tag = "People", request_body = EditUser,
    params(("user_id" = UserId, Path), ("If-Match" = String, Header, description = "The ETag of the person that was read")),
    responses((status = 200, body = PersonView), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem),
        (status = 428, body = Problem)))]
pub async fn edit(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(user_id): Path<UserId>,
    IfMatch(revision): IfMatch,
    Json(body): Json<EditUser>,
) -> Result<Tagged<PersonView>> {
    Ok(tagged(people::edit_user(&app, &actor, user_id, revision, &body).await?))
}

/// Give a person these roles and no others.
#[utoipa::path(put, path = "/users/{user_id}/roles", tag = "People", request_body = SetRoles,
    params(("user_id" = UserId, Path), ("If-Match" = String, Header, description = "The ETag of the person that was read")),
    responses((status = 200, body = PersonView), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem),
        (status = 428, body = Problem)))]
pub async fn set_roles(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(user_id): Path<UserId>,
    IfMatch(revision): IfMatch,
    Json(body): Json<SetRoles>,
) -> Result<Tagged<PersonView>> {
    Ok(tagged(people::set_roles(&app, &actor, user_id, revision, body).await?))
}

/// Set a person's password; their sessions end.
#[utoipa::path(put, path = "/users/{user_id}/password", tag = "People", request_body = PasswordBody,
    params(("user_id" = UserId, Path)),
    responses((status = 200, body = PersonView), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem)))]
pub async fn set_password(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(user_id): Path<UserId>,
    Json(body): Json<PasswordBody>,
) -> Result<Tagged<PersonView>> {
    Ok(tagged(people::set_password(&app, &actor, user_id, body.password).await?))
}

/// Disable a person: sessions end, tokens are revoked.
#[utoipa::path(post, path = "/users/{user_id}/disable", tag = "People", params(("user_id" = UserId, Path)),
    responses((status = 200, body = PersonView), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
pub async fn disable(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(user_id): Path<UserId>,
) -> Result<Tagged<PersonView>> {
    Ok(tagged(people::disable_user(&app, &actor, user_id).await?))
}

/// Let a disabled person sign in again.
#[utoipa::path(post, path = "/users/{user_id}/enable", tag = "People", params(("user_id" = UserId, Path)),
    responses((status = 200, body = PersonView), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
pub async fn enable(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(user_id): Path<UserId>,
) -> Result<Tagged<PersonView>> {
    Ok(tagged(people::enable_user(&app, &actor, user_id).await?))
}
