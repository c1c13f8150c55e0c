//! The page of teams and projects, with its dialogs.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde::Deserialize;

use super::{ProjectBody, ProjectView, TeamBody, TeamView};
use crate::app::App;
use crate::error::{Error, Result};
use crate::identity::Action;
use crate::ids::{ProjectId, TeamId};
use crate::web::{Form, Path, Refusal, Shell, Toast, Visitor, back_to, filters, html};

/// The pages.
pub fn pages() -> Router<App> {
    Router::new()
        .route("/projects", get(list).post(create_project))
        .route("/projects/new", get(new_project))
        .route("/projects/{project_id}", get(edit_project).post(update_project))
        .route("/teams", axum::routing::post(create_team))
        .route("/teams/new", get(new_team))
        .route("/teams/{team_id}", get(edit_team).post(update_team))
}

#[derive(Template)]
#[template(path = "inventory/projects.html")]
struct ProjectsPage {
    shell: Shell,
    projects: Vec<ProjectView>,
    teams: Vec<TeamView>,
    may_manage: bool,
    modal: Option<Modal>,
}

/// The dialog of a team or a project; `team_id` is the project's choice, as text.
struct Modal {
    title: &'static str,
    action: String,
    is_project: bool,
    fields: Fields,
    refusal: Refusal,
}

#[derive(Debug, Default, Deserialize)]
struct Fields {
    #[serde(default)]
    name: String,
    #[serde(default)]
    team_id: String,
}

impl Fields {
    /// The project's body; a team that was not chosen is one that does not exist.
    fn project(&self) -> ProjectBody {
        ProjectBody { name: self.name.clone(), team_id: self.team_id.parse().unwrap_or(TeamId(0)) }
    }

    fn team(&self) -> TeamBody {
        TeamBody { name: self.name.clone() }
    }
}

impl Modal {
    fn project(existing: Option<ProjectId>, fields: Fields, refusal: Refusal) -> Self {
        let (title, action) = match existing {
            Some(id) => ("Change project", format!("/projects/{id}")),
            None => ("Add project", "/projects".to_owned()),
        };
        Self { title, action, is_project: true, fields, refusal }
    }

    fn team(existing: Option<TeamId>, fields: Fields, refusal: Refusal) -> Self {
        let (title, action) = match existing {
            Some(id) => ("Rename team", format!("/teams/{id}")),
            None => ("Add team", "/teams".to_owned()),
        };
        Self { title, action, is_project: false, fields, refusal }
    }
}

async fn show(app: &App, visitor: &Visitor, modal: Option<Modal>) -> Result<Response> {
    let may_manage = visitor.actor.can(app, Action::ProjectManage, &[]);
    if modal.is_some() {
        visitor.actor.may(app, Action::ProjectManage, &[])?;
    }
    let status = modal.as_ref().map(|modal| modal.refusal.status()).unwrap_or_default();
    let shell = Shell::new(app, visitor, "projects", "Projects").await?;
    let (projects, teams) = (super::projects(app).await?, super::teams(app).await?);
    let page = ProjectsPage { shell, projects, teams, may_manage, modal };
    Ok((status, html(&page)?).into_response())
}

async fn list(State(app): State<App>, visitor: Visitor) -> Result<Response> {
    show(&app, &visitor, None).await
}

async fn new_project(State(app): State<App>, visitor: Visitor) -> Result<Response> {
    show(&app, &visitor, Some(Modal::project(None, Fields::default(), Refusal::default()))).await
}

async fn new_team(State(app): State<App>, visitor: Visitor) -> Result<Response> {
    show(&app, &visitor, Some(Modal::team(None, Fields::default(), Refusal::default()))).await
}

async fn edit_project(State(app): State<App>, visitor: Visitor, Path(id): Path<ProjectId>) -> Result<Response> {
    let project = super::project(&app, id).await?;
    let fields = Fields { name: project.name, team_id: project.team_id.to_string() };
    show(&app, &visitor, Some(Modal::project(Some(id), fields, Refusal::default()))).await
}

async fn edit_team(State(app): State<App>, visitor: Visitor, Path(id): Path<TeamId>) -> Result<Response> {
    let fields = Fields { name: super::team(&app, id).await?.name, team_id: String::new() };
    show(&app, &visitor, Some(Modal::team(Some(id), fields, Refusal::default()))).await
}

async fn create_project(State(app): State<App>, form: Form<Fields>) -> Result<Response> {
    save_project(&app, None, form).await
}

async fn update_project(State(app): State<App>, Path(id): Path<ProjectId>, form: Form<Fields>) -> Result<Response> {
    save_project(&app, Some(id), form).await
}

async fn create_team(State(app): State<App>, form: Form<Fields>) -> Result<Response> {
    save_team(&app, None, form).await
}

async fn update_team(State(app): State<App>, Path(id): Path<TeamId>, form: Form<Fields>) -> Result<Response> {
    save_team(&app, Some(id), form).await
}

async fn save_project(app: &App, existing: Option<ProjectId>, form: Form<Fields>) -> Result<Response> {
    match super::keep_project(app, &form.visitor.actor, existing, form.fields.project()).await {
        Ok(view) => Ok(saved("Project", &view.name)),
        Err(error) => refuse(app, form, error, |fields, refusal| Modal::project(existing, fields, refusal)).await,
    }
}

async fn save_team(app: &App, existing: Option<TeamId>, form: Form<Fields>) -> Result<Response> {
    match super::keep_team(app, &form.visitor.actor, existing, form.fields.team()).await {
        Ok(view) => Ok(saved("Team", &view.name)),
        Err(error) => refuse(app, form, error, |fields, refusal| Modal::team(existing, fields, refusal)).await,
    }
}

fn saved(what: &str, name: &str) -> Response {
    back_to("/projects", &Toast::done(format!("{what} {name} was saved.")))
}

async fn refuse(
    app: &App,
    form: Form<Fields>,
    error: Error,
    modal: impl FnOnce(Fields, Refusal) -> Modal,
) -> Result<Response> {
    let refusal = Refusal::of(error)?;
    show(app, &form.visitor, Some(modal(form.fields, refusal))).await
}
