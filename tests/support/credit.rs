//! Applications for loans, with the scores that a reference gave them, and clients that send them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::task::JoinHandle;

const EXPECTED: &str = include_str!("../../crates/serving/tests/fixtures/expected.json");

/// One application for a loan of so many months, with its score.
pub fn application(row: usize, months: Option<u32>) -> (Value, f64) {
    let expected: Value = serde_json::from_str(EXPECTED).unwrap();
    let column = |(name, values): (&String, &Value)| {
        let value = if name == "duration_in_month" && months.is_some() { json!(months) } else { values[row].clone() };
        let datatype = if value.is_string() { "BYTES" } else { "FP32" };
        json!({ "name": name, "datatype": datatype, "shape": [1, 1], "data": [value] })
    };
    let sound = &expected["credit-tabular"];
    let inputs: Vec<_> = sound["inputs"].as_object().unwrap().iter().map(column).collect();
    (json!({ "inputs": inputs }), sound["probabilities"][row][1].as_f64().unwrap())
}

/// Clients that ask an endpoint for scores until they are told to stop, and count what served them.
#[derive(Debug)]
pub struct Traffic {
    stopped: Arc<AtomicBool>,
    /// Answers by deployment, and how many of them failed.
    seen: Arc<Mutex<BTreeMap<String, (u32, u32)>>>,
    clients: Vec<JoinHandle<()>>,
}

impl Traffic {
    /// Begins.
    pub fn on(endpoint: &str) -> Self {
        let (stopped, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(BTreeMap::new())));
        let client = |number: u32| {
            let (stopped, seen) = (Arc::clone(&stopped), Arc::clone(&seen));
            let address = format!("{endpoint}/infer");
            // Every fourth loan is a long one.
            let body = application(0, Some(if number == 0 { 48 } else { 24 })).0;
            tokio::spawn(async move {
                let client = reqwest::Client::new();
                while !stopped.load(Ordering::SeqCst) {
                    let Ok(answer) = client.post(&address).json(&body).send().await else { continue };
                    let served = answer.headers().get("countersign-deployment");
                    let key = served.and_then(|key| key.to_str().ok()).unwrap_or_default().to_owned();
                    let mut seen = seen.lock().unwrap();
                    let (answers, failures) = seen.entry(key).or_default();
                    *answers += 1;
                    *failures += u32::from(!answer.status().is_success());
                }
            })
        };
        let clients = (0..4).map(client).collect();
        Self { stopped, seen, clients }
    }

    /// Who has served since it was last asked.
    pub fn since(&self) -> BTreeMap<String, (u32, u32)> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }

    /// Ends.
    pub async fn stop(self) {
        self.stopped.store(true, Ordering::SeqCst);
        for client in self.clients {
            client.await.unwrap();
        }
    }
}

/// The score of one application as an endpoint gives it.
pub async fn score(endpoint: &str, body: &Value) -> Option<f64> {
    let sent = reqwest::Client::new().post(format!("{endpoint}/infer")).json(body).send().await.ok()?;
    let answer: Value = sent.json().await.ok()?;
    let scores = &answer["outputs"].as_array()?.iter().find(|one| one["name"] == "probabilities")?["data"];
    scores[1].as_f64().or(scores[0][1].as_f64())
}
