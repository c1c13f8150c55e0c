//! Tables of the rules: who may decide, which rule wins, what the page warns of.

use super::inbox::{Check, SubjectVersion, checks};
use super::rules::{ApprovalRule, Case, Requirement, Risk, TicketKind, approvers, check_rule, ineligible, needed};
use crate::identity::Role;
use crate::ids::{ModelId, RegionId, RuleId, UserId, VersionId};
use crate::words::{RiskTier, Stage, ValidationState};

const UK: RegionId = RegionId(1);
const EU: RegionId = RegionId(2);
const PERSON: UserId = UserId(7);

fn wants(role: Role, region: Option<RegionId>) -> Requirement {
    Requirement { role, region, excluded: Vec::new(), given_here: Vec::new(), given_beside: Vec::new() }
}

#[test]
fn only_the_right_role_and_region_decides() {
    /// Required role and region; the person's roles and regions; whether they decide.
    type Row = (Role, Option<RegionId>, &'static [Role], &'static [RegionId], bool);
    let table: &[Row] = &[
        (Role::GlobalApprover, None, &[Role::GlobalApprover], &[], true),
        (Role::GlobalApprover, None, &[Role::RegionalApprover], &[UK], false),
        (Role::GlobalApprover, None, &[Role::Admin], &[], false),
        (Role::RegionalApprover, Some(UK), &[Role::RegionalApprover], &[UK], true),
        (Role::RegionalApprover, Some(UK), &[Role::RegionalApprover], &[EU], false),
        (Role::RegionalApprover, Some(UK), &[Role::GlobalApprover], &[], false),
        (Role::Compliance, Some(UK), &[Role::Compliance], &[], true),
        (Role::Compliance, None, &[Role::Auditor, Role::Member], &[], false),
    ];
    for (role, region, roles, regions, may) in table {
        let why = ineligible(&wants(*role, *region), PERSON, roles, regions);
        assert_eq!(why.is_none(), *may, "{role} {region:?} decided by {roles:?} {regions:?}: {why:?}");
    }
}

#[test]
fn whoever_asked_or_has_given_an_approval_of_the_group_does_not_decide() {
    let may = |wants: &Requirement| ineligible(wants, PERSON, &[Role::GlobalApprover], &[]).is_none();
    let open = wants(Role::GlobalApprover, None);
    assert!(may(&open));
    assert!(!may(&Requirement { excluded: vec![PERSON], ..open.clone() }));
    assert!(!may(&Requirement { given_here: vec![PERSON], ..open.clone() }));
    assert!(!may(&Requirement { given_beside: vec![PERSON], ..open.clone() }));
    assert!(may(&Requirement { given_beside: vec![UserId(8)], ..open }));
}

fn case(region: RegionId, tier: RiskTier) -> Case {
    Case { stage: None, region: Some(region), tier: Some(tier) }
}

fn rule(rule_id: i64, region_id: Option<RegionId>, risk_tier: Option<RiskTier>, needed: i64) -> ApprovalRule {
    let (kind, role) = (TicketKind::ValidationApproval, Role::RegionalApprover);
    ApprovalRule { rule_id: RuleId(rule_id), kind, stage: None, region_id, risk_tier, role, needed }
}

#[test]
fn the_most_specific_rule_wins() {
    let rules = [
        rule(1, None, None, 1),
        rule(2, None, Some(RiskTier::Tier1), 2),
        rule(3, Some(UK), None, 3),
        rule(4, Some(UK), Some(RiskTier::Tier1), 4),
    ];
    let table =
        [(EU, RiskTier::Tier3, 1), (EU, RiskTier::Tier1, 2), (UK, RiskTier::Tier3, 3), (UK, RiskTier::Tier1, 4)];
    for (region, tier, wanted) in table {
        let found = needed(&rules, TicketKind::ValidationApproval, Role::RegionalApprover, case(region, tier));
        assert_eq!(found, Some(wanted), "{region} {tier}");
    }
    assert_eq!(needed(&rules, TicketKind::OverrideReview, Role::Compliance, Case::default()), None);
}

#[test]
fn a_release_is_approved_by_the_roles_that_rules_of_its_stage_name() {
    let of = |stage, role| ApprovalRule { kind: TicketKind::ReleaseApproval, stage, role, ..rule(1, None, None, 1) };
    let rules = [of(None, Role::GlobalApprover), of(Some(Stage::Production), Role::Compliance)];
    let asked = |stage| approvers(&rules, TicketKind::ReleaseApproval, Case { stage: Some(stage), ..Case::default() });
    assert_eq!(asked(Stage::Staging), [Role::GlobalApprover]);
    assert_eq!(asked(Stage::Production), [Role::GlobalApprover, Role::Compliance]);
    assert_eq!(approvers(&[], TicketKind::ReleaseApproval, Case::default()), [Role::GlobalApprover]);
}

#[test]
fn a_rule_names_a_role_that_decides_and_a_count_that_can_be_met() {
    assert!(check_rule(TicketKind::RegionalApproval, Role::RegionalApprover, None, Some(UK), 2).is_ok());
    for (kind, role, region, count) in [
        (TicketKind::OverrideReview, Role::Admin, None, 1),
        (TicketKind::RegionalApproval, Role::GlobalApprover, None, 1),
        (TicketKind::ValidationApproval, Role::GlobalApprover, Some(UK), 1),
        (TicketKind::ValidationApproval, Role::GlobalApprover, None, 0),
        (TicketKind::ValidationApproval, Role::GlobalApprover, None, 10),
    ] {
        assert!(check_rule(kind, role, None, region, count).is_err(), "{kind} {role} {region:?} {count}");
    }
}

#[test]
fn the_higher_the_risk_the_sooner_it_is_due() {
    let now = chrono::DateTime::UNIX_EPOCH;
    assert!(Risk::ALL.windows(2).all(|pair| pair[0].due(now) > pair[1].due(now)));
    assert_eq!(Risk::of(RiskTier::Tier1), Risk::High);
}

#[test]
fn the_checks_name_what_is_missing() {
    let version = SubjectVersion {
        version_id: VersionId(1),
        version_number: "2.0".to_owned(),
        model_id: ModelId(1),
        model_name: "PD".to_owned(),
        risk_tier: RiskTier::Tier1,
        change_type: "MAJOR".to_owned(),
        scope: "GLOBAL".to_owned(),
        description: String::new(),
        planned_production_date: None,
        artifact_digest: None,
        artifact_file: None,
        submitted_by: "Anna".to_owned(),
        validation_request_id: None,
        validation_state: Some(ValidationState::Review),
        completion_date: None,
        regions: Vec::new(),
    };
    let failed: Vec<String> =
        checks(&[version]).into_iter().filter(|one: &Check| !one.passed).map(|one| one.says).collect();
    assert_eq!(
        failed,
        ["The validation of PD 2.0 is review.", "PD 2.0 has no artifact: the approval will name no bytes."]
    );
}
