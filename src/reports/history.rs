//! The deployment history of a model: what was live where, planned against actual (2-governance, Reports).

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::export::{Format, Tabular};
use super::rules::AsOf;
use super::store;
use crate::app::App;
use crate::error::Result;
use crate::identity::access::authorise;
use crate::identity::{Action, Actor};
use crate::ids::{ModelId, RegionDeploymentId, RegionId, TaskId, VersionId};
use crate::web::intervals::Interval;
use crate::web::{Cursor, Page, paging};

/// Which history is wanted.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct HistoryFilter {
    /// The model.
    pub model_id: ModelId,
    /// The day the report looks at; today if absent.
    pub as_of: Option<NaiveDate>,
    /// How many rows, 1 to 500; 50 if absent.
    pub limit: Option<i64>,
    /// Where the page starts.
    pub cursor: Option<Cursor>,
    /// `csv` for all rows as CSV.
    #[param(inline)]
    pub format: Option<Format>,
}

impl HistoryFilter {
    /// The whole history of a model, as of today.
    #[must_use]
    pub const fn of(model: ModelId) -> Self {
        Self { model_id: model, as_of: None, limit: None, cursor: None, format: None }
    }
}

/// A version that was live in a region.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct HistoryRow {
    /// The interval.
    pub region_deployment_id: RegionDeploymentId,
    /// The model.
    pub model_id: ModelId,
    /// Its name.
    pub model_name: String,
    /// The region.
    pub region_id: RegionId,
    /// Its code.
    pub region_code: String,
    /// The version.
    pub version_id: VersionId,
    /// Its number.
    pub version_number: String,
    /// First day.
    pub live_from: NaiveDate,
    /// The day another version took its place; none while it was live.
    pub live_to: Option<NaiveDate>,
    /// The date it was planned for.
    pub planned_production_date: Option<NaiveDate>,
    /// The date that was confirmed.
    pub actual_production_date: Option<NaiveDate>,
    /// The task that was confirmed.
    pub task_id: Option<TaskId>,
    /// Whether it was confirmed before an approval it needed.
    pub overridden: bool,
    /// Who confirmed it.
    pub recorded_by: String,
    /// When they did.
    pub recorded_at: DateTime<Utc>,
}

impl HistoryRow {
    /// Days later than planned; negative if earlier.
    #[must_use]
    pub fn days_late(&self) -> Option<i64> {
        self.planned_production_date.map(|planned| (self.live_from - planned).num_days())
    }

    /// The same as people read it.
    #[must_use]
    pub fn against_plan(&self) -> String {
        match self.days_late() {
            None => "not planned".to_owned(),
            Some(0) => "on the day".to_owned(),
            Some(days) if days > 0 => format!("{} late", crate::web::format::plural(days, "day")),
            Some(days) => format!("{} early", crate::web::format::plural(-days, "day")),
        }
    }

    /// As a bar of the picture.
    #[must_use]
    pub fn interval(&self) -> Interval {
        Interval {
            lane: self.region_code.clone(),
            label: self.version_number.clone(),
            from: self.live_from,
            to: self.live_to,
            planned: self.planned_production_date,
            overridden: self.overridden,
        }
    }
}

impl Tabular for HistoryRow {
    const COLUMNS: &'static [&'static str] = &[
        "model_id",
        "model",
        "region",
        "version",
        "live_from",
        "live_to",
        "planned_date",
        "actual_date",
        "days_late",
        "overridden",
        "confirmed_by",
        "confirmed_at",
        "task_id",
    ];

    fn cells(&self) -> Vec<String> {
        fn text(value: Option<impl ToString>) -> String {
            value.map(|one| one.to_string()).unwrap_or_default()
        }
        vec![
            self.model_id.to_string(),
            self.model_name.clone(),
            self.region_code.clone(),
            self.version_number.clone(),
            self.live_from.to_string(),
            text(self.live_to),
            text(self.planned_production_date),
            text(self.actual_production_date),
            text(self.days_late()),
            self.overridden.to_string(),
            self.recorded_by.clone(),
            self.recorded_at.to_rfc3339(),
            text(self.task_id),
        ]
    }
}

/// A page of a model's history.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct History {
    /// The day it looks at.
    pub as_of: NaiveDate,
    /// The model.
    pub model_id: ModelId,
    /// Its name.
    pub model_name: String,
    /// The intervals, newest first.
    pub items: Vec<HistoryRow>,
    /// Where the next page starts; none on the last.
    pub next_cursor: Option<Cursor>,
}

/// What was live of a model by the end of a day: who may see the model may see this.
///
/// # Errors
/// `not_found` for a model one may not see, `invalid` for a day to come, a limit out of bounds or a
/// foreign cursor.
pub async fn history(app: &App, actor: &Actor, filter: &HistoryFilter) -> Result<History> {
    let page = history_page(app, actor, filter).await?;
    let model_name = match page.items.first() {
        Some(row) => row.model_name.clone(),
        None => store::history::model_name(&app.db, filter.model_id).await?,
    };
    let as_of = AsOf::new(filter.as_of, app.now())?.date;
    Ok(History { as_of, model_id: filter.model_id, model_name, items: page.items, next_cursor: page.next_cursor })
}

/// The rows alone, a page at a time: what exports are made of.
pub(super) async fn history_page(app: &App, actor: &Actor, filter: &HistoryFilter) -> Result<Page<HistoryRow>> {
    authorise(app, &app.db, actor, Action::ModelView, filter.model_id).await?;
    let as_of = AsOf::new(filter.as_of, app.now())?;
    let limit = paging::limit(filter.limit)?;
    let after = filter.cursor.as_ref().map(Cursor::keys).transpose()?;
    let rows = store::history::page(&app.db, as_of, filter.model_id, limit, after).await?;
    Ok(Page::cut(rows, limit, |row| (row.live_from, row.region_deployment_id)))
}
