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

text_enum! {
    /// Where a model is in its life (2-governance, Inventory).
    pub enum ModelStatus {
        /// Not used yet.
        InDevelopment = "IN_DEVELOPMENT",
        /// In use.
        Active = "ACTIVE",
        /// In use, to be taken out of it.
        PendingDecommission = "PENDING_DECOMMISSION",
        /// No longer used.
        Retired = "RETIRED",
    }
}

text_enum! {
    /// How far a change goes (2-governance, Versions).
    pub enum ChangeType {
        /// Bumps X.0 and always needs a validation.
        Major = "MAJOR",
        /// Bumps X.Y and needs a validation if the model's tier says so.
        Minor = "MINOR",
    }
}

text_enum! {
    /// Where a change is meant to go (2-governance, Versions).
    pub enum VersionScope {
        /// All of the model's regions, or the ones it names.
        Global = "GLOBAL",
        /// The regions it names.
        Regional = "REGIONAL",
    }
}

impl Default for VersionStatus {
    /// What a version is before anything is known of it.
    fn default() -> Self {
        Self::Draft
    }
}

text_enum! {
    /// Where a version stands: derived from facts, never stored (2-governance, Versions).
    pub enum VersionStatus {
        /// Nobody has asked for its validation.
        Draft = "DRAFT",
        /// Its validation is under way.
        InValidation = "IN_VALIDATION",
        /// Its validation is approved; it was never ratified.
        Approved = "APPROVED",
        /// Ratified live in at least one region.
        Active = "ACTIVE",
        /// Was ratified live once, and is nowhere now.
        Superseded = "SUPERSEDED",
    }
}

text_enum! {
    /// How near to the customers an environment is (4-delivery, Environments).
    pub enum Stage {
        /// Where things are tried; a release needs no approved validation.
        Development = "development",
        /// Where they are rehearsed.
        Staging = "staging",
        /// Where they count: what is released here is ratified by the model's owner.
        Production = "production",
    }
}
