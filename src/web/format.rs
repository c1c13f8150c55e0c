//! How numbers, dates and instants read on pages; used by templates as filters.

use chrono::{DateTime, NaiveDate, Utc};

/// An instant as people read it: `2026-03-31 12:00 UTC`.
#[must_use]
pub fn instant(at: &DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

/// How long ago, in one unit: `3 days ago`, `just now`, `in 2 hours`.
#[must_use]
pub fn relative(at: &DateTime<Utc>, now: &DateTime<Utc>) -> String {
    let seconds = (*now - *at).num_seconds();
    let (count, unit) = match seconds.abs() {
        0..60 => return "just now".to_owned(),
        size @ 60..3600 => (size / 60, "minute"),
        size @ 3600..86_400 => (size / 3600, "hour"),
        size => (size / 86_400, "day"),
    };
    let span = plural(count, unit);
    if seconds >= 0 { format!("{span} ago") } else { format!("in {span}") }
}

/// `1 task`, `2 tasks`.
#[must_use]
pub fn plural(count: i64, word: &str) -> String {
    let number = thousands(count);
    if count == 1 { format!("{number} {word}") } else { format!("{number} {word}s") }
}

/// `12,345`.
#[must_use]
pub fn thousands(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if number < 0 {
        text.push('−');
    }
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How a planned date stands to today: `3 days overdue`, `due today`, `in 5 days`.
#[must_use]
pub fn due(days_until_due: i64) -> String {
    match days_until_due {
        0 => "due today".to_owned(),
        days if days < 0 => format!("{} overdue", plural(-days, "day")),
        days => format!("in {}", plural(days, "day")),
    }
}

/// A stored word as people read it: `PENDING_APPROVAL` as `Pending approval`.
#[must_use]
pub fn words(text: &str) -> String {
    let text = text.replace('_', " ").to_lowercase();
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().collect::<String>() + letters.as_str()).unwrap_or_default()
}

/// A size in bytes as people read it: `1.2 MB`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
pub fn bytes(size: i64) -> String {
    match size {
        0..1_000 => format!("{size} B"),
        1_000..1_000_000 => format!("{:.1} kB", size as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", size as f64 / 1e6),
        _ => format!("{:.1} GB", size as f64 / 1e9),
    }
}

/// A time in seconds as people read it: `40 ms`, `1.4 s`, `12 s`, `3 min 5 s`, `2 h 4 min`.
#[must_use]
pub fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as i64;
    match whole {
        _ if seconds < 0.9995 => format!("{:.0} ms", seconds.max(0.0) * 1000.0),
        _ if seconds < 9.95 => format!("{seconds:.1} s"),
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// A date, or a dash where there is none.
#[must_use]
pub fn date_or_dash(date: Option<&NaiveDate>) -> String {
    date.map_or_else(|| "–".to_owned(), ToString::to_string)
}

/// A browser's name for itself, as people know it: `Firefox on Linux`; a program's as it is.
#[must_use]
pub fn browser(user_agent: &str) -> String {
    // The order matters: every browser also claims to be older ones.
    let find = |known: &[(&str, &'static str)]| {
        known.iter().find(|(mark, _)| user_agent.contains(mark)).map(|(_, name)| *name)
    };
    let name = find(&[("Edg/", "Edge"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari")]);
    let system = find(&[
        ("Windows", "Windows"),
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Mac OS", "macOS"),
        ("Linux", "Linux"),
    ]);
    match (name, system) {
        (Some(name), Some(system)) => format!("{name} on {system}"),
        (Some(name), None) => name.to_owned(),
        _ => user_agent.chars().take(60).collect(),
    }
}

/// A text as a cell that no spreadsheet takes for a formula.
#[must_use]
pub fn cell(text: &str) -> String {
    // Spreadsheets also skip white space before they look for a formula.
    if text.trim_start().starts_with(['=', '+', '-', '@']) || text.starts_with(['\t', '\r']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn a_duration_keeps_what_matters_of_it() {
        let times = [0.0, 0.038, 0.9994, 0.9996, 9.94, 9.96, 59.4, 185.0, 7440.0];
        let words = times.map(duration);
        assert_eq!(words, ["0 ms", "38 ms", "999 ms", "1.0 s", "9.9 s", "10 s", "59 s", "3 min 5 s", "2 h 4 min"]);
    }
}
