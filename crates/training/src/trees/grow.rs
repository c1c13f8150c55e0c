//! One tree, grown from the root down.

use super::bins::Bins;
use super::histogram::{Histogram, Limits, Question, Sum};
use super::{Growth, Node, Tree};
use crate::encode::Features;

/// What a tree grows from.
pub(super) struct Grower<'a> {
    bins: &'a Bins,
    features: &'a Features,
    /// First and second derivative of the loss of each row.
    slopes: &'a [(f64, f64)],
    growth: Growth,
    nodes: Vec<Node>,
}

impl<'a> Grower<'a> {
    pub fn new(bins: &'a Bins, features: &'a Features, slopes: &'a [(f64, f64)], growth: Growth) -> Self {
        Self { bins, features, slopes, growth, nodes: Vec::new() }
    }

    pub fn grow(mut self, rows: &[usize]) -> Tree {
        let histogram = self.histogram(rows);
        self.node(rows, histogram, self.growth.depth);
        Tree { nodes: self.nodes }
    }

    fn histogram(&self, rows: &[usize]) -> Histogram {
        Histogram::of(rows, self.bins, self.features, self.slopes)
    }

    /// Adds the node for these rows, and all below it; its place.
    fn node(&mut self, rows: &[usize], histogram: Histogram, depth: u32) -> u32 {
        let total = self.total(rows);
        let place = self.leaf(total);
        let limits = Limits { min_weight: self.growth.min_child_weight, penalty: self.growth.penalty };
        if let Some(question) = histogram.best(total, self.bins, limits) {
            let (left, right): (Vec<usize>, Vec<usize>) = rows.iter().partition(|row| self.goes_left(question, **row));
            let (left, right) = self.children(&left, &right, histogram, depth - 1);
            let (feature, missing_left) = (question.feature as u32, question.missing_left);
            self.nodes[place as usize] =
                Node::Branch { feature, threshold: self.threshold(question), missing_left, left, right };
        }
        place
    }

    fn children(&mut self, left: &[usize], right: &[usize], parent: Histogram, depth: u32) -> (u32, u32) {
        if depth == 0 {
            return (self.leaf(self.total(left)), self.leaf(self.total(right)));
        }
        // Only the smaller part is summed up; the rest of the parent's sums is the larger part's.
        if left.len() < right.len() {
            let small = self.histogram(left);
            let large = parent.without(&small);
            (self.node(left, small, depth), self.node(right, large, depth))
        } else {
            let small = self.histogram(right);
            let large = parent.without(&small);
            (self.node(left, large, depth), self.node(right, small, depth))
        }
    }

    fn leaf(&mut self, total: Sum) -> u32 {
        let answer = total.answer(self.growth.penalty) * self.growth.learning_rate;
        self.nodes.push(Node::Leaf(answer as f32));
        self.nodes.len() as u32 - 1
    }

    fn total(&self, rows: &[usize]) -> Sum {
        let mut total = Sum::default();
        rows.iter().for_each(|row| total.add(self.slopes[*row]));
        total
    }

    fn goes_left(&self, question: Question, row: usize) -> bool {
        match self.bins.thresholds.get(question.feature) {
            Some(thresholds) => {
                let bin = usize::from(self.bins.row(row)[question.feature]);
                if bin == thresholds.len() + 1 { question.missing_left } else { bin <= question.bin }
            }
            None => !self.features.row(row).1.contains(&(question.feature as u32)),
        }
    }

    fn threshold(&self, question: Question) -> f32 {
        self.bins.thresholds.get(question.feature).map_or(0.5, |thresholds| thresholds[question.bin])
    }
}
