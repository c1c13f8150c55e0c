//! A run as MLflow has it.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Holder, Int, Lifecycle, Pair, Real, RunRow, millis, rules, store};

/// What is said of a run, as MLflow has it.
#[derive(Debug, Clone, Serialize)]
pub struct RunInfo {
    run_id: String,
    run_uuid: String,
    experiment_id: String,
    run_name: String,
    user_id: String,
    status: &'static str,
    start_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<i64>,
    artifact_uri: String,
    lifecycle_stage: Lifecycle,
}

impl From<RunRow> for RunInfo {
    fn from(row: RunRow) -> Self {
        Self {
            artifact_uri: Holder::run(&row.run_uuid).uri(row.experiment_id, ""),
            run_id: row.run_uuid.clone(),
            run_uuid: row.run_uuid,
            experiment_id: row.experiment_id.to_string(),
            run_name: row.name,
            user_id: row.email,
            status: rules::status(row.state),
            start_time: millis(row.started_at.unwrap_or(row.created_at)),
            end_time: row.finished_at.map(millis),
            lifecycle_stage: Lifecycle::of(row.deleted_at),
        }
    }
}

/// A metric's point, as MLflow has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Metric {
    pub(super) key: String,
    pub(super) value: Real,
    #[serde(default, serialize_with = "whole")]
    pub(super) timestamp: Option<Int>,
    #[serde(default, serialize_with = "whole")]
    pub(super) step: Option<Int>,
    #[serde(default, skip_serializing)]
    pub(super) model_id: Option<String>,
    #[serde(default, skip_serializing)]
    pub(super) dataset_name: Option<String>,
    #[serde(default, skip_serializing)]
    pub(super) dataset_digest: Option<String>,
}

#[expect(clippy::ref_option, reason = "as serde calls it")]
fn whole<S: serde::Serializer>(number: &Option<Int>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_i64(number.map_or(0, |number| number.0))
}

impl Metric {
    pub(super) fn new(key: String, value: Option<f64>, at_ms: i64, step: i64) -> Self {
        Self {
            key,
            value: Real(value),
            timestamp: Some(Int(at_ms)),
            step: Some(Int(step)),
            model_id: None,
            dataset_name: None,
            dataset_digest: None,
        }
    }
}

/// What a run measured and was told, as MLflow has it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RunData {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) metrics: Vec<Metric>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) params: Vec<Pair>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tags: Vec<Pair>,
}

/// A logged model that a run made or used.
#[derive(Debug, Clone, Serialize)]
pub struct UsedModel {
    model_id: String,
    step: i64,
}

#[derive(Debug, Clone, Default, Serialize)]
struct RunInputs {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dataset_inputs: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    model_inputs: Vec<UsedModel>,
}

#[derive(Debug, Clone, Default, Serialize)]
struct RunOutputs {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    model_outputs: Vec<UsedModel>,
}

/// A run, as MLflow has it.
#[derive(Debug, Clone, Serialize)]
pub struct RunView {
    info: RunInfo,
    data: RunData,
    inputs: RunInputs,
    outputs: RunOutputs,
}

/// All that belongs to a run.
#[derive(Debug, Default)]
pub(super) struct Belongings {
    /// What it measured and was told.
    pub data: RunData,
    inputs: RunInputs,
    outputs: RunOutputs,
}

impl Belongings {
    /// Adds one thing.
    pub fn add(&mut self, detail: store::Detail) {
        let store::Detail { kind, name, text, number, step, at_ms, .. } = detail;
        let pair = |key, value: Option<String>| Pair { key, value: value.unwrap_or_default() };
        let used = |model_id| UsedModel { model_id, step: step.unwrap_or(0) };
        match kind.as_str() {
            "m" => self.data.metrics.push(Metric::new(name, number, at_ms.unwrap_or(0), step.unwrap_or(0))),
            "p" => self.data.params.push(pair(name, text)),
            "t" => self.data.tags.push(pair(name, text)),
            "d" => self.inputs.dataset_inputs.extend(text.and_then(|text| RawValue::from_string(text).ok())),
            "input" => self.inputs.model_inputs.push(used(name)),
            _ => self.outputs.model_outputs.push(used(name)),
        }
    }

    /// The whole run.
    pub fn of(self, row: RunRow) -> RunView {
        RunView { info: row.into(), data: self.data, inputs: self.inputs, outputs: self.outputs }
    }
}
