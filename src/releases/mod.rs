//! Releases: a version's way into an environment, from the preview to the running, verified endpoint.
//!
//! A preview is what was looked at; a release is that preview, asked for once. It waits for its approval where the
//! environment asks for one, and is applied by a durable operation. This area never decides its own approval and
//! never ratifies: what is applied in production waits for the model's owner.

use std::collections::BTreeMap;

use axum::Router;
use axum::routing::{get, post};
use chrono::{DateTime, Utc};
use countersign_runtimes::Strategy;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::ids::{DeploymentId, EnvironmentId, ModelId, RegionId, ReleaseId, TicketId, UserId, VersionId};
use crate::operations::Step;
use crate::web::Cursor;
use crate::words::Stage;

mod api;
mod ask;
mod checks;
mod expiry;
mod list;
mod pages;
mod preview;
pub mod rules;
mod store;
#[cfg(test)]
mod tests;
mod work;

pub use ask::{apply, cancel, create, create_with};
pub use expiry::{expire_due, keep_expiring, ticket_expired};
pub use list::{list, show, timeline};
pub use preview::{preview, roll_back, show_preview};
pub use work::{ticket_decided, took, was_told};

use rules::{GateCheck, LifecycleState, ReleaseKind};

/// The JSON routes of this area.
pub fn api() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(api::list, api::create))
        .routes(routes!(api::preview))
        .routes(routes!(api::show_preview))
        .routes(routes!(api::show))
        .routes(routes!(api::apply))
        .routes(routes!(api::cancel))
        .routes(routes!(api::roll_back))
        .routes(routes!(api::timeline))
}

/// The pages of this area.
pub fn pages() -> Router<App> {
    Router::new()
        .route("/releases", get(pages::list).post(pages::create))
        .route("/releases/new", get(pages::new).post(pages::preview))
        .route("/releases/previews/{preview_ref}", get(pages::show_preview))
        .route("/releases/{release_id}", get(pages::show))
        .route("/releases/{release_id}/apply", post(pages::apply))
        .route("/releases/{release_id}/cancel", post(pages::cancel))
        .route("/releases/{release_id}/rollback", post(pages::roll_back))
}

/// What is to be previewed.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PreviewBody {
    /// Where to.
    pub environment_id: EnvironmentId,
    /// What.
    pub version_id: VersionId,
    /// How the new replaces the old: `{"kind": "rolling"}`, `{"kind": "blue_green", "window": 60, "limits": {…}}` or
    /// `{"kind": "canary", "steps": [{"weight": 10, "window": 60}], "limits": {"max_error_rate": 0.01, "max_p95": 0.5,
    /// "min_samples": 20}}`. Rolling if absent.
    #[serde(default = "rolling")]
    #[schema(value_type = Object)]
    pub strategy: Strategy,
    /// Options of the model server, by their long names.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
}

fn rolling() -> Strategy {
    Strategy::Rolling
}

/// What is to be rolled back to, and why.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackBody {
    /// A version that was applied in the release's environment before.
    pub version_id: VersionId,
    /// Why, at most 2,000 characters.
    pub reason: String,
}

/// What is to be released: a preview that was looked at.
#[derive(Debug, Clone, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseBody {
    /// The preview.
    #[serde(default)]
    pub preview_ref: Option<String>,
    /// Whether it is applied by itself once it is approved.
    #[serde(default)]
    pub apply_on_approval: bool,
    /// Why it must go ahead in a freeze window, 20 to 2,000 characters; a second person must agree.
    #[serde(default)]
    pub freeze_reason: Option<String>,
}

/// The preview that is applied.
#[derive(Debug, Clone, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplyBody {
    /// The preview that was looked at.
    #[serde(default)]
    pub preview_ref: Option<String>,
}

/// A preview: what a release would change, checked against what runs.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct PreviewView {
    /// Its name.
    pub preview_ref: String,
    /// Whether it is a release or a rollback.
    pub kind: ReleaseKind,
    /// Where to.
    pub environment_id: EnvironmentId,
    /// Its name.
    pub environment_name: String,
    /// The kind of its runtime.
    pub runtime_type: String,
    /// The model.
    pub model_id: ModelId,
    /// Its name.
    pub model_name: String,
    /// What.
    pub version_id: VersionId,
    /// Its number.
    pub version_number: String,
    /// The digest over everything that it covers.
    pub digest: String,
    /// What it covers, by name.
    #[schema(value_type = Object)]
    pub covers: rules::Covers,
    /// The endpoint as it will be, as text.
    pub rendered: String,
    /// What changes, as a unified diff; empty if nothing does.
    pub diff: String,
    /// What will be done, in order.
    pub steps: Vec<String>,
    /// The gates, each with its answer.
    pub checks: Vec<GateCheck>,
    /// What an approver should know.
    pub warnings: Vec<String>,
    /// Whether the release waits for an approval.
    pub approval_required: bool,
    /// The roles that approve it.
    pub approvers: Vec<String>,
    /// Until when it can be asked for.
    pub preview_expires_at: DateTime<Utc>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// By whom.
    pub requested_by: String,
    /// The release that it was used for.
    pub release_id: Option<ReleaseId>,
}

/// A page of releases, with the count of everything that the filter matches.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct ReleaseList {
    /// The releases.
    pub items: Vec<ReleaseRow>,
    /// How many there are on all pages.
    pub total_count: i64,
    /// Where the next page starts; none on the last.
    pub next_cursor: Option<Cursor>,
}

/// A release as lists show it.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct ReleaseRow {
    /// Its number.
    pub release_id: ReleaseId,
    /// Whether it is a release or a rollback.
    pub kind: ReleaseKind,
    /// Where it stands.
    pub lifecycle_state: LifecycleState,
    /// Where to.
    pub environment_id: EnvironmentId,
    /// Its name.
    pub environment_name: String,
    /// Its stage.
    pub stage: Stage,
    /// The kind of its runtime.
    pub runtime_type: String,
    /// Its region.
    pub region_id: RegionId,
    /// That region's code.
    pub region_code: String,
    /// The model.
    pub model_id: ModelId,
    /// Its name.
    pub model_name: String,
    /// What.
    pub version_id: VersionId,
    /// Its number.
    pub version_number: String,
    /// The preview that was looked at.
    pub preview_ref: String,
    /// Until when that could be asked for.
    pub preview_expires_at: DateTime<Utc>,
    /// Whether it is applied by itself once it is approved.
    pub apply_on_approval: bool,
    /// Why it may go into a freeze window.
    pub freeze_reason: Option<String>,
    /// The end of that window; the reason opens no other.
    pub freeze_until: Option<DateTime<Utc>>,
    /// Why a rollback was asked for.
    pub reason: Option<String>,
    /// Who asked for it.
    pub requested_by_id: UserId,
    /// Their name.
    pub requested_by: String,
    /// Who approved it last.
    pub approved_by: Option<String>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it was approved.
    pub approved_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// What it deployed; none until it is applied for the first time.
    pub deployment_id: Option<DeploymentId>,
    /// How often it changed.
    pub revision: i64,
    #[serde(skip)]
    diagnostics: Option<String>,
    /// How many releases the filter matches; the same in every row of a list.
    #[serde(skip)]
    #[sqlx(default)]
    total_count: i64,
}

/// A release with all there is to know of it.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct ReleaseView {
    /// The release.
    #[serde(flatten)]
    pub release: ReleaseRow,
    /// Whether it needs an approval, or needed one.
    pub approval_required: bool,
    /// The ticket that decides on it, as people say it; the first, if there are several.
    pub approval_ticket: Option<String>,
    /// All tickets that decide on it.
    pub tickets: Vec<ReleaseTicket>,
    /// The gates as they answered at the preview.
    pub checks: Vec<GateCheck>,
    /// What an approver should know.
    pub warnings: Vec<String>,
    /// What changes, as a unified diff.
    pub diff: String,
    /// What went wrong, where and what to do; none if nothing did.
    #[schema(value_type = Option<Object>)]
    pub diagnostics: Option<Value>,
    /// The steps, as they stand.
    pub steps: Vec<Step>,
}

/// A ticket that decides on a release.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct ReleaseTicket {
    /// Its number in addresses.
    pub ticket_id: TicketId,
    /// Its number as people say it.
    pub number: String,
    /// What it decides.
    pub kind: crate::approvals::rules::TicketKind,
    /// The role that decides.
    pub required_role: crate::identity::Role,
    /// Where it stands.
    pub state: crate::approvals::rules::TicketState,
}

/// Which releases are wanted.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReleaseFilter {
    /// Only this state.
    #[param(inline)]
    pub lifecycle_state: Option<LifecycleState>,
    /// Only into this environment.
    pub environment_id: Option<EnvironmentId>,
    /// Only of this model.
    pub model_id: Option<ModelId>,
    /// Only of this version.
    pub version_id: Option<VersionId>,
    /// How many rows, 1 to 500; 50 if absent.
    pub limit: Option<i64>,
    /// Where the page starts.
    pub cursor: Option<Cursor>,
}
