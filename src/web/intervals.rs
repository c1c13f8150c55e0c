//! The picture of what was live when: a lane a region, a bar an interval. Pure.

use chrono::{Datelike as _, Months, NaiveDate};

/// One interval, as its bar is drawn.
#[derive(Debug, Clone)]
pub struct Interval {
    /// The lane: the region's code.
    pub lane: String,
    /// What stands on the bar: the version's number.
    pub label: String,
    /// First day.
    pub from: NaiveDate,
    /// The day it ended; none if it has not.
    pub to: Option<NaiveDate>,
    /// The day it was planned for.
    pub planned: Option<NaiveDate>,
    /// Whether it was confirmed before an approval it needed.
    pub overridden: bool,
}

/// A bar, in percentages of the width.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// Its classes.
    pub class: &'static str,
    /// Where it starts.
    pub x: String,
    /// How wide it is.
    pub width: String,
    /// Where its text starts; none if there is no room for one.
    pub text: Option<String>,
    /// The text.
    pub label: String,
    /// Where the planned day is.
    pub planned: Option<String>,
    /// The same in words, for the pointer.
    pub title: String,
}

/// A region with its bars.
#[derive(Debug, Clone)]
pub struct Lane {
    /// The region's code.
    pub name: String,
    /// Its bars, in the order of time.
    pub bars: Vec<Bar>,
}

/// The picture.
#[derive(Debug, Clone)]
pub struct Picture {
    /// The lanes, by name.
    pub lanes: Vec<Lane>,
    /// Marks of the time axis: place, text, and whether a narrow screen leaves it out.
    pub marks: Vec<(String, String, bool)>,
    /// The whole in a sentence, for those who cannot see it.
    pub summary: String,
}

/// The picture of intervals up to `today`; none if there is nothing to draw.
#[must_use]
pub fn picture(mut intervals: Vec<Interval>, today: NaiveDate) -> Option<Picture> {
    let days = |one: &Interval| [Some(one.from), one.planned].into_iter().flatten();
    let first = intervals.iter().flat_map(days).min()?;
    let last = intervals.iter().filter_map(|one| one.to.max(one.planned)).max().map_or(today, |day| day.max(today));
    let span = (last - first).num_days().max(1);
    let place = |day: NaiveDate| percent((day - first).num_days(), span);
    intervals.sort_by(|a, b| (&a.lane, a.from, a.to).cmp(&(&b.lane, b.from, b.to)));
    let mut lanes: Vec<Lane> = Vec::new();
    for one in &intervals {
        if lanes.last().is_none_or(|lane| lane.name != one.lane) {
            lanes.push(Lane { name: one.lane.clone(), bars: Vec::new() });
        }
        let end = one.to.unwrap_or(today).max(one.from);
        let wide = (end - one.from).num_days();
        let bar = Bar {
            class: match (one.to, one.overridden) {
                (None, true) => "span is-live is-override",
                (None, false) => "span is-live",
                (Some(_), true) => "span is-override",
                (Some(_), false) => "span",
            },
            x: place(one.from),
            width: percent(wide, span),
            // A number of five characters needs about a fourteenth of the width.
            text: (wide * 14 >= span).then(|| percent((one.from - first).num_days() * 100 + span, span * 100)),
            label: one.label.clone(),
            planned: one.planned.filter(|day| *day != one.from).map(place),
            title: match one.to {
                Some(to) => format!("{} in {}: {} to {to}", one.label, one.lane, one.from),
                None => format!("{} in {}: since {}", one.label, one.lane, one.from),
            },
        };
        if let Some(lane) = lanes.last_mut() {
            lane.bars.push(bar);
        }
    }
    let summary = format!(
        "What was live from {first} to {last}: {} in {}. The table below has the same facts.",
        super::format::plural(i64::try_from(intervals.len()).unwrap_or(i64::MAX), "interval"),
        super::format::plural(i64::try_from(lanes.len()).unwrap_or(i64::MAX), "region"),
    );
    Some(Picture { lanes, marks: marks(first, last), summary })
}

/// At most five marks, on firsts of months where the time is long enough for them.
fn marks(first: NaiveDate, last: NaiveDate) -> Vec<(String, String, bool)> {
    let span = (last - first).num_days().max(1);
    if span < 120 {
        return vec![("0%".to_owned(), first.to_string(), false)];
    }
    let step = u32::try_from(span / 150 + 1).unwrap_or(u32::MAX);
    let mut marks = Vec::new();
    let mut month = first.with_day(1).unwrap_or(first);
    // A mark beyond nine tenths would run out of the picture.
    while (month - first).num_days() * 10 <= span * 9 {
        if month >= first {
            let minor = marks.len() % 2 == 1;
            marks.push((percent((month - first).num_days(), span), month.format("%Y-%m").to_string(), minor));
        }
        let Some(next) = month.checked_add_months(Months::new(step)) else { break };
        month = next;
    }
    marks
}

/// `part` of `whole` as `12.34%`.
fn percent(part: i64, whole: i64) -> String {
    let hundredths = part.saturating_mul(10_000) / whole.max(1);
    format!("{}.{:02}%", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn an_interval_that_goes_on_reaches_today() {
        let one = Interval {
            lane: "UK".to_owned(),
            label: "1.0".to_owned(),
            from: day("2026-01-01"),
            to: None,
            planned: Some(day("2026-01-11")),
            overridden: true,
        };
        let picture = picture(vec![one], day("2026-04-11")).unwrap();
        let bar = &picture.lanes[0].bars[0];
        assert_eq!((bar.x.as_str(), bar.width.as_str()), ("0.00%", "100.00%"));
        assert_eq!(bar.class, "span is-live is-override");
        assert_eq!(bar.planned.as_deref(), Some("10.00%"));
    }

    #[test]
    fn nothing_makes_no_picture() {
        assert!(picture(Vec::new(), day("2026-04-11")).is_none());
    }
}
