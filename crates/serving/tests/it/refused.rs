//! Every refusal: of artifacts, before a server begins, and of requests.

use countersign_serving::{Error, ErrorCode};
use serde_json::{Value, json};

use crate::harness::{Options, Served, columns, expected, features, fixture, options, reply, served};

async fn refused(options: Options) -> Error {
    countersign_serving::serve(options, |_| panic!("it must not begin"), std::future::pending()).await.unwrap_err()
}

#[tokio::test]
async fn an_artifact_with_another_digest() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let error = refused(Options { digest: Some(digest.clone()), ..options("conv") }).await;
    assert_eq!(error.code, ErrorCode::ArtifactDigestMismatch);
    assert!(error.sentence.contains(&digest), "{error}");
    let line: Value = serde_json::from_str(&error.to_json()).unwrap();
    assert_eq!(line["code"], "artifact_digest_mismatch");
    assert_eq!(line["message"], error.sentence);
}

#[tokio::test]
async fn a_digest_that_is_none() {
    let error = refused(Options { digest: Some("md5:1234".to_owned()), ..options("conv") }).await;
    assert_eq!(error.code, ErrorCode::OptionInvalid);
}

#[tokio::test]
async fn an_unsupported_operator_is_named() {
    let error = refused(options("svm")).await;
    assert_eq!(error.code, ErrorCode::UnsupportedOperator);
    assert!(error.sentence.contains("ai.onnx.ml.SVMClassifier"), "{error}");
    assert!(error.sentence.contains("TreeEnsembleClassifier"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_not_there() {
    let error = refused(options("no-such")).await;
    assert_eq!(error.code, ErrorCode::ArtifactUnreadable);
}

#[tokio::test]
async fn a_file_that_is_no_model() {
    for bytes in [b"".as_slice(), b"hello", b"\x08\x07", &[0xff; 400]] {
        let file = std::env::temp_dir().join(format!("no-model-{}-{}.onnx", std::process::id(), bytes.len()));
        std::fs::write(&file, bytes).unwrap();
        let error = refused(Options { artifact: file.clone(), ..options("conv") }).await;
        std::fs::remove_file(file).unwrap();
        assert_eq!(error.code, ErrorCode::ArtifactInvalid, "{bytes:?}: {error}");
    }
}

#[tokio::test]
async fn an_artifact_that_was_cut_off_or_changed() {
    let whole = std::fs::read(fixture("credit-boosted")).unwrap();
    for at in (0..whole.len()).step_by(whole.len() / 23) {
        let mut changed = whole.clone();
        if at % 2 == 0 {
            changed.truncate(at);
        } else {
            changed[at] ^= 0x55;
        }
        let file = std::env::temp_dir().join(format!("changed-{}-{at}.onnx", std::process::id()));
        std::fs::write(&file, changed).unwrap();
        // A changed byte may make another model that is sound; what matters is that nothing falls over.
        let loaded = countersign_serving::Model::load(&file, "credit", "1", None);
        std::fs::remove_file(file).unwrap();
        assert!(at % 2 == 1 || loaded.is_err());
    }
}

#[tokio::test]
async fn an_address_that_is_taken() {
    let server = served("conv").await;
    let error = refused(Options { listen: server.address.to_string(), ..options("conv") }).await;
    assert_eq!(error.code, ErrorCode::ListenFailed);
}

#[tokio::test]
async fn a_name_that_is_no_part_of_an_address() {
    for name in ["", "a/b"] {
        let error = refused(Options { name: name.to_owned(), ..options("conv") }).await;
        assert_eq!(error.code, ErrorCode::OptionInvalid);
    }
}

#[tokio::test]
async fn an_address_or_model_or_version_that_is_not_there() {
    let server = served("conv").await;
    for path in ["/", "/v3", "/v2/models/other", "/v2/models/credit/versions/4", "/v2/models/credit/versions/4/ready"] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        answer.error();
    }
    let request = server.http.post(server.url("/v2/models/other/infer")).body("{}");
    assert!(reply(request).await.error().contains("“other”"));
}

#[tokio::test]
async fn a_method_that_an_address_does_not_answer() {
    let answer = served("conv").await.get("/v2/models/credit/infer").await;
    assert_eq!(answer.status, 405);
    answer.error();
}

async fn bad(server: &Served, request: &Value, part: &str) {
    let answer = server.infer(request).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.error().contains(part), "“{}” does not contain “{part}”", answer.error());
}

#[tokio::test]
async fn requests_that_are_not_what_the_protocol_asks_for() {
    let server = served("credit-logistic").await;
    let right = features(&expected("credit-logistic")["inputs"]["features"]);
    let with = |path: &str, value: Value| {
        let mut request = right.clone();
        *request.pointer_mut(path).unwrap() = value;
        request
    };
    bad(&server, &json!([]), "not the JSON of an inference request").await;
    bad(&server, &json!({}), "missing field `inputs`").await;
    bad(&server, &json!({ "inputs": [] }), "missing: features").await;
    bad(&server, &with("/inputs/0/name", json!("other")), "no input “other”; it has: features").await;
    bad(&server, &with("/inputs/0/datatype", json!("FP64")), "its data type is FP32, not FP64").await;
    bad(&server, &with("/inputs/0/datatype", json!("FLOAT")), "FLOAT is not a data type").await;
    bad(&server, &with("/inputs/0/shape", json!([8, 19])), "its shape is [-1, 20]").await;
    bad(&server, &with("/inputs/0/shape", json!([160])), "its shape is [-1, 20]").await;
    bad(&server, &with("/inputs/0/shape", json!([9, 20])), "not nested as its shape [9, 20] says").await;
    bad(&server, &with("/inputs/0/shape", json!([-8, 20])), "expected usize").await;
    bad(&server, &with("/inputs/0/shape", json!([0, 20])), "has no elements").await;
    bad(&server, &with("/inputs/0/shape", json!([u64::MAX, 20])), "or too many").await;
    bad(&server, &with("/inputs/0/data", json!(vec![0.5; 159])), "has 159 elements").await;
    bad(&server, &with("/inputs/0/data", json!(vec![0.5; 161])), "more elements").await;
    bad(&server, &with("/inputs/0/data", json!("text")), "not an array").await;
    bad(&server, &with("/inputs/0/data/3/3", json!("much")), "\"much\" is not a number").await;
    bad(&server, &with("/inputs/0/data/3/3", json!([1])), "nested").await;
    bad(&server, &with("/inputs/0/data/3", json!([1, 2])), "nested").await;
    bad(&server, &with("/inputs/0/data/3/3", json!(1e300)), "too large").await;
    bad(&server, &with("/inputs/0/data/3/3", json!({ "a": 1 })), "a number").await;
    let none = json!({ "inputs": [{ "name": "features", "datatype": "FP32", "shape": [1, 20] }] });
    bad(&server, &none, "neither data nor binary_data_size").await;
    let twice = json!({ "inputs": [right["inputs"][0], right["inputs"][0]] });
    bad(&server, &twice, "given twice").await;
    let mut request = right.clone();
    request["outputs"] = json!([{ "name": "score" }]);
    bad(&server, &request, "no output “score”; it has: label, probabilities").await;
    request["outputs"] = json!([{ "name": "label" }, { "name": "label" }]);
    bad(&server, &request, "asked for twice").await;
    request["outputs"] = json!([{ "name": "label", "parameters": { "classification": 1 } }]);
    bad(&server, &request, "classification extension").await;
}

#[tokio::test]
async fn rows_that_slide_into_one_another() {
    let server = served("credit-logistic").await;
    let mut rows = expected("credit-logistic")["inputs"]["features"].as_array().unwrap()[..2].to_vec();
    let last = rows[0].as_array_mut().unwrap().pop().unwrap();
    rows[1].as_array_mut().unwrap().insert(0, last);
    let mut request = features(&json!(rows));
    request["inputs"][0]["shape"] = json!([2, 20]);
    bad(&server, &request, "not nested as its shape [2, 20] says").await;
}

#[tokio::test]
async fn columns_of_different_length_or_missing() {
    let server = served("credit-tabular").await;
    let inputs = &expected("credit-tabular")["inputs"];
    let mut request = columns(inputs, 0..2);
    request["inputs"][3] = columns(inputs, 0..3)["inputs"][3].clone();
    bad(&server, &request, "but other inputs have 2 where it has 3").await;
    let mut request = columns(inputs, 0..1);
    request["inputs"].as_array_mut().unwrap().remove(0);
    bad(&server, &request, "missing: ").await;
}

#[tokio::test]
async fn values_out_of_the_range_of_their_type() {
    let server = served("types").await;
    let cases = [
        ("in_INT8", json!([128, 0]), "128 is not a whole number of 8 bits"),
        ("in_UINT8", json!([-1, 0]), "not negative"),
        ("in_INT32", json!([0.5, 0]), "0.5 is not a whole number"),
        ("in_BOOL", json!([2, 0]), "2 is not true or false"),
        ("in_FLOAT16", json!([70000, 0]), "too large"),
        ("in_STRING", json!([1, "a"]), "1 is not text"),
        ("in_INT64", json!([null, 1]), "null is not a whole number"),
    ];
    for (name, data, part) in cases {
        let mut request = crate::protocol::request_of_every_type();
        let inputs = request["inputs"].as_array_mut().unwrap();
        inputs.iter_mut().find(|input| input["name"] == name).unwrap()["data"] = data;
        bad(&server, &request, part).await;
    }
}

#[tokio::test]
async fn an_input_on_which_the_model_fails_and_the_next_on_which_it_does_not() {
    let server = served("credit-fragile").await;
    let inputs = expected("credit-tabular")["inputs"].clone();
    let mut long = columns(&inputs, 0..1);
    let duration = long["inputs"].as_array_mut().unwrap().iter_mut().find(|one| one["name"] == "duration_in_month");
    let duration = duration.unwrap();
    duration["data"] = json!([48.0]);
    let answer = server.infer(&long).await;
    assert_eq!(answer.status, 500, "{}", answer.text());
    assert!(answer.error().starts_with("The model failed: "));
    let mut short = long.clone();
    let duration = short["inputs"].as_array_mut().unwrap().iter_mut().find(|one| one["name"] == "duration_in_month");
    duration.unwrap()["data"] = json!([12.0]);
    for _ in 0..4 {
        assert_eq!(server.infer(&short).await.status, 200);
    }
}

#[tokio::test]
async fn a_compressed_body() {
    let server = served("conv").await;
    let request = server.http.post(server.url("/v2/models/credit/infer")).header("content-encoding", "gzip").body("x");
    let answer = reply(request).await;
    assert_eq!(answer.status, 415);
    answer.error();
}
