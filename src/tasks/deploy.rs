//! The deploy modal: what it shows, and what it does: tasks made, and confirmed or scheduled.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::act::{Confirm, Verb, ask_region, carry_out_in};
use super::rules::{self, Readiness};
use super::store::{self, NewTask, TargetRow, VersionRow};
use super::{TaskView, list};
use crate::app::App;
use crate::audit::{Act, Record};
use crate::error::{self, Error, Fields, Result};
use crate::identity::access::{lock_models, permit, relations};
use crate::identity::{Action, Actor, Relation};
use crate::ids::{ModelId, RegionId, RequestId, TaskId, UserId, VersionId};
use crate::words::ValidationState;

/// What the modal shows of a version and its target regions.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct DeployModal {
    /// The version.
    pub version_id: VersionId,
    /// Its number.
    pub version_number: String,
    /// MAJOR or MINOR.
    pub change_type: String,
    /// What it changes.
    pub description: String,
    /// The digest of its artifact, if one is recorded.
    pub artifact_digest: Option<String>,
    /// The model.
    pub model_id: ModelId,
    /// Its name.
    pub model_name: String,
    /// Its validation.
    pub validation_request_id: Option<RequestId>,
    /// The validation's state; NONE if it needs one and has none, NOT_REQUIRED if it needs none.
    pub validation_status: String,
    /// The date of its approval.
    pub validation_approved_date: Option<NaiveDate>,
    /// Whether deploying now is an override, which needs a reason.
    pub requires_override: bool,
    /// What the policy says about that.
    pub policy: Option<String>,
    /// The target regions.
    pub regions: Vec<TargetRegion>,
}

/// A target region of the version.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct TargetRegion {
    /// The region.
    pub region_id: RegionId,
    /// Its code.
    pub region_code: String,
    /// Its name.
    pub region_name: String,
    /// Today in the region.
    pub today: NaiveDate,
    /// The number of the version that is live there.
    pub live_version: Option<String>,
    /// Since when.
    pub live_since: Option<NaiveDate>,
    /// The lock: the region must approve first.
    pub requires_regional_approval: bool,
    /// The open task of this version there, if there is one.
    pub open_task_id: Option<TaskId>,
    /// Whether it can be selected: the version is not live there, no task is open, and the person may deploy there.
    pub selectable: bool,
}

/// Now or later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeployMode {
    /// Make tasks and confirm them. A locked region is scheduled instead, and asked for its approval.
    Now,
    /// Make open tasks.
    Schedule,
}

/// A region to deploy in.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeployRegion {
    /// The region.
    pub region_id: RegionId,
    /// The planned date: required to schedule, and for a locked region.
    pub planned_production_date: Option<NaiveDate>,
}

/// What to deploy, where, when.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Deploy {
    /// Now or later.
    pub mode: DeployMode,
    /// The regions, at least one.
    #[schema(min_items = 1, max_items = 500)]
    pub regions: Vec<DeployRegion>,
    /// For now: the date it went live; today in the region if not said.
    pub actual_production_date: Option<NaiveDate>,
    /// Anything worth knowing, at most 4,000 characters.
    #[schema(max_length = 4000)]
    pub confirmation_notes: Option<String>,
    /// Why it goes live before its approval; only for now, and only where the validation is not approved.
    #[schema(min_length = 20, max_length = 4000)]
    pub validation_override_reason: Option<String>,
}

/// What was done.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct DeployAnswer {
    /// The tasks that were made, as they are now.
    pub tasks: Vec<TaskView>,
    /// How many of them are confirmed.
    pub confirmed: i64,
    /// How many are open.
    pub scheduled: i64,
    /// How many regions were asked for their approval.
    pub approvals_asked: i64,
}

/// The deploy modal of a version.
///
/// # Errors
/// `not_found` if there is no such version, or the person may not see it.
pub async fn deploy_modal(app: &App, actor: &Actor, version: VersionId) -> Result<DeployModal> {
    let hidden = || Error::not_found("version", version);
    let row = store::version(&app.db, version).await?.ok_or_else(hidden)?;
    let relations = relations(app, &app.db, actor, row.model_id, None).await?.unwrap_or_default();
    permit(app, actor, Action::ModelView, &relations, hidden)?;
    let targets = store::targets(&app.db, version, actor.user_id).await?;
    Ok(modal(app, actor, &relations, row, targets))
}

fn modal(app: &App, actor: &Actor, relations: &[Relation], row: VersionRow, targets: Vec<TargetRow>) -> DeployModal {
    let approval = approval_of(&row);
    let requires_override = approval.missing().validation;
    let now = app.now();
    let regions = targets
        .into_iter()
        .map(|target| TargetRegion {
            selectable: target.open_task_id.is_none()
                && target.live_version_id != Some(row.version_id)
                && may_deploy(app, actor, relations, &target),
            region_id: target.region_id,
            today: rules::today(now, Some(&target.time_zone)),
            region_code: target.region_code,
            region_name: target.region_name,
            live_version: target.live_version,
            live_since: target.live_since,
            requires_regional_approval: target.locked,
            open_task_id: target.open_task_id,
        })
        .collect();
    DeployModal {
        validation_status: approval.validation_word().to_owned(),
        version_id: row.version_id,
        version_number: row.version_number,
        change_type: row.change_type,
        description: row.description,
        artifact_digest: row.artifact_digest,
        model_id: row.model_id,
        model_name: row.model_name,
        validation_request_id: row.validation_request_id,
        validation_approved_date: row
            .validation_approved_date
            .filter(|_| row.validation_state == Some(ValidationState::Approved)),
        requires_override,
        policy: requires_override.then(|| rules::OVERRIDE_POLICY.to_owned()),
        regions,
    }
}

fn approval_of(row: &VersionRow) -> Readiness {
    Readiness { validation: row.validation_state, needs_validation: row.needs_validation, locked: false }
}

/// A regional owner deploys in their own region only.
fn may_deploy(app: &App, actor: &Actor, relations: &[Relation], target: &TargetRow) -> bool {
    actor.can(app, Action::TaskCreate, &in_region(relations, target))
}

fn in_region(relations: &[Relation], target: &TargetRow) -> Vec<Relation> {
    let keep = |relation: &&Relation| **relation != Relation::RegionalOwner || target.is_regional_owner;
    relations.iter().filter(keep).copied().collect()
}

/// Deploys a version: makes a task a region, and confirms those that can be confirmed now, all in one act.
///
/// Source: 2-governance, *Deploy modal*; requirements/1, 5.4.
///
/// # Errors
/// `task_exists` with the open task, `validation_not_approved`, `override_not_needed`, `invalid` (a region
/// that is no target, twice, or live already; a date), `forbidden`, `not_found`.
pub async fn deploy(app: &App, actor: &Actor, version: VersionId, with: &Deploy) -> Result<DeployAnswer> {
    let hidden = || Error::not_found("version", version);
    let mut act = Act::begin(app, &actor.who).await?;
    let model = store::version(&mut act.tx, version).await?.ok_or_else(hidden)?.model_id;
    lock_models(&mut act.tx, &[model]).await?;
    let row = store::version(&mut act.tx, version).await?.ok_or_else(hidden)?;
    let relations = relations(app, &mut act.tx, actor, model, None).await?.unwrap_or_default();
    permit(app, actor, Action::TaskCreate, &relations, hidden)?;
    let targets = store::targets(&mut act.tx, version, actor.user_id).await?;
    let chosen = choose(app, actor, &relations, &row, &targets, with)?;

    let mut made = Vec::new();
    let mut at_once: Vec<(TaskId, NaiveDate)> = Vec::new();
    for one in &chosen {
        let task =
            NewTask { region_id: Some(one.target.region_id), planned: one.date, assignee_id: one.target.assignee_id };
        let by = act.who.user_id;
        let now = act.now;
        let task_id = store::make(&mut act.tx, version, model, &task, by, now).await?;
        act.record(Record::new("task.created", "task", task_id).model(model).after(
            json!({ "version_id": version, "region_id": task.region_id, "planned_production_date": task.planned }),
        ));
        made.push(task_id);
        if one.at_once {
            at_once.push((task_id, one.date));
        }
    }
    let approvals_asked = ask_locked(&mut act, &made).await?;
    confirm_at_once(&mut act, actor, &at_once, with).await?;
    act.tell("tasks");
    act.tell("ready");
    let tasks = list::views(&mut act.tx, &made, act.now).await?;
    act.commit().await?;

    let confirmed = i64::try_from(at_once.len()).unwrap_or(i64::MAX);
    let scheduled = i64::try_from(tasks.len()).unwrap_or(i64::MAX) - confirmed;
    Ok(DeployAnswer { tasks, confirmed, scheduled, approvals_asked })
}

/// A region that was chosen, with its date, and whether it goes live at once.
struct Chosen<'a> {
    target: &'a TargetRow,
    date: NaiveDate,
    at_once: bool,
}

/// Checks what was chosen against what there is.
fn choose<'a>(
    app: &App,
    actor: &Actor,
    relations: &[Relation],
    row: &VersionRow,
    targets: &'a [TargetRow],
    with: &Deploy,
) -> Result<Vec<Chosen<'a>>> {
    let mut fields = Fields::default();
    fields.check(!with.regions.is_empty(), "regions", "Choose at least one region.");
    fields.optional_text("confirmation_notes", with.confirmation_notes.as_deref().unwrap_or_default(), 4000);
    fields.optional_text(
        "validation_override_reason",
        with.validation_override_reason.as_deref().unwrap_or_default(),
        4000,
    );
    let reason_given = with.validation_override_reason.as_deref().is_some_and(|reason| !reason.trim().is_empty());
    if with.mode == DeployMode::Schedule && reason_given {
        return Err(Error::new(
            &error::OVERRIDE_NOT_NEEDED,
            "A scheduled task is no deployment yet: give the reason when you confirm it.",
        ));
    }
    let now = app.now();
    let mut chosen: Vec<Chosen<'a>> = Vec::new();
    for asked in &with.regions {
        let Some(target) = targets.iter().find(|target| target.region_id == asked.region_id) else {
            fields.refuse("regions", format!("Region {} is no target of this version.", asked.region_id));
            continue;
        };
        actor.may(app, Action::TaskCreate, &in_region(relations, target))?;
        if chosen.iter().any(|one| one.target.region_id == target.region_id) {
            fields.refuse("regions", format!("{} is named twice.", target.region_code));
        }
        if target.live_version_id == Some(row.version_id) {
            fields.refuse("regions", format!("The version is live in {} already.", target.region_code));
        }
        if let Some(task) = target.open_task_id {
            return Err(Error::new(
                &error::TASK_EXISTS,
                format!("There is an open task for {} already.", target.region_code),
            )
            .fact("task_id", task));
        }
        let today = rules::today(now, Some(&target.time_zone));
        let at_once = with.mode == DeployMode::Now && !target.locked;
        let date = if at_once { with.actual_production_date.or(Some(today)) } else { asked.planned_production_date };
        match date {
            None => fields.refuse("planned_production_date", format!("{} needs a planned date.", target.region_code)),
            Some(date) if !at_once && (date < today || date > crate::db::far_date()) => {
                fields.refuse(
                    "planned_production_date",
                    format!("The date for {} is in the past, or too far away.", target.region_code),
                );
            }
            Some(date) => chosen.push(Chosen { target, date, at_once }),
        }
    }
    fields.done()?;
    if reason_given && !chosen.iter().any(|one| one.at_once) {
        return Err(Error::new(
            &error::OVERRIDE_NOT_NEEDED,
            "Nothing goes live now: give the reason when you confirm the task.",
        ));
    }
    if chosen.iter().any(|one| one.at_once) {
        rules::check_approval(approval_of(row), with.validation_override_reason.as_deref())?;
    }
    Ok(chosen)
}

/// Asks the locked regions among some tasks for their approval, and says how many.
pub(super) async fn ask_locked(act: &mut Act, tasks: &[TaskId]) -> Result<i64> {
    let facts = store::facts(&mut act.tx, tasks, UserId(0), act.now).await?;
    let mut asked = 0;
    for task in facts.iter().filter(|task| task.locked && task.region_id.is_some()) {
        ask_region(act, task).await?;
        asked += 1;
    }
    Ok(asked)
}

/// Confirms the tasks that go live at once; where each region has its own today, date by date.
async fn confirm_at_once(act: &mut Act, actor: &Actor, tasks: &[(TaskId, NaiveDate)], with: &Deploy) -> Result<()> {
    let mut dates: Vec<NaiveDate> = tasks.iter().map(|(_, date)| *date).collect();
    dates.sort_unstable();
    dates.dedup();
    for date in dates {
        let ids: Vec<TaskId> = tasks.iter().filter(|(_, of)| *of == date).map(|(task, _)| *task).collect();
        let confirm = Confirm {
            actual_production_date: date,
            confirmation_notes: with.confirmation_notes.clone(),
            validation_override_reason: with.validation_override_reason.clone(),
        };
        for (_, outcome) in carry_out_in(act, actor, &ids, &Verb::Confirm(&confirm)).await? {
            outcome?;
        }
    }
    Ok(())
}

impl DeployModal {
    /// How many regions can be selected.
    #[must_use]
    pub fn selectable(&self) -> usize {
        self.regions.iter().filter(|region| region.selectable).count()
    }

    /// Today, if it is the same day in all target regions.
    #[must_use]
    pub fn one_today(&self) -> Option<NaiveDate> {
        let today = self.regions.first()?.today;
        self.regions.iter().all(|region| region.today == today).then_some(today)
    }
}
