//! The three truths about versions, a region at a time, with their disagreement (1-product).

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;

use crate::app::App;
use crate::db::{Db, DbError, Query};
use crate::error::Result;
use crate::ids::{ModelId, RegionId, RequestId, TaskId, VersionId};
use crate::inventory::rules::{Agreement, TruthFacts, agreement};
use crate::truths::RUNNING;

/// The three truths about one version in one region.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct TruthView {
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
    /// Whether the version's validation is approved.
    pub approved: bool,
    /// Its validation request.
    pub request_id: Option<RequestId>,
    /// The day it was approved.
    pub approved_date: Option<NaiveDate>,
    /// Whether the region's own approval is missing.
    pub requires_regional_approval: bool,
    /// The day it was ratified live in the region, last.
    pub ratified_from: Option<NaiveDate>,
    /// The day it ended there; none while it is live.
    pub ratified_to: Option<NaiveDate>,
    /// The number of the version that was observed to serve in the region's production; none if nothing was.
    pub running: Option<String>,
    /// How approved and ratified stand to one another.
    pub agreement: Agreement,
    /// The version that is ratified live in the region now.
    pub current_version_id: Option<VersionId>,
    /// Its number.
    pub current_deployed_version: Option<String>,
    /// The open deployment task for this version and region.
    pub pending_task_id: Option<TaskId>,
    /// The day that task is due.
    pub task_planned_date: Option<NaiveDate>,
    #[serde(skip)]
    approved_at: Option<DateTime<Utc>>,
}

impl TruthView {
    /// Whether it is ratified live.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.ratified_from.is_some() && self.ratified_to.is_none()
    }

    /// Whether it is what was observed to serve.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.running.as_deref() == Some(self.version_number.as_str())
    }

    /// Whether the next step is to deploy it.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(self.agreement, Agreement::ReadyToDeploy | Agreement::RegionalApprovalMissing)
            && self.pending_task_id.is_none()
    }
}

/// The truths about a version in each of its target regions, by region code.
///
/// # Errors
/// Only failures of the database.
pub async fn of_version(app: &App, version: VersionId) -> Result<Vec<TruthView>> {
    let rows = rows(&app.db, "v.version_id = $1 ORDER BY r.code", version.0).await?;
    Ok(rows.into_iter().map(Row::view).collect())
}

/// The truths about a model in one region: the version that was approved last, the one that is
/// ratified live, what runs, and how they agree.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct RegionTruth {
    /// The region.
    pub region_id: RegionId,
    /// Its code.
    pub region_code: String,
    /// Its name.
    pub region_name: String,
    /// The version that was approved last for the region.
    pub approved: Option<TruthView>,
    /// The version that is ratified live there.
    pub ratified: Option<TruthView>,
    /// The number of the version that was observed to serve in the region's production; none if nothing was.
    pub running: Option<String>,
    /// How they agree.
    pub agreement: Agreement,
}

/// The truths about a model, one row for each of its regions in which anything is approved or live.
///
/// # Errors
/// Only failures of the database.
pub async fn of_model(app: &App, model: ModelId) -> Result<Vec<RegionTruth>> {
    const RELEVANT: &str =
        "v.model_id = $1 AND (vv.state = 'APPROVED' OR (d.live_from IS NOT NULL AND d.live_to IS NULL))
         ORDER BY r.code, r.region_id, vv.completed_at, v.version_id";
    let rows = rows(&app.db, RELEVANT, model.0).await?;
    let mut regions: Vec<RegionTruth> = Vec::new();
    for truth in rows.into_iter().map(Row::view) {
        if regions.last().is_none_or(|last| last.region_id != truth.region_id) {
            regions.push(RegionTruth::of(&truth));
        }
        if let Some(region) = regions.last_mut() {
            region.add(truth);
        }
    }
    for region in &mut regions {
        region.agree();
    }
    Ok(regions)
}

impl RegionTruth {
    fn of(truth: &TruthView) -> Self {
        Self {
            region_id: truth.region_id,
            region_code: truth.region_code.clone(),
            region_name: truth.region_name.clone(),
            approved: None,
            ratified: None,
            running: truth.running.clone(),
            agreement: Agreement::NotYet,
        }
    }

    /// Takes in a version's truth; the approval that came last stays.
    fn add(&mut self, truth: TruthView) {
        if truth.is_live() {
            self.ratified = Some(truth.clone());
        }
        if truth.approved && self.approved.as_ref().is_none_or(|last| last.approved_at <= truth.approved_at) {
            self.approved = Some(truth);
        }
    }

    /// What is live without approval comes first; else the newest approval says what is to be done.
    fn agree(&mut self) {
        let live = self.ratified.as_ref().map(|truth| truth.agreement);
        let newest = self.approved.as_ref().map(|truth| truth.agreement);
        self.agreement = match (live, newest) {
            (Some(Agreement::OverrideUnderReview), _) => Agreement::OverrideUnderReview,
            (Some(live), Some(Agreement::LaterVersionLive)) | (Some(live), None) => live,
            (_, Some(newest)) => newest,
            (None, None) => Agreement::NotYet,
        };
    }
}

#[derive(Debug, sqlx::FromRow)]
struct Row {
    version_id: VersionId,
    number: String,
    needs_validation: bool,
    region_id: RegionId,
    code: String,
    name: String,
    request_id: Option<RequestId>,
    approved: bool,
    approved_at: Option<DateTime<Utc>>,
    approved_date: Option<NaiveDate>,
    locked: bool,
    live_from: Option<NaiveDate>,
    live_to: Option<NaiveDate>,
    overridden: bool,
    override_open: bool,
    current_version_id: Option<VersionId>,
    current_number: Option<String>,
    current_approved_at: Option<DateTime<Utc>>,
    pending_task_id: Option<TaskId>,
    task_planned_date: Option<NaiveDate>,
    running: Option<String>,
}

impl Row {
    fn view(self) -> TruthView {
        let live = self.live_from.is_some() && self.live_to.is_none();
        let agreement = agreement(TruthFacts {
            approved: self.approved,
            needs_validation: self.needs_validation,
            locked: self.locked,
            live,
            was_live: self.live_from.is_some(),
            later_live: !live && self.approved_at.is_some() && self.current_approved_at > self.approved_at,
            override_open: self.override_open,
            overridden: self.overridden,
        });
        TruthView {
            version_id: self.version_id,
            version_number: self.number,
            region_id: self.region_id,
            region_code: self.code,
            region_name: self.name,
            approved: self.approved,
            request_id: self.request_id,
            approved_date: self.approved_date,
            requires_regional_approval: self.locked,
            ratified_from: self.live_from,
            ratified_to: self.live_to,
            running: self.running,
            agreement,
            current_version_id: self.current_version_id,
            current_deployed_version: self.current_number,
            pending_task_id: self.pending_task_id,
            task_planned_date: self.task_planned_date,
            approved_at: self.approved_at,
        }
    }
}

/// One statement for every use: each version in each of its target regions, with all three truths.
async fn rows(db: &Db, condition: &'static str, id: i64) -> Result<Vec<Row>, DbError> {
    Query::new(
        "SELECT v.version_id, v.number, (v.change_type = 'MAJOR' OR COALESCE(rule.needs_validation, TRUE)) AS needs_validation,
                r.region_id, r.code, r.name, vv.request_id, COALESCE(vv.state = 'APPROVED', FALSE) AS approved,
                vv.completed_at AS approved_at, vv.completion_date AS approved_date,
                (r.requires_regional_approval
                 AND NOT EXISTS (SELECT 1 FROM validation_regions x WHERE x.request_id = vv.request_id AND x.region_id = r.region_id)
                 AND NOT EXISTS (SELECT 1 FROM regional_approvals g
                                 WHERE g.version_id = v.version_id AND g.region_id = r.region_id AND g.lapsed_at IS NULL)) AS locked,
                d.live_from, d.live_to, (o.override_id IS NOT NULL) AS overridden,
                (o.override_id IS NOT NULL AND o.closed_at IS NULL) AS override_open,
                l.version_id AS current_version_id, lv.number AS current_number, lvv.completed_at AS current_approved_at,
                t.task_id AS pending_task_id, t.planned_production_date AS task_planned_date, ",
    )
    .push(RUNNING)
    .push(
        "FROM version_targets vt JOIN versions v ON v.version_id = vt.version_id JOIN regions r ON r.region_id = vt.region_id
         JOIN models m ON m.model_id = v.model_id
         LEFT JOIN minor_change_rules rule ON rule.risk_tier = m.risk_tier
         LEFT JOIN version_requests vq ON vq.version_id = v.version_id
         LEFT JOIN validation_requests vv ON vv.request_id = vq.request_id
         LEFT JOIN region_deployments d ON d.region_deployment_id =
              (SELECT MAX(x.region_deployment_id) FROM region_deployments x
               WHERE x.version_id = v.version_id AND x.region_id = r.region_id)
         LEFT JOIN override_reviews o ON o.task_id = d.task_id
         LEFT JOIN region_deployments l ON l.model_id = v.model_id AND l.region_id = r.region_id AND l.live_to IS NULL
         LEFT JOIN versions lv ON lv.version_id = l.version_id
         LEFT JOIN version_requests lvq ON lvq.version_id = l.version_id
         LEFT JOIN validation_requests lvv ON lvv.request_id = lvq.request_id
         LEFT JOIN deployment_tasks t ON t.version_id = v.version_id AND t.status IN ('PENDING', 'ADJUSTED')
              AND t.task_id = (SELECT MIN(y.task_id) FROM deployment_tasks y
                               WHERE y.version_id = v.version_id AND y.status IN ('PENDING', 'ADJUSTED')
                               AND (y.region_id = r.region_id OR y.region_id IS NULL))
         WHERE ",
    )
    .push(condition)
    .bind(id)
    .all(db)
    .await
}
