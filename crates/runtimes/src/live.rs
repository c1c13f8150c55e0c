//! What runs: a picture of an environment that can be stored, compared and digested.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::spec::DeploymentSpec;

/// An environment as it is. Deployments that were stopped are not part of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveState {
    /// The gateway, if one was ever started.
    pub gateway: Option<LiveGateway>,
    /// The endpoints, by the model's name.
    pub models: BTreeMap<String, LiveModel>,
}

/// The environment's gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveGateway {
    /// Where it listens, or should.
    pub address: SocketAddr,
    /// Its process, if it runs.
    pub pid: Option<u32>,
    /// The routes that it follows; `None` if it does not answer.
    pub generation: Option<String>,
    /// Whether it follows the newest routes.
    pub current: bool,
}

/// One model's endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveModel {
    /// Whether traffic is stopped.
    pub paused: bool,
    /// What serves, by the deployment's key.
    pub deployments: BTreeMap<String, LiveDeployment>,
}

/// One deployment's server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveDeployment {
    /// What was asked for.
    pub spec: DeploymentSpec,
    /// What the server says it runs; `None` if it does not answer.
    pub running_digest: Option<String>,
    /// How it is.
    pub status: Status,
    /// Its share of the traffic, relative to the others'.
    pub weight: u32,
    /// Its process, if it runs.
    pub pid: Option<u32>,
    /// Where the server itself listens, on its own machine; for metrics, not for clients.
    pub address: Option<SocketAddr>,
    /// Seconds since 1970 of the last start.
    pub started_at: Option<u64>,
    /// How often it was started again in the last ten minutes.
    pub restarts: usize,
    /// How it last ended, as a sentence; empty if it never did.
    pub last_exit: String,
}

/// How a deployment's server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The process runs and is not ready yet.
    Starting,
    /// It answers with the model's name and the digest that was asked for.
    Ready,
    /// The process runs, and does not answer or answers not ready.
    Unready,
    /// It answers, but for another model or with another digest.
    Mismatch,
    /// It should run and does not; supervision starts it again.
    Down,
}

impl LiveState {
    /// The parts that a plan rests on, in canonical order: what serves, with which bytes, weights and pauses. Left out
    /// is what changes by itself: process ids, addresses, instants, restarts, readiness.
    #[must_use]
    pub fn facts(&self) -> Value {
        let models: BTreeMap<_, _> = self.models.iter().map(|(name, model)| (name, model.facts())).collect();
        json!(models)
    }

    /// `sha256:` and the digest of [`facts`](Self::facts).
    #[must_use]
    pub fn digest(&self) -> String {
        format!("sha256:{}", hex::encode(Sha256::digest(self.facts().to_string())))
    }

    /// `sha256:` and the digest of one model's part of [`facts`](Self::facts): it stays when another model changes.
    #[must_use]
    pub fn digest_of(&self, model: &str) -> String {
        let facts = self.models.get(model).map(LiveModel::facts).unwrap_or_default();
        format!("sha256:{}", hex::encode(Sha256::digest(facts.to_string())))
    }

    /// A deployment by its key.
    #[must_use]
    pub fn deployment(&self, key: &str) -> Option<&LiveDeployment> {
        self.models.values().find_map(|model| model.deployments.get(key))
    }
}

impl LiveModel {
    fn facts(&self) -> Value {
        let deployments: BTreeMap<_, _> = self
            .deployments
            .iter()
            .map(|(key, deployment)| {
                let LiveDeployment { spec, weight, status, running_digest, .. } = deployment;
                // A server that is down, or does not answer, is taken to have the bytes it was started with.
                let digest = running_digest.as_ref().filter(|_| *status == Status::Mismatch).unwrap_or(&spec.digest);
                (key, json!({ "version": spec.version, "digest": digest, "weight": weight, "options": spec.options }))
            })
            .collect();
        json!({ "paused": self.paused, "deployments": deployments })
    }
}
