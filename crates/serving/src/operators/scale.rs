//! `Scaler` and `Imputer`: a number a feature is taken off, multiplied with, or put in.

use tract_onnx::pb::NodeProto;
use tract_onnx::tract_core::internal::*;

use super::{Kernel, tensor};

/// `(x - offset) * scale`, feature by feature, or with one pair for all.
#[derive(Debug)]
pub struct Scaler {
    offset: Vec<f32>,
    scale: Vec<f32>,
}

impl Scaler {
    pub fn read(node: &NodeProto) -> TractResult<Self> {
        let offset = node.get_attr_opt_vec("offset")?.unwrap_or_else(|| vec![0.0]);
        let scale = node.get_attr_opt_vec("scale")?.unwrap_or_else(|| vec![1.0]);
        Ok(Self { offset, scale })
    }
}

impl Kernel for Scaler {
    const NAME: &'static str = "Scaler";

    fn facts(&self, shape: &[TDim]) -> TractResult<TVec<(DatumType, TVec<TDim>)>> {
        fits(&self.offset, shape)?;
        fits(&self.scale, shape)?;
        Ok(tvec!((f32::datum_type(), shape.into())))
    }

    fn run(&self, input: &Tensor) -> TractResult<TVec<Tensor>> {
        let input = input.cast_to::<f32>()?;
        let features = input.shape().last().copied().unwrap_or(1);
        let values = input.try_as_plain_ram()?;
        let mut scaled = Vec::with_capacity(input.len());
        for row in values.as_slice::<f32>()?.chunks(features.max(1)) {
            let pairs = (0..).map(|at| (each(&self.offset, at), each(&self.scale, at)));
            scaled.extend(row.iter().zip(pairs).map(|(value, (offset, scale))| (value - offset) * scale));
        }
        Ok(tvec!(tensor(input.shape(), scaled)?))
    }
}

/// Puts a value in where one is missing.
#[derive(Debug)]
pub enum Imputer {
    /// Where the number is this one, which may be NaN.
    Float {
        /// What means “missing”.
        missing: f32,
        /// What is put in, a value a feature or one for all.
        put: Vec<f32>,
    },
    /// The same in whole numbers.
    Int {
        /// What means “missing”.
        missing: i64,
        /// What is put in, a value a feature or one for all.
        put: Vec<i64>,
    },
}

impl Imputer {
    pub fn read(node: &NodeProto) -> TractResult<Self> {
        if let Some(put) = node.get_attr_opt_vec("imputed_value_floats")? {
            return Ok(Self::Float { missing: node.get_attr_opt("replaced_value_float")?.unwrap_or(0.0), put });
        }
        let missing = node.get_attr_opt("replaced_value_int64")?.unwrap_or(0);
        Ok(Self::Int { missing, put: node.get_attr_vec("imputed_value_int64s")? })
    }
}

impl Kernel for Imputer {
    const NAME: &'static str = "Imputer";

    fn facts(&self, shape: &[TDim]) -> TractResult<TVec<(DatumType, TVec<TDim>)>> {
        let kind = match self {
            Self::Float { put, .. } => fits(put, shape).map(|()| f32::datum_type())?,
            Self::Int { put, .. } => fits(put, shape).map(|()| i64::datum_type())?,
        };
        Ok(tvec!((kind, shape.into())))
    }

    fn run(&self, input: &Tensor) -> TractResult<TVec<Tensor>> {
        Ok(tvec!(match self {
            Self::Float { missing, put } => {
                impute(input, put, |value: &f32| value == missing || (missing.is_nan() && value.is_nan()))?
            }
            Self::Int { missing, put } => impute(input, put, |value: &i64| value == missing)?,
        }))
    }
}

fn impute<T: Datum + Copy>(input: &Tensor, put: &[T], is_missing: impl Fn(&T) -> bool) -> TractResult<Tensor> {
    let input = input.cast_to::<T>()?;
    let features = input.shape().last().copied().unwrap_or(1).max(1);
    let values = input.try_as_plain_ram()?;
    let values = values.as_slice::<T>()?.iter().enumerate();
    let whole = values.map(|(at, value)| if is_missing(value) { each(put, at % features) } else { *value }).collect();
    tensor(input.shape(), whole)
}

/// The value for a feature, where one may stand for all.
fn each<T: Copy>(values: &[T], feature: usize) -> T {
    if values.len() == 1 { values[0] } else { values[feature] }
}

/// Refuses values that are neither one for all nor one a feature.
fn fits<T>(values: &[T], shape: &[TDim]) -> TractResult<()> {
    let features = shape.last().and_then(|dim| dim.to_usize().ok());
    let right = values.len() == 1 || features.is_some_and(|features| features == values.len());
    ensure!(right, "{} values are given for a tensor of shape {shape:?}", values.len());
    Ok(())
}
