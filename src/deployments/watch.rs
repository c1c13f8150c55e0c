//! Supervision and observation: what died is started again, and what runs is written down.

use std::collections::HashMap;
use std::time::Duration;

use countersign_runtimes::{EventKind, LiveState};

use super::store::{self, Observed};
use super::{DeploymentView, drift, rules};
use crate::app::App;
use crate::audit::{Act, Record, Who};
use crate::environments::{self, EnvironmentView};
use crate::error::Result;
use crate::ids::DeploymentId;
use crate::metrics::MetricsSource;
use crate::operations;

/// How often the runtime looks after its processes.
const SUPERVISE: Duration = Duration::from_secs(1);
/// How many of these pass between two observations of everything.
const OBSERVE_EVERY: u64 = 10;

/// Looks after every environment for as long as the server runs.
pub async fn keep_watching(app: App) {
    let mut beat = tokio::time::interval(SUPERVISE);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for round in 0_u64.. {
        beat.tick().await;
        // Not in the first round: what was stopped is only being started then.
        let everything = round % OBSERVE_EVERY == OBSERVE_EVERY - 1;
        if let Err(error) = watch(&app, everything).await {
            tracing::warn!(%error, "cannot look after the environments; trying again");
        }
    }
}

async fn watch(app: &App, everything: bool) -> Result<()> {
    let places = environments::every(app).await?;
    let mut changed = false;
    for place in &places {
        let target = environments::target(app, place.environment_id, &place.endpoint)?;
        match app.runtime.supervise(&target).await {
            Ok(events) => {
                if !events.is_empty() {
                    note(app, place, &events).await?;
                }
                // What was started again is observed once it has become ready.
                if everything || events.iter().any(|event| event.kind != EventKind::Restarted) {
                    observe(app, place).await?;
                    changed = true;
                }
            }
            Err(why) => tracing::warn!(%why, environment = %place.name, "cannot supervise"),
        }
    }
    if changed {
        drift::find_drift(app).await?;
    }
    Ok(())
}

/// Observes every environment once and looks for drift.
///
/// # Errors
/// Only failures of the database.
pub async fn observe_all(app: &App) -> Result<()> {
    for place in environments::every(app).await? {
        observe(app, &place).await?;
    }
    drift::find_drift(app).await
}

/// Lets what ran before the last stop run again.
///
/// # Errors
/// Only failures of the database.
pub async fn resume_all(app: &App) -> Result<()> {
    for place in environments::every(app).await? {
        let target = environments::target(app, place.environment_id, &place.endpoint)?;
        if let Err(why) = app.runtime.resume_all(&target).await {
            tracing::warn!(%why, environment = %place.name, "cannot resume");
        }
    }
    Ok(())
}

/// Stops every server of every environment; they are started again with the next server.
///
/// # Errors
/// What could not be stopped, environment by environment.
pub async fn stop_all(app: &App) -> anyhow::Result<usize> {
    let places = environments::every(app).await?;
    for place in &places {
        let target = environments::target(app, place.environment_id, &place.endpoint)?;
        app.runtime.stop_all(&target).await.map_err(|why| anyhow::anyhow!("{}: {why}", place.name))?;
    }
    Ok(places.len())
}

/// Writes the deaths and restarts into the deployments' timelines.
async fn note(app: &App, place: &EnvironmentView, events: &[countersign_runtimes::Event]) -> Result<()> {
    let mut act = act(app).await?;
    let known: HashMap<String, DeploymentView> = store::applied_in(&mut act.tx, place.environment_id)
        .await?
        .into_iter()
        .map(|one| (one.runtime_key.clone(), one))
        .collect();
    for event in events {
        let Some(one) = known.get(&event.key) else { continue };
        let name = match event.kind {
            EventKind::Died => "deployment.died",
            EventKind::Restarted => "deployment.restarted",
            EventKind::RestartFailed => "deployment.restart_failed",
            EventKind::Recovered | EventKind::Stopped => continue,
        };
        let says = serde_json::json!({ "says": event.sentence, "log": event.tail });
        act.record(Record::new(name, "deployment", one.deployment_id).model(one.model_id).after(says));
    }
    act.tell("deployments");
    act.commit().await
}

/// Writes down how the deployments of an environment are; news only where a state changed.
async fn observe(app: &App, place: &EnvironmentView) -> Result<()> {
    let deployments = store::applied_in(&app.db, place.environment_id).await?;
    if deployments.is_empty() || operations::is_busy(&app.db, place.environment_id).await? {
        return Ok(());
    }
    let target = environments::target(app, place.environment_id, &place.endpoint)?;
    let live = match app.runtime.observe(&target).await {
        Ok(live) => live,
        Err(why) => {
            tracing::warn!(%why, environment = %place.name, "cannot observe");
            return Ok(());
        }
    };
    let known: Vec<DeploymentId> = deployments.into_iter().map(|one| one.deployment_id).collect();
    let mut act = act(app).await?;
    // Another server may have observed the same: what it wrote down is read, not written twice.
    environments::lock(&mut act, place.environment_id).await?;
    let now = act.now;
    let mut seen = Vec::new();
    for one in store::applied_in(&mut act.tx, place.environment_id).await? {
        // What was applied since is not in the picture.
        if !known.contains(&one.deployment_id) {
            continue;
        }
        let found = found(&live, &one);
        if found.state != one.state {
            act.record(
                Record::new("deployment.observed", "deployment", one.deployment_id)
                    .model(one.model_id)
                    .before(serde_json::json!({ "state": one.state }))
                    .after(serde_json::json!({ "state": found.state, "reason": found.reason })),
            );
            act.tell("deployments");
        }
        seen.push((one.deployment_id, found));
    }
    store::observed(&mut act.tx, &seen, now).await?;
    act.commit().await
}

fn found(live: &LiveState, one: &DeploymentView) -> Observed {
    let running = live.deployment(&one.runtime_key);
    let paused = live.models.get(one.served_name()).is_some_and(|model| model.paused);
    let (state, reason) = rules::observed(running, paused);
    let digest = running.and_then(|running| running.running_digest.as_deref());
    Observed {
        state,
        reason,
        weight: running.map_or(0, |running| i64::from(running.weight)),
        running_digest: digest.map(|digest| digest.trim_start_matches("sha256:").to_owned()),
        restarts: running.map_or(one.restarts, |running| i64::try_from(running.restarts).unwrap_or(i64::MAX)),
        metrics_source: running.and_then(|running| running.address).and_then(MetricsSource::of_server),
    }
}

async fn act(app: &App) -> Result<Act> {
    Act::begin(app, &Who::system("observation")).await
}
