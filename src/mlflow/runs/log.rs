//! What is written into a run, and read back point by point.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    Act, Actor, App, Done, Int, List, Metric, Pair, Point, Result, active, hold, json, missing, points, rules, seen,
    store, tags, unknown_model, wrong,
};
use crate::mlflow::{search, value_of};

/// How many metrics a batch has at most; and how much it holds of all, and of params or tags.
const MOST_METRICS: usize = 1000;
const MOST_OF_ALL: usize = 1000;
const MOST_PAIRS: usize = 100;

/// What is written at once.
#[derive(Debug, Default, Deserialize)]
pub struct Batch {
    /// The run.
    #[serde(default)]
    pub run_id: Option<String>,
    /// The points.
    #[serde(default)]
    pub metrics: List<Metric>,
    /// The parameters, which never change.
    #[serde(default)]
    pub params: List<Pair>,
    /// The tags, which may.
    #[serde(default)]
    pub tags: List<Pair>,
}

/// Writes metrics, parameters and tags of a run: all of them, or none.
///
/// # Errors
/// `not_found`, `forbidden`, or `malformed`: too much at once, a name that cannot be, a parameter that would change.
pub async fn log_batch(app: &App, actor: &Actor, batch: Batch) -> Result<Done> {
    let run = batch.run_id.as_deref().ok_or_else(|| wrong("The run_id is missing."))?;
    let (metrics, params, tags) = (&batch.metrics.0, &batch.params.0, &batch.tags.0);
    check(metrics, params, tags)?;
    let mut act = Act::begin(app, &actor.who).await?;
    let held = hold(&mut act, actor, run).await?;
    active(&held, run)?;
    if !params.is_empty()
        && let Some((name, value)) = store::add_params(&mut act.tx, held.job_id, params).await?
    {
        return Err(wrong(format!(
            "Changing param values is not allowed. The param “{name}” of run {run} is '{value}' already."
        )));
    }
    if !tags.is_empty() {
        tags::RUN.set(&mut act.tx, held.job_id, tags).await?;
        if let Some(name) = value_of(Some(tags), super::NAME_TAG) {
            store::update(&mut act.tx, held.job_id, None, Some(&super::run_name(name)?), None).await?;
        }
    }
    if !metrics.is_empty() {
        let now = act.now.timestamp_millis();
        let points: Vec<Point> = metrics.iter().map(|one| point(one, now)).collect();
        points::record(&mut act.tx, held.job_id, &points).await?;
        store::add_model_metrics(&mut act.tx, held.job_id, metrics).await.map_err(unknown_model)?;
        act.tell(format!("job:{}", held.job_id));
    }
    act.commit().await?;
    Ok(Done {})
}

fn point(metric: &Metric, now: i64) -> Point {
    Point {
        name: metric.key.clone(),
        step: metric.step.map_or(0, |step| step.0),
        epoch: None,
        value: metric.value.0,
        at_ms: metric.timestamp.map_or(now, |at| at.0),
    }
}

fn check(metrics: &[Metric], params: &[Pair], tags: &[Pair]) -> Result<()> {
    for (what, count, most) in [
        ("metrics", metrics.len(), MOST_METRICS),
        ("params", params.len(), MOST_PAIRS),
        ("tags", tags.len(), MOST_PAIRS),
        ("entries together", metrics.len() + params.len() + tags.len(), MOST_OF_ALL),
    ] {
        if count > most {
            return Err(wrong(format!("A batch has at most {most} {what}; this has {count}.")));
        }
    }
    for metric in metrics {
        rules::check_name("metric", &metric.key)?;
    }
    rules::check_params(params)?;
    rules::check_tags(tags)
}

/// Takes a tag from a run.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn delete_tag(app: &App, actor: &Actor, run: &str, name: &str) -> Result<Done> {
    let mut act = Act::begin(app, &actor.who).await?;
    let held = hold(&mut act, actor, run).await?;
    active(&held, run)?;
    if tags::RUN.remove(&mut act.tx, held.job_id, name).await? == 0 {
        return Err(missing("tag", name));
    }
    act.commit().await?;
    Ok(Done {})
}

/// What a run read.
#[derive(Debug, Deserialize)]
pub struct Inputs {
    run_id: String,
    #[serde(default)]
    datasets: List<Box<RawValue>>,
    #[serde(default)]
    models: List<Model>,
}

/// A data set that a run read, as far as it is looked into.
#[derive(Debug, Deserialize)]
struct DatasetInput {
    #[serde(default)]
    tags: List<Pair>,
    dataset: Dataset,
}

#[derive(Debug, Deserialize)]
struct Dataset {
    name: String,
    digest: String,
}

/// A logged model that a run made or used.
#[derive(Debug, Deserialize)]
pub struct Model {
    model_id: String,
    #[serde(default)]
    step: Option<Int>,
}

/// Notes what a run read.
///
/// # Errors
/// `not_found`, `forbidden`, `malformed`.
pub async fn log_inputs(app: &App, actor: &Actor, inputs: Inputs) -> Result<Done> {
    let mut rows = Vec::new();
    for raw in &inputs.datasets.0 {
        let read: DatasetInput =
            serde_json::from_str(raw.get()).map_err(|cause| wrong(format!("A data set cannot be read: {cause}.")))?;
        let context = value_of(Some(&read.tags.0), "mlflow.data.context").map(str::to_owned);
        rows.push((read.dataset.name, read.dataset.digest, context, raw.get().to_owned()));
    }
    rows.dedup_by(|a, b| (&a.0, &a.1) == (&b.0, &b.1));
    let mut act = Act::begin(app, &actor.who).await?;
    let held = hold(&mut act, actor, &inputs.run_id).await?;
    active(&held, &inputs.run_id)?;
    store::add_inputs(&mut act.tx, held.job_id, &rows).await?;
    add_models(&mut act, &held, "input", &inputs.models.0).await?;
    act.commit().await?;
    Ok(Done {})
}

async fn add_models(act: &mut Act, held: &store::Held, role: &str, models: &[Model]) -> Result<()> {
    let models: std::collections::BTreeMap<&str, i64> =
        models.iter().map(|one| (one.model_id.as_str(), one.step.map_or(0, |step| step.0))).collect();
    let models: Vec<_> = models.into_iter().collect();
    store::add_models(&mut act.tx, held.job_id, role, &models).await.map_err(unknown_model)?;
    Ok(())
}

/// What a run made.
#[derive(Debug, Deserialize)]
pub struct Outputs {
    run_id: String,
    #[serde(default)]
    models: List<Model>,
}

/// Notes which logged models a run made.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn log_outputs(app: &App, actor: &Actor, outputs: Outputs) -> Result<Done> {
    let mut act = Act::begin(app, &actor.who).await?;
    let held = hold(&mut act, actor, &outputs.run_id).await?;
    active(&held, &outputs.run_id)?;
    add_models(&mut act, &held, "output", &outputs.models.0).await?;
    act.commit().await?;
    Ok(Done {})
}

/// The tag in which clients before 3.0 keep which models a run logged.
const HISTORY_TAG: &str = "mlflow.log-model.history";

/// Notes a model that a client before 3.0 logged, in the run's tag.
///
/// # Errors
/// `not_found`, `forbidden`, `malformed`.
pub async fn record_model(app: &App, actor: &Actor, run: &str, model: &str) -> Result<Done> {
    let model: serde_json::Value =
        serde_json::from_str(model).map_err(|cause| wrong(format!("The model_json is not JSON: {cause}.")))?;
    let mut act = Act::begin(app, &actor.who).await?;
    let held = hold(&mut act, actor, run).await?;
    active(&held, run)?;
    let before = tags::RUN.get(&mut act.tx, held.job_id, HISTORY_TAG).await?.unwrap_or_default();
    let mut models: Vec<serde_json::Value> = serde_json::from_str(&before).unwrap_or_default();
    models.push(model);
    let tag = [Pair { key: HISTORY_TAG.to_owned(), value: json!(models).to_string() }];
    rules::check_tags(&tag)?;
    tags::RUN.set(&mut act.tx, held.job_id, &tag).await?;
    act.commit().await?;
    Ok(Done {})
}

/// A page of a metric's points.
#[derive(Debug, Serialize)]
pub struct History {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<Metric>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

/// How many points are answered at once, and at most.
const PAGE: i64 = 25_000;

/// The points of a metric, in the order of their coming.
///
/// # Errors
/// `not_found`, `malformed`.
pub async fn history(
    app: &App,
    actor: &Actor,
    run: &str,
    name: &str,
    limit: Option<i64>,
    token: Option<&str>,
) -> Result<History> {
    // Without a limit a client expects all of them: it does not look for a next page.
    let limit = if limit.is_none() { i64::from(u32::MAX) } else { search::limit(limit, PAGE, PAGE)? };
    let after = token.filter(|token| !token.is_empty()).map_or(Ok(0), str::parse::<i64>);
    let after = after.map_err(|_| wrong("The page_token is not of this history."))?;
    let row = seen(app, actor, run).await?;
    let mut found = points::history(&app.db, row.job_id, name, after, limit + 1).await?;
    let more = i64::try_from(found.len()).unwrap_or(i64::MAX) > limit;
    found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next_page_token = found.last().filter(|_| more).map(|point| point.seq.to_string());
    let metrics = found.into_iter().map(|one| Metric::new(one.name, one.value, one.at_ms, one.step)).collect();
    Ok(History { metrics, next_page_token })
}
