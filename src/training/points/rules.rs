//! How points sum up: which is the latest, and what the spans hold. Pure.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How many points a kept span stands for, the finest first.
pub const SIZES: [i64; 4] = [16, 128, 1024, 8192];

/// Of how many rows a metric is drawn at most.
pub const MOST_ROWS: usize = 1000;

/// How many rows are read for a metric before the next coarser spans are: more than are drawn, so that one point too
/// many does not cost seven eighths of the detail.
pub const MOST_READ: i64 = 4096;

/// Something measured.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Point {
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

/// What is kept of a metric beside its points.
#[derive(Debug, Clone, PartialEq, Serialize, sqlx::FromRow)]
pub struct Sum {
    /// The metric's name.
    pub name: String,
    /// How many points it has.
    pub points: i64,
    /// The latest point's step.
    pub step: i64,
    /// The latest point's value.
    pub value: Option<f64>,
    /// The latest point's time.
    pub at_ms: i64,
}

/// A stretch of a metric: its lowest and its highest point. Of a single point both are the same; none if no point of
/// it is a number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Span {
    /// The lowest value.
    pub low: Option<f64>,
    /// The step at which it was first reached.
    pub low_step: Option<i64>,
    /// The highest value.
    pub high: Option<f64>,
    /// The step at which it was first reached.
    pub high_step: Option<i64>,
}

/// A span in its place.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlacedSpan {
    /// The metric's name.
    pub name: String,
    /// How many points a span of its kind stands for.
    pub size: i64,
    /// Which such part of the metric it is, from 0.
    pub position: i64,
    /// What it holds.
    #[serde(flatten)]
    pub span: Span,
}

impl Span {
    /// A stretch of one point.
    #[must_use]
    pub fn of(step: i64, value: Option<f64>) -> Self {
        let step = value.map(|_| step);
        Self { low: value, low_step: step, high: value, high_step: step }
    }

    /// The stretch that `self` and, behind it, `next` make.
    #[must_use]
    pub fn joined(self, next: Self) -> Self {
        let lower = next.low.is_some_and(|low| self.low.is_none_or(|own| low < own));
        let higher = next.high.is_some_and(|high| self.high.is_none_or(|own| high > own));
        let (low, low_step) = if lower { (next.low, next.low_step) } else { (self.low, self.low_step) };
        let (high, high_step) = if higher { (next.high, next.high_step) } else { (self.high, self.high_step) };
        Self { low, low_step, high, high_step }
    }
}

/// What the metrics named in `points` are with them, and the spans that the points make; `before` is what was known.
#[must_use]
pub fn summed(before: &[Sum], points: &[Point]) -> (Vec<Sum>, Vec<PlacedSpan>) {
    let mut sums: BTreeMap<&str, Sum> = before.iter().map(|sum| (sum.name.as_str(), sum.clone())).collect();
    let mut spans: BTreeMap<(&str, i64, i64), Span> = BTreeMap::new();
    for point in points {
        let sum = sums.entry(&point.name).or_insert_with(|| Sum {
            name: point.name.clone(),
            points: 0,
            step: point.step,
            value: point.value,
            at_ms: point.at_ms,
        });
        for size in SIZES {
            let one = Span::of(point.step, point.value);
            let place = (point.name.as_str(), size, sum.points / size);
            spans.entry(place).and_modify(|span| *span = span.joined(one)).or_insert(one);
        }
        sum.points += 1;
        if is_later(point, sum) {
            (sum.step, sum.value, sum.at_ms) = (point.step, point.value, point.at_ms);
        }
    }
    let named: std::collections::BTreeSet<&str> = points.iter().map(|point| point.name.as_str()).collect();
    let sums = sums.into_values().filter(|sum| named.contains(sum.name.as_str())).collect();
    let placed = spans.into_iter().map(|((name, size, position), span)| PlacedSpan {
        name: name.to_owned(),
        size,
        position,
        span,
    });
    (sums, placed.collect())
}

/// The latest point is the last by step, then time, then value, as MLflow has it; what is no number is the least.
fn is_later(point: &Point, than: &Sum) -> bool {
    let value = point.value.partial_cmp(&than.value).unwrap_or(Ordering::Equal);
    (point.step, point.at_ms).cmp(&(than.step, than.at_ms)).then(value).is_gt()
}

/// The same stretches, neighbours joined until there are at most `most`.
#[must_use]
pub fn thinned(rows: Vec<Span>, most: usize) -> Vec<Span> {
    if rows.len() <= most {
        return rows;
    }
    let together = rows.len().div_ceil(most);
    rows.chunks(together).filter_map(|chunk| chunk.iter().copied().reduce(Span::joined)).collect()
}
