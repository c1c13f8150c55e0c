//! What jobs measure, point by point: kept as it came, read back exactly, or drawn whole from few rows.
//!
//! Points are numbered per job in the order of their coming, so that who watches reads on from a number. Of every
//! 16, 128, 1,024 and 8,192 points of a metric the lowest and the highest are kept beside them: a run of any length
//! is drawn from about a thousand rows. Whose job it is, and who may see it, is asked before anybody comes here.

use serde::Serialize;

use crate::db::{Conn, Tx};
use crate::error::Result;
use crate::ids::JobId;

pub mod rules;
mod store;
#[cfg(test)]
mod tests;

pub use rules::{Point, Span};

/// A point as it was kept.
#[derive(Debug, Clone, PartialEq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Recorded {
    /// Which of its job's points it is, from 1.
    pub seq: i64,
    /// The metric's name.
    pub name: String,
    /// The step it was measured at.
    pub step: i64,
    /// The epoch, where there is one.
    pub epoch: Option<i64>,
    /// What was measured; none if it is not a number.
    pub value: Option<f64>,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
}

/// The last point of a metric, and how many there are.
#[derive(Debug, Clone, PartialEq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Latest {
    /// The job.
    pub job_id: JobId,
    /// The metric's name.
    pub name: String,
    /// How many points it has.
    pub points: i64,
    /// The last point's step.
    pub step: i64,
    /// The last point's value; none if it is not a number.
    pub value: Option<f64>,
    /// The last point's time, in milliseconds since 1970.
    pub at_ms: i64,
}

/// A metric of a job from its first point to its last.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Series {
    /// The job.
    pub job_id: JobId,
    /// The metric's name.
    pub name: String,
    /// How many points it has.
    pub points: i64,
    /// At most [`rules::MOST_ROWS`] stretches of it, in order.
    pub rows: Vec<Span>,
}

/// Appends points to a job, numbered in this order, and answers the number of the last: five statements, and as many
/// more as the number of points has powers of two.
///
/// # Errors
/// Only failures of the database.
pub async fn record(tx: &mut Tx, job: JobId, points: &[Point]) -> Result<i64> {
    let last = store::number(tx, job, points.len()).await?;
    if points.is_empty() {
        return Ok(last);
    }
    let first = last - i64::try_from(points.len()).unwrap_or(0) + 1;
    let before = store::known(tx, job, points).await?;
    let (latest, spans) = rules::summed(&before, points);
    store::append(tx, job, first, points).await?;
    store::set_latest(tx, job, &latest).await?;
    store::widen_spans(tx, job, &spans).await?;
    Ok(last)
}

/// Whole runs of metrics: of these jobs, and of one metric if it is named. Two statements.
///
/// # Errors
/// Only failures of the database.
pub async fn series(conn: impl Into<Conn<'_>>, jobs: &[JobId], name: Option<&str>) -> Result<Vec<Series>> {
    let mut conn = conn.into();
    let metrics = store::latest(conn.again(), jobs, name).await?;
    let rows = store::stretches(conn, jobs, name).await?;
    let mut all: Vec<Series> = metrics
        .into_iter()
        .map(|one| Series { job_id: one.job_id, name: one.name, points: one.points, rows: Vec::new() })
        .collect();
    for row in rows {
        // Both lists are sorted by job and name.
        let found = all.binary_search_by(|one| (one.job_id, one.name.as_str()).cmp(&(row.job_id, row.name.as_str())));
        if let Some(one) = found.ok().and_then(|at| all.get_mut(at)) {
            one.rows.push(row.span);
        }
    }
    for one in &mut all {
        one.rows = rules::thinned(std::mem::take(&mut one.rows), rules::MOST_ROWS);
    }
    Ok(all)
}

/// The last point of every metric of these jobs, by job and name. One statement.
///
/// # Errors
/// Only failures of the database.
pub async fn latest(conn: impl Into<Conn<'_>>, jobs: &[JobId]) -> Result<Vec<Latest>> {
    Ok(store::latest(conn, jobs, None).await?)
}

/// The points of a job behind number `seq`, at most `limit`: what who watches has not seen. One statement.
///
/// # Errors
/// Only failures of the database.
pub async fn since(conn: impl Into<Conn<'_>>, job: JobId, seq: i64, limit: i64) -> Result<Vec<Recorded>> {
    Ok(store::since(conn, job, seq, limit).await?)
}

/// The points of one metric behind number `seq`, exactly as they came, at most `limit`. One statement.
///
/// # Errors
/// Only failures of the database.
pub async fn history(conn: impl Into<Conn<'_>>, job: JobId, name: &str, seq: i64, limit: i64) -> Result<Vec<Recorded>> {
    Ok(store::history(conn, job, name, seq, limit).await?)
}
