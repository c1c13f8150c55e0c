//! The SQL of people and their roles.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::db::{Conn, Db, DbError, Query, Tx, json_list};
use crate::identity::people::{ApprovesFor, PeopleFilter, PersonView};
use crate::identity::rules::Role;
use crate::ids::{RegionId, UserId};
use crate::web::etag::Revision;
use crate::web::paging::like_pattern;

/// One row a role and region of a person.
#[derive(Debug, sqlx::FromRow)]
pub struct PersonRow {
    pub user_id: UserId,
    pub email: String,
    pub name: String,
    pub sort_name: String,
    pub disabled: bool,
    pub has_password: bool,
    pub owned_models: i64,
    pub created_at: DateTime<Utc>,
    pub revision: Revision,
    pub role: Option<Role>,
    pub region_id: Option<RegionId>,
    pub region_code: Option<String>,
    pub region_name: Option<String>,
}

impl PersonRow {
    /// The person, without roles yet.
    pub fn into_view(self) -> PersonView {
        PersonView {
            user_id: self.user_id,
            email: self.email,
            name: self.name,
            roles: Vec::new(),
            approves_for: Vec::new(),
            disabled: self.disabled,
            has_password: self.has_password,
            owned_models: self.owned_models,
            created_at: self.created_at,
            revision: self.revision,
        }
    }
}

const PEOPLE: &str = "SELECT p.user_id, p.email, p.name, p.sort_name, p.disabled, p.has_password,
        (SELECT COUNT(*) FROM models m WHERE m.owner_id = p.user_id) AS owned_models, p.created_at, p.revision,
        r.role, r.region_id, g.code AS region_code, g.name AS region_name
    FROM (SELECT u.user_id, u.email, u.name, LOWER(u.name) AS sort_name, u.disabled,
                 u.password_hash IS NOT NULL AS has_password, u.created_at, u.revision
          FROM users u WHERE TRUE";

const ROLES: &str =
    ") p LEFT JOIN user_roles r ON r.user_id = p.user_id LEFT JOIN regions g ON g.region_id = r.region_id
    ORDER BY p.sort_name, p.user_id, g.code";

fn filtered(query: Query, filter: &PeopleFilter) -> Query {
    query
        .when(
            " AND (LOWER(u.name) LIKE {} ESCAPE '\\' OR u.email LIKE {} ESCAPE '\\')",
            filter.q.as_deref().map(like_pattern),
        )
        .when(" AND EXISTS (SELECT 1 FROM user_roles f WHERE f.user_id = u.user_id AND f.role = {})", filter.role)
        .when(" AND u.disabled = {}", filter.disabled)
}

pub async fn list(
    db: &Db,
    filter: &PeopleFilter,
    after: Option<(String, i64)>,
    limit: i64,
) -> Result<Vec<PersonRow>, DbError> {
    let (name, user) = after.unzip();
    filtered(Query::new(PEOPLE), filter)
        .when(" AND (LOWER(u.name), u.user_id) > ({}, ", name)
        .when("{})", user)
        .push(" ORDER BY LOWER(u.name), u.user_id")
        .limit(limit)
        .push(ROLES)
        .all(db)
        .await
}

/// How many people match, and how many of them are active.
pub async fn count(db: &Db, filter: &PeopleFilter) -> Result<(i64, i64), DbError> {
    let query = Query::new(
        "SELECT COUNT(*), CAST(COALESCE(SUM(CASE WHEN u.disabled THEN 0 ELSE 1 END), 0) AS BIGINT) FROM users u WHERE TRUE",
    );
    filtered(query, filter).one(db).await
}

pub async fn one(conn: impl Into<Conn<'_>>, user: UserId) -> Result<Vec<PersonRow>, DbError> {
    Query::new(PEOPLE).when(" AND u.user_id = {}", Some(user)).push(ROLES).all(conn).await
}

pub async fn by_email(db: &Db, email: &str) -> Result<Vec<PersonRow>, DbError> {
    Query::new(PEOPLE).when(" AND u.email = {}", Some(email)).push(ROLES).all(db).await
}

pub async fn regions(db: &Db) -> Result<Vec<ApprovesFor>, DbError> {
    Query::new("SELECT region_id, code, name FROM regions ORDER BY code").all(db).await
}

pub async fn lock(tx: &mut Tx, user: UserId) -> Result<(), DbError> {
    Query::new("SELECT user_id FROM users WHERE user_id = $1")
        .bind(user)
        .for_update()
        .optional::<(UserId,)>(tx)
        .await
        .map(drop)
}

/// The active administrators, locked, so that two of them cannot remove each other at once.
pub async fn lock_administrators(tx: &mut Tx) -> Result<Vec<UserId>, DbError> {
    let rows: Vec<(UserId,)> = Query::new(
        "SELECT u.user_id FROM users u JOIN user_roles r ON r.user_id = u.user_id AND r.role = 'ADMIN'
         WHERE NOT u.disabled ORDER BY u.user_id",
    )
    .for_update()
    .all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

pub async fn add(
    tx: &mut Tx,
    email: &str,
    name: &str,
    password_hash: Option<String>,
    now: DateTime<Utc>,
) -> Result<UserId, DbError> {
    Query::new("INSERT INTO users (email, name, password_hash, created_at) VALUES ($1, $2, $3, $4) RETURNING user_id")
        .bind(email)
        .bind(name)
        .bind(password_hash)
        .bind(now)
        .one::<(UserId,)>(tx)
        .await
        .map(|row| row.0)
}

/// Adds members without a password, but for those whose address is there; answers those that were added.
pub async fn add_missing(
    tx: &mut Tx,
    people: &[(String, String)],
    now: DateTime<Utc>,
) -> Result<Vec<(UserId, String, String)>, DbError> {
    // WHERE TRUE keeps SQLite from reading ON CONFLICT as a join's condition.
    let added: Vec<(UserId, String, String)> = Query::new(
        "INSERT INTO users (email, name, created_at) SELECT value ->> 0, value ->> 1, $2 FROM json_each($1) WHERE TRUE
         ON CONFLICT (email) DO NOTHING RETURNING user_id, email, name",
    )
    .bind(json_list(people))
    .bind(now)
    .all(&mut *tx)
    .await?;
    Query::new("INSERT INTO user_roles (user_id, role) SELECT CAST(value AS BIGINT), 'MEMBER' FROM json_each($1)")
        .bind(json_list(added.iter().map(|one| one.0)))
        .run(tx)
        .await?;
    Ok(added)
}

pub async fn edit(tx: &mut Tx, user: UserId, email: &str, name: &str) -> Result<u64, DbError> {
    Query::new("UPDATE users SET email = $2, name = $3, revision = revision + 1 WHERE user_id = $1")
        .bind(user)
        .bind(email)
        .bind(name)
        .run(tx)
        .await
}

pub async fn set_password(tx: &mut Tx, user: UserId, hash: String) -> Result<u64, DbError> {
    Query::new("UPDATE users SET password_hash = $2, revision = revision + 1 WHERE user_id = $1")
        .bind(user)
        .bind(hash)
        .run(tx)
        .await
}

pub async fn set_disabled(tx: &mut Tx, user: UserId, disabled: bool) -> Result<u64, DbError> {
    Query::new("UPDATE users SET disabled = $2, revision = revision + 1 WHERE user_id = $1")
        .bind(user)
        .bind(disabled)
        .run(tx)
        .await
}

/// A row of `user_roles` to be.
#[derive(Serialize)]
struct RoleRow {
    role: Role,
    region_id: Option<RegionId>,
}

/// Replaces a person's roles.
pub async fn set_roles(tx: &mut Tx, user: UserId, roles: &[Role], regions: &[RegionId]) -> Result<(), DbError> {
    let rows = roles.iter().flat_map(|role| match role {
        Role::RegionalApprover => {
            regions.iter().map(|region| RoleRow { role: *role, region_id: Some(*region) }).collect()
        }
        role => vec![RoleRow { role: *role, region_id: None }],
    });
    Query::new("DELETE FROM user_roles WHERE user_id = $1").bind(user).run(&mut *tx).await?;
    Query::new(
        "INSERT INTO user_roles (user_id, role, region_id)
         SELECT $1, value ->> 'role', CAST(value ->> 'region_id' AS BIGINT) FROM json_each($2)",
    )
    .bind(user)
    .bind(json_list(rows))
    .run(&mut *tx)
    .await?;
    Query::new("UPDATE users SET revision = revision + 1 WHERE user_id = $1").bind(user).run(tx).await.map(drop)
}
