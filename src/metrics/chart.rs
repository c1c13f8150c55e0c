//! A line chart as an SVG picture, drawn on the server: crisp, without a script, and with its numbers on
//! hover. Pure.

use std::borrow::Cow;

use chrono::{DateTime, Utc};

/// One line of a chart.
#[derive(Debug, Clone)]
pub struct Series {
    /// What the line is.
    pub name: Cow<'static, str>,
    /// Its points: when, and how much.
    pub points: Vec<(DateTime<Utc>, f64)>,
}

/// A line, as it is drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// What it is.
    pub name: Cow<'static, str>,
    /// Its number, for the colour.
    pub number: usize,
    /// The path, in a box of [`WIDTH`] by [`HEIGHT`].
    pub path: String,
}

/// A place of the chart that answers the pointer.
#[derive(Debug, Clone, PartialEq)]
pub struct Spot {
    /// Its left edge.
    pub x: String,
    /// Its width.
    pub width: String,
    /// What it says.
    pub title: String,
}

/// A chart, ready to draw.
#[derive(Debug, Clone)]
pub struct Chart {
    /// What it shows, with its unit.
    pub title: Cow<'static, str>,
    /// The lines.
    pub lines: Vec<Line>,
    /// Where the pointer learns the numbers.
    pub spots: Vec<Spot>,
    /// Marks of the value axis: height and text.
    pub values: Vec<(String, String)>,
    /// Marks of the time axis: place and text.
    pub times: Vec<(String, String)>,
}

/// The width of the box that paths are drawn in.
pub const WIDTH: f64 = 1000.0;
/// Its height.
pub const HEIGHT: f64 = 160.0;

impl Chart {
    /// The width of the box.
    #[must_use]
    pub fn width(&self) -> f64 {
        WIDTH
    }

    /// Its height.
    #[must_use]
    pub fn height(&self) -> f64 {
        HEIGHT
    }
}

/// Draws series over a time. `step` is the seconds of a point: a longer gap interrupts the line, since
/// there was nothing to measure.
#[must_use]
pub fn chart(
    title: &'static str,
    series: &[Series],
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    step: i64,
    show: fn(f64) -> String,
) -> Chart {
    let highest = series.iter().flat_map(|one| &one.points).map(|point| point.1).fold(0.0, f64::max);
    let top = round_up(highest);
    let span = (to - from).num_seconds().max(1) as f64;
    let x = |at: DateTime<Utc>| (at - from).num_seconds() as f64 / span * WIDTH;
    let y = |value: f64| HEIGHT - value / top * HEIGHT;
    let lines = series
        .iter()
        .enumerate()
        .map(|(number, one)| Line { name: one.name.clone(), number, path: path(one, step, x, y) })
        .collect();
    let wide = step as f64 / span * WIDTH;
    let spots = series.first().map_or_else(Vec::new, |first| {
        let spot = |(index, (at, _)): (usize, &(DateTime<Utc>, f64))| Spot {
            x: format!("{:.1}", (x(*at) - wide / 2.0).max(0.0)),
            width: format!("{wide:.1}"),
            title: title_of(*at, index, series, show),
        };
        first.points.iter().enumerate().map(spot).collect()
    });
    let values = [0.0, 0.5, 1.0].map(|share| (format!("{:.1}", HEIGHT - share * HEIGHT), show(top * share))).into();
    let times = [0.0, 0.25, 0.5, 0.75]
        .map(|share| {
            let at = from + chrono::TimeDelta::seconds((span * share) as i64);
            let text = if span > 86_400.0 { at.format("%m-%d %H:%M") } else { at.format("%H:%M") };
            (format!("{:.1}", share * WIDTH), text.to_string())
        })
        .into();
    Chart { title: title.into(), lines, spots, values, times }
}

fn title_of(at: DateTime<Utc>, index: usize, series: &[Series], show: fn(f64) -> String) -> String {
    let value = |one: &Series| one.points.get(index).map(|point| format!("{} {}", one.name, show(point.1)));
    let values: Vec<_> = series.iter().filter_map(value).collect();
    format!("{} UTC: {}", at.format("%Y-%m-%d %H:%M"), values.join(", "))
}

fn path(one: &Series, step: i64, x: impl Fn(DateTime<Utc>) -> f64, y: impl Fn(f64) -> f64) -> String {
    let mut path = String::new();
    let mut last: Option<DateTime<Utc>> = None;
    for (at, value) in &one.points {
        let joined = last.is_some_and(|last| (*at - last).num_seconds() <= step * 2);
        path.push_str(&format!("{}{:.1} {:.1}", if joined { "L" } else { "M" }, x(*at), y(*value)));
        if !joined {
            // A point alone is a dot: a line of no length with round ends.
            path.push_str("h0");
        }
        last = Some(*at);
    }
    path
}

/// The next of 1, 2, 5 times a power of ten: where the value axis ends.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * power).find(|step| *step >= value).unwrap_or(value)
}
