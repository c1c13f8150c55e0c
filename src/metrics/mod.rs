//! Statistics of deployments: what their endpoints count of real requests, read every ten seconds, kept
//! as mergeable sketches a minute, rolled up to hours.
//!
//! A figure here was measured at an endpoint or is not there: no traffic is not zero, and an endpoint that
//! cannot be read has no figures. Synthetic requests are kept apart and never enter the real counts. This
//! area reads endpoints; it never starts or stops one.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::error::{Error, Result};
use crate::identity::{Action, Actor, access};
use crate::ids::DeploymentId;

mod api;
pub mod chart;
mod jobs;
pub mod panel;
mod read;
pub mod rules;
pub mod sketch;
mod source;
mod store;
#[cfg(test)]
mod tests;

pub use jobs::{Scraper, keep_measuring, tidy};
pub use read::client;
pub use source::{Mapping, MetricsPage, MetricsSource, PrometheusQueries, check_address};

use rules::{Availability, Tally, Thresholds, Window};

/// The JSON routes of this area.
pub fn api() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(api::metrics))
}

/// Which statistics are asked for.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StatisticsFilter {
    /// The time they cover: `1h` (default), `24h` or `7d`.
    #[param(inline)]
    pub window: Option<Window>,
    /// Requests marked as synthetic, instead of the real ones.
    #[serde(default)]
    pub synthetic: bool,
}

/// What an endpoint's requests were like in a window.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Statistics {
    /// The deployment.
    pub deployment_id: DeploymentId,
    /// The window.
    pub window: Window,
    /// Where it starts.
    pub from: DateTime<Utc>,
    /// Where it ends.
    pub to: DateTime<Utc>,
    /// Whether these are synthetic requests.
    pub synthetic: bool,
    /// What can be said at all.
    pub availability: Availability,
    /// Why there is nothing to say.
    pub reason: Option<String>,
    /// When the endpoint was last read.
    pub measured_at: Option<DateTime<Utc>>,
    /// The figures of the whole window.
    pub figures: Figures,
    /// The same, a point of the chart at a time; points without requests are left out.
    pub points: Vec<Point>,
    /// Where a figure turns amber or red.
    pub thresholds: Thresholds,
}

/// The figures of some requests.
#[derive(Debug, Clone, Default, Serialize, utoipa::ToSchema)]
pub struct Figures {
    /// How many requests were made.
    pub requests: i64,
    /// How many of them failed.
    pub errors: i64,
    /// Requests a second, over the time in which there could be any; none without requests.
    pub requests_per_s: Option<f64>,
    /// The share of requests that failed, 0 to 1.
    pub error_rate: Option<f64>,
    /// The share that did not.
    pub success_rate: Option<f64>,
    /// How many durations the percentiles are of: requests that reached the model.
    pub samples: i64,
    /// Half of them took at most so many milliseconds.
    pub p50_ms: Option<f64>,
    /// 95 in 100 of them.
    pub p95_ms: Option<f64>,
    /// 99 in 100 of them.
    pub p99_ms: Option<f64>,
}

/// One point of the chart.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Point {
    /// When it starts.
    pub at: DateTime<Utc>,
    /// Its figures.
    #[serde(flatten)]
    pub figures: Figures,
}

impl Figures {
    fn of(tally: &Tally, seconds: f64) -> Self {
        let error_rate = tally.error_rate();
        Self {
            requests: tally.requests,
            errors: tally.errors,
            requests_per_s: (tally.requests > 0).then(|| tally.requests as f64 / seconds.max(1.0)),
            error_rate,
            success_rate: error_rate.map(|rate| 1.0 - rate),
            samples: i64::try_from(tally.sketch.count()).unwrap_or(i64::MAX),
            p50_ms: tally.sketch.quantile_ms(0.5),
            p95_ms: tally.sketch.quantile_ms(0.95),
            p99_ms: tally.sketch.quantile_ms(0.99),
        }
    }
}

/// The statistics of a deployment: three statements.
///
/// Source: 3-lifecycle, *Deployments*, Detail.
///
/// # Errors
/// `not_found` if there is no such deployment, or the person may not see its model.
pub async fn statistics(
    app: &App,
    actor: &Actor,
    deployment: DeploymentId,
    filter: &StatisticsFilter,
) -> Result<Statistics> {
    let hidden = || Error::not_found("deployment", deployment);
    let subject = store::subject(&app.db, deployment).await?.ok_or_else(hidden)?;
    access::authorise(app, &app.db, actor, Action::ModelView, subject.model_id).await.map_err(|_| hidden())?;
    let (window, now) = (filter.window.unwrap_or(Window::Hour), app.now());
    let (from, tallies) = points(app, deployment, window, filter.synthetic, now).await?;
    let mut all = Tally::default();
    for tally in tallies.values() {
        all.add(tally)?;
    }
    let active = matches!(subject.state.as_str(), "active" | "deploying");
    let availability = rules::availability(active, subject.measured_at, all.requests, now);
    let first = tallies.keys().next().copied().unwrap_or(from);
    Ok(Statistics {
        deployment_id: deployment,
        window,
        from,
        to: now,
        synthetic: filter.synthetic,
        availability,
        reason: reason(availability, &subject),
        measured_at: subject.measured_at,
        figures: Figures::of(&all, (now - first).num_seconds() as f64),
        points: tallies
            .iter()
            .map(|(at, tally)| Point { at: *at, figures: Figures::of(tally, window.point() as f64) })
            .collect(),
        thresholds: Thresholds::of(&app.settings),
    })
}

/// The requests of a window, by the start of their point.
async fn points(
    app: &App,
    deployment: DeploymentId,
    window: Window,
    synthetic: bool,
    now: DateTime<Utc>,
) -> Result<(DateTime<Utc>, BTreeMap<DateTime<Utc>, Tally>)> {
    let from = window.start(now);
    let end = now + TimeDelta::seconds(1);
    let one = [deployment];
    let mut slices = match window {
        Window::Hour | Window::Day => store::between(&app.db, &one, 60, from, end).await?,
        Window::Week => store::between(&app.db, &one, 3600, from, end).await?,
    };
    if window == Window::Week {
        // The hours of the present are still minutes.
        let rolled = slices.last().map_or(from, |last| last.starts_at + TimeDelta::hours(1));
        slices.extend(store::between(&app.db, &one, 60, rolled, end).await?);
    }
    let mut points: BTreeMap<DateTime<Utc>, Tally> = BTreeMap::new();
    for slice in slices.into_iter().filter(|slice| slice.synthetic == synthetic) {
        points.entry(rules::floor(slice.starts_at, window.point())).or_default().add(&slice.tally)?;
    }
    Ok((from, points))
}

/// Why there are no figures, as a sentence.
fn reason(availability: Availability, subject: &store::Subject) -> Option<String> {
    match availability {
        Availability::Available => None,
        Availability::NoTraffic => {
            Some("The endpoint answers, and nobody has asked it anything in this time.".to_owned())
        }
        Availability::Stale => Some("The endpoint could not be read for over a minute.".to_owned()),
        Availability::Unavailable => Some(match (subject.state.as_str(), &subject.reason) {
            ("active" | "deploying", _) => "The endpoint has not been read yet.".to_owned(),
            (state, Some(why)) => format!("The deployment is {state}: {}.", why.trim_end_matches('.')),
            (state, None) => format!("The deployment is {state}."),
        }),
    }
}
