//! From what runs to what should run: the steps, the way back, and a text that people can compare. Pure.
//!
//! Every [`Step`] says a state to reach, not a change to make. Taking it twice, or again after a crash in its middle,
//! ends where taking it once does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use similar::TextDiff;

use crate::canary::Limits;
use crate::live::{LiveModel, LiveState, Status};
use crate::spec::{DeploymentSpec, Desired, DesiredState, Strategy};

/// What has to be done, and undone if it fails.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// What ran when the plan was made; [`LiveState::digest`] tells whether it still does.
    pub live: LiveState,
    /// The steps, in order. None: it is so already.
    pub steps: Vec<Step>,
    /// The steps back to `live`, for a failure or a cancellation after any of the steps.
    pub undo: Vec<Step>,
    /// The endpoint as it should be, as text.
    pub rendered: String,
    /// The endpoint as it is against `rendered`, as a unified diff; empty if they are alike.
    pub diff: String,
    /// What the approver should know, as sentences.
    pub warnings: Vec<String>,
}

/// One step. All of them may be taken again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// The deployment's server runs: exactly one process.
    Start {
        /// What is served.
        deployment: DeploymentSpec,
    },
    /// The server is ready, for the model's name, with the digest that was asked for.
    Verify {
        /// The deployment's key.
        key: String,
    },
    /// The gateway splits the model's traffic so; what is not named gets none.
    Shift {
        /// The model's name.
        model: String,
        /// The shares by deployment key, relative to each other. Empty: the endpoint is no more.
        weights: BTreeMap<String, u32>,
        /// Whether the endpoint answers 503 all the same.
        paused: bool,
    },
    /// The deployment keeps its limits for the window; a breach ends it at once.
    Observe {
        /// The model's name.
        model: String,
        /// The deployment's key.
        key: String,
        /// Seconds to look.
        window: u64,
        /// What it must keep to.
        limits: Limits,
    },
    /// The deployment's server is gone, its last requests answered.
    Stop {
        /// The deployment's key.
        key: String,
    },
}

impl Step {
    /// The step's name: `start`, `verify`, `shift`, `observe`, `stop`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Start { .. } => "start",
            Self::Verify { .. } => "verify",
            Self::Shift { .. } => "shift",
            Self::Observe { .. } => "observe",
            Self::Stop { .. } => "stop",
        }
    }

    /// What it does, as a sentence for people.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::Start { deployment: DeploymentSpec { key, model, version, .. } } => {
                format!("Start {model} {version} ({key})")
            }
            Self::Verify { key } => format!("Verify that {key} is ready and serves the approved digest"),
            Self::Shift { model, paused: true, .. } => format!("Pause the traffic of {model}"),
            Self::Shift { model, weights, .. } if weights.is_empty() => format!("Close the endpoint of {model}"),
            Self::Shift { model, weights, .. } => {
                let shares: Vec<_> = weights.iter().map(|(key, weight)| format!("{weight} to {key}")).collect();
                format!("Send the traffic of {model}: {}", shares.join(", "))
            }
            Self::Observe { key, window, .. } => format!("Observe {key} for {window} seconds"),
            Self::Stop { key } => format!("Drain and stop {key}"),
        }
    }
}

/// What a step did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// As a sentence, for the timeline.
    pub sentence: String,
    /// Process, address, digest, samples: whatever belongs to it.
    pub facts: serde_json::Value,
}

impl Plan {
    /// The plan from `live` to `desired`.
    #[must_use]
    pub fn make(live: LiveState, desired: &DesiredState, strategy: &Strategy) -> Self {
        let absent = LiveModel::default();
        let was = live.models.get(&desired.model).unwrap_or(&absent);
        let steps = if is_so(was, desired) { Vec::new() } else { steps(was, desired, strategy) };
        let undo = if steps.is_empty() { Vec::new() } else { undo(was, desired) };
        let (before, rendered) = (render_live(&desired.model, was), render(&desired.model, desired));
        let diff = if before == rendered {
            String::new()
        } else {
            TextDiff::from_lines(&before, &rendered).unified_diff().header("running", "planned").to_string()
        };
        let warnings = warnings(was, desired, strategy);
        Self { live, steps, undo, rendered, diff, warnings }
    }
}

/// Whether the same deployments have the same weights.
fn is_same(was: &LiveModel, desired: &DesiredState) -> bool {
    was.deployments.len() == desired.deployments.len()
        && desired.deployments.iter().all(|Desired { deployment, weight }| {
            was.deployments.get(&deployment.key).is_some_and(|live| live.spec == *deployment && live.weight == *weight)
        })
}

fn is_so(was: &LiveModel, desired: &DesiredState) -> bool {
    let ready = was.deployments.values().all(|live| live.status == Status::Ready);
    ready && is_same(was, desired) && was.paused == desired.paused
}

/// Starts and verifies what is new, moves the traffic as the strategy says, stops what is left over.
fn steps(was: &LiveModel, desired: &DesiredState, strategy: &Strategy) -> Vec<Step> {
    let mut steps = Vec::new();
    // A pause must not wait for a server that is down, nor must its end: supervision brings that back.
    let is_pause = is_same(was, desired) && was.paused != desired.paused;
    for Desired { deployment, .. } in &desired.deployments {
        let live = was.deployments.get(&deployment.key);
        if is_pause || live.is_some_and(|live| live.spec == *deployment && live.status == Status::Ready) {
            continue;
        }
        steps.push(Step::Start { deployment: deployment.clone() });
        steps.push(Step::Verify { key: deployment.key.clone() });
    }
    steps.extend(traffic(was, desired, strategy));
    let wanted: BTreeSet<_> = desired.deployments.iter().map(|desired| &desired.deployment.key).collect();
    let left_over = was.deployments.keys().filter(|key| !wanted.contains(key));
    steps.extend(left_over.map(|key| Step::Stop { key: key.clone() }));
    steps
}

/// The shifts, and what is observed between them.
fn traffic(was: &LiveModel, desired: &DesiredState, strategy: &Strategy) -> Vec<Step> {
    let model = &desired.model;
    let weights: BTreeMap<_, _> =
        desired.deployments.iter().map(|desired| (desired.deployment.key.clone(), desired.weight)).collect();
    let last = Step::Shift { model: model.clone(), weights, paused: desired.paused };
    let Some((key, old)) = newcomer(was, desired) else { return vec![last] };
    let observe =
        |window, limits: &Limits| Step::Observe { model: model.clone(), key: key.clone(), window, limits: *limits };
    match strategy {
        Strategy::Rolling => vec![last],
        Strategy::BlueGreen { window, limits } => vec![last, observe(*window, limits)],
        Strategy::Canary { steps, limits } => {
            let shift = |weight: u32| {
                let weights = split(&old, &key, weight);
                Step::Shift { model: model.clone(), weights, paused: false }
            };
            let shares = steps.iter().flat_map(|step| [shift(step.weight), observe(step.window, limits)]);
            shares.chain([last]).collect()
        }
    }
}

/// The one deployment that is to take over from others, and the others' weights, if that is what is planned.
fn newcomer(was: &LiveModel, desired: &DesiredState) -> Option<(String, BTreeMap<String, u32>)> {
    let [Desired { deployment, .. }] = desired.deployments.as_slice() else { return None };
    if desired.paused || was.paused {
        return None;
    }
    let others = was.deployments.iter().filter(|(key, live)| **key != deployment.key && live.weight > 0);
    let old: BTreeMap<_, _> = others.map(|(key, live)| (key.clone(), live.weight)).collect();
    (!old.is_empty()).then(|| (deployment.key.clone(), old))
}

/// `weight` percent to the new one, the rest to the old ones in the proportions that they had.
fn split(old: &BTreeMap<String, u32>, key: &str, weight: u32) -> BTreeMap<String, u32> {
    let total: u32 = old.values().sum();
    let rest = 100_u32.saturating_sub(weight);
    let mut weights: BTreeMap<_, _> = old.iter().map(|(key, share)| (key.clone(), share * rest)).collect();
    weights.insert(key.to_owned(), weight * total);
    let all: Vec<u32> = weights.values().copied().collect();
    let divisor = all.into_iter().fold(0, greatest_common_divisor).max(1);
    // Percentages where they are whole, which with one old deployment they always are.
    let sum: u32 = weights.values().sum::<u32>() / divisor;
    let scale = if sum > 0 && 100 % sum == 0 { 100 / sum } else { 1 };
    weights.values_mut().for_each(|share| *share = *share / divisor * scale);
    weights
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// The old servers run (they may have been stopped already), have their traffic back, and the new ones are gone.
fn undo(was: &LiveModel, desired: &DesiredState) -> Vec<Step> {
    let mut steps = Vec::new();
    for (key, live) in &was.deployments {
        steps.push(Step::Start { deployment: live.spec.clone() });
        // What was not ready before must not stand in the way back.
        if live.status == Status::Ready {
            steps.push(Step::Verify { key: key.clone() });
        }
    }
    let weights = was.deployments.iter().map(|(key, live)| (key.clone(), live.weight)).collect();
    steps.push(Step::Shift { model: desired.model.clone(), weights, paused: was.paused });
    let new = desired.deployments.iter().map(|desired| &desired.deployment.key);
    let new = new.filter(|key| !was.deployments.contains_key(*key));
    steps.extend(new.map(|key| Step::Stop { key: key.clone() }));
    steps
}

fn warnings(was: &LiveModel, desired: &DesiredState, strategy: &Strategy) -> Vec<String> {
    let mut warnings = Vec::new();
    if !matches!(strategy, Strategy::Rolling) && newcomer(was, desired).is_none() && !desired.deployments.is_empty() {
        warnings.push("Nothing serves here that could be compared with: the traffic is moved at once.".to_owned());
    }
    for (key, live) in was.deployments.iter().filter(|(_, live)| live.status != Status::Ready) {
        warnings.push(format!("{} {} ({key}) is not ready as it is.", live.spec.model, live.spec.version));
    }
    warnings
}

fn render_live(model: &str, live: &LiveModel) -> String {
    let deployments = live.deployments.values().map(|live| {
        let digest = live.running_digest.as_ref().unwrap_or(&live.spec.digest);
        (&live.spec, digest.as_str(), live.weight)
    });
    render_endpoint(model, live.paused, deployments)
}

fn render(model: &str, desired: &DesiredState) -> String {
    let deployments = desired
        .deployments
        .iter()
        .map(|Desired { deployment, weight }| (deployment, deployment.digest.as_str(), *weight));
    render_endpoint(model, desired.paused, deployments)
}

/// The endpoint and its processes, one fact a line, so that a diff reads well.
fn render_endpoint<'a>(
    model: &str,
    paused: bool,
    deployments: impl Iterator<Item = (&'a DeploymentSpec, &'a str, u32)>,
) -> String {
    let mut text = format!("endpoint: /v2/models/{model}\npaused: {}\n", if paused { "yes" } else { "no" });
    let before = text.len();
    for (spec, digest, weight) in deployments {
        let DeploymentSpec { key, version, ready_within, drain_within, .. } = spec;
        let options: Vec<_> = spec.options.iter().map(|(name, value)| format!("--{name} {value}")).collect();
        // Writing to a `String` cannot fail.
        let _ = write!(
            text,
            "deployment: {key}\n  version: {version}\n  digest: {digest}\n  traffic: {weight}\n  options: {}\n  \
             ready within: {ready_within} s\n  drain within: {drain_within} s\n",
            if options.is_empty() { "none".to_owned() } else { options.join(" ") },
        );
    }
    if text.len() == before { String::new() } else { text }
}

#[cfg(test)]
mod tests;
