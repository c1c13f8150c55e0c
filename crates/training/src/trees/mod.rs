//! Gradient-boosted trees with the logistic loss, by histograms.
//!
//! It is written here because the libraries there are cannot be watched or stopped between two trees, and compare in
//! 64 bits, where ONNX compares in 32: at a threshold their export would answer differently.

use crate::encode::{Features, NOWHERE};
use crate::error::Error;
use crate::measure::probability;
use crate::train::{Course, Report};

mod bins;
mod grow;
mod histogram;

use bins::Bins;
use grow::Grower;

/// The parameters of [`crate::Algorithm::BoostedTrees`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Growth {
    pub epochs: u32,
    pub learning_rate: f64,
    pub depth: u32,
    pub min_child_weight: f64,
    pub penalty: f64,
}

/// A question, or an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Node {
    /// Rows whose feature is at most the threshold go left.
    Branch { feature: u32, threshold: f32, missing_left: bool, left: u32, right: u32 },
    /// What is added to the margin.
    Leaf(f32),
}

/// Nodes, the first of which is the root.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tree {
    pub nodes: Vec<Node>,
}

/// Trees whose answers are added up.
#[derive(Debug)]
pub(crate) struct Boosted {
    pub base: f32,
    pub trees: Vec<Tree>,
}

impl Tree {
    /// The answer for a row.
    fn answer(&self, features: &Features, row: usize) -> f32 {
        let (dense, hot) = features.row(row);
        let mut at = 0;
        loop {
            match self.nodes[at] {
                Node::Leaf(value) => return value,
                Node::Branch { feature, threshold, missing_left, left, right } => {
                    let value = value_of(dense, hot, feature);
                    let goes_left = if value.is_nan() { missing_left } else { value <= threshold };
                    at = if goes_left { left } else { right } as usize;
                }
            }
        }
    }
}

/// The value of a feature of a row, which may be the place of a category.
fn value_of(dense: &[f32], hot: &[u32], feature: u32) -> f32 {
    let is_hot = || hot.iter().any(|at| *at == feature && *at != NOWHERE);
    dense.get(feature as usize).copied().unwrap_or_else(|| f32::from(u8::from(is_hot())))
}

impl Boosted {
    /// The log odds of the positive class.
    pub fn margin(&self, features: &Features, row: usize) -> f64 {
        f64::from(self.base) + self.trees.iter().map(|tree| f64::from(tree.answer(features, row))).sum::<f64>()
    }

    /// Learns; `None` if it was stopped.
    pub fn fit(course: &Course, growth: Growth, report: &mut Report) -> Result<Option<Self>, Error> {
        let positives = course.training.iter().filter(|row| course.answers[**row]).count() as f64;
        let base = (positives / (course.training.len() as f64 - positives)).ln() as f32;
        let bins = Bins::of(&course.features, &course.training, course.width);
        let mut model = Self { base, trees: Vec::new() };
        let mut margins = vec![f64::from(base); course.answers.len()];
        let mut slopes = vec![(0.0, 0.0); course.answers.len()];
        for _ in 0..growth.epochs {
            for row in &course.training {
                let p = probability(margins[*row]);
                slopes[*row] = (p - f64::from(u8::from(course.answers[*row])), p * (1.0 - p));
            }
            let tree = Grower::new(&bins, &course.features, &slopes, growth).grow(&course.training);
            for row in course.training.iter().chain(&course.validation) {
                margins[*row] += f64::from(tree.answer(&course.features, *row));
            }
            model.trees.push(tree);
            report.step += 1;
            if report.tell_epoch(course, |row| margins[row])?.is_break() {
                return Ok(None);
            }
        }
        Ok(Some(model))
    }
}
