//! Looking at deployment tasks: a person's own, all of them, one.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::rules::{self, Bucket, TaskStatus};
use super::{TaskView, store};
use crate::app::App;
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::identity::access::permit;
use crate::identity::{Action, Actor};
use crate::ids::{ModelId, RegionId, TaskId};
use crate::web::{Cursor, paging};

/// Whose tasks are listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Assigned to me, of models I own, or lent to me.
    #[default]
    Mine,
    /// All of them; for administrators, operators, compliance and auditors.
    All,
}

/// Which states are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusFilter {
    /// Every state.
    Any,
    /// This one.
    One(TaskStatus),
}

impl<'de> Deserialize<'de> for StatusFilter {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        match word.as_str() {
            "any" => Ok(Self::Any),
            other => other.parse().map(Self::One).map_err(|error| serde::de::Error::custom(format!("{error}, or any"))),
        }
    }
}

/// Which tasks to list.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TaskFilter {
    /// `mine` (default) or `all`.
    #[serde(default)]
    #[param(inline)]
    pub scope: Scope,
    /// PENDING, ADJUSTED, CONFIRMED, CANCELLED or `any`; the open ones if not said.
    #[param(value_type = Option<String>, example = "CONFIRMED")]
    pub status: Option<StatusFilter>,
    /// Only this bucket.
    pub bucket: Option<Bucket>,
    /// Text in the model's name or the version's number.
    #[param(max_length = 200)]
    pub q: Option<String>,
    /// Only planned on or after this date.
    pub from: Option<NaiveDate>,
    /// Only planned on or before this date.
    pub to: Option<NaiveDate>,
    /// Only this region.
    pub region_id: Option<RegionId>,
    /// Only this model.
    pub model_id: Option<ModelId>,
    /// Rows a page, 1 to 500; 50 if not said.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<i64>,
    /// Where the page starts: `next_cursor` of the page before.
    pub cursor: Option<Cursor>,
}

/// How many tasks there are in each bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct BucketCounts {
    /// In all.
    pub all: i64,
    /// Planned before today.
    pub overdue: i64,
    /// Planned for today.
    pub due_today: i64,
    /// Planned within the next seven days.
    pub due_soon: i64,
    /// Planned later.
    pub upcoming: i64,
}

impl BucketCounts {
    /// How many there are in a bucket, or in all.
    #[must_use]
    pub const fn of(&self, bucket: Option<Bucket>) -> i64 {
        match bucket {
            None => self.all,
            Some(Bucket::Overdue) => self.overdue,
            Some(Bucket::DueToday) => self.due_today,
            Some(Bucket::DueSoon) => self.due_soon,
            Some(Bucket::Upcoming) => self.upcoming,
        }
    }

    fn add(&mut self, bucket: Bucket, tasks: i64) {
        self.all += tasks;
        *match bucket {
            Bucket::Overdue => &mut self.overdue,
            Bucket::DueToday => &mut self.due_today,
            Bucket::DueSoon => &mut self.due_soon,
            Bucket::Upcoming => &mut self.upcoming,
        } += tasks;
    }
}

/// The counts of one region, for the choice of regions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct RegionCounts {
    /// The region; none for tasks of all target regions.
    pub region_id: Option<RegionId>,
    /// Its code.
    pub region_code: Option<String>,
    /// Its tasks by bucket.
    #[serde(flatten)]
    pub counts: BucketCounts,
}

/// A page of tasks by planned date, with the counts of everything the filter matches but for its bucket.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct TaskList {
    /// The tasks.
    pub items: Vec<TaskView>,
    /// How many there are, by bucket.
    pub counts: BucketCounts,
    /// The same by region, whatever region is filtered for.
    pub regions: Vec<RegionCounts>,
    /// Where the next page starts; none on the last.
    pub next_cursor: Option<Cursor>,
}

/// A place in the list.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// The keys of the row before.
    pub after: Option<(NaiveDate, TaskId)>,
    /// How many rows.
    pub rows: i64,
}

/// Deployment tasks by planned date: a person's own, or all of them. Three statements with the session's.
///
/// Source: 2-governance, *Deployment tasks*, Summary list.
///
/// # Errors
/// `forbidden` for `scope=all` without the right to it, `invalid` for a limit or cursor that is none.
pub async fn my_tasks(app: &App, actor: &Actor, filter: &TaskFilter) -> Result<TaskList> {
    if filter.scope == Scope::All {
        actor.may(app, Action::TaskViewAll, &[])?;
    }
    let limit = paging::limit(filter.limit)?;
    let page = Page { after: filter.cursor.as_ref().map(Cursor::keys).transpose()?, rows: limit + 1 };
    let whose = store::Whose { person: actor.user_id, scope: filter.scope, now: app.now() };
    let rows = store::page(&app.db, whose, filter, page).await?;
    let days = store::days(&app.db, whose, filter).await?;
    let (counts, regions) = tally(days, filter.region_id, whose.now);
    let page = paging::Page::cut(rows, limit, |row: &TaskView| (row.planned_production_date, row.task_id));
    let items = page.items.into_iter().map(|task| task.on(whose.now)).collect();
    Ok(TaskList { items, counts, regions, next_cursor: page.next_cursor })
}

/// Sorts days into buckets by each region's own today: those of `only` one region or of all, and a line
/// a region. The days come region by region.
fn tally(days: Vec<store::Day>, only: Option<RegionId>, now: DateTime<Utc>) -> (BucketCounts, Vec<RegionCounts>) {
    let mut counts = BucketCounts::default();
    let mut regions: Vec<RegionCounts> = Vec::new();
    let mut today = now.date_naive();
    for day in days {
        if regions.last().is_none_or(|last| last.region_id != day.region_id) {
            today = rules::today(now, day.time_zone.as_deref());
            let (region_id, region_code) = (day.region_id, day.region_code);
            regions.push(RegionCounts { region_id, region_code, counts: BucketCounts::default() });
        }
        let bucket = Bucket::of((day.planned - today).num_days());
        if let Some(region) = regions.last_mut() {
            region.counts.add(bucket, day.tasks);
        }
        if only.is_none() || day.region_id == only {
            counts.add(bucket, day.tasks);
        }
    }
    (counts, regions)
}

/// How many open tasks are past their planned date, in the zone of their region: one statement.
///
/// # Errors
/// `forbidden` for all tasks without the right to see them.
pub async fn overdue(app: &App, actor: &Actor, scope: Scope) -> Result<i64> {
    if scope == Scope::All {
        actor.may(app, Action::TaskViewAll, &[])?;
    }
    let whose = store::Whose { person: actor.user_id, scope, now: app.now() };
    // No region is more than a day ahead of UTC, so nothing planned later is overdue anywhere.
    let filter = TaskFilter { scope, to: Some(whose.now.date_naive()), ..TaskFilter::default() };
    let days = store::days(&app.db, whose, &filter).await?;
    Ok(tally(days, None, whose.now).0.overdue)
}

/// One task.
///
/// # Errors
/// `not_found` if there is no such task, or the person may not see its model.
pub async fn task(app: &App, actor: &Actor, task: TaskId) -> Result<TaskView> {
    let hidden = || Error::not_found("deployment task", task);
    let facts = store::facts(&app.db, &[task], actor.user_id, app.now()).await?;
    let facts = facts.first().ok_or_else(hidden)?;
    permit(app, actor, Action::ModelView, &facts.relations(), hidden)?;
    views(&app.db, &[task], app.now()).await?.into_iter().next().ok_or_else(hidden)
}

/// Tasks as they are now; whether the caller may see them was decided before.
pub(super) async fn views(conn: impl Into<Conn<'_>>, tasks: &[TaskId], now: DateTime<Utc>) -> Result<Vec<TaskView>> {
    Ok(store::views(conn, tasks).await?.into_iter().map(|task| task.on(now)).collect())
}

/// The tasks among `tasks` that a person may see, for a dialog; two statements.
///
/// # Errors
/// Only failures of the database.
pub(super) async fn chosen(app: &App, actor: &Actor, tasks: &[TaskId]) -> Result<Vec<TaskView>> {
    if tasks.is_empty() {
        return Ok(Vec::new());
    }
    let facts = store::facts(&app.db, tasks, actor.user_id, app.now()).await?;
    let seen: Vec<TaskId> =
        facts.iter().filter(|one| actor.can(app, Action::ModelView, &one.relations())).map(|one| one.task_id).collect();
    views(&app.db, &seen, app.now()).await
}
