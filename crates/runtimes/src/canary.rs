//! Whether a new version keeps to its limits: two pictures of its counters, a verdict. Pure.

use serde::{Deserialize, Serialize};

use crate::exposition::Histogram;

/// What a deployment must keep to while it is observed. What is left out is as in the default.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The largest share of requests that may fail, 0 to 1.
    pub max_error_rate: f64,
    /// The longest P95, in seconds.
    pub max_p95: f64,
    /// How many requests it takes to judge. With 0 a window without enough traffic is passed unjudged.
    pub min_samples: u64,
}

impl Default for Limits {
    /// At most 1 % errors and a P95 of half a second, judged from 20 requests on.
    fn default() -> Self {
        Self { max_error_rate: 0.01, max_p95: 0.5, min_samples: 20 }
    }
}

/// A deployment's counters at an instant, since its gateway was started.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Snapshot {
    /// Requests, answered or not.
    pub requests: f64,
    /// Those that failed: a status of 500 or above, 429, no connection, no answer in time.
    pub errors: f64,
    /// How long they took, in seconds.
    pub durations: Histogram,
}

/// What two snapshots say.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// Requests between the two.
    pub samples: u64,
    /// The share that failed, 0 to 1; 0 without samples.
    pub error_rate: f64,
    /// The P95 in seconds, if there were requests.
    pub p95: Option<f64>,
}

/// The judgement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// It keeps to its limits.
    Continue,
    /// It broke one: why, as a sentence.
    Stop {
        /// The limit and the number that broke it.
        reason: String,
    },
    /// Too few requests to tell.
    NotEnough,
}

/// What happened between two snapshots of one deployment.
#[must_use]
pub fn read(before: &Snapshot, after: &Snapshot) -> Reading {
    // Counters that went down were started again from zero.
    let restarted = after.requests < before.requests || after.errors < before.errors;
    let zero = Snapshot::default();
    let before = if restarted { &zero } else { before };
    let samples = (after.requests - before.requests).max(0.0);
    let errors = (after.errors - before.errors).max(0.0);
    let durations = after.durations.since(&before.durations);
    Reading {
        samples: samples as u64,
        error_rate: if samples > 0.0 { (errors / samples).min(1.0) } else { 0.0 },
        p95: durations.quantile(0.95),
    }
}

/// Judges what was read.
#[must_use]
pub fn judge(reading: &Reading, limits: &Limits) -> Verdict {
    let Reading { samples, error_rate, p95 } = *reading;
    if samples == 0 || samples < limits.min_samples {
        return Verdict::NotEnough;
    }
    if error_rate > limits.max_error_rate {
        let (rate, limit) = (error_rate * 100.0, limits.max_error_rate * 100.0);
        let reason = format!("{rate:.1} % of {samples} requests failed; the limit is {limit:.1} %.");
        return Verdict::Stop { reason };
    }
    match p95 {
        Some(p95) if p95 > limits.max_p95 => {
            let (p95, limit) = (p95 * 1000.0, limits.max_p95 * 1000.0);
            let reason = format!("The P95 of {samples} requests is {p95:.0} ms; the limit is {limit:.0} ms.");
            Verdict::Stop { reason }
        }
        _ => Verdict::Continue,
    }
}

#[cfg(test)]
mod tests;
