//! Asking for a validation and taking it through its states.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::approving::{self, models, moved, record};
use super::rules::{ValidationType, is_open, needs_reason, next_states};
use super::store::{
    self, ApprovalView, Candidate, Entry, Locked, Member, RequestCounts, RequestRow, RequestVersion, RequestView,
    VersionChoice,
};
use crate::app::App;
use crate::audit::Act;
use crate::db::text_enum;
use crate::error::{self, Error, Fields, Result};
use crate::identity::access::{self, lock_models};
use crate::identity::{Action, Actor};
use crate::ids::{ModelId, RegionId, RequestId, VersionId};
use crate::web::etag::check_revision;
use crate::web::{Cursor, Page, Revision, paging};
use crate::words::{Priority, ValidationState};

/// How many versions one request may hold.
const MOST_VERSIONS: usize = 20;
const MOST_TEXT: usize = 2000;

/// A validation that somebody asks for.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRequest {
    /// The versions to review: 1 to 20, of distinct models.
    #[schema(min_items = 1, max_items = 20)]
    pub version_ids: Vec<VersionId>,
    /// The regions in scope; the versions' target regions if absent.
    #[serde(default)]
    pub region_ids: Option<Vec<RegionId>>,
    /// What kind of review.
    pub r#type: ValidationType,
    /// How urgent.
    #[serde(default = "as_usual")]
    pub priority: Priority,
    /// When it should be finished.
    #[serde(default)]
    pub target_date: Option<NaiveDate>,
    /// What the validators should know, at most 2,000 characters.
    #[serde(default)]
    pub note: String,
}

const fn as_usual() -> Priority {
    Priority::Medium
}

/// A step that somebody takes with a request.
#[derive(Debug, Clone)]
pub struct Step {
    /// The state to go to.
    pub to: ValidationState,
    /// Why; sending back and cancelling need it.
    pub reason: Option<String>,
    /// The revision of the request that was read.
    pub revision: Revision,
}

/// Asks for the validation of versions.
///
/// # Errors
/// `not_found` for a version that one may not see, `forbidden`, `invalid`; `conflict` if a version is
/// in an open request already, which the answer names.
pub async fn request(app: &App, actor: &Actor, new: NewRequest) -> Result<RequestDetail> {
    let members = named(app, actor, &new.version_ids).await?;
    for member in &members {
        access::authorise(app, &app.db, actor, Action::ValidationRequest, member.model_id).await?;
    }
    let targets = store::targets(&app.db, &new.version_ids).await?;
    let (note, regions) = check(&new, &members, &targets)?;
    let mut act = Act::begin(app, &actor.who).await?;
    lock_models(&mut act.tx, &models(&members)).await?;
    if let Some((open, version)) = store::open_request(&mut act.tx, &new.version_ids).await? {
        return Err(Error::new(&error::CONFLICT, "A version is in an open validation already.")
            .hint("Use that request, or cancel it first.")
            .fact("request_id", open)
            .fact("version_id", version));
    }
    let request = store::insert(&mut act.tx, &new, &note, &regions, actor.user_id, act.now).await?;
    let after = json!({
        "state": ValidationState::Intake, "type": new.r#type, "priority": new.priority, "target_date": new.target_date,
        "version_ids": new.version_ids, "region_ids": regions,
    });
    record(&mut act, "validation.requested", "validation", request.0, &members, None, after, None);
    crate::readiness::refresh(&mut act, &models(&members)).await?;
    act.commit().await?;
    show(app, actor, request).await
}

/// What the form for a new request starts from: the versions chosen so far, if the person may ask for
/// their validation.
///
/// # Errors
/// `not_found`, `forbidden`; `invalid` for too many.
pub(super) async fn starting_from(app: &App, actor: &Actor, versions: &[VersionId]) -> Result<Vec<VersionChoice>> {
    if versions.is_empty() {
        return Ok(Vec::new());
    }
    for one in named(app, actor, versions).await? {
        access::authorise(app, &app.db, actor, Action::ValidationRequest, one.model_id).await?;
    }
    Ok(store::choices(&app.db, versions).await?)
}

/// Versions that could be reviewed together with the chosen ones: of other models, in no validation, and
/// the person may ask for theirs. The first twenty that match.
///
/// # Errors
/// Only failures of the database.
pub(super) async fn candidates(
    app: &App,
    actor: &Actor,
    chosen: &[VersionId],
    q: Option<&str>,
) -> Result<Vec<Candidate>> {
    let of_all = actor.can(app, Action::ValidationRequest, &[]);
    Ok(store::candidates(&app.db, actor.user_id, of_all, chosen, q, app.now()).await?)
}

/// The versions named, all of which there must be.
async fn named(app: &App, actor: &Actor, versions: &[VersionId]) -> Result<Vec<Member>> {
    if versions.is_empty() || versions.len() > MOST_VERSIONS {
        return Err(Error::field("version_ids", format!("Name 1 to {MOST_VERSIONS} versions.")));
    }
    let members = store::versions_named(&app.db, versions).await?;
    for version in versions {
        let model = members.iter().find(|one| one.version_id == *version).map(|one| one.model_id);
        let hidden = || Error::not_found("version", version);
        let relations = match model {
            Some(model) => access::relations(app, &app.db, actor, model, None).await?.ok_or_else(hidden)?,
            None => return Err(hidden()),
        };
        access::permit(app, actor, Action::ModelView, &relations, hidden)?;
    }
    Ok(members)
}

fn check(new: &NewRequest, members: &[Member], targets: &[RegionId]) -> Result<(String, Vec<RegionId>)> {
    let mut fields = Fields::default();
    let mut seen: Vec<ModelId> = models(members);
    seen.sort_unstable();
    seen.dedup();
    fields.check(
        seen.len() == new.version_ids.len(),
        "version_ids",
        "Each version must be of another model; a model is reviewed one version at a time.",
    );
    let mut regions = new.region_ids.clone().unwrap_or_else(|| targets.to_vec());
    regions.sort_unstable();
    regions.dedup();
    fields.check(
        regions.iter().all(|region| targets.contains(region)),
        "region_ids",
        "Only target regions of the versions can be in scope.",
    );
    fields.check(!regions.is_empty() || targets.is_empty(), "region_ids", "At least one region must be in scope.");
    let note = fields.optional_text("note", &new.note, MOST_TEXT);
    fields.done()?;
    Ok((note, regions))
}

/// Takes a request to another state.
///
/// # Errors
/// `not_found`, `forbidden`; `stale` if it changed since it was read; `wrong_transition` with the
/// states it can go to; `invalid` where a reason is missing.
pub async fn transition(app: &App, actor: &Actor, request_id: RequestId, step: Step) -> Result<RequestDetail> {
    visible(app, actor, request_id).await?;
    let members = store::members(&app.db, request_id).await?;
    authorise_step(app, actor, step.to, &members).await?;
    let mut act = Act::begin(app, &actor.who).await?;
    lock_models(&mut act.tx, &models(&members)).await?;
    let request = store::lock(&mut act.tx, request_id).await?;
    let members = store::members(&mut act.tx, request_id).await?;
    check_revision("request", step.revision, request.revision)?;
    let next = next_states(request.state, request.held_from);
    if !next.contains(&step.to) {
        return Err(Error::new(
            &error::WRONG_TRANSITION,
            format!("The request is {} and cannot become {}.", request.state, step.to),
        )
        .fact("state", request.state)
        .fact("next_states", next));
    }
    let reason = check_reason(request.state, step.to, step.reason.as_deref())?;
    carry_out(&mut act, &request, &members, step.to, reason.as_deref()).await?;
    act.commit().await?;
    show(app, actor, request_id).await
}

/// Whoever may ask for a validation may cancel it; every other step is a validator's work.
async fn authorise_step(app: &App, actor: &Actor, to: ValidationState, members: &[Member]) -> Result<()> {
    if to != ValidationState::Cancelled || actor.can(app, Action::ValidationWork, &[]) {
        return actor.may(app, Action::ValidationWork, &[]);
    }
    for model in models(members) {
        access::authorise(app, &app.db, actor, Action::ValidationRequest, model).await?;
    }
    Ok(())
}

async fn carry_out(
    act: &mut Act,
    request: &Locked,
    members: &[Member],
    to: ValidationState,
    reason: Option<&str>,
) -> Result<()> {
    let held_from = (to == ValidationState::OnHold).then_some(request.state);
    store::set_state(&mut act.tx, request.request_id, to, held_from, reason).await?;
    moved(act, request, to, members, reason);
    match to {
        ValidationState::PendingApproval => approving::ask(act, request, members).await,
        ValidationState::OnHold => {
            approving::stop_asking(act, request, true, reason.unwrap_or("The request was put on hold.")).await
        }
        ValidationState::Revision | ValidationState::Cancelled => {
            approving::stop_asking(act, request, false, reason.unwrap_or("The request went back.")).await?;
            crate::readiness::refresh(act, &models(members)).await
        }
        _ => Ok(()),
    }
}

fn check_reason(from: ValidationState, to: ValidationState, reason: Option<&str>) -> Result<Option<String>> {
    let mut fields = Fields::default();
    let reason = reason.unwrap_or_default();
    let reason = if needs_reason(from, to) {
        fields.text("reason", reason, MOST_TEXT)
    } else {
        fields.optional_text("reason", reason, MOST_TEXT)
    };
    fields.done()?;
    Ok(Some(reason).filter(|text| !text.is_empty()))
}

text_enum! {
    /// The order of requests.
    pub enum RequestSort {
        /// The newest first.
        Newest = "-requested",
        /// The oldest first.
        Oldest = "requested",
        /// The nearest target date first; those without one last.
        Target = "target",
    }
}

/// Which requests are wanted.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RequestFilter {
    /// Only this state; `open` for all that are neither approved nor cancelled.
    #[param(inline)]
    pub state: Option<StateFilter>,
    /// Only this type.
    pub r#type: Option<ValidationType>,
    /// Only this priority.
    pub priority: Option<Priority>,
    /// Only requests with this region in scope.
    pub region_id: Option<RegionId>,
    /// Only requests with a version of this model.
    pub model_id: Option<ModelId>,
    /// Text in a model's name or the name of who asked.
    pub q: Option<String>,
    /// The order; `-requested` if absent.
    #[param(inline)]
    pub sort: Option<RequestSort>,
    /// How many rows, 1 to 500; 50 if absent.
    pub limit: Option<i64>,
    /// Where the page starts.
    pub cursor: Option<Cursor>,
}

text_enum! {
    /// A state to filter by, or all that are open.
    pub enum StateFilter {
        /// All that are neither approved nor cancelled.
        Open = "open",
        /// INTAKE.
        Intake = "INTAKE",
        /// PLANNING.
        Planning = "PLANNING",
        /// IN_PROGRESS.
        InProgress = "IN_PROGRESS",
        /// REVIEW.
        Review = "REVIEW",
        /// PENDING_APPROVAL.
        PendingApproval = "PENDING_APPROVAL",
        /// REVISION.
        Revision = "REVISION",
        /// APPROVED.
        Approved = "APPROVED",
        /// ON_HOLD.
        OnHold = "ON_HOLD",
        /// CANCELLED.
        Cancelled = "CANCELLED",
    }
}

/// A page of requests, with counts of everything the filter matches, whatever its state.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct RequestList {
    /// The requests.
    pub items: Vec<RequestRow>,
    /// Where the next page starts; none on the last.
    pub next_cursor: Option<Cursor>,
    /// How many there are.
    pub counts: RequestCounts,
    /// How many the list has, its state filter included.
    pub total_count: i64,
}

/// The requests a person may see.
///
/// # Errors
/// `invalid` for a limit out of bounds or a foreign cursor.
pub async fn list(app: &App, actor: &Actor, filter: &RequestFilter) -> Result<RequestList> {
    let limit = paging::limit(filter.limit)?;
    let after = filter.cursor.as_ref().map(Cursor::keys).transpose()?;
    let sees_all = access::sees_all_models(app, actor);
    let rows = store::list(&app.db, actor.user_id, sees_all, filter, limit, after, app.now()).await?;
    let counts = store::counts(&app.db, actor.user_id, sees_all, filter, app.now()).await?;
    let page = Page::cut(rows, limit, |row| (row.sort_date, row.request_id));
    let total_count = counts.of(filter.state);
    Ok(RequestList { items: page.items, next_cursor: page.next_cursor, counts, total_count })
}

/// A request with its versions, regions, approvals and history.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct RequestDetail {
    /// The request.
    #[serde(flatten)]
    pub request: RequestView,
    /// The versions under review.
    pub versions: Vec<RequestVersion>,
    /// The codes of the regions in scope.
    pub regions: Vec<String>,
    /// Every approval asked for, the newest round last.
    pub approvals: Vec<ApprovalView>,
    /// What happened, newest first.
    pub timeline: Vec<RequestEvent>,
    /// The states that the person who looks can take it to.
    pub next_states: Vec<ValidationState>,
}

/// One request with all that belongs to it.
///
/// # Errors
/// `not_found`.
pub async fn show(app: &App, actor: &Actor, request_id: RequestId) -> Result<RequestDetail> {
    let request = visible(app, actor, request_id).await?;
    let versions = store::versions(&app.db, request_id).await?;
    let regions = store::regions(&app.db, request_id).await?;
    let approvals = store::approvals(&app.db, request_id).await?;
    let timeline = timeline(store::history(&app.db, request_id).await?);
    let mut next = next_states(request.state, request.held_from);
    if !actor.can(app, Action::ValidationWork, &[]) {
        let may_cancel = is_open(request.state) && may_request(app, actor, &versions).await?;
        next.retain(|to| may_cancel && *to == ValidationState::Cancelled);
    }
    Ok(RequestDetail { request, versions, regions, approvals, timeline, next_states: next })
}

/// One thing that happened to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct RequestEvent {
    /// What happened, as the ledger names it.
    pub action: String,
    /// Who did it.
    pub actor: String,
    /// When.
    pub at: chrono::DateTime<chrono::Utc>,
    /// The state it led to.
    pub state: Option<String>,
    /// The role whose approval it is about.
    pub role: Option<String>,
    /// The reason given.
    pub reason: Option<String>,
}

/// Reads the ledger's entries as events, one an act.
fn timeline(mut entries: Vec<Entry>) -> Vec<RequestEvent> {
    entries.dedup_by(|a, b| a.at == b.at && a.action == b.action && a.entity_id == b.entity_id);
    entries
        .into_iter()
        .map(|entry| {
            let after: serde_json::Value =
                entry.after.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
            let word = |name: &str| after.get(name).and_then(|value| value.as_str()).map(str::to_owned);
            RequestEvent {
                state: word("state"),
                role: word("role"),
                action: entry.action,
                actor: entry.actor,
                at: entry.at,
                reason: entry.reason,
            }
        })
        .collect()
}

async fn may_request(app: &App, actor: &Actor, versions: &[RequestVersion]) -> Result<bool> {
    for version in versions {
        let relations = access::relations(app, &app.db, actor, version.model_id, None).await?;
        if !actor.can(app, Action::ValidationRequest, &relations.unwrap_or_default()) {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn visible(app: &App, actor: &Actor, request_id: RequestId) -> Result<RequestView> {
    let sees_all = access::sees_all_models(app, actor);
    let seen = store::one(&app.db, actor.user_id, sees_all, request_id, app.now()).await?;
    seen.ok_or_else(|| Error::not_found("validation request", request_id))
}
