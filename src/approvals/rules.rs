//! Tickets: kinds, states, dues, and who may decide. Pure.

use chrono::{DateTime, TimeDelta, Utc};

use crate::db::text_enum;
use crate::error::{Fields, Result};
use crate::identity::Role;
use crate::ids::{RegionId, RuleId, UserId};
use crate::words::{Priority, RiskTier, Stage};

text_enum! {
    /// What is to be decided (4-delivery, Approval inbox).
    pub enum TicketKind {
        /// One required approval of a validation request.
        ValidationApproval = "validation_approval",
        /// A region's approval of a version that its validation did not cover.
        RegionalApproval = "regional_approval",
        /// The review of a confirmation that came before its approval.
        OverrideReview = "override_review",
        /// A release into an environment that asks for it.
        ReleaseApproval = "release_approval",
        /// A rollback in such an environment.
        RollbackApproval = "rollback_approval",
        /// A release into a freeze window.
        FreezeOverride = "freeze_override",
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
            Self::ReleaseApproval => "Release approval",
            Self::RollbackApproval => "Rollback approval",
            Self::FreezeOverride => "Freeze override",
        }
    }

    /// When a ticket of this kind that is due at `due` expires: a month later. What it asked about has
    /// moved on by then, so it must be asked again. The review of what was done already never expires.
    #[must_use]
    pub fn expires(self, due: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::ValidationApproval | Self::RegionalApproval => Some(due + TimeDelta::days(30)),
            // What a release was previewed against moves faster.
            Self::ReleaseApproval | Self::RollbackApproval | Self::FreezeOverride => Some(due + TimeDelta::days(7)),
            Self::OverrideReview => None,
        }
    }

    /// Whether it decides on a release.
    #[must_use]
    pub const fn is_of_release(self) -> bool {
        matches!(self, Self::ReleaseApproval | Self::RollbackApproval | Self::FreezeOverride)
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
    /// The stage of the environments it holds for; none for all.
    pub stage: Option<Stage>,
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
        set && !self.kind.is_of_release() && self.region_id.is_none() && self.risk_tier.is_none()
    }
}

/// What a decision is about, as far as rules tell cases apart.
#[derive(Debug, Clone, Copy, Default)]
pub struct Case {
    /// The stage of the environment.
    pub stage: Option<Stage>,
    /// The region.
    pub region: Option<RegionId>,
    /// The model's risk tier.
    pub tier: Option<RiskTier>,
}

impl Case {
    fn is_of(self, rule: &ApprovalRule) -> bool {
        (rule.stage.is_none() || rule.stage == self.stage)
            && (rule.region_id.is_none() || rule.region_id == self.region)
            && (rule.risk_tier.is_none() || rule.risk_tier == self.tier)
    }
}

/// How many people of `role` must approve: the most specific rule wins, a region before a stage, and that before a
/// tier. `None` if no rule asks for the role.
#[must_use]
pub fn needed(rules: &[ApprovalRule], kind: TicketKind, role: Role, case: Case) -> Option<i64> {
    rules
        .iter()
        .filter(|rule| rule.kind == kind && rule.role == role && case.is_of(rule))
        .max_by_key(|rule| (rule.region_id.is_some(), rule.stage.is_some(), rule.risk_tier.is_some()))
        .map(|rule| rule.needed)
}

/// The roles that must approve, in the order of their names; a global approver if no rule says who.
#[must_use]
pub fn approvers(rules: &[ApprovalRule], kind: TicketKind, case: Case) -> Vec<Role> {
    let mut roles: Vec<Role> =
        rules.iter().filter(|rule| rule.kind == kind && case.is_of(rule)).map(|rule| rule.role).collect();
    roles.sort_unstable();
    roles.dedup();
    if roles.is_empty() { vec![Role::GlobalApprover] } else { roles }
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
        TicketKind::ReleaseApproval | TicketKind::RollbackApproval | TicketKind::FreezeOverride => {
            &[Role::GlobalApprover, Role::RegionalApprover, Role::Compliance, Role::Operator]
        }
    }
}

/// Checks a rule that somebody wants to add.
///
/// # Errors
/// The fields that break their rules.
pub fn check_rule(
    kind: TicketKind,
    role: Role,
    stage: Option<Stage>,
    region: Option<RegionId>,
    needed: i64,
) -> Result<()> {
    let mut fields = Fields::default();
    fields.check(roles_for(kind).contains(&role), "role", "This role does not decide this kind of ticket.");
    fields.check(
        region.is_none() || role == Role::RegionalApprover || kind.is_of_release(),
        "region_id",
        "Only a rule for regional approvers or releases can name a region.",
    );
    fields.check(stage.is_none() || kind.is_of_release(), "stage", "Only a rule for releases can name a stage.");
    fields.check((1..=9).contains(&needed), "needed", "It must be between 1 and 9.");
    fields.done()
}
