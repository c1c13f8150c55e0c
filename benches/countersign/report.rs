//! The table and the JSON.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::Measured;
use crate::delivery::Scraping;
use crate::mlflow::Compared;
use crate::seed::Sizes;
use crate::training::{Learning, Training};

const MIB: f64 = 1024.0 * 1024.0;

/// All runs.
#[derive(Debug)]
pub struct Report {
    binary_bytes: u64,
    runs: Vec<Run>,
    pub scraping: Vec<Scraping>,
    pub training: Vec<Training>,
    pub learning: Vec<Learning>,
    pub compared: Vec<Compared>,
}

/// One engine at one size.
#[derive(Debug)]
pub struct Run {
    engine: &'static str,
    sizes: Sizes,
    first_answer: Duration,
    idle_bytes: u64,
    pub loaded_bytes: u64,
    cases: Vec<(&'static str, Measured, Measured)>,
}

impl Run {
    pub fn new(engine: &'static str, sizes: Sizes, first_answer: Duration, idle_bytes: u64) -> Self {
        Self { engine, sizes, first_answer, idle_bytes, loaded_bytes: idle_bytes, cases: Vec::new() }
    }

    pub fn add(&mut self, name: &'static str, alone: Measured, crowd: Measured) {
        self.cases.push((name, alone, crowd));
    }
}

impl Report {
    pub fn new(binary_bytes: u64) -> Self {
        Self {
            binary_bytes,
            runs: Vec::new(),
            scraping: Vec::new(),
            training: Vec::new(),
            learning: Vec::new(),
            compared: Vec::new(),
        }
    }

    pub fn add(&mut self, run: Run) {
        self.runs.push(run);
    }

    pub fn print(&self) {
        println!("Binary: {:.1} MiB. Latencies in ms; 1 and 16 clients.", self.binary_bytes as f64 / MIB);
        for run in &self.runs {
            println!(
                "\n{}, {} pairs (half ratified), {} open tasks: first answer {} ms, memory {:.0} MiB idle, {:.0} MiB after",
                run.engine,
                run.sizes.pairs,
                run.sizes.open_tasks,
                run.first_answer.as_millis(),
                run.idle_bytes as f64 / MIB,
                run.loaded_bytes as f64 / MIB,
            );
            println!(
                "{:32} {:>7} {:>7} {:>7} {:>8} | {:>7} {:>7} {:>7} {:>8} | {:>6} {:>8}",
                "", "p50", "p95", "p99", "req/s", "p50", "p95", "p99", "req/s", "stmts", "bytes"
            );
            for (name, alone, crowd) in &run.cases {
                print!("{name:32}");
                for (at, load) in [alone, crowd].into_iter().enumerate() {
                    let [p50, p95, p99] = [50.0, 95.0, 99.0].map(|percent| load.percentile(percent));
                    let bar = if at == 0 { "" } else { " |" };
                    print!("{bar} {p50:>7.2} {p95:>7.2} {p99:>7.2} {:>8.0}", load.per_second);
                }
                println!(" | {:>6.2} {:>8}", alone.statements, alone.body_bytes);
                for failure in [&alone.failure, &crowd.failure].into_iter().flatten() {
                    println!("    FAILED: {failure}");
                }
            }
        }
        self.print_growth();
        self.print_compared();
        for one in &self.scraping {
            let (engine, endpoints, share) = (one.engine, one.endpoints, one.share * 100.0);
            println!(
                "\n{engine}: reading {endpoints} endpoints every 10 s takes {share:.1} % of one core (wanted: 10 %)"
            );
            if one.measured < one.endpoints {
                println!("    FAILED: only {} of them were measured", one.measured);
            }
        }
        self.print_training();
    }

    fn print_training(&self) {
        for one in &self.training {
            one.print();
        }
        if !self.learning.is_empty() {
            println!(
                "\nTraining on the credit data, the same split: AUC and time of the fit, here and in scikit-learn"
            );
        }
        for one in &self.learning {
            let Learning { name, auc, ms, reference_auc, reference_ms } = one;
            println!("{name:32} {auc:.4} {ms:>6.0} ms | {reference_auc:.4} {reference_ms:>6.0} ms");
        }
    }

    /// The same requests here and at MLflow's own server.
    fn print_compared(&self) {
        if self.compared.is_empty() {
            return;
        }
        println!(
            "\nMLflow's interface, here and at MLflow's own server (SQLite both); 1 and 4 clients (wanted: 10 times)"
        );
        println!(
            "{:32} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} | {:>6}",
            "", "p50", "p95", "req/s", "p50", "p95", "req/s", "stmts"
        );
        for one in &self.compared {
            for (whose, loads) in [("here", &one.ours), ("there", &one.theirs)] {
                print!("{:32}", format!("{}, {whose}", one.name));
                for load in loads {
                    print!(" {:>8.2} {:>8.2} {:>8.1}", load.percentile(50.0), load.percentile(95.0), load.per_second);
                }
                println!(" | {:>6.2}", loads[0].statements);
                for failure in loads.iter().filter_map(|load| load.failure.as_ref()) {
                    println!("    FAILED: {failure}");
                }
            }
            let ([alone, crowd], [sooner, in_crowd]) = (one.throughput(), one.latency());
            println!("{:32} {sooner:>6.0} x {:>8} {alone:>6.0} x {in_crowd:>6.0} x {:>8} {crowd:>6.0} x", "", "", "");
        }
    }

    /// How much slower the largest size is than the smallest.
    fn print_growth(&self) {
        for engine in ["sqlite", "postgres"] {
            let mut runs = self.runs.iter().filter(|run| run.engine == engine);
            let (Some(small), Some(large)) = (runs.next(), runs.next_back()) else { continue };
            println!("\n{engine}: p95 at {} pairs over p95 at {}", large.sizes.pairs, small.sizes.pairs);
            for ((name, small, _), (_, large, _)) in small.cases.iter().zip(&large.cases) {
                println!("{name:32} {:>7.2}", large.percentile(95.0) / small.percentile(95.0));
            }
        }
    }

    pub fn save(&self) -> PathBuf {
        let load = |one: &Measured| {
            json!({
                "p50_ms": one.percentile(50.0), "p95_ms": one.percentile(95.0), "p99_ms": one.percentile(99.0),
                "requests_per_second": one.per_second, "requests": one.latencies.len(), "failure": one.failure,
            })
        };
        let runs: Vec<Value> = self
            .runs
            .iter()
            .map(|run| {
                let cases: Vec<Value> = run
                    .cases
                    .iter()
                    .map(|(name, alone, crowd)| {
                        json!({
                            "name": name, "statements": alone.statements, "response_bytes": alone.body_bytes,
                            "clients_1": load(alone), "clients_16": load(crowd),
                        })
                    })
                    .collect();
                json!({
                    "engine": run.engine, "pairs": run.sizes.pairs, "open_tasks": run.sizes.open_tasks,
                    "first_answer_ms": run.first_answer.as_millis(), "idle_bytes": run.idle_bytes,
                    "loaded_bytes": run.loaded_bytes, "cases": cases,
                })
            })
            .collect();
        let scraping: Vec<Value> = self
            .scraping
            .iter()
            .map(|one| json!({ "engine": one.engine, "endpoints": one.endpoints, "measured": one.measured, "core_share": one.share }))
            .collect();
        let compared: Vec<Value> = self
            .compared
            .iter()
            .map(|one| {
                json!({
                    "name": one.name, "statements": one.ours[0].statements,
                    "clients_1": { "here": load(&one.ours[0]), "there": load(&one.theirs[0]) },
                    "clients_4": { "here": load(&one.ours[1]), "there": load(&one.theirs[1]) },
                })
            })
            .collect();
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench.json");
        let text = serde_json::to_string_pretty(
            &json!({ "binary_bytes": self.binary_bytes, "runs": runs, "statistics": scraping,
                "training": self.training.iter().map(Training::json).collect::<Vec<_>>(),
                "learning": self.learning.iter().map(Learning::json).collect::<Vec<_>>(),
                "mlflow": compared }),
        )
        .unwrap();
        std::fs::write(&file, text + "\n").expect("the target folder can be written");
        file
    }

    /// Ends the program if an answer was not a success.
    pub fn fail_if_missing(&self) {
        let cases = || self.runs.iter().flat_map(|run| &run.cases);
        let unread = self.scraping.iter().any(|one| one.measured < one.endpoints);
        let missed = self.training.iter().any(Training::is_missed) || self.learning.iter().any(Learning::is_missed);
        let failed = |loads: &[Measured; 2]| loads.iter().any(|load| load.failure.is_some());
        let unlike = self.compared.iter().any(|one| failed(&one.ours) || failed(&one.theirs));
        if unread
            || missed
            || unlike
            || cases().any(|(_, alone, crowd)| alone.failure.is_some() || crowd.failure.is_some())
        {
            std::process::exit(1);
        }
    }
}
