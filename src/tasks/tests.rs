//! The rules of deployment tasks, by tables and properties.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use proptest::prelude::*;

use super::rules::*;
use crate::words::ValidationState;

fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

#[test]
fn days_fall_into_buckets() {
    for (days, bucket) in [
        (-1, Bucket::Overdue),
        (0, Bucket::DueToday),
        (1, Bucket::DueSoon),
        (7, Bucket::DueSoon),
        (8, Bucket::Upcoming),
    ] {
        assert_eq!(Bucket::of(days), bucket, "{days}");
    }
}

#[test]
fn today_is_the_regions_own() {
    let now = instant("2026-03-31T16:00:00Z");
    for (zone, today) in [
        (Some("Asia/Tokyo"), "2026-04-01"),
        (Some("Pacific/Honolulu"), "2026-03-31"),
        (Some("Not/AZone"), "2026-03-31"),
        (None, "2026-03-31"),
    ] {
        assert_eq!(super::rules::today(now, zone), date(today), "{zone:?}");
    }
}

/// What is known of the approvals, the reason that was sent, and the code of the answer or the flags.
#[test]
fn approvals_and_reasons_meet_as_specified() {
    let approved = Some(ValidationState::Approved);
    let open = Some(ValidationState::Review);
    let good = Some("The regulator asked for it today");
    type Row<'a> = (Option<ValidationState>, bool, bool, Option<&'a str>, Result<(bool, bool), &'a str>);
    let table: [Row<'_>; 12] = [
        (approved, true, false, None, Ok((false, false))),
        (None, false, false, None, Ok((false, false))),
        (approved, true, false, Some("  "), Ok((false, false))),
        (approved, true, false, good, Err("override_not_needed")),
        (None, false, false, good, Err("override_not_needed")),
        (open, true, false, None, Err("validation_not_approved")),
        (open, false, false, None, Err("validation_not_approved")),
        (None, true, false, None, Err("validation_not_approved")),
        (open, true, false, Some("too short"), Err("invalid")),
        (open, true, true, good, Ok((true, true))),
        (approved, true, true, None, Err("regional_approval_required")),
        (approved, true, true, good, Ok((false, true))),
    ];
    for (validation, needs_validation, locked, reason, wanted) in table {
        let got = check_approval(Readiness { validation, needs_validation, locked }, reason);
        let got = got.as_ref().map(|missing| (missing.validation, missing.regional)).map_err(|error| error.code().code);
        assert_eq!(got, wanted, "{validation:?} {needs_validation} {locked} {reason:?}");
    }
}

#[test]
fn a_reason_of_exactly_the_length_is_enough() {
    let readiness = Readiness { validation: None, needs_validation: true, locked: false };
    assert!(check_approval(readiness, Some(&"ä".repeat(OVERRIDE_REASON_LENGTH))).is_ok());
    assert!(check_approval(readiness, Some(&"ä".repeat(OVERRIDE_REASON_LENGTH - 1))).is_err());
}

#[test]
fn live_dates_lie_between_the_version_and_today() {
    let (today, created) = (date("2026-03-31"), date("2026-03-01"));
    for (on, live_since, fine) in [
        ("2026-03-31", None, true),
        ("2026-04-01", None, false),
        ("2026-03-01", None, true),
        ("2026-02-28", None, false),
        ("2026-03-10", Some("2026-03-10"), true),
        ("2026-03-09", Some("2026-03-10"), false),
    ] {
        let got = check_live_date(date(on), today, created, live_since.map(date));
        assert_eq!(got.is_ok(), fine, "{on} {live_since:?}");
    }
}

proptest! {
    /// At any instant every zone is in one of the three lists of dates that the statements use.
    #[test]
    fn there_are_at_most_three_dates_on_earth(seconds in 0_i64..4_000_000_000) {
        let now = DateTime::from_timestamp(seconds, 0).unwrap();
        let (behind, ahead) = (zones_at(now, -1), zones_at(now, 1));
        for zone in chrono_tz::TZ_VARIANTS {
            let there = now.with_timezone(&zone).date_naive() - now.date_naive();
            prop_assert_eq!(behind.contains(&zone.name()), there == TimeDelta::days(-1));
            prop_assert_eq!(ahead.contains(&zone.name()), there == TimeDelta::days(1));
            prop_assert!(there.num_days().abs() <= 1);
        }
    }

    /// A bucket's days are just those that fall into it.
    #[test]
    fn buckets_and_their_days_agree(days in -400_i64..400) {
        for bucket in Bucket::ALL {
            let (first, last) = bucket.days();
            let within = first.is_none_or(|first| days >= first) && last.is_none_or(|last| days <= last);
            prop_assert_eq!(within, Bucket::of(days) == *bucket);
        }
    }
}
