//! Signing in and out, and recognising who sends a request.

use argon2::password_hash::PasswordVerifier as _;
use chrono::{DateTime, TimeDelta, Utc};

use super::rules::{TokenScope, locked_until};
use super::{Actor, digest_of_secret, session_end, store};
use crate::app::App;
use crate::audit::{Act, Record, Who};
use crate::error::{self, Error, Result};

/// A session, as the request that came with it knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The digest under which it is stored.
    pub token_hash: String,
    /// What forms of this session must carry.
    pub csrf_token: String,
}

/// A fresh session; the token goes into the cookie and nowhere else.
#[derive(Debug)]
pub struct SignedIn {
    /// The cookie's value.
    pub token: String,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}

/// A hash that no password has: checked when there is no such account, so that the time taken
/// does not tell whether there is one.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$Y291bnRlcnNpZ24tbm9ib2R5$Hl0OQk9sQ2V0Y7qVn1hQJm6iB3bqvZ3WbJv0kqU3Zy8";

/// How much later a use is written down: a write a minute at most, not one a request.
const SEEN_EVERY: TimeDelta = TimeDelta::minutes(1);

/// Signs a person in with e-mail and password, and ends the session they had, if any.
///
/// # Errors
/// `wrong_credentials` (the same for an unknown e-mail, a wrong password and a disabled account),
/// `account_locked` after too many failures.
pub async fn sign_in(
    app: &App,
    email: &str,
    password: String,
    client: &str,
    old_session: Option<&str>,
    request_id: &str,
) -> Result<SignedIn> {
    let credentials = store::credentials(&app.db, &email.trim().to_lowercase()).await?;
    let now = app.now();
    if let Some(until) = credentials.as_ref().and_then(|one| one.locked_until).filter(|until| *until > now) {
        let message = format!("This account is locked until {} UTC.", until.format("%H:%M:%S"));
        return Err(Error::new(&error::ACCOUNT_LOCKED, message).fact("locked_until", until));
    }
    let hash = credentials.as_ref().and_then(|one| one.password_hash.clone()).unwrap_or_else(|| NOBODY.to_owned());
    let right = tokio::task::spawn_blocking(move || {
        argon2::Argon2::default().verify_password(password.as_bytes(), &*hash).is_ok()
    })
    .await
    .map_err(Error::internal)?;
    let Some(credentials) = credentials else { return Err(wrong_credentials()) };
    let who = Who {
        user_id: Some(credentials.user_id),
        name: credentials.name.clone(),
        request_id: request_id.to_owned(),
        ..Who::system(request_id)
    };
    let mut act = Act::begin(app, &who).await?;
    if !right || credentials.disabled {
        let failures = store::count_failure(&mut act.tx, credentials.user_id).await?;
        if let Some(until) = locked_until(failures, now) {
            store::lock(&mut act.tx, credentials.user_id, until).await?;
            act.record(
                Record::new("account.locked", "user", credentials.user_id)
                    .after(serde_json::json!({ "failed_sign_ins": failures, "locked_until": until })),
            );
        }
        act.commit().await?;
        return Err(wrong_credentials());
    }
    let token = app.secret();
    let session = Session { token_hash: digest_of_secret(&token), csrf_token: app.secret() };
    let expires_at = session_end(now);
    if let Some(old) = old_session {
        store::end_session(&mut act.tx, &digest_of_secret(old)).await?;
    }
    store::forget_expired(&mut act.tx, now).await?;
    store::start_session(&mut act.tx, credentials.user_id, &session, client, now, expires_at).await?;
    act.record(Record::new("session.started", "user", credentials.user_id));
    act.commit().await?;
    Ok(SignedIn { token, expires_at })
}

fn wrong_credentials() -> Error {
    Error::new(&error::WRONG_CREDENTIALS, "There is no account with this e-mail and password.")
}

/// Ends the session the person came with.
///
/// # Errors
/// Only failures of the database.
pub async fn sign_out(app: &App, actor: &Actor) -> Result<()> {
    let Some(session) = &actor.session else { return Ok(()) };
    let mut act = Act::begin(app, &actor.who).await?;
    store::end_session(&mut act.tx, &session.token_hash).await?;
    act.record(Record::new("session.ended", "user", actor.user_id));
    act.commit().await
}

/// Ends all sessions of the person, the one they came with among them.
///
/// # Errors
/// Only failures of the database.
pub async fn sign_out_everywhere(app: &App, actor: &Actor) -> Result<u64> {
    let mut act = Act::begin(app, &actor.who).await?;
    let ended = store::end_sessions(&mut act.tx, actor.user_id).await?;
    act.record(Record::new("session.all_ended", "user", actor.user_id).after(serde_json::json!({ "ended": ended })));
    act.commit().await?;
    Ok(ended)
}

/// Who sends a request with this session cookie.
///
/// # Errors
/// `unauthenticated` if there is no such session any more.
pub async fn authenticate_session(app: &App, token: &str, request_id: String) -> Result<Actor> {
    let now = app.now();
    let token_hash = digest_of_secret(token);
    let (account, csrf_token, seen_at) = store::session(&app.db, &token_hash, now)
        .await?
        .ok_or_else(|| Error::new(&error::UNAUTHENTICATED, "The session has ended."))?;
    if now - seen_at > SEEN_EVERY {
        store::session_seen(&app.db, &token_hash, now).await?;
    }
    Ok(account.into_actor(request_id, false, Some(Session { token_hash, csrf_token })))
}

/// Who sends a request with this API token.
///
/// # Errors
/// `unauthenticated` if the token is unknown, revoked or expired.
pub async fn authenticate_token(app: &App, token: &str, request_id: String) -> Result<Actor> {
    let now = app.now();
    let (account, token_id, scope, used_at) = store::token(&app.db, &digest_of_secret(token), now)
        .await?
        .ok_or_else(|| Error::new(&error::UNAUTHENTICATED, "The token is unknown, revoked or expired."))?;
    if used_at.is_none_or(|used| now - used > SEEN_EVERY) {
        store::token_used(&app.db, token_id, now).await?;
    }
    Ok(account.into_actor(request_id, scope == TokenScope::Read, None))
}
