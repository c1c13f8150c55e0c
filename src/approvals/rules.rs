//! Tickets: kinds, states, dues, and who may decide. Pure.

use chrono::{DateTime, TimeDelta, Utc};

use crate::db::text_enum;
use crate::identity::Role;
use crate::ids::{RegionId, UserId};
use crate::words::{Priority, RiskTier};

text_enum! {
    /// What is to be decided (4-delivery, Approval inbox).
    pub enum TicketKind {
        /// One required approval of a validation request.
        ValidationApproval = "validation_approval",
        /// A region's approval of a version that its validation did not cover.
        RegionalApproval = "regional_approval",
        /// The review of a confirmation that came before its approval.
        OverrideReview = "override_review",
    }
}

impl TicketKind {
    /// The kind as people read it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::ValidationApproval => "Validation approval",
            Self::RegionalApproval => "Regional approval",
            Self::OverrideReview => "Override review",
        }
    }
}

text_enum! {
    /// Where a ticket stands.
    pub enum TicketState {
        /// Waiting for a decision.
        Pending = "pending",
        /// Decided in favour.
        Approved = "approved",
        /// Decided against.
        Rejected = "rejected",
        /// Its time ran out; it must be asked again.
        Expired = "expired",
        /// No longer needed.
        Cancelled = "cancelled",
    }
}

text_enum! {
    /// How much depends on a decision.
    pub enum Risk {
        /// Little.
        Low = "low",
        /// As usual.
        Medium = "medium",
        /// Much.
        High = "high",
        /// Most.
        Critical = "critical",
    }
}

impl Risk {
    /// The risk of a decision on a model of this tier.
    #[must_use]
    pub const fn of(tier: RiskTier) -> Self {
        match tier {
            RiskTier::Tier1 => Self::High,
            RiskTier::Tier2 => Self::Medium,
            RiskTier::Tier3 => Self::Low,
        }
    }

    /// When a ticket of this risk that is made `now` is due: the higher the risk, the sooner.
    #[must_use]
    pub fn due(self, now: DateTime<Utc>) -> DateTime<Utc> {
        now + match self {
            Self::Critical => TimeDelta::days(1),
            Self::High => TimeDelta::days(3),
            Self::Medium => TimeDelta::days(7),
            Self::Low => TimeDelta::days(14),
        }
    }

    /// The priority that goes with it.
    #[must_use]
    pub const fn priority(self) -> Priority {
        match self {
            Self::Critical => Priority::Urgent,
            Self::High => Priority::High,
            Self::Medium => Priority::Medium,
            Self::Low => Priority::Low,
        }
    }
}

text_enum! {
    /// A decision on a ticket.
    pub enum Verdict {
        /// In favour.
        Approve = "approve",
        /// Against.
        Reject = "reject",
    }
}

/// Why a person cannot decide a ticket, as a sentence; nothing if they can.
///
/// Source: 4-delivery, Approval inbox, *Rules are data*: one person satisfies one role; requesters
/// decide nothing. A regional approver decides for their own regions only.
#[must_use]
pub fn ineligible(
    required: Role,
    region: Option<RegionId>,
    excluded: &[UserId],
    person: UserId,
    roles: &[Role],
    approves_for: &[RegionId],
) -> Option<&'static str> {
    if excluded.contains(&person) {
        return Some("Whoever asked for it, developed it or did it does not decide it.");
    }
    if !roles.contains(&required) {
        return Some("It needs a role that you do not have.");
    }
    match region {
        Some(region) if required == Role::RegionalApprover && !approves_for.contains(&region) => {
            Some("It needs the approver of another region.")
        }
        _ => None,
    }
}
