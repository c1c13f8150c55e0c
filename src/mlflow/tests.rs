use proptest::prelude::*;

use super::filter::{Comparison, Subject, Test, parse, parse_order};
use super::rules::{self, Bytes, Holder, Source};

#[test]
fn a_filter_is_read_as_mlflow_writes_it() {
    let clauses = parse(
        "metrics.`a b` < 1 and params.p = 'it''s' AND tag.\"x\" ILIKE '%y' AND run_id IN ('a', 'b') AND tags.z IS NULL",
    );
    let clauses = clauses.unwrap();
    assert_eq!(clauses.len(), 5);
    assert_eq!(clauses[0].subject, Subject::Metric("a b".to_owned()));
    assert_eq!(clauses[0].test, Test::Number(Comparison::Less, 1.0));
    assert_eq!(clauses[1].test, Test::Text(Comparison::Equal, "it's".to_owned()));
    assert_eq!(clauses[2].test, Test::Like("%y".to_owned(), true));
    assert_eq!(clauses[3].test, Test::In(vec!["a".to_owned(), "b".to_owned()], true));
    assert_eq!(clauses[4].test, Test::Exists(false));
    for wrong in
        ["metrics.a", "metrics.a < ", "a = 'b' OR c = 'd'", "a = 'b", "x.y = 1", "a IN ()", "; DROP TABLE models"]
    {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
    assert!(parse_order("metrics.loss DESC").unwrap().descending);
    assert!(parse_order("name ASC; DELETE").is_err());
}

#[test]
fn a_path_never_leads_out_of_its_run() {
    let run = "0123456789abcdef0123456789abcdef";
    let place = rules::place(&format!("7/{run}/artifacts/model/MLmodel")).unwrap();
    assert_eq!((place.holder, place.path.as_str()), (Holder::run(run), "model/MLmodel"));
    for wrong in ["7", "7/x/artifacts/a", "a/b/c", &format!("7/{run}/other"), &format!("7/{run}/artifacts/../../x")] {
        assert!(rules::place(wrong).is_err(), "{wrong}");
    }
    for wrong in ["../x", "a//b", "a/./b", "a\\b", "a\0"] {
        assert!(rules::clean(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn a_source_is_kept_here_or_refused() {
    let run = "0123456789abcdef0123456789abcdef";
    assert_eq!(rules::source(&format!("runs:/{run}/m")).unwrap(), Source::Files(Holder::run(run), "m".to_owned()));
    assert_eq!(rules::source("models:/PD/3").unwrap(), Source::Version("PD".to_owned(), 3));
    let address = format!("mlflow-artifacts://host:1/1/models/m-{run}/artifacts");
    assert_eq!(rules::source(&address).unwrap(), Source::Files(Holder::model(&format!("m-{run}")), String::new()));
    assert!(rules::source("s3://bucket/model").is_err());
}

#[test]
fn one_onnx_file_is_the_artifact_and_else_a_list_of_all() {
    let file = |path: &str, digest: &str| (path.to_owned(), digest.to_owned(), 3);
    assert_eq!(
        rules::bytes(&[file("MLmodel", "aa"), file("d/model.onnx", "bb")]).unwrap(),
        Bytes::Onnx("model.onnx".to_owned(), "bb".to_owned())
    );
    let list = rules::bytes(&[file("b", "bb"), file("a", "aa")]).unwrap();
    assert_eq!(list, Bytes::Manifest("aa  3  a\nbb  3  b\n".to_owned()));
    assert!(rules::bytes(&[]).is_err());
}

#[test]
fn what_lies_in_or_over_a_sealed_folder_is_sealed() {
    let sealed = ["model".to_owned()];
    for path in ["model", "model/MLmodel", ""] {
        assert!(path.is_empty() || rules::seal_over(path, &sealed).is_some(), "{path}");
    }
    assert!(rules::seal_over("models/x", &sealed).is_none());
}

proptest! {
    #[test]
    fn any_text_is_a_filter_or_a_refusal(text in ".{0,60}") {
        let _ = parse(&text);
        let _ = parse_order(&text);
    }
}
