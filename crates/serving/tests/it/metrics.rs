//! What Prometheus reads.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::harness::{expected, features, reply, served};

fn value(text: &str, series: &str) -> f64 {
    let line = text.lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')));
    let line = line.unwrap_or_else(|| panic!("there is no {series} in\n{text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn requests_errors_and_synthetic_requests_are_counted_apart() {
    let server = served("credit-logistic").await;
    let request = features(&expected("credit-logistic")["inputs"]["features"]);
    for _ in 0..3 {
        server.infer(&request).await;
    }
    let url = server.url("/v2/models/credit/infer");
    reply(server.http.post(&url).json(&request).header("x-countersign-synthetic", "true")).await;
    reply(server.http.post(&url).body("{}")).await;
    let text = server.metrics().await;
    assert_eq!(value(&text, "countersign_inference_requests_total{synthetic=\"false\"}"), 4.0);
    assert_eq!(value(&text, "countersign_inference_requests_total{synthetic=\"true\"}"), 1.0);
    assert_eq!(value(&text, "countersign_inference_duration_seconds_count{synthetic=\"false\"}"), 3.0);
    assert_eq!(value(&text, "countersign_inference_duration_seconds_count{synthetic=\"true\"}"), 1.0);
    assert_eq!(value(&text, "countersign_inference_errors_total{synthetic=\"false\",kind=\"bad_request\"}"), 1.0);
    assert_eq!(value(&text, "countersign_inference_queue_seconds_count"), 5.0);
    assert_eq!(value(&text, "countersign_inference_in_flight"), 0.0);
    assert_eq!(value(&text, "countersign_inference_queued"), 0.0);
    assert_eq!(value(&text, "countersign_model_ready"), 1.0);
}

#[tokio::test]
async fn the_model_is_named_with_its_digest() {
    let server = served("conv").await;
    let digest = server.get("/v2/models/credit").await.json()["parameters"]["digest"].as_str().unwrap().to_owned();
    let series = format!("countersign_model_info{{name=\"credit\",version=\"3\",digest=\"{digest}\"}}");
    assert_eq!(value(&server.metrics().await, &series), 1.0);
}

#[tokio::test]
async fn promtool_finds_nothing() {
    let server = served("credit-logistic").await;
    let request = features(&expected("credit-logistic")["inputs"]["features"]);
    let url = server.url("/v2/models/credit/infer");
    reply(server.http.post(&url).json(&request).header("x-countersign-synthetic", "true")).await;
    let text = server.metrics().await;
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is there: Debian's package `prometheus` has it");
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let found = promtool.wait_with_output().unwrap();
    let said = [found.stdout, found.stderr].concat();
    assert!(found.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}
