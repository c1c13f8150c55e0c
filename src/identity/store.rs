//! The SQL of sessions and of recognising who calls; people, tokens and delegations have files of their own.

pub mod delegations;
pub mod people;
pub mod tokens;

use chrono::{DateTime, Utc};

use super::rules::{FAILURES_FORGOTTEN, Role, TokenScope};
use super::{Account, Session};
use crate::db::{Db, DbError, Query, Tx};
use crate::ids::{RegionId, TokenId, UserId};

/// What a sign-in is checked against.
#[derive(Debug, sqlx::FromRow)]
pub struct Credentials {
    pub user_id: UserId,
    pub name: String,
    pub password_hash: Option<String>,
    pub disabled: bool,
}

pub async fn credentials(db: &Db, email: &str) -> Result<Option<Credentials>, DbError> {
    Query::new("SELECT user_id, name, password_hash, disabled FROM users WHERE email = $1")
        .bind(email)
        .optional(db)
        .await
}

/// Until when an address may not sign in, if it is locked.
pub async fn locked_until(db: &Db, address: &str, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, DbError> {
    Query::new("SELECT locked_until FROM sign_in_failures WHERE address = $1 AND locked_until > $2")
        .bind(address)
        .bind(now)
        .optional::<(DateTime<Utc>,)>(db)
        .await
        .map(|row| row.map(|row| row.0))
}

/// Counts a failed sign-in and returns how many there were in a row.
pub async fn count_failure(tx: &mut Tx, address: &str, now: DateTime<Utc>) -> Result<i64, DbError> {
    Query::new(
        "INSERT INTO sign_in_failures (address, failures, failed_at) VALUES ($1, 1, $2)
         ON CONFLICT (address) DO UPDATE SET failed_at = $2,
             failures = CASE WHEN sign_in_failures.failed_at < $3 THEN 1 ELSE sign_in_failures.failures + 1 END
         RETURNING failures",
    )
    .bind(address)
    .bind(now)
    .bind(now - FAILURES_FORGOTTEN)
    .one::<(i64,)>(tx)
    .await
    .map(|row| row.0)
}

pub async fn lock(tx: &mut Tx, address: &str, until: DateTime<Utc>) -> Result<(), DbError> {
    Query::new("UPDATE sign_in_failures SET locked_until = $2 WHERE address = $1")
        .bind(address)
        .bind(until)
        .run(tx)
        .await
        .map(drop)
}

/// Forgets the failures of an address, and all that are old.
pub async fn forget_failures(tx: &mut Tx, address: &str, now: DateTime<Utc>) -> Result<(), DbError> {
    Query::new("DELETE FROM sign_in_failures WHERE address = $1 OR failed_at < $2")
        .bind(address)
        .bind(now - FAILURES_FORGOTTEN)
        .run(tx)
        .await
        .map(drop)
}

pub async fn start_session(
    tx: &mut Tx,
    user: UserId,
    session: &Session,
    client: &str,
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> Result<(), DbError> {
    Query::new(
        "INSERT INTO sessions (token_hash, user_id, csrf_token, created_at, seen_at, expires_at, client)
         VALUES ($1, $2, $3, $4, $4, $5, $6)",
    )
    .bind(&session.token_hash)
    .bind(user)
    .bind(&session.csrf_token)
    .bind(now)
    .bind(expires_at)
    .bind(client)
    .run(tx)
    .await
    .map(drop)
}

pub async fn end_session(tx: &mut Tx, token_hash: &str) -> Result<u64, DbError> {
    Query::new("DELETE FROM sessions WHERE token_hash = $1").bind(token_hash).run(tx).await
}

pub async fn end_sessions(tx: &mut Tx, user: UserId) -> Result<u64, DbError> {
    Query::new("DELETE FROM sessions WHERE user_id = $1").bind(user).run(tx).await
}

pub async fn forget_expired(tx: &mut Tx, now: DateTime<Utc>) -> Result<u64, DbError> {
    Query::new("DELETE FROM sessions WHERE expires_at <= $1").bind(now).run(tx).await
}

pub async fn session_seen(db: &Db, token_hash: &str, now: DateTime<Utc>) -> Result<u64, DbError> {
    Query::new("UPDATE sessions SET seen_at = $2 WHERE token_hash = $1").bind(token_hash).bind(now).run(db).await
}

pub async fn token_used(db: &Db, token: TokenId, now: DateTime<Utc>) -> Result<u64, DbError> {
    Query::new("UPDATE api_tokens SET last_used_at = $2 WHERE token_id = $1").bind(token).bind(now).run(db).await
}

/// One row a role: the account with what it was found by.
#[derive(Debug, sqlx::FromRow)]
struct AccountRow {
    user_id: UserId,
    email: String,
    name: String,
    role: Option<Role>,
    region_id: Option<RegionId>,
}

/// Folds the rows of one person into an account.
fn account(rows: Vec<AccountRow>) -> Option<Account> {
    let mut rows = rows.into_iter().peekable();
    let first = rows.peek()?;
    let mut account = Account {
        user_id: first.user_id,
        email: first.email.clone(),
        name: first.name.clone(),
        roles: Vec::new(),
        approves_for: Vec::new(),
    };
    for row in rows {
        if let Some(role) = row.role
            && !account.roles.contains(&role)
        {
            account.roles.push(role);
        }
        account.approves_for.extend(row.region_id);
    }
    Some(account)
}

#[derive(Debug, sqlx::FromRow)]
struct SessionRow {
    #[sqlx(flatten)]
    account: AccountRow,
    csrf_token: String,
    seen_at: DateTime<Utc>,
}

/// The account, form token and last use of a session that has not ended.
pub async fn session(
    db: &Db,
    token_hash: &str,
    now: DateTime<Utc>,
) -> Result<Option<(Account, String, DateTime<Utc>)>, DbError> {
    let rows: Vec<SessionRow> = Query::new(
        "SELECT u.user_id, u.email, u.name, r.role, r.region_id, s.csrf_token, s.seen_at
         FROM sessions s JOIN users u ON u.user_id = s.user_id LEFT JOIN user_roles r ON r.user_id = u.user_id
         WHERE s.token_hash = $1 AND s.expires_at > $2 AND NOT u.disabled",
    )
    .bind(token_hash)
    .bind(now)
    .all(db)
    .await?;
    let Some((csrf, seen)) = rows.first().map(|row| (row.csrf_token.clone(), row.seen_at)) else { return Ok(None) };
    Ok(account(rows.into_iter().map(|row| row.account).collect()).map(|account| (account, csrf, seen)))
}

#[derive(Debug, sqlx::FromRow)]
struct TokenRow {
    #[sqlx(flatten)]
    account: AccountRow,
    token_id: TokenId,
    scope: TokenScope,
    last_used_at: Option<DateTime<Utc>>,
}

/// The account and particulars of a token that is in force.
pub async fn token(
    db: &Db,
    token_hash: &str,
    now: DateTime<Utc>,
) -> Result<Option<(Account, TokenId, TokenScope, Option<DateTime<Utc>>)>, DbError> {
    let rows: Vec<TokenRow> = Query::new(
        "SELECT u.user_id, u.email, u.name, r.role, r.region_id, t.token_id, t.scope, t.last_used_at
         FROM api_tokens t JOIN users u ON u.user_id = t.user_id LEFT JOIN user_roles r ON r.user_id = u.user_id
         WHERE t.token_hash = $1 AND t.revoked_at IS NULL AND t.expires_at > $2 AND NOT u.disabled",
    )
    .bind(token_hash)
    .bind(now)
    .all(db)
    .await?;
    let Some((id, scope, used)) = rows.first().map(|row| (row.token_id, row.scope, row.last_used_at)) else {
        return Ok(None);
    };
    Ok(account(rows.into_iter().map(|row| row.account).collect()).map(|account| (account, id, scope, used)))
}

/// The account of a person who can sign in.
pub async fn account_of(db: &Db, user: UserId) -> Result<Option<Account>, DbError> {
    let rows = Query::new(
        "SELECT u.user_id, u.email, u.name, r.role, r.region_id
         FROM users u LEFT JOIN user_roles r ON r.user_id = u.user_id WHERE u.user_id = $1 AND NOT u.disabled",
    )
    .bind(user)
    .all(db)
    .await?;
    Ok(account(rows))
}

/// A session, as its person sees it.
pub async fn sessions_of(
    db: &Db,
    user: UserId,
    now: DateTime<Utc>,
) -> Result<Vec<super::sessions::SessionView>, DbError> {
    Query::new(
        "SELECT SUBSTR(token_hash, 1, 16) AS session_id, created_at, seen_at, expires_at, client, FALSE AS current
         FROM sessions WHERE user_id = $1 AND expires_at > $2 ORDER BY seen_at DESC, token_hash LIMIT 100",
    )
    .bind(user)
    .bind(now)
    .all(db)
    .await
}

pub async fn end_one_of(tx: &mut Tx, user: UserId, session_id: &str) -> Result<u64, DbError> {
    Query::new("DELETE FROM sessions WHERE user_id = $1 AND SUBSTR(token_hash, 1, 16) = $2")
        .bind(user)
        .bind(session_id)
        .run(tx)
        .await
}

pub async fn end_others(tx: &mut Tx, user: UserId, but: &str) -> Result<u64, DbError> {
    Query::new("DELETE FROM sessions WHERE user_id = $1 AND token_hash <> $2").bind(user).bind(but).run(tx).await
}
