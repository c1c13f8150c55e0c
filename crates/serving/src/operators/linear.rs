//! `LinearClassifier`: logistic regressions and other linear models, with labels of whole numbers or texts.
//!
//! The runtime's own takes no texts, and gives a model with one score for two classes other scores than the reference
//! runtime does.

use tract_onnx::pb::NodeProto;
use tract_onnx::tract_core::internal::*;

use super::classes::{Labels, Transform, logistic, most};
use super::{Kernel, rows_of, tensor};

/// A weighted sum of the features for each class, or one for the second of two.
#[derive(Debug)]
pub struct Classifier {
    /// The weights of one score after those of another.
    weights: Vec<f32>,
    intercepts: Vec<f32>,
    labels: Labels,
    transform: Transform,
}

impl Classifier {
    pub fn read(node: &NodeProto) -> TractResult<Self> {
        let labels = Labels::read(node, "classlabels_ints")?;
        let weights: Vec<f32> = node.get_attr_vec("coefficients")?;
        let given: Option<Vec<f32>> = node.get_attr_opt_vec("intercepts")?;
        let intercepts = given.unwrap_or_else(|| vec![0.0; labels.len()]);
        let scores = intercepts.len();
        let right = scores == labels.len() || (scores == 1 && labels.len() == 2);
        ensure!(right, "{scores} intercepts are given for {} classes", labels.len());
        let even = !weights.is_empty() && weights.len().is_multiple_of(scores);
        ensure!(even, "{} coefficients cannot be divided among {scores} scores", weights.len());
        Ok(Self { weights, intercepts, labels, transform: Transform::read(node)? })
    }

    fn features(&self) -> usize {
        self.weights.len() / self.intercepts.len()
    }

    /// The scores of a row, added to `scores`, and its class.
    fn score(&self, row: &[f32], scores: &mut Vec<f32>) -> usize {
        let weights = self.weights.chunks(self.features());
        let sum = |weights: &[f32]| weights.iter().zip(row).map(|(weight, value)| weight * value).sum::<f32>();
        let start = scores.len();
        scores.extend(weights.zip(&self.intercepts).map(|(weights, intercept)| sum(weights) + intercept));
        if let [score] = scores[start..] {
            // As the reference runtime does: one score is complemented, whatever it is.
            let second = if self.transform == Transform::Logistic { logistic(score) } else { score };
            scores.truncate(start);
            scores.extend([1.0 - second, second]);
            return usize::from(score > 0.0);
        }
        let class = most(&scores[start..]);
        self.transform.apply(&mut scores[start..]);
        class
    }
}

impl Kernel for Classifier {
    const NAME: &'static str = "LinearClassifier";
    const OUTPUTS: usize = 2;

    fn facts(&self, shape: &[TDim]) -> TractResult<TVec<(DatumType, TVec<TDim>)>> {
        Ok(self.labels.facts(shape))
    }

    fn run(&self, input: &Tensor) -> TractResult<TVec<Tensor>> {
        let (rows, features) = rows_of(input)?;
        ensure!(features == self.features(), "the model has {} features, a row has {features}", self.features());
        let input = input.cast_to::<f32>()?;
        let input = input.try_as_plain_ram()?;
        let mut scores = Vec::with_capacity(rows * self.labels.len());
        let rows_given = input.as_slice::<f32>()?.chunks(features);
        let classes: Vec<usize> = rows_given.map(|row| self.score(row, &mut scores)).collect();
        Ok(tvec!(self.labels.of(&classes)?, tensor(&[rows, self.labels.len()], scores)?))
    }
}
