//! Tensors as the protocol carries them: data types, JSON, and little-endian bytes.

use half::f16;
use tract_onnx::prelude::{Datum, DatumType, Tensor, TractResult, tract_ndarray};

use crate::refusal::Refusal;

mod element;
mod nested;

use element::Element;

/// The element types of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names are the protocol's")]
pub enum Datatype {
    Bool,
    Int8,
    Int16,
    Int32,
    Int64,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Fp16,
    Fp32,
    Fp64,
    Bytes,
}

impl Datatype {
    const ALL: [Self; 13] = [
        Self::Bool,
        Self::Int8,
        Self::Int16,
        Self::Int32,
        Self::Int64,
        Self::Uint8,
        Self::Uint16,
        Self::Uint32,
        Self::Uint64,
        Self::Fp16,
        Self::Fp32,
        Self::Fp64,
        Self::Bytes,
    ];

    /// The protocol's name of it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::Int8 => "INT8",
            Self::Int16 => "INT16",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Uint8 => "UINT8",
            Self::Uint16 => "UINT16",
            Self::Uint32 => "UINT32",
            Self::Uint64 => "UINT64",
            Self::Fp16 => "FP16",
            Self::Fp32 => "FP32",
            Self::Fp64 => "FP64",
            Self::Bytes => "BYTES",
        }
    }

    /// The one with the protocol's name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }

    pub(crate) fn of(kind: DatumType) -> Option<Self> {
        Some(match kind {
            DatumType::Bool => Self::Bool,
            DatumType::I8 => Self::Int8,
            DatumType::I16 => Self::Int16,
            DatumType::I32 => Self::Int32,
            // The runtime counts in its own type, which is a whole number whenever a model runs.
            DatumType::I64 | DatumType::TDim => Self::Int64,
            DatumType::U8 => Self::Uint8,
            DatumType::U16 => Self::Uint16,
            DatumType::U32 => Self::Uint32,
            DatumType::U64 => Self::Uint64,
            DatumType::F16 => Self::Fp16,
            DatumType::F32 => Self::Fp32,
            DatumType::F64 => Self::Fp64,
            DatumType::String => Self::Bytes,
            _ => return None,
        })
    }
}

/// Calls a generic function with the element type of a data type.
macro_rules! with_element {
    ($datatype:expr, $call:ident ( $($argument:expr),* )) => {
        match $datatype {
            Datatype::Bool => $call::<bool>($($argument),*),
            Datatype::Int8 => $call::<i8>($($argument),*),
            Datatype::Int16 => $call::<i16>($($argument),*),
            Datatype::Int32 => $call::<i32>($($argument),*),
            Datatype::Int64 => $call::<i64>($($argument),*),
            Datatype::Uint8 => $call::<u8>($($argument),*),
            Datatype::Uint16 => $call::<u16>($($argument),*),
            Datatype::Uint32 => $call::<u32>($($argument),*),
            Datatype::Uint64 => $call::<u64>($($argument),*),
            Datatype::Fp16 => $call::<f16>($($argument),*),
            Datatype::Fp32 => $call::<f32>($($argument),*),
            Datatype::Fp64 => $call::<f64>($($argument),*),
            Datatype::Bytes => $call::<String>($($argument),*),
        }
    };
}

/// A tensor from the JSON of its `data`, flat or nested as its shape is.
pub fn from_json(datatype: Datatype, shape: &[usize], count: usize, data: &str) -> Result<Tensor, Refusal> {
    with_element!(datatype, json_elements(shape, count, data))
}

/// A tensor from its bytes, all of them.
pub fn from_bytes(datatype: Datatype, shape: &[usize], count: usize, bytes: &[u8]) -> Result<Tensor, Refusal> {
    with_element!(datatype, byte_elements(shape, count, bytes))
}

/// Appends the `data` of a tensor, flat, as a JSON array.
pub fn write_json(tensor: &Tensor, datatype: Datatype, out: &mut Vec<u8>) -> TractResult<()> {
    with_element!(datatype, write_json_elements(tensor, out))
}

/// Appends the bytes of a tensor.
pub fn write_bytes(tensor: &Tensor, datatype: Datatype, out: &mut Vec<u8>) -> TractResult<()> {
    with_element!(datatype, write_byte_elements(tensor, out))
}

fn shaped<T: Datum>(shape: &[usize], elements: Vec<T>) -> Result<Tensor, Refusal> {
    let array = tract_ndarray::ArrayD::from_shape_vec(shape, elements);
    Ok(array.map_err(|_| Refusal::bad("it has another number of elements than its shape says"))?.into())
}

fn json_elements<T: Element>(shape: &[usize], count: usize, data: &str) -> Result<Tensor, Refusal> {
    shaped(shape, nested::read::<T>(shape, count, data)?)
}

fn byte_elements<T: Element>(shape: &[usize], count: usize, bytes: &[u8]) -> Result<Tensor, Refusal> {
    shaped(shape, T::from_bytes(bytes, count).map_err(Refusal::bad)?)
}

fn write_json_elements<T: Element>(tensor: &Tensor, out: &mut Vec<u8>) -> TractResult<()> {
    let tensor = tensor.cast_to::<T>()?;
    let view = tensor.to_plain_array_view::<T>()?;
    out.push(b'[');
    for (at, element) in view.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        element.write_json(out);
    }
    out.push(b']');
    Ok(())
}

fn write_byte_elements<T: Element>(tensor: &Tensor, out: &mut Vec<u8>) -> TractResult<()> {
    let tensor = tensor.cast_to::<T>()?;
    let view = tensor.to_plain_array_view::<T>()?;
    out.reserve(view.len() * size_of::<T>());
    view.iter().for_each(|element| element.write_bytes(out));
    Ok(())
}
