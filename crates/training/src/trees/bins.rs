//! Numbers in at most 255 steps, so that thresholds are tried by the step and not by the row.

use crate::encode::Features;

/// Thresholds a column may have; with them come one bin more than thresholds, and one for missing values.
const MAX_THRESHOLDS: usize = 254;

/// The numbers of all rows as bins.
pub(super) struct Bins {
    /// For each column the thresholds, in order. Bin b has the values above threshold b−1 and up to threshold b.
    pub thresholds: Vec<Vec<f32>>,
    /// For each column where its bins begin in a histogram; last, where the categories begin.
    pub starts: Vec<usize>,
    /// How many bins there are in all, with one for each category.
    pub size: usize,
    /// The bins of a row, row after row.
    bins: Vec<u8>,
}

impl Bins {
    /// Bins whose thresholds come from the training rows; for all rows.
    pub fn of(features: &Features, training: &[usize], width: usize) -> Self {
        let columns = features.dense_width;
        let thresholds: Vec<Vec<f32>> = (0..columns)
            .map(|column| thresholds(training.iter().map(|row| features.row(*row).0[column]).collect()))
            .collect();
        let mut starts = vec![0];
        for thresholds in &thresholds {
            starts.push(starts[starts.len() - 1] + thresholds.len() + 2);
        }
        let size = starts[columns] + width - columns;
        let mut bins = vec![0; training.iter().max().map_or(0, |last| last + 1) * columns];
        for row in training {
            for (column, value) in features.row(*row).0.iter().enumerate() {
                bins[row * columns + column] = bin(&thresholds[column], *value);
            }
        }
        Self { thresholds, starts, size, bins }
    }

    /// The bins of a training row.
    pub fn row(&self, row: usize) -> &[u8] {
        let columns = self.thresholds.len();
        &self.bins[row * columns..][..columns]
    }
}

/// The bin of a value; the last one is of missing values.
fn bin(thresholds: &[f32], value: f32) -> u8 {
    let at = if value.is_nan() { thresholds.len() + 1 } else { thresholds.partition_point(|edge| *edge < value) };
    u8::try_from(at).unwrap_or(u8::MAX)
}

/// Between all different values if those are few, otherwise between as many rows each.
fn thresholds(mut values: Vec<f32>) -> Vec<f32> {
    values.retain(|value| !value.is_nan());
    values.sort_unstable_by(f32::total_cmp);
    let steps: Vec<usize> = (1..values.len()).filter(|at| values[at - 1] < values[*at]).collect();
    let edge = |at: usize| between(values[at - 1], values[at]);
    if steps.len() <= MAX_THRESHOLDS {
        return steps.into_iter().map(edge).collect();
    }
    let quantile = |part: usize| part * values.len() / (MAX_THRESHOLDS + 1);
    let mut chosen: Vec<usize> = (1..=MAX_THRESHOLDS)
        .filter_map(|part| steps.get(steps.partition_point(|step| *step < quantile(part))).copied())
        .collect();
    chosen.dedup();
    chosen.into_iter().map(edge).collect()
}

/// A number from `low` on and under `high`, the middle where 32 bits can tell it from `high`.
fn between(low: f32, high: f32) -> f32 {
    let middle = f64::midpoint(f64::from(low), f64::from(high)) as f32;
    if middle < high { middle.max(low) } else { low }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_bin_of_a_value_says_how_it_compares_with_every_threshold(values in proptest::collection::vec(-1e30f32..1e30, 1..600)) {
            let edges = thresholds(values.clone());
            prop_assert!(edges.len() <= MAX_THRESHOLDS && edges.is_sorted_by(|a, b| a < b));
            for value in values {
                let bin = usize::from(bin(&edges, value));
                for (at, edge) in edges.iter().enumerate() {
                    prop_assert_eq!(value <= *edge, bin <= at);
                }
            }
        }
    }

    #[test]
    fn neighbours_in_32_bits_are_told_apart() {
        let next = f32::from_bits(1.0f32.to_bits() + 1);
        assert_eq!(thresholds(vec![next, 1.0, f32::NAN, 1.0]), [1.0]);
        assert_eq!(bin(&[1.0], f32::NAN), 2);
    }
}
