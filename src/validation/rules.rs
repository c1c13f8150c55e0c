//! Validation requests: states, transitions, required approvals. Pure.

use crate::approvals::rules::{ApprovalRule, TicketKind};
use crate::db::text_enum;
use crate::identity::Role;
use crate::ids::RegionId;
use crate::words::{RiskTier, ValidationState};

use ValidationState::{Approved, Cancelled, InProgress, Intake, OnHold, PendingApproval, Planning, Review, Revision};

text_enum! {
    /// What kind of review it is (2-governance, Validation).
    pub enum ValidationType {
        /// The first of a model.
        Initial = "INITIAL",
        /// Everything anew.
        Comprehensive = "COMPREHENSIVE",
        /// One aspect.
        Targeted = "TARGETED",
        /// Between two comprehensive ones.
        Interim = "INTERIM",
        /// Of one change.
        Change = "CHANGE",
    }
}

text_enum! {
    /// Where a required approval stands.
    pub enum ApprovalState {
        /// Asked, not given.
        Pending = "PENDING",
        /// Given, and it holds.
        Approved = "APPROVED",
        /// Refused.
        Rejected = "REJECTED",
        /// Given, but no longer about what there is.
        Lapsed = "LAPSED",
        /// No longer asked for.
        Withdrawn = "WITHDRAWN",
    }
}

/// The states of a request on its way, in order; the progress line shows them.
pub const WAY: [ValidationState; 6] = [Intake, Planning, InProgress, Review, PendingApproval, Approved];

/// Whether a request in this state is still to be finished.
#[must_use]
pub const fn is_open(state: ValidationState) -> bool {
    !matches!(state, Approved | Cancelled)
}

/// The states a person can move a request to (2-governance, Validation, States).
///
/// APPROVED is in none of the lists: only the last required approval leads there. `held_from` is
/// the state a paused request returns to.
#[must_use]
pub fn next_states(from: ValidationState, held_from: Option<ValidationState>) -> Vec<ValidationState> {
    let mut next = match from {
        Intake => vec![Planning],
        Planning => vec![InProgress],
        InProgress => vec![Review],
        Review => vec![PendingApproval, InProgress],
        PendingApproval => vec![Revision],
        Revision => vec![PendingApproval],
        OnHold => held_from.into_iter().collect(),
        Approved | Cancelled => return Vec::new(),
    };
    if from != OnHold {
        next.push(OnHold);
    }
    next.push(Cancelled);
    next
}

/// Whether the step needs a reason: whoever worked on it must be told why. Resuming needs none.
#[must_use]
pub const fn needs_reason(from: ValidationState, to: ValidationState) -> bool {
    matches!((from, to), (PendingApproval, Revision) | (_, Cancelled))
}

/// What a person does when they move a request from one state to another, for a button.
#[must_use]
pub const fn step_label(from: ValidationState, to: ValidationState) -> &'static str {
    match (from, to) {
        (OnHold, Cancelled) | (_, Cancelled) => "Cancel request",
        (OnHold, _) => "Resume",
        (_, OnHold) => "Put on hold",
        (_, Revision) => "Send back",
        (Review, InProgress) => "Back to work",
        (_, Planning) => "Start planning",
        (_, InProgress) => "Start work",
        (_, Review) => "Hand in for review",
        (_, PendingApproval) => "Ask for approval",
        (_, Intake | Approved) => "",
    }
}

/// The approvals that a request of this risk tier needs: of each role that a rule names, one, and of
/// regional approvers one for each region in scope that requires regional approval.
#[must_use]
pub fn required_approvals(
    rules: &[ApprovalRule],
    tier: RiskTier,
    requiring: &[RegionId],
) -> Vec<(Role, Option<RegionId>)> {
    let mut roles: Vec<Role> = rules
        .iter()
        .filter(|rule| rule.kind == TicketKind::ValidationApproval && rule.role != Role::RegionalApprover)
        .filter(|rule| rule.risk_tier.is_none_or(|only| only == tier))
        .map(|rule| rule.role)
        .chain([Role::GlobalApprover])
        .collect();
    roles.sort_unstable();
    roles.dedup();
    let regional = requiring.iter().map(|region| (Role::RegionalApprover, Some(*region)));
    roles.into_iter().map(|role| (role, None)).chain(regional).collect()
}
