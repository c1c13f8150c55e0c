//! API tokens: a program's credential, which acts as its person, within its scope, until it expires.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::rules::LONGEST_TOKEN_DAYS;
use super::store::tokens as store;
use super::{Action, Actor, Relation, TokenScope, digest_of_secret};
use crate::app::App;
use crate::audit::{Act, Record};
use crate::error::{self, Error, Fields, Result};
use crate::ids::{TokenId, UserId};

/// What every token begins with, so that people and secret scanners recognise one.
const PREFIX: &str = "cs_";

/// A token to make.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// What it is for.
    #[schema(max_length = 100, example = "nightly report")]
    pub name: String,
    /// What it may do.
    pub scope: TokenScope,
    /// After how many days it expires.
    #[schema(minimum = 1, maximum = 366, example = 90)]
    pub expires_in_days: i64,
}

/// A token, without its secret.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct TokenView {
    /// Its number.
    pub token_id: TokenId,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub scope: TokenScope,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it stops working by itself.
    pub expires_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

impl TokenView {
    /// Whether it works at `now`.
    #[must_use]
    pub fn in_force(&self, now: &DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && self.expires_at > *now
    }
}

/// A token just made: the only time its secret is seen. Not `Debug`, for that reason.
#[derive(Clone, Serialize, utoipa::ToSchema)]
pub struct MadeToken {
    /// The token.
    #[serde(flatten)]
    pub token: TokenView,
    /// What programs send as `Authorization: Bearer …`. It is not kept and cannot be shown again.
    #[schema(example = "cs_5f0c…")]
    pub secret: String,
}

/// Makes a token for a person: themselves, or anybody from the server's own command line.
///
/// # Errors
/// `forbidden` for another person's token or with a token, `invalid`, `not_found`.
pub async fn create_token(app: &App, actor: &Actor, user: UserId, new: NewToken) -> Result<MadeToken> {
    actor.may(app, Action::AccountManage, &[Relation::Oneself])?;
    only_in_person(actor, user)?;
    let mut fields = Fields::default();
    let name = fields.text("name", &new.name, 100);
    let in_range = (1..=LONGEST_TOKEN_DAYS).contains(&new.expires_in_days);
    fields.check(in_range, "expires_in_days", "It must be between 1 and 366.");
    fields.done()?;
    let mut act = Act::begin(app, &actor.who).await?;
    let secret = format!("{PREFIX}{}", app.secret());
    let expires_at = act.now + TimeDelta::days(new.expires_in_days);
    let made = store::add(&mut act.tx, user, &name, &digest_of_secret(&secret), new.scope, act.now, expires_at).await;
    let token =
        made.map_err(
            |error| {
                if crate::db::is_dangling(&error) { Error::not_found("person", user) } else { error.into() }
            },
        )?;
    act.record(
        Record::new("token.created", "token", token.token_id)
            .after(json!({ "user_id": user, "name": name, "scope": new.scope, "expires_at": expires_at })),
    );
    act.commit().await?;
    Ok(MadeToken { token, secret })
}

/// Who makes a token can act as its person: so nobody does it for another, administrators
/// included, and no token makes a token that would outlive it.
fn only_in_person(actor: &Actor, user: UserId) -> Result<()> {
    let on_the_server = actor.who.user_id.is_none();
    if on_the_server || (actor.user_id == user && actor.session.is_some()) {
        return Ok(());
    }
    Err(Error::new(&error::FORBIDDEN, "A token is made by its own person, who has signed in with their password.")
        .hint("Sign in and make it under “Account and tokens”."))
}

/// A person's tokens, the newest first, those that ended too.
///
/// # Errors
/// `forbidden` for another person's, unless one manages accounts.
pub async fn list_tokens(app: &App, actor: &Actor, user: UserId) -> Result<Vec<TokenView>> {
    may_see(app, actor, user)?;
    Ok(store::of_user(&app.db, user).await?)
}

/// Revokes a token: one's own, or as an administrator anybody's. Revoking twice changes nothing.
///
/// # Errors
/// `not_found` if there is no such token, or it is another person's.
pub async fn revoke_token(app: &App, actor: &Actor, token: TokenId) -> Result<TokenView> {
    let hidden = || Error::not_found("token", token);
    let mut act = Act::begin(app, &actor.who).await?;
    let owner = store::owner(&mut act.tx, token).await?.ok_or_else(hidden)?;
    if owner != actor.user_id && !actor.can(app, Action::PeopleManage, &[]) {
        return Err(hidden());
    }
    actor.may(app, Action::AccountManage, super::relation_to(actor, owner))?;
    let revoked = store::revoke(&mut act.tx, token, act.now).await? > 0;
    let view = store::one(&mut act.tx, token).await?.ok_or_else(hidden)?;
    if revoked {
        act.record(Record::new("token.revoked", "token", token).before(json!({ "user_id": owner, "name": view.name })));
    }
    act.commit().await?;
    Ok(view)
}

/// Whether one may look at a person's tokens and sessions: one's own, or as an administrator all.
pub(super) fn may_see(app: &App, actor: &Actor, user: UserId) -> Result<()> {
    if actor.user_id == user { Ok(()) } else { actor.may(app, Action::PeopleManage, &[]) }
}
