//! What classifiers have in common: the names of their classes, and what scores go through last.

use tract_onnx::pb::NodeProto;
use tract_onnx::tract_core::internal::*;

use super::tensor;

/// What the scores of a row go through last.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Transform {
    None,
    Logistic,
    Softmax,
}

impl Transform {
    pub fn read(node: &NodeProto) -> TractResult<Self> {
        Ok(match node.get_attr_opt::<String>("post_transform")?.as_deref().unwrap_or("NONE") {
            "NONE" => Self::None,
            "LOGISTIC" => Self::Logistic,
            "SOFTMAX" => Self::Softmax,
            other => bail!("the post_transform {other} is not supported"),
        })
    }

    pub fn apply(self, scores: &mut [f32]) {
        match self {
            Self::None => (),
            Self::Logistic => scores.iter_mut().for_each(|score| *score = logistic(*score)),
            Self::Softmax => {
                let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                scores.iter_mut().for_each(|score| *score = (*score - most).exp());
                let sum: f32 = scores.iter().sum();
                scores.iter_mut().for_each(|score| *score /= sum);
            }
        }
    }
}

pub fn logistic(score: f32) -> f32 {
    1.0 / (1.0 + (-score).exp())
}

/// The names of the classes.
#[derive(Debug)]
pub enum Labels {
    Ints(Vec<i64>),
    Texts(Vec<String>),
}

impl Labels {
    /// Reads them; what the attribute of whole numbers is called differs between operators.
    pub fn read(node: &NodeProto, ints: &str) -> TractResult<Self> {
        let labels = match node.get_attr_opt_vec::<i64>(ints)? {
            Some(labels) => Self::Ints(labels),
            None => Self::Texts(node.get_attr_vec("classlabels_strings")?),
        };
        ensure!(labels.len() > 0, "a classifier needs classes");
        Ok(labels)
    }

    pub fn len(&self) -> usize {
        match self {
            Self::Ints(labels) => labels.len(),
            Self::Texts(labels) => labels.len(),
        }
    }

    /// What a classifier makes: a class a row, and a score for each class.
    pub fn facts(&self, shape: &[TDim]) -> TVec<(DatumType, TVec<TDim>)> {
        let kind = match self {
            Self::Ints(_) => i64::datum_type(),
            Self::Texts(_) => String::datum_type(),
        };
        let rows = rows_in(shape);
        tvec!((kind, tvec!(rows.clone())), (f32::datum_type(), tvec!(rows, self.len().to_dim())))
    }

    /// The names of these classes.
    pub fn of(&self, classes: &[usize]) -> TractResult<Tensor> {
        match self {
            Self::Ints(labels) => tensor(&[classes.len()], classes.iter().map(|class| labels[*class]).collect()),
            Self::Texts(labels) => {
                tensor(&[classes.len()], classes.iter().map(|class| labels[*class].clone()).collect())
            }
        }
    }
}

/// The class with the highest score; of equal ones the first.
pub fn most(scores: &[f32]) -> usize {
    let mut best = 0;
    for (class, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = class;
        }
    }
    best
}

pub fn rows_in(shape: &[TDim]) -> TDim {
    if shape.len() == 2 { shape[0].clone() } else { 1.to_dim() }
}
