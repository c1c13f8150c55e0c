//! Ready to deploy: approved, not ratified, a pair of version and target region at a time.
//!
//! The pairs are a read model: [`refresh`] derives those of a model again from the facts, in the
//! transaction that changed a fact, so that a list or a count never scans what it does not show.
//! This area changes no fact and asks for no decision.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::audit::Act;
use crate::error::Result;
use crate::identity::{Action, Actor};
use crate::ids::{ModelId, RegionId, RequestId, TaskId, VersionId};
use crate::web::Cursor;
use crate::web::paging;

mod api;
mod store;

/// The JSON routes of this area.
pub fn api() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(api::ready_to_deploy))
}

/// The pages of the product show at most this many pairs at once.
pub const PAGE_ROWS: i64 = 50;

/// An approved version that is not live in one of its target regions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ReadyItem {
    /// The model.
    pub model_id: ModelId,
    /// Its name.
    pub model_name: String,
    /// The version.
    pub version_id: VersionId,
    /// Its number.
    pub version_number: String,
    /// The region.
    pub region_id: RegionId,
    /// Its code.
    pub region_code: String,
    /// Its name.
    pub region_name: String,
    /// The validation that approved the version.
    pub validation_request_id: RequestId,
    /// The date of the approval, UTC.
    pub validation_approved_date: NaiveDate,
    /// Calendar days in UTC from the approval to today; never negative.
    pub days_since_approval: i64,
    /// The lock: the region must approve first.
    pub requires_regional_approval: bool,
    /// The number of the version that is live there now.
    pub current_deployed_version: Option<String>,
    /// The open deployment task of this pair, if there is one.
    pub pending_task_id: Option<TaskId>,
    /// Whether a version that was approved later is live there.
    pub superseded: bool,
    /// Whether the caller may deploy it; those who see everything may not deploy everything.
    pub may_deploy: bool,
}

/// A page of what is ready, with counts of everything the filter matches.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct ReadyList {
    /// The pairs.
    pub items: Vec<ReadyItem>,
    /// How many pairs match.
    pub total_count: i64,
    /// How many models they belong to.
    pub models_affected: i64,
    /// How many regions they belong to.
    pub regions_affected: i64,
    /// Where the next page starts; none on the last.
    pub next_cursor: Option<Cursor>,
}

/// The order of the list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReadySort {
    /// Longest waiting first.
    #[default]
    Waiting,
    /// Approved last first.
    Newest,
}

/// What to list.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReadyFilter {
    /// Only this model.
    pub model_id: Option<ModelId>,
    /// Only this region.
    pub region_id: Option<RegionId>,
    /// Also pairs in whose region a version that was approved later is live.
    #[serde(default)]
    pub include_superseded: bool,
    /// The order: `waiting` (default) or `newest`.
    #[serde(default)]
    #[param(inline)]
    pub sort: ReadySort,
    /// Rows a page, 1 to 500; 50 if not said.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<i64>,
    /// Where the page starts: `next_cursor` of the page before.
    pub cursor: Option<Cursor>,
}

/// The approved versions that wait in their target regions, for those who may deploy them; operators,
/// compliance and auditors see all of them. Three statements with the session's, whatever the size.
///
/// Source: 2-governance, *Ready to deploy*.
///
/// # Errors
/// `invalid` if the limit or cursor is none.
pub async fn ready_to_deploy(app: &App, actor: &Actor, filter: &ReadyFilter) -> Result<ReadyList> {
    let page = ready_page(app, actor, filter).await?;
    let counts = store::counts(&app.db, audience(app, actor), filter).await?;
    Ok(ReadyList {
        items: page.items,
        total_count: counts.pairs,
        models_affected: counts.models,
        regions_affected: counts.regions,
        next_cursor: page.next_cursor,
    })
}

/// A page of what is ready, with the number of pairs that the filter matches.
#[derive(Debug, Clone)]
pub struct ReadyPage {
    /// The pairs.
    pub items: Vec<ReadyItem>,
    /// How many match; 0 on an empty page.
    pub total: i64,
    /// Where the next page starts; none on the last.
    pub next_cursor: Option<Cursor>,
}

/// The same in one statement, for a page that shows no other counts.
///
/// # Errors
/// As [`ready_to_deploy`].
pub async fn ready_page(app: &App, actor: &Actor, filter: &ReadyFilter) -> Result<ReadyPage> {
    let limit = paging::limit(filter.limit)?;
    let after = filter.cursor.as_ref().map(Cursor::keys).transpose()?;
    let who = (actor.user_id, app.now());
    let rows = store::pairs(&app.db, audience(app, actor), who, filter, after, limit + 1).await?;
    let total = rows.first().map_or(0, |row| row.total);
    let page = paging::Page::cut(rows, limit, |row| (row.validation_approved_date, row.version_id, row.region_id));
    let today = app.now().date_naive();
    let deploys_all = actor.can(app, Action::TaskCreate, &[]);
    let items = page.items.into_iter().map(|row| row.into_item(today, actor.user_id, deploys_all)).collect();
    Ok(ReadyPage { items, total, next_cursor: page.next_cursor })
}

/// Whose pairs are listed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Audience {
    /// Everybody's.
    All,
    /// Those that this person may deploy, at this instant.
    Of(crate::ids::UserId, chrono::DateTime<chrono::Utc>),
}

fn audience(app: &App, actor: &Actor) -> Audience {
    if actor.can(app, Action::ReadyViewAll, &[]) { Audience::All } else { Audience::Of(actor.user_id, app.now()) }
}

/// Derives the pairs of these models again from the facts, in the act that changed a fact.
///
/// Call it last, when every model of the act is locked: from here on the act holds the lock on the
/// sums.
///
/// # Errors
/// Only failures of the database.
pub async fn refresh(act: &mut Act, models: &[ModelId]) -> Result<()> {
    if !models.is_empty() {
        store::derive(&mut act.tx, models).await?;
        act.tell("ready");
    }
    Ok(())
}

/// Derives the pairs of all models again: after a restore, and to prove that [`refresh`] is right.
///
/// # Errors
/// Only failures of the database.
pub async fn rebuild(act: &mut Act) -> Result<()> {
    let models = store::all_models(&mut act.tx).await?;
    refresh(act, &models).await
}
