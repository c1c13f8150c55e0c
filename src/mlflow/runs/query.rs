//! Searching runs.

use serde::{Deserialize, Serialize};

use super::view::Belongings;
use super::{Actor, App, ExperimentId, Int, List, Result, RunRow, RunView, ViewType, belongings, store};
use crate::mlflow::filter::Subject;
use crate::mlflow::search::{self, KeyValue, Search};
use crate::mlflow::value_of;

/// What is searched for.
#[derive(Debug, Deserialize)]
pub struct RunSearch {
    #[serde(default)]
    experiment_ids: List<Int>,
    #[serde(default)]
    filter: Option<String>,
    #[serde(default)]
    run_view_type: ViewType,
    #[serde(default)]
    max_results: Option<Int>,
    #[serde(default)]
    order_by: List<String>,
    #[serde(default)]
    page_token: Option<String>,
}

/// A page of runs.
#[derive(Debug, Serialize)]
pub struct Runs {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    runs: Vec<RunView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

/// Finds runs: two statements, whatever their number.
///
/// # Errors
/// `malformed` for a filter that cannot be understood.
pub async fn search(app: &App, actor: &Actor, asked: RunSearch) -> Result<Runs> {
    let limit = search::limit(asked.max_results.map(|most| most.0), 1000, 50_000)?;
    let filter = asked.filter.as_deref().unwrap_or_default();
    let search = Search::read(&store::SEARCHED, filter, &asked.order_by.0, &[("start_time", true), ("job_id", false)])?;
    let experiments: Vec<ExperimentId> = asked.experiment_ids.0.iter().map(|id| ExperimentId(id.0)).collect();
    let cursor = asked.page_token.as_deref();
    let mut rows = store::search(app, actor, &search, &experiments, asked.run_view_type, cursor, limit).await?;
    let more = i64::try_from(rows.len()).unwrap_or(i64::MAX) > limit;
    rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let mut belongings = belongings(app, &rows).await?;
    let last = rows.last().filter(|_| more);
    let next_page_token = last.map(|row| search.cursor(|subject| key_of(row, belongings.get(&row.job_id), subject)));
    let runs = rows.into_iter().map(|row| belongings.remove(&row.job_id).unwrap_or_default().of(row)).collect();
    Ok(Runs { runs, next_page_token })
}

fn key_of(row: &RunRow, own: Option<&Belongings>, subject: &Subject) -> KeyValue {
    let data = own.map(|own| &own.data);
    match subject {
        Subject::Metric(name) => {
            let metric = data.and_then(|data| data.metrics.iter().find(|metric| metric.key == *name));
            KeyValue::real(metric.and_then(|metric| metric.value.0))
        }
        Subject::Param(name) => KeyValue::text(value_of(data.map(|data| &data.params), name)),
        Subject::Tag(name) => KeyValue::text(value_of(data.map(|data| &data.tags), name)),
        Subject::Dataset(_) => KeyValue::None,
        Subject::Attribute(name) => match name.as_str() {
            "job_id" => KeyValue::Int(row.job_id.0),
            "experiment_id" => KeyValue::Int(row.experiment_id.0),
            "run_id" | "run_uuid" => KeyValue::Text(row.run_uuid.clone()),
            "run_name" | "Run name" => KeyValue::Text(row.name.clone()),
            "status" => KeyValue::Text(row.state.as_str().to_owned()),
            "user_id" => KeyValue::Text(row.email.clone()),
            "end_time" => row.finished_at.map_or(KeyValue::None, KeyValue::Instant),
            _ => KeyValue::Instant(row.started_at.unwrap_or(row.created_at)),
        },
    }
}
