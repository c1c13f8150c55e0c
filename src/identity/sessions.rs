//! Signing in and out, and recognising who sends a request.

use std::time::Duration;

use argon2::password_hash::PasswordVerifier as _;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::rules::{Action, Relation, TokenScope, locked_until};
use super::store::{self, Credentials};
use super::tokens::may_see;
use super::{Actor, digest_of_secret, session_end};
use crate::app::App;
use crate::audit::{Act, Record, Who};
use crate::error::{self, Error, Result};
use crate::ids::UserId;

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

/// A session, as its person sees it in a list.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct SessionView {
    /// What names it: no secret, it opens nothing.
    pub session_id: String,
    /// When the person signed in.
    pub created_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    pub seen_at: DateTime<Utc>,
    /// When it ends by itself.
    pub expires_at: DateTime<Utc>,
    /// The browser, as it names itself.
    pub client: String,
    /// Whether it is the one that asks.
    pub current: bool,
}

/// A hash that no password has: checked when there is no such account, so that the time taken
/// does not tell whether there is one.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$Y291bnRlcnNpZ24tbm9ib2R5$Hl0OQk9sQ2V0Y7qVn1hQJm6iB3bqvZ3WbJv0kqU3Zy8";

/// How much later a use is written down: a write a minute at most, not one a request.
const SEEN_EVERY: TimeDelta = TimeDelta::minutes(1);

/// How long a sign-in waits for its turn.
const WAITS: Duration = Duration::from_secs(10);

/// Signs a person in with e-mail and password, and ends the session they had, if any.
///
/// # Errors
/// `wrong_credentials` (the same for an unknown e-mail, a wrong password and a disabled account),
/// `account_locked` after too many failures (the same whether there is such an account), `busy`.
pub async fn sign_in(
    app: &App,
    email: &str,
    password: String,
    client: &str,
    old_session: Option<&str>,
    request_id: &str,
) -> Result<SignedIn> {
    let email = email.trim().to_lowercase();
    let address = digest_of_secret(&email);
    let person = check(app, &email, password, request_id).await?;
    let person = person
        .ok_or_else(|| Error::new(&error::WRONG_CREDENTIALS, "There is no account with this e-mail and password."))?;
    start(app, &person, &address, client, old_session.map(digest_of_secret), request_id).await
}

/// Checks the person's own password before they change it; a wrong one counts as a failed sign-in.
pub(super) async fn check_own_password(app: &App, actor: &Actor, password: String) -> Result<()> {
    match check(app, &actor.email, password, &actor.who.request_id).await? {
        Some(_) => Ok(()),
        None => Err(Error::field("current_password", "This is not your current password.")),
    }
}

/// The account that `email` and `password` open, if they do; if not, the failure is counted.
async fn check(app: &App, email: &str, password: String, request_id: &str) -> Result<Option<Credentials>> {
    let address = digest_of_secret(email);
    // The turn is held until the failure is counted: guesses sent at once are counted one by one.
    let _turn = tokio::time::timeout(WAITS, app.password_checks.acquire())
        .await
        .map_err(|_| Error::new(&error::BUSY, "Too many people are signing in."))?
        .map_err(Error::internal)?;
    if let Some(until) = store::locked_until(&app.db, &address, app.now()).await? {
        let message = format!("This account is locked until {} UTC.", until.format("%H:%M:%S"));
        return Err(Error::new(&error::ACCOUNT_LOCKED, message).fact("locked_until", until));
    }
    let person = store::credentials(&app.db, email).await?;
    let hash = person.as_ref().and_then(|one| one.password_hash.clone());
    let right = is_right(app, password, hash.unwrap_or_else(|| NOBODY.to_owned())).await?;
    if right && person.as_ref().is_some_and(|person| !person.disabled) {
        return Ok(person);
    }
    count_failure(app, person.as_ref(), &address, request_id).await?;
    Ok(None)
}

/// Whether a hash was made of `password`.
async fn is_right(app: &App, password: String, hash: String) -> Result<bool> {
    super::alone(app, move || argon2::Argon2::default().verify_password(password.as_bytes(), &*hash).is_ok()).await
}

fn who(person: &Credentials, request_id: &str) -> Who {
    Who { user_id: Some(person.user_id), name: person.name.clone(), ..Who::system(request_id) }
}

/// Starts a session; the address' failures are forgotten.
async fn start(
    app: &App,
    person: &Credentials,
    address: &str,
    client: &str,
    old_session: Option<String>,
    request_id: &str,
) -> Result<SignedIn> {
    let mut act = Act::begin(app, &who(person, request_id)).await?;
    let token = app.secret();
    let session = Session { token_hash: digest_of_secret(&token), csrf_token: app.secret() };
    let expires_at = session_end(act.now);
    if let Some(old) = old_session {
        store::end_session(&mut act.tx, &old).await?;
    }
    store::forget_expired(&mut act.tx, act.now).await?;
    store::forget_failures(&mut act.tx, address, act.now).await?;
    let client: String = client.chars().take(200).collect();
    store::start_session(&mut act.tx, person.user_id, &session, &client, act.now, expires_at).await?;
    act.record(Record::new("session.started", "user", person.user_id));
    act.commit().await?;
    Ok(SignedIn { token, expires_at })
}

/// Counts a failure, and locks the address when there are too many.
async fn count_failure(app: &App, person: Option<&Credentials>, address: &str, request_id: &str) -> Result<()> {
    let who = person.map_or_else(|| Who::system(request_id), |person| who(person, request_id));
    let mut act = Act::begin(app, &who).await?;
    let failures = store::count_failure(&mut act.tx, address, act.now).await?;
    if let Some(until) = locked_until(failures, act.now) {
        store::lock(&mut act.tx, address, until).await?;
        if let Some(person) = person {
            act.record(
                Record::new("account.locked", "user", person.user_id)
                    .after(serde_json::json!({ "failed_sign_ins": failures, "locked_until": until })),
            );
        }
    }
    act.commit().await
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

/// The sessions of a person that have not ended: one's own, or as an administrator anybody's.
///
/// # Errors
/// `forbidden`.
pub async fn list_sessions(app: &App, actor: &Actor, user: UserId) -> Result<Vec<SessionView>> {
    may_see(app, actor, user)?;
    let mut sessions = store::sessions_of(&app.db, user, app.now()).await?;
    let current = actor.session.as_ref().map_or("", |session| &session.token_hash);
    for session in &mut sessions {
        session.current = current.starts_with(&session.session_id);
    }
    Ok(sessions)
}

/// Ends one of one's own sessions.
///
/// # Errors
/// `forbidden`, `not_found`.
pub async fn end_session(app: &App, actor: &Actor, session_id: &str) -> Result<()> {
    actor.may(app, Action::AccountManage, &[Relation::Oneself])?;
    let mut act = Act::begin(app, &actor.who).await?;
    if store::end_one_of(&mut act.tx, actor.user_id, session_id).await? == 0 {
        return Err(Error::not_found("session", session_id));
    }
    act.record(Record::new("session.ended", "user", actor.user_id));
    act.commit().await
}

/// Ends all sessions of a person and lifts the lock of their address, as part of a larger act.
pub(super) async fn end_all(act: &mut Act, user: UserId, email: &str) -> Result<u64> {
    store::forget_failures(&mut act.tx, &digest_of_secret(email), act.now).await?;
    Ok(store::end_sessions(&mut act.tx, user).await?)
}

/// Ends all sessions of the person but the one at hand, as part of a larger act.
pub(super) async fn end_others(act: &mut Act, actor: &Actor) -> Result<u64> {
    let current = actor.session.as_ref().map_or("", |session| &session.token_hash);
    Ok(store::end_others(&mut act.tx, actor.user_id, current).await?)
}

/// Ends all sessions of the person, the one they came with among them.
///
/// # Errors
/// Only failures of the database.
pub async fn sign_out_everywhere(app: &App, actor: &Actor) -> Result<u64> {
    actor.may(app, Action::AccountManage, &[Relation::Oneself])?;
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
