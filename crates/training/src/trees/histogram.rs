//! Sums of the loss's slopes by bin, and the best question that they tell.

use super::bins::Bins;
use crate::encode::{Features, NOWHERE};

/// Sums over some rows.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Sum {
    /// Of the loss's first derivative.
    pub gradient: f64,
    /// Of its second.
    pub weight: f64,
    /// Of the rows.
    pub rows: u32,
}

impl Sum {
    pub fn add(&mut self, (gradient, weight): (f64, f64)) {
        self.gradient += gradient;
        self.weight += weight;
        self.rows += 1;
    }

    fn plus(self, other: Self) -> Self {
        Self {
            gradient: self.gradient + other.gradient,
            weight: self.weight + other.weight,
            rows: self.rows + other.rows,
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            gradient: self.gradient - other.gradient,
            weight: self.weight - other.weight,
            rows: self.rows - other.rows,
        }
    }

    /// How much the loss falls, twice, if these rows get the answer that is best for them.
    fn gain(self, penalty: f64) -> f64 {
        self.gradient * self.gradient / (self.weight + penalty).max(f64::MIN_POSITIVE)
    }

    /// The answer that is best for these rows.
    pub fn answer(self, penalty: f64) -> f64 {
        -self.gradient / (self.weight + penalty).max(f64::MIN_POSITIVE)
    }
}

/// A question that divides rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question {
    pub feature: usize,
    /// The last bin that goes left; of categories 0, so that the category goes right.
    pub bin: usize,
    pub missing_left: bool,
    gain: f64,
}

/// What a leaf must have, and what a large answer costs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub min_weight: f64,
    pub penalty: f64,
}

/// A sum for each bin of each column, and for each category.
pub(super) struct Histogram {
    sums: Vec<Sum>,
}

impl Histogram {
    pub fn of(rows: &[usize], bins: &Bins, features: &Features, slopes: &[(f64, f64)]) -> Self {
        let mut sums = vec![Sum::default(); bins.size];
        let columns = bins.thresholds.len();
        let categories = bins.starts[columns];
        for row in rows {
            let slope = slopes[*row];
            for (start, bin) in bins.starts.iter().zip(bins.row(*row)) {
                sums[start + usize::from(*bin)].add(slope);
            }
            for place in features.row(*row).1.iter().filter(|place| **place != NOWHERE) {
                sums[categories + *place as usize - columns].add(slope);
            }
        }
        Self { sums }
    }

    /// The histogram of the rows that are not in the other.
    pub fn without(mut self, other: &Self) -> Self {
        self.sums.iter_mut().zip(&other.sums).for_each(|(sum, other)| *sum = sum.minus(*other));
        self
    }

    /// The question that lets the loss fall most, of equal ones the first; none if no question does.
    pub fn best(&self, total: Sum, bins: &Bins, limits: Limits) -> Option<Question> {
        let columns = bins.thresholds.len();
        let mut best: Option<Question> = None;
        let mut consider = |left: Sum, feature: usize, bin: usize, missing_left: bool| {
            let right = total.minus(left);
            let fits = |side: Sum| side.rows > 0 && side.weight >= limits.min_weight;
            let gain = left.gain(limits.penalty) + right.gain(limits.penalty) - total.gain(limits.penalty);
            if fits(left) && fits(right) && gain > best.map_or(1e-9, |best| best.gain) {
                best = Some(Question { feature, bin, missing_left, gain });
            }
        };
        for (column, thresholds) in bins.thresholds.iter().enumerate() {
            let sums = &self.sums[bins.starts[column]..bins.starts[column + 1]];
            let missing = sums[thresholds.len() + 1];
            let mut left = Sum::default();
            for (bin, sum) in sums[..thresholds.len()].iter().enumerate() {
                left = left.plus(*sum);
                // Where nothing is missing here, what is missing later goes with the larger part.
                let unknown_left = 2 * left.rows > total.rows;
                consider(left, column, bin, missing.rows == 0 && unknown_left);
                if missing.rows > 0 {
                    consider(left.plus(missing), column, bin, true);
                }
            }
        }
        for (at, category) in self.sums[bins.starts[columns]..].iter().enumerate() {
            consider(total.minus(*category), columns + at, 0, true);
        }
        best
    }
}
