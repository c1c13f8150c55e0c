//! Sending requests at a pace, and measuring each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::Deserialize;
use tokio::task::JoinSet;

/// An input of a model, as its metadata has it.
#[derive(Debug, Clone, Deserialize)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// Its type.
    pub datatype: String,
    /// Its dimensions; -1 for any.
    pub shape: Vec<i64>,
}

#[derive(Deserialize)]
struct Metadata {
    inputs: Vec<Input>,
}

/// What the model at an address takes.
pub async fn inputs(client: &reqwest::Client, address: &str) -> anyhow::Result<Vec<Input>> {
    let answer = client.get(address).send().await.with_context(|| format!("No server answers at {address}"))?;
    let status = answer.status();
    anyhow::ensure!(status.is_success(), "The server at {address} has no such model: it answers {status}.");
    let metadata: Metadata =
        answer.json().await.with_context(|| format!("{address} does not answer in the Open Inference Protocol"))?;
    Ok(metadata.inputs)
}

/// What is to be sent.
#[derive(Debug)]
pub struct Load {
    pub address: String,
    /// The bodies, sent in turn.
    pub bodies: Vec<Vec<u8>>,
    pub clients: u32,
    /// Requests a second.
    pub rate: Option<f64>,
    /// How many requests; else for how long.
    pub count: Option<u64>,
    pub duration: Option<Duration>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Report {
    /// How long each answered request took, in seconds, ascending.
    pub took: Vec<f64>,
    /// How many requests failed, by the answer's status or what stood in the way.
    pub failed: BTreeMap<String, u64>,
    /// How long it took in all.
    pub seconds: f64,
}

impl Report {
    pub fn errors(&self) -> u64 {
        self.failed.values().sum()
    }

    pub fn requests(&self) -> u64 {
        self.took.len() as u64 + self.errors()
    }

    pub fn rate(&self) -> f64 {
        self.requests() as f64 / self.seconds.max(1e-9)
    }

    /// The milliseconds within which the share `q` of the answered requests was answered.
    pub fn percentile_ms(&self, q: f64) -> Option<f64> {
        let last = self.took.len().checked_sub(1)?;
        let rank = (q * self.took.len() as f64).ceil() as usize;
        self.took.get(rank.saturating_sub(1).min(last)).map(|seconds| seconds * 1000.0)
    }
}

/// Sends all of it.
pub async fn run(client: reqwest::Client, load: Load) -> Report {
    let (load, next, started) = (Arc::new(load), Arc::new(AtomicU64::new(0)), Instant::now());
    let mut clients = JoinSet::new();
    for _ in 0..load.clients {
        clients.spawn(one_client(client.clone(), Arc::clone(&load), Arc::clone(&next), started));
    }
    let mut all = Report::default();
    while let Some(done) = clients.join_next().await {
        let Ok(one) = done else { continue };
        all.took.extend(one.took);
        for (kind, count) in one.failed {
            *all.failed.entry(kind).or_default() += count;
        }
    }
    all.seconds = started.elapsed().as_secs_f64();
    all.took.sort_by(f64::total_cmp);
    all
}

/// Takes the next request until there is none.
async fn one_client(client: reqwest::Client, load: Arc<Load>, next: Arc<AtomicU64>, started: Instant) -> Report {
    let mut report = Report::default();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if load.count.is_some_and(|count| number >= count) {
            return report;
        }
        if let Some(rate) = load.rate {
            let due = started + Duration::from_secs_f64(number as f64 / rate);
            tokio::time::sleep_until(due.into()).await;
        }
        if load.duration.is_some_and(|duration| started.elapsed() >= duration) {
            return report;
        }
        let body = load.bodies[number as usize % load.bodies.len()].clone();
        let sent = Instant::now();
        match ask(&client, &load.address, body).await {
            Ok(()) => report.took.push(sent.elapsed().as_secs_f64()),
            Err(kind) => *report.failed.entry(kind).or_default() += 1,
        }
    }
}

/// One request; what stood in its way otherwise.
async fn ask(client: &reqwest::Client, address: &str, body: Vec<u8>) -> Result<(), String> {
    let request =
        client.post(address).header("content-type", "application/json").header("x-countersign-synthetic", "true");
    let failed =
        |error: reqwest::Error| if error.is_timeout() { "no answer in time" } else { "no connection" }.to_owned();
    let answer = request.body(body).send().await.map_err(failed)?;
    let status = answer.status();
    answer.bytes().await.map_err(failed)?;
    if status.is_success() { Ok(()) } else { Err(status.to_string()) }
}
