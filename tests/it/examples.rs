//! The examples, run for real.

use reqwest::Method;
use serde_json::{Value, json};

use crate::crash::server::Server;
use crate::harness::T;
use crate::live::{ask, eventually};
use crate::python::python;
use crate::training::scene;
use crate::training_servers::{request, serve};

const SCRIPT: &str = include_str!("../../examples/scikit-learn/train.py");

/// What the script said last: the probabilities of some rows, and which rows.
fn said(log: &str) -> (Vec<f64>, Vec<usize>) {
    let line = log.lines().find_map(|line| line.strip_prefix("validation: first probabilities "));
    let (scores, rows) = line.unwrap_or_else(|| panic!("{log}")).split_once(" of rows ").unwrap();
    (serde_json::from_str(scores).unwrap(), serde_json::from_str(rows).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_with_scikit_learn_trains_and_what_it_leaves_is_served_as_it_computed() {
    let program = python("examples/scikit-learn/requirements.txt").await;
    let program = program.to_str().unwrap();
    let t = T::sqlite().await;
    t.at_machine_time();
    let (anna, model, dataset) = scene(&t).await;
    let server = Server::start_in(&t.folder(), None, &["--training-programs", program], &[]);
    let body = json!({ "name": "Boosted trees", "model_id": model.id, "dataset_id": dataset, "executor": "command",
        "seed": 7, "parameters": { "epochs": 40, "learning_rate": 0.1, "depth": 3 },
        "command": { "program": program, "arguments": ["train.py"], "script": { "file_name": "train.py", "text": SCRIPT } } });
    let made = ask(&server, &anna, Method::POST, "/training/jobs", Some(body)).await;
    let path = format!("/training/jobs/{}", made["job_id"]);
    let mut job = Value::Null;
    eventually("it has ended", async || {
        job = ask(&server, &anna, Method::GET, &path, None).await;
        job["state"] != "queued" && job["state"] != "running"
    })
    .await;
    assert_eq!(
        (&job["state"], &job["epoch"], &job["points"]),
        (&json!("complete"), &json!(40), &json!(120)),
        "{job:#}"
    );
    let auc = job["metrics"].as_array().unwrap().iter().find(|one| one["name"] == "auc").unwrap()["value"].as_f64();
    assert!(auc.unwrap() > 0.75, "{auc:?}");
    let log = ask(&server, &anna, Method::GET, &format!("{path}/log"), None).await;
    let (scores, rows) = said(log["text"].as_str().unwrap());
    let artifact = anna.get(&format!("/api/v1{path}/artifact")).await.ok();
    let features: Vec<String> = serde_json::from_value(job["configuration"]["features"].clone()).unwrap();
    let served = serve(&t, artifact.bytes(), &request(&features)).await;
    for (score, row) in scores.iter().zip(rows) {
        assert!((served[row] - score).abs() < 1e-5, "row {row}: {} instead of {score}", served[row]);
    }
}
