use proptest::prelude::*;

use super::*;
use crate::live::LiveDeployment;
use crate::spec::{CanaryStep, Strategy};

fn spec(key: &str) -> DeploymentSpec {
    DeploymentSpec::new(key, "pd", &format!("version of {key}"), "/a", &format!("sha256:{}", "0".repeat(64)))
}

fn live(deployments: &[(&str, u32)]) -> LiveState {
    let deployments = deployments.iter().map(|(key, weight)| {
        let spec = spec(key);
        let live = LiveDeployment {
            running_digest: Some(spec.digest.clone()),
            spec,
            status: Status::Ready,
            weight: *weight,
            pid: Some(1),
            address: None,
            started_at: None,
            restarts: 0,
            last_exit: String::new(),
        };
        ((*key).to_owned(), live)
    });
    let model = LiveModel { paused: false, deployments: deployments.collect() };
    LiveState { gateway: None, models: BTreeMap::from([("pd".to_owned(), model)]) }
}

/// The steps in few words.
fn words(steps: &[Step]) -> Vec<String> {
    let word = |step: &Step| match step {
        Step::Start { deployment } => format!("start {}", deployment.key),
        Step::Shift { weights, paused, .. } => format!("shift {weights:?}{}", if *paused { " paused" } else { "" }),
        Step::Verify { key } | Step::Observe { key, .. } | Step::Stop { key } => format!("{} {key}", step.name()),
    };
    steps.iter().map(word).collect()
}

fn plan(live: LiveState, strategy: &Strategy) -> Plan {
    Plan::make(live, &DesiredState::one(spec("new")), strategy)
}

fn canary(weights: &[u32]) -> Strategy {
    let steps = weights.iter().map(|weight| CanaryStep { weight: *weight, window: 60 }).collect();
    Strategy::Canary { steps, limits: Limits::default() }
}

#[test]
fn the_first_release_starts_and_takes_the_traffic_at_once() {
    let plan = plan(LiveState::default(), &canary(&[10]));
    assert_eq!(words(&plan.steps), ["start new", "verify new", r#"shift {"new": 100}"#]);
    assert_eq!(words(&plan.undo), ["shift {}", "stop new"]);
    assert_eq!(plan.warnings, ["Nothing serves here that could be compared with: the traffic is moved at once."]);
    assert!(plan.diff.contains("+  version: version of new"));
}

#[test]
fn rolling_replaces_without_a_gap() {
    let plan = plan(live(&[("old", 100)]), &Strategy::Rolling);
    assert_eq!(words(&plan.steps), ["start new", "verify new", r#"shift {"new": 100}"#, "stop old"]);
    assert_eq!(words(&plan.undo), ["start old", "verify old", r#"shift {"old": 100}"#, "stop new"]);
}

#[test]
fn blue_green_keeps_the_old_one_while_the_new_one_is_observed() {
    let plan = plan(live(&[("old", 100)]), &Strategy::BlueGreen { window: 60, limits: Limits::default() });
    assert_eq!(words(&plan.steps), ["start new", "verify new", r#"shift {"new": 100}"#, "observe new", "stop old"]);
}

#[test]
fn a_canary_takes_its_share_in_steps() {
    let plan = plan(live(&[("old", 100)]), &canary(&[10, 50]));
    assert_eq!(
        words(&plan.steps),
        [
            "start new",
            "verify new",
            r#"shift {"new": 10, "old": 90}"#,
            "observe new",
            r#"shift {"new": 50, "old": 50}"#,
            "observe new",
            r#"shift {"new": 100}"#,
            "stop old",
        ]
    );
}

#[test]
fn what_is_so_needs_no_step() {
    let plan = plan(live(&[("new", 100)]), &Strategy::Rolling);
    assert_eq!((plan.steps, plan.undo, plan.diff.as_str()), (vec![], vec![], ""));
}

#[test]
fn nothing_wanted_stops_everything() {
    let plan = Plan::make(live(&[("old", 100)]), &DesiredState::none("pd"), &Strategy::Rolling);
    assert_eq!(words(&plan.steps), ["shift {}", "stop old"]);
}

#[test]
fn a_pause_moves_no_process() {
    let desired = DesiredState { paused: true, ..DesiredState::one(spec("new")) };
    let plan = Plan::make(live(&[("new", 100)]), &desired, &canary(&[10]));
    assert_eq!(words(&plan.steps), [r#"shift {"new": 100} paused"#]);
    assert!(plan.diff.contains("-paused: no\n+paused: yes"), "{}", plan.diff);
}

#[test]
fn the_digest_of_the_live_state_tells_what_matters() {
    let state = live(&[("old", 100)]);
    let mut other = state.clone();
    let deployment = other.models.get_mut("pd").unwrap().deployments.get_mut("old").unwrap();
    (deployment.pid, deployment.status, deployment.restarts) = (None, Status::Down, 3);
    assert_eq!(state.digest(), other.digest());
    other.models.get_mut("pd").unwrap().deployments.get_mut("old").unwrap().weight = 99;
    assert_ne!(state.digest(), other.digest());
    assert_ne!(state.digest_of("pd"), other.digest_of("pd"));
    assert_eq!(state.digest_of("lgd"), other.digest_of("lgd"));
    let mut mismatch = state.clone();
    let deployment = mismatch.models.get_mut("pd").unwrap().deployments.get_mut("old").unwrap();
    (deployment.status, deployment.running_digest) = (Status::Mismatch, Some("sha256:other".into()));
    assert_ne!(state.digest(), mismatch.digest());
}

#[test]
fn a_plan_survives_json() {
    let plan = plan(live(&[("old", 100)]), &canary(&[10, 50]));
    let json = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan);
}

proptest! {
    #[test]
    fn a_split_gives_the_share_and_keeps_the_others_proportions(old in prop::collection::vec(1_u32..1000, 1..4), weight in 1_u32..100) {
        let old: BTreeMap<_, _> = old.into_iter().enumerate().map(|(index, share)| (format!("old{index}"), share)).collect();
        let split = split(&old, "new", weight);
        let (total, before): (u32, u32) = (split.values().sum(), old.values().sum());
        prop_assert!((f64::from(split["new"]) / f64::from(total) - f64::from(weight) / 100.0).abs() < 1e-9);
        for (key, share) in &old {
            let expected = f64::from(*share) / f64::from(before) * (1.0 - f64::from(weight) / 100.0);
            prop_assert!((f64::from(split[key]) / f64::from(total) - expected).abs() < 1e-9);
        }
    }
}
