//! Releases as people see them.

use super::store;
use super::{ReleaseFilter, ReleaseList, ReleaseRow, ReleaseView};
use crate::app::App;
use crate::audit::{self, LedgerLine};
use crate::error::{Error, Result};
use crate::identity::access::{self, sees_all_models};
use crate::identity::{Action, Actor};
use crate::ids::{ReleaseId, VersionId};
use crate::operations::{self, rules::OperationKind};
use crate::web::paging;
use crate::web::{Cursor, Page};

/// The releases of the models that a person sees, newest first.
///
/// # Errors
/// `invalid` for a limit out of bounds or a foreign cursor.
pub async fn list(app: &App, actor: &Actor, filter: &ReleaseFilter) -> Result<ReleaseList> {
    let limit = paging::limit(filter.limit)?;
    let after = filter.cursor.as_ref().map(Cursor::keys).transpose()?;
    let member = (!sees_all_models(app, actor)).then_some(actor.user_id);
    let rows = store::page(&app.db, member, app.now(), filter, limit, after).await?;
    let total_count = rows.first().map_or(0, |row| row.total_count);
    let page = Page::cut(rows, limit, |row| (row.created_at, row.release_id));
    Ok(ReleaseList { items: page.items, total_count, next_cursor: page.next_cursor })
}

/// A release, if the person may see its model.
pub(super) async fn visible(app: &App, actor: &Actor, release: ReleaseId) -> Result<ReleaseRow> {
    let hidden = || Error::not_found("release", release);
    let row = store::view(&app.db, release).await?.ok_or_else(hidden)?;
    let relations = access::relations(app, &app.db, actor, row.model_id, None).await?.unwrap_or_default();
    if actor.can(app, Action::ModelView, &relations) { Ok(row) } else { Err(hidden()) }
}

/// One release with its gates, its tickets and its steps.
///
/// # Errors
/// `not_found`.
pub async fn show(app: &App, actor: &Actor, release: ReleaseId) -> Result<ReleaseView> {
    let row = visible(app, actor, release).await?;
    let tickets = store::tickets(&app.db, release).await?;
    let preview = store::preview_of(&app.db, release).await?;
    let plan = preview.plan()?;
    let steps = operations::steps_of(&app.db, OperationKind::Release, release.0).await?;
    Ok(ReleaseView {
        approval_required: !tickets.is_empty(),
        approval_ticket: tickets.first().map(|ticket| ticket.number.clone()),
        tickets,
        checks: preview.checks()?,
        warnings: plan.warnings,
        diff: plan.diff,
        diagnostics: row.diagnostics.as_deref().and_then(|text| serde_json::from_str(text).ok()),
        steps,
        release: row,
    })
}

/// What happened to a release, newest first: from its preview to its end.
///
/// # Errors
/// `not_found`.
pub async fn timeline(app: &App, actor: &Actor, release: ReleaseId) -> Result<Vec<LedgerLine>> {
    let row = visible(app, actor, release).await?;
    let mut lines = audit::timeline_of(&app.db, "release", release).await?;
    lines.extend(audit::timeline_of(&app.db, "preview", &row.preview_ref).await?);
    lines.sort_by_key(|line| std::cmp::Reverse(line.seq));
    Ok(lines)
}

/// The versions that a release can be rolled back to.
pub(super) async fn once_applied(app: &App, release: ReleaseId) -> Result<Vec<(VersionId, String)>> {
    Ok(store::once_applied(&app.db, release).await?)
}
