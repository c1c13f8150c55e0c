//! `/account`: one's own roles, password, sessions and tokens.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::sign_in::forget_cookie;
use super::{Refused, answer};
use crate::app::App;
use crate::error::Result;
use crate::identity::people::{self, PersonView};
use crate::identity::tokens::{self, MadeToken, NewToken, TokenView};
use crate::identity::{self, SessionView, TokenScope};
use crate::ids::TokenId;
use crate::web::filters;
use crate::web::{Form, Path, Shell, Toast, Visitor, back_to, html};

/// After how many days a token expires if nobody says.
const USUAL_DAYS: i64 = 90;

pub fn routes() -> Router<App> {
    Router::new()
        .route("/account", get(show))
        .route("/account/password", post(change_password))
        .route("/account/sessions/end", post(end_sessions))
        .route("/account/sessions/{session_id}/end", post(end_session))
        .route("/account/tokens", post(create_token))
        .route("/account/tokens/{token_id}/revoke", post(revoke_token))
}

#[derive(Template)]
#[template(path = "identity/account.html")]
struct AccountPage {
    shell: Shell,
    now: DateTime<Utc>,
    person: PersonView,
    sessions: Vec<SessionView>,
    tokens: Vec<TokenView>,
    token: TokenFields,
    refused: Refused,
}

#[derive(Template)]
#[template(path = "identity/token.html")]
struct TokenPage {
    shell: Shell,
    made: MadeToken,
}

/// The form of a new token, as it was typed.
#[derive(Deserialize)]
#[serde(default)]
struct TokenFields {
    name: String,
    scope: TokenScope,
    expires_in_days: i64,
}

impl Default for TokenFields {
    fn default() -> Self {
        Self { name: String::new(), scope: TokenScope::Read, expires_in_days: USUAL_DAYS }
    }
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct PasswordFields {
    current_password: String,
    password: String,
    repeated: String,
}

/// `GET /account`.
async fn show(State(app): State<App>, visitor: Visitor) -> Result<Response> {
    page(&app, &visitor, StatusCode::OK, TokenFields::default(), Refused::default()).await
}

async fn page(
    app: &App,
    visitor: &Visitor,
    status: StatusCode,
    token: TokenFields,
    refused: Refused,
) -> Result<Response> {
    let me = visitor.actor.user_id;
    let page = AccountPage {
        shell: Shell::new(app, visitor, "account", "Account and tokens").await?,
        now: app.now(),
        person: people::show_user(app, &visitor.actor, me).await?,
        sessions: identity::list_sessions(app, &visitor.actor, me).await?,
        tokens: tokens::list_tokens(app, &visitor.actor, me).await?,
        token,
        refused,
    };
    Ok(answer(status, html(&page)?))
}

/// `POST /account/password`.
async fn change_password(State(app): State<App>, form: Form<PasswordFields>) -> Result<Response> {
    let Form { visitor, fields } = form;
    let changed = if fields.password == fields.repeated {
        people::change_password(&app, &visitor.actor, fields.current_password, fields.password).await
    } else {
        Err(crate::error::Error::field("repeated", "The two new passwords differ."))
    };
    match changed.map_err(Refused::by) {
        Ok(_) => Ok(back_to("/account", &Toast::done("Password changed. Your other sessions have ended."))),
        Err(refused) => {
            let (status, refused) = refused?;
            page(&app, &visitor, status, TokenFields::default(), refused).await
        }
    }
}

/// `POST /account/sessions/end`: sign out everywhere, here too.
async fn end_sessions(State(app): State<App>, form: Form<IgnoredAny>) -> Result<Response> {
    identity::sign_out_everywhere(&app, &form.visitor.actor).await?;
    Ok((forget_cookie()?, Redirect::to("/sign-in")).into_response())
}

/// `POST /account/sessions/{session_id}/end`.
async fn end_session(
    State(app): State<App>,
    Path(session_id): Path<String>,
    form: Form<IgnoredAny>,
) -> Result<Response> {
    identity::end_session(&app, &form.visitor.actor, &session_id).await?;
    Ok(back_to("/account", &Toast::done("Session ended.")))
}

/// `POST /account/tokens`: the answer is the one page that shows the secret, and is stored nowhere.
async fn create_token(State(app): State<App>, form: Form<TokenFields>) -> Result<Response> {
    let Form { visitor, fields } = form;
    let TokenFields { name, scope, expires_in_days } = fields;
    let new = NewToken { name: name.clone(), scope, expires_in_days };
    match tokens::create_token(&app, &visitor.actor, visitor.actor.user_id, new).await.map_err(Refused::by) {
        Ok(made) => {
            let shell = Shell::new(&app, &visitor, "account", "Token created").await?;
            Ok(([(header::CACHE_CONTROL, "no-store")], html(&TokenPage { shell, made })?).into_response())
        }
        Err(refused) => {
            let (status, refused) = refused?;
            page(&app, &visitor, status, TokenFields { name, scope, expires_in_days }, refused).await
        }
    }
}

/// `POST /account/tokens/{token_id}/revoke`.
async fn revoke_token(State(app): State<App>, Path(token): Path<TokenId>, form: Form<IgnoredAny>) -> Result<Response> {
    let token = tokens::revoke_token(&app, &form.visitor.actor, token).await?;
    Ok(back_to("/account", &Toast::done(format!("Token “{}” revoked.", token.name))))
}
