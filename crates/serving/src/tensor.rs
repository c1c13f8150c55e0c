//! Tensors as the protocol carries them: data types, JSON, and little-endian bytes.

use std::io::Write as _;

use half::f16;
use serde::de::{self, DeserializeSeed, SeqAccess, Visitor};
use tract_onnx::prelude::{Datum, DatumType, Tensor, TractResult, tract_ndarray};

use crate::refusal::Refusal;

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
    // No more is set aside than the text can hold: an element takes two characters, but for the last.
    let mut elements: Vec<T> = Vec::with_capacity(count.min(data.len() / 2 + 1));
    let mut reader = Nested { shape, count, elements: &mut elements, scalars_at: None };
    let mut json = serde_json::Deserializer::from_str(data);
    Level { reader: &mut reader, depth: 0 }.deserialize(&mut json).map_err(|cause| Refusal::bad(plain(&cause)))?;
    if elements.len() != count {
        let have = elements.len();
        return Err(Refusal::bad(format!("its data has {have} elements, but its shape {shape:?} has {count}")));
    }
    shaped(shape, elements)
}

/// The cause without its position, which counts from the start of the tensor's data.
fn plain(cause: &serde_json::Error) -> String {
    let text = cause.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
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

/// Reads arrays in arrays into one list. Every scalar must stand at one depth: the first (flat) or the last (nested),
/// and a nested array must be as long as the shape says, or rows would silently slide into one another.
struct Nested<'a, T> {
    shape: &'a [usize],
    count: usize,
    elements: &'a mut Vec<T>,
    scalars_at: Option<usize>,
}

struct Level<'a, 'b, T> {
    reader: &'a mut Nested<'b, T>,
    depth: usize,
}

impl<T: Element> Level<'_, '_, T> {
    fn push<E: de::Error>(self, element: Result<T, String>) -> Result<(), E> {
        let reader = self.reader;
        if self.depth == 0 {
            return Err(E::custom("its data is not an array"));
        }
        if *reader.scalars_at.get_or_insert(self.depth) != self.depth
            || (self.depth != 1 && self.depth != reader.shape.len())
        {
            return Err(E::custom("its data is nested in another way than its shape says"));
        }
        if reader.elements.len() == reader.count {
            return Err(E::custom(format!("its data has more elements than its shape {:?}", reader.shape)));
        }
        reader.elements.push(element.map_err(E::custom)?);
        Ok(())
    }
}

impl<'de, T: Element> DeserializeSeed<'de> for Level<'_, '_, T> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Element> Visitor<'de> for Level<'_, '_, T> {
    type Value = ();

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}", T::NAME)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        let Self { reader, depth } = self;
        if depth > 0 && depth >= reader.shape.len() {
            return Err(de::Error::custom("its data is nested deeper than its shape says"));
        }
        let mut length = 0;
        while sequence.next_element_seed(Level { reader, depth: depth + 1 })?.is_some() {
            length += 1;
        }
        let flat = depth == 0 && reader.scalars_at == Some(1);
        if !flat && reader.shape.get(depth).is_some_and(|expected| *expected != length) {
            let sentence = format!("its data is not nested as its shape {:?} says", reader.shape);
            return Err(de::Error::custom(sentence));
        }
        Ok(())
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        self.push(T::from_bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.push(T::from_int(i128::from(value)))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        self.push(T::from_int(i128::from(value)))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        self.push(T::from_float(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        self.push(T::from_text(value))
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.push(T::from_null())
    }
}

/// What each element type can be read from, and how it is written.
trait Element: Datum {
    const NAME: &'static str;

    fn from_bool(value: bool) -> Result<Self, String> {
        Err(format!("{value} is not {}", Self::NAME))
    }
    fn from_int(value: i128) -> Result<Self, String> {
        Err(format!("{value} is not {}", Self::NAME))
    }
    fn from_float(value: f64) -> Result<Self, String> {
        Err(format!("{value} is not {}", Self::NAME))
    }
    fn from_text(value: &str) -> Result<Self, String> {
        let start: String = value.chars().take(40).collect();
        Err(format!("{start:?} is not {}", Self::NAME))
    }
    /// JSON has no NaN: `null` stands for it, in requests as in answers.
    fn from_null() -> Result<Self, String> {
        Err(format!("null is not {}", Self::NAME))
    }
    fn from_bytes(bytes: &[u8], count: usize) -> Result<Vec<Self>, String>;
    fn write_json(&self, out: &mut Vec<u8>);
    fn write_bytes(&self, out: &mut Vec<u8>);
}

/// Whole arrays of bytes, each element as wide as `N`.
fn fixed<const N: usize, T>(bytes: &[u8], count: usize, read: impl Fn([u8; N]) -> T) -> Result<Vec<T>, String> {
    let expected = count.checked_mul(N);
    if expected != Some(bytes.len()) {
        let have = bytes.len();
        return Err(format!("its binary data has {have} bytes, but {count} elements of {N} bytes are expected"));
    }
    Ok(bytes.as_chunks::<N>().0.iter().map(|chunk| read(*chunk)).collect())
}

/// Writing to a `Vec` cannot fail.
fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

macro_rules! whole_number {
    ($($kind:ty, $name:literal);* $(;)?) => {$(
        impl Element for $kind {
            const NAME: &'static str = $name;
            fn from_int(value: i128) -> Result<Self, String> {
                Self::try_from(value).map_err(|_| format!("{value} is not {}", Self::NAME))
            }
            fn from_float(value: f64) -> Result<Self, String> {
                // A whole number may be written as one with a point.
                if value.fract() == 0.0 && value.abs() < 9e15 {
                    return Self::from_int(value as i128);
                }
                Err(format!("{value} is not {}", Self::NAME))
            }
            fn from_bytes(bytes: &[u8], count: usize) -> Result<Vec<Self>, String> {
                fixed(bytes, count, Self::from_le_bytes)
            }
            fn write_json(&self, out: &mut Vec<u8>) {
                put(out, format_args!("{self}"));
            }
            fn write_bytes(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}

whole_number! {
    i8, "a whole number of 8 bits";
    i16, "a whole number of 16 bits";
    i32, "a whole number of 32 bits";
    i64, "a whole number of 64 bits";
    u8, "a whole number of 8 bits, not negative";
    u16, "a whole number of 16 bits, not negative";
    u32, "a whole number of 32 bits, not negative";
    u64, "a whole number of 64 bits, not negative";
}

macro_rules! floating {
    ($($kind:ty, $from:expr, $shown:expr);* $(;)?) => {$(
        impl Element for $kind {
            const NAME: &'static str = "a number";
            fn from_int(value: i128) -> Result<Self, String> {
                Self::from_float(value as f64)
            }
            fn from_float(value: f64) -> Result<Self, String> {
                let number: Self = $from(value);
                if number.is_finite() { Ok(number) } else { Err(format!("{value} is too large")) }
            }
            fn from_null() -> Result<Self, String> {
                Ok(<$kind>::NAN)
            }
            fn from_bytes(bytes: &[u8], count: usize) -> Result<Vec<Self>, String> {
                fixed(bytes, count, Self::from_le_bytes)
            }
            fn write_json(&self, out: &mut Vec<u8>) {
                if self.is_finite() {
                    // The shortest text that reads back as the same number.
                    let _ = serde_json::to_writer(out, &$shown(*self));
                } else {
                    out.extend_from_slice(b"null");
                }
            }
            fn write_bytes(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}

floating! {
    f16, f16::from_f64, f16::to_f32;
    f32, (|value: f64| value as f32), std::convert::identity;
    f64, std::convert::identity, std::convert::identity;
}

impl Element for bool {
    const NAME: &'static str = "true or false";

    fn from_bool(value: bool) -> Result<Self, String> {
        Ok(value)
    }

    fn from_int(value: i128) -> Result<Self, String> {
        match value {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(format!("{value} is not {}", Self::NAME)),
        }
    }

    fn from_bytes(bytes: &[u8], count: usize) -> Result<Vec<Self>, String> {
        let values = fixed(bytes, count, |[byte]: [u8; 1]| byte)?;
        match values.iter().find(|byte| **byte > 1) {
            Some(byte) => Err(format!("{byte} is neither 0 nor 1, as the bytes of BOOL are")),
            None => Ok(values.into_iter().map(|byte| byte == 1).collect()),
        }
    }

    fn write_json(&self, out: &mut Vec<u8>) {
        put(out, format_args!("{self}"));
    }

    fn write_bytes(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
}

/// Text, in UTF-8. As bytes each element is preceded by its length in four bytes.
impl Element for String {
    const NAME: &'static str = "text";

    fn from_text(value: &str) -> Result<Self, String> {
        Ok(value.to_owned())
    }

    fn from_bytes(mut bytes: &[u8], count: usize) -> Result<Vec<Self>, String> {
        // Each takes four bytes at least: no more is set aside than the bytes can hold.
        let mut texts = Vec::with_capacity(count.min(bytes.len() / 4));
        while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
            let length = u32::from_le_bytes(*length) as usize;
            let (text, rest) = rest.split_at_checked(length).ok_or("an element is longer than its binary data")?;
            texts.push(str::from_utf8(text).map_err(|_| "an element is not UTF-8")?.to_owned());
            bytes = rest;
        }
        if !bytes.is_empty() {
            return Err("its binary data ends within the length of an element".to_owned());
        }
        if texts.len() != count {
            return Err(format!("its binary data has {} elements, but {count} are expected", texts.len()));
        }
        Ok(texts)
    }

    fn write_json(&self, out: &mut Vec<u8>) {
        let _ = serde_json::to_writer(out, self);
    }

    fn write_bytes(&self, out: &mut Vec<u8>) {
        // A text of more than 4 GiB cannot be told in this encoding, nor be made by a model.
        out.extend_from_slice(&u32::try_from(self.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(self.as_bytes());
    }
}
