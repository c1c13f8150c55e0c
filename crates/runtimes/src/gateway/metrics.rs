//! What the gateway counts: for each server, and what it refused by itself.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::routes::Backend;

/// Which server.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ServerLabels {
    model: String,
    version: String,
    deployment: String,
}

/// Which server, and how it answered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    model: String,
    version: String,
    deployment: String,
    code: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    reason: &'static str,
}

/// Buckets that grow by a quarter from 100 µs to 60 s, so that a percentile read from them is within a few percent.
#[derive(Debug, Clone)]
struct Durations;

impl MetricConstructor<Histogram> for Durations {
    fn new_metric(&self) -> Histogram {
        // Four significant digits, so that the bounds are short to read.
        let rounded = |bound: f64| {
            let digits = 10_f64.powf(3.0 - bound.log10().floor());
            (bound * digits).round() / digits
        };
        Histogram::new((0..61).map(|step| rounded(1e-4 * 1.25_f64.powi(step))))
    }
}

/// All of the gateway's counters.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<ServerLabels, Histogram, Durations>,
    in_flight: Family<ServerLabels, Gauge>,
    up: Family<ServerLabels, Gauge>,
    refused: Family<RefusalLabels, Counter>,
}

/// One server's counters, at hand for each of its requests.
#[derive(Debug)]
pub struct ServerMetrics {
    labels: ServerLabels,
    requests: Family<RequestLabels, Counter>,
    by_code: Mutex<HashMap<u16, Counter>>,
    durations: Histogram,
    in_flight: Gauge,
    up: Gauge,
}

impl Metrics {
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("countersign_gateway");
        let requests = Family::default();
        let durations = Family::new_with_constructor(Durations);
        let (in_flight, up, refused) = (Family::default(), Family::default(), Family::default());
        registry.register("requests", "Requests that were sent to a server, by status", requests.clone());
        registry.register("request_duration_seconds", "Time to the end of a server's answer", durations.clone());
        registry.register("in_flight", "Requests under way", in_flight.clone());
        registry.register("backend_up", "Whether the server gets requests", up.clone());
        registry.register("refused", "Requests that were answered without a server", refused.clone());
        Self { registry, requests, durations, in_flight, up, refused }
    }

    /// The counters of a server that comes.
    pub fn server(&self, model: &str, backend: &Backend) -> ServerMetrics {
        let labels =
            ServerLabels { model: model.to_owned(), version: backend.version.clone(), deployment: backend.key.clone() };
        ServerMetrics {
            requests: self.requests.clone(),
            by_code: Mutex::default(),
            durations: self.durations.get_or_create_owned(&labels),
            in_flight: self.in_flight.get_or_create_owned(&labels),
            up: self.up.get_or_create_owned(&labels),
            labels,
        }
    }

    /// Forgets a server that is gone.
    pub fn forget(&self, server: &ServerMetrics) {
        self.durations.remove(&server.labels);
        self.in_flight.remove(&server.labels);
        self.up.remove(&server.labels);
        for code in server.by_code.lock().unwrap_or_else(PoisonError::into_inner).keys() {
            self.requests.remove(&server.request_labels(*code));
        }
    }

    /// Counts a request that no server was asked for.
    pub fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&RefusalLabels { reason }).inc();
    }

    /// The whole text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a `String` cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

impl ServerMetrics {
    fn request_labels(&self, code: u16) -> RequestLabels {
        let ServerLabels { model, version, deployment } = self.labels.clone();
        RequestLabels { model, version, deployment, code }
    }

    pub fn begun(&self) {
        self.in_flight.inc();
    }

    /// Counts the end of a request. One that the client gave up tells nothing of the server's time.
    pub fn ended(&self, code: u16, took: Option<Duration>) {
        self.in_flight.dec();
        let mut by_code = self.by_code.lock().unwrap_or_else(PoisonError::into_inner);
        let create = || self.requests.get_or_create_owned(&self.request_labels(code));
        by_code.entry(code).or_insert_with(create).inc();
        if let Some(took) = took {
            self.durations.observe(took.as_secs_f64());
        }
    }

    pub fn in_flight(&self) -> u64 {
        u64::try_from(self.in_flight.get()).unwrap_or_default()
    }

    pub fn set_up(&self, up: bool) {
        self.up.set(i64::from(up));
    }
}
