//! People: who there is, what roles they have, and the acts of an administrator on them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::rules::{check_password, check_roles, is_email};
use super::store::people::{self as store, PersonRow};
use super::{Action, Actor, Relation, Role, hash_password, sessions};
use crate::app::App;
use crate::audit::{Act, Record};
use crate::db::{is_dangling, is_duplicate};
use crate::error::{self, Error, Fields, Result};
use crate::ids::{RegionId, UserId};
use crate::web::etag::{Revision, check_revision};
use crate::web::paging::{Cursor, Page, limit};

/// Longest name of a person.
const NAME_LENGTH: usize = 200;

/// A region that a person approves for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct ApprovesFor {
    /// Its number.
    pub region_id: RegionId,
    /// Its code.
    pub code: String,
    /// Its name.
    pub name: String,
}

/// A person, as lists and pages show them.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct PersonView {
    /// Their number.
    pub user_id: UserId,
    /// The address with which they sign in.
    pub email: String,
    /// Their name.
    pub name: String,
    /// Their roles.
    pub roles: Vec<Role>,
    /// The regions they approve for; empty unless they are a REGIONAL_APPROVER.
    pub approves_for: Vec<ApprovesFor>,
    /// Whether they can no longer sign in.
    pub disabled: bool,
    /// Whether they have a password; without one only an administrator's act lets them in.
    pub has_password: bool,
    /// How many models they own.
    pub owned_models: i64,
    /// When they were added.
    pub created_at: DateTime<Utc>,
    /// How often they were changed; the ETag.
    pub revision: Revision,
}

impl PersonView {
    /// Whether they have `role`.
    #[must_use]
    pub fn is(&self, role: &Role) -> bool {
        self.roles.contains(role)
    }

    /// Whether they approve for a region.
    #[must_use]
    pub fn approves(&self, region: &RegionId) -> bool {
        self.approves_for.iter().any(|one| one.region_id == *region)
    }

    /// Their regions' codes, as a list reads.
    #[must_use]
    pub fn region_codes(&self) -> String {
        self.approves_for.iter().map(|one| one.code.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// Which people a list shows.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PeopleFilter {
    /// Text in name or e-mail.
    pub q: Option<String>,
    /// Only those with this role.
    pub role: Option<Role>,
    /// Only disabled (`true`) or only active people (`false`).
    pub disabled: Option<bool>,
    /// Where the page starts, from the page before.
    #[param(value_type = Option<String>)]
    pub cursor: Option<Cursor>,
    /// How many at most, 1 to 500.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<i64>,
}

impl PeopleFilter {
    /// Whether it asks for this role.
    #[must_use]
    pub fn has_role(&self, role: &Role) -> bool {
        self.role.as_ref() == Some(role)
    }
}

/// A page of people.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct People {
    /// The people, by name.
    #[serde(flatten)]
    pub page: Page<PersonView>,
    /// How many the filter matches.
    pub total_count: i64,
    /// How many of these can sign in.
    pub active_count: i64,
}

/// Somebody to add. Not `Debug`: it holds a password.
#[derive(Clone, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// The address with which they sign in.
    #[schema(max_length = 200, example = "anna.keller@example.com")]
    pub email: String,
    /// Their name.
    #[schema(max_length = 200, example = "Anna Keller")]
    pub name: String,
    /// Their first password; without one they cannot sign in until it is set.
    #[serde(default)]
    #[schema(min_length = 12, max_length = 200)]
    pub password: Option<String>,
    /// Their roles; none means MEMBER.
    #[serde(default)]
    pub roles: Vec<Role>,
    /// The regions they approve for, if they are a REGIONAL_APPROVER.
    #[serde(default)]
    pub approves_for: Vec<RegionId>,
}

/// The particulars of a person, changed.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EditUser {
    /// The address with which they sign in.
    #[schema(max_length = 200)]
    pub email: String,
    /// Their name.
    #[schema(max_length = 200)]
    pub name: String,
}

/// A person's roles, all of them.
#[derive(Debug, Clone, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetRoles {
    /// The roles; none means MEMBER.
    pub roles: Vec<Role>,
    /// The regions they approve for, if they are a REGIONAL_APPROVER.
    #[serde(default)]
    pub approves_for: Vec<RegionId>,
}

/// The people that match a filter, a page of them, by name.
///
/// # Errors
/// `forbidden`, `invalid`.
pub async fn list_users(app: &App, actor: &Actor, filter: &PeopleFilter) -> Result<People> {
    actor.may(app, Action::PeopleView, &[])?;
    let limit = limit(filter.limit)?;
    let after: Option<(String, i64)> = filter.cursor.as_ref().map(Cursor::keys).transpose()?;
    let rows = store::list(&app.db, filter, after, limit + 1).await?;
    let (total_count, active_count) = store::count(&app.db, filter).await?;
    let page = Page::cut(fold(rows), limit, |(key, person)| (key.clone(), person.user_id.0)).map(|(_, person)| person);
    Ok(People { page, total_count, active_count })
}

/// One person.
///
/// # Errors
/// `forbidden`, `not_found`.
pub async fn show_user(app: &App, actor: &Actor, user: UserId) -> Result<PersonView> {
    actor.may(app, Action::PeopleView, &[])?;
    find(store::one(&app.db, user).await?, user)
}

/// The person with this address, for whoever knows people by it: the command line.
///
/// # Errors
/// `forbidden`, `not_found`.
pub async fn find_user(app: &App, actor: &Actor, email: &str) -> Result<PersonView> {
    actor.may(app, Action::PeopleView, &[])?;
    let email = email.trim().to_lowercase();
    let rows = store::by_email(&app.db, &email).await?;
    fold(rows).into_iter().next().map(|(_, person)| person).ok_or_else(|| Error::not_found("person", email))
}

/// The regions that somebody could approve for, by code.
///
/// # Errors
/// Only failures of the database.
pub async fn regions(app: &App) -> Result<Vec<ApprovesFor>> {
    Ok(store::regions(&app.db).await?)
}

/// Adds a person.
///
/// # Errors
/// `forbidden`, `invalid`, `conflict` if the address is taken.
pub async fn add_user(app: &App, actor: &Actor, new: NewUser) -> Result<PersonView> {
    actor.may(app, Action::PeopleManage, &[])?;
    let mut fields = Fields::default();
    let (email, name) = particulars(&mut fields, &new.email, &new.name);
    if let Some(Err(rule)) = new.password.as_deref().map(|password| check_password(password, &email)) {
        fields.refuse("password", rule);
    }
    let roles = wanted_roles(&mut fields, new.roles, new.approves_for);
    fields.done()?;
    let password_hash = match new.password {
        Some(password) => Some(hash_password(app, password).await?),
        None => None,
    };
    let mut act = Act::begin(app, &actor.who).await?;
    let user =
        store::add(&mut act.tx, &email, &name, password_hash, act.now).await.map_err(|error| taken(error, &email))?;
    store::set_roles(&mut act.tx, user, &roles.0, &roles.1).await.map_err(unknown_region)?;
    let person = find(store::one(&mut act.tx, user).await?, user)?;
    act.record(Record::new("user.added", "user", user).after(&person));
    act.tell("people");
    act.commit().await?;
    Ok(person)
}

/// Adds those of these people, by address and name, who are not known yet: members without a password. Answers how many
/// there were. The act is authorised by the area that needs them.
///
/// # Errors
/// Only failures of the database.
pub async fn add_missing(act: &mut Act, people: &[(String, String)]) -> Result<usize> {
    let added = store::add_missing(&mut act.tx, people, act.now).await?;
    for (user, email, name) in &added {
        let after = json!({ "email": email, "name": name, "roles": [Role::Member] });
        act.record(Record::new("user.added", "user", user).after(after));
    }
    if !added.is_empty() {
        act.tell("people");
    }
    Ok(added.len())
}

/// Changes a person's name and address.
///
/// # Errors
/// `forbidden`, `not_found`, `invalid`, `stale`, `conflict` if the address is taken.
pub async fn edit_user(app: &App, actor: &Actor, user: UserId, seen: Revision, edit: &EditUser) -> Result<PersonView> {
    actor.may(app, Action::PeopleManage, &[])?;
    let mut fields = Fields::default();
    let (email, name) = particulars(&mut fields, &edit.email, &edit.name);
    fields.done()?;
    let mut act = Act::begin(app, &actor.who).await?;
    let before = locked(&mut act, user, Some(seen)).await?;
    store::edit(&mut act.tx, user, &email, &name).await.map_err(|error| taken(error, &email))?;
    let after = find(store::one(&mut act.tx, user).await?, user)?;
    act.record(
        Record::new("user.edited", "user", user)
            .before(json!({ "email": before.email, "name": before.name }))
            .after(json!({ "email": after.email, "name": after.name })),
    );
    act.tell("people");
    act.commit().await?;
    Ok(after)
}

/// Gives a person these roles and no others.
///
/// # Errors
/// `forbidden`, `not_found`, `invalid`, `stale`, `last_administrator`.
pub async fn set_roles(app: &App, actor: &Actor, user: UserId, seen: Revision, wanted: SetRoles) -> Result<PersonView> {
    actor.may(app, Action::PeopleManage, &[])?;
    let mut fields = Fields::default();
    let (roles, regions) = wanted_roles(&mut fields, wanted.roles, wanted.approves_for);
    fields.done()?;
    let mut act = Act::begin(app, &actor.who).await?;
    let administrators = store::lock_administrators(&mut act.tx).await?;
    let before = locked(&mut act, user, Some(seen)).await?;
    if !roles.contains(&Role::Admin) {
        keep_an_administrator(&administrators, &before)?;
    }
    store::set_roles(&mut act.tx, user, &roles, &regions).await.map_err(unknown_region)?;
    let after = find(store::one(&mut act.tx, user).await?, user)?;
    act.record(Record::new("user.roles_set", "user", user).before(standing(&before)).after(standing(&after)));
    // Roles decide what a person sees and may decide: all their open pages look again.
    for topic in ["people", "inbox", "ready", "tasks"] {
        act.tell(topic);
    }
    act.commit().await?;
    Ok(after)
}

/// Sets a person's password, ends their sessions, and lifts a lock.
///
/// # Errors
/// `forbidden`, `not_found`, `invalid`.
pub async fn set_password(app: &App, actor: &Actor, user: UserId, password: String) -> Result<PersonView> {
    actor.may(app, Action::PeopleManage, &[])?;
    let person = find(store::one(&app.db, user).await?, user)?;
    check_password(&password, &person.email).map_err(|rule| Error::field("password", rule))?;
    let hash = hash_password(app, password).await?;
    let mut act = Act::begin(app, &actor.who).await?;
    let before = locked(&mut act, user, None).await?;
    store::set_password(&mut act.tx, user, hash).await?;
    let sessions = sessions::end_all(&mut act, user, &before.email).await?;
    act.record(Record::new("user.password_set", "user", user).after(json!({ "sessions_ended": sessions })));
    let after = find(store::one(&mut act.tx, user).await?, user)?;
    act.tell("people");
    act.commit().await?;
    Ok(after)
}

/// Changes one's own password; the other sessions end, the one at hand stays.
///
/// # Errors
/// `forbidden`, `invalid` if the current password is wrong or the new one breaks a rule, `account_locked`.
pub async fn change_password(app: &App, actor: &Actor, current: String, new: String) -> Result<u64> {
    actor.may(app, Action::AccountManage, &[Relation::Oneself])?;
    check_password(&new, &actor.email).map_err(|rule| Error::field("password", rule))?;
    sessions::check_own_password(app, actor, current).await?;
    let hash = hash_password(app, new).await?;
    let mut act = Act::begin(app, &actor.who).await?;
    store::set_password(&mut act.tx, actor.user_id, hash).await?;
    let ended = sessions::end_others(&mut act, actor).await?;
    act.record(Record::new("user.password_changed", "user", actor.user_id).after(json!({ "sessions_ended": ended })));
    act.commit().await?;
    Ok(ended)
}

/// Disables a person: their sessions end and their tokens are revoked, at once.
///
/// # Errors
/// `forbidden`, `not_found`, `last_administrator`, `conflict` if they are disabled already.
pub async fn disable_user(app: &App, actor: &Actor, user: UserId) -> Result<PersonView> {
    actor.may(app, Action::PeopleManage, &[])?;
    let mut act = Act::begin(app, &actor.who).await?;
    let administrators = store::lock_administrators(&mut act.tx).await?;
    let before = locked(&mut act, user, None).await?;
    if before.disabled {
        return Err(Error::new(&error::CONFLICT, format!("{} is disabled already.", before.name)));
    }
    keep_an_administrator(&administrators, &before)?;
    store::set_disabled(&mut act.tx, user, true).await?;
    let sessions = sessions::end_all(&mut act, user, &before.email).await?;
    let tokens = super::store::tokens::revoke_all(&mut act.tx, user, act.now).await?;
    act.record(
        Record::new("user.disabled", "user", user)
            .after(json!({ "sessions_ended": sessions, "tokens_revoked": tokens })),
    );
    finish_switch(act, user).await
}

/// Lets a disabled person sign in again. Their tokens stay revoked.
///
/// # Errors
/// `forbidden`, `not_found`, `conflict` if they are not disabled.
pub async fn enable_user(app: &App, actor: &Actor, user: UserId) -> Result<PersonView> {
    actor.may(app, Action::PeopleManage, &[])?;
    let mut act = Act::begin(app, &actor.who).await?;
    let before = locked(&mut act, user, None).await?;
    if !before.disabled {
        return Err(Error::new(&error::CONFLICT, format!("{} is not disabled.", before.name)));
    }
    store::set_disabled(&mut act.tx, user, false).await?;
    act.record(Record::new("user.enabled", "user", user));
    finish_switch(act, user).await
}

async fn finish_switch(mut act: Act, user: UserId) -> Result<PersonView> {
    let after = find(store::one(&mut act.tx, user).await?, user)?;
    act.tell("people");
    act.tell("inbox");
    act.commit().await?;
    Ok(after)
}

/// The person, locked until the act ends.
async fn locked(act: &mut Act, user: UserId, seen: Option<Revision>) -> Result<PersonView> {
    store::lock(&mut act.tx, user).await?;
    let person = find(store::one(&mut act.tx, user).await?, user)?;
    if let Some(seen) = seen {
        check_revision("person", seen, person.revision)?;
    }
    Ok(person)
}

/// Refuses what would leave nobody who can sign in and administer.
fn keep_an_administrator(administrators: &[UserId], person: &PersonView) -> Result<()> {
    if administrators == [person.user_id] {
        return Err(Error::new(
            &error::LAST_ADMINISTRATOR,
            format!("{} is the last active administrator.", person.name),
        ));
    }
    Ok(())
}

fn particulars(fields: &mut Fields, email: &str, name: &str) -> (String, String) {
    let name = fields.text("name", name, NAME_LENGTH);
    fields.check(!name.contains(['\n', '\r', '\t']), "name", "It must be one line.");
    let email = email.trim().to_lowercase();
    fields.check(is_email(&email), "email", "This is not an e-mail address.");
    (email, name)
}

/// The roles as they are kept: in order, once each, MEMBER where there is none.
fn wanted_roles(fields: &mut Fields, mut roles: Vec<Role>, mut regions: Vec<RegionId>) -> (Vec<Role>, Vec<RegionId>) {
    if roles.is_empty() {
        roles.push(Role::Member);
    }
    roles.sort();
    roles.dedup();
    regions.sort();
    regions.dedup();
    if let Err((field, rule)) = check_roles(&roles, &regions) {
        fields.refuse(field, rule);
    }
    (roles, regions)
}

fn standing(person: &PersonView) -> serde_json::Value {
    json!({ "roles": person.roles, "approves_for": person.approves_for.iter().map(|one| &one.code).collect::<Vec<_>>() })
}

fn taken(error: crate::db::DbError, email: &str) -> Error {
    if is_duplicate(&error) {
        Error::new(&error::CONFLICT, format!("There is an account with the address {email} already."))
    } else {
        error.into()
    }
}

fn unknown_region(error: crate::db::DbError) -> Error {
    if is_dangling(&error) {
        Error::field("approves_for", "One of these regions does not exist.")
    } else {
        error.into()
    }
}

fn find(rows: Vec<PersonRow>, user: UserId) -> Result<PersonView> {
    fold(rows).into_iter().next().map(|(_, person)| person).ok_or_else(|| Error::not_found("person", user))
}

/// Folds rows, one a role and region, into people with their sort keys.
fn fold(rows: Vec<PersonRow>) -> Vec<(String, PersonView)> {
    let mut people: Vec<(String, PersonView)> = Vec::new();
    for row in rows {
        let PersonRow { sort_name, role, region_id, region_code, region_name, .. } = &row;
        let (sort_name, role) = (sort_name.clone(), *role);
        let region = match (region_id, region_code, region_name) {
            (Some(region_id), Some(code), Some(name)) => {
                Some(ApprovesFor { region_id: *region_id, code: code.clone(), name: name.clone() })
            }
            _ => None,
        };
        if people.last().is_none_or(|(_, last)| last.user_id != row.user_id) {
            people.push((sort_name, row.into_view()));
        }
        let Some((_, person)) = people.last_mut() else { continue };
        person.roles.extend(role.filter(|role| !person.roles.contains(role)));
        person.approves_for.extend(region);
    }
    for (_, person) in &mut people {
        if person.roles.is_empty() {
            person.roles.push(Role::Member);
        }
        person.roles.sort();
    }
    people
}
