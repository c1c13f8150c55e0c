//! The JSON routes of teams and projects.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{ProjectBody, ProjectView, TeamBody, TeamView};
use crate::app::App;
use crate::error::{Problem, Result};
use crate::ids::{ProjectId, TeamId};
use crate::web::{Caller, Json, Path};

/// The JSON routes.
#[must_use]
pub fn api() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_teams, create_team))
        .routes(routes!(get_team, update_team))
        .routes(routes!(list_projects, create_project))
        .routes(routes!(get_project, update_project))
}

/// All teams.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Teams {
    /// The teams, by name.
    pub items: Vec<TeamView>,
}

/// All projects.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Projects {
    /// The projects, by name.
    pub items: Vec<ProjectView>,
}

/// Lists the teams.
#[utoipa::path(get, path = "/teams", tag = "Inventory",
    responses((status = 200, body = Teams), (status = 401, body = Problem)))]
async fn list_teams(State(app): State<App>, _caller: Caller) -> Result<Json<Teams>> {
    Ok(Json(Teams { items: super::teams(&app).await? }))
}

/// Shows a team.
#[utoipa::path(get, path = "/teams/{team_id}", tag = "Inventory", params(("team_id" = TeamId, Path)),
    responses((status = 200, body = TeamView), (status = 401, body = Problem), (status = 404, body = Problem)))]
async fn get_team(State(app): State<App>, _caller: Caller, Path(team): Path<TeamId>) -> Result<Json<TeamView>> {
    Ok(Json(super::team(&app, team).await?))
}

/// Adds a team.
#[utoipa::path(post, path = "/teams", tag = "Inventory", request_body = TeamBody,
    responses((status = 201, body = TeamView), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn create_team(
    State(app): State<App>,
    Caller(actor): Caller,
    Json(body): Json<TeamBody>,
) -> Result<(StatusCode, Json<TeamView>)> {
    Ok((StatusCode::CREATED, Json(super::keep_team(&app, &actor, None, body).await?)))
}

/// Renames a team.
#[utoipa::path(put, path = "/teams/{team_id}", tag = "Inventory", params(("team_id" = TeamId, Path)), request_body = TeamBody,
    responses((status = 200, body = TeamView), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn update_team(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(team): Path<TeamId>,
    Json(body): Json<TeamBody>,
) -> Result<Json<TeamView>> {
    Ok(Json(super::keep_team(&app, &actor, Some(team), body).await?))
}

/// Lists the projects.
#[utoipa::path(get, path = "/projects", tag = "Inventory",
    responses((status = 200, body = Projects), (status = 401, body = Problem)))]
async fn list_projects(State(app): State<App>, _caller: Caller) -> Result<Json<Projects>> {
    Ok(Json(Projects { items: super::projects(&app).await? }))
}

/// Shows a project.
#[utoipa::path(get, path = "/projects/{project_id}", tag = "Inventory", params(("project_id" = ProjectId, Path)),
    responses((status = 200, body = ProjectView), (status = 401, body = Problem), (status = 404, body = Problem)))]
async fn get_project(
    State(app): State<App>,
    _caller: Caller,
    Path(project): Path<ProjectId>,
) -> Result<Json<ProjectView>> {
    Ok(Json(super::project(&app, project).await?))
}

/// Adds a project.
#[utoipa::path(post, path = "/projects", tag = "Inventory", request_body = ProjectBody,
    responses((status = 201, body = ProjectView), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn create_project(
    State(app): State<App>,
    Caller(actor): Caller,
    Json(body): Json<ProjectBody>,
) -> Result<(StatusCode, Json<ProjectView>)> {
    Ok((StatusCode::CREATED, Json(super::keep_project(&app, &actor, None, body).await?)))
}

/// Changes a project.
#[utoipa::path(put, path = "/projects/{project_id}", tag = "Inventory", params(("project_id" = ProjectId, Path)),
    request_body = ProjectBody,
    responses((status = 200, body = ProjectView), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn update_project(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(project): Path<ProjectId>,
    Json(body): Json<ProjectBody>,
) -> Result<Json<ProjectView>> {
    Ok(Json(super::keep_project(&app, &actor, Some(project), body).await?))
}
