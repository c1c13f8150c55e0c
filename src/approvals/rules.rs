//! Tickets: kinds, states, dues, and who may decide. Pure.

use chrono::{DateTime, TimeDelta, Utc};

use crate::db::text_enum;
use crate::error::{Fields, Result};
use crate::identity::Role;
use crate::ids::{RegionId, RuleId, UserId};
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

    /// When a ticket of this kind that is due at `due` expires: a month later. What it asked about has
    /// moved on by then, so it must be asked again. The review of what was done already never expires.
    #[must_use]
    pub fn expires(self, due: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::ValidationApproval | Self::RegionalApproval => Some(due + TimeDelta::days(30)),
            Self::OverrideReview => None,
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
    /// Which tickets a list shows.
    pub enum View {
        /// Those that I can decide, and those that I asked for.
        Mine = "mine",
        /// Those that wait for a decision.
        Pending = "pending",
        /// All that I may see.
        All = "all",
    }
}

text_enum! {
    /// What was done to a ticket, in its timeline.
    pub enum TicketAction {
        /// It was asked.
        Asked = "asked",
        /// Somebody approved.
        Approved = "approved",
        /// Somebody rejected it.
        Rejected = "rejected",
        /// It was taken back.
        Withdrawn = "withdrawn",
        /// What it asked about changed, and another ticket took its place.
        Superseded = "superseded",
        /// The approval given no longer holds.
        Lapsed = "lapsed",
        /// Somebody commented.
        Commented = "commented",
        /// It was given to somebody.
        Assigned = "assigned",
        /// Its time ran out.
        Expired = "expired",
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

/// What a ticket asks of whoever decides it, and who has decided already.
#[derive(Debug, Clone)]
pub struct Requirement {
    /// The role.
    pub role: Role,
    /// The region it is decided for.
    pub region: Option<RegionId>,
    /// People who do not decide it: they asked for it, developed it or did it.
    pub excluded: Vec<UserId>,
    /// People who have approved this ticket.
    pub given_here: Vec<UserId>,
    /// People whose approval of another ticket of the same group stands.
    pub given_beside: Vec<UserId>,
}

/// Why a person cannot decide a ticket, as a sentence; nothing if they can.
///
/// Source: 4-delivery, Approval inbox, *Rules are data*: one person satisfies one role; requesters
/// decide nothing. A regional approver decides for their own regions only.
#[must_use]
pub fn ineligible(
    wants: &Requirement,
    person: UserId,
    roles: &[Role],
    approves_for: &[RegionId],
) -> Option<&'static str> {
    if wants.excluded.contains(&person) {
        return Some("Whoever asked for it, developed it or did it does not decide it.");
    }
    if !roles.contains(&wants.role) {
        return Some("It needs a role that you do not have.");
    }
    if let Some(region) = wants.region
        && wants.role == Role::RegionalApprover
        && !approves_for.contains(&region)
    {
        return Some("It needs the approver of another region.");
    }
    if wants.given_here.contains(&person) {
        return Some("You have approved it; it needs somebody else as well.");
    }
    if wants.given_beside.contains(&person) {
        return Some("You have given another approval of the same request; one person satisfies one role.");
    }
    None
}

/// How many people of a role a kind of decision needs, where a rule names a region or a risk tier
/// only there.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct ApprovalRule {
    /// Its number.
    pub rule_id: RuleId,
    /// The kind of decision.
    pub kind: TicketKind,
    /// The region it holds for; none for all.
    pub region_id: Option<RegionId>,
    /// The risk tier it holds for; none for all.
    pub risk_tier: Option<RiskTier>,
    /// The role that decides.
    pub role: Role,
    /// How many different people of that role must approve.
    pub needed: i64,
}

impl ApprovalRule {
    /// Whether it is one of the rules that the specification itself sets, which cannot be removed:
    /// a global approver, a regional approver for each region that requires one, compliance for
    /// overrides.
    #[must_use]
    pub fn is_required(&self) -> bool {
        let set = matches!(self.role, Role::GlobalApprover | Role::RegionalApprover)
            || self.kind == TicketKind::OverrideReview;
        set && self.region_id.is_none() && self.risk_tier.is_none()
    }
}

/// How many people of `role` must approve: the most specific rule wins, a region before a tier.
/// `None` if no rule asks for the role.
#[must_use]
pub fn needed(
    rules: &[ApprovalRule],
    kind: TicketKind,
    role: Role,
    region: Option<RegionId>,
    tier: Option<RiskTier>,
) -> Option<i64> {
    rules
        .iter()
        .filter(|rule| rule.kind == kind && rule.role == role)
        .filter(|rule| rule.region_id.is_none() || rule.region_id == region)
        .filter(|rule| rule.risk_tier.is_none() || rule.risk_tier == tier)
        .max_by_key(|rule| (rule.region_id.is_some(), rule.risk_tier.is_some()))
        .map(|rule| rule.needed)
}

/// The roles that can be asked for a kind of decision.
#[must_use]
pub const fn roles_for(kind: TicketKind) -> &'static [Role] {
    match kind {
        TicketKind::ValidationApproval => {
            &[Role::GlobalApprover, Role::RegionalApprover, Role::Compliance, Role::Validator]
        }
        TicketKind::RegionalApproval => &[Role::RegionalApprover],
        TicketKind::OverrideReview => &[Role::Compliance],
    }
}

/// Checks a rule that somebody wants to add.
///
/// # Errors
/// The fields that break their rules.
pub fn check_rule(kind: TicketKind, role: Role, region: Option<RegionId>, needed: i64) -> Result<()> {
    let mut fields = Fields::default();
    fields.check(roles_for(kind).contains(&role), "role", "This role does not decide this kind of ticket.");
    fields.check(
        region.is_none() || role == Role::RegionalApprover,
        "region_id",
        "Only a rule for regional approvers can name a region.",
    );
    fields.check((1..=9).contains(&needed), "needed", "It must be between 1 and 9.");
    fields.done()
}
