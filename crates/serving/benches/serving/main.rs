//! `make bench`: what serving a model costs over running it.
//!
//! The server runs in a process of its own, as in production. The limit is the plain loop of the same inference runtime
//! in one process, on one thread for the latency and on every core for the throughput; each is a fresh one, so that no
//! measurement inherits the memory of another. The clients share the machine's
//! cores with the server, so what is shown is what is left after them. Ratios within one run are what is compared.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "a bench")]

mod client;
mod limit;
mod report;

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use countersign_serving::{Options, serve};

use client::Encoding;
use report::{Line, Report};

/// Rows in a request: one decision, a page of them, a portfolio.
const ROWS: [usize; 3] = [1, 64, 1024];
const MODELS: [&str; 2] = ["credit-logistic", "credit-boosted"];

fn main() {
    let seconds = Duration::from_secs_f64(std::env::var("SECONDS").map_or(2.0, |text| text.parse().unwrap()));
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["serve", model] => be_the_server(model),
        ["limit", model, rows] => limit::print(&artifact(model), rows.parse().unwrap(), seconds),
        _ => compare(seconds),
    }
}

fn compare(seconds: Duration) {
    let mut report = Report::default();
    for model in MODELS {
        let server = Server::start(model);
        for rows in ROWS {
            let limit = limit::measure(model, rows);
            for encoding in [Encoding::Json, Encoding::Binary] {
                eprintln!("{model}, {rows} rows, {encoding:?}");
                let alone = client::measure(&server.address, encoding, rows, 1, seconds);
                let crowd = client::measure(&server.address, encoding, rows, 16, seconds);
                report.add(Line { model, rows, encoding, limit: limit.clone(), alone, crowd });
            }
        }
        report.resident(model, server.resident_bytes());
    }
    report.print();
    println!("\nThe same as JSON: {}", report.save().display());
}

fn artifact(model: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(format!("{model}.onnx"))
}

/// This program, started again as the server.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(model: &str) -> Self {
        let program = std::env::current_exe().unwrap();
        let mut process = Command::new(program).args(["serve", model]).stdout(Stdio::piped()).spawn().unwrap();
        let mut address = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut address).unwrap();
        Self { process, address: address.trim().to_owned() }
    }

    fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn be_the_server(model: &str) {
    let options = Options {
        artifact: artifact(model),
        name: "credit".to_owned(),
        version: "1".to_owned(),
        digest: None,
        listen: "127.0.0.1:0".to_owned(),
        queue: 256,
        workers: 0,
        max_body: 16 << 20,
        timeout: Duration::from_secs(30),
        drain: Duration::from_secs(1),
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(serve(options, |ready| println!("{}", ready.address), std::future::pending())).unwrap();
}
