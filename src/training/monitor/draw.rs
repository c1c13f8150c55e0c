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

    /// Whether there is more to see than the points of one step.
    #[must_use]
    pub fn is_curve(&self) -> bool {
        self.points.first().map(|point| point.0) != self.points.last().map(|point| point.0)
    }

    /// The value at a step: that of the last point up to it.
    #[must_use]
    pub fn at(&self, step: i64) -> Option<f64> {
        let behind = self.points.partition_point(|point| point.0 <= step);
        behind.checked_sub(1).and_then(|at| self.points.get(at)).map(|point| point.1)
    }
}

/// How metrics of data that a job did not learn from begin, and those of data that it did.
const HELD_OUT: [&str; 4] = ["validation_", "val_", "test_", "eval_"];
const LEARNT: [&str; 2] = ["training_", "train_"];

/// Whether a metric was measured on data that the job did not learn from.
#[must_use]
pub fn is_held_out(name: &str) -> bool {
    HELD_OUT.iter().any(|prefix| name.starts_with(prefix))
}

/// What a metric is about: the validation's loss and the training's belong into one chart. That of single batches
/// would hide them.
fn subject(name: &str) -> &str {
    let mut prefixes = HELD_OUT.iter().chain(&LEARNT);
    prefixes.find_map(|prefix| name.strip_prefix(prefix)).filter(|rest| !rest.is_empty()).unwrap_or(name)
}

/// The charts of a job: its losses first. What was measured at one step is no curve.
#[must_use]
pub fn charts(series: &[Series]) -> Vec<Chart> {
    let mut groups: BTreeMap<(bool, &str), Vec<Drawn>> = BTreeMap::new();
    for one in series {
        let about = subject(&one.name);
        groups.entry((about != "loss", about)).or_default().push(Drawn::of(one.name.clone(), &one.rows));
    }
    let drawn = groups.into_iter().filter(|(_, lines)| lines.iter().any(Drawn::is_curve));
    drawn.take(MOST_CHARTS).map(|((_, about), lines)| overlay(about, lines)).collect()
}

/// One chart of several lines over the steps.
#[must_use]
pub fn overlay(title: &str, lines: Vec<Drawn>) -> Chart {
    let all = || lines.iter().flat_map(|line| &line.points);
    let (from, to) = (all().map(|point| point.0).min().unwrap_or(0), all().map(|point| point.0).max().unwrap_or(1));
    let to = to.max(from + 1);
    let marks = marks(all().map(|point| point.1));
    let (low, high) = (marks[0].0, marks[marks.len() - 1].0);
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
        title: Cow::Owned(title.to_owned()),
        lines: drawn,
        spots: spots(&lines, from, to),
        values: marks.into_iter().map(|(value, text)| (format!("{:.1}", y(value)), text)).collect(),
        times: [0.0, 0.25, 0.5, 0.75]
            .map(|share| {
                let step = crate::web::format::thousands(from + ((to - from) as f64 * share) as i64);
                // Said once; on a narrow screen there is no room for more.
                let text = if share == 0.0 { format!("step {step}") } else { step };
                (format!("{:.1}", share * WIDTH), text)
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

/// The marks of the value axis, from below the lowest value to above the highest: round numbers, two at least.
fn marks(values: impl Iterator<Item = f64>) -> Vec<(f64, String)> {
    let (low, high) =
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    let (low, high) = if low.is_finite() && high.is_finite() { (low, high) } else { (0.0, 1.0) };
    // Of numbers this large no smaller difference can be drawn.
    let room = (high - low).max(high.abs().max(low.abs()) * 1e-9).max(1e-12);
    let power = 10_f64.powf((room / 4.0).log10().floor());
    let step =
        [1.0, 2.0, 5.0].map(|step| step * power).into_iter().find(|step| step * 4.0 >= room).unwrap_or(10.0 * power);
    let (first, last) = ((low / step).floor(), (high / step).ceil());
    let count = (last - first).max(1.0) as i64;
    let digits = (-step.log10() - 1e-9).ceil().max(0.0);
    let text = |value: f64| match digits {
        digits if digits <= 4.0 && value.abs() < 1e7 => format!("{value:.*}", digits as usize),
        _ => number(value),
    };
    (0..=count).map(|at| (first + at as f64) * step).map(|value| (value, text(value))).collect()
}

/// A measured value as people read it: five digits that count.
#[must_use]
pub fn number(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        return "0".to_owned();
    }
    if !(1e-4..1e7).contains(&size) {
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
