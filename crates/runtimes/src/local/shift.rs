//! Shift: the gateway runs and splits the traffic as wanted, which it confirms itself.

use std::collections::BTreeMap;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use tokio::time::Instant;

use super::environment::{Environment, Traffic};
use super::slot::{Launch, Started};
use super::{ANSWERS, Local};
use crate::diagnostics::{Diagnostics, Result, code};
use crate::gateway::State;
use crate::plan::Done;
use crate::spec::Target;

/// How long the gateway may take to start and to follow new routes.
const FOLLOWS: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(10);

impl Local {
    /// Gives a model's endpoint its weights.
    pub(super) async fn shift(
        &self,
        target: &Target,
        model: &str,
        weights: &BTreeMap<String, u32>,
        paused: bool,
    ) -> Result<Done> {
        let environment = Environment::of(target);
        let unusable = self.unusable("shift");
        {
            let _held = environment.lock().await.map_err(&unusable)?;
            let mut traffic = environment.traffic().map_err(&unusable)?;
            if weights.is_empty() {
                traffic.remove(model);
            } else {
                traffic.insert(model.to_owned(), Traffic { paused, weights: weights.clone() });
            }
            environment.set_traffic(&traffic).map_err(&unusable)?;
            self.point("shift.wanted");
            environment.publish().map_err(&unusable)?;
            self.point("shift.published");
            self.run_gateway(target, "shift").await?;
        }
        let state = self.follow(target, "shift").await?;
        let shares: Vec<_> = weights.iter().map(|(key, weight)| format!("{key} {weight}")).collect();
        let sentence = match (weights.is_empty(), paused) {
            (true, _) => format!("The endpoint of {model} is closed."),
            (_, true) => format!("The traffic of {model} is paused."),
            _ => format!("The traffic of {model} goes to {}.", shares.join(", ")),
        };
        let facts = json!({ "generation": state.generation, "weights": weights, "paused": paused, "endpoint": target.endpoint });
        Ok(Done { sentence, facts })
    }

    /// Sees to it that the gateway runs; the caller holds the environment.
    pub(super) async fn run_gateway(&self, target: &Target, stage: &'static str) -> Result<()> {
        let environment = Environment::of(target);
        let slot = environment.gateway();
        let config = environment.routes_file().display().to_string();
        let arguments =
            vec!["gateway".to_owned(), format!("--config={config}"), format!("--listen={}", target.endpoint)];
        let launch = Launch { program: self.config.program.clone(), arguments };
        // One that listens at another address makes way.
        if slot.life().map_err(self.unusable(stage))?.arguments != launch.arguments {
            let ended = slot.end(FOLLOWS, &|_| ()).await;
            ended.map_err(|cause| self.slot_failure(stage, "the gateway", &slot, cause))?;
        }
        let point = |name: &'static str| self.point(gateway_point(name));
        let started = slot.start(&launch, self.now(), &point).await;
        if let Started::New(child) = started.map_err(|cause| self.slot_failure(stage, "the gateway", &slot, cause))? {
            self.reap(child, slot.life().map_err(self.unusable(stage))?.nonce);
        }
        Ok(())
    }

    /// Waits until the gateway says that it follows the newest routes; it is told to read them as often as it takes.
    pub(super) async fn follow(&self, target: &Target, stage: &'static str) -> Result<State> {
        let environment = Environment::of(target);
        let unusable = self.unusable(stage);
        let slot = environment.gateway();
        let until = Instant::now() + FOLLOWS;
        loop {
            let wanted = environment.published().map_err(&unusable)?;
            let life = slot.life().map_err(&unusable)?;
            let Some(process) = slot.alive().map_err(&unusable)? else {
                return Err(self.gateway_gone(target, stage, &life.nonce).await);
            };
            // Only the process that was started may confirm: another could listen at that address.
            if let Some(state) = self.gateway_state(target).await.filter(|state| state.instance == life.nonce) {
                if state.generation == wanted {
                    return Ok(state);
                }
                // It answers, so it listens to the signal too.
                process.signal(Signal::HUP);
            }
            if Instant::now() > until {
                let message = format!("The gateway at {} does not follow the new routes.", target.endpoint);
                let hint = "Its log says why. If another program listens at that address, stop it.";
                return Err(self.failure(stage, code::GATEWAY_NOT_READY, message, hint).tail(slot.tail()));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// What the gateway says of itself; `None` if it does not answer.
    pub(super) async fn gateway_state(&self, target: &Target) -> Option<State> {
        let (status, body) = self.client.get(target.endpoint, "/-/gateway", ANSWERS).await.ok()?;
        if status.is_success() { serde_json::from_slice(&body).ok() } else { None }
    }

    async fn gateway_gone(&self, target: &Target, stage: &str, nonce: &str) -> Box<Diagnostics> {
        let message = format!("The gateway at {} ended. {}", target.endpoint, self.exit(nonce).await);
        let hint = "Its log says why: often another program listens at its address.";
        let slot = Environment::of(target).gateway();
        self.failure(stage, code::PROCESS_EXITED, message, hint).tail(slot.tail())
    }
}

fn gateway_point(name: &str) -> &'static str {
    match name {
        "locked" => "gateway.locked",
        "intended" => "gateway.intended",
        "spawned" => "gateway.spawned",
        _ => "gateway.recorded",
    }
}
