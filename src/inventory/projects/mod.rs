//! Teams and the projects they hold; every model belongs to a project.

use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::audit::{Act, Record};
use crate::db;
use crate::error::{self, Error, Fields, Result};
use crate::identity::{Action, Actor};
use crate::ids::{ProjectId, TeamId};

mod api;
mod pages;
mod store;

pub use api::api;
pub use pages::pages;

/// A team.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct TeamView {
    /// Its number.
    pub team_id: TeamId,
    /// Its name, unique.
    pub name: String,
    /// How many projects it holds.
    pub projects: i64,
}

/// A project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct ProjectView {
    /// Its number.
    pub project_id: ProjectId,
    /// Its name, unique.
    pub name: String,
    /// The team that holds it.
    pub team_id: TeamId,
    /// That team's name.
    pub team_name: String,
    /// How many models belong to it.
    pub models: i64,
}

/// What a team is made of.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TeamBody {
    /// Its name, unique, at most 200 characters.
    pub name: String,
}

/// What a project is made of.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProjectBody {
    /// Its name, unique, at most 200 characters.
    pub name: String,
    /// The team that holds it.
    pub team_id: TeamId,
}

/// All teams, by name. Whoever is signed in sees them.
///
/// # Errors
/// Only failures of the database.
pub async fn teams(app: &App) -> Result<Vec<TeamView>> {
    Ok(store::teams(&app.db, None).await?)
}

/// All projects, by name. Whoever is signed in sees them.
///
/// # Errors
/// Only failures of the database.
pub async fn projects(app: &App) -> Result<Vec<ProjectView>> {
    Ok(store::projects(&app.db, None).await?)
}

/// One team.
///
/// # Errors
/// `not_found`.
pub async fn team(app: &App, team: TeamId) -> Result<TeamView> {
    store::teams(&app.db, Some(team)).await?.pop().ok_or_else(|| Error::not_found("team", team))
}

/// One project.
///
/// # Errors
/// `not_found`.
pub async fn project(app: &App, project: ProjectId) -> Result<ProjectView> {
    store::projects(&app.db, Some(project)).await?.pop().ok_or_else(|| Error::not_found("project", project))
}

/// The project of a name, if there is one.
///
/// # Errors
/// Only failures of the database.
pub async fn named(act: &mut Act, name: &str) -> Result<Option<ProjectId>> {
    Ok(store::named(&mut act.tx, name).await?)
}

/// The project of a name; made, with a team of the same name, where there is none. For an act that was authorised.
///
/// # Errors
/// Only failures of the database.
pub async fn ensure(act: &mut Act, name: &str) -> Result<ProjectId> {
    if let Some(project) = store::named(&mut act.tx, name).await? {
        return Ok(project);
    }
    let team_id = match store::team_named(&mut act.tx, name).await? {
        Some(team) => team,
        None => {
            let body = TeamBody { name: name.to_owned() };
            let team = store::keep_team(&mut act.tx, None, &body).await?;
            act.record(Record::new("team.created", "team", team).after(body));
            team
        }
    };
    let body = ProjectBody { name: name.to_owned(), team_id };
    let project = store::keep_project(&mut act.tx, None, &body).await?;
    act.record(Record::new("project.created", "project", project).after(body));
    act.tell("projects");
    Ok(project)
}

/// Adds a team, or renames the one named.
///
/// # Errors
/// `forbidden`, `invalid`, `not_found`, or `conflict` if the name is taken.
pub async fn keep_team(app: &App, actor: &Actor, existing: Option<TeamId>, body: TeamBody) -> Result<TeamView> {
    actor.may(app, Action::ProjectManage, &[])?;
    let mut fields = Fields::default();
    let body = TeamBody { name: fields.text("name", &body.name, 200) };
    fields.done()?;
    let before = match existing {
        Some(id) => Some(team(app, id).await?),
        None => None,
    };
    let mut act = Act::begin(app, &actor.who).await?;
    let id = store::keep_team(&mut act.tx, existing, &body).await.map_err(|cause| name_taken(cause, &body.name))?;
    act.record(match before {
        Some(before) => Record::new("team.changed", "team", id).before(TeamBody { name: before.name }).after(body),
        None => Record::new("team.created", "team", id).after(body),
    });
    act.tell("projects");
    act.commit().await?;
    team(app, id).await
}

/// Adds a project, or changes the one named.
///
/// # Errors
/// `forbidden`, `invalid`, `not_found`, or `conflict` if the name is taken.
pub async fn keep_project(
    app: &App,
    actor: &Actor,
    existing: Option<ProjectId>,
    body: ProjectBody,
) -> Result<ProjectView> {
    actor.may(app, Action::ProjectManage, &[])?;
    let mut fields = Fields::default();
    let body = ProjectBody { name: fields.text("name", &body.name, 200), team_id: body.team_id };
    fields.check(store::teams(&app.db, Some(body.team_id)).await?.len() == 1, "team_id", "There is no such team.");
    fields.done()?;
    let before = match existing {
        Some(id) => Some(project(app, id).await?),
        None => None,
    };
    let mut act = Act::begin(app, &actor.who).await?;
    let id = store::keep_project(&mut act.tx, existing, &body).await.map_err(|cause| name_taken(cause, &body.name))?;
    act.record(match before {
        Some(before) => Record::new("project.changed", "project", id)
            .before(ProjectBody { name: before.name, team_id: before.team_id })
            .after(body),
        None => Record::new("project.created", "project", id).after(body),
    });
    act.tell("projects");
    act.commit().await?;
    project(app, id).await
}

fn name_taken(cause: db::DbError, name: &str) -> Error {
    if db::is_duplicate(&cause) {
        Error::new(&error::CONFLICT, format!("The name “{name}” is taken."))
    } else {
        cause.into()
    }
}
