use proptest::prelude::*;

use super::*;

const TEXT: &str = r#"
# HELP http_requests_total Requests, by "code".
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027 1395066363000
http_requests_total{ method = "post" , code="400",}  3
# TYPE up gauge
up 1
# a comment of no meaning
odd{path="C:\\DIR\\",say="\"hi\"\n{}"} +Inf
# TYPE latency_seconds histogram
latency_seconds_bucket{le="0.1"} 50
latency_seconds_bucket{le="0.2"} 90
latency_seconds_bucket{le="+Inf"} 100
latency_seconds_sum 14.5
latency_seconds_count 100
# TYPE asked counter
asked_total 7 # {trace="1"} 0.5
# EOF
"#;

fn any(_: &BTreeMap<String, String>) -> bool {
    true
}

#[test]
fn a_scrape_is_read_into_families() {
    let scrape = parse(TEXT).unwrap();
    assert_eq!(scrape.sum("http_requests_total", any), 1030.0);
    assert_eq!(scrape.sum("http_requests_total", |labels| labels["code"] == "400"), 3.0);
    assert_eq!(scrape.sum("nothing", any), 0.0);
    assert_eq!(scrape.sum("asked_total", any), 7.0);
    assert_eq!(scrape.families["up"].kind, "gauge");
    assert_eq!(scrape.families["asked"].samples.len(), 1);
    let odd = &scrape.families["odd"];
    assert_eq!((odd.kind.as_str(), odd.samples[0].value), ("untyped", f64::INFINITY));
    assert_eq!(odd.samples[0].labels["path"], r"C:\DIR\");
    assert_eq!(odd.samples[0].labels["say"], "\"hi\"\n{}");
}

#[test]
fn a_line_that_cannot_be_read_is_named() {
    for (text, line, message) in [
        ("up", 1, "a sample has no value"),
        ("up 1\nup one", 2, "a value is not a number"),
        ("up{a=\"1} 1", 1, "a label's value does not end"),
        ("up{a=1} 1", 1, "a label's value has no quotes"),
        ("up{a} 1", 1, "a label has no value"),
        ("{} 1", 1, "a sample has no name"),
    ] {
        assert_eq!(parse(text), Err(ParseError { line, message }), "{text}");
    }
}

#[test]
fn a_histogram_sums_its_series_and_tells_quantiles() {
    let histogram = parse(TEXT).unwrap().histogram("latency_seconds", any);
    assert_eq!((histogram.count, histogram.sum, histogram.buckets.len()), (100.0, 14.5, 3));
    assert_eq!(histogram.quantile(0.5), Some(0.1));
    assert!((histogram.quantile(0.7).unwrap() - 0.15).abs() < 1e-9);
    assert_eq!(histogram.quantile(0.95), Some(0.2), "above the highest bound it is that bound");
    assert_eq!(Histogram::default().quantile(0.95), None);
    let two = "# TYPE h histogram\nh_bucket{a=\"1\",le=\"1\"} 1\nh_bucket{a=\"2\",le=\"1\"} 2\nh_count{a=\"1\"} 1\nh_count{a=\"2\"} 2";
    assert_eq!(parse(two).unwrap().histogram("h", any).buckets, [(1.0, 3.0)]);
}

#[test]
fn a_difference_is_what_came_since_and_a_restart_counts_from_zero() {
    let at = |counts: [f64; 2]| Histogram {
        buckets: vec![(1.0, counts[0]), (f64::INFINITY, counts[1])],
        sum: counts[1],
        count: counts[1],
    };
    assert_eq!(at([5.0, 9.0]).since(&at([2.0, 3.0])), at([3.0, 6.0]));
    assert_eq!(at([1.0, 2.0]).since(&at([2.0, 3.0])), at([1.0, 2.0]));
    assert_eq!(at([1.0, 2.0]).since(&Histogram::default()), at([1.0, 2.0]));
}

#[test]
fn a_histogram_survives_json() {
    let histogram = parse(TEXT).unwrap().histogram("latency_seconds", any);
    let json = serde_json::to_string(&histogram).unwrap();
    assert_eq!(serde_json::from_str::<Histogram>(&json).unwrap(), histogram);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn any_label_is_read_as_it_was_written(value in ".{0,40}", number in -1e9_f64..1e9) {
        let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        // Other line ends cannot be part of a line.
        prop_assume!(!value.contains('\r'));
        let scrape = parse(&format!("m{{a=\"{escaped}\",b=\"\"}} {number}")).unwrap();
        let sample = &scrape.families["m"].samples[0];
        prop_assert_eq!(&sample.labels["a"], &value);
        prop_assert_eq!(sample.value, number);
    }

    #[test]
    fn a_quantile_lies_in_the_bucket_of_its_rank(counts in prop::collection::vec(0_u32..50, 1..20), q in 0.0_f64..1.0) {
        let total: u32 = counts.iter().sum();
        prop_assume!(total > 0);
        let mut sum = 0;
        let mut buckets = Vec::new();
        for (index, count) in counts.iter().enumerate() {
            sum += count;
            buckets.push(((index + 1) as f64, f64::from(sum)));
        }
        let histogram = Histogram { buckets: buckets.clone(), sum: 0.0, count: f64::from(total) };
        let value = histogram.quantile(q).unwrap();
        let rank = q * f64::from(total);
        let (upper, _) = buckets.iter().find(|(_, count)| *count >= rank && *count > 0.0).unwrap();
        prop_assert!(value <= *upper && value >= upper - 1.0, "{} not in the bucket up to {}", value, upper);
    }
}
