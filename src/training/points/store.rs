//! The SQL of points.

use super::rules::{MOST_READ, PlacedSpan, Point, SIZES, Span, Sum};
use super::{Latest, Recorded};
use crate::db::{Conn, DbError, Query, Tx, Value, json_list, portions};
use crate::ids::JobId;

/// Gives out the next `count` numbers of a job, which is locked by it, and answers the last.
pub async fn number(tx: &mut Tx, job: JobId, count: usize) -> Result<i64, DbError> {
    Query::new("UPDATE training_jobs SET points = points + $2 WHERE job_id = $1 RETURNING points")
        .bind(job)
        .bind(i64::try_from(count).unwrap_or(0))
        .one::<(i64,)>(tx)
        .await
        .map(|row| row.0)
}

/// What is known of the metrics that these points are of.
pub async fn known(tx: &mut Tx, job: JobId, points: &[Point]) -> Result<Vec<Sum>, DbError> {
    let names: std::collections::BTreeSet<&str> = points.iter().map(|point| point.name.as_str()).collect();
    Query::new(
        "SELECT name, points, step, value, at_ms FROM job_metrics
         WHERE job_id = $1 AND name IN (SELECT value ->> 0 FROM json_each($2))",
    )
    .bind(job)
    .bind(json_list(names.into_iter().map(|name| [name])))
    .all(tx)
    .await
}

/// Appends points; the first gets the number `first`.
pub async fn append(tx: &mut Tx, job: JobId, first: i64, points: &[Point]) -> Result<(), DbError> {
    let mut seq = first;
    for portion in portions(points) {
        let rows = (seq..).zip(portion).map(|(seq, one)| -> [Value; 7] {
            [
                job.into(),
                seq.into(),
                (&one.name).into(),
                one.step.into(),
                one.epoch.into(),
                one.value.into(),
                one.at_ms.into(),
            ]
        });
        Query::new("INSERT INTO job_points (job_id, seq, name, step, epoch, value, at_ms) VALUES")
            .rows(rows)
            .run(&mut *tx)
            .await?;
        seq += i64::try_from(portion.len()).unwrap_or(0);
    }
    Ok(())
}

pub async fn set_latest(tx: &mut Tx, job: JobId, sums: &[Sum]) -> Result<(), DbError> {
    for portion in portions(sums) {
        let rows = portion.iter().map(|one| -> [Value; 6] {
            [job.into(), (&one.name).into(), one.points.into(), one.step.into(), one.value.into(), one.at_ms.into()]
        });
        Query::new("INSERT INTO job_metrics (job_id, name, points, step, value, at_ms) VALUES")
            .rows(rows)
            .push(
                " ON CONFLICT (job_id, name) DO UPDATE SET points = excluded.points, step = excluded.step,
                         value = excluded.value, at_ms = excluded.at_ms",
            )
            .run(&mut *tx)
            .await?;
    }
    Ok(())
}

/// Adds what new points mean to their spans: the same as [`Span::joined`].
pub async fn widen_spans(tx: &mut Tx, job: JobId, spans: &[PlacedSpan]) -> Result<(), DbError> {
    for portion in portions(spans) {
        let rows = portion.iter().map(|one| -> [Value; 8] {
            let Span { low, low_step, high, high_step } = one.span;
            [
                job.into(),
                (&one.name).into(),
                one.size.into(),
                one.position.into(),
                low.into(),
                low_step.into(),
                high.into(),
                high_step.into(),
            ]
        });
        Query::new("INSERT INTO job_spans (job_id, name, size, position, low, low_step, high, high_step) VALUES")
            .rows(rows)
            .push(
                " ON CONFLICT (job_id, name, size, position) DO UPDATE SET
                    low = CASE WHEN job_spans.low <= excluded.low OR excluded.low IS NULL THEN job_spans.low
                               ELSE excluded.low END,
                    low_step = CASE WHEN job_spans.low <= excluded.low OR excluded.low IS NULL THEN job_spans.low_step
                                    ELSE excluded.low_step END,
                    high = CASE WHEN job_spans.high >= excluded.high OR excluded.high IS NULL THEN job_spans.high
                                ELSE excluded.high END,
                    high_step = CASE WHEN job_spans.high >= excluded.high OR excluded.high IS NULL THEN job_spans.high_step
                                     ELSE excluded.high_step END",
            )
            .run(&mut *tx)
            .await?;
    }
    Ok(())
}

/// The metrics of jobs, by job and name.
pub async fn latest(conn: impl Into<Conn<'_>>, jobs: &[JobId], name: Option<&str>) -> Result<Vec<Latest>, DbError> {
    let mut rows: Vec<Latest> = Query::new(
        "SELECT job_id, name, points, step, value, at_ms FROM job_metrics
         WHERE job_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))",
    )
    .bind(json_list(jobs))
    .when(" AND name = {}", name)
    .all(conn)
    .await?;
    // Engines sort texts each in their own way; what looks names up needs one.
    rows.sort_by(|a, b| (a.job_id, &a.name).cmp(&(b.job_id, &b.name)));
    Ok(rows)
}

/// A stretch of a metric.
#[derive(Debug, sqlx::FromRow)]
pub struct Stretch {
    pub job_id: JobId,
    pub name: String,
    #[sqlx(flatten)]
    pub span: Span,
}

/// The stretches that metrics are drawn from, in order: points where they are few, else the finest spans that are.
pub async fn stretches(conn: impl Into<Conn<'_>>, jobs: &[JobId], name: Option<&str>) -> Result<Vec<Stretch>, DbError> {
    let [a, b, c, d] = SIZES;
    Query::new(
        "SELECT p.job_id, p.name, p.value AS low, p.step AS low_step, p.value AS high, p.step AS high_step, p.seq AS place
         FROM job_metrics m JOIN job_points p ON p.job_id = m.job_id AND p.name = m.name
         WHERE m.job_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1)) AND m.points <= $2
           AND ($3 IS NULL OR m.name = $3)
         UNION ALL
         SELECT s.job_id, s.name, s.low, s.low_step, s.high, s.high_step, s.position
         FROM job_metrics m JOIN job_spans s ON s.job_id = m.job_id AND s.name = m.name
           AND s.size = CASE WHEN m.points <= $2 * $4 THEN $4 WHEN m.points <= $2 * $5 THEN $5
                             WHEN m.points <= $2 * $6 THEN $6 ELSE $7 END
         WHERE m.job_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1)) AND m.points > $2
           AND ($3 IS NULL OR m.name = $3)
         ORDER BY place",
    )
    .bind(json_list(jobs))
    .bind(MOST_READ)
    .bind(name)
    .bind(a)
    .bind(b)
    .bind(c)
    .bind(d)
    .all(conn)
    .await
}

pub async fn since(conn: impl Into<Conn<'_>>, job: JobId, seq: i64, limit: i64) -> Result<Vec<Recorded>, DbError> {
    Query::new(
        "SELECT seq, name, step, epoch, value, at_ms FROM job_points WHERE job_id = $1 AND seq > $2 ORDER BY seq",
    )
    .bind(job)
    .bind(seq)
    .limit(limit)
    .all(conn)
    .await
}

pub async fn history(
    conn: impl Into<Conn<'_>>,
    job: JobId,
    name: &str,
    seq: i64,
    limit: i64,
) -> Result<Vec<Recorded>, DbError> {
    Query::new(
        "SELECT seq, name, step, epoch, value, at_ms FROM job_points WHERE job_id = $1 AND name = $2 AND seq > $3 ORDER BY seq",
    )
    .bind(job)
    .bind(name)
    .bind(seq)
    .limit(limit)
    .all(conn)
    .await
}
