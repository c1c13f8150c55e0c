//! The SQL of people, sessions and tokens.

use chrono::{DateTime, Utc};

use super::rules::{Role, TokenScope};
use super::{Account, Session};
use crate::db::{Conn, Db, DbError, Query, Tx};
use crate::ids::{RegionId, TokenId, UserId};

/// What a sign-in is checked against.
#[derive(Debug, sqlx::FromRow)]
pub struct Credentials {
    pub user_id: UserId,
    pub name: String,
    pub password_hash: Option<String>,
    pub disabled: bool,
    pub locked_until: Option<DateTime<Utc>>,
}

pub async fn credentials(db: &Db, email: &str) -> Result<Option<Credentials>, DbError> {
    Query::new("SELECT user_id, name, password_hash, disabled, locked_until FROM users WHERE email = $1")
        .bind(email)
        .optional(db)
        .await
}

/// Counts a failed sign-in and returns how many there were in a row.
pub async fn count_failure(tx: &mut Tx, user: UserId) -> Result<i64, DbError> {
    Query::new("UPDATE users SET failed_sign_ins = failed_sign_ins + 1 WHERE user_id = $1 RETURNING failed_sign_ins")
        .bind(user)
        .one::<(i64,)>(tx)
        .await
        .map(|row| row.0)
}

pub async fn lock(tx: &mut Tx, user: UserId, until: DateTime<Utc>) -> Result<(), DbError> {
    Query::new("UPDATE users SET locked_until = $2 WHERE user_id = $1").bind(user).bind(until).run(tx).await.map(drop)
}

pub async fn start_session(
    tx: &mut Tx,
    user: UserId,
    session: &Session,
    client: &str,
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> Result<(), DbError> {
    Query::new("UPDATE users SET failed_sign_ins = 0, locked_until = NULL WHERE user_id = $1")
        .bind(user)
        .run(&mut *tx)
        .await?;
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

/// The account of a person, for acts on their behalf.
pub async fn account_of(conn: impl Into<Conn<'_>>, user: UserId) -> Result<Option<Account>, DbError> {
    let rows = Query::new(
        "SELECT u.user_id, u.email, u.name, r.role, r.region_id
         FROM users u LEFT JOIN user_roles r ON r.user_id = u.user_id WHERE u.user_id = $1",
    )
    .bind(user)
    .all(conn)
    .await?;
    Ok(account(rows))
}
