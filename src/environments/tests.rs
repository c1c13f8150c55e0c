//! Tables of the rules.

use super::rules::{default_endpoint, is_frozen, read_endpoint};
use crate::error::Fields;

#[test]
fn an_endpoint_is_an_address_and_a_port() {
    for (text, good) in [
        ("127.0.0.1:7101", true),
        (" [::1]:7101 ", true),
        ("127.0.0.1:0", false),
        ("127.0.0.1", false),
        ("localhost:7101", false),
        ("", false),
    ] {
        let mut fields = Fields::default();
        let read = read_endpoint(&mut fields, text);
        assert_eq!(fields.done().is_ok(), good, "“{text}”");
        assert_eq!(read.is_empty(), !good, "“{text}”");
    }
    assert_eq!(default_endpoint(0), "127.0.0.1:7101");
}

#[test]
fn a_freeze_window_starts_with_its_first_instant_and_ends_before_its_last() {
    let at = |hour: i64| chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::hours(hour);
    for (hour, frozen) in [(0, false), (1, true), (2, true), (3, false)] {
        assert_eq!(is_frozen(at(1), at(3), at(hour)), frozen, "{hour}");
    }
}
