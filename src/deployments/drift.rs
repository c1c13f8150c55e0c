//! Drift: where what runs differs from what was approved or ratified.
//!
//! Only production counts: elsewhere nothing is ratified. Findings are made and ended by observation alone.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::store;
use crate::app::App;
use crate::audit::{Act, Record, Who};
use crate::db::text_enum;
use crate::error::Result;
use crate::identity::Actor;
use crate::identity::access::sees_all_models;
use crate::ids::{DeploymentId, DriftId, ModelId, RegionId, VersionId};

text_enum! {
    /// How what runs differs.
    pub enum DriftKind {
        /// The bytes that run are not those that were approved.
        DigestDiffers = "digest_differs",
        /// A version runs that its owner has not ratified.
        RunningNotRatified = "running_not_ratified",
        /// The version that was ratified does not run.
        RatifiedNotRunning = "ratified_not_running",
    }
}

impl DriftKind {
    /// The kind as people read it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::DigestDiffers => "Other bytes run than were approved",
            Self::RunningNotRatified => "Running, not ratified",
            Self::RatifiedNotRunning => "Ratified, not running",
        }
    }
}

/// A difference, as last observed.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct DriftFinding {
    /// Its number.
    pub drift_id: DriftId,
    /// What differs.
    pub kind: DriftKind,
    /// The model.
    pub model_id: ModelId,
    /// Its name.
    pub model_name: String,
    /// The region.
    pub region_id: RegionId,
    /// Its code.
    pub region_code: String,
    /// The version that runs, or does not.
    pub version_id: Option<VersionId>,
    /// Its number.
    pub version_number: Option<String>,
    /// The deployment.
    pub deployment_id: Option<DeploymentId>,
    /// Both sides, as a sentence.
    pub detail: String,
    /// Since when it is known.
    pub found_at: DateTime<Utc>,
}

/// The open findings.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct DriftList {
    /// The findings, newest first; at most 500.
    pub items: Vec<DriftFinding>,
}

/// The findings about models that a person sees.
///
/// # Errors
/// Only failures of the database.
pub async fn open_drift(app: &App, actor: &Actor) -> Result<DriftList> {
    let member = (!sees_all_models(app, actor)).then_some(actor.user_id);
    Ok(DriftList { items: store::open_drift(&app.db, member, app.now()).await? })
}

/// Compares what runs with what was approved and ratified: new differences are noted, those that are over end.
///
/// # Errors
/// Only failures of the database.
pub async fn find_drift(app: &App) -> Result<()> {
    if !store::drift_moved(&app.db).await? {
        return Ok(());
    }
    let mut act = Act::begin(app, &Who::system("observation")).await?;
    let now = act.now;
    for (drift, model) in store::end_drift(&mut act.tx, now).await? {
        act.record(Record::new("drift.ended", "drift", drift).model(model));
    }
    for (drift, model, kind, detail) in store::note_drift(&mut act.tx, now).await? {
        let says = serde_json::json!({ "kind": kind, "detail": detail });
        act.record(Record::new("drift.found", "drift", drift).model(model).after(says));
    }
    act.tell("drift");
    act.tell("deployments");
    act.commit().await
}
