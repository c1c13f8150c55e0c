//! Tables of the gates and of what a preview covers.

use serde_json::json;

use super::rules::*;
use crate::environments::rules::EnvironmentState;
use crate::words::{Stage, ValidationState};

fn open() -> GateFacts<'static> {
    GateFacts {
        kind: ReleaseKind::Release,
        version_number: "2.0",
        region_code: "UK",
        environment_name: "uk-production",
        stage: Stage::Production,
        state: EnvironmentState::Ready,
        needs_validation: true,
        validation: Some(ValidationState::Approved),
        targeted: true,
        locked: false,
        approvers: &[],
        frozen: None,
        digest: Some("ab"),
        bytes: &Bytes::Verified,
        busy: false,
    }
}

/// The gates that do not allow, with their answers.
fn shut(facts: &GateFacts<'_>) -> Vec<(Gate, Answer)> {
    gates(facts).into_iter().filter(|one| one.answer != Answer::Allow).map(|one| (one.gate, one.answer)).collect()
}

#[test]
fn each_gate_closes_for_its_own_reason_alone() {
    let approvers = ["GLOBAL_APPROVER".to_owned()];
    let until = chrono::DateTime::UNIX_EPOCH;
    assert_eq!(shut(&open()), []);
    let review = Some(ValidationState::Review);
    for (facts, gate, answer) in [
        (GateFacts { validation: review, ..open() }, Gate::Validation, Answer::Deny),
        (GateFacts { validation: None, ..open() }, Gate::Validation, Answer::Deny),
        (GateFacts { locked: true, ..open() }, Gate::RegionalApproval, Answer::Deny),
        (GateFacts { targeted: false, ..open() }, Gate::RegionalApproval, Answer::Deny),
        (GateFacts { approvers: &approvers, ..open() }, Gate::Approval, Answer::WaitUntil),
        (GateFacts { frozen: Some(("Quarter end", until)), ..open() }, Gate::Freeze, Answer::WaitUntil),
        (GateFacts { bytes: &Bytes::None, ..open() }, Gate::Artifact, Answer::Deny),
        (GateFacts { bytes: &Bytes::Elsewhere, ..open() }, Gate::Artifact, Answer::Deny),
        (GateFacts { bytes: &Bytes::Damaged("cd".to_owned()), ..open() }, Gate::Artifact, Answer::Deny),
        (GateFacts { state: EnvironmentState::Offline, ..open() }, Gate::Environment, Answer::Deny),
        (GateFacts { busy: true, ..open() }, Gate::Turn, Answer::Deny),
    ] {
        assert_eq!(shut(&facts), [(gate, answer)], "{facts:?}");
    }
}

#[test]
fn into_development_a_version_goes_before_anybody_approved_it() {
    let facts = GateFacts { stage: Stage::Development, validation: None, locked: true, targeted: false, ..open() };
    assert_eq!(shut(&facts), []);
}

#[test]
fn a_minor_change_that_needs_no_validation_and_a_rollback_go_without_one() {
    assert_eq!(shut(&GateFacts { validation: None, needs_validation: false, ..open() }), []);
    assert_eq!(shut(&GateFacts { validation: None, kind: ReleaseKind::Rollback, locked: true, ..open() }), []);
}

#[test]
fn every_gate_answers_in_a_sentence() {
    for check in gates(&open()) {
        assert!(check.says.ends_with('.') && check.says.contains(' '), "{}", check.says);
    }
}

#[test]
fn what_moved_is_named_with_both_values() {
    let before = Covers::from([("artifact".to_owned(), json!("ab")), ("version".to_owned(), json!("2.0"))]);
    let mut after = before.clone();
    assert_eq!((moved(&before, &after), digest(&before) == digest(&after)), (vec![], true));
    after.insert("artifact".to_owned(), json!("cd"));
    let wanted = Moved { what: "artifact".to_owned(), before: json!("ab"), after: json!("cd") };
    assert_eq!((moved(&before, &after), digest(&before) == digest(&after)), (vec![wanted], false));
}

#[test]
fn what_a_release_starts_is_known_by_its_version() {
    for (version, wanted) in [("1.1", "v1.1-0a1b2c3d"), ("v1.2.0", "v1.2.0-0a1b2c3d"), ("2.0 β/x", "v2.0---x-0a1b2c3d")]
    {
        assert_eq!(runtime_key(version, "0a1b2c3d4e5f"), wanted);
    }
}

#[test]
fn a_model_is_served_under_a_name_that_addresses_take() {
    for (model, wanted) in [("PD Mortgage", "pd-mortgage-7"), ("IFRS 9 / LGD", "ifrs-9-lgd-7"), ("模型", "model-7")] {
        assert_eq!(served_name(model, 7), wanted);
    }
}
