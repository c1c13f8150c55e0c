//! The limit: the inference runtime alone.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use countersign_serving::{Model, State};
use serde::{Deserialize, Serialize};
use tract_onnx::prelude::{IntoTValue as _, Tensor, tvec};

use crate::client::{DIFFERENT, features};

/// What the runtime does without a server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Limit {
    /// Of one inference on one thread, in milliseconds.
    pub p50: f64,
    pub p99: f64,
    /// Inferences a second, a thread a core.
    pub per_second: f64,
}

/// Measures it in a process of its own.
pub fn measure(model: &str, rows: usize) -> Limit {
    let program = std::env::current_exe().unwrap();
    let said = Command::new(program).args(["limit", model, &rows.to_string()]).output().unwrap();
    serde_json::from_slice(&said.stdout).unwrap()
}

/// What that process does.
pub fn print(artifact: &Path, rows: usize, seconds: Duration) {
    let model = Model::load(artifact, "credit", "1", None).unwrap();
    let inputs: Vec<_> =
        (0..DIFFERENT).map(|seed| Tensor::from_shape(&[rows, 20], &features(rows, seed)).unwrap()).collect();
    let mut latencies = run(&model, &inputs, seconds);
    latencies.sort_by(f64::total_cmp);
    let at = |percent: usize| latencies[(latencies.len() - 1) * percent / 100];
    let cores = std::thread::available_parallelism().unwrap().get();
    let began = Instant::now();
    let count: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(|| run(&model, &inputs, seconds).len())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    let limit = Limit { p50: at(50), p99: at(99), per_second: count as f64 / began.elapsed().as_secs_f64() };
    println!("{}", serde_json::to_string(&limit).unwrap());
}

fn run(model: &Model, inputs: &[Tensor], seconds: Duration) -> Vec<f64> {
    let mut state: State = model.state().unwrap();
    let (began, mut latencies) = (Instant::now(), Vec::new());
    for input in inputs.iter().cycle() {
        if began.elapsed() > seconds {
            break;
        }
        let one = Instant::now();
        let outputs = state.run(tvec!(input.clone().into_tvalue())).unwrap();
        std::hint::black_box(outputs);
        latencies.push(one.elapsed().as_secs_f64() * 1e3);
    }
    latencies
}
