//! The SQL of statistics.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::rules::Tally;
use super::sketch::Sketch;
use super::source::{MetricsSource, Reading};
use crate::db::{Conn, Db, DbError, Query, Tx, json_list};
use crate::error::{Error, Result};
use crate::ids::{DeploymentId, ModelId};

/// Takes or keeps the right to read for this server: the fence to write under, or nothing while another server has it.
pub async fn hold(
    tx: &mut Tx,
    mine: Option<i64>,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<Option<i64>, DbError> {
    Query::new(
        "UPDATE endpoint_reader SET fence = CASE WHEN fence = $1 THEN fence ELSE fence + 1 END, leased_until = $3
         WHERE only_row = 1 AND (fence = $1 OR leased_until <= $2) RETURNING fence",
    )
    .bind(mine)
    .bind(now)
    .bind(until)
    .optional::<(i64,)>(tx)
    .await
    .map(|row| row.map(|row| row.0))
}

/// Whether the right to read is still held, and stays so until the transaction ends.
pub async fn holds(tx: &mut Tx, fence: i64) -> Result<bool, DbError> {
    Query::new("SELECT fence FROM endpoint_reader WHERE only_row = 1 AND fence = $1")
        .bind(fence)
        .for_update()
        .optional::<(i64,)>(tx)
        .await
        .map(|row| row.is_some())
}

/// Lets the next who asks read: for a server that knows itself to be the only one.
pub async fn release(tx: &mut Tx, now: DateTime<Utc>) -> Result<u64, DbError> {
    Query::new("UPDATE endpoint_reader SET leased_until = $1 WHERE only_row = 1").bind(now).run(tx).await
}

/// An endpoint to read.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Target {
    pub deployment_id: DeploymentId,
    pub metrics_source: String,
    /// Whether others run it.
    pub external: bool,
}

impl Target {
    /// Whether its counts may be sums over several processes.
    pub fn sums_several(&self) -> bool {
        matches!(serde_json::from_str(&self.metrics_source), Ok(MetricsSource::Queries(_)))
    }
}

pub async fn targets(db: &Db) -> Result<Vec<Target>, DbError> {
    Query::new(
        "SELECT deployment_id, metrics_source, readiness_url IS NOT NULL AS external FROM deployments
         WHERE state IN ('deploying', 'active', 'paused') AND ended_at IS NULL AND metrics_source IS NOT NULL
         ORDER BY deployment_id",
    )
    .all(db)
    .await
}

/// What an endpoint had counted, and where it was read.
#[derive(Debug, Clone)]
pub struct LastReading {
    pub deployment_id: DeploymentId,
    pub source: String,
    pub reading: Reading,
}

pub async fn last_readings(db: &Db) -> Result<Vec<LastReading>> {
    let rows: Vec<(DeploymentId, String, String)> = Query::new(
        "SELECT r.deployment_id, r.source, r.reading FROM endpoint_readings r
         JOIN deployments d ON d.deployment_id = r.deployment_id WHERE d.ended_at IS NULL",
    )
    .all(db)
    .await?;
    rows.into_iter()
        .map(|(deployment_id, source, reading)| {
            let reading = serde_json::from_str(&reading).map_err(Error::internal)?;
            Ok(LastReading { deployment_id, source, reading })
        })
        .collect()
}

pub async fn put_readings(tx: &mut Tx, readings: &[LastReading]) -> Result<()> {
    let mut rows = Vec::with_capacity(readings.len());
    for one in readings {
        let reading = serde_json::to_string(&one.reading).map_err(Error::internal)?;
        rows.push(json!({ "id": one.deployment_id, "source": one.source, "reading": reading }));
    }
    Query::new(
        "INSERT INTO endpoint_readings (deployment_id, source, reading)
         SELECT CAST(value ->> 'id' AS BIGINT), value ->> 'source', value ->> 'reading' FROM json_each($1) WHERE TRUE
         ON CONFLICT (deployment_id) DO UPDATE SET source = excluded.source, reading = excluded.reading",
    )
    .bind(json_list(rows))
    .run(tx)
    .await?;
    Ok(())
}

/// Forgets the readings of deployments that have ended.
pub async fn forget_readings(tx: &mut Tx) -> Result<u64, DbError> {
    Query::new(
        "DELETE FROM endpoint_readings
         WHERE deployment_id IN (SELECT deployment_id FROM deployments WHERE ended_at IS NOT NULL)",
    )
    .run(tx)
    .await
}

/// A row of statistics, as it is stored.
#[derive(Debug, sqlx::FromRow)]
struct Row {
    deployment_id: DeploymentId,
    starts_at: DateTime<Utc>,
    synthetic: bool,
    requests: i64,
    errors: i64,
    sketch: String,
}

/// Requests of one deployment in one minute or hour.
#[derive(Debug, Clone)]
pub struct Slice {
    pub deployment_id: DeploymentId,
    pub starts_at: DateTime<Utc>,
    pub synthetic: bool,
    pub tally: Tally,
}

fn slices(rows: Vec<Row>) -> Result<Vec<Slice>> {
    rows.into_iter()
        .map(|row| {
            Ok(Slice {
                deployment_id: row.deployment_id,
                starts_at: row.starts_at,
                synthetic: row.synthetic,
                tally: Tally { requests: row.requests, errors: row.errors, sketch: Sketch::parse(&row.sketch)? },
            })
        })
        .collect()
}

const ROWS: &str = "SELECT deployment_id, starts_at, synthetic, requests, errors, sketch FROM deployment_statistics ";

/// The slices of some deployments that are `span` seconds long and start within a time.
pub async fn between(
    conn: impl Into<Conn<'_>>,
    deployments: &[DeploymentId],
    span: i64,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Result<Vec<Slice>> {
    let rows = Query::new(ROWS)
        .push(
            "WHERE deployment_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1)) AND span = $2
               AND starts_at >= $3 AND starts_at < $4 ORDER BY deployment_id, starts_at",
        )
        .bind(json_list(deployments))
        .bind(span)
        .bind(from)
        .bind(to)
        .all(conn)
        .await?;
    slices(rows)
}

/// Writes slices that are all of one span and start; what stood there gives way.
pub async fn put(tx: &mut Tx, span: i64, starts_at: DateTime<Utc>, slices: &[Slice]) -> Result<()> {
    let mut rows = Vec::with_capacity(slices.len());
    for one in slices {
        rows.push(json!({
            "id": one.deployment_id, "synthetic": i64::from(one.synthetic), "requests": one.tally.requests,
            "errors": one.tally.errors, "sketch": one.tally.sketch.to_text()?,
        }));
    }
    Query::new(
        "INSERT INTO deployment_statistics (deployment_id, span, starts_at, synthetic, requests, errors, sketch)
         SELECT CAST(value ->> 'id' AS BIGINT), $2, $3, CAST(value ->> 'synthetic' AS BIGINT) = 1,
                CAST(value ->> 'requests' AS BIGINT), CAST(value ->> 'errors' AS BIGINT), value ->> 'sketch'
         FROM json_each($1) WHERE TRUE
         ON CONFLICT (deployment_id, span, starts_at, synthetic) DO UPDATE
         SET requests = excluded.requests, errors = excluded.errors, sketch = excluded.sketch",
    )
    .bind(json_list(rows))
    .bind(span)
    .bind(starts_at)
    .run(tx)
    .await?;
    Ok(())
}

/// What the table shows of a deployment: of the last minutes.
#[derive(Debug)]
pub struct Latest {
    pub deployment_id: DeploymentId,
    pub requests_per_s: Option<f64>,
    pub p95_ms: Option<f64>,
    pub error_rate: Option<f64>,
}

pub async fn put_latest(tx: &mut Tx, latest: &[Latest], now: DateTime<Utc>) -> Result<(), DbError> {
    let rows = latest.iter().map(|one| {
        json!({ "id": one.deployment_id, "rate": one.requests_per_s, "p95": one.p95_ms, "errors": one.error_rate })
    });
    Query::new(
        "UPDATE deployments SET requests_per_s = n.rate, p95_ms = n.p95, error_rate = n.errors, measured_at = $2
         FROM (SELECT CAST(value ->> 'id' AS BIGINT) AS id, CAST(value ->> 'rate' AS DOUBLE PRECISION) AS rate,
                      CAST(value ->> 'p95' AS DOUBLE PRECISION) AS p95,
                      CAST(value ->> 'errors' AS DOUBLE PRECISION) AS errors FROM json_each($1)) n
         WHERE n.id = deployments.deployment_id",
    )
    .bind(json_list(rows))
    .bind(now)
    .run(tx)
    .await
    .map(drop)
}

/// Takes the table's figures from what does not run any more or could not be read lately: what is not measured is not told.
pub async fn take_back(tx: &mut Tx, stale: DateTime<Utc>) -> Result<u64, DbError> {
    Query::new(
        "UPDATE deployments SET requests_per_s = NULL, p95_ms = NULL, error_rate = NULL
         WHERE requests_per_s IS NOT NULL AND (measured_at < $1 OR state IN ('failed', 'retired'))",
    )
    .bind(stale)
    .run(tx)
    .await
}

/// The deployments that have minutes in an hour.
pub async fn with_minutes(db: &Db, from: DateTime<Utc>, to: DateTime<Utc>) -> Result<Vec<DeploymentId>, DbError> {
    let rows = Query::new(
        "SELECT DISTINCT deployment_id FROM deployment_statistics
         WHERE span = 60 AND starts_at >= $1 AND starts_at < $2 ORDER BY deployment_id",
    )
    .bind(from)
    .bind(to)
    .all::<(DeploymentId,)>(db)
    .await?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// The start of the last hour that was rolled up.
pub async fn last_hour(db: &Db) -> Result<Option<DateTime<Utc>>, DbError> {
    Query::new("SELECT MAX(starts_at) FROM deployment_statistics WHERE span = 3600")
        .one::<(Option<DateTime<Utc>>,)>(db)
        .await
        .map(|row| row.0)
}

/// The start of the first minute within a time.
pub async fn first_minute(db: &Db, from: DateTime<Utc>, to: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, DbError> {
    Query::new(
        "SELECT MIN(starts_at) FROM deployment_statistics WHERE span = 60 AND starts_at >= $1 AND starts_at < $2",
    )
    .bind(from)
    .bind(to)
    .one::<(Option<DateTime<Utc>>,)>(db)
    .await
    .map(|row| row.0)
}

/// Forgets the slices of a span that are older than `before`.
pub async fn forget(tx: &mut Tx, span: i64, before: DateTime<Utc>) -> Result<u64, DbError> {
    Query::new("DELETE FROM deployment_statistics WHERE span = $1 AND starts_at < $2")
        .bind(span)
        .bind(before)
        .run(tx)
        .await
}

/// What decides how a deployment's statistics are told.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Subject {
    pub model_id: ModelId,
    pub state: String,
    pub reason: Option<String>,
    pub measured_at: Option<DateTime<Utc>>,
}

pub async fn subject(db: &Db, deployment: DeploymentId) -> Result<Option<Subject>, DbError> {
    Query::new("SELECT model_id, state, reason, measured_at FROM deployments WHERE deployment_id = $1")
        .bind(deployment)
        .optional(db)
        .await
}
