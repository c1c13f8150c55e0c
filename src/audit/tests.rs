use std::path::Path;

use super::rules::{ACTS, Change, changes, href, sentence};

/// The names of acts in a source file: what stands first in `Record::new("…"` and `record("…"`.
fn recorded(text: &str) -> Vec<String> {
    let calls = text.match_indices("ecord").filter_map(|(at, _)| {
        let rest = &text[at + "ecord".len()..];
        let rest = rest.strip_prefix("::new").unwrap_or(rest).strip_prefix('(')?.trim_start();
        Some(rest.strip_prefix('"')?.split('"').next()?.to_owned())
    });
    calls.filter(|name| name.contains('.')).collect()
}

fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            found.extend(recorded(&std::fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn every_act_that_is_recorded_has_words() {
    let mut found = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(!found.is_empty());
    found.retain(|name| !ACTS.iter().any(|act| act.0 == name));
    assert!(found.is_empty(), "give these acts words in audit/rules.rs: {found:?}");
}

#[test]
fn an_unknown_act_still_reads() {
    assert_eq!(sentence("moon.landed_on", None), "moon landed on");
}

#[test]
fn a_step_is_named() {
    let after = r#"{"step":"Verify v2-0a1b2c3d","position":2}"#;
    assert_eq!(sentence("release.step_started", Some(after)), "began a step of a release: Verify v2-0a1b2c3d");
    assert_eq!(sentence("release.step_started", None), "began a step of a release");
}

#[test]
fn only_what_differs_is_a_change() {
    let change = |field: &str, before: Option<&str>, after: Option<&str>| Change {
        field: field.into(),
        before: before.map(Into::into),
        after: after.map(Into::into),
    };
    assert_eq!(
        changes(Some(r#"{"a":1,"b":"x","c":null}"#), Some(r#"{"a":1,"b":"y","d":[1]}"#)),
        [change("b", Some("x"), Some("y")), change("d", None, Some("[1]"))]
    );
    assert_eq!(changes(None, Some("7")), [change("", None, Some("7"))]);
    assert!(changes(None, None).is_empty());
}

#[test]
fn a_thing_without_a_page_leads_to_its_model() {
    assert_eq!(href("version", "3", Some(1)).as_deref(), Some("/versions/3"));
    assert_eq!(href("delegation", "3", Some(1)).as_deref(), Some("/models/1"));
    assert_eq!(href("session", "3", None), None);
}
