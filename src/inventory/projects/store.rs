//! The SQL of teams and projects.

use super::{ProjectBody, ProjectView, TeamBody, TeamView};
use crate::db::{Db, DbError, Query, Tx};
use crate::ids::{ProjectId, TeamId};

pub async fn teams(db: &Db, only: Option<TeamId>) -> Result<Vec<TeamView>, DbError> {
    Query::new(
        "SELECT t.team_id, t.name, (SELECT COUNT(*) FROM projects p WHERE p.team_id = t.team_id) AS projects
         FROM teams t WHERE TRUE",
    )
    .when(" AND t.team_id = {}", only)
    .push(" ORDER BY t.name")
    .all(db)
    .await
}

pub async fn projects(db: &Db, only: Option<ProjectId>) -> Result<Vec<ProjectView>, DbError> {
    Query::new(
        "SELECT p.project_id, p.name, p.team_id, t.name AS team_name,
                (SELECT COUNT(*) FROM models m WHERE m.project_id = p.project_id) AS models
         FROM projects p JOIN teams t ON t.team_id = p.team_id WHERE TRUE",
    )
    .when(" AND p.project_id = {}", only)
    .push(" ORDER BY p.name")
    .all(db)
    .await
}

pub async fn named(tx: &mut Tx, name: &str) -> Result<Option<ProjectId>, DbError> {
    let query = Query::new("SELECT project_id FROM projects WHERE name = $1").bind(name);
    Ok(query.optional::<(ProjectId,)>(tx).await?.map(|row| row.0))
}

pub async fn team_named(tx: &mut Tx, name: &str) -> Result<Option<TeamId>, DbError> {
    let query = Query::new("SELECT team_id FROM teams WHERE name = $1").bind(name);
    Ok(query.optional::<(TeamId,)>(tx).await?.map(|row| row.0))
}

pub async fn keep_team(tx: &mut Tx, existing: Option<TeamId>, body: &TeamBody) -> Result<TeamId, DbError> {
    let query = match existing {
        None => Query::new("INSERT INTO teams (name) VALUES ($1) RETURNING team_id").bind(&body.name),
        Some(team) => {
            Query::new("UPDATE teams SET name = $1 WHERE team_id = $2 RETURNING team_id").bind(&body.name).bind(team)
        }
    };
    query.one::<(TeamId,)>(tx).await.map(|row| row.0)
}

pub async fn keep_project(tx: &mut Tx, existing: Option<ProjectId>, body: &ProjectBody) -> Result<ProjectId, DbError> {
    let query = match existing {
        None => Query::new("INSERT INTO projects (name, team_id) VALUES ($1, $2) RETURNING project_id")
            .bind(&body.name)
            .bind(body.team_id),
        Some(project) => {
            Query::new("UPDATE projects SET name = $1, team_id = $2 WHERE project_id = $3 RETURNING project_id")
                .bind(&body.name)
                .bind(body.team_id)
                .bind(project)
        }
    };
    query.one::<(ProjectId,)>(tx).await.map(|row| row.0)
}
