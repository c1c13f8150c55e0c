//! What should run: targets, deployments, traffic, strategies. Plain data, serialised into plans.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::canary::Limits;

/// The largest share of a deployment, relative to the others'.
const LARGEST_WEIGHT: u32 = 10_000;

/// An environment, as a runtime sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The environment's stable key, for names and logs.
    pub key: String,
    /// Where everything of the environment is kept on its machine; this environment's alone.
    pub folder: PathBuf,
    /// Where the environment's gateway listens: the address that clients know. It should not change.
    pub endpoint: SocketAddr,
}

/// A model version that serves in an environment: at most one process at any time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentSpec {
    /// The deployment's stable key, unique in its environment; a folder's name: letters, digits, `-`, `_`, `.`; at most 64.
    pub key: String,
    /// The model's name in the addresses of the protocol; no slash.
    pub model: String,
    /// The version's number, as people know it.
    pub version: String,
    /// The artifact on the machine that asks (which for `local` is the machine that serves).
    pub artifact: PathBuf,
    /// The approved bytes: `sha256:` and 64 lower-case hexadecimal digits.
    pub digest: String,
    /// Further options of the model server, by their long name: `workers` becomes `--workers VALUE`.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    /// Seconds until it must have become ready.
    #[serde(default = "DeploymentSpec::default_ready_within")]
    pub ready_within: u64,
    /// Seconds that requests under way may take when it is stopped.
    #[serde(default = "DeploymentSpec::default_drain_within")]
    pub drain_within: u64,
}

impl DeploymentSpec {
    fn default_ready_within() -> u64 {
        60
    }

    fn default_drain_within() -> u64 {
        30
    }

    /// A deployment with the usual patience and no options.
    #[must_use]
    pub fn new(key: &str, model: &str, version: &str, artifact: impl Into<PathBuf>, digest: &str) -> Self {
        Self {
            key: key.to_owned(),
            model: model.to_owned(),
            version: version.to_owned(),
            artifact: artifact.into(),
            digest: digest.to_owned(),
            options: BTreeMap::new(),
            ready_within: Self::default_ready_within(),
            drain_within: Self::default_drain_within(),
        }
    }

    /// What is wrong with it, as a sentence; `None` if nothing is.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let Self { key, model, version, digest, .. } = self;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if key.is_empty() || key.len() > 64 || key.starts_with('.') || !key.chars().all(plain) {
            return Some(format!("The deployment key “{key}” is not 1 to 64 letters, digits, “-”, “_” or “.”."));
        }
        for (what, name) in [("model name", model), ("version", version)] {
            if name.is_empty() || name.len() > 200 || name.chars().any(|c| c == '/' || c.is_control()) {
                return Some(format!("The {what} “{name}” cannot be part of an address."));
            }
        }
        let hexadecimal = digest.strip_prefix("sha256:").unwrap_or_default();
        let is_digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        if hexadecimal.len() != 64 || !hexadecimal.chars().all(is_digit) {
            return Some(format!("The digest “{digest}” is not sha256: and 64 lower-case hexadecimal digits."));
        }
        let taken = ["artifact", "name", "version", "digest", "listen", "port", "drain-seconds"];
        let is_option = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '-');
        let bad = self.options.keys().find(|name| taken.contains(&name.as_str()) || !is_option(name))?;
        Some(format!("The option “{bad}” cannot be set: it is no option's name, or the runtime sets it itself."))
    }
}

/// What one model's endpoint in an environment should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredState {
    /// The model's name.
    pub model: String,
    /// Whether the endpoint answers 503 though servers run.
    pub paused: bool,
    /// What serves, with its share of the traffic. Empty: nothing of this model is left.
    pub deployments: Vec<Desired>,
}

/// A deployment with its weight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired {
    /// The deployment.
    pub deployment: DeploymentSpec,
    /// Its share of the traffic, relative to the others'.
    pub weight: u32,
}

impl DesiredState {
    /// One deployment takes all traffic.
    #[must_use]
    pub fn one(deployment: DeploymentSpec) -> Self {
        Self { model: deployment.model.clone(), paused: false, deployments: vec![Desired { deployment, weight: 100 }] }
    }

    /// Nothing of this model is left.
    #[must_use]
    pub fn none(model: &str) -> Self {
        Self { model: model.to_owned(), paused: false, deployments: Vec::new() }
    }
}

impl DesiredState {
    /// What is wrong with it, as a sentence; `None` if nothing is.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let mut keys = BTreeSet::new();
        for Desired { deployment, weight } in &self.deployments {
            if *weight > LARGEST_WEIGHT {
                return Some(format!("The weight {weight} of {} is above {LARGEST_WEIGHT}.", deployment.key));
            }
            if deployment.model != self.model {
                return Some(format!("{} serves another model than {}.", deployment.key, self.model));
            }
            if !keys.insert(&deployment.key) {
                return Some(format!("The deployment {} is there twice.", deployment.key));
            }
        }
        if !self.deployments.is_empty() && self.deployments.iter().all(|desired| desired.weight == 0) {
            return Some(format!("No deployment of {} would get any traffic.", self.model));
        }
        self.deployments.iter().find_map(|desired| desired.deployment.fault())
    }
}

/// How the new replaces the old.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Strategy {
    /// The new one starts beside the old one, takes all traffic when it is ready, and the old one is stopped.
    Rolling,
    /// As rolling, but the old one stays, without traffic, while the new one is observed.
    BlueGreen {
        /// Seconds that the new one is observed before the old one is stopped.
        window: u64,
        /// What the new one must keep to.
        #[serde(default)]
        limits: Limits,
    },
    /// The new one takes its share in steps, and is observed in each.
    Canary {
        /// The shares, ascending, each below 100; the last step to 100 is implied.
        steps: Vec<CanaryStep>,
        /// What the new one must keep to in each step.
        #[serde(default)]
        limits: Limits,
    },
}

/// A step of a canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanaryStep {
    /// The new version's share of the traffic, in percent.
    pub weight: u32,
    /// Seconds that it is observed.
    pub window: u64,
}

impl Strategy {
    /// What is wrong with it, as a sentence; `None` if nothing is.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let Self::Canary { steps, .. } = self else { return None };
        let mut last = 0;
        for CanaryStep { weight, .. } in steps {
            if *weight <= last || *weight >= 100 {
                return Some("The shares of a canary must ascend, from 1 to 99 percent.".to_owned());
            }
            last = *weight;
        }
        steps.is_empty().then(|| "A canary needs at least one step.".to_owned())
    }
}
