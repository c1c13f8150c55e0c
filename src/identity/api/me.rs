//! `/me`: one's own account, sessions and tokens.

use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::error::{Problem, Result};
use crate::identity::people::{self, PersonView};
use crate::identity::tokens::{self, MadeToken, NewToken, TokenView};
use crate::identity::{self, SessionView};
use crate::ids::TokenId;
use crate::web::{Caller, Json, Path, Tagged};

/// One's own password, changed.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    /// The password as it is.
    current_password: String,
    /// The new password, 12 to 200 characters.
    #[schema(min_length = 12, max_length = 200)]
    password: String,
}

/// How many sessions an act ended.
#[derive(Serialize, utoipa::ToSchema)]
pub struct SessionsEnded {
    /// The number.
    sessions_ended: u64,
}

/// One's own sessions.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Sessions {
    /// The sessions, the last used first.
    items: Vec<SessionView>,
}

/// One's own tokens.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Tokens {
    /// The tokens, the newest first.
    items: Vec<TokenView>,
}

/// Who I am.
#[utoipa::path(get, path = "/me", tag = "Account", responses((status = 200, body = PersonView)))]
pub async fn show(State(app): State<App>, Caller(actor): Caller) -> Result<Tagged<PersonView>> {
    let person = people::show_user(&app, &actor, actor.user_id).await?;
    Ok(Tagged(person.revision, person))
}

/// Change my password; my other sessions end.
#[utoipa::path(put, path = "/me/password", tag = "Account", request_body = ChangePassword,
    responses((status = 200, body = SessionsEnded), (status = 403, body = Problem), (status = 422, body = Problem),
        (status = 429, body = Problem)))]
pub async fn change_password(
    State(app): State<App>,
    Caller(actor): Caller,
    Json(body): Json<ChangePassword>,
) -> Result<Json<SessionsEnded>> {
    let sessions_ended = people::change_password(&app, &actor, body.current_password, body.password).await?;
    Ok(Json(SessionsEnded { sessions_ended }))
}

/// My sessions.
#[utoipa::path(get, path = "/me/sessions", tag = "Account", responses((status = 200, body = Sessions)))]
pub async fn sessions(State(app): State<App>, Caller(actor): Caller) -> Result<Json<Sessions>> {
    Ok(Json(Sessions { items: identity::list_sessions(&app, &actor, actor.user_id).await? }))
}

/// Sign out everywhere, here too.
#[utoipa::path(delete, path = "/me/sessions", tag = "Account",
    responses((status = 200, body = SessionsEnded), (status = 403, body = Problem)))]
pub async fn end_sessions(State(app): State<App>, Caller(actor): Caller) -> Result<Json<SessionsEnded>> {
    Ok(Json(SessionsEnded { sessions_ended: identity::sign_out_everywhere(&app, &actor).await? }))
}

/// End one of my sessions.
#[utoipa::path(delete, path = "/me/sessions/{session_id}", tag = "Account", params(("session_id" = String, Path)),
    responses((status = 200, body = SessionsEnded), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn end_session(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(session_id): Path<String>,
) -> Result<Json<SessionsEnded>> {
    identity::end_session(&app, &actor, &session_id).await?;
    Ok(Json(SessionsEnded { sessions_ended: 1 }))
}

/// My tokens, those that ended too.
#[utoipa::path(get, path = "/me/tokens", tag = "Account", responses((status = 200, body = Tokens)))]
pub async fn tokens(State(app): State<App>, Caller(actor): Caller) -> Result<Json<Tokens>> {
    Ok(Json(Tokens { items: tokens::list_tokens(&app, &actor, actor.user_id).await? }))
}

/// Make a token for myself; needs a session. The secret is shown this once.
#[utoipa::path(post, path = "/me/tokens", tag = "Account", request_body = NewToken,
    responses((status = 201, body = MadeToken), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub async fn create_token(
    State(app): State<App>,
    Caller(actor): Caller,
    Json(body): Json<NewToken>,
) -> Result<(StatusCode, [(HeaderName, &'static str); 1], Json<MadeToken>)> {
    let made = tokens::create_token(&app, &actor, actor.user_id, body).await?;
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(made)))
}

/// Revoke a token: one's own, or as an administrator anybody's.
#[utoipa::path(delete, path = "/tokens/{token_id}", tag = "Account", params(("token_id" = TokenId, Path)),
    responses((status = 200, body = TokenView), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn revoke_token(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(token_id): Path<TokenId>,
) -> Result<Json<TokenView>> {
    Ok(Json(tokens::revoke_token(&app, &actor, token_id).await?))
}
