//! What statistics mean: windows, levels, and when there are none. Pure.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::sketch::Sketch;
use crate::app::Settings;
use crate::db::text_enum;

/// How often endpoints are read.
pub const SCRAPE_EVERY: Duration = Duration::from_secs(10);
/// Statistics older than this are stale.
pub const STALE_AFTER: TimeDelta = TimeDelta::seconds(60);
/// How long minutes are kept: a day's chart is made of them.
pub const MINUTES_KEPT: TimeDelta = TimeDelta::hours(49);
/// How long hours are kept.
pub const HOURS_KEPT: TimeDelta = TimeDelta::days(400);

text_enum! {
    /// The time that statistics cover (3-lifecycle, Deployments, Detail).
    pub enum Window {
        /// The last hour, minute by minute.
        Hour = "1h",
        /// The last day, a quarter of an hour a point.
        Day = "24h",
        /// The last week, hour by hour.
        Week = "7d",
    }
}

impl Window {
    /// How long it is.
    #[must_use]
    pub const fn length(self) -> TimeDelta {
        match self {
            Self::Hour => TimeDelta::hours(1),
            Self::Day => TimeDelta::hours(24),
            Self::Week => TimeDelta::days(7),
        }
    }

    /// How long one point of its chart is, in seconds.
    #[must_use]
    pub const fn point(self) -> i64 {
        match self {
            Self::Hour => 60,
            Self::Day => 900,
            Self::Week => 3600,
        }
    }

    /// The same in words.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Hour => "Last hour",
            Self::Day => "Last 24 hours",
            Self::Week => "Last 7 days",
        }
    }

    /// Where it begins: on a full point.
    #[must_use]
    pub fn start(self, now: DateTime<Utc>) -> DateTime<Utc> {
        floor(now - self.length(), self.point())
    }
}

/// The last full multiple of `seconds` before an instant.
#[must_use]
pub fn floor(at: DateTime<Utc>, seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(at.timestamp().div_euclid(seconds) * seconds, 0).unwrap_or(at)
}

text_enum! {
    /// What can be said of an endpoint's requests.
    #[derive(Default)]
    pub enum Availability {
        /// There were requests.
        Available = "available",
        /// The endpoint was read, and had none.
        NoTraffic = "no_traffic",
        /// It was read, but not lately.
        Stale = "stale",
        /// It does not run, or cannot be read.
        #[default]
        Unavailable = "unavailable",
    }
}

/// What can be said, given when the endpoint was last read (3-lifecycle: "no traffic" is not zero).
#[must_use]
pub fn availability(active: bool, measured: Option<DateTime<Utc>>, requests: i64, now: DateTime<Utc>) -> Availability {
    match measured {
        _ if !active => Availability::Unavailable,
        None => Availability::Unavailable,
        Some(at) if now - at > STALE_AFTER => Availability::Stale,
        Some(_) if requests == 0 => Availability::NoTraffic,
        Some(_) => Availability::Available,
    }
}

/// Where a figure turns amber or red.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Thresholds {
    /// Milliseconds above which the median is amber.
    pub p50_ms: f64,
    /// Milliseconds above which P95 is red.
    pub p95_ms: f64,
    /// Share of failed requests above which the error rate is red.
    pub error_rate: f64,
}

impl Thresholds {
    /// As the settings have them.
    #[must_use]
    pub const fn of(settings: &Settings) -> Self {
        Self {
            p50_ms: settings.p50_amber_ms,
            p95_ms: settings.p95_red_ms,
            error_rate: settings.errors_red_percent / 100.0,
        }
    }
}

/// Requests of a minute or more.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// How many were made.
    pub requests: i64,
    /// How many of them failed.
    pub errors: i64,
    /// How long those took that reached the model.
    pub sketch: Sketch,
}

impl Tally {
    /// The share of requests that failed; none without requests.
    #[must_use]
    pub fn error_rate(&self) -> Option<f64> {
        (self.requests > 0).then(|| self.errors as f64 / self.requests as f64)
    }

    /// Adds another's.
    ///
    /// # Errors
    /// As [`Sketch::merge`].
    pub fn add(&mut self, other: &Self) -> crate::error::Result<()> {
        self.requests += other.requests;
        self.errors += other.errors;
        self.sketch.merge(&other.sketch)
    }
}
