//! Observe: what runs, from the folder, from /proc, and from the servers and the gateway themselves.

use std::io;
use std::net::SocketAddr;

use super::environment::{Environment, Traffic, Wanted};
use super::{ANSWERS, Local, backoff};
use crate::diagnostics::Result;
use crate::http;
use crate::live::{LiveDeployment, LiveGateway, LiveState, Status};
use crate::spec::{DeploymentSpec, Target};

impl Local {
    /// The environment as it is. Nothing is written.
    pub(super) async fn look(&self, target: &Target) -> Result<LiveState> {
        let unusable = self.unusable("observe");
        let environment = Environment::of(target);
        let mut state =
            LiveState { gateway: self.look_at_gateway(target).await.map_err(&unusable)?, ..LiveState::default() };
        let traffic = environment.traffic().map_err(&unusable)?;
        for (name, Traffic { paused, .. }) in &traffic {
            state.models.entry(name.clone()).or_default().paused = *paused;
        }
        let running = environment.all().map_err(&unusable)?.into_values().filter(|wanted| wanted.running);
        let looks = running.map(|wanted| {
            let weight = traffic.get(&wanted.spec.model).and_then(|traffic| traffic.weights.get(&wanted.spec.key));
            self.look_at(&environment, wanted, weight.copied().unwrap_or_default())
        });
        for seen in futures_util::future::join_all(looks).await {
            let seen = seen.map_err(&unusable)?;
            let model = state.models.entry(seen.spec.model.clone()).or_default();
            model.deployments.insert(seen.spec.key.clone(), seen);
        }
        Ok(state)
    }

    async fn look_at_gateway(&self, target: &Target) -> io::Result<Option<LiveGateway>> {
        let environment = Environment::of(target);
        let slot = environment.gateway();
        let life = slot.life()?;
        if life.nonce.is_empty() {
            return Ok(None);
        }
        let pid = slot.alive()?.map(|handle| handle.pid);
        let state = if pid.is_some() { self.gateway_state(target).await } else { None };
        let generation = state.filter(|state| state.instance == life.nonce).map(|state| state.generation);
        let current = generation.as_ref() == Some(&environment.published()?);
        Ok(Some(LiveGateway { address: target.endpoint, pid, generation, current }))
    }

    async fn look_at(&self, environment: &Environment, wanted: Wanted, weight: u32) -> io::Result<LiveDeployment> {
        let slot = environment.slot(&wanted.spec.key);
        let life = slot.life()?;
        let pid = slot.alive()?.map(|handle| handle.pid);
        let address = if pid.is_some() { slot.address(&life)? } else { None };
        let (status, running_digest) = match (pid, address) {
            (None, _) => (Status::Down, None),
            (Some(_), None) => (Status::Starting, None),
            (Some(_), Some(address)) => self.ask(address, &wanted.spec).await,
        };
        let recent =
            life.starts.iter().filter(|start| self.now().saturating_sub(**start) < backoff::MEMORY.as_millis() as u64);
        let restarts = recent.count().saturating_sub(1);
        let started_at = life.starts.last().map(|start| start / 1000);
        Ok(LiveDeployment {
            spec: wanted.spec,
            running_digest,
            status,
            weight,
            pid,
            address,
            started_at,
            restarts,
            last_exit: life.exit,
        })
    }

    async fn ask(&self, address: SocketAddr, spec: &DeploymentSpec) -> (Status, Option<String>) {
        let Some((name, digest)) = http::metadata(&self.client, address, &spec.model, ANSWERS).await else {
            return (Status::Unready, None);
        };
        let status = if name != spec.model || digest != spec.digest {
            Status::Mismatch
        } else if http::is_ready(&self.client, address, &spec.model, ANSWERS).await {
            Status::Ready
        } else {
            Status::Unready
        };
        (status, Some(digest))
    }
}
