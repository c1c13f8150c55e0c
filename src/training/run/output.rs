//! What a program says on its standard output: measurements and progress as JSON lines, everything else is its log.
//! Pure.
//!
//! `{"metric":"loss","value":0.4,"step":3,"epoch":1}` is a point; `{"epoch":1,"epochs":50,"step":3,"steps":900}` is
//! progress, and a point may carry it as well. A line that is not quite one of these is log.

use serde::Deserialize;

/// The longest line that is looked at; longer ones are log.
pub const LONGEST: usize = 4096;
/// The longest name of a metric.
const LONGEST_NAME: usize = 250;

/// A measurement.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// What was measured.
    pub name: String,
    /// Its value; none for what is not a number.
    pub value: Option<f64>,
    /// At which step.
    pub step: i64,
    /// In which epoch.
    pub epoch: Option<i64>,
}

/// How far it has come; none of what was not said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// The epoch it is in.
    pub epoch: Option<i64>,
    /// Epochs in all.
    pub epochs: Option<i64>,
    /// Steps done.
    pub step: Option<i64>,
    /// Steps in all.
    pub steps: Option<i64>,
}

impl Progress {
    /// What is known after more was said.
    #[must_use]
    pub fn and(self, more: Self) -> Self {
        Self {
            epoch: more.epoch.or(self.epoch),
            epochs: more.epochs.or(self.epochs),
            step: more.step.or(self.step),
            steps: more.steps.or(self.steps),
        }
    }
}

/// A line, understood.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// A measurement, and how far it has come.
    Point(Measured, Progress),
    /// How far it has come.
    Progress(Progress),
    /// Anything else.
    Log,
}

#[derive(Deserialize)]
struct Said {
    metric: Option<String>,
    #[serde(default, deserialize_with = "present")]
    value: Option<Option<f64>>,
    step: Option<i64>,
    epoch: Option<i64>,
    steps: Option<i64>,
    epochs: Option<i64>,
}

/// Tells a value of null, which is no number, from no value.
fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Option<f64>>, D::Error> {
    Option::<f64>::deserialize(from).map(Some)
}

/// Understands a line without its end.
#[must_use]
pub fn understand(line: &[u8]) -> Line {
    if line.len() > LONGEST || !line.starts_with(b"{") {
        return Line::Log;
    }
    let Ok(said) = serde_json::from_slice::<Said>(line) else { return Line::Log };
    let Said { metric, value, step, epoch, steps, epochs } = said;
    let progress = Progress { epoch, epochs, step, steps };
    let sensible = [step, epoch, steps, epochs].into_iter().flatten().all(|number| number >= 0);
    match (metric, value) {
        (Some(name), Some(value)) if sensible && is_name(&name) => {
            let value = value.filter(|value| value.is_finite());
            // A metric's step moves the progress only if the program says of how many.
            let progress =
                if steps.is_some() || epochs.is_some() { progress } else { Progress { step: None, ..progress } };
            Line::Point(Measured { name, value, step: step.unwrap_or_default(), epoch }, progress)
        }
        (None, None) if sensible && progress != Progress::default() => Line::Progress(progress),
        _ => Line::Log,
    }
}

fn is_name(name: &str) -> bool {
    !name.trim().is_empty() && name.len() <= LONGEST_NAME && !name.chars().any(char::is_control)
}
