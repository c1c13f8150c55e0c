use super::rules::{
    Agreement, Facts, TruthFacts, VersionNumber, agreement, blockers, is_taken, needs_validation, next_number, today,
    version_status,
};
use crate::ids::{RequestId, VersionId};
use crate::words::{ChangeType, ValidationState, VersionStatus};

fn numbers(texts: &[&str]) -> Vec<VersionNumber> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn a_version_number_has_two_or_three_parts() {
    for (text, kept) in [("1.0", "1.0"), ("v2.10", "2.10"), (" 1.4.0 ", "1.4.0"), ("0.1", "0.1"), ("V3.0.7", "3.0.7")] {
        assert_eq!(text.parse::<VersionNumber>().unwrap().to_string(), kept);
    }
    for wrong in ["", "1", "1.", ".1", "1.02", "1.0.0.0", "1.a", "-1.0", "1.+2", "vv1.0", "1234567.0", "1 .0", "١.٠"]
    {
        assert!(wrong.parse::<VersionNumber>().is_err(), "“{wrong}” is no version number");
    }
}

#[test]
fn the_next_number_bumps_the_highest_ever_given() {
    for (used, major, minor) in [
        (&[][..], "1.0", "1.0"),
        (&["1.0"], "2.0", "1.1"),
        (&["1.9", "1.10"], "2.0", "1.11"),
        (&["2.0", "1.5"], "3.0", "2.1"),
        (&["1.3.0"], "2.0", "1.4"),
    ] {
        let used = numbers(used);
        assert_eq!(next_number(&used, ChangeType::Major).to_string(), major, "after {used:?}");
        assert_eq!(next_number(&used, ChangeType::Minor).to_string(), minor, "after {used:?}");
    }
}

#[test]
fn a_number_written_another_way_is_the_same_number() {
    let used = numbers(&["1.2", "2.0.1"]);
    assert!(is_taken(&used, "1.2.0".parse().unwrap()));
    assert!(is_taken(&used, "v2.0.1".parse().unwrap()));
    assert!(!is_taken(&used, "2.0".parse().unwrap()));
}

#[test]
fn the_status_follows_from_the_facts() {
    use ValidationState::{Approved, Cancelled, Intake, OnHold};
    for (live_now, live_ever, validation, status) in [
        (false, false, None, VersionStatus::Draft),
        (false, false, Some(Cancelled), VersionStatus::Draft),
        (false, false, Some(Intake), VersionStatus::InValidation),
        (false, false, Some(OnHold), VersionStatus::InValidation),
        (false, false, Some(Approved), VersionStatus::Approved),
        (true, true, Some(Approved), VersionStatus::Active),
        (true, true, None, VersionStatus::Active),
        (true, true, Some(Intake), VersionStatus::Active),
        (false, true, Some(Approved), VersionStatus::Superseded),
        (false, true, None, VersionStatus::Superseded),
    ] {
        assert_eq!(version_status(live_now, live_ever, validation), status, "{live_now} {live_ever} {validation:?}");
    }
}

fn facts(change_type: ChangeType, validation_state: Option<ValidationState>, live_ever: bool) -> Facts {
    Facts {
        version_id: VersionId(7),
        number: "2.0".to_owned(),
        change_type,
        request_id: validation_state.map(|_| RequestId(3)),
        validation_state,
        live_now: false,
        live_ever,
    }
}

#[test]
fn an_open_validation_or_an_approved_major_that_is_nowhere_blocks_the_next_version() {
    use ChangeType::{Major, Minor};
    for (version, blocks) in [
        (facts(Major, None, false), false),
        (facts(Minor, Some(ValidationState::Intake), false), true),
        (facts(Minor, Some(ValidationState::OnHold), false), true),
        (facts(Minor, Some(ValidationState::Revision), true), true),
        (facts(Minor, Some(ValidationState::Cancelled), false), false),
        (facts(Minor, Some(ValidationState::Approved), false), false),
        (facts(Major, Some(ValidationState::Approved), false), true),
        (facts(Major, Some(ValidationState::Approved), true), false),
    ] {
        let found = blockers(std::slice::from_ref(&version));
        assert_eq!(!found.is_empty(), blocks, "{version:?}");
        for blocker in found {
            assert_eq!((blocker.version_id, blocker.request_id), (VersionId(7), Some(RequestId(3))));
            assert!(blocker.sentence.contains("2.0"));
        }
    }
}

#[test]
fn a_major_change_needs_a_validation_and_a_minor_one_if_its_tier_says_so() {
    assert!(needs_validation(ChangeType::Major, false));
    assert!(needs_validation(ChangeType::Minor, true));
    assert!(!needs_validation(ChangeType::Minor, false));
}

#[test]
fn disagreement_between_approved_and_ratified_is_said_as_such() {
    let nothing = TruthFacts { needs_validation: true, ..TruthFacts::default() };
    let approved = TruthFacts { approved: true, ..nothing };
    let live = TruthFacts { live: true, was_live: true, ..nothing };
    for (is, said) in [
        (nothing, Agreement::NotYet),
        (approved, Agreement::ReadyToDeploy),
        (TruthFacts { locked: true, ..approved }, Agreement::RegionalApprovalMissing),
        (TruthFacts { later_live: true, locked: true, ..approved }, Agreement::LaterVersionLive),
        (TruthFacts { approved: true, ..live }, Agreement::Agree),
        (TruthFacts { overridden: true, override_open: true, ..live }, Agreement::OverrideUnderReview),
        (TruthFacts { approved: true, overridden: true, override_open: true, ..live }, Agreement::OverrideUnderReview),
        (TruthFacts { overridden: true, ..live }, Agreement::OverrideReviewed),
        (TruthFacts { needs_validation: false, ..live }, Agreement::NoValidationNeeded),
        (live, Agreement::ValidationOpen),
        (TruthFacts { was_live: true, ..nothing }, Agreement::Ended),
    ] {
        assert_eq!(agreement(is), said, "{is:?}");
    }
}

#[test]
fn today_depends_on_the_time_zone() {
    let now = "2026-03-31T23:30:00Z".parse().unwrap();
    for (zone, day) in [("UTC", "2026-03-31"), ("Asia/Tokyo", "2026-04-01"), ("America/New_York", "2026-03-31")] {
        assert_eq!(today(zone, now).to_string(), day, "{zone}");
    }
}
