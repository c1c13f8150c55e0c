//! Deployment tasks: the owner's to-do of one version in one region, and its countersignature.
//!
//! A confirmation is the only way a version becomes *ratified*: it writes the region deployments. This
//! area asks the inbox for regional approvals and override reviews; it never decides them, and it never
//! moves a byte to a machine.

use axum::Router;
use axum::routing::{get, post};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::ids::{ModelId, RegionId, RequestId, TaskId, UserId, VersionId};

mod act;
mod api;
mod decided;
mod deploy;
mod list;
mod pages;
mod pages_deploy;
mod released;
pub mod rules;
mod store;
#[cfg(test)]
mod tests;

pub use act::{
    Adjust, BulkAnswer, BulkFailure, Cancel, Confirm, adjust, bulk_adjust, bulk_cancel, bulk_confirm, cancel, confirm,
};
pub use decided::{override_ticket_decided, owners_changed, regional_ticket_decided, versions_approved};
pub use deploy::{Deploy, DeployAnswer, DeployModal, DeployMode, DeployRegion, TargetRegion, deploy, deploy_modal};
pub use list::{BucketCounts, RegionCounts, Scope, StatusFilter, TaskFilter, TaskList, my_tasks, overdue, task};
pub use released::{Released, released, rolled_back};
use rules::{Bucket, TaskStatus};

/// The JSON routes of this area.
pub fn api() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(api::my_tasks))
        .routes(routes!(api::bulk_confirm))
        .routes(routes!(api::bulk_adjust))
        .routes(routes!(api::bulk_cancel))
        .routes(routes!(api::task))
        .routes(routes!(api::confirm))
        .routes(routes!(api::adjust))
        .routes(routes!(api::cancel))
        .routes(routes!(api::deploy_modal))
        .routes(routes!(api::deploy))
}

/// The pages of this area.
pub fn pages() -> Router<App> {
    Router::new()
        .route("/my-deployment-tasks", get(pages::tasks))
        .route("/my-deployment-tasks/confirm", post(pages::confirm))
        .route("/my-deployment-tasks/adjust", post(pages::adjust))
        .route("/my-deployment-tasks/cancel", post(pages::cancel))
        .route("/deployment-tasks/{task_id}", get(pages::task))
        .route("/versions/{version_id}/deploy", get(pages_deploy::modal).post(pages_deploy::deploy))
}

/// A deployment task, with all that is needed to decide on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema, sqlx::FromRow)]
pub struct TaskView {
    /// The task.
    pub task_id: TaskId,
    /// The version.
    pub version_id: VersionId,
    /// Its number.
    pub version_number: String,
    /// The model.
    pub model_id: ModelId,
    /// Its name.
    pub model_name: String,
    /// The region; none if the task is for all target regions.
    pub region_id: Option<RegionId>,
    /// Its code.
    pub region_code: Option<String>,
    /// Its name.
    pub region_name: Option<String>,
    /// The planned date.
    pub planned_production_date: NaiveDate,
    /// The date it went live, once confirmed.
    pub actual_production_date: Option<NaiveDate>,
    /// Days from today in the region to the planned date; negative if overdue.
    #[sqlx(default)]
    pub days_until_due: i64,
    /// The bucket of an open task.
    #[sqlx(skip)]
    pub bucket: Option<Bucket>,
    /// Who is to confirm it.
    pub assigned_to_id: UserId,
    /// Their name.
    pub assigned_to_name: String,
    /// Where it stands.
    pub status: TaskStatus,
    /// The state of the version's validation; NONE if it needs one and has none, NOT_REQUIRED if it needs none.
    pub validation_status: String,
    /// The validation.
    pub validation_request_id: Option<RequestId>,
    /// The lock: a region it goes live in must approve first.
    pub requires_regional_approval: bool,
    /// Whether a confirmation now would be an override.
    #[sqlx(default)]
    pub requires_override: bool,
    /// What was noted with the confirmation.
    pub confirmation_notes: Option<String>,
    /// Why the planned date was moved last.
    pub adjustment_reason: Option<String>,
    /// Why it was cancelled.
    pub cancellation_reason: Option<String>,
    /// When it was confirmed.
    pub confirmed_at: Option<DateTime<Utc>>,
    /// By whom.
    pub confirmed_by_id: Option<UserId>,
    /// Their name.
    pub confirmed_by_name: Option<String>,
    /// Whether it was confirmed before its validation was approved.
    pub deployed_before_validation_approved: bool,
    /// Whether it was confirmed before its region approved.
    pub deployed_before_regional_approval: bool,
    /// The reason given for that.
    pub validation_override_reason: Option<String>,
    /// What a release left behind for the owner: release, environment, approver, digest, probe result, time.
    #[schema(value_type = Option<Object>)]
    #[serde(serialize_with = "as_json")]
    pub evidence: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// The region's time zone, in which its today is told.
    #[serde(skip)]
    pub time_zone: Option<String>,
}

/// JSON that is kept as text, as what it says.
fn as_json<S: serde::Serializer>(text: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    text.as_deref().and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok()).serialize(serializer)
}

impl TaskView {
    /// The evidence of a release, a line a fact.
    #[must_use]
    pub fn evidence_lines(&self) -> Vec<(String, String)> {
        let known = self.evidence.as_deref().and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
        let Some(serde_json::Value::Object(facts)) = known else { return Vec::new() };
        let said = facts.into_iter().filter(|(_, value)| !value.is_null());
        said.map(|(name, value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            (crate::web::format::words(&name), text)
        })
        .collect()
    }

    /// Fills in what depends on the day: days until due, bucket, override.
    #[must_use]
    fn on(mut self, now: DateTime<Utc>) -> Self {
        let today = rules::today(now, self.time_zone.as_deref());
        self.days_until_due = (self.planned_production_date - today).num_days();
        self.bucket = self.status.is_open().then(|| Bucket::of(self.days_until_due));
        self.requires_override = self.status.is_open()
            && (self.requires_regional_approval
                || !matches!(self.validation_status.as_str(), "APPROVED" | "NOT_REQUIRED"));
        self
    }

    /// The day on which a release brought it live, in its region: what the owner can ratify without typing it.
    #[must_use]
    pub fn served_since(&self) -> Option<NaiveDate> {
        let known = serde_json::from_str::<serde_json::Value>(self.evidence.as_deref()?).ok()?;
        let at: DateTime<Utc> = known["applied_at"].as_str()?.parse().ok()?;
        Some(rules::today(at, self.time_zone.as_deref()))
    }

    /// Whether one click is enough to ratify it.
    #[must_use]
    pub fn can_ratify(&self) -> bool {
        self.served_since().is_some() && !self.requires_override
    }

    /// Where it goes live, as people read it.
    #[must_use]
    pub fn place(&self) -> &str {
        self.region_code.as_deref().unwrap_or("All regions")
    }

    /// How the planned date stands to today, in words.
    #[must_use]
    pub fn due(&self) -> String {
        crate::web::format::due(self.days_until_due)
    }

    /// Today in the task's region.
    #[must_use]
    pub fn today(&self, now: DateTime<Utc>) -> NaiveDate {
        rules::today(now, self.time_zone.as_deref())
    }
}

/// The tasks that an act is on.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Bulk<T> {
    /// The tasks, 1 to 1,000.
    #[schema(min_items = 1, max_items = 1000)]
    pub task_ids: Vec<TaskId>,
    /// What is to be done with each.
    pub with: T,
}
