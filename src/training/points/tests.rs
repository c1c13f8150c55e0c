use proptest::prelude::*;

use super::rules::{PlacedSpan, Point, SIZES, Span, summed, thinned};

/// Points of two metrics, now and then no number, in steps that need not rise.
fn points(most: usize) -> impl Strategy<Value = Vec<Point>> {
    let one = (prop::bool::ANY, 0_i64..50, prop::option::weighted(0.9, -5.0_f64..5.0), 0_i64..3).prop_map(
        |(loss, step, value, at_ms)| Point {
            name: if loss { "loss" } else { "auc" }.to_owned(),
            step,
            epoch: None,
            value,
            at_ms,
        },
    );
    prop::collection::vec(one, 0..most)
}

/// The spans of a metric, from all its points at once.
fn recomputed(points: &[Point], name: &str) -> Vec<PlacedSpan> {
    let own: Vec<&Point> = points.iter().filter(|point| point.name == name).collect();
    let mut spans = Vec::new();
    for size in SIZES {
        for (position, part) in own.chunks(usize::try_from(size).unwrap()).enumerate() {
            let numbers = || part.iter().filter_map(|point| Some((point.value?, point.step)));
            let low = numbers().min_by(|a, b| a.0.total_cmp(&b.0));
            let high = numbers().rev().max_by(|a, b| a.0.total_cmp(&b.0));
            let span = Span {
                low: low.map(|one| one.0),
                low_step: low.map(|one| one.1),
                high: high.map(|one| one.0),
                high_step: high.map(|one| one.1),
            };
            spans.push(PlacedSpan { name: name.to_owned(), size, position: i64::try_from(position).unwrap(), span });
        }
    }
    spans
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_spans_are_those_of_all_points_together(points in points(600)) {
        let (sums, spans) = summed(&[], &points);
        for name in ["loss", "auc"] {
            let own: Vec<PlacedSpan> = spans.iter().filter(|span| span.name == name).cloned().collect();
            prop_assert_eq!(own, recomputed(&points, name));
            let latest = points.iter().filter(|point| point.name == name).max_by(|a, b| {
                (a.step, a.at_ms).cmp(&(b.step, b.at_ms)).then(a.value.partial_cmp(&b.value).unwrap())
            });
            let sum = sums.iter().find(|sum| sum.name == name);
            prop_assert_eq!(sum.map(|sum| (sum.step, sum.value, sum.at_ms)), latest.map(|one| (one.step, one.value, one.at_ms)));
        }
    }

    #[test]
    fn what_comes_in_parts_sums_up_as_if_it_came_at_once(points in points(400), cut in 0_usize..400) {
        let (first, second) = points.split_at(cut.min(points.len()));
        let (mut known, _) = summed(&[], first);
        let (more, _) = summed(&known, second);
        known.retain(|sum| more.iter().all(|other| other.name != sum.name));
        known.extend(more);
        known.sort_by(|a, b| a.name.cmp(&b.name));
        prop_assert_eq!(known, summed(&[], &points).0);
    }

    #[test]
    fn thinning_keeps_the_lowest_and_the_highest(values in prop::collection::vec(-9.0_f64..9.0, 1..5000), most in 1_usize..1000) {
        let rows: Vec<Span> = (0..).zip(&values).map(|(step, value)| Span::of(step, Some(*value))).collect();
        let whole = rows.iter().copied().reduce(Span::joined);
        let thin = thinned(rows, most);
        prop_assert!(thin.len() <= most);
        prop_assert_eq!(thin.into_iter().reduce(Span::joined), whole);
    }
}
