//! The monitor: a job watched while it runs. Charts, progress, log, drawn once for all who watch, and a stream that
//! tells when there is more.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use askama::Template;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Utc};

use super::jobs::{self, JobView};
use super::points::{self, Latest, Recorded};
use super::rules::{Executor, JobState};
use super::run::log::LogPiece;
use crate::app::App;
use crate::error::{Error, Result};
use crate::ids::JobId;
use crate::metrics::chart::Chart;
use crate::web::{Path, Visitor, filters, format};

pub(super) mod compare;
mod draw;
pub(super) mod stream;
#[cfg(test)]
mod tests;

use draw::{Drawn, number};

/// How many points tell the pace of a job.
const PACE: i64 = 200;
/// How many steps the table of numbers has.
const TABLE_STEPS: usize = 40;
/// How many metrics it has.
const TABLE_METRICS: usize = 10;
/// How many drawn monitors are kept.
const KEPT: usize = 64;
/// How many metrics are told at a glance.
const TOLD: usize = 12;

/// What a drawn monitor is of: whatever changes one of these changes what is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Of {
    points: i64,
    revision: i64,
    step: Option<i64>,
    epoch: Option<i64>,
    log: i64,
}

/// A drawn monitor, as it is and packed.
#[derive(Debug, Clone)]
pub struct Fragment {
    /// The HTML.
    pub html: Arc<str>,
    packed: Bytes,
}

/// The monitors that were drawn last, by job.
#[derive(Debug, Default)]
pub struct Drawings(Mutex<HashMap<JobId, (Of, Fragment)>>);

#[derive(Template)]
#[template(path = "training/monitor.html")]
struct Monitor<'a> {
    job: &'a JobView,
    now: DateTime<Utc>,
    charts: Vec<Chart>,
    latest: Vec<Latest>,
    lines: Vec<Drawn>,
    steps: Vec<i64>,
    left: Option<f64>,
    log: LogPiece,
}

/// The monitor of a job, for somebody who was let in already. It is the same for all who watch, so it is drawn once.
///
/// # Errors
/// Only failures.
pub async fn fragment(app: &App, job: &JobView) -> Result<Fragment> {
    let log = jobs::log_end(app, job.job_id).await?;
    let of = Of { points: job.points, revision: job.revision, step: job.step, epoch: job.epoch, log: log.size };
    let kept = |drawings: &Drawings| {
        let drawings = drawings.0.lock().unwrap_or_else(PoisonError::into_inner);
        drawings.get(&job.job_id).filter(|(known, _)| *known == of).map(|(_, fragment)| fragment.clone())
    };
    if let Some(fragment) = kept(&app.training.drawings) {
        return Ok(fragment);
    }
    // Of many who come at once, one draws.
    let _turn = app.training.drawing.lock().await;
    if let Some(fragment) = kept(&app.training.drawings) {
        return Ok(fragment);
    }
    let html = draw(app, job, log).await?;
    let fragment = Fragment { packed: packed(&html)?, html: html.into() };
    let mut drawings = app.training.drawings.0.lock().unwrap_or_else(PoisonError::into_inner);
    if drawings.len() >= KEPT {
        drawings.clear();
    }
    drawings.insert(job.job_id, (of, fragment.clone()));
    Ok(fragment)
}

async fn draw(app: &App, job: &JobView, log: LogPiece) -> Result<String> {
    let series = points::series(&app.db, &[job.job_id], None).await?;
    let latest = points::latest(&app.db, &[job.job_id]).await?;
    let left = match job.state {
        JobState::Running => {
            time_left(&points::since(&app.db, job.job_id, (job.points - PACE).max(0), PACE).await?, job)
        }
        _ => None,
    };
    let lines: Vec<_> = series.iter().take(TABLE_METRICS).map(|one| Drawn::of(one.name.clone(), &one.rows)).collect();
    let steps = draw::steps(&lines, TABLE_STEPS);
    let charts = draw::charts(&series);
    Monitor { job, now: app.now(), charts, latest, lines, steps, left, log }.render().map_err(Error::internal)
}

/// Seconds that are left at the pace of the last steps; none if nobody can know.
fn time_left(last: &[Recorded], job: &JobView) -> Option<f64> {
    let (first, newest) = (last.first()?, last.last()?);
    let (steps, milliseconds) = (newest.step - first.step, newest.at_ms - first.at_ms);
    if steps <= 0 || milliseconds <= 0 {
        return None;
    }
    let ahead = (job.steps? - job.step?).max(0);
    Some(ahead as f64 * milliseconds as f64 / steps as f64 / 1000.0)
}

fn packed(html: &str) -> Result<Bytes> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(html.as_bytes()).map_err(Error::internal)?;
    Ok(packer.finish().map_err(Error::internal)?.into())
}

impl Monitor<'_> {
    /// The metrics that are told at a glance: those of data that it did not learn from first.
    fn told(&self) -> Vec<&Latest> {
        let mut told: Vec<_> = self.latest.iter().collect();
        told.sort_by_key(|one| !draw::is_held_out(&one.name));
        told.truncate(TOLD);
        told
    }

    /// How much is done, in percent.
    fn done(&self) -> Option<f64> {
        let share = match (self.job.step, self.job.steps, self.job.epoch, self.job.epochs) {
            (Some(step), Some(steps), ..) if steps > 0 => step as f64 / steps as f64,
            (_, _, Some(epoch), Some(epochs)) if epochs > 0 => epoch as f64 / epochs as f64,
            _ => return None,
        };
        Some((share * 100.0).clamp(0.0, 100.0).round())
    }

    fn count(&self, number: &i64) -> String {
        format::thousands(*number)
    }

    fn left(&self) -> String {
        self.left.map_or_else(|| "–".to_owned(), format::duration)
    }

    fn value(&self, value: &Option<f64>) -> String {
        value.map_or_else(|| "not a number".to_owned(), number)
    }

    fn cell(&self, line: &Drawn, step: &i64) -> String {
        line.at(*step).map_or_else(|| "–".to_owned(), number)
    }

    fn took(&self) -> String {
        jobs::pages::lasted(self.job, self.now)
    }

    fn cost(&self) -> String {
        self.job.cpu_seconds.map(format::duration).unwrap_or_default()
    }

    fn memory(&self) -> String {
        self.job.peak_memory_bytes.map(format::bytes).unwrap_or_default()
    }
}

/// `GET /training/jobs/{id}/monitor`: the monitor alone, which the page's script asks for.
///
/// # Errors
/// `not_found`.
pub async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Path(job): Path<JobId>,
    headers: HeaderMap,
) -> Result<Response> {
    let (job, _) = jobs::seen(&app, &visitor.actor, job).await?;
    let fragment = fragment(&app, &job).await?;
    let takes = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let html = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
    // It is packed once as well, not for each who watches.
    if !takes.contains("gzip") {
        return Ok((html, fragment.html.to_string()).into_response());
    }
    let mut response = (html, fragment.packed).into_response();
    response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    Ok(response)
}
