//! `countersign serve-model` as a supervisor meets it: one line when it is ready, one when it cannot begin, and its
//! exit codes. What it serves is tested where it is made, in `crates/serving`.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn serve_model(line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/crates/serving/tests/fixtures");
    command.arg("serve-model").args(line.split_whitespace()).current_dir(fixtures);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn lines(bytes: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"))).collect()
}

fn refused(line: &str, code: &str) -> Output {
    let said = serve_model(line).output().unwrap();
    assert_eq!(said.status.code(), Some(1));
    assert!(said.stdout.is_empty());
    let log = lines(&said.stderr);
    assert_eq!(log.last().unwrap()["code"], code, "{log:?}");
    said
}

#[tokio::test]
async fn a_model_server_tells_its_address_answers_and_ends_when_it_is_told_to() {
    let mut child = serve_model("--artifact credit-tabular.onnx --name credit --version 2 --port 0").spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let ready: Value = serde_json::from_str(&first).unwrap();
    assert_eq!((&ready["event"], &ready["model"], &ready["version"]), (&"ready".into(), &"credit".into(), &"2".into()));

    let address = ready["address"].as_str().unwrap();
    let metadata = reqwest::get(format!("http://{address}/v2/models/credit")).await.unwrap();
    let metadata: Value = metadata.json().await.unwrap();
    assert_eq!(metadata["parameters"]["digest"], ready["digest"]);

    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0));
    assert!(lines(&ended.stderr).iter().any(|line| line["message"] == "draining"));
}

#[test]
fn an_artifact_with_other_bytes_than_approved_is_not_served() {
    let digest = "0".repeat(64);
    refused(
        &format!("--artifact conv.onnx --name credit --port 0 --digest sha256:{digest}"),
        "artifact_digest_mismatch",
    );
}

#[test]
fn an_artifact_with_an_unknown_operator_is_not_served() {
    let said = refused("--artifact svm.onnx --name credit --port 0", "unsupported_operator");
    assert!(String::from_utf8_lossy(&said.stderr).contains("SVMClassifier"));
}
