//! Tables of states and required approvals.

use super::rules::{is_open, needs_reason, next_states, required_approvals};
use crate::approvals::rules::{ApprovalRule, TicketKind};
use crate::identity::Role;
use crate::ids::{RegionId, RuleId};
use crate::words::{RiskTier, ValidationState};

use ValidationState::{Approved, Cancelled, InProgress, Intake, OnHold, PendingApproval, Planning, Review, Revision};

#[test]
fn the_states_follow_one_another_as_specified() {
    let table: &[(ValidationState, &[ValidationState])] = &[
        (Intake, &[Planning, OnHold, Cancelled]),
        (Planning, &[InProgress, OnHold, Cancelled]),
        (InProgress, &[Review, OnHold, Cancelled]),
        (Review, &[PendingApproval, InProgress, OnHold, Cancelled]),
        (PendingApproval, &[Revision, OnHold, Cancelled]),
        (Revision, &[PendingApproval, OnHold, Cancelled]),
        (Approved, &[]),
        (Cancelled, &[]),
    ];
    for (from, to) in table {
        assert_eq!(next_states(*from, None), *to, "from {from}");
    }
    for held_from in [Intake, Planning, InProgress, Review, PendingApproval, Revision] {
        assert_eq!(next_states(OnHold, Some(held_from)), [held_from, Cancelled]);
    }
}

#[test]
fn nobody_sets_approved_and_every_open_state_can_be_cancelled() {
    for from in ValidationState::ALL {
        let next = next_states(*from, Some(Review));
        assert!(!next.contains(&Approved), "{from} leads to APPROVED by hand");
        assert_eq!(next.contains(&Cancelled), is_open(*from), "{from}");
    }
}

#[test]
fn sending_back_and_cancelling_need_a_reason_and_resuming_does_not() {
    assert!(needs_reason(PendingApproval, Revision));
    assert!(needs_reason(OnHold, Cancelled));
    assert!(!needs_reason(OnHold, Revision));
    assert!(!needs_reason(Review, InProgress));
}

fn rule(role: Role, risk_tier: Option<RiskTier>) -> ApprovalRule {
    ApprovalRule {
        rule_id: RuleId(1),
        kind: TicketKind::ValidationApproval,
        stage: None,
        region_id: None,
        risk_tier,
        role,
        needed: 1,
    }
}

#[test]
fn one_global_approval_and_one_for_each_region_that_requires_it() {
    let rules = [
        rule(Role::GlobalApprover, None),
        rule(Role::RegionalApprover, None),
        rule(Role::Compliance, Some(RiskTier::Tier1)),
    ];
    let (uk, eu) = (RegionId(1), RegionId(2));
    assert_eq!(required_approvals(&rules, RiskTier::Tier3, &[]), [(Role::GlobalApprover, None)]);
    assert_eq!(
        required_approvals(&rules, RiskTier::Tier1, &[uk, eu]),
        [
            (Role::GlobalApprover, None),
            (Role::Compliance, None),
            (Role::RegionalApprover, Some(uk)),
            (Role::RegionalApprover, Some(eu)),
        ]
    );
}

#[test]
fn a_global_approval_is_needed_whatever_the_rules_say() {
    assert_eq!(required_approvals(&[], RiskTier::Tier2, &[]), [(Role::GlobalApprover, None)]);
}
