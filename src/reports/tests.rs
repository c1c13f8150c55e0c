use chrono::NaiveDate;

use super::rules::AsOf;
use crate::web::format::cell;

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

#[test]
fn a_day_ends_where_the_next_begins() {
    let now = "2026-11-21T09:30:00Z".parse().unwrap();
    let past = AsOf::new(Some(day("2026-10-31")), now).unwrap();
    assert_eq!(past.end.to_rfc3339(), "2026-11-01T00:00:00+00:00");
    assert_eq!(AsOf::new(None, now).unwrap().date, day("2026-11-21"));
}

#[test]
fn a_day_to_come_is_refused() {
    let now = "2026-11-21T09:30:00Z".parse().unwrap();
    let error = AsOf::new(Some(day("2026-11-22")), now).unwrap_err();
    assert_eq!(error.field_errors()[0].field, "as_of");
}

#[test]
fn what_a_spreadsheet_would_compute_is_defused() {
    for text in ["=1+1", "+1", "-1", "@x", " =1", "\t=1"] {
        assert_eq!(cell(text), format!("'{text}"));
    }
    for text in ["Credit risk", "1.0", "", "a=b"] {
        assert_eq!(cell(text), text);
    }
}
