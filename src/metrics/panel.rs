//! The statistics of a deployment, as part of its page: cards, charts, and the numbers behind them.

use askama::Template;
use chrono::{DateTime, Utc};

use super::chart::{Chart, Series, chart};
use super::rules::{Availability, Window};
use super::{Figures, Point, Statistics, StatisticsFilter};
use crate::app::App;
use crate::error::{Error, Result};
use crate::identity::Actor;
use crate::ids::DeploymentId;
use crate::web::filters;

/// The statistics of a deployment, ready to stand in its page.
#[derive(Template)]
#[template(path = "metrics/panel.html")]
pub struct Panel {
    statistics: Statistics,
    charts: Vec<Chart>,
    now: DateTime<Utc>,
}

impl std::fmt::Debug for Panel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Panel").field("statistics", &self.statistics).finish_non_exhaustive()
    }
}

/// One card.
struct Card {
    label: &'static str,
    value: String,
    class: &'static str,
    note: String,
}

/// The panel of a deployment as HTML.
///
/// # Errors
/// As [`super::statistics`].
pub async fn panel(app: &App, actor: &Actor, deployment: DeploymentId, filter: &StatisticsFilter) -> Result<String> {
    let statistics = super::statistics(app, actor, deployment, filter).await?;
    let charts = charts(&statistics);
    Panel { statistics, charts, now: app.now() }.render().map_err(Error::internal)
}

fn charts(statistics: &Statistics) -> Vec<Chart> {
    let step = statistics.window.point();
    let span = (statistics.from, statistics.to);
    let series = |name: &'static str, value: fn(&Figures) -> Option<f64>| Series {
        name: name.into(),
        points: statistics.points.iter().map(|point| (point.at, value(&point.figures).unwrap_or(0.0))).collect(),
    };
    let latency = [
        series("P50", |figures| figures.p50_ms),
        series("P95", |figures| figures.p95_ms),
        series("P99", |figures| figures.p99_ms),
    ];
    let rate = [series("requests/s", |figures| figures.requests_per_s)];
    let errors = [series("errors", |figures| figures.error_rate)];
    vec![
        chart("Latency in ms", &latency, span, step, milliseconds),
        chart("Requests a second", &rate, span, step, per_second),
        chart("Error rate", &errors, span, step, percent),
    ]
}

/// As people read it.
#[must_use]
pub fn milliseconds(value: f64) -> String {
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$} ms")
}

/// As people read it.
#[must_use]
pub fn per_second(value: f64) -> String {
    let digits = if value < 10.0 { 2 } else { 0 };
    format!("{value:.digits$}/s")
}

/// As people read it.
#[must_use]
pub fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

impl Panel {
    fn windows(&self) -> impl Iterator<Item = (&'static str, &'static str, bool)> {
        Window::ALL.iter().map(|window| (window.as_str(), window.label(), *window == self.statistics.window))
    }

    fn has_figures(&self) -> bool {
        matches!(self.statistics.availability, Availability::Available | Availability::Stale)
            && self.statistics.figures.requests > 0
    }

    fn heading(&self) -> &'static str {
        match self.statistics.availability {
            Availability::NoTraffic => "No traffic",
            Availability::Stale => "Figures are stale",
            Availability::Available | Availability::Unavailable => "Metrics unavailable",
        }
    }

    /// Volume, the percentiles, and errors with success, each with how many samples it is of.
    fn cards(&self) -> Vec<Card> {
        let (figures, limits) = (&self.statistics.figures, &self.statistics.thresholds);
        let samples = || format!("of {} samples", crate::web::format::thousands(figures.samples));
        let latency = |label, value: Option<f64>, class| Card {
            label,
            value: value.map_or_else(|| "–".to_owned(), milliseconds),
            class,
            note: samples(),
        };
        let over = |value: Option<f64>, limit: f64| value.is_some_and(|value| value > limit);
        let amber = if over(figures.p50_ms, limits.p50_ms) { "is-warn" } else { "" };
        let red = if over(figures.p95_ms, limits.p95_ms) { "is-bad" } else { "" };
        let failing = if over(figures.error_rate, limits.error_rate) { "is-bad" } else { "" };
        vec![
            Card {
                label: "Requests",
                value: crate::web::format::thousands(figures.requests),
                class: "",
                note: figures.requests_per_s.map(per_second).unwrap_or_default(),
            },
            latency("P50", figures.p50_ms, amber),
            latency("P95", figures.p95_ms, red),
            latency("P99", figures.p99_ms, ""),
            Card {
                label: "Error rate",
                value: figures.error_rate.map_or_else(|| "–".to_owned(), percent),
                class: failing,
                note: figures.success_rate.map(|rate| format!("{} succeeded", percent(rate))).unwrap_or_default(),
            },
        ]
    }

    fn cells(&self, point: &Point) -> [String; 5] {
        let show = |value: Option<f64>, show: fn(f64) -> String| value.map_or_else(|| "–".to_owned(), show);
        let figures = &point.figures;
        [
            crate::web::format::thousands(figures.requests),
            show(figures.p50_ms, milliseconds),
            show(figures.p95_ms, milliseconds),
            show(figures.p99_ms, milliseconds),
            show(figures.error_rate, percent),
        ]
    }
}
