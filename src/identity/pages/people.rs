//! `/people`: who there is, a person's page, and what an administrator does there.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use chrono::{DateTime, Utc};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::{Refused, answer};
use crate::app::App;
use crate::error::Result;
use crate::identity::delegations::{self, DelegationView};
use crate::identity::people::{self, ApprovesFor, EditUser, NewUser, People, PeopleFilter, PersonView, SetRoles};
use crate::identity::{self, Action, Role, SessionView};
use crate::ids::{RegionId, UserId};
use crate::web::etag::Revision;
use crate::web::filters;
use crate::web::{Form, Path, Query, Shell, Toast, Visitor, back_to, html};

pub fn routes() -> Router<App> {
    Router::new()
        .route("/people", get(list).post(add))
        .route("/people/new", get(new))
        .route("/people/{user_id}", get(show).post(edit))
        .route("/people/{user_id}/edit", get(show_edit))
        .route("/people/{user_id}/roles", post(set_roles))
        .route("/people/{user_id}/password", post(set_password))
        .route("/people/{user_id}/disable", post(disable))
        .route("/people/{user_id}/enable", post(enable))
}

#[derive(Template)]
#[template(path = "identity/people.html")]
struct PeoplePage {
    shell: Shell,
    filter: PeopleFilter,
    people: People,
    /// The query of the next page.
    next: Option<String>,
    manages: bool,
}

#[derive(Template)]
#[template(path = "identity/person.html")]
struct PersonPage {
    shell: Shell,
    now: DateTime<Utc>,
    person: PersonView,
    delegations: Vec<DelegationView>,
    /// Their sessions, if the visitor may see them.
    sessions: Option<Vec<SessionView>>,
    manages: bool,
}

#[derive(Template)]
#[template(path = "identity/person-form.html")]
struct FormPage {
    shell: Shell,
    /// Whom it is about; none for somebody to add.
    person: Option<PersonView>,
    fields: Fields,
    regions: Vec<ApprovesFor>,
    refused: Refused,
}

/// What the forms hold, as it was typed.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Fields {
    email: String,
    name: String,
    password: Option<String>,
    roles: Vec<Role>,
    approves_for: Vec<RegionId>,
    revision: Revision,
}

impl Fields {
    fn of(person: &PersonView) -> Self {
        Self {
            email: person.email.clone(),
            name: person.name.clone(),
            password: None,
            roles: person.roles.clone(),
            approves_for: person.approves_for.iter().map(|one| one.region_id).collect(),
            revision: person.revision,
        }
    }
}

/// `GET /people`.
async fn list(State(app): State<App>, visitor: Visitor, Query(filter): Query<PeopleFilter>) -> Result<Response> {
    let people = people::list_users(&app, &visitor.actor, &filter).await?;
    let page = PeoplePage {
        shell: Shell::new(&app, &visitor, "people", "People").await?,
        next: next_page(&filter, &people),
        filter,
        people,
        manages: visitor.actor.can(&app, Action::PeopleManage, &[]),
    };
    Ok(answer(StatusCode::OK, html(&page)?))
}

fn next_page(filter: &PeopleFilter, people: &People) -> Option<String> {
    #[derive(Serialize)]
    struct Address<'a> {
        q: Option<&'a str>,
        role: Option<Role>,
        disabled: Option<bool>,
        limit: Option<i64>,
        cursor: &'a str,
    }
    let cursor = people.page.next_cursor.as_ref()?.as_str();
    let PeopleFilter { q, role, disabled, limit, .. } = filter;
    let address = Address { q: q.as_deref(), role: *role, disabled: *disabled, limit: *limit, cursor };
    serde_html_form::to_string(address).ok()
}

/// `GET /people/{user_id}`.
async fn show(State(app): State<App>, visitor: Visitor, Path(user): Path<UserId>) -> Result<Response> {
    let actor = &visitor.actor;
    let person = people::show_user(&app, actor, user).await?;
    let manages = actor.can(&app, Action::PeopleManage, &[]);
    let sees_sessions = manages || actor.user_id == user;
    let page = PersonPage {
        shell: Shell::new(&app, &visitor, "people", person.name.clone()).await?,
        now: app.now(),
        delegations: delegations::of_user(&app, actor, user).await?,
        sessions: if sees_sessions { Some(identity::list_sessions(&app, actor, user).await?) } else { None },
        person,
        manages,
    };
    Ok(answer(StatusCode::OK, html(&page)?))
}

/// `GET /people/new`.
async fn new(State(app): State<App>, visitor: Visitor) -> Result<Response> {
    form_page(&app, &visitor, None, StatusCode::OK, Fields::default(), Refused::default()).await
}

/// `GET /people/{user_id}/edit`.
async fn show_edit(State(app): State<App>, visitor: Visitor, Path(user): Path<UserId>) -> Result<Response> {
    let person = people::show_user(&app, &visitor.actor, user).await?;
    let fields = Fields::of(&person);
    form_page(&app, &visitor, Some(person), StatusCode::OK, fields, Refused::default()).await
}

async fn form_page(
    app: &App,
    visitor: &Visitor,
    person: Option<PersonView>,
    status: StatusCode,
    fields: Fields,
    refused: Refused,
) -> Result<Response> {
    visitor.actor.may(app, Action::PeopleManage, &[])?;
    let title = person.as_ref().map_or_else(|| "New person".to_owned(), |person| format!("Edit {}", person.name));
    let shell = Shell::new(app, visitor, "people", title).await?;
    let regions = people::regions(app).await?;
    Ok(answer(status, html(&FormPage { shell, person, fields, regions, refused })?))
}

/// `POST /people`.
async fn add(State(app): State<App>, form: Form<Fields>) -> Result<Response> {
    let Form { visitor, fields } = form;
    let Fields { email, name, password, roles, approves_for, .. } = &fields;
    let new = NewUser {
        email: email.clone(),
        name: name.clone(),
        password: password.clone(),
        roles: roles.clone(),
        approves_for: approves_for.clone(),
    };
    match people::add_user(&app, &visitor.actor, new).await.map_err(Refused::by) {
        Ok(person) => Ok(to_person(&person, "added")),
        Err(refused) => {
            let (status, refused) = refused?;
            form_page(&app, &visitor, None, status, fields, refused).await
        }
    }
}

/// `POST /people/{user_id}`: name and address.
async fn edit(State(app): State<App>, Path(user): Path<UserId>, form: Form<Fields>) -> Result<Response> {
    let Form { visitor, fields } = form;
    let changed = EditUser { email: fields.email.clone(), name: fields.name.clone() };
    let done = people::edit_user(&app, &visitor.actor, user, fields.revision, &changed).await;
    after(&app, &visitor, user, fields, done, "changed").await
}

/// `POST /people/{user_id}/roles`.
async fn set_roles(State(app): State<App>, Path(user): Path<UserId>, form: Form<Fields>) -> Result<Response> {
    let Form { visitor, fields } = form;
    let wanted = SetRoles { roles: fields.roles.clone(), approves_for: fields.approves_for.clone() };
    let done = people::set_roles(&app, &visitor.actor, user, fields.revision, wanted).await;
    after(&app, &visitor, user, fields, done, "given these roles").await
}

/// `POST /people/{user_id}/password`.
async fn set_password(State(app): State<App>, Path(user): Path<UserId>, form: Form<Fields>) -> Result<Response> {
    let Form { visitor, mut fields } = form;
    let password = fields.password.take().unwrap_or_default();
    let done = people::set_password(&app, &visitor.actor, user, password).await;
    after(&app, &visitor, user, fields, done, "given a new password").await
}

/// Back to the person if it was done; else the form again, with what was typed in the part that
/// was sent and the person as they are in the others.
async fn after(
    app: &App,
    visitor: &Visitor,
    user: UserId,
    typed: Fields,
    done: Result<PersonView>,
    what: &str,
) -> Result<Response> {
    match done.map_err(Refused::by) {
        Ok(person) => Ok(to_person(&person, what)),
        Err(refused) => {
            let (status, refused) = refused?;
            let person = people::show_user(app, &visitor.actor, user).await?;
            let mut fields = Fields::of(&person);
            if !typed.email.is_empty() || !typed.name.is_empty() {
                (fields.email, fields.name) = (typed.email, typed.name);
            } else if !typed.roles.is_empty() || !typed.approves_for.is_empty() {
                (fields.roles, fields.approves_for) = (typed.roles, typed.approves_for);
            }
            form_page(app, visitor, Some(person), status, fields, refused).await
        }
    }
}

/// `POST /people/{user_id}/disable`.
async fn disable(State(app): State<App>, Path(user): Path<UserId>, form: Form<IgnoredAny>) -> Result<Response> {
    let done = people::disable_user(&app, &form.visitor.actor, user).await;
    after(&app, &form.visitor, user, Fields::default(), done, "disabled: signed out, tokens revoked").await
}

/// `POST /people/{user_id}/enable`.
async fn enable(State(app): State<App>, Path(user): Path<UserId>, form: Form<IgnoredAny>) -> Result<Response> {
    let done = people::enable_user(&app, &form.visitor.actor, user).await;
    after(&app, &form.visitor, user, Fields::default(), done, "enabled").await
}

fn to_person(person: &PersonView, what: &str) -> Response {
    back_to(&format!("/people/{}", person.user_id), &Toast::done(format!("{} {what}.", person.name)))
}
