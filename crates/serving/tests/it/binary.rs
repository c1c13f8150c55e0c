//! The binary tensor data extension, also when it is not meant well.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::harness::{Served, assert_close, expected, numbers, output, served};

fn feature_bytes(rows: &Value) -> Vec<u8> {
    numbers(rows).into_iter().flat_map(|number| (number as f32).to_le_bytes()).collect()
}

fn request(rows: usize, size: usize) -> Value {
    let parameters = json!({ "binary_data_size": size });
    json!({ "inputs": [{ "name": "features", "datatype": "FP32", "shape": [rows, 20], "parameters": parameters }] })
}

#[tokio::test]
async fn tensors_go_in_as_bytes_and_come_out_as_json() {
    let expected = expected("credit-boosted");
    let bytes = feature_bytes(&expected["inputs"]["features"]);
    let answer = served("credit-boosted").await.infer_bytes(&request(8, bytes.len()), &bytes).await;
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_close(&output(&answer.json(), "probabilities"), &numbers(&expected["probabilities"]));
}

#[tokio::test]
async fn tensors_come_out_as_bytes() {
    let expected = expected("credit-boosted");
    let bytes = feature_bytes(&expected["inputs"]["features"]);
    let mut request = request(8, bytes.len());
    request["parameters"] = json!({ "binary_data_output": true });
    let answer = served("credit-boosted").await.infer_bytes(&request, &bytes).await;
    assert_eq!(answer.headers["content-type"], "application/octet-stream");
    let length: usize = answer.headers["inference-header-content-length"].to_str().unwrap().parse().unwrap();
    let (json, tensors) = answer.bytes.split_at(length);
    let json: Value = serde_json::from_slice(json).unwrap();
    assert_eq!(json["outputs"][0]["parameters"]["binary_data_size"], 64);
    assert_eq!(json["outputs"][1]["parameters"]["binary_data_size"], 64);
    assert!(json["outputs"][1].get("data").is_none());
    let (labels, probabilities) = tensors.split_at(64);
    let labels: Vec<_> = labels.as_chunks::<8>().0.iter().map(|bytes| i64::from_le_bytes(*bytes) as f64).collect();
    let scores: Vec<_> =
        probabilities.as_chunks::<4>().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect();
    assert_close(&labels, &numbers(&expected["label"]));
    assert_close(&scores, &numbers(&expected["probabilities"]));
}

#[tokio::test]
async fn one_output_as_bytes_and_the_other_as_json() {
    let expected = expected("credit-boosted");
    let bytes = feature_bytes(&expected["inputs"]["features"]);
    let mut request = request(8, bytes.len());
    request["outputs"] =
        json!([{ "name": "label", "parameters": { "binary_data": true } }, { "name": "probabilities" }]);
    let answer = served("credit-boosted").await.infer_bytes(&request, &bytes).await;
    let length: usize = answer.headers["inference-header-content-length"].to_str().unwrap().parse().unwrap();
    assert_eq!(answer.bytes.len() - length, 64);
    let json: Value = serde_json::from_slice(&answer.bytes[..length]).unwrap();
    assert_close(&output(&json, "probabilities"), &numbers(&expected["probabilities"]));
}

/// The elements of each type as bytes, with the name of the input.
fn every_type() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    vec![
        ("BOOL", "BOOL", vec![1, 0]),
        ("INT8", "INT8", vec![0x80, 0x7f]),
        ("INT16", "INT16", vec![1, 2, 3, 4]),
        ("INT32", "INT32", (1..9).collect()),
        ("INT64", "INT64", (1..17).collect()),
        ("UINT8", "UINT8", vec![0, 255]),
        ("UINT16", "UINT16", vec![255; 4]),
        ("UINT32", "UINT32", vec![255; 8]),
        ("UINT64", "UINT64", vec![255; 16]),
        ("FLOAT16", "FP16", vec![0x00, 0x38, 0x00, 0x7e]),
        ("FLOAT", "FP32", [0.1_f32.to_le_bytes(), f32::INFINITY.to_le_bytes()].concat()),
        ("DOUBLE", "FP64", [0.1_f64.to_le_bytes(), f64::NAN.to_le_bytes()].concat()),
        ("STRING", "BYTES", [&[3, 0, 0, 0], "aü".as_bytes(), &[0, 0, 0, 0]].concat()),
    ]
}

#[tokio::test]
async fn every_data_type_goes_through_unchanged() {
    let inputs: Vec<_> = every_type()
        .iter()
        .map(|(name, datatype, bytes)| {
            let parameters = json!({ "binary_data_size": bytes.len() });
            json!({ "name": format!("in_{name}"), "datatype": datatype, "shape": [1, 2], "parameters": parameters })
        })
        .collect();
    let bytes: Vec<u8> = every_type().into_iter().flat_map(|(_, _, bytes)| bytes).collect();
    let json = json!({ "inputs": inputs, "parameters": { "binary_data_output": true } });
    let answer = served("types").await.infer_bytes(&json, &bytes).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let length: usize = answer.headers["inference-header-content-length"].to_str().unwrap().parse().unwrap();
    assert_eq!(&answer.bytes[length..], bytes);
}

async fn bad(server: &Served, json: &Value, bytes: &[u8], part: &str) {
    let answer = server.infer_bytes(json, bytes).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.error().contains(part), "“{}” does not contain “{part}”", answer.error());
}

#[tokio::test]
async fn bytes_that_are_not_what_the_json_says() {
    let server = served("credit-logistic").await;
    bad(&server, &request(1, 80), &[0; 79], "only 79 bytes of the body are left").await;
    bad(&server, &request(1, 80), &[0; 81], "1 bytes of the body belong to no input").await;
    bad(&server, &request(1, 76), &[0; 76], "20 elements of 4 bytes are expected").await;
    bad(&server, &request(usize::MAX / 20, 80), &[0; 80], "elements of 4 bytes are expected").await;
    let mut both = request(1, 80);
    both["inputs"][0]["data"] = json!([1.0]);
    bad(&server, &both, &[0; 80], "both data and binary_data_size").await;
    let mut shared = request(1, 80);
    shared["inputs"][0]["parameters"] = json!({ "shared_memory_region": "x" });
    bad(&server, &shared, &[], "shared memory is not supported").await;
}

#[tokio::test]
async fn a_header_that_is_not_a_length() {
    let server = served("credit-logistic").await;
    for (length, part) in [("x", "not a number"), ("-1", "not a number"), ("9999", "but the body has 2 bytes")] {
        let request = server.http.post(server.url("/v2/models/credit/infer")).body("{}");
        let answer = crate::harness::reply(request.header("Inference-Header-Content-Length", length)).await;
        assert_eq!(answer.status, 400);
        assert!(answer.error().contains(part), "{}", answer.error());
    }
}

#[tokio::test]
async fn text_that_is_not_as_its_lengths_say() {
    let server = served("types").await;
    let cases: [(&[u8], &str); 5] = [
        (&[9, 0, 0, 0, b'a'], "longer than its binary data"),
        (&[255, 255, 255, 255], "longer than its binary data"),
        (&[1, 0, 0, 0, b'a', 1, 0], "ends within the length"),
        (&[1, 0, 0, 0, b'a'], "1 elements, but 2 are expected"),
        (&[1, 0, 0, 0, 0xff, 0, 0, 0, 0], "not UTF-8"),
    ];
    for (bytes, part) in cases {
        let parameters = json!({ "binary_data_size": bytes.len() });
        let input = json!({ "name": "in_STRING", "datatype": "BYTES", "shape": [1, 2], "parameters": parameters });
        bad(&server, &json!({ "inputs": [input] }), bytes, part).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever comes, the answer is the protocol's, and the server goes on.
    #[test]
    fn hostile_bodies_are_refused_and_nothing_falls_over(
        bodies in prop::collection::vec((hostile(), 0_usize..200), 20),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let server = served("types").await;
            for (body, length) in bodies {
                let request = server.http.post(server.url("/v2/models/credit/infer")).body(body);
                let answer = crate::harness::reply(request.header("Inference-Header-Content-Length", length)).await;
                assert_eq!(answer.status, 400, "{}", answer.text());
                answer.error();
            }
            let right = server.infer(&crate::protocol::request_of_every_type()).await;
            assert_eq!(right.status, 200);
        });
    }
}

/// Noise, and requests that are nearly right: wrong sizes, shapes and lengths over wild bytes.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let noise = prop::collection::vec(any::<u8>(), 0..300);
    let nearly = (any::<prop::sample::Index>(), any::<u64>(), any::<u64>(), prop::collection::vec(any::<u8>(), 0..64));
    let nearly = nearly.prop_map(|(kind, first, size, bytes)| {
        let (name, datatype, _) = kind.get(&every_type()).clone();
        let shift = size % 60;
        let json = json!({ "inputs": [{
            "name": format!("in_{name}"), "datatype": datatype, "shape": [first >> shift, 2],
            "parameters": { "binary_data_size": size >> shift },
        }] });
        [serde_json::to_vec(&json).unwrap(), bytes].concat()
    });
    prop_oneof![noise, nearly]
}
