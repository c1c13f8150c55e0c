//! What a version says of the job that made it. Pure.

use serde_json::{Value, json};

use crate::training::datasets::DatasetDetail;
use crate::training::datasets::rules::ColumnKind;
use crate::training::jobs::JobView;
use crate::training::points::Latest;

/// How many measurements a description names.
const NAMED: usize = 6;

/// A version's description: the job, its code, its data, and what it measured last.
pub fn description(job: &JobView, latest: &[Latest]) -> String {
    let mut says = format!("Made by training job {}, {}", job.job_id, job.name);
    if let Some(code) = &job.code {
        says.push_str(&format!(", with {code}"));
    }
    if let (Some(name), Some(digest)) = (&job.dataset_name, &job.dataset_digest) {
        says.push_str(&format!(", from {name} (sha256:{digest})"));
    }
    says.push('.');
    let named = latest.iter().filter_map(|one| Some(format!("{} {:.4}", one.name, one.value?)));
    let named: Vec<_> = named.take(NAMED).collect();
    if !named.is_empty() {
        says.push_str(&format!(" At its end: {}.", named.join(", ")));
    }
    says
}

/// A request to an endpoint that serves what the builtin training made: the first row of the data without a gap, each
/// feature a tensor of its own; none if every row has one.
pub fn example(features: &[String], dataset: &DatasetDetail) -> Option<Value> {
    let columns: Vec<_> = dataset.dataset.columns.0.iter().enumerate().collect();
    let used: Vec<_> = columns.into_iter().filter(|(_, column)| features.contains(&column.name)).collect();
    let cell = |row: &[Option<String>], at: usize| row.get(at).cloned().flatten();
    let row = dataset.preview.0.iter().find(|row| used.iter().all(|(at, _)| cell(row, *at).is_some()))?;
    let inputs = used.iter().map(|(at, column)| {
        let text = cell(row, *at)?;
        let (datatype, value) = match column.kind {
            ColumnKind::Number => ("FP32", json!(text.trim().parse::<f64>().ok()?)),
            _ => ("BYTES", json!(text)),
        };
        Some(json!({ "name": column.name, "datatype": datatype, "shape": [1, 1], "data": [value] }))
    });
    Some(json!({ "inputs": inputs.collect::<Option<Vec<_>>>()? }))
}
