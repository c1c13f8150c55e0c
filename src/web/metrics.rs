//! What `/metrics` shows: requests by route, statements, listeners. Technical numbers only.

use std::sync::Mutex;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::app::App;

/// The labels of a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    method: String,
    route: String,
    status: u16,
}

/// The product's counters.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    seconds: Family<Labels, Histogram>,
    statements: Gauge,
    listeners: Gauge,
    started: Counter,
}

/// Upper bounds of the duration buckets, in seconds.
const BUCKETS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("countersign");
        let seconds = Family::<Labels, Histogram>::new_with_constructor(|| Histogram::new(BUCKETS));
        let (statements, listeners, started) = (Gauge::default(), Gauge::default(), Counter::default());
        registry.register("http_request_duration_seconds", "Time to answer a request", seconds.clone());
        registry.register("db_statements", "SQL statements sent since the start", statements.clone());
        registry.register("live_listeners", "Open live streams", listeners.clone());
        registry.register("http_requests_started", "Requests taken", started.clone());
        Self { registry: Mutex::new(registry), seconds, statements, listeners, started }
    }
}

impl Metrics {
    /// A page has opened its live stream.
    pub fn listener_came(&self) {
        self.listeners.inc();
    }

    /// A live stream has ended.
    pub fn listener_went(&self) {
        self.listeners.dec();
    }
}

/// Measures every request by the route that took it.
pub async fn measure(State(app): State<App>, request: Request, next: Next) -> Response {
    app.metrics.started.inc();
    let started = Instant::now();
    let method = request.method().as_str().to_owned();
    let route = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str).to_owned();
    let response = next.run(request).await;
    let labels = Labels { method, route, status: response.status().as_u16() };
    app.metrics.seconds.get_or_create(&labels).observe(started.elapsed().as_secs_f64());
    response
}

/// `GET /metrics`, in the OpenMetrics text format.
pub async fn show(State(app): State<App>) -> Response {
    app.metrics.statements.set(i64::try_from(app.db.statements()).unwrap_or(i64::MAX));
    let mut text = String::new();
    let written = app.metrics.registry.lock().is_ok_and(|registry| encode(&mut text, &registry).is_ok());
    if !written {
        return axum::http::StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
}
