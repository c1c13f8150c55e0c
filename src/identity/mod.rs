//! People: who they are, what roles they have, how they sign in, and who may do what.
//!
//! Every act of every area is authorised here, by [`Actor::may`], before it looks at anything
//! else. This area never decides an approval: that is a rule of the inbox.

use axum::Router;
use chrono::{DateTime, Utc};
use utoipa_axum::router::OpenApiRouter;

use crate::app::App;
use crate::audit::Who;
use crate::error::{self, Error, Result};
use crate::ids::{RegionId, UserId};

pub mod access;
mod api;
pub mod delegations;
mod pages;
pub mod people;
pub mod permissions;
pub mod policy;
pub mod rules;
mod sessions;
mod store;
#[cfg(test)]
mod tests;
pub mod tokens;

pub use people::{
    NewUser, add_user, change_password, disable_user, edit_user, enable_user, find_user, list_users, set_password,
    set_roles, show_user,
};
pub use rules::{Action, Relation, Role, TokenScope};
pub use sessions::{
    Session, SessionView, SignedIn, authenticate_session, authenticate_token, end_session, list_sessions, sign_in,
    sign_out, sign_out_everywhere,
};
pub use tokens::{NewToken, create_token, list_tokens, revoke_token};

/// Somebody who acts: a person with their roles, or the product's own command line.
#[derive(Debug, Clone)]
pub struct Actor {
    /// Who they are, as the ledger writes it.
    pub who: Who,
    /// Their number; 0 for the command line, which is no person.
    pub user_id: UserId,
    /// Their e-mail address.
    pub email: String,
    /// Their roles.
    pub roles: Vec<Role>,
    /// The regions they approve for.
    pub approves_for: Vec<RegionId>,
    /// Whether their token may only read.
    pub read_only: bool,
    /// The session, if they came with one.
    pub session: Option<Session>,
}

impl Actor {
    /// The command line on the server itself: whoever can run it can read the database anyway.
    #[must_use]
    pub fn console() -> Self {
        Self {
            who: Who::system("console"),
            user_id: UserId(0),
            email: String::new(),
            roles: vec![Role::Admin],
            approves_for: Vec::new(),
            read_only: false,
            session: None,
        }
    }

    /// Whether they have `role`.
    #[must_use]
    pub fn is(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Whether the policy lets them do `action` on a thing they stand to in these relations.
    #[must_use]
    pub fn can(&self, app: &App, action: Action, relations: &[Relation]) -> bool {
        app.policy.decide(self.question(relations), action).is_ok()
    }

    /// Lets the act go on only if the policy permits it.
    ///
    /// # Errors
    /// `forbidden` or `read_only_token`, with the rule that refused and its sentence.
    pub fn may(&self, app: &App, action: Action, relations: &[Relation]) -> Result<()> {
        app.policy.decide(self.question(relations), action).map_err(|refusal| {
            let code = if refusal.rules == ["read-only-token"] { &error::READ_ONLY_TOKEN } else { &error::FORBIDDEN };
            Error::new(code, format!("You may not {}: {}.", action.phrase(), refusal.sentence))
                .fact("rules", refusal.rules)
        })
    }

    fn question<'a>(&'a self, relations: &'a [Relation]) -> policy::Question<'a> {
        policy::Question {
            person: self.user_id.0,
            roles: &self.roles,
            relations,
            read_only: self.read_only,
            agent: self.who.agent.is_some(),
        }
    }

    /// The token that this person's forms must carry; empty without a session.
    #[must_use]
    pub fn csrf_token(&self) -> &str {
        self.session.as_ref().map_or("", |session| &session.csrf_token)
    }
}

/// A person's account and roles, as the database has them.
#[derive(Debug, Clone)]
pub struct Account {
    /// Their number.
    pub user_id: UserId,
    /// Their address, with which they sign in.
    pub email: String,
    /// Their name.
    pub name: String,
    /// Their roles.
    pub roles: Vec<Role>,
    /// The regions they approve for.
    pub approves_for: Vec<RegionId>,
}

impl Account {
    fn into_actor(self, request_id: String, read_only: bool, session: Option<Session>) -> Actor {
        Actor {
            who: Who { user_id: Some(self.user_id), name: self.name, agent: None, request_id, idempotency: None },
            user_id: self.user_id,
            email: self.email,
            roles: self.roles,
            approves_for: self.approves_for,
            read_only,
            session,
        }
    }
}

/// A person as an actor, for what the product does in their name: demo data, and programs to come.
///
/// # Errors
/// `not_found` if there is no such person, or they are disabled.
pub async fn actor_of(app: &App, user: UserId, request_id: &str) -> Result<Actor> {
    let account = store::account_of(&app.db, user).await?.ok_or_else(|| Error::not_found("person", user))?;
    Ok(account.into_actor(request_id.to_owned(), false, None))
}

/// Hashes a password with argon2id and a fresh salt; takes tens of milliseconds on purpose.
///
/// # Errors
/// The operating system gives no randomness.
pub async fn hash_password(app: &App, password: String) -> Result<String> {
    use argon2::password_hash::PasswordHasher as _;
    alone(app, move || argon2::Argon2::default().hash_password(password.as_bytes()).map(|hash| hash.to_string()))
        .await?
        .map_err(|cause| Error::internal(anyhow::anyhow!("argon2: {cause}")))
}

/// Runs a hash on a thread of its own, one at a time.
///
/// Each takes 19 MiB, which the allocator keeps for the thread that asked: on the runtime's many threads
/// that would grow with every sign-in. One at a time also keeps a flood of sign-ins from taking all cores.
async fn alone<Out: Send + 'static>(app: &App, hash: impl FnOnce() -> Out + Send + 'static) -> Result<Out> {
    let _turn = app.hashing.acquire().await.map_err(Error::internal)?;
    let (send, receive) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("hashing".to_owned())
        .spawn(move || send.send(hash()).ok())
        .map_err(Error::internal)?;
    receive.await.map_err(Error::internal)
}

/// The digest under which secrets are stored: SHA-256, since they are random and 256 bits long.
#[must_use]
pub fn digest_of_secret(secret: &str) -> String {
    use sha2::Digest as _;
    hex::encode(sha2::Sha256::digest(secret.as_bytes()))
}

/// How somebody who acts stands to the person the act is about.
#[must_use]
pub fn relation_to(actor: &Actor, user: UserId) -> &'static [Relation] {
    if actor.user_id == user { &[Relation::Oneself] } else { &[] }
}

/// When a session that starts `now` ends.
#[must_use]
pub fn session_end(now: DateTime<Utc>) -> DateTime<Utc> {
    now + rules::SESSION_LIFETIME
}

/// The JSON routes of this area.
pub fn api() -> OpenApiRouter<App> {
    api::routes()
}

/// The pages of this area.
pub fn pages() -> Router<App> {
    pages::routes()
}
