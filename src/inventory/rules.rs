//! Version numbers, what a change needs, what blocks one, and what the facts add up to. Pure.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;

use crate::ids::{RequestId, VersionId};
use crate::words::{ChangeType, ValidationState, VersionScope, VersionStatus};

/// The number of a version: `X.Y`, or `X.Y.Z` as training jobs give them (2-governance, Versions).
///
/// A leading `v` is read and left out; `1.2` and `1.2.0` are the same place but keep their text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionNumber {
    /// X.
    pub major: u32,
    /// Y.
    pub minor: u32,
    /// Z, where it was given.
    pub patch: Option<u32>,
}

impl VersionNumber {
    /// The first number of a model.
    pub const FIRST: Self = Self { major: 1, minor: 0, patch: None };

    /// What makes two numbers the same: a missing Z is 0.
    #[must_use]
    pub fn place(self) -> (u32, u32, u32) {
        (self.major, self.minor, self.patch.unwrap_or(0))
    }
}

impl fmt::Display for VersionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        self.patch.map_or(Ok(()), |patch| write!(f, ".{patch}"))
    }
}

impl FromStr for VersionNumber {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const RULE: &str = "A version number is X.Y or X.Y.Z, such as 2.1 or 1.4.0, each part at most 999999.";
        let text = text.trim();
        let parts: Option<Vec<u32>> =
            text.strip_prefix(['v', 'V']).unwrap_or(text).split('.').map(number_part).collect();
        match parts.as_deref() {
            Some([major, minor]) => Ok(Self { major: *major, minor: *minor, patch: None }),
            Some([major, minor, patch]) => Ok(Self { major: *major, minor: *minor, patch: Some(*patch) }),
            _ => Err(RULE),
        }
    }
}

/// Digits without a leading zero: `1.02` and `1.2` must not be two numbers.
fn number_part(text: &str) -> Option<u32> {
    let plain = (1..=6).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if !plain || (text.len() > 1 && text.starts_with('0')) {
        return None;
    }
    text.parse().ok()
}

/// The number to suggest for the next change: a MAJOR bumps X.0, a MINOR X.Y, the first is 1.0.
///
/// `used` are all numbers ever given, those of deleted drafts too: none is given twice.
#[must_use]
pub fn next_number(used: &[VersionNumber], change: ChangeType) -> VersionNumber {
    let Some(last) = used.iter().max_by_key(|number| number.place()) else { return VersionNumber::FIRST };
    match change {
        ChangeType::Major => VersionNumber { major: last.major + 1, minor: 0, patch: None },
        ChangeType::Minor => VersionNumber { major: last.major, minor: last.minor + 1, patch: None },
    }
}

/// Whether a number was given before, whatever way it was written.
#[must_use]
pub fn is_taken(used: &[VersionNumber], number: VersionNumber) -> bool {
    used.iter().any(|one| one.place() == number.place())
}

/// What is known of a version: the facts its status and the blockers follow from.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Facts {
    /// The version.
    pub version_id: VersionId,
    /// Its number.
    pub number: String,
    /// How far the change goes.
    pub change_type: ChangeType,
    /// Its validation: the newest request that is not cancelled.
    pub request_id: Option<RequestId>,
    /// Where that stands.
    pub validation_state: Option<ValidationState>,
    /// Whether it is ratified live somewhere.
    pub live_now: bool,
    /// Whether it ever was.
    pub live_ever: bool,
}

impl Facts {
    /// The status that follows from the facts.
    #[must_use]
    pub fn status(&self) -> VersionStatus {
        version_status(self.live_now, self.live_ever, self.validation_state)
    }
}

/// What the facts about a version add up to (2-governance, Versions). What is live counts before
/// what is approved, and what was live before what is being reviewed.
#[must_use]
pub fn version_status(live_now: bool, live_ever: bool, validation: Option<ValidationState>) -> VersionStatus {
    match validation {
        _ if live_now => VersionStatus::Active,
        _ if live_ever => VersionStatus::Superseded,
        None | Some(ValidationState::Cancelled) => VersionStatus::Draft,
        Some(ValidationState::Approved) => VersionStatus::Approved,
        Some(_) => VersionStatus::InValidation,
    }
}

/// Something that must end before a model takes its next version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Blocker {
    /// The version in the way.
    pub version_id: VersionId,
    /// Its number.
    pub version_number: String,
    /// Its validation request.
    pub request_id: Option<RequestId>,
    /// What stands in the way, and what ends it, as a sentence.
    pub sentence: String,
}

/// What blocks the creation of another version (2-governance, Versions, *Creation blockers*).
#[must_use]
pub fn blockers(versions: &[Facts]) -> Vec<Blocker> {
    versions
        .iter()
        .filter_map(|version| {
            let number = &version.number;
            let sentence = match version.validation_state? {
                ValidationState::Cancelled => return None,
                ValidationState::Approved if version.change_type == ChangeType::Major && !version.live_ever => format!(
                    "The major version {number} is approved and not yet ratified anywhere: deploy it and confirm its deployment first."
                ),
                ValidationState::Approved => return None,
                _ => format!(
                    "Version {number} is in an open validation: it must be approved or cancelled first."
                ),
            };
            Some(Blocker {
                version_id: version.version_id,
                version_number: number.clone(),
                request_id: version.request_id,
                sentence,
            })
        })
        .collect()
}

/// Whether a change needs an approved validation: a MAJOR always, a MINOR if its tier's rule says so.
#[must_use]
pub fn needs_validation(change: ChangeType, minor_needs_validation: bool) -> bool {
    change == ChangeType::Major || minor_needs_validation
}

/// Whether the regions fit the scope: a REGIONAL change names at least one (2-governance, Versions).
#[must_use]
pub fn names_enough_regions(scope: VersionScope, affected: usize) -> bool {
    scope == VersionScope::Global || affected > 0
}

/// The calendar date in a time zone. A zone that is not known (none can be entered) counts as UTC.
#[must_use]
pub fn today(time_zone: &str, now: DateTime<Utc>) -> NaiveDate {
    match time_zone.parse::<chrono_tz::Tz>() {
        Ok(zone) => now.with_timezone(&zone).date_naive(),
        Err(_) => now.date_naive(),
    }
}

/// How the approved and the ratified truth about a version in a region stand to one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Agreement {
    /// Approved and ratified live.
    Agree,
    /// Ratified live, and the change needs no validation.
    NoValidationNeeded,
    /// Approved, not ratified, and nothing in the way.
    ReadyToDeploy,
    /// Approved, not ratified; the region's own approval is missing.
    RegionalApprovalMissing,
    /// Approved, and a version with a later approval is live.
    LaterVersionLive,
    /// Ratified, not approved: an override that compliance has yet to review.
    OverrideUnderReview,
    /// Ratified, not approved: an override that was reviewed.
    OverrideReviewed,
    /// Ratified live under an earlier approval; a newer validation of it is under way.
    ValidationOpen,
    /// Was ratified live, and is no longer.
    Ended,
    /// Neither approved nor ratified.
    NotYet,
}

impl Agreement {
    /// As people read it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Agree => "Agree",
            Self::NoValidationNeeded => "Agree, no validation needed",
            Self::ReadyToDeploy => "Ready to deploy",
            Self::RegionalApprovalMissing => "Ready, regional approval missing",
            Self::LaterVersionLive => "A later version is live",
            Self::OverrideUnderReview => "Override under review",
            Self::OverrideReviewed => "Override, reviewed",
            Self::ValidationOpen => "Live, new validation open",
            Self::Ended => "Replaced",
            Self::NotYet => "Not approved yet",
        }
    }

    /// Its icon and the colour of its status, as `docs/components.md` names them.
    #[must_use]
    pub const fn look(self) -> (&'static str, &'static str) {
        match self {
            Self::Agree | Self::NoValidationNeeded => ("check", "ok"),
            Self::ReadyToDeploy => ("rocket", "info"),
            Self::RegionalApprovalMissing => ("lock", "warn"),
            Self::OverrideUnderReview => ("warning", "warn"),
            Self::OverrideReviewed => ("flag", "muted"),
            Self::LaterVersionLive | Self::Ended => ("undo", "muted"),
            Self::ValidationOpen => ("shield", "info"),
            Self::NotYet => ("clock", "muted"),
        }
    }
}

/// What is known of one version in one of its target regions.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct TruthFacts {
    /// Its validation is approved.
    pub approved: bool,
    /// The change needs a validation.
    pub needs_validation: bool,
    /// The region's own approval is missing.
    pub locked: bool,
    /// It is ratified live there.
    pub live: bool,
    /// It was ratified live there once.
    pub was_live: bool,
    /// A version with a later approval is live there.
    pub later_live: bool,
    /// It went live by an override whose review is open.
    pub override_open: bool,
    /// It went live by an override.
    pub overridden: bool,
}

/// The disagreement said as such (1-product, *three truths*).
#[must_use]
pub fn agreement(is: TruthFacts) -> Agreement {
    match is {
        _ if is.live && is.override_open => Agreement::OverrideUnderReview,
        _ if is.live && is.approved => Agreement::Agree,
        _ if is.live && is.overridden => Agreement::OverrideReviewed,
        _ if is.live && !is.needs_validation => Agreement::NoValidationNeeded,
        // Without an override it was approved when it went live; a newer validation is under way.
        _ if is.live => Agreement::ValidationOpen,
        _ if is.approved && is.later_live => Agreement::LaterVersionLive,
        _ if is.approved && is.locked => Agreement::RegionalApprovalMissing,
        _ if is.approved => Agreement::ReadyToDeploy,
        _ if is.was_live => Agreement::Ended,
        _ => Agreement::NotYet,
    }
}
