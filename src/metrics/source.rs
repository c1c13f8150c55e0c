//! Where an endpoint's statistics come from, and how its metrics are named. Pure.

use std::collections::{BTreeMap, HashMap};

use countersign_runtimes::exposition::{Exposition, Histogram};
use serde::{Deserialize, Serialize};

use super::rules::Tally;
use super::sketch::{Bucket, Sketch};
use crate::error::Fields;

/// Where an endpoint's statistics are read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum MetricsSource {
    /// At its own page of metrics.
    Page(MetricsPage),
    /// At a Prometheus server that reads it.
    Queries(PrometheusQueries),
}

/// An endpoint's page of Prometheus metrics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricsPage {
    /// Its address.
    #[schema(example = "http://10.0.0.7:8000/metrics")]
    pub url: String,
    /// What its metrics are called; those of this product's own model server if not said.
    #[serde(default)]
    pub mapping: Mapping,
}

/// What is asked of a Prometheus server: three queries, each for totals since the endpoint started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PrometheusQueries {
    /// The server's address.
    #[schema(example = "http://prometheus:9090")]
    pub prometheus: String,
    /// All requests.
    #[schema(example = "sum(requests_total{service=\"credit\"})")]
    pub requests: String,
    /// Those that failed; empty if nobody counts them.
    #[serde(default)]
    pub errors: String,
    /// Their durations, as buckets with the label `le`.
    #[schema(example = "sum by (le) (request_seconds_bucket{service=\"credit\"})")]
    pub durations: String,
    /// How many seconds the unit of `le` is, as `1` or `0.001`.
    #[serde(default = "seconds")]
    pub unit: String,
}

fn seconds() -> String {
    "1".to_owned()
}

impl MetricsSource {
    /// The source of one of this product's own model servers, as it is stored; `address` is host and port.
    #[must_use]
    pub fn of_server(address: std::net::SocketAddr) -> Option<String> {
        let page = MetricsPage { url: format!("http://{address}/metrics"), mapping: Mapping::default() };
        serde_json::to_string(&Self::Page(page)).ok()
    }

    /// Checks what a person entered.
    pub fn check(&self, fields: &mut Fields) {
        let (address, unit, texts) = match self {
            Self::Page(page) => {
                let Mapping { requests, errors, durations, unit, .. } = &page.mapping;
                (&page.url, unit, [requests, errors, durations])
            }
            Self::Queries(ask) => (&ask.prometheus, &ask.unit, [&ask.requests, &ask.errors, &ask.durations]),
        };
        check_address(fields, "metrics", address);
        let unit = unit.parse::<f64>().is_ok_and(|unit| unit > 0.0 && unit.is_finite());
        fields.check(unit, "unit", "It is a number of seconds, as 1 or 0.001.");
        fields.check(!texts[0].trim().is_empty(), "requests", "Say what counts the requests.");
        fields.check(texts.iter().all(|text| text.len() <= 1000), "requests", "It has at most 1,000 characters.");
    }
}

/// Checks an address that this server is to call: HTTP, and no password in it, since it is shown and kept.
pub fn check_address(fields: &mut Fields, name: &'static str, text: &str) {
    let url = reqwest::Url::parse(text).ok();
    if url.as_ref().is_some_and(|url| url.scheme() == "https") {
        return fields
            .refuse(name, "This program calls no address over HTTPS; give one inside your network, or a proxy's.");
    }
    let plain = |url: reqwest::Url| {
        let http = url.scheme() == "http" && url.has_host();
        http && url.username().is_empty() && url.password().is_none() && text.len() <= 500
    };
    let says = "It is an address like http://host:port/path, without a password, of at most 500 characters.";
    fields.check(url.is_some_and(plain), name, says);
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
    #[serde(default = "seconds")]
    pub unit: String,
    /// Labels that a series must have.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

impl Default for Mapping {
    fn default() -> Self {
        Self {
            requests: "countersign_inference_requests_total".to_owned(),
            errors: "countersign_inference_errors_total".to_owned(),
            durations: "countersign_inference_duration_seconds".to_owned(),
            unit: "1".to_owned(),
            labels: BTreeMap::new(),
        }
    }
}

/// What an endpoint has counted since it started: real requests, and synthetic ones.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// Real requests.
    pub real: Counts,
    /// Requests marked as made for a demonstration or a benchmark.
    pub synthetic: Counts,
}

/// What was counted of one kind of requests.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    requests: f64,
    errors: f64,
    durations: Vec<Bucket>,
}

/// The label that tells synthetic requests.
pub const SYNTHETIC: &str = "synthetic";

impl Mapping {
    /// Whether a page of metrics has the counter of requests at all.
    #[must_use]
    pub fn is_told(&self, page: &Exposition) -> bool {
        page.families.values().flat_map(|family| &family.samples).any(|sample| sample.name == self.requests)
    }

    /// Reads what a page of metrics says.
    #[must_use]
    pub fn read(&self, page: &Exposition) -> Reading {
        Reading { real: self.counts(page, false), synthetic: self.counts(page, true) }
    }

    fn counts(&self, page: &Exposition, synthetic: bool) -> Counts {
        let marked = |labels: &BTreeMap<String, String>| labels.get(SYNTHETIC).is_some_and(|value| value == "true");
        let accept = |labels: &BTreeMap<String, String>| {
            marked(labels) == synthetic && self.labels.iter().all(|(name, value)| labels.get(name) == Some(value))
        };
        let unit = self.unit.parse().unwrap_or(1.0);
        Counts::new(
            page.sum(&self.requests, accept),
            page.sum(&self.errors, accept),
            &page.histogram(&self.durations, accept),
            unit,
        )
    }
}

impl Counts {
    /// Counters, and a histogram whose unit is so many seconds.
    #[must_use]
    pub fn new(requests: f64, errors: f64, durations: &Histogram, unit: f64) -> Self {
        let (mut lower, mut below) = (0.0, 0.0);
        let mut full = Vec::new();
        for (upper, count) in &durations.buckets {
            // The bucket of the slowest has no upper bound, and no middle: they count as what is known of them.
            let upper = if upper.is_finite() { upper * unit } else { lower };
            if *count > below {
                full.push(Bucket { lower, upper, count: count - below });
            }
            (lower, below) = (upper, *count);
        }
        Self { requests, errors, durations: full }
    }

    /// What came since an earlier reading; all of it if the endpoint was started again in between.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Tally {
        match self.grown(earlier) {
            Some(durations) => self.tally(&durations, earlier),
            None => self.tally(&self.durations, &Self::default()),
        }
    }

    /// The durations that came since an earlier reading; none if something has shrunk.
    #[must_use]
    pub fn grown(&self, earlier: &Self) -> Option<Vec<Bucket>> {
        let key = |bucket: &Bucket| (bucket.lower.to_bits(), bucket.upper.to_bits());
        let mut then: HashMap<_, f64> = earlier.durations.iter().map(|bucket| (key(bucket), bucket.count)).collect();
        let grown: Vec<Bucket> = self
            .durations
            .iter()
            .map(|bucket| Bucket { count: bucket.count - then.remove(&key(bucket)).unwrap_or(0.0), ..*bucket })
            .collect();
        let shrunk = !then.is_empty() || grown.iter().any(|bucket| bucket.count < 0.0);
        (!shrunk && self.requests >= earlier.requests && self.errors >= earlier.errors).then_some(grown)
    }

    fn tally(&self, durations: &[Bucket], earlier: &Self) -> Tally {
        Tally {
            requests: (self.requests - earlier.requests).round() as i64,
            errors: (self.errors - earlier.errors).round() as i64,
            sketch: Sketch::of(durations),
        }
    }
}

#[cfg(test)]
impl Counts {
    /// The durations by bucket.
    pub fn durations(&self) -> &[Bucket] {
        &self.durations
    }
}
