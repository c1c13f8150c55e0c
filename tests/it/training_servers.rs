//! Training jobs under real servers: one that is killed, two that share a queue; and what they trained, served.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use countersign::training::jobs::configure::Configuration;
use countersign::training::run::run_one;
use countersign_training::{Outcome, Table, train};
use reqwest::Method;
use serde_json::{Value, json};

use crate::both;
use crate::builder::{Model, Person};
use crate::crash::server::Server;
use crate::harness::{PROGRAM, T};
use crate::live::{ask, eventually};
use crate::training::{CREDIT, job, scene};

fn start(t: &T) -> Server {
    let variables = [("COUNTERSIGN_TRAINING_PROGRAMS", PROGRAM), ("COUNTERSIGN_LEASE_MS", "1500")];
    Server::start_in(&t.folder(), t.database_address().as_deref(), &[], &variables)
}

async fn queued(server: &Server, person: &Person, model: &Model, script: &str) -> String {
    let body = json!({ "name": "A script", "model_id": model.id, "executor": "command",
        "command": { "program": PROGRAM, "arguments": ["-c", script] } });
    let made = ask(server, person, Method::POST, "/training/jobs", Some(body)).await;
    format!("/training/jobs/{}", made["job_id"])
}

/// How many processes belong to jobs of this scene: the supervisors, and what works in a job's folder.
fn processes(t: &T) -> usize {
    let folder = t.folder().join("jobs");
    let entries = std::fs::read_dir("/proc").unwrap();
    let places = entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path().join("cwd")).ok());
    places.filter(|place| place.starts_with(&folder)).count()
}

both! {
    async fn a_server_killed_in_the_middle_of_a_job_leaves_no_process_and_an_honest_end(t: T) {
        t.at_machine_time();
        let (anna, model, _) = scene(&t).await;
        let mut server = start(&t);
        let script = "trap '' TERM HUP; setsid sleep 600 & echo '{\"metric\":\"loss\",\"value\":1}'; sleep 600";
        let path = queued(&server, &anna, &model, script).await;
        eventually("it measures", async || ask(&server, &anna, Method::GET, &path, None).await["points"] == 1).await;
        assert!(processes(&t) >= 3, "a supervisor, the program, and what it started");
        server.kill();
        eventually("nothing of it lives on", async || processes(&t) == 0).await;

        server = start(&t);
        let mut ended = Value::Null;
        eventually("it has failed", async || {
            ended = ask(&server, &anna, Method::GET, &path, None).await;
            ended["state"] == "failed"
        })
        .await;
        assert_eq!((&ended["cause"], &ended["points"]), (&json!("interrupted"), &json!(1)), "{ended:#}");
        let page = anna.page(&path).await.ok();
        assert_eq!(page.count("button[value=retry]"), 1, "it can be repeated");
        let again = ask(&server, &anna, Method::POST, &format!("{path}/retry"), Some(json!({}))).await;
        let again = format!("/training/jobs/{}", again["job_id"]);
        eventually("it runs again", async || ask(&server, &anna, Method::GET, &again, None).await["state"] == "running").await;
        ask(&server, &anna, Method::POST, &format!("{again}/stop"), Some(json!({}))).await;
        eventually("it is stopped", async || ask(&server, &anna, Method::GET, &again, None).await["state"] == "cancelled").await;
        assert_eq!(processes(&t), 0);
        drop(server);
        t.everything_holds().await;
    }

    async fn what_the_builtin_training_made_is_served_as_it_was_trained(t: T) {
        let (anna, model, dataset) = scene(&t).await;
        for (algorithm, more) in [("logistic_regression", ("batch_size", 32)), ("boosted_trees", ("depth", 3))] {
            let mut asked = job(&model, dataset);
            asked["parameters"] = json!({ "algorithm": algorithm, "epochs": 30, "learning_rate": 0.1, more.0: more.1 });
            let made = anna.post("/api/v1/training/jobs", asked).await.expect(201).json();
            assert!(run_one(t.app(), "worker").await.unwrap());
            let path = format!("/api/v1/training/jobs/{}", made["job_id"]);
            let artifact = anna.get(&format!("{path}/artifact")).await.ok();
            let configuration: Configuration = serde_json::from_value(made["configuration"].clone()).unwrap();
            let table = Table::read(std::io::Cursor::new(CREDIT)).unwrap();
            let config = configuration.builtin().unwrap();
            let Ok(Outcome::Complete(trainer)) = train(&table, &config, &mut |_| std::ops::ControlFlow::Continue(())) else {
                panic!("it does not train");
            };
            let served = serve(&t, artifact.bytes(), &request(&config.features)).await;
            let expected = trainer.probabilities(&table).unwrap();
            assert_eq!(served.len(), 1000);
            for (row, (one, other)) in served.iter().zip(&expected).enumerate() {
                assert!((one - other).abs() < 1e-5, "{algorithm}, row {row}: {one} instead of {other}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_share_a_queue_and_take_each_job_once() {
    let t = T::postgres().await;
    t.at_machine_time();
    let (anna, model, _) = scene(&t).await;
    let (one, other) = (start(&t), start(&t));
    let script = "echo '{\"metric\":\"loss\",\"value\":1}'; sleep 0.7; echo model > \"$COUNTERSIGN_ARTIFACT\"";
    for number in 0..8 {
        queued(if number % 2 == 0 { &one } else { &other }, &anna, &model, script).await;
    }
    eventually("all have ended", async || {
        let running = ask(&one, &anna, Method::GET, "/training/jobs?state=running", None).await;
        assert!(running["total_count"].as_i64().unwrap() <= 2, "each server carries out one at once");
        ask(&other, &anna, Method::GET, "/training/jobs?state=complete", None).await["total_count"] == 8
    })
    .await;
    assert_eq!(
        t.number("SELECT COUNT(*) FROM training_jobs WHERE fence <> 1 OR points <> 1").await,
        0,
        "each was taken once"
    );
    assert_eq!(t.number("SELECT COUNT(DISTINCT worker) FROM training_jobs").await, 2, "both took some");
    assert_eq!(t.number("SELECT COUNT(*) FROM ledger_entries WHERE action = 'training.ended'").await, 8);
    // Either stops what the other carries out.
    let long = [queued(&one, &anna, &model, "sleep 600").await, queued(&one, &anna, &model, "sleep 600").await];
    for path in &long {
        eventually("it runs", async || ask(&one, &anna, Method::GET, path, None).await["state"] == "running").await;
        ask(&other, &anna, Method::POST, &format!("{path}/stop"), Some(json!({}))).await;
        eventually("it is stopped", async || ask(&one, &anna, Method::GET, path, None).await["state"] == "cancelled")
            .await;
    }
    assert_eq!(processes(&t), 0);
    t.everything_holds().await;
}

/// All rows of the credit data, as a client sends them.
pub fn request(features: &[String]) -> Value {
    let table = Table::read(std::io::Cursor::new(CREDIT)).unwrap();
    let mut reader = csv::Reader::from_reader(CREDIT);
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    let input = |name: &String| {
        let at = table.columns.iter().position(|column| column.name == *name).unwrap();
        let is_number = table.columns[at].kind == countersign_training::Kind::Number;
        let value = |cell: &str| if is_number { json!(cell.parse::<f64>().ok()) } else { json!(cell) };
        let data: Vec<_> = rows.iter().map(|row| value(&row[at])).collect();
        json!({ "name": name, "datatype": if is_number { "FP32" } else { "BYTES" }, "shape": [rows.len(), 1], "data": data })
    };
    json!({ "inputs": features.iter().map(input).collect::<Vec<_>>() })
}

/// The probability of the second class that a model server gives for each row.
pub async fn serve(t: &T, artifact: &[u8], rows: &Value) -> Vec<f64> {
    let file = t.folder().join("served.onnx");
    std::fs::write(&file, artifact).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args(["serve-model", "--name", "credit", "--port", "0", "--artifact"]).arg(&file);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap();
    let address = format!("http://{}/v2/models/credit/infer", ready["address"].as_str().unwrap());
    let answer: Value = reqwest::Client::new().post(address).json(rows).send().await.unwrap().json().await.unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let outputs = answer["outputs"].as_array().unwrap_or_else(|| panic!("{answer}"));
    let found = outputs.iter().find(|output| output["name"] == "probabilities").unwrap();
    found["data"].as_array().unwrap().iter().skip(1).step_by(2).map(|value| value.as_f64().unwrap()).collect()
}
