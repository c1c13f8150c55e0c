//! The report of overrides: every confirmation before its approval (2-governance, Reports).

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::export::Tabular;
use super::rules::AsOf;
use super::store;
use crate::app::App;
use crate::error::Result;
use crate::identity::{Action, Actor};
use crate::ids::{ModelId, OverrideId, ProjectId, RegionId, TaskId, UserId, VersionId};
use crate::tasks::rules::OverrideState;
use crate::web::{Cursor, Page, paging};

/// Which overrides are wanted.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OverridesFilter {
    /// The day the report looks at; today if absent.
    pub as_of: Option<NaiveDate>,
    /// Only reviews in this state on that day.
    pub state: Option<OverrideState>,
    /// Only this region.
    pub region_id: Option<RegionId>,
    /// Only models of this project.
    pub project_id: Option<ProjectId>,
    /// Only this model.
    pub model_id: Option<ModelId>,
    /// Text in the model's name or in the reason.
    pub q: Option<String>,
    /// How many rows, 1 to 500; 50 if absent.
    pub limit: Option<i64>,
    /// Where the page starts.
    pub cursor: Option<Cursor>,
    /// `csv` for all rows as CSV.
    #[param(inline)]
    pub format: Option<super::export::Format>,
}

impl OverridesFilter {
    /// Whether this is the region filtered by.
    #[must_use]
    pub fn is_region(&self, id: &i64) -> bool {
        self.region_id == Some(RegionId(*id))
    }

    /// Whether this is the project filtered by.
    #[must_use]
    pub fn is_project(&self, id: &i64) -> bool {
        self.project_id == Some(ProjectId(*id))
    }
}

/// A confirmation before approval.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct OverrideRow {
    /// The review.
    pub override_id: OverrideId,
    /// The task that was confirmed.
    pub task_id: TaskId,
    /// The model.
    pub model_id: ModelId,
    /// Its name.
    pub model_name: String,
    /// The version that went live.
    pub version_id: VersionId,
    /// Its number.
    pub version_number: String,
    /// The region; none for all of the version's regions at once.
    pub region_code: Option<String>,
    /// The date it was planned for.
    pub planned_production_date: NaiveDate,
    /// The date it went live.
    pub actual_production_date: Option<NaiveDate>,
    /// Whether the validation was not approved.
    pub before_validation_approved: bool,
    /// Whether the region's approval was not given.
    pub before_regional_approval: bool,
    /// The reason given.
    pub reason: String,
    /// Who confirmed it.
    pub overridden_by_id: UserId,
    /// Their name.
    pub overridden_by: String,
    /// When they did.
    pub confirmed_at: DateTime<Utc>,
    /// Where the review stood.
    pub review_state: OverrideState,
    /// Who reviewed it.
    pub reviewed_by: Option<String>,
    /// When.
    pub reviewed_at: Option<DateTime<Utc>>,
    /// What they wrote.
    pub review_comment: Option<String>,
    /// When what was missing was approved.
    pub approved_on: Option<NaiveDate>,
    /// Days from going live to that approval.
    pub days_until_approved: Option<i64>,
    /// Days it has been live without approval, if it still is.
    pub days_unapproved: Option<i64>,
}

impl OverrideRow {
    /// What was missing, as people read it.
    #[must_use]
    pub fn missing(&self) -> &'static str {
        match (self.before_validation_approved, self.before_regional_approval) {
            (true, true) => "Validation and regional approval",
            (true, false) => "Validation",
            _ => "Regional approval",
        }
    }
}

impl Tabular for OverrideRow {
    const COLUMNS: &'static [&'static str] = &[
        "override_id",
        "task_id",
        "model_id",
        "model",
        "version",
        "region",
        "planned_date",
        "actual_date",
        "missing",
        "reason",
        "overridden_by",
        "confirmed_at",
        "review_state",
        "reviewed_by",
        "reviewed_at",
        "review_comment",
        "approved_on",
        "days_until_approved",
        "days_unapproved",
    ];

    fn cells(&self) -> Vec<String> {
        let text = |value: Option<&dyn ToString>| value.map(ToString::to_string).unwrap_or_default();
        vec![
            self.override_id.to_string(),
            self.task_id.to_string(),
            self.model_id.to_string(),
            self.model_name.clone(),
            self.version_number.clone(),
            self.region_code.clone().unwrap_or_else(|| "all".to_owned()),
            self.planned_production_date.to_string(),
            text(self.actual_production_date.as_ref().map(|one| one as _)),
            self.missing().to_owned(),
            self.reason.clone(),
            self.overridden_by.clone(),
            self.confirmed_at.to_rfc3339(),
            self.review_state.to_string(),
            self.reviewed_by.clone().unwrap_or_default(),
            text(self.reviewed_at.map(|at| at.to_rfc3339()).as_ref().map(|one| one as _)),
            self.review_comment.clone().unwrap_or_default(),
            text(self.approved_on.as_ref().map(|one| one as _)),
            text(self.days_until_approved.as_ref().map(|one| one as _)),
            text(self.days_unapproved.as_ref().map(|one| one as _)),
        ]
    }
}

/// How many overrides the filter matches.
#[derive(Debug, Clone, Copy, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Totals {
    /// All.
    pub total_count: i64,
    /// Those still under review.
    pub open_count: i64,
}

/// A page of the report.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Overrides {
    /// The day it looks at.
    pub as_of: NaiveDate,
    /// The counts of everything the filter matches.
    #[serde(flatten)]
    pub totals: Totals,
    /// The rows, newest first.
    pub items: Vec<OverrideRow>,
    /// Where the next page starts; none on the last.
    pub next_cursor: Option<Cursor>,
}

/// The overrides that were recorded by the end of a day, with their reviews as they stood: two statements.
///
/// # Errors
/// `forbidden` without the right to read reports, `invalid` for a day to come, a limit out of bounds or
/// a foreign cursor.
pub async fn overrides(app: &App, actor: &Actor, filter: &OverridesFilter) -> Result<Overrides> {
    let as_of = AsOf::new(filter.as_of, app.now())?;
    let page = overrides_page(app, actor, filter).await?;
    let totals = store::overrides::totals(&app.db, as_of, filter).await?;
    Ok(Overrides { as_of: as_of.date, totals, items: page.items, next_cursor: page.next_cursor })
}

/// The rows alone, a page at a time: what exports are made of.
pub(super) async fn overrides_page(app: &App, actor: &Actor, filter: &OverridesFilter) -> Result<Page<OverrideRow>> {
    actor.may(app, Action::ReportView, &[])?;
    let as_of = AsOf::new(filter.as_of, app.now())?;
    let limit = paging::limit(filter.limit)?;
    let after = filter.cursor.as_ref().map(Cursor::keys).transpose()?;
    let rows = store::overrides::page(&app.db, as_of, filter, limit, after).await?;
    Ok(Page::cut(rows, limit, |row| (row.confirmed_at, row.override_id)))
}
