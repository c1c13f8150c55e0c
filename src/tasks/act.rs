//! Confirm, adjust, cancel: one task or many, by the same code.
//!
//! The facts of all tasks are read at once, each task is decided by the rules, and what passed is written
//! by statements over the whole set; the number of statements does not grow with the tasks.

use std::collections::{BTreeMap, HashSet};

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::rules::{self, Missing, TaskStatus};
use super::store::{self, Facts};
use super::{Bulk, TaskView, list};
use crate::app::App;
use crate::approvals::rules::{Risk, TicketKind};
use crate::approvals::{self, Ask};
use crate::audit::{Act, Record};
use crate::error::{self, Error, Fields, Problem, Result};
use crate::identity::access::{lock_models, permit};
use crate::identity::{Action, Actor, Role};
use crate::ids::{ModelId, TaskId};
use crate::readiness;

/// A confirmation: the version went live.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Confirm {
    /// The date it went live: not in the future in the region, not before the version was made.
    pub actual_production_date: NaiveDate,
    /// Anything worth knowing, at most 4,000 characters.
    #[schema(max_length = 4000)]
    pub confirmation_notes: Option<String>,
    /// Why it went live before its approval, at least 20 characters; only where an approval is missing.
    #[schema(min_length = 20, max_length = 4000)]
    pub validation_override_reason: Option<String>,
}

/// Another planned date.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Adjust {
    /// The new date.
    pub planned_production_date: NaiveDate,
    /// Why, at most 4,000 characters.
    #[schema(min_length = 1, max_length = 4000)]
    pub adjustment_reason: String,
}

/// Giving a task up.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Cancel {
    /// Why, at most 4,000 characters.
    #[schema(min_length = 1, max_length = 4000)]
    pub cancellation_reason: String,
}

/// What became of each task of a bulk act.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct BulkAnswer {
    /// The tasks on which it was done, as they are now.
    pub succeeded: Vec<TaskView>,
    /// The tasks on which it was not done.
    pub failed: Vec<BulkFailure>,
}

/// A task on which a bulk act was not done, and why.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct BulkFailure {
    /// The task.
    pub task_id: TaskId,
    /// Why, as the single act would have answered.
    pub problem: Problem,
}

/// The most tasks of one bulk act.
const MOST_TASKS: usize = 1000;

/// Confirms that a version went live.
///
/// # Errors
/// `task_not_open` with the task as it ended, `validation_not_approved`, `regional_approval_required`,
/// `override_not_needed`, `invalid`, `forbidden`, `not_found`.
pub async fn confirm(app: &App, actor: &Actor, task: TaskId, with: &Confirm) -> Result<TaskView> {
    single(app, actor, task, &Verb::Confirm(with)).await
}

/// Moves a task's planned date.
///
/// # Errors
/// `task_not_open` with the task as it ended, `invalid`, `forbidden`, `not_found`.
pub async fn adjust(app: &App, actor: &Actor, task: TaskId, with: &Adjust) -> Result<TaskView> {
    single(app, actor, task, &Verb::Adjust(with)).await
}

/// Gives a task up.
///
/// # Errors
/// `task_not_open` with the task as it ended, `invalid`, `forbidden`, `not_found`.
pub async fn cancel(app: &App, actor: &Actor, task: TaskId, with: &Cancel) -> Result<TaskView> {
    single(app, actor, task, &Verb::Cancel(with)).await
}

/// Confirms many tasks; each succeeds or fails on its own.
///
/// # Errors
/// `invalid` if there are none or too many; what is wrong with a task stands in the answer.
pub async fn bulk_confirm(app: &App, actor: &Actor, bulk: &Bulk<Confirm>) -> Result<BulkAnswer> {
    many(app, actor, &bulk.task_ids, &Verb::Confirm(&bulk.with)).await
}

/// Moves the planned date of many tasks; each succeeds or fails on its own.
///
/// # Errors
/// As [`bulk_confirm`].
pub async fn bulk_adjust(app: &App, actor: &Actor, bulk: &Bulk<Adjust>) -> Result<BulkAnswer> {
    many(app, actor, &bulk.task_ids, &Verb::Adjust(&bulk.with)).await
}

/// Gives many tasks up; each succeeds or fails on its own.
///
/// # Errors
/// As [`bulk_confirm`].
pub async fn bulk_cancel(app: &App, actor: &Actor, bulk: &Bulk<Cancel>) -> Result<BulkAnswer> {
    many(app, actor, &bulk.task_ids, &Verb::Cancel(&bulk.with)).await
}

/// What is done to tasks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Verb<'a> {
    /// Confirm them.
    Confirm(&'a Confirm),
    /// Move their date.
    Adjust(&'a Adjust),
    /// Give them up.
    Cancel(&'a Cancel),
}

impl Verb<'_> {
    fn action(self) -> Action {
        match self {
            Self::Confirm(_) => Action::TaskConfirm,
            Self::Adjust(_) => Action::TaskAdjust,
            Self::Cancel(_) => Action::TaskCancel,
        }
    }

    /// The rules that concern the fields alone.
    fn check_fields(self) -> Result<()> {
        let mut fields = Fields::default();
        match self {
            Self::Confirm(with) => {
                fields.optional_text(
                    "confirmation_notes",
                    with.confirmation_notes.as_deref().unwrap_or_default(),
                    4000,
                );
                let reason = with.validation_override_reason.as_deref().unwrap_or_default();
                fields.optional_text("validation_override_reason", reason, 4000);
            }
            Self::Adjust(with) => {
                fields.text("adjustment_reason", &with.adjustment_reason, 4000);
                fields.check(
                    with.planned_production_date <= crate::db::far_date(),
                    "planned_production_date",
                    "It is too far away.",
                );
            }
            Self::Cancel(with) => {
                fields.text("cancellation_reason", &with.cancellation_reason, 4000);
            }
        }
        fields.done()
    }
}

async fn single(app: &App, actor: &Actor, task: TaskId, verb: &Verb<'_>) -> Result<TaskView> {
    let (outcomes, views) = carry_out(app, actor, &[task], verb).await?;
    let refused = outcomes.into_iter().next().and_then(|(_, outcome)| outcome.err());
    let now = views.into_iter().next().ok_or_else(|| Error::not_found("deployment task", task))?;
    match refused {
        None => Ok(now),
        Some(refused) if refused.code() == &error::TASK_NOT_OPEN => Err(refused.fact("task", now)),
        Some(refused) => Err(refused),
    }
}

async fn many(app: &App, actor: &Actor, tasks: &[TaskId], verb: &Verb<'_>) -> Result<BulkAnswer> {
    if tasks.is_empty() || tasks.len() > MOST_TASKS {
        return Err(Error::field("task_ids", format!("Name 1 to {MOST_TASKS} tasks.")));
    }
    let (outcomes, mut succeeded) = carry_out(app, actor, tasks, verb).await?;
    let mut failed = Vec::new();
    for (task_id, outcome) in outcomes {
        if let Err(error) = outcome {
            succeeded.retain(|view| view.task_id != task_id);
            failed.push(BulkFailure { task_id, problem: error.problem() });
        }
    }
    Ok(BulkAnswer { succeeded, failed })
}

/// What became of each task.
type Outcomes = Vec<(TaskId, Result<()>)>;

/// Does it, and shows the tasks as this act leaves them, whatever others do to them a moment later.
async fn carry_out(app: &App, actor: &Actor, tasks: &[TaskId], verb: &Verb<'_>) -> Result<(Outcomes, Vec<TaskView>)> {
    verb.check_fields()?;
    let mut act = Act::begin(app, &actor.who).await?;
    let models = store::models_of(&mut act.tx, tasks).await?;
    lock_models(&mut act.tx, &models).await?;
    let outcomes = carry_out_in(&mut act, actor, tasks, verb).await?;
    let views = list::views(&mut act.tx, tasks, act.now).await?;
    if outcomes.iter().any(|(_, outcome)| outcome.is_ok()) {
        act.commit().await?;
    }
    Ok((outcomes, views))
}

/// Does it inside an act whose models are locked.
pub(super) async fn carry_out_in(act: &mut Act, actor: &Actor, tasks: &[TaskId], verb: &Verb<'_>) -> Result<Outcomes> {
    let facts = store::facts(&mut act.tx, tasks, actor.user_id, act.now).await?;
    let mut facts: BTreeMap<TaskId, Facts> = facts.into_iter().map(|one| (one.task_id, one)).collect();
    let mut outcomes = Vec::with_capacity(tasks.len());
    let mut passed = Vec::new();
    let mut seen = HashSet::new();
    for task in tasks.iter().filter(|task| seen.insert(**task)) {
        let decided = match facts.remove(task) {
            None => Err(Error::not_found("deployment task", task)),
            Some(one) => decide(act, actor, &one, *verb).map(|missing| passed.push((one, missing))),
        };
        outcomes.push((*task, decided));
    }
    if !passed.is_empty() {
        write(act, &passed, *verb).await?;
    }
    Ok(outcomes)
}

/// Decides one task by the rules: who, state, dates, approvals.
fn decide(act: &Act, actor: &Actor, facts: &Facts, verb: Verb<'_>) -> Result<Missing> {
    permit(act.app(), actor, verb.action(), &facts.relations(), || Error::not_found("deployment task", facts.task_id))?;
    if !facts.status.is_open() {
        let message = format!("The task is {} already.", facts.status.as_str().to_lowercase());
        return Err(Error::new(&error::TASK_NOT_OPEN, message));
    }
    let Verb::Confirm(with) = verb else { return Ok(Missing::default()) };
    let zone = facts.time_zone.as_deref();
    let today = rules::today(act.now, zone);
    let created = rules::today(facts.version_created_at, zone);
    rules::check_live_date(with.actual_production_date, today, created, facts.live_since)?;
    rules::check_approval(facts.readiness(), with.validation_override_reason.as_deref())
}

async fn write(act: &mut Act, passed: &[(Facts, Missing)], verb: Verb<'_>) -> Result<()> {
    let ids: Vec<TaskId> = passed.iter().map(|(facts, _)| facts.task_id).collect();
    match verb {
        Verb::Confirm(with) => write_confirmations(act, passed, with).await?,
        Verb::Adjust(with) => {
            store::adjust(&mut act.tx, &ids, with.planned_production_date, with.adjustment_reason.trim()).await?;
            for (facts, _) in passed {
                act.record(
                    record("task.adjusted", facts, TaskStatus::Adjusted)
                        .before(json!({ "status": facts.status, "planned_production_date": facts.planned_production_date }))
                        .after(json!({ "status": TaskStatus::Adjusted, "planned_production_date": with.planned_production_date }))
                        .reason(with.adjustment_reason.trim()),
                );
                if facts.locked && facts.region_id.is_some() {
                    ask_region(act, facts).await?;
                }
            }
        }
        Verb::Cancel(with) => {
            let reason = with.cancellation_reason.trim();
            store::cancel(&mut act.tx, &ids, reason).await?;
            for (facts, _) in passed {
                act.record(record("task.cancelled", facts, TaskStatus::Cancelled).reason(reason));
                if facts.locked {
                    let why = "The deployment task was cancelled.";
                    approvals::withdraw(act, TicketKind::RegionalApproval, facts.task_id.0, why).await?;
                }
            }
        }
    }
    act.tell("tasks");
    act.tell("ready");
    Ok(())
}

fn record(action: &'static str, facts: &Facts, after: TaskStatus) -> Record {
    Record::new(action, "task", facts.task_id)
        .model(facts.model_id)
        .before(json!({ "status": facts.status }))
        .after(json!({ "status": after }))
}

async fn write_confirmations(act: &mut Act, passed: &[(Facts, Missing)], with: &Confirm) -> Result<()> {
    let by = act.who.user_id;
    let now = act.now;
    store::confirm(&mut act.tx, passed, with, by, now).await?;
    for wave in waves(passed) {
        store::open_intervals(&mut act.tx, &wave, with.actual_production_date, by, now).await?;
    }
    for (facts, missing) in passed {
        let mut record = record("task.confirmed", facts, TaskStatus::Confirmed).after(json!({
            "status": TaskStatus::Confirmed,
            "version_id": facts.version_id,
            "region_id": facts.region_id,
            "actual_production_date": with.actual_production_date,
            "artifact_digest": facts.artifact_digest,
            "deployed_before_validation_approved": missing.validation,
            "deployed_before_regional_approval": missing.regional,
        }));
        if let Some(reason) = overriding(*missing, with) {
            record = record.reason(reason);
        }
        act.record(record);
        if let Some(reason) = overriding(*missing, with) {
            open_review(act, facts, reason).await?;
        }
    }
    let models: Vec<ModelId> = passed.iter().map(|(facts, _)| facts.model_id).collect();
    readiness::refresh(act, &models).await
}

fn overriding(missing: Missing, with: &Confirm) -> Option<&str> {
    (missing != Missing::default()).then(|| with.validation_override_reason.as_deref().unwrap_or_default().trim())
}

/// Groups confirmations so that no two of a group concern one model: a region's interval ends where
/// the next one begins, one after the other.
fn waves(passed: &[(Facts, Missing)]) -> Vec<Vec<TaskId>> {
    let mut waves: Vec<Vec<TaskId>> = Vec::new();
    let mut count: BTreeMap<ModelId, usize> = BTreeMap::new();
    for (facts, _) in passed {
        let place = count.entry(facts.model_id).or_default();
        if waves.len() == *place {
            waves.push(Vec::new());
        }
        waves[*place].push(facts.task_id);
        *place += 1;
    }
    waves
}

/// Opens the review of an override, decided by compliance and never by the person who overrode.
async fn open_review(act: &mut Act, facts: &Facts, reason: &str) -> Result<()> {
    let by = act.who.user_id.unwrap_or(facts.assigned_to_id);
    let now = act.now;
    let override_id = store::open_review(&mut act.tx, facts, reason, by, now).await?;
    let place = facts.region_code.as_deref().unwrap_or("all regions");
    let ask = Ask {
        kind: TicketKind::OverrideReview,
        subject: format!("Override: {} {} live in {place} before approval", facts.model_name, facts.version_number),
        subject_id: override_id.0,
        requested_by: by,
        required_role: Role::Compliance,
        model_id: facts.model_id,
        version_id: facts.version_id,
        region_id: facts.region_id,
        environment: None,
        risk: Risk::of(facts.risk_tier),
        excluded: vec![by],
    };
    approvals::ask(act, ask).await.map(drop)
}

/// Asks the task's region for its approval.
pub(super) async fn ask_region(act: &mut Act, facts: &Facts) -> Result<()> {
    let by = act.who.user_id.unwrap_or(facts.assigned_to_id);
    let place = facts.region_code.as_deref().unwrap_or_default();
    let ask = Ask {
        kind: TicketKind::RegionalApproval,
        subject: format!("{} {} in {place}", facts.model_name, facts.version_number),
        subject_id: facts.task_id.0,
        requested_by: by,
        required_role: Role::RegionalApprover,
        model_id: facts.model_id,
        version_id: facts.version_id,
        region_id: facts.region_id,
        environment: None,
        risk: Risk::of(facts.risk_tier),
        excluded: [Some(by), facts.developer_id].into_iter().flatten().collect(),
    };
    approvals::ask(act, ask).await.map(drop)
}
