//! Looking at tickets: the list with its views and filters, and one ticket with all it takes to decide.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::decisions::requirement;
use super::expiry::may_ask_again;
use super::rules::{Risk, TicketAction, TicketKind, TicketState, View, ineligible};
use super::store::{self, Candidate, Past, Subject, TicketCounts, TicketView};
use crate::app::App;
use crate::db::{Conn, text_enum};
use crate::error::{Error, Result};
use crate::identity::{Action, Actor};
use crate::ids::{EnvironmentId, ModelId, ProjectId, RegionId, ReleaseId, TeamId, TicketId, VersionId};
use crate::web::{Cursor, Page, paging};
use crate::words::{Priority, RiskTier, ValidationState};

text_enum! {
    /// The order of tickets.
    pub enum TicketSort {
        /// What is due first, first.
        Due = "due",
        /// What is due last, first.
        DueLast = "-due",
    }
}

/// Which tickets are wanted.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct InboxFilter {
    /// The view; `mine` if absent.
    #[param(inline)]
    pub view: Option<View>,
    /// Only this kind.
    pub kind: Option<TicketKind>,
    /// Only this risk.
    pub risk: Option<Risk>,
    /// Only this priority.
    pub priority: Option<Priority>,
    /// Only this state.
    pub status: Option<TicketState>,
    /// Only this region.
    pub region_id: Option<RegionId>,
    /// Only this environment.
    pub environment_id: Option<EnvironmentId>,
    /// Only models of this project.
    pub project_id: Option<ProjectId>,
    /// Only models of this team's projects.
    #[param(inline)]
    pub team_id: Option<TeamId>,
    /// Text in the subject, the model, the number or the name of who asked.
    pub q: Option<String>,
    /// The order; `due` if absent.
    #[param(inline)]
    pub sort: Option<TicketSort>,
    /// How many rows, 1 to 500; 50 if absent.
    pub limit: Option<i64>,
    /// Where the page starts.
    pub cursor: Option<Cursor>,
}

/// A page of tickets, with the counts of each view.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Inbox {
    /// The tickets.
    pub items: Vec<TicketView>,
    /// Where the next page starts; none on the last.
    pub next_cursor: Option<Cursor>,
    /// How many tickets each view has, with the same filters but the state.
    pub counts: TicketCounts,
}

/// The tickets that a person may see, by view and filter.
///
/// # Errors
/// `invalid` for a limit out of bounds or a foreign cursor.
pub async fn inbox(app: &App, actor: &Actor, filter: &InboxFilter) -> Result<Inbox> {
    let limit = paging::limit(filter.limit)?;
    let after = filter.cursor.as_ref().map(Cursor::keys).transpose()?;
    let sees_all = actor.can(app, Action::TicketViewAll, &[]);
    let now = app.now();
    let rows = store::list(&app.db, actor.user_id, sees_all, filter, limit, after, now).await?;
    let mut counts = store::counts(&app.db, actor.user_id, sees_all, filter, now).await?;
    if filter.status.is_none() {
        counts.shown = match filter.view.unwrap_or(View::Mine) {
            View::Mine => counts.mine,
            View::Pending => counts.pending,
            View::All => counts.all,
        };
    }
    let page = Page::cut(rows, limit, |row| (row.due_at, row.ticket_id));
    Ok(Inbox { items: page.items, next_cursor: page.next_cursor, counts })
}

/// The ticket, if the person may see it.
pub(super) async fn visible(
    app: &App,
    conn: impl Into<Conn<'_>>,
    actor: &Actor,
    ticket: TicketId,
) -> Result<TicketView> {
    let sees_all = actor.can(app, Action::TicketViewAll, &[]);
    let seen = store::view(conn, actor.user_id, sees_all, ticket, app.now()).await?;
    seen.ok_or_else(|| Error::not_found("ticket", ticket))
}

/// A ticket with all it takes to decide it.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct TicketDetail {
    /// The ticket.
    #[serde(flatten)]
    pub ticket: TicketView,
    /// Why the person who looks cannot decide it; none if they can.
    pub cannot_decide_because: Option<String>,
    /// Whether it has expired, and the person who looks may ask it again.
    pub may_ask_again: bool,
    /// What to look at before deciding.
    pub checks: Vec<Check>,
    /// What is decided on: the versions, each with the three truths of its regions.
    pub versions: Vec<SubjectVersion>,
    /// The release that it decides on, as it was previewed.
    pub release: Option<TicketRelease>,
    /// Who decided on this before: approvals and rejections of other tickets.
    pub decided_before: Vec<TicketEvent>,
    /// What happened to this ticket, newest first.
    pub timeline: Vec<TicketEvent>,
}

/// The release that a ticket decides on, as it was previewed: what the approver sees.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct TicketRelease {
    /// Its number.
    pub release_id: ReleaseId,
    /// Where to.
    pub environment_name: String,
    /// The preview.
    pub preview_ref: String,
    /// The digest over all that it covers.
    pub digest: String,
    /// What changes, as a unified diff.
    pub diff: String,
    /// What an approver should know.
    pub warnings: Vec<String>,
}

impl From<store::PreviewedRelease> for TicketRelease {
    fn from(row: store::PreviewedRelease) -> Self {
        let plan: serde_json::Value = serde_json::from_str(&row.plan).unwrap_or_default();
        let warnings = plan["warnings"].as_array().into_iter().flatten();
        Self {
            release_id: row.release_id,
            environment_name: row.environment_name,
            preview_ref: row.preview_ref,
            digest: row.digest,
            diff: plan["diff"].as_str().unwrap_or_default().to_owned(),
            warnings: warnings.filter_map(|one| one.as_str().map(str::to_owned)).collect(),
        }
    }
}

/// The gates as the preview found them, for the list of checks.
fn gates(row: &store::PreviewedRelease) -> Vec<Check> {
    let gates: Vec<serde_json::Value> = serde_json::from_str(&row.checks).unwrap_or_default();
    let check = |one: &serde_json::Value| Check {
        passed: one["answer"] == "allow" || one["gate"] == "approval",
        says: one["says"].as_str().unwrap_or_default().to_owned(),
    };
    gates.iter().map(check).collect()
}

/// A fact to look at before deciding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Check {
    /// Whether it is as it should be.
    pub passed: bool,
    /// The fact, as a sentence.
    pub says: String,
}

/// A version that a ticket decides on.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct SubjectVersion {
    pub version_id: VersionId,
    pub version_number: String,
    pub model_id: ModelId,
    pub model_name: String,
    pub risk_tier: RiskTier,
    pub change_type: String,
    pub scope: String,
    pub description: String,
    pub planned_production_date: Option<chrono::NaiveDate>,
    pub artifact_digest: Option<String>,
    pub artifact_file: Option<String>,
    pub submitted_by: String,
    pub validation_request_id: Option<crate::ids::RequestId>,
    pub validation_state: Option<ValidationState>,
    pub completion_date: Option<chrono::NaiveDate>,
    /// The three truths, a region each.
    pub regions: Vec<SubjectRegion>,
}

/// What is true of a version in one of its target regions.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct SubjectRegion {
    /// The region.
    pub region_id: RegionId,
    /// Its code.
    pub region_code: String,
    /// Its name.
    pub region_name: String,
    /// Whether the version is approved there: its validation is, and the region is not locked.
    pub approved: bool,
    /// Whether the region must approve, and neither the validation nor an approval since covers it.
    pub locked: bool,
    /// Whether the version is the one ratified live there.
    pub ratified: bool,
    /// What is ratified live there.
    pub live_version_number: Option<String>,
    /// Since when.
    pub live_from: Option<chrono::NaiveDate>,
    /// The number of the version that runs in production there, as observed.
    pub running: Option<String>,
}

/// One thing that happened to a ticket.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct TicketEvent {
    pub ticket_id: TicketId,
    pub number: String,
    pub kind: TicketKind,
    pub required_role: crate::identity::Role,
    pub region_code: Option<String>,
    pub action: TicketAction,
    pub by: Option<String>,
    pub comment: Option<String>,
    pub at: DateTime<Utc>,
    /// Whether the approval has lapsed since.
    pub lapsed: bool,
}

/// One ticket with its context.
///
/// # Errors
/// `not_found`.
pub async fn ticket(app: &App, actor: &Actor, ticket_id: TicketId) -> Result<TicketDetail> {
    let ticket = visible(app, &app.db, actor, ticket_id).await?;
    let cannot_decide_because = why_not(app, actor, &ticket).await?;
    let may_ask_again = may_ask_again(app, actor, &ticket).await;
    let versions = fold(store::subjects(&app.db, ticket_id).await?);
    let history = store::history(&app.db, ticket_id).await?.into_iter().map(TicketEvent::from);
    let (timeline, decided_before) = history.partition(|past| past.ticket_id == ticket_id);
    let release = store::release(&app.db, ticket_id).await?;
    Ok(TicketDetail {
        checks: release.as_ref().map_or_else(|| checks(&versions), gates),
        release: release.map(TicketRelease::from),
        ticket,
        cannot_decide_because,
        may_ask_again,
        versions,
        decided_before,
        timeline,
    })
}

/// Validation state, artifact and regional lock of each version.
pub(super) fn checks(versions: &[SubjectVersion]) -> Vec<Check> {
    let mut checks = Vec::new();
    for version in versions {
        let name = format!("{} {}", version.model_name, version.version_number);
        let mut check = |passed, says: String| checks.push(Check { passed, says });
        match version.validation_state {
            Some(state) => check(
                matches!(state, ValidationState::Approved | ValidationState::PendingApproval),
                format!("The validation of {name} is {}.", state.as_str().replace('_', " ").to_lowercase()),
            ),
            None => check(false, format!("{name} has no validation.")),
        }
        match &version.artifact_digest {
            Some(_) => check(true, format!("The artifact of {name} is recorded; the approval names its digest.")),
            None => check(false, format!("{name} has no artifact: the approval will name no bytes.")),
        }
        let locked: Vec<_> =
            version.regions.iter().filter(|one| one.locked).map(|one| one.region_code.as_str()).collect();
        if locked.is_empty() {
            check(true, format!("No region keeps {name} locked."));
        } else {
            check(false, format!("{} must still approve {name}.", locked.join(", ")));
        }
    }
    checks
}

/// The people who could decide a pending ticket.
pub(super) async fn candidates(app: &App, ticket: TicketId) -> Result<Vec<Candidate>> {
    Ok(store::candidates(&app.db, ticket).await?)
}

/// Why a pending ticket cannot be decided by this person.
async fn why_not(app: &App, actor: &Actor, ticket: &TicketView) -> Result<Option<String>> {
    if ticket.state != TicketState::Pending {
        return Ok(Some(format!("It is {} already.", ticket.state)));
    }
    if ticket.expires_at.is_some_and(|at| at <= app.now()) {
        return Ok(Some("It has expired; it must be asked again.".to_owned()));
    }
    if let Err(refusal) = actor.may(app, Action::TicketDecide, &[]) {
        return Ok(Some(refusal.detail().to_owned()));
    }
    if ticket.can_decide {
        return Ok(None);
    }
    let locked = store::read(&app.db, ticket.ticket_id).await?;
    let wants = requirement(&locked, store::given(&app.db, ticket.ticket_id).await?);
    Ok(ineligible(&wants, actor.user_id, &actor.roles, &actor.approves_for).map(str::to_owned))
}

/// Folds the rows of versions and regions into versions with their regions.
fn fold(rows: Vec<Subject>) -> Vec<SubjectVersion> {
    let mut versions: Vec<SubjectVersion> = Vec::new();
    for row in rows {
        let truth = truth_of(&row);
        if versions.last().is_none_or(|last| last.version_id != row.version_id) {
            versions.push(version_of(row));
        }
        if let (Some(version), Some(truth)) = (versions.last_mut(), truth) {
            version.regions.push(truth);
        }
    }
    versions
}

fn truth_of(row: &Subject) -> Option<SubjectRegion> {
    let validated = row.validation_state == Some(ValidationState::Approved);
    let locked = row.requires_regional_approval && !row.in_scope && row.regional_approval_at.is_none();
    Some(SubjectRegion {
        region_id: row.region_id?,
        region_code: row.region_code.clone()?,
        region_name: row.region_name.clone()?,
        approved: validated && !locked,
        locked,
        ratified: row.live_version_id == Some(row.version_id),
        live_version_number: row.live_number.clone(),
        live_from: row.live_from,
        running: row.running.clone(),
    })
}

fn version_of(row: Subject) -> SubjectVersion {
    SubjectVersion {
        version_id: row.version_id,
        version_number: row.number,
        model_id: row.model_id,
        model_name: row.model_name,
        risk_tier: row.risk_tier,
        change_type: row.change_type,
        scope: row.scope,
        description: row.description,
        planned_production_date: row.planned_production_date,
        artifact_digest: row.artifact_digest,
        artifact_file: row.file_name,
        submitted_by: row.submitted_by,
        validation_request_id: row.request_id,
        validation_state: row.validation_state,
        completion_date: row.completion_date,
        regions: Vec::new(),
    }
}

impl From<Past> for TicketEvent {
    fn from(past: Past) -> Self {
        Self {
            ticket_id: past.ticket_id,
            number: past.ticket_id.number(),
            kind: past.kind,
            required_role: past.required_role,
            region_code: past.region_code,
            action: past.action,
            by: past.by_name,
            comment: past.comment,
            at: past.at,
            lapsed: past.lapsed,
        }
    }
}
