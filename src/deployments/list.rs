//! Deployments as people see them.

use super::store;
use super::{DeploymentFilter, DeploymentView};
use crate::app::App;
use crate::error::{Error, Result};
use crate::identity::access::{self, sees_all_models};
use crate::identity::{Action, Actor};
use crate::ids::DeploymentId;
use crate::web::paging;
use crate::web::{Cursor, Page};

/// The deployments of the models that a person sees, newest first.
///
/// # Errors
/// `invalid` for a limit out of bounds or a foreign cursor.
pub async fn list(app: &App, actor: &Actor, filter: &DeploymentFilter) -> Result<Page<DeploymentView>> {
    let limit = paging::limit(filter.limit)?;
    let after = filter.cursor.as_ref().map(Cursor::keys).transpose()?;
    let member = (!sees_all_models(app, actor)).then_some(actor.user_id);
    let rows = store::page(&app.db, member, app.now(), filter, limit, after).await?;
    Ok(Page::cut(rows, limit, |row| (row.created_at, row.deployment_id)))
}

/// One deployment, if the person may see its model.
///
/// # Errors
/// `not_found`.
pub async fn show(app: &App, actor: &Actor, deployment: DeploymentId) -> Result<DeploymentView> {
    let hidden = || Error::not_found("deployment", deployment);
    let row = store::view(&app.db, deployment).await?.ok_or_else(hidden)?;
    let relations = access::relations(app, &app.db, actor, row.model_id, None).await?.unwrap_or_default();
    if actor.can(app, Action::ModelView, &relations) { Ok(row) } else { Err(hidden()) }
}
