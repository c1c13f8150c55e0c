//! Prometheus' text format, read: families of samples, and histograms that can be subtracted.
//!
//! Only what a scrape needs. A line that cannot be read is an error: half a scrape is worse than none.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One line: a name, its labels, a value.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The name, with its suffix: `http_requests_total`, `latency_seconds_bucket`.
    pub name: String,
    /// The labels.
    pub labels: BTreeMap<String, String>,
    /// The value.
    pub value: f64,
}

/// A metric with all its samples.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Family {
    /// `counter`, `gauge`, `histogram`, `summary`, `untyped`.
    pub kind: String,
    /// What it says of itself.
    pub help: String,
    /// Its lines, in the order of the text.
    pub samples: Vec<Sample>,
}

/// What a scrape brought, by the families' names.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Exposition {
    /// The families. A sample without a `TYPE` line is a family of its own, `untyped`.
    pub families: BTreeMap<String, Family>,
}

/// A line that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// The line's number, from 1.
    pub line: usize,
    /// What is wrong with it, as a sentence.
    pub message: &'static str,
}

impl std::fmt::Display for ParseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for ParseError {}

/// Reads a scrape: text format 0.0.4, or `OpenMetrics` without exemplars' meaning.
///
/// # Errors
/// The first line that cannot be read.
pub fn parse(text: &str) -> Result<Exposition, ParseError> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(comment) = line.strip_prefix('#') {
            describe(comment, &mut families);
        } else if !line.is_empty() {
            let sample = sample(line).map_err(|message| ParseError { line: index + 1, message })?;
            let family = family_of(&sample.name, &families);
            let family =
                families.entry(family).or_insert_with(|| Family { kind: "untyped".into(), ..Family::default() });
            family.samples.push(sample);
        }
    }
    families.retain(|_, family| !family.samples.is_empty());
    Ok(Exposition { families })
}

/// `# TYPE name kind` and `# HELP name words`; other comments say nothing to us.
fn describe(comment: &str, families: &mut BTreeMap<String, Family>) {
    let mut words = comment.trim().splitn(3, ' ');
    let (Some(what), Some(name)) = (words.next(), words.next()) else { return };
    let rest = words.next().unwrap_or_default().trim();
    let untyped = || Family { kind: "untyped".into(), ..Family::default() };
    match what {
        "TYPE" => rest.clone_into(&mut families.entry(name.to_owned()).or_insert_with(untyped).kind),
        "HELP" => rest.clone_into(&mut families.entry(name.to_owned()).or_insert_with(untyped).help),
        _ => (),
    }
}

/// The family that a sample's name belongs to: its own, or the one that its suffix was put to.
fn family_of(name: &str, families: &BTreeMap<String, Family>) -> String {
    if families.contains_key(name) {
        return name.to_owned();
    }
    let stems =
        ["_bucket", "_sum", "_count", "_total", "_created"].into_iter().filter_map(|suffix| name.strip_suffix(suffix));
    stems.into_iter().find(|stem| families.contains_key(*stem)).unwrap_or(name).to_owned()
}

/// `name{label="value",…} value [timestamp] [# exemplar]`
fn sample(line: &str) -> Result<Sample, &'static str> {
    let end = line.find(['{', ' ', '\t']).ok_or("a sample has no value")?;
    let (name, rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    let rest = match rest.strip_prefix('{') {
        Some(inside) => read_labels(inside, &mut labels)?,
        None => rest,
    };
    if name.is_empty() {
        return Err("a sample has no name");
    }
    let value = rest.split_whitespace().next().ok_or("a sample has no value")?;
    let value = number(value).ok_or("a value is not a number")?;
    Ok(Sample { name: name.to_owned(), labels, value })
}

/// Reads labels to the closing brace and returns what follows it.
fn read_labels<'a>(mut text: &'a str, labels: &mut BTreeMap<String, String>) -> Result<&'a str, &'static str> {
    loop {
        text = text.trim_start_matches([' ', ',']);
        if let Some(rest) = text.strip_prefix('}') {
            return Ok(rest);
        }
        let (name, rest) = text.split_once('=').ok_or("a label has no value")?;
        let rest = rest.trim_start().strip_prefix('"').ok_or("a label's value has no quotes")?;
        let (value, rest) = quoted(rest).ok_or("a label's value does not end")?;
        labels.insert(name.trim().to_owned(), value);
        text = rest;
    }
}

/// Reads to the closing quote, with `\\`, `\"` and `\n` undone.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        text => text.parse().ok(),
    }
}

impl Exposition {
    /// The sum of a counter's or gauge's samples whose labels the test accepts; zero if there are none.
    pub fn sum(&self, name: &str, accept: impl Fn(&BTreeMap<String, String>) -> bool) -> f64 {
        let samples = self.families.values().flat_map(|family| &family.samples);
        samples.filter(|sample| sample.name == name && accept(&sample.labels)).map(|sample| sample.value).sum()
    }

    /// The histogram of that name, over all its series whose labels the test accepts.
    pub fn histogram(&self, name: &str, accept: impl Fn(&BTreeMap<String, String>) -> bool) -> Histogram {
        let mut histogram = Histogram::default();
        let Some(family) = self.families.get(name) else { return histogram };
        let mut buckets: BTreeMap<u64, (f64, f64)> = BTreeMap::new();
        for sample in family.samples.iter().filter(|sample| accept(&sample.labels)) {
            match sample.name.strip_prefix(name) {
                Some("_bucket") => {
                    let Some(bound) = sample.labels.get("le").and_then(|bound| number(bound)) else { continue };
                    buckets.entry(order(bound)).or_insert((bound, 0.0)).1 += sample.value;
                }
                Some("_sum") => histogram.sum += sample.value,
                Some("_count") => histogram.count += sample.value,
                _ => (),
            }
        }
        histogram.buckets = buckets.into_values().collect();
        histogram
    }
}

/// A number whose order is that of the float.
fn order(value: f64) -> u64 {
    let bits = value.to_bits();
    if value.is_sign_negative() { !bits } else { bits | (1 << 63) }
}

/// A histogram: cumulative counts up to each bound, as Prometheus has them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Histogram {
    /// (upper bound, how many are not above it), ascending; the last bound is infinite, stored as null.
    #[serde(with = "finite")]
    pub buckets: Vec<(f64, f64)>,
    /// The sum of all values.
    pub sum: f64,
    /// How many there are.
    pub count: f64,
}

impl Histogram {
    /// What came since `earlier`. If the counts went down, the process was started again, and all of them are new.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let same = self.buckets.len() == earlier.buckets.len()
            && self.buckets.iter().zip(&earlier.buckets).all(|(now, then)| now.0 == then.0 && now.1 >= then.1);
        if !same || self.count < earlier.count {
            return self.clone();
        }
        let buckets = self.buckets.iter().zip(&earlier.buckets).map(|(now, then)| (now.0, now.1 - then.1)).collect();
        Self { buckets, sum: self.sum - earlier.sum, count: self.count - earlier.count }
    }

    /// The value below which the share `q` (0 to 1) lies, interpolated within its bucket; `None` without values. A value
    /// above all finite bounds is told as the highest of them, as Prometheus does.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let total = self.buckets.last().map_or(self.count, |last| last.1.max(self.count));
        if total <= 0.0 {
            return None;
        }
        let rank = q * total;
        let (mut lower, mut below) = (0.0, 0.0);
        for (bound, count) in &self.buckets {
            if *count >= rank && *count > below {
                if bound.is_infinite() {
                    return Some(lower);
                }
                return Some(lower + (bound - lower) * ((rank - below) / (count - below)).clamp(0.0, 1.0));
            }
            (lower, below) = (if bound.is_finite() { *bound } else { lower }, *count);
        }
        Some(lower)
    }
}

/// JSON has no infinity: an infinite bound is stored as null.
mod finite {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    type Buckets = Vec<(f64, f64)>;

    pub fn serialize<S: Serializer>(buckets: &[(f64, f64)], to: S) -> Result<S::Ok, S::Error> {
        let written: Vec<_> =
            buckets.iter().map(|(bound, count)| (bound.is_finite().then_some(*bound), *count)).collect();
        written.serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Buckets, D::Error> {
        let written: Vec<(Option<f64>, f64)> = Vec::deserialize(from)?;
        Ok(written.into_iter().map(|(bound, count)| (bound.unwrap_or(f64::INFINITY), count)).collect())
    }
}

#[cfg(test)]
mod tests;
