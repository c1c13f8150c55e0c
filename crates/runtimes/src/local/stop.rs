//! Stop: no traffic, the last requests answered, the process gone for certain.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::environment::{Environment, Wanted};
use super::slot::{Life, Slot};
use super::{Local, files};
use crate::diagnostics::Result;
use crate::plan::Done;
use crate::spec::Target;

const LOOK: Duration = Duration::from_millis(20);

impl Local {
    /// Stops one deployment.
    pub(super) async fn end(&self, target: &Target, key: &str) -> Result<Done> {
        let environment = Environment::of(target);
        let unusable = self.unusable("stop");
        let gone =
            |sentence: String, in_time: bool| Done { sentence, facts: json!({ "key": key, "in_time": in_time }) };
        let wanted = {
            let _held = environment.lock().await.map_err(&unusable)?;
            let Some(known) = environment.wanted(key).map_err(&unusable)? else {
                return Ok(gone(format!("{key} was never started here."), true));
            };
            let stopped_at = if known.running { self.now() } else { known.stopped_at };
            let wanted = Wanted { running: false, verified: false, stopped_at, ..known };
            environment.want(&wanted).map_err(&unusable)?;
            let mut traffic = environment.traffic().map_err(&unusable)?;
            traffic.values_mut().for_each(|model| {
                model.weights.remove(key);
            });
            environment.set_traffic(&traffic).map_err(&unusable)?;
            environment.publish().map_err(&unusable)?;
            wanted
        };
        self.point("stop.wanted");
        let patience = Duration::from_secs(wanted.spec.drain_within);
        self.leave(target, key, patience).await?;
        self.point("stop.shifted");
        let slot = environment.slot(key);
        let ended = slot.end(patience, &|_| self.point("stop.terminated")).await;
        let in_time = ended.map_err(|cause| self.slot_failure("stop", key, &slot, cause))?;
        files::remove(&slot.path("window.json")).map_err(&unusable)?;
        self.point("stop.gone");
        let how = if in_time { "has ended" } else { "did not end in time and was killed" };
        Ok(gone(format!("The server of {} {} {how}.", wanted.spec.model, wanted.spec.version), in_time))
    }

    /// Waits until the gateway sends nothing there any more and the requests under way are answered. Without a gateway
    /// there is nothing to wait for; the server drains by itself as well.
    async fn leave(&self, target: &Target, key: &str, patience: Duration) -> Result<()> {
        let environment = Environment::of(target);
        if environment.gateway().alive().map_err(self.unusable("stop"))?.is_none() {
            return Ok(());
        }
        // A gateway that does not follow must not keep a server from being stopped.
        if let Err(failure) = self.follow(target, "stop").await {
            tracing::warn!(%failure, "the gateway does not follow");
            return Ok(());
        }
        let until = Instant::now() + patience;
        while Instant::now() < until {
            let Some(state) = self.gateway_state(target).await else { break };
            if state.in_flight.get(key).is_none_or(|count| *count == 0) {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Stops everything; what is wanted is kept, so that all of it can be resumed.
    pub(super) async fn end_all(&self, target: &Target) -> Result<Done> {
        let environment = Environment::of(target);
        let unusable = self.unusable("stop");
        let all = {
            let _held = environment.lock().await.map_err(&unusable)?;
            environment.set_halted(true).map_err(&unusable)?;
            environment.all().map_err(&unusable)?
        };
        let slot = environment.gateway();
        let patience = all.values().map(|wanted| wanted.spec.drain_within).max().unwrap_or_default();
        let ended = slot.end(Duration::from_secs(patience), &|_| ()).await;
        ended.map_err(|cause| self.slot_failure("stop", "the gateway", &slot, cause))?;
        stopped(&slot).map_err(&unusable)?;
        let mut endings = Vec::new();
        for (key, wanted) in &all {
            let (slot, patience) = (environment.slot(key), Duration::from_secs(wanted.spec.drain_within));
            let environment = &environment;
            endings.push(async move {
                let ended = slot.end(patience, &|_| ()).await;
                ended.map_err(|cause| self.slot_failure("stop", key, &slot, cause))?;
                let told = stopped(&slot).map_err(self.unusable("stop"))?;
                environment.want(&Wanted { told, ..wanted.clone() }).map_err(self.unusable("stop"))
            });
        }
        // One that cannot be stopped must not keep the others running.
        let mut failed = None;
        for ending in futures_util::future::join_all(endings).await {
            failed = failed.or(ending.err());
        }
        match failed {
            Some(failure) => Err(failure),
            None => Ok(Done {
                sentence: "Everything of the environment has ended.".to_owned(),
                facts: json!({ "deployments": all.len() }),
            }),
        }
    }
}

/// Notes that a process was told to end. It did not die: when it is started again there is no death to be told.
fn stopped(slot: &Slot) -> std::io::Result<String> {
    let life = slot.life()?;
    let nonce = life.nonce.clone();
    if !nonce.is_empty() {
        slot.record(&Life { exit: "It was stopped.".to_owned(), ..life })?;
    }
    Ok(nonce)
}
