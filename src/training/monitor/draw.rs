//! What a job measured, as charts and as numbers. Pure.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::metrics::chart::{Chart, HEIGHT, Line, Spot, WIDTH};
use crate::training::points::rules::thinned;
use crate::training::points::{Series, Span};

/// Of how many stretches a line is drawn: more than the eye tells apart.
const STRETCHES: usize = 240;
/// How many places of a chart answer the pointer.
const SPOTS: usize = 80;
/// How many metrics are drawn; the others stand in the table.
const MOST_CHARTS: usize = 12;

/// A line to be drawn: its name, and where it goes.
#[derive(Debug, Clone)]
pub struct Drawn {
    /// The name.
    pub name: String,
    /// Step and value, in the order of the steps.
    pub points: Vec<(i64, f64)>,
}

impl Drawn {
    /// The line of a metric: through the lowest and the highest point of each stretch.
    #[must_use]
    pub fn of(name: String, rows: &[Span]) -> Self {
        let mut points = Vec::with_capacity(rows.len() * 2);
        for row in thinned(rows.to_vec(), STRETCHES) {
            let (Some(low), Some(low_step), Some(high), Some(high_step)) =
                (row.low, row.low_step, row.high, row.high_step)
            else {
                continue;
            };
            let (one, other) = ((low_step, low), (high_step, high));
            if one == other {
                points.push(one);
            } else {
                points.extend(if low_step <= high_step { [one, other] } else { [other, one] });
            }
        }
        points.sort_by_key(|point| point.0);
        Self { name, points }
    }

    /// The value at a step: that of the last point up to it.
    #[must_use]
    pub fn at(&self, step: i64) -> Option<f64> {
        let behind = self.points.partition_point(|point| point.0 <= step);
        behind.checked_sub(1).and_then(|at| self.points.get(at)).map(|point| point.1)
    }
}

/// What a metric is about: the validation's loss and the training's belong into one chart. That of single batches
/// would hide them.
fn subject(name: &str) -> &str {
    let prefixes = ["validation_", "training_", "train_", "val_", "test_", "eval_"];
    prefixes.iter().find_map(|prefix| name.strip_prefix(prefix)).filter(|rest| !rest.is_empty()).unwrap_or(name)
}

/// The charts of a job: its losses first.
#[must_use]
pub fn charts(series: &[Series]) -> Vec<Chart> {
    let mut groups: BTreeMap<(bool, &str), Vec<Drawn>> = BTreeMap::new();
    for one in series {
        let about = subject(&one.name);
        groups.entry((about != "loss", about)).or_default().push(Drawn::of(one.name.clone(), &one.rows));
    }
    let drawn = groups.into_iter().filter(|(_, lines)| lines.iter().any(|line| !line.points.is_empty()));
    drawn.take(MOST_CHARTS).map(|((_, about), lines)| overlay(about, lines)).collect()
}

/// One chart of several lines over the steps.
#[must_use]
pub fn overlay(title: &str, lines: Vec<Drawn>) -> Chart {
    let all = || lines.iter().flat_map(|line| &line.points);
    let (from, to) = (all().map(|point| point.0).min().unwrap_or(0), all().map(|point| point.0).max().unwrap_or(1));
    let to = to.max(from + 1);
    let (low, high) = range(all().map(|point| point.1));
    let x = |step: i64| (step - from) as f64 / (to - from) as f64 * WIDTH;
    let y = |value: f64| HEIGHT - (value - low) / (high - low) * HEIGHT;
    let path = |line: &Drawn| {
        let mut path = String::with_capacity(line.points.len() * 12);
        for (at, (step, value)) in line.points.iter().enumerate() {
            path.push_str(&format!("{}{:.1} {:.1}", if at == 0 { "M" } else { "L" }, x(*step), y(*value)));
        }
        // A point alone is a dot: a line of no length with round ends.
        if line.points.len() == 1 { path + "h0" } else { path }
    };
    let drawn = lines.iter().enumerate().map(|(number, line)| Line {
        name: Cow::Owned(line.name.clone()),
        number,
        path: path(line),
    });
    let drawn = drawn.collect();
    Chart {
        title: Cow::Owned(crate::web::format::words(title)),
        lines: drawn,
        spots: spots(&lines, from, to),
        values: [0.0, 0.5, 1.0]
            .map(|share| (format!("{:.1}", HEIGHT - share * HEIGHT), number(low + (high - low) * share)))
            .into(),
        times: [0.0, 0.25, 0.5, 0.75]
            .map(|share| {
                let step = from + ((to - from) as f64 * share) as i64;
                (format!("{:.1}", share * WIDTH), format!("step {}", crate::web::format::thousands(step)))
            })
            .into(),
    }
}

/// The steps of a run that are told: as many as there are, or evenly chosen.
#[must_use]
pub fn steps(lines: &[Drawn], most: usize) -> Vec<i64> {
    let mut steps: Vec<i64> = lines.iter().flat_map(|line| line.points.iter().map(|point| point.0)).collect();
    steps.sort_unstable();
    steps.dedup();
    if steps.len() <= most {
        return steps;
    }
    let last = steps.len() - 1;
    (0..most).map(|at| steps[at * last / (most - 1).max(1)]).collect()
}

fn spots(lines: &[Drawn], from: i64, to: i64) -> Vec<Spot> {
    let steps = steps(lines, SPOTS);
    let x = |step: f64| (step - from as f64) / (to - from) as f64 * WIDTH;
    let edge = |one: Option<&i64>, other: i64| one.map_or(other as f64, |one| (*one + other) as f64 / 2.0);
    steps
        .iter()
        .enumerate()
        .map(|(at, step)| {
            let left = x(edge(at.checked_sub(1).and_then(|before| steps.get(before)), *step));
            let right = x(edge(steps.get(at + 1), *step));
            let values = lines.iter().filter_map(|line| Some(format!("{} {}", line.name, number(line.at(*step)?))));
            let values: Vec<_> = values.collect();
            Spot {
                x: format!("{left:.1}"),
                width: format!("{:.1}", (right - left).max(2.0)),
                title: format!("step {}: {}", crate::web::format::thousands(*step), values.join(", ")),
            }
        })
        .collect()
}

/// The lowest and the highest value, never the same.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) =
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    if !low.is_finite() || !high.is_finite() {
        return (0.0, 1.0);
    }
    let room = (high - low).max(high.abs().max(low.abs()) * 1e-9).max(1e-12);
    (low - room * 0.04, high + room * 0.04)
}

/// A measured value as people read it: five digits that count.
#[must_use]
pub fn number(value: f64) -> String {
    let size = value.abs();
    if value != 0.0 && !(1e-4..1e7).contains(&size) {
        return format!("{value:.3e}");
    }
    let digits = if size >= 1000.0 {
        1
    } else if size >= 10.0 {
        3
    } else {
        4
    };
    format!("{value:.digits$}")
}
