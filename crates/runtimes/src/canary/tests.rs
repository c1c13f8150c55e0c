use super::*;

const LIMITS: Limits = Limits { max_error_rate: 0.02, max_p95: 0.5, min_samples: 50 };

fn snapshot(requests: f64, errors: f64, fast: f64) -> Snapshot {
    let buckets = vec![(0.1, fast), (1.0, requests), (f64::INFINITY, requests)];
    Snapshot { requests, errors, durations: Histogram { buckets, sum: requests, count: requests } }
}

fn verdict(before: &Snapshot, after: &Snapshot) -> Verdict {
    judge(&read(before, after), &LIMITS)
}

#[test]
fn what_was_before_the_window_does_not_count() {
    let before = snapshot(1000.0, 900.0, 0.0);
    let after = snapshot(1100.0, 901.0, 100.0);
    let reading = read(&before, &after);
    assert_eq!((reading.samples, reading.error_rate), (100, 0.01));
    assert!(reading.p95.unwrap() <= 0.1);
    assert_eq!(judge(&reading, &LIMITS), Verdict::Continue);
}

#[test]
fn too_many_errors_stop_it() {
    let Verdict::Stop { reason } = verdict(&Snapshot::default(), &snapshot(100.0, 3.0, 100.0)) else { panic!() };
    assert_eq!(reason, "3.0 % of 100 requests failed; the limit is 2.0 %.");
    assert_eq!(verdict(&Snapshot::default(), &snapshot(100.0, 2.0, 100.0)), Verdict::Continue);
}

#[test]
fn slow_answers_stop_it() {
    let Verdict::Stop { reason } = verdict(&Snapshot::default(), &snapshot(100.0, 0.0, 80.0)) else { panic!() };
    assert_eq!(reason, "The P95 of 100 requests is 775 ms; the limit is 500 ms.");
}

#[test]
fn few_requests_are_not_judged() {
    assert_eq!(verdict(&Snapshot::default(), &snapshot(49.0, 49.0, 0.0)), Verdict::NotEnough);
    assert_eq!(
        judge(&read(&Snapshot::default(), &Snapshot::default()), &Limits { min_samples: 0, ..LIMITS }),
        Verdict::NotEnough
    );
}

#[test]
fn counters_that_went_down_began_again() {
    let reading = read(&snapshot(1000.0, 5.0, 1000.0), &snapshot(60.0, 30.0, 60.0));
    assert_eq!((reading.samples, reading.error_rate), (60, 0.5));
}
