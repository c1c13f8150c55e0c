//! Reading an endpoint: its page of metrics, or a Prometheus server that reads it.
//!
//! Redirects are not followed, and an answer that is too slow or too large is none: the addresses of external endpoints
//! are entered by people.

use std::collections::BTreeMap;
use std::time::Duration;

use countersign_runtimes::exposition::{self, Histogram};
use serde::Deserialize;

use super::source::{Counts, MetricsSource, PrometheusQueries, Reading};
use crate::error::{Error, Result};

/// For how long an endpoint may take to answer.
pub const PATIENCE: Duration = Duration::from_secs(3);
/// The largest answer that is read.
const LARGEST: usize = 8 << 20;

/// The client that endpoints are read and probed with.
///
/// # Errors
/// It cannot be made.
pub fn client() -> Result<reqwest::Client> {
    let client = reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none());
    client.build().map_err(Error::internal)
}

/// Reads one endpoint. An external one that lacks the counter of requests was given wrong names.
pub async fn read(client: &reqwest::Client, source: &str, external: bool) -> anyhow::Result<Reading> {
    match serde_json::from_str(source)? {
        MetricsSource::Page(at) => {
            let page = get(client.get(&at.url)).await?;
            let page = exposition::parse(std::str::from_utf8(&page)?)?;
            anyhow::ensure!(!external || at.mapping.is_told(&page), "there is no metric {}", at.mapping.requests);
            Ok(at.mapping.read(&page))
        }
        MetricsSource::Queries(ask) => ask_prometheus(client, &ask).await,
    }
}

async fn get(request: reqwest::RequestBuilder) -> anyhow::Result<Vec<u8>> {
    let mut answer = request.send().await?.error_for_status()?;
    let mut body = Vec::new();
    while let Some(part) = answer.chunk().await? {
        anyhow::ensure!(body.len() + part.len() <= LARGEST, "the answer is too large");
        body.extend_from_slice(&part);
    }
    Ok(body)
}

/// Prometheus' answer to a query, as far as it is read here.
#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Vector(Vec<Series>),
    Scalar((f64, String)),
}

#[derive(Deserialize)]
struct Series {
    metric: BTreeMap<String, String>,
    value: (f64, String),
}

async fn ask_prometheus(client: &reqwest::Client, ask: &PrometheusQueries) -> anyhow::Result<Reading> {
    let requests = query(client, ask, &ask.requests).await?;
    anyhow::ensure!(!requests.is_empty(), "the query for requests finds nothing");
    let errors = query(client, ask, &ask.errors).await?;
    let durations = query(client, ask, &ask.durations).await?;
    let sum = |series: &[(BTreeMap<String, String>, f64)]| series.iter().map(|one| one.1).sum::<f64>();
    let bound = |labels: &BTreeMap<String, String>| labels.get("le")?.parse::<f64>().ok();
    let mut buckets: Vec<_> = durations.iter().filter_map(|(labels, count)| Some((bound(labels)?, *count))).collect();
    buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
    let durations = Histogram { buckets, ..Histogram::default() };
    let unit = ask.unit.parse().unwrap_or(1.0);
    Ok(Reading { real: Counts::new(sum(&requests), sum(&errors), &durations, unit), ..Reading::default() })
}

/// The series that a query finds now, with their values; none for no query.
async fn query(
    client: &reqwest::Client,
    ask: &PrometheusQueries,
    query: &str,
) -> anyhow::Result<Vec<(BTreeMap<String, String>, f64)>> {
    if query.trim().is_empty() {
        return Ok(Vec::new());
    }
    let address = format!("{}/api/v1/query", ask.prometheus.trim_end_matches('/'));
    let address = reqwest::Url::parse_with_params(&address, [("query", query)])?;
    let answer: Answer = serde_json::from_slice(&get(client.get(address)).await?)?;
    let series = match answer.data {
        Data::Vector(series) => series,
        Data::Scalar(value) => vec![Series { metric: BTreeMap::new(), value }],
    };
    series.into_iter().map(|one| Ok((one.metric, one.value.1.parse()?))).collect()
}
