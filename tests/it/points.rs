//! What jobs measured, in the database: exact, in order, and summed up as all of it together would be.

use countersign::db::Query;
use countersign::ids::JobId;
use countersign::training::points::{self, Point};

use crate::both;
use crate::harness::T;

/// A run without points.
async fn run(t: &T) -> JobId {
    let ada = t.admin().await;
    let mut act = t.act().await;
    let (job,) = Query::new(
        "INSERT INTO training_jobs (run_uuid, experiment_id, name, executor, configuration, state, requested_by_id, created_at)
         VALUES ('0', 0, 'run', 'mlflow', '{}', 'running', $1, $2) RETURNING job_id",
    )
    .bind(ada.id)
    .bind(t.now())
    .one(&mut act.tx)
    .await
    .unwrap();
    act.commit().await.unwrap();
    job
}

fn loss(step: i64, value: Option<f64>) -> Point {
    Point { name: "loss".to_owned(), step, epoch: None, value, at_ms: step }
}

async fn record(t: &T, job: JobId, measured: &[Point]) -> i64 {
    let mut tx = t.app().db.begin().await.unwrap();
    let last = points::record(&mut tx, job, measured).await.unwrap();
    tx.commit().await.unwrap();
    last
}

both! {
    async fn numbers_come_back_as_they_were_to_the_last_bit(t: T) {
        let job = run(&t).await;
        let mut bits = 0x0123_4567_89ab_cdef_u64;
        let mut next = || {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            f64::from_bits((bits >> 2) | 0x1000_0000_0000_0000)
        };
        let mut values: Vec<f64> = (0..2000).map(|_| next()).collect();
        values.extend([0.1, 1.0 / 3.0, f64::MAX, f64::MIN, f64::MIN_POSITIVE, -0.5, 1e300, 1e-300, 0.980_769_230_769_230_8]);
        let measured: Vec<Point> = (0..).zip(&values).map(|(step, value)| loss(step, Some(*value))).collect();
        record(&t, job, &measured).await;
        let kept = points::history(&t.app().db, job, "loss", 0, 5000).await.unwrap();
        let wrong: Vec<_> = kept.iter().zip(&values).filter(|(kept, value)| kept.value != Some(**value)).collect();
        assert_eq!(kept.len(), values.len());
        assert!(wrong.is_empty(), "{} of {}, such as {:?}", wrong.len(), values.len(), wrong[0]);
    }

    async fn points_are_numbered_followed_and_drawn_whole(t: T) {
        let job = run(&t).await;
        let measured: Vec<Point> =
            (0..20_000).map(|step| loss(step, (step != 7).then_some(((step * 37) % 1009) as f64))).collect();
        let (first, second) = measured.split_at(9_999);
        assert_eq!(record(&t, job, first).await, 9_999);
        assert_eq!(record(&t, job, second).await, 20_000);
        let news = points::since(&t.app().db, job, 19_998, 100).await.unwrap();
        assert_eq!(news.iter().map(|point| (point.seq, point.step)).collect::<Vec<_>>(), [(19_999, 19_998), (20_000, 19_999)]);
        let series = points::series(&t.app().db, &[job], None).await.unwrap();
        assert_eq!((series.len(), series[0].points), (1, 20_000));
        assert!((500..=points::rules::MOST_ROWS).contains(&series[0].rows.len()), "{} rows", series[0].rows.len());
        let lowest = series[0].rows.iter().filter_map(|row| row.low).fold(f64::MAX, f64::min);
        let highest = series[0].rows.iter().filter_map(|row| row.high).fold(f64::MIN, f64::max);
        assert_eq!((lowest, highest), (0.0, 1008.0));
        let latest = points::latest(&t.app().db, &[job]).await.unwrap();
        assert_eq!((latest[0].points, latest[0].step), (20_000, 19_999));
        // What the spans hold is what the points say.
        for size in points::rules::SIZES {
            let differences = Query::new(
                "SELECT COUNT(*) FROM job_spans s JOIN (
                     SELECT (seq - 1) / $2 AS position, MIN(value) AS low, MAX(value) AS high FROM job_points
                     WHERE job_id = $1 GROUP BY (seq - 1) / $2) p ON p.position = s.position
                 WHERE s.job_id = $1 AND s.size = $2 AND (s.low <> p.low OR s.high <> p.high)",
            )
            .bind(job)
            .bind(size)
            .one::<(i64,)>(&t.app().db)
            .await
            .unwrap();
            assert_eq!(differences.0, 0, "spans of {size}");
        }
    }
}
