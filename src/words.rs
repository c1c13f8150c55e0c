//! Words that several areas share: states and tiers, as `1-product.md` names them. Pure.

use crate::db::text_enum;

text_enum! {
    /// How much harm a model can do; TIER_1 is the highest (2-governance, Inventory).
    pub enum RiskTier {
        /// The highest.
        Tier1 = "TIER_1",
        /// The middle.
        Tier2 = "TIER_2",
        /// The lowest.
        Tier3 = "TIER_3",
    }
}

text_enum! {
    /// Where a validation request stands (2-governance, Validation).
    pub enum ValidationState {
        /// Asked for.
        Intake = "INTAKE",
        /// Being planned.
        Planning = "PLANNING",
        /// Being worked on.
        InProgress = "IN_PROGRESS",
        /// Its findings are being reviewed.
        Review = "REVIEW",
        /// Waiting for its approvals.
        PendingApproval = "PENDING_APPROVAL",
        /// Sent back by an approver.
        Revision = "REVISION",
        /// All required approvals were given.
        Approved = "APPROVED",
        /// Paused.
        OnHold = "ON_HOLD",
        /// Given up.
        Cancelled = "CANCELLED",
    }
}

text_enum! {
    /// How urgent something is.
    pub enum Priority {
        /// It can wait.
        Low = "LOW",
        /// As usual.
        Medium = "MEDIUM",
        /// Before others.
        High = "HIGH",
        /// At once.
        Urgent = "URGENT",
    }
}
