//! Where an endpoint's statistics come from, and how its metrics are named. Pure.

use countersign_runtimes::exposition::{Exposition, Histogram};
use serde::{Deserialize, Serialize};

use super::rules::Tally;
use super::sketch::Sketch;

/// An endpoint's page of Prometheus metrics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricsSource {
    /// Its address.
    #[schema(example = "http://10.0.0.7:8000/metrics")]
    pub url: String,
    /// What its metrics are called; those of this product's own model server if not said.
    #[serde(default)]
    pub mapping: Mapping,
}

impl MetricsSource {
    /// The source of one of this product's own model servers, as it is stored; `address` is host and port.
    #[must_use]
    pub fn of_server(address: std::net::SocketAddr) -> Option<String> {
        serde_json::to_string(&Self { url: format!("http://{address}/metrics"), mapping: Mapping::default() }).ok()
    }
}

/// The names of three metrics. Only series that bear all of `labels` count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// A counter of requests.
    pub requests: String,
    /// A counter of failed requests.
    pub errors: String,
    /// A histogram of durations.
    pub durations: String,
    /// How many seconds the histogram's unit is, as `1` or `0.001`.
    pub unit: String,
    /// Labels that a series must have.
    #[serde(default)]
    pub labels: std::collections::BTreeMap<String, String>,
}

impl Default for Mapping {
    fn default() -> Self {
        Self {
            requests: "countersign_inference_requests_total".to_owned(),
            errors: "countersign_inference_errors_total".to_owned(),
            durations: "countersign_inference_duration_seconds".to_owned(),
            unit: "1".to_owned(),
            labels: std::collections::BTreeMap::new(),
        }
    }
}

/// What a page of metrics says of real or of synthetic requests, since the endpoint started.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    requests: f64,
    errors: f64,
    durations: Histogram,
}

/// Whether requests are marked as made for a demonstration or a benchmark.
pub const SYNTHETIC: &str = "synthetic";

impl Mapping {
    /// Reads what is said of real (or of synthetic) requests.
    #[must_use]
    pub fn read(&self, page: &Exposition, synthetic: bool) -> Reading {
        let marked = |labels: &std::collections::BTreeMap<String, String>| {
            labels.get(SYNTHETIC).is_some_and(|value| value == "true")
        };
        let accept = |labels: &std::collections::BTreeMap<String, String>| {
            marked(labels) == synthetic && self.labels.iter().all(|(name, value)| labels.get(name) == Some(value))
        };
        let unit = self.unit.parse().unwrap_or(1.0);
        let mut durations = page.histogram(&self.durations, accept);
        for bucket in &mut durations.buckets {
            bucket.0 *= unit;
        }
        Reading { requests: page.sum(&self.requests, accept), errors: page.sum(&self.errors, accept), durations }
    }
}

impl Reading {
    /// What came since an earlier reading; all of it if the endpoint was started again in between.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Tally {
        let again = self.requests < earlier.requests;
        let grown = |now: f64, then: f64| if again || now < then { now } else { now - then };
        let durations = if again { self.durations.clone() } else { self.durations.since(&earlier.durations) };
        Tally {
            requests: grown(self.requests, earlier.requests).round() as i64,
            errors: grown(self.errors, earlier.errors).round() as i64,
            sketch: Sketch::of(&durations),
        }
    }
}
