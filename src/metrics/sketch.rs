//! Durations as a mergeable sketch: what a minute, an hour or a week of requests took. Pure.
//!
//! The model server counts durations in buckets that grow by 4 % from 50 µs. The sketch's bins lie on
//! the same bounds (its unit is 50 µs), so that nothing is lost on the way: a percentile is read at the
//! middle of the bucket it was counted in, within 2 % of the true one.

use serde::{Deserialize, Serialize};
use sketches_ddsketch::{Config, DDSketch};

use crate::error;

/// The unit of the sketch in seconds: the model server's lowest bound.
const UNIT: f64 = 50e-6;
/// How much one bin's upper bound is above the next lower one's.
const GROWTH: f64 = 1.04;
/// From 50 µs to over a day.
const BINS: u32 = 1024;

/// Some requests that took between two durations, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "(String, String, f64)", into = "(String, String, f64)")]
pub struct Bucket {
    /// They took longer than this.
    pub lower: f64,
    /// They took at most this.
    pub upper: f64,
    /// How many there are.
    pub count: f64,
}

// A bucket is known by its bounds, so they must be read as they were written; not every reader of JSON's
// numbers keeps the last digit.
impl From<Bucket> for (String, String, f64) {
    fn from(bucket: Bucket) -> Self {
        (bucket.lower.to_string(), bucket.upper.to_string(), bucket.count)
    }
}

impl TryFrom<(String, String, f64)> for Bucket {
    type Error = std::num::ParseFloatError;

    fn try_from((lower, upper, count): (String, String, f64)) -> Result<Self, Self::Error> {
        Ok(Self { lower: lower.parse()?, upper: upper.parse()?, count })
    }
}

/// How long requests took.
#[derive(Clone)]
pub struct Sketch(DDSketch);

impl std::fmt::Debug for Sketch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sketch of {} requests", self.count())
    }
}

impl Sketch {
    /// The sketch of no requests.
    #[must_use]
    pub fn new() -> Self {
        Self(DDSketch::new(Config::new((GROWTH - 1.0) / (GROWTH + 1.0), BINS, 1e-3)))
    }

    /// The requests of some buckets.
    #[must_use]
    pub fn of(buckets: &[Bucket]) -> Self {
        let mut sketch = Self::new();
        for bucket in buckets.iter().filter(|bucket| bucket.count >= 1.0) {
            sketch.spread(bucket);
        }
        sketch
    }

    /// Adds a bucket. One wider than a bin, as other servers have them, is spread over the bins it covers.
    fn spread(&mut self, bucket: &Bucket) {
        let upper = if bucket.upper > bucket.lower { bucket.upper } else { bucket.lower.max(UNIT) * GROWTH };
        let lower = if bucket.lower > 0.0 { bucket.lower } else { upper / GROWTH };
        let width = (upper / lower).ln() / GROWTH.ln();
        let bins = (width.round() as u64).clamp(1, u64::from(BINS));
        let total = bucket.count.round() as u64;
        let mut given = 0;
        for bin in 1..=bins {
            let upto = total * bin / bins;
            let middle = lower * (upper / lower).powf((bin as f64 - 0.5) / bins as f64);
            self.0.add_with_count(middle / UNIT, upto - given);
            given = upto;
        }
    }

    /// Adds what another holds.
    ///
    /// # Errors
    /// The other is of another make, which nothing here produces.
    pub fn merge(&mut self, other: &Self) -> error::Result<()> {
        self.0.merge(&other.0).map_err(|cause| error::Error::internal(anyhow::anyhow!("sketches do not fit: {cause}")))
    }

    /// How many requests it holds.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.count() as u64
    }

    /// The milliseconds below which the share `q` (0 to 1) of the requests lies; none without requests.
    #[must_use]
    pub fn quantile_ms(&self, q: f64) -> Option<f64> {
        self.0.quantile(q).ok().flatten().map(|units| units * UNIT * 1000.0)
    }

    /// As it is stored.
    ///
    /// # Errors
    /// Never, but for a bug of the library.
    pub fn to_text(&self) -> error::Result<String> {
        // The smallest of no values is infinite, which JSON has no word for.
        if self.count() == 0 {
            return Ok(String::new());
        }
        serde_json::to_string(&self.0).map_err(error::Error::internal)
    }

    /// As it was stored.
    ///
    /// # Errors
    /// The text is none that was stored.
    pub fn parse(text: &str) -> error::Result<Self> {
        if text.is_empty() {
            return Ok(Self::new());
        }
        serde_json::from_str(text).map(Self).map_err(error::Error::internal)
    }
}

impl Default for Sketch {
    fn default() -> Self {
        Self::new()
    }
}
