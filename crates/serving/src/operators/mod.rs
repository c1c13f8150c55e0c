//! Operators of `ai.onnx.ml` beside those of the inference runtime.
//!
//! The runtime itself has `CategoryMapper`, `LinearRegressor` and `Normalizer`. What exporters of tabular models write
//! besides is here: encoders, scalers, imputers, classifiers, and tree ensembles. The ensembles replace the runtime's
//! own, which take a binary model with one score for one with two, and trust the artifact's indices.

use std::fmt;
use std::sync::Arc;

use tract_onnx::Onnx;
use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_hir::infer::{InferenceOp, InferenceResult, Solver, TensorProxy, check_input_arity};
use tract_onnx::tract_hir::ops::array::Gather;
use tract_onnx::tract_hir::ops::expandable::{Expansion, expand};
use tract_onnx::tract_hir::ops::identity::Identity;

mod classes;
mod encode;
mod linear;
mod scale;
#[cfg(test)]
mod tests;
mod trees;
mod trees_read;

/// What an operator is made of once its node was read.
type Built = TractResult<(Box<dyn InferenceOp>, Vec<String>)>;

/// The inference runtime, with the operators of this folder.
pub fn runtime() -> Onnx {
    let mut onnx = tract_onnx::onnx();
    let register = &mut onnx.op_register;
    register.insert("ArrayFeatureExtractor", |_, _| Ok((expand(Gather::new(-1)), vec![])));
    register.insert("Imputer", |_, node| build(scale::Imputer::read(node)?));
    register.insert("LabelEncoder", |_, node| build(encode::LabelEncoder::read(node)?));
    register.insert("LinearClassifier", |_, node| build(linear::Classifier::read(node)?));
    register.insert("OneHotEncoder", |_, node| build(encode::OneHotEncoder::read(node)?));
    register.insert("Scaler", |_, node| build(scale::Scaler::read(node)?));
    register.insert("TreeEnsembleClassifier", |_, node| build(trees::Classifier::read(node)?));
    register.insert("TreeEnsembleRegressor", |_, node| build(trees::Regressor::read(node)?));
    register.insert("ZipMap", zip_map);
    onnx
}

/// `ZipMap` names the scores of a row, as the last step of many exports. The protocol has no maps: the scores are
/// passed on as the tensor that they are, in the order of the classes.
fn zip_map(_: &ParsingContext, _: &NodeProto) -> Built {
    Ok((Box::new(Identity), vec![]))
}

fn build<K: Kernel>(kernel: K) -> Built {
    Ok((expand(Operator(Arc::new(kernel))), vec![]))
}

/// An operator of one input: what it makes of a shape, and of a tensor.
trait Kernel: fmt::Debug + Send + Sync + 'static {
    /// The operator's name in ONNX.
    const NAME: &'static str;
    /// How many tensors it makes.
    const OUTPUTS: usize = 1;
    /// Types and shapes of what it makes from a shape.
    fn facts(&self, shape: &[TDim]) -> TractResult<TVec<(DatumType, TVec<TDim>)>>;
    /// Makes it.
    fn run(&self, input: &Tensor) -> TractResult<TVec<Tensor>>;
}

/// A kernel in the form that the runtime takes.
#[derive(Debug)]
struct Operator<K>(Arc<K>);

impl<K> Clone for Operator<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Two operators are the same only if they are one: the runtime merges equal ones.
impl<K> PartialEq for Operator<K> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<K> Eq for Operator<K> {}

impl<K: Kernel> Expansion for Operator<K> {
    fn name(&self) -> StaticName {
        K::NAME.into()
    }

    fn nboutputs(&self) -> TractResult<usize> {
        Ok(K::OUTPUTS)
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 1)?;
        solver.given(&inputs[0].shape, move |solver, shape| {
            for (output, (kind, shape)) in outputs.iter().zip(self.0.facts(&shape)?) {
                solver.equals(&output.datum_type, kind)?;
                solver.equals(&output.shape, shape)?;
            }
            Ok(())
        })
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        model.wire_node(prefix, self.clone(), inputs)
    }
}

impl<K: Kernel> Op for Operator<K> {
    fn name(&self) -> StaticName {
        K::NAME.into()
    }

    op_as_typed_op!();
}

impl<K: Kernel> EvalOp for Operator<K> {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        Ok(self.0.run(&input)?.into_iter().map(IntoTValue::into_tvalue).collect())
    }
}

impl<K: Kernel> TypedOp for Operator<K> {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let facts = self.0.facts(&inputs[0].shape.to_tvec())?;
        Ok(facts.into_iter().map(|(kind, shape)| kind.fact(shape)).collect())
    }

    as_op!();
}

/// The shape of rows of features: `[rows, features]`, or one row.
fn rows_of(input: &Tensor) -> TractResult<(usize, usize)> {
    match input.shape() {
        [features] => Ok((1, *features)),
        [rows, features] => Ok((*rows, *features)),
        other => bail!("rows of features are expected, not a tensor of shape {other:?}"),
    }
}

/// A tensor of this shape with these values.
fn tensor<T: Datum>(shape: &[usize], values: Vec<T>) -> TractResult<Tensor> {
    Ok(tract_ndarray::ArrayD::from_shape_vec(shape, values)?.into_tensor())
}
