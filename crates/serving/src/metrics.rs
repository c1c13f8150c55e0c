//! What `/metrics` shows, in Prometheus' text format.
//!
//! The buckets of the durations grow by 4 % from 50 µs to 60 s, so that whatever percentile is read from them, at the
//! geometric middle of its bucket, is within 2 % of the true one. That is 358 lines, or about 25 kB a scrape: cheap
//! enough, and sums over replicas and minutes lose nothing of it. Time in the queue needs less: its buckets double.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use crate::model::Model;
use crate::refusal::Kind;

/// Counts by bucket. Writers never wait for one another.
#[derive(Debug)]
struct Histogram {
    /// Upper bounds in seconds, ascending, and what is above them all.
    bounds: Vec<f64>,
    counts: Vec<AtomicU64>,
    nanoseconds: AtomicU64,
}

impl Histogram {
    /// Bounds from `first` to at least `last`, each `growth` times the one before, to five significant digits.
    fn new(first: f64, last: f64, growth: f64) -> Self {
        let mut bounds = Vec::new();
        let mut bound = first;
        while bounds.last().is_none_or(|highest| *highest < last) {
            let digits = 10_f64.powf(4.0 - bound.log10().floor());
            bounds.push((bound * digits).round() / digits);
            bound *= growth;
        }
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, nanoseconds: AtomicU64::new(0) }
    }

    fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = self.bounds.partition_point(|bound| *bound < seconds);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.counts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    fn write(&self, name: &str, label: &str, out: &mut String) -> std::fmt::Result {
        let seconds = self.nanoseconds.load(Ordering::Relaxed) as f64 / 1e9;
        let (comma, braces) = if label.is_empty() { ("", String::new()) } else { (",", format!("{{{label}}}")) };
        let mut count = 0;
        for (bound, more) in self.bounds.iter().zip(&self.counts) {
            count += more.load(Ordering::Relaxed);
            writeln!(out, "{name}_bucket{{{label}{comma}le=\"{bound}\"}} {count}")?;
        }
        count += self.counts[self.bounds.len()].load(Ordering::Relaxed);
        writeln!(out, "{name}_bucket{{{label}{comma}le=\"+Inf\"}} {count}")?;
        writeln!(out, "{name}_sum{braces} {seconds}\n{name}_count{braces} {count}")
    }
}

/// What is counted for real requests, and apart from them for synthetic ones.
#[derive(Debug)]
struct Traffic {
    requests: AtomicU64,
    errors: [AtomicU64; Kind::ALL.len()],
    durations: Histogram,
}

impl Traffic {
    fn new() -> Self {
        Self {
            requests: AtomicU64::new(0),
            errors: std::array::from_fn(|_| AtomicU64::new(0)),
            durations: Histogram::new(50e-6, 60.0, 1.04),
        }
    }
}

/// Everything that is counted.
#[derive(Debug)]
pub struct Metrics {
    real: Traffic,
    synthetic: Traffic,
    in_flight: AtomicI64,
    queued: AtomicI64,
    queue_time: Histogram,
}

impl Metrics {
    pub fn new() -> Self {
        Self {
            real: Traffic::new(),
            synthetic: Traffic::new(),
            in_flight: AtomicI64::new(0),
            queued: AtomicI64::new(0),
            queue_time: Histogram::new(10e-6, 60.0, 2.0),
        }
    }

    fn traffic(&self, synthetic: bool) -> &Traffic {
        if synthetic { &self.synthetic } else { &self.real }
    }

    pub fn begun(&self, synthetic: bool) {
        self.traffic(synthetic).requests.fetch_add(1, Ordering::Relaxed);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub fn ended(&self, synthetic: bool, error: Option<Kind>, duration: Duration) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        let traffic = self.traffic(synthetic);
        if let Some(kind) = error {
            traffic.errors[kind as usize].fetch_add(1, Ordering::Relaxed);
        }
        if error.is_none_or(Kind::reached_the_model) {
            traffic.durations.observe(duration);
        }
    }

    pub fn queued(&self) {
        self.queued.fetch_add(1, Ordering::Relaxed);
    }

    pub fn dequeued(&self, waited: Duration) {
        self.queued.fetch_sub(1, Ordering::Relaxed);
        self.queue_time.observe(waited);
    }

    /// The whole text.
    pub fn text(&self, model: &Model, ready: bool) -> String {
        let mut out = String::with_capacity(64 << 10);
        // Writing to a `String` cannot fail.
        let _ = self.write(model, ready, &mut out);
        out
    }

    fn write(&self, model: &Model, ready: bool, out: &mut String) -> std::fmt::Result {
        let both = [("synthetic=\"false\"", &self.real), ("synthetic=\"true\"", &self.synthetic)];
        head(out, "model_info", "gauge", "The model that is served.")?;
        let (name, version) = (escaped(&model.name), escaped(&model.version));
        writeln!(out, "countersign_model_info{{name=\"{name}\",version=\"{version}\",digest=\"{}\"}} 1", model.digest)?;
        head(out, "model_ready", "gauge", "Whether inference requests are taken: 1, or 0 while the server stops.")?;
        writeln!(out, "countersign_model_ready {}", u8::from(ready))?;
        head(out, "inference_requests_total", "counter", "Inference requests, answered or not.")?;
        for (label, traffic) in both {
            let count = traffic.requests.load(Ordering::Relaxed);
            writeln!(out, "countersign_inference_requests_total{{{label}}} {count}")?;
        }
        head(out, "inference_errors_total", "counter", "Inference requests that were not answered, by kind.")?;
        for (label, traffic) in both {
            for (kind, count) in Kind::ALL.iter().zip(&traffic.errors) {
                let (kind, count) = (kind.as_str(), count.load(Ordering::Relaxed));
                writeln!(out, "countersign_inference_errors_total{{{label},kind=\"{kind}\"}} {count}")?;
            }
        }
        head(out, "inference_in_flight", "gauge", "Inference requests under way.")?;
        writeln!(out, "countersign_inference_in_flight {}", self.in_flight.load(Ordering::Relaxed))?;
        head(out, "inference_queued", "gauge", "Inference requests that wait for a worker.")?;
        writeln!(out, "countersign_inference_queued {}", self.queued.load(Ordering::Relaxed))?;
        head(out, "inference_queue_seconds", "histogram", "Time that requests waited for a worker.")?;
        self.queue_time.write("countersign_inference_queue_seconds", "", out)?;
        let help = "Time from a request's first byte to its answer, of requests that reached the model.";
        head(out, "inference_duration_seconds", "histogram", help)?;
        for (label, traffic) in both {
            // The lines of synthetic requests are many: they are there once there was one.
            if std::ptr::eq(traffic, &self.real) || traffic.durations.count() > 0 {
                traffic.durations.write("countersign_inference_duration_seconds", label, out)?;
            }
        }
        Ok(())
    }
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) -> std::fmt::Result {
    writeln!(out, "# HELP countersign_{name} {help}\n# TYPE countersign_{name} {kind}")
}

/// A label's value as the format wants it.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_percentile_is_within_two_percent() {
        let histogram = Histogram::new(50e-6, 60.0, 1.04);
        assert!(histogram.bounds.len() < 360, "{} buckets", histogram.bounds.len());
        assert!(histogram.bounds.last().is_some_and(|last| *last >= 60.0));
        for pair in histogram.bounds.windows(2) {
            let middle = (pair[0] * pair[1]).sqrt();
            assert!(middle / pair[0] < 1.02 && pair[1] / middle < 1.02, "{pair:?}");
        }
    }

    #[test]
    fn a_duration_counts_in_the_first_bucket_that_holds_it() {
        let histogram = Histogram::new(1.0, 4.0, 2.0);
        for seconds in [0.5, 1.0, 1.5, 4.0, 9.0] {
            histogram.observe(Duration::from_secs_f64(seconds));
        }
        let mut text = String::new();
        histogram.write("h", "", &mut text).unwrap();
        assert_eq!(
            text,
            "h_bucket{le=\"1\"} 2\nh_bucket{le=\"2\"} 3\nh_bucket{le=\"4\"} 4\nh_bucket{le=\"+Inf\"} 5\nh_sum 16\nh_count 5\n"
        );
    }

    #[test]
    fn a_label_cannot_break_out_of_its_quotes() {
        assert_eq!(escaped("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }
}
