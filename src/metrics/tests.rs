use chrono::{DateTime, TimeDelta, Utc};
use countersign_runtimes::exposition::{Histogram, parse};

use super::chart::{Series, chart};
use super::rules::{Availability, Window, availability, floor};
use super::sketch::Sketch;
use super::source::{Counts, Mapping, Reading};

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// A histogram as the model server has it: bounds that grow by 4 % from 50 µs.
fn histogram(seconds: &[f64]) -> Histogram {
    let bounds: Vec<f64> = (0..359).map(|n| 50e-6 * 1.04_f64.powi(n)).chain([f64::INFINITY]).collect();
    let count = |bound: f64| seconds.iter().filter(|one| **one <= bound).count() as f64;
    Histogram {
        buckets: bounds.iter().map(|bound| (*bound, count(*bound))).collect(),
        sum: seconds.iter().sum(),
        count: seconds.len() as f64,
    }
}

fn sketch(histogram: &Histogram) -> Sketch {
    Sketch::of(Counts::new(0.0, 0.0, histogram, 1.0).durations())
}

fn exact(seconds: &[f64], q: f64) -> f64 {
    let mut sorted = seconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * q).floor() as usize] * 1000.0
}

proptest::proptest! {
    #[test]
    fn percentiles_are_within_two_percent_even_after_merging(
        left in proptest::collection::vec(1e-4_f64..20.0, 1..200),
        right in proptest::collection::vec(1e-3_f64..0.5, 0..200),
    ) {
        let mut all_of_them = sketch(&histogram(&left));
        let stored = sketch(&histogram(&right)).to_text().unwrap();
        all_of_them.merge(&Sketch::parse(&stored).unwrap()).unwrap();
        let all: Vec<f64> = left.iter().chain(&right).copied().collect();
        proptest::prop_assert_eq!(all_of_them.count(), all.len() as u64);
        for q in [0.5, 0.95, 0.99] {
            let (told, true_one) = (all_of_them.quantile_ms(q).unwrap(), exact(&all, q));
            proptest::prop_assert!((told / true_one - 1.0).abs() < 0.021, "{told} for {true_one} at {q}");
        }
    }
}

#[test]
fn a_wide_bucket_of_another_server_is_spread_and_none_is_lost() {
    let coarse =
        Histogram { buckets: vec![(0.1, 10.0), (0.2, 110.0), (f64::INFINITY, 111.0)], sum: 16.0, count: 111.0 };
    let sketch = sketch(&coarse);
    assert_eq!(sketch.count(), 111);
    let median = sketch.quantile_ms(0.5).unwrap();
    assert!((120.0..160.0).contains(&median), "{median}");
    assert!(sketch.quantile_ms(1.0).unwrap() < 220.0);
}

#[test]
fn no_traffic_is_not_zero_and_old_figures_are_stale() {
    let now = at("2026-11-21T10:00:00Z");
    let ago = |seconds| Some(now - TimeDelta::seconds(seconds));
    assert_eq!(availability(true, None, 0, now), Availability::Unavailable);
    assert_eq!(availability(true, ago(5), 0, now), Availability::NoTraffic);
    assert_eq!(availability(true, ago(5), 3, now), Availability::Available);
    assert_eq!(availability(true, ago(90), 3, now), Availability::Stale);
    assert_eq!(availability(false, ago(5), 3, now), Availability::Unavailable);
}

#[test]
fn windows_start_on_a_full_point() {
    let now = at("2026-11-21T10:07:31Z");
    assert_eq!(Window::Hour.start(now), at("2026-11-21T09:07:00Z"));
    assert_eq!(Window::Day.start(now), at("2026-11-20T10:00:00Z"));
    assert_eq!(Window::Week.start(now), at("2026-11-14T10:00:00Z"));
    assert_eq!(floor(at("1969-12-31T23:59:59Z"), 60), at("1969-12-31T23:59:00Z"));
}

const PAGE: &str = r#"
# TYPE countersign_inference_requests_total counter
countersign_inference_requests_total{synthetic="false"} 10
countersign_inference_requests_total{synthetic="true"} 1000
# TYPE countersign_inference_errors_total counter
countersign_inference_errors_total{synthetic="false",kind="bad_input"} 1
countersign_inference_errors_total{synthetic="false",kind="queue_full"} 1
# TYPE countersign_inference_duration_seconds histogram
countersign_inference_duration_seconds_bucket{synthetic="false",le="0.001"} 4
countersign_inference_duration_seconds_bucket{synthetic="false",le="0.00104"} 8
countersign_inference_duration_seconds_bucket{synthetic="false",le="+Inf"} 8
countersign_inference_duration_seconds_sum{synthetic="false"} 0.008
countersign_inference_duration_seconds_count{synthetic="false"} 8
"#;

#[test]
fn a_reading_tells_real_requests_from_synthetic_ones() {
    let page = parse(PAGE).unwrap();
    let Reading { real, synthetic: made } = Mapping::default().read(&page);
    let (real, made) = (real.since(&Default::default()), made.since(&Default::default()));
    assert_eq!((real.requests, real.errors, real.sketch.count()), (10, 2, 8));
    assert_eq!((made.requests, made.errors, made.sketch.count()), (1000, 0, 0));
}

#[test]
fn a_restarted_endpoint_counts_from_zero() {
    let before = Mapping::default().read(&parse(PAGE).unwrap()).real;
    let after = PAGE.replace("} 10\n", "} 3\n").replace("} 8\n", "} 2\n").replace("} 4\n", "} 1\n");
    let after = Mapping::default().read(&parse(&after).unwrap()).real;
    let tally = after.since(&before);
    assert_eq!((tally.requests, tally.sketch.count()), (3, 2));
    assert_eq!(after.since(&after).requests, 0);
}

#[test]
fn a_reading_is_read_back_as_it_was_stored() {
    let slow = PAGE.replace("\"+Inf\"} 8", "\"+Inf\"} 9");
    let reading = Mapping::default().read(&parse(&slow).unwrap());
    let stored = serde_json::to_string(&reading).unwrap();
    let back: Reading = serde_json::from_str(&stored).unwrap();
    assert_eq!(back, reading);
    assert!(stored.len() < 250, "{stored}");
    assert_eq!(reading.real.since(&back.real).sketch.count(), 0);
}

#[test]
fn a_chart_interrupts_its_line_where_nothing_was_measured() {
    let start = at("2026-11-21T10:00:00Z");
    let minute = |n| start + TimeDelta::minutes(n);
    let series = Series { name: "P95".into(), points: vec![(minute(0), 2.0), (minute(1), 4.0), (minute(30), 3.0)] };
    let drawn = chart("Latency", &[series], (start, minute(60)), 60, |value| format!("{value} ms"));
    assert_eq!(drawn.lines[0].path, "M0.0 96.0h0L16.7 32.0M500.0 64.0h0");
    assert_eq!(drawn.values[2].1, "5 ms");
    assert_eq!(drawn.spots[1].title, "2026-11-21 10:01 UTC: P95 4 ms");
}
