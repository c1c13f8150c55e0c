//! Deployment tasks: states, dates, buckets, and what a confirmation needs. Pure.
//!
//! Source: 2-governance, *Deployment tasks*.

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;

use crate::db::text_enum;
use crate::error::{self, Error, Result};
use crate::words::ValidationState;

text_enum! {
    /// Where a task stands. ADJUSTED is as open as PENDING.
    pub enum TaskStatus {
        /// Waiting for the owner.
        Pending = "PENDING",
        /// Waiting, with another date than the first.
        Adjusted = "ADJUSTED",
        /// The owner confirmed that the version went live.
        Confirmed = "CONFIRMED",
        /// Given up.
        Cancelled = "CANCELLED",
    }
}

impl TaskStatus {
    /// Whether the task can be confirmed, adjusted and cancelled.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Adjusted)
    }
}

text_enum! {
    /// How the planned date stands to today in the task's region.
    pub enum Bucket {
        /// Before today.
        Overdue = "overdue",
        /// Today.
        DueToday = "due_today",
        /// Within the next seven days.
        DueSoon = "due_soon",
        /// Later.
        Upcoming = "upcoming",
    }
}

/// How far *due soon* reaches.
pub const SOON_DAYS: i64 = 7;

impl Bucket {
    /// The bucket of a task that is due in so many days.
    #[must_use]
    pub const fn of(days_until_due: i64) -> Self {
        match days_until_due {
            ..0 => Self::Overdue,
            0 => Self::DueToday,
            1..=SOON_DAYS => Self::DueSoon,
            _ => Self::Upcoming,
        }
    }

    /// The first and the last day of the bucket, as days from today; `None` where it has no end.
    #[must_use]
    pub const fn days(self) -> (Option<i64>, Option<i64>) {
        match self {
            Self::Overdue => (None, Some(-1)),
            Self::DueToday => (Some(0), Some(0)),
            Self::DueSoon => (Some(1), Some(SOON_DAYS)),
            Self::Upcoming => (Some(SOON_DAYS + 1), None),
        }
    }
}

text_enum! {
    /// Where the review of an override stands.
    pub enum OverrideState {
        /// Waiting for compliance.
        Open = "OPEN",
        /// Compliance accepts the reason.
        Accepted = "ACCEPTED",
        /// Compliance does not accept the reason.
        Rejected = "REJECTED",
        /// The approval came after all.
        NowApproved = "NOW_APPROVED",
    }
}

/// The fewest characters of an override reason.
pub const OVERRIDE_REASON_LENGTH: usize = 20;

/// What people are told beside a confirmation that needs an override.
pub const OVERRIDE_POLICY: &str = "Policy: a model version goes live only after its validation is approved, and in a region that requires its \
     own approval only after that was given. A deployment before that is an override: it needs a written reason, is flagged, \
     and is reviewed by compliance.";

/// The calendar date in a time zone; in UTC where a task has no region of its own.
#[must_use]
pub fn today(now: DateTime<Utc>, zone: Option<&str>) -> NaiveDate {
    match zone.and_then(|name| name.parse::<Tz>().ok()) {
        Some(zone) => now.with_timezone(&zone).date_naive(),
        None => now.date_naive(),
    }
}

/// The time zones whose date at `now` is `days` away from the date in UTC (never more than one).
#[must_use]
pub fn zones_at(now: DateTime<Utc>, days: i64) -> Vec<&'static str> {
    let utc = now.date_naive();
    chrono_tz::TZ_VARIANTS
        .iter()
        .filter(|zone| (now.with_timezone(*zone).date_naive() - utc).num_days() == days)
        .map(|zone| zone.name())
        .collect()
}

/// What stands between a version and its confirmation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Readiness {
    /// The state of its validation, if it has one.
    pub validation: Option<ValidationState>,
    /// Whether a version of this kind needs a validation at all.
    pub needs_validation: bool,
    /// Whether a region it goes live in must approve first.
    pub locked: bool,
}

/// What is missing, as flags that a confirmation keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Missing {
    /// The validation is not approved.
    pub validation: bool,
    /// The regional approval is not given.
    pub regional: bool,
}

impl Readiness {
    /// What is missing.
    #[must_use]
    pub fn missing(self) -> Missing {
        let validation = match self.validation {
            Some(state) => state != ValidationState::Approved,
            None => self.needs_validation,
        };
        Missing { validation, regional: self.locked }
    }

    /// The state of the validation as people read it.
    #[must_use]
    pub fn validation_word(self) -> &'static str {
        match (self.validation, self.needs_validation) {
            (Some(state), _) => state.as_str(),
            (None, true) => "NONE",
            (None, false) => "NOT_REQUIRED",
        }
    }
}

/// Decides whether a confirmation may go through, and with which flags.
///
/// # Errors
/// `validation_not_approved` (400, with `requires_override`), `regional_approval_required` (409),
/// `override_not_needed` (400) if a reason was sent though nothing is missing, `invalid` if the reason
/// is too short.
pub fn check_approval(readiness: Readiness, reason: Option<&str>) -> Result<Missing> {
    let missing = readiness.missing();
    match reason.map(str::trim).filter(|reason| !reason.is_empty()) {
        None if missing.validation => Err(Error::new(
            &error::VALIDATION_NOT_APPROVED,
            format!("The version's validation is {}, not APPROVED.", readiness.validation_word()),
        )
        .fact("requires_override", true)
        .fact("validation_status", readiness.validation_word())
        .fact("policy", OVERRIDE_POLICY)),
        None if missing.regional => Err(Error::new(
            &error::REGIONAL_APPROVAL_REQUIRED,
            "The region requires its own approval, and has not given it yet.",
        )
        .fact("requires_override", true)
        .fact("policy", OVERRIDE_POLICY)),
        Some(_) if missing == Missing::default() => Err(Error::new(
            &error::OVERRIDE_NOT_NEEDED,
            "Everything is approved: an override reason is not taken, so that it cannot be mistaken for an override.",
        )),
        Some(reason) if reason.chars().count() < OVERRIDE_REASON_LENGTH => Err(Error::field(
            "validation_override_reason",
            format!("Write at least {OVERRIDE_REASON_LENGTH} characters: compliance must be able to judge it."),
        )),
        _ => Ok(missing),
    }
}

/// Checks the date on which a version went live.
///
/// # Errors
/// `invalid` if it is in the future in the region, before the version was made, or before the version
/// that is live there went live.
pub fn check_live_date(
    date: NaiveDate,
    today: NaiveDate,
    created: NaiveDate,
    live_since: Option<NaiveDate>,
) -> Result<()> {
    let refuse = |message: String| Err(Error::field("actual_production_date", message));
    if date > today {
        return refuse(format!("It is in the future: today is {today} there."));
    }
    if date < created {
        return refuse(format!("The version was only made on {created}."));
    }
    match live_since {
        Some(since) if date < since => {
            refuse(format!("The version that is live there went live on {since}, later than this."))
        }
        _ => Ok(()),
    }
}
