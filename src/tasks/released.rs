//! What releases mean for tasks: an applied one waits for its owner, an undone one ends what was ratified.

use serde_json::{Value, json};

use super::rules;
use super::store::{self, NewTask};
use crate::audit::{Act, Record};
use crate::error::Result;
use crate::ids::{ModelId, RegionId, TaskId, UserId, VersionId};
use crate::readiness;

/// A version that a release brought into production.
#[derive(Debug, Clone)]
pub struct Released {
    /// The version.
    pub version_id: VersionId,
    /// Its model, locked by the caller.
    pub model_id: ModelId,
    /// The region of the environment.
    pub region_id: RegionId,
    /// Who asked for the release.
    pub by: UserId,
    /// What the owner ratifies by: release, approver, digest, probe result, time.
    pub evidence: Value,
}

/// Attaches a release's evidence to the open task of its version and region, or makes the task. It is the owner who
/// ratifies. Nothing is done where the version is ratified already, or is not meant for the region.
///
/// Source: 4-delivery, *Release lifecycle*.
///
/// # Errors
/// Only failures of the database.
pub async fn released(act: &mut Act, release: &Released) -> Result<Option<TaskId>> {
    let targets = store::targets(&mut act.tx, release.version_id, UserId(0)).await?;
    let Some(target) = targets.iter().find(|target| target.region_id == release.region_id) else { return Ok(None) };
    if target.live_version_id == Some(release.version_id) {
        return Ok(None);
    }
    let now = act.now;
    let task = match target.open_task_id {
        Some(task) => task,
        None => {
            let planned = rules::today(now, Some(&target.time_zone));
            let new = NewTask { region_id: Some(release.region_id), planned, assignee_id: target.assignee_id };
            let task =
                store::make(&mut act.tx, release.version_id, release.model_id, &new, Some(release.by), now).await?;
            act.record(Record::new("task.created", "task", task).model(release.model_id).after(json!({
                "version_id": release.version_id, "region_id": release.region_id, "planned_production_date": planned
            })));
            task
        }
    };
    store::set_evidence(&mut act.tx, task, Some(&release.evidence.to_string())).await?;
    let says = json!({ "evidence": release.evidence });
    act.record(Record::new("task.evidenced", "task", task).model(release.model_id).after(says));
    act.tell("tasks");
    readiness::refresh(act, &[release.model_id]).await?;
    Ok(Some(task))
}

/// A rollback took a version out of production: where it was ratified live, that ends, and the pair is ready again. An
/// open task loses its evidence: what it showed no longer serves.
///
/// Source: 2-governance, *Ready to deploy*: a pair reappears if it is rolled back.
///
/// # Errors
/// Only failures of the database.
pub async fn rolled_back(
    act: &mut Act,
    model: ModelId,
    region: RegionId,
    version: VersionId,
    by: UserId,
) -> Result<()> {
    let targets = store::targets(&mut act.tx, version, UserId(0)).await?;
    if let Some(task) = targets.iter().find(|one| one.region_id == region).and_then(|one| one.open_task_id) {
        store::set_evidence(&mut act.tx, task, None).await?;
        act.record(Record::new("task.unevidenced", "task", task).model(model).reason("The release was rolled back."));
        act.tell("tasks");
    }
    let zone = store::zone(&mut act.tx, region).await?;
    let today = rules::today(act.now, Some(&zone));
    if store::end_interval(&mut act.tx, model, region, version, today).await? == 0 {
        return Ok(());
    }
    let says = json!({ "region_id": region, "live_to": today, "requested_by_id": by });
    act.record(Record::new("version.rolled_back", "version", version).model(model).after(says));
    act.tell("tasks");
    act.tell("ready");
    readiness::refresh(act, &[model]).await
}
