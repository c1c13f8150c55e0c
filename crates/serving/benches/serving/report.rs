//! The table and the JSON.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::client::{Encoding, Measured};
use crate::limit::Limit;

/// One case: a model, so many rows a request, an encoding.
pub struct Line {
    pub model: &'static str,
    pub rows: usize,
    pub encoding: Encoding,
    pub limit: Limit,
    pub alone: Measured,
    pub crowd: Measured,
}

impl Line {
    /// Throughput with 16 clients as a share of the limit.
    fn share(&self) -> f64 {
        self.crowd.per_second / self.limit.per_second
    }

    fn json(&self) -> Value {
        let measured = |one: &Measured| json!({ "p50_ms": one.p50, "p99_ms": one.p99, "per_second": one.per_second });
        json!({
            "model": self.model,
            "rows": self.rows,
            "encoding": format!("{:?}", self.encoding).to_lowercase(),
            "limit": { "p50_ms": self.limit.p50, "p99_ms": self.limit.p99, "per_second": self.limit.per_second },
            "one_client": measured(&self.alone),
            "sixteen_clients": measured(&self.crowd),
            "added_p50_ms": self.alone.p50 - self.limit.p50,
            "added_p99_ms": self.alone.p99 - self.limit.p50,
            "share_of_limit": self.share(),
        })
    }
}

#[derive(Default)]
pub struct Report {
    lines: Vec<Line>,
    resident: Vec<(&'static str, u64)>,
}

impl Report {
    pub fn add(&mut self, line: Line) {
        self.lines.push(line);
    }

    pub fn resident(&mut self, model: &'static str, bytes: u64) {
        self.resident.push((model, bytes));
    }

    pub fn print(&self) {
        println!(
            "\n{:<16} {:>5} {:<7} {:>9} {:>10} {:>10} {:>11} {:>11} {:>6}",
            "model", "rows", "as", "alone ms", "added p50", "added p99", "limit /s", "16 clients", "share"
        );
        for line in &self.lines {
            let encoding = format!("{:?}", line.encoding).to_lowercase();
            println!(
                "{:<16} {:>5} {encoding:<7} {:>9.4} {:>10.3} {:>10.3} {:>11.0} {:>9.0}/s {:>5.0}%",
                line.model,
                line.rows,
                line.limit.p50,
                line.alone.p50 - line.limit.p50,
                // Against the median of the loop: its own worst is the machine's noise, not the server's gain.
                line.alone.p99 - line.limit.p50,
                line.limit.per_second,
                line.crowd.per_second,
                line.share() * 100.0,
            );
        }
        for (model, bytes) in &self.resident {
            println!("{model}: {:.1} MB resident", *bytes as f64 / 1e6);
        }
    }

    pub fn save(&self) -> PathBuf {
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("serving-bench.json");
        let resident: Vec<_> =
            self.resident.iter().map(|(model, bytes)| json!({ "model": model, "resident_bytes": bytes })).collect();
        let report = json!({ "cases": self.lines.iter().map(Line::json).collect::<Vec<_>>(), "memory": resident });
        std::fs::write(&file, report.to_string()).unwrap();
        file
    }
}
