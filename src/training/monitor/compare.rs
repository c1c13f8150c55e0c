//! Jobs of one model side by side: their curves laid over one another, what they were asked to do and what came of it.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use axum::extract::State;
use axum::response::Html;
use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::draw::{Drawn, number, overlay};
use crate::app::App;
use crate::error::Result;
use crate::ids::JobId;
use crate::metrics::chart::Chart;
use crate::training::jobs::{self, JobView, store};
use crate::training::points;
use crate::web::{Query, Shell, Visitor, filters, html};

/// How many jobs are compared.
const MOST: usize = 6;
/// How many metrics are laid over one another.
const MOST_CHARTS: usize = 12;

#[derive(Template)]
#[template(path = "training/compare.html")]
struct ComparePage {
    shell: Shell,
    now: DateTime<Utc>,
    jobs: Vec<JobView>,
    charts: Vec<Chart>,
    params: Vec<Row>,
    metrics: Vec<Row>,
    /// Why there is nothing to compare.
    why: Option<String>,
}

/// A line of a table: a name, and a value for each job.
struct Row {
    name: String,
    values: Vec<String>,
    differs: bool,
}

/// Which jobs are compared.
#[derive(Debug, Deserialize)]
pub struct Wanted {
    /// Their numbers: `jobs=1,2,3`, or each by itself.
    #[serde(default)]
    jobs: Vec<String>,
}

/// `GET /training/compare?jobs=1,2,3`
///
/// # Errors
/// `not_found` if the person may not see one of them.
pub async fn show(State(app): State<App>, visitor: Visitor, Query(wanted): Query<Wanted>) -> Result<Html<String>> {
    let numbers: BTreeSet<JobId> =
        wanted.jobs.iter().flat_map(|list| list.split(',')).filter_map(|word| word.trim().parse().ok()).collect();
    let mut seen = Vec::new();
    for job in numbers.iter().take(MOST + 1) {
        seen.push(jobs::seen(&app, &visitor.actor, *job).await?.0);
    }
    let why = refusal(&seen);
    if why.is_some() {
        seen.clear();
    }
    let ids: Vec<_> = seen.iter().map(|job| job.job_id).collect();
    let shell = Shell::new(&app, &visitor, "training", "Compare training jobs").await?;
    let (charts, params, metrics) = if ids.is_empty() {
        (Vec::new(), Vec::new(), Vec::new())
    } else {
        (charts(&app, &seen).await?, params(&app, &ids).await?, metrics(&app, &ids).await?)
    };
    html(&ComparePage { shell, now: app.now(), jobs: seen, charts, params, metrics, why })
}

fn refusal(jobs: &[JobView]) -> Option<String> {
    let first = jobs.first()?;
    if jobs.len() > MOST {
        Some(format!("At most {MOST} jobs are compared at once."))
    } else if jobs.iter().any(|job| job.model_id != first.model_id) {
        Some("They are jobs of different models, and measure different things.".to_owned())
    } else {
        None
    }
}

async fn charts(app: &App, jobs: &[JobView]) -> Result<Vec<Chart>> {
    let ids: Vec<_> = jobs.iter().map(|job| job.job_id).collect();
    let mut by_metric: BTreeMap<String, Vec<Drawn>> = BTreeMap::new();
    for series in points::series(&app.db, &ids, None).await? {
        let Some(job) = jobs.iter().find(|job| job.job_id == series.job_id) else { continue };
        let name = format!("{} (job {})", job.name, job.job_id);
        by_metric.entry(series.name).or_default().push(Drawn::of(name, &series.rows));
    }
    let drawn = by_metric.into_iter().filter(|(_, lines)| lines.iter().any(Drawn::is_curve));
    Ok(drawn.take(MOST_CHARTS).map(|(name, lines)| overlay(&name, lines)).collect())
}

async fn params(app: &App, jobs: &[JobId]) -> Result<Vec<Row>> {
    Ok(rows(jobs, store::params(&app.db, jobs).await?))
}

async fn metrics(app: &App, jobs: &[JobId]) -> Result<Vec<Row>> {
    let latest = points::latest(&app.db, jobs).await?;
    let told = |value: Option<f64>| value.map_or_else(|| "not a number".to_owned(), number);
    Ok(rows(jobs, latest.into_iter().map(|one| (one.job_id, one.name, told(one.value))).collect()))
}

fn rows(jobs: &[JobId], values: Vec<(JobId, String, String)>) -> Vec<Row> {
    let mut by_name: BTreeMap<String, BTreeMap<JobId, String>> = BTreeMap::new();
    for (job, name, value) in values {
        by_name.entry(name).or_default().insert(job, value);
    }
    by_name
        .into_iter()
        .map(|(name, values)| {
            let values: Vec<_> =
                jobs.iter().map(|job| values.get(job).cloned().unwrap_or_else(|| "–".to_owned())).collect();
            let differs = values.windows(2).any(|pair| pair[0] != pair[1]);
            Row { name, values, differs }
        })
        .collect()
}

impl ComparePage {
    fn tables(&self) -> [(&'static str, &[Row]); 2] {
        [("Last metrics", &self.metrics), ("Parameters", &self.params)]
    }
}
