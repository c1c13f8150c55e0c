//! `TreeEnsembleClassifier` and `TreeEnsembleRegressor`: random forests and boosted trees.

use tract_onnx::pb::NodeProto;
use tract_onnx::tract_core::internal::*;

use super::classes::{Labels, Transform, logistic, most, rows_in};
use super::trees_read::{read_aggregate, read_forest};
use super::{Kernel, rows_of, tensor};

/// How a branch compares a feature with its threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Compare {
    AtMost,
    Below,
    AtLeast,
    Above,
    Equal,
    Unequal,
}

/// A branch, or a leaf.
#[derive(Debug, Clone, Copy)]
pub enum Node {
    /// Where the row goes next.
    Branch {
        feature: u32,
        threshold: f32,
        compare: Compare,
        /// Whether a missing value goes where the comparison holds.
        missing_holds: bool,
        holds: u32,
        fails: u32,
    },
    /// What it adds: a range of the forest's weights.
    Leaf { start: u32, end: u32 },
}

/// Trees, checked on reading: every index is in range and no tree has a circle.
#[derive(Debug)]
pub struct Forest {
    pub nodes: Vec<Node>,
    pub roots: Vec<u32>,
    /// Which score, and how much.
    pub weights: Vec<(u32, f32)>,
    pub features: usize,
    pub scores: usize,
}

impl Forest {
    /// The weights of the leaf that a row ends in.
    fn leaf(&self, root: u32, row: &[f32]) -> &[(u32, f32)] {
        let mut at = root;
        loop {
            match self.nodes[at as usize] {
                Node::Leaf { start, end } => return &self.weights[start as usize..end as usize],
                Node::Branch { feature, threshold, compare, missing_holds, holds, fails } => {
                    let value = row[feature as usize];
                    let held = if value.is_nan() { missing_holds } else { compare.holds(value, threshold) };
                    at = if held { holds } else { fails };
                }
            }
        }
    }

    /// What the trees say of each row, brought together.
    fn evaluate(&self, input: &Tensor, aggregate: Aggregate) -> TractResult<(usize, Vec<f32>)> {
        let (rows, features) = rows_of(input)?;
        ensure!(features >= self.features, "the trees look at {} features, a row has {features}", self.features);
        let input = input.cast_to::<f32>()?;
        let input = input.try_as_plain_ram()?;
        let mut scores = vec![aggregate.start(); rows * self.scores];
        for (row, scores) in input.as_slice::<f32>()?.chunks(features.max(1)).zip(scores.chunks_mut(self.scores)) {
            for root in &self.roots {
                for (score, weight) in self.leaf(*root, row) {
                    let score = &mut scores[*score as usize];
                    *score = aggregate.add(*score, *weight);
                }
            }
            aggregate.finish(scores, self.roots.len());
        }
        Ok((rows, scores))
    }
}

impl Compare {
    fn holds(self, value: f32, threshold: f32) -> bool {
        match self {
            Self::AtMost => value <= threshold,
            Self::Below => value < threshold,
            Self::AtLeast => value >= threshold,
            Self::Above => value > threshold,
            Self::Equal => value == threshold,
            Self::Unequal => value != threshold,
        }
    }
}

/// How what the trees say is brought together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Aggregate {
    Sum,
    Average,
    Least,
    Most,
}

impl Aggregate {
    fn start(self) -> f32 {
        match self {
            Self::Sum | Self::Average => 0.0,
            Self::Least => f32::INFINITY,
            Self::Most => f32::NEG_INFINITY,
        }
    }

    fn add(self, score: f32, weight: f32) -> f32 {
        match self {
            Self::Sum | Self::Average => score + weight,
            Self::Least => score.min(weight),
            Self::Most => score.max(weight),
        }
    }

    fn finish(self, scores: &mut [f32], trees: usize) {
        for score in scores {
            // A score that no tree spoke of is nought.
            *score = if score.is_infinite() { 0.0 } else { *score };
            if self == Self::Average {
                *score /= trees as f32;
            }
        }
    }
}

/// One or more numbers a row.
#[derive(Debug)]
pub struct Regressor {
    forest: Forest,
    base: Vec<f32>,
    aggregate: Aggregate,
    transform: Transform,
}

impl Regressor {
    pub fn read(node: &NodeProto) -> TractResult<Self> {
        let scores: usize = node.get_attr_opt("n_targets")?.unwrap_or(1);
        let base: Vec<f32> = node.get_attr_opt_vec("base_values")?.unwrap_or_default();
        ensure!(base.is_empty() || base.len() == scores, "{} base values are given for {scores} targets", base.len());
        let forest = read_forest(node, "target", scores)?;
        Ok(Self { forest, base, aggregate: read_aggregate(node)?, transform: Transform::read(node)? })
    }
}

impl Kernel for Regressor {
    const NAME: &'static str = "TreeEnsembleRegressor";

    fn facts(&self, shape: &[TDim]) -> TractResult<TVec<(DatumType, TVec<TDim>)>> {
        Ok(tvec!((f32::datum_type(), tvec!(rows_in(shape), self.forest.scores.to_dim()))))
    }

    fn run(&self, input: &Tensor) -> TractResult<TVec<Tensor>> {
        let (rows, mut scores) = self.forest.evaluate(input, self.aggregate)?;
        for row in scores.chunks_mut(self.forest.scores) {
            row.iter_mut().zip(&self.base).for_each(|(score, base)| *score += base);
            self.transform.apply(row);
        }
        Ok(tvec!(tensor(&[rows, self.forest.scores], scores)?))
    }
}

/// A class a row, and a score for each class.
#[derive(Debug)]
pub struct Classifier {
    forest: Forest,
    base: Vec<f32>,
    labels: Labels,
    transform: Transform,
    /// Set where the trees speak of one class of two only: the score above which it is that one.
    binary: Option<f32>,
}

impl Classifier {
    pub fn read(node: &NodeProto) -> TractResult<Self> {
        let labels = Labels::read(node, "classlabels_int64s")?;
        let forest = read_forest(node, "class", labels.len())?;
        let base: Vec<f32> = node.get_attr_opt_vec("base_values")?.unwrap_or_default();
        let first = forest.weights.first().map(|(class, _)| *class);
        let single = labels.len() == 2 && forest.weights.iter().all(|(class, _)| Some(*class) == first);
        let right = base.is_empty() || base.len() == labels.len() || (single && base.len() == 1);
        ensure!(right, "{} base values are given for {} classes", base.len(), labels.len());
        // As the reference runtime does: leaves that are all shares are compared with a half, margins with nought.
        let shares = forest.weights.iter().all(|(_, weight)| *weight >= 0.0);
        let binary = single.then_some(if shares { 0.5 } else { 0.0 });
        Ok(Self { forest, base, labels, transform: Transform::read(node)?, binary })
    }

    /// The scores of one row, finished in place, and the class.
    fn finish(&self, scores: &mut [f32]) -> usize {
        let Some(bound) = self.binary else {
            scores.iter_mut().zip(&self.base).for_each(|(score, base)| *score += base);
            let class = most(scores);
            self.transform.apply(scores);
            return class;
        };
        let score = scores[0] + scores[1] + self.base.last().copied().unwrap_or_default();
        (scores[0], scores[1]) = match self.transform {
            Transform::Logistic => (logistic(-score), logistic(score)),
            _ if bound > 0.0 => (1.0 - score, score),
            _ => (-score, score),
        };
        usize::from(score > bound)
    }
}

impl Kernel for Classifier {
    const NAME: &'static str = "TreeEnsembleClassifier";
    const OUTPUTS: usize = 2;

    fn facts(&self, shape: &[TDim]) -> TractResult<TVec<(DatumType, TVec<TDim>)>> {
        Ok(self.labels.facts(shape))
    }

    fn run(&self, input: &Tensor) -> TractResult<TVec<Tensor>> {
        let (rows, mut scores) = self.forest.evaluate(input, Aggregate::Sum)?;
        let classes: Vec<usize> = scores.chunks_mut(self.labels.len()).map(|row| self.finish(row)).collect();
        Ok(tvec!(self.labels.of(&classes)?, tensor(&[rows, self.labels.len()], scores)?))
    }
}
