//! Health, metadata, and requests as the protocol has them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{expected, features, output, served};

#[tokio::test]
async fn the_server_tells_what_it_is() {
    let server = served("credit-logistic").await;
    let about = server.get("/v2").await.json();
    assert_eq!(about["name"], "countersign-serving");
    assert_eq!(about["extensions"], json!(["binary_tensor_data"]));
}

#[tokio::test]
async fn health_is_told_for_the_server_and_the_model() {
    let server = served("credit-logistic").await;
    let paths =
        ["/v2/health/live", "/v2/health/ready", "/v2/models/credit/ready", "/v2/models/credit/versions/3/ready"];
    for path in paths {
        assert_eq!(server.get(path).await.status, 200, "{path}");
    }
    assert_eq!(server.get("/v2/models/credit/ready").await.json(), json!({ "name": "credit", "ready": true }));
}

#[tokio::test]
async fn metadata_names_shapes_types_and_the_digest() {
    let server = served("credit-tabular").await;
    let metadata = server.get("/v2/models/credit").await.json();
    assert_eq!(metadata, server.get("/v2/models/credit/versions/3").await.json());
    assert_eq!(metadata["name"], "credit");
    assert_eq!(metadata["versions"], json!(["3"]));
    assert_eq!(metadata["inputs"].as_array().unwrap().len(), 20);
    let text = json!({ "name": "status_of_existing_checking_account", "datatype": "BYTES", "shape": [-1, 1] });
    assert_eq!(metadata["inputs"][0], text);
    assert_eq!(metadata["inputs"][1], json!({ "name": "duration_in_month", "datatype": "FP32", "shape": [-1, 1] }));
    assert_eq!(
        metadata["outputs"],
        json!([
            { "name": "label", "datatype": "INT64", "shape": [-1] },
            { "name": "probabilities", "datatype": "FP32", "shape": [-1, 2] },
        ])
    );
    let bytes = std::fs::read(crate::harness::fixture("credit-tabular")).unwrap();
    let digest = format!("sha256:{}", hex::encode(<sha2::Sha256 as sha2::Digest>::digest(bytes)));
    assert_eq!(metadata["parameters"]["digest"], digest);
}

#[tokio::test]
async fn an_answer_bears_the_id_of_its_request() {
    let server = served("credit-logistic").await;
    let mut request = features(&expected("credit-logistic")["inputs"]["features"]);
    request["id"] = json!("a \"quoted\" id, ü");
    let answer = server.infer(&request).await.json();
    assert_eq!(answer["id"], request["id"]);
    assert_eq!((&answer["model_name"], &answer["model_version"]), (&json!("credit"), &json!("3")));
}

#[tokio::test]
async fn a_version_may_be_named() {
    let server = served("credit-logistic").await;
    let body = features(&expected("credit-logistic")["inputs"]["features"]);
    let request = server.http.post(server.url("/v2/models/credit/versions/3/infer")).json(&body);
    assert_eq!(crate::harness::reply(request).await.status, 200);
}

#[tokio::test]
async fn only_the_outputs_asked_for_come_back() {
    let server = served("credit-logistic").await;
    let mut request = features(&expected("credit-logistic")["inputs"]["features"]);
    request["outputs"] = json!([{ "name": "probabilities" }]);
    let answer = server.infer(&request).await.json();
    assert_eq!(answer["outputs"].as_array().unwrap().len(), 1);
    assert_eq!(answer["outputs"][0]["shape"], json!([8, 2]));
}

#[tokio::test]
async fn flat_and_nested_data_are_the_same() {
    let server = served("credit-logistic").await;
    let rows = &expected("credit-logistic")["inputs"]["features"];
    let nested = features(rows);
    let mut flat = nested.clone();
    flat["inputs"][0]["data"] = json!(crate::harness::numbers(rows));
    assert_eq!(server.infer(&nested).await.json(), server.infer(&flat).await.json());
}

#[tokio::test]
async fn the_order_of_keys_does_not_matter() {
    let server = served("conv").await;
    let data = vec!["0.5"; 64].join(",");
    let body = format!(
        r#"{{"inputs":[{{"data":[{data}],"parameters":{{"note":1}},"shape":[1,1,8,8],"extra":{{"a":[1]}},"datatype":"FP32","name":"image"}}],"id":"x"}}"#
    );
    let answer = server.http.post(server.url("/v2/models/credit/infer")).body(body);
    assert_eq!(output(&crate::harness::reply(answer).await.json(), "scores").len(), 3);
}

/// Every data type, as it is sent and as it comes back.
fn every_type() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("BOOL", "BOOL", json!([true, false])),
        ("INT8", "INT8", json!([-128, 127])),
        ("INT16", "INT16", json!([-32768, 32767])),
        ("INT32", "INT32", json!([i32::MIN, i32::MAX])),
        ("INT64", "INT64", json!([i64::MIN, i64::MAX])),
        ("UINT8", "UINT8", json!([0, 255])),
        ("UINT16", "UINT16", json!([0, 65535])),
        ("UINT32", "UINT32", json!([0, u32::MAX])),
        ("UINT64", "UINT64", json!([0, u64::MAX])),
        ("FLOAT16", "FP16", json!([0.5, -65504.0])),
        ("FLOAT", "FP32", json!([0.1, null])),
        ("DOUBLE", "FP64", json!([0.1, -1.7976931348623157e308])),
        ("STRING", "BYTES", json!(["ü \"quoted\"", ""])),
    ]
}

pub fn request_of_every_type() -> Value {
    let inputs: Vec<_> = every_type()
        .into_iter()
        .map(|(name, datatype, data)| {
            json!({ "name": format!("in_{name}"), "datatype": datatype, "shape": [1, 2], "data": data })
        })
        .collect();
    json!({ "inputs": inputs })
}

#[tokio::test]
async fn every_data_type_goes_through_unchanged() {
    let answer = served("types").await.infer(&request_of_every_type()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    for (output, (name, datatype, data)) in answer["outputs"].as_array().unwrap().iter().zip(every_type()) {
        assert_eq!(output["name"], format!("out_{name}"));
        assert_eq!(output["datatype"], datatype);
        assert_eq!(output["data"], data, "{name}");
    }
}

#[tokio::test]
async fn inference_does_not_hold_up_health() {
    let server = served("credit-slow").await;
    let request = crate::harness::columns(&expected("credit-slow")["inputs"], 0..8);
    let (inferred, asked) = tokio::join!(
        async { futures(&server, &request).await },
        tokio::time::timeout(Duration::from_secs(5), server.get("/v2/health/ready")),
    );
    assert!(inferred.iter().all(|status| *status == 200), "{inferred:?}");
    assert_eq!(asked.expect("health answers at once").status, 200);
}

async fn futures(server: &crate::harness::Served, request: &Value) -> Vec<u16> {
    let (a, b, c) = tokio::join!(server.infer(request), server.infer(request), server.infer(request));
    vec![a.status, b.status, c.status]
}
