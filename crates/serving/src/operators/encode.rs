//! `OneHotEncoder` and `LabelEncoder`: categories become numbers, and back.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;

use tract_onnx::pb::NodeProto;
use tract_onnx::tract_core::internal::*;

use super::{Kernel, tensor};

/// Where each category stands.
#[derive(Debug)]
enum Categories {
    Texts(HashMap<String, usize>),
    Ints(HashMap<i64, usize>),
}

/// A category becomes a row of noughts with a one in its place.
#[derive(Debug)]
pub struct OneHotEncoder {
    categories: Categories,
    count: usize,
    /// Whether an unknown category is all noughts; else it is an error.
    lenient: bool,
}

impl OneHotEncoder {
    pub fn read(node: &NodeProto) -> TractResult<Self> {
        let lenient = node.get_attr_opt::<i64>("zeros")?.unwrap_or(1) != 0;
        if let Some(texts) = node.get_attr_opt_vec::<String>("cats_strings")? {
            return Ok(Self { count: texts.len(), categories: Categories::Texts(places(texts)), lenient });
        }
        let ints: Vec<i64> = node.get_attr_vec("cats_int64s")?;
        Ok(Self { count: ints.len(), categories: Categories::Ints(places(ints)), lenient })
    }

    fn encode<T: Eq + Hash + fmt::Debug>(&self, values: &[T], places: &HashMap<T, usize>) -> TractResult<Vec<f32>> {
        let mut ones = vec![0.0; values.len() * self.count];
        for (row, value) in ones.chunks_mut(self.count).zip(values) {
            match places.get(value) {
                Some(place) => row[*place] = 1.0,
                None => ensure!(self.lenient, "the category {value:?} is not known to the model"),
            }
        }
        Ok(ones)
    }
}

impl Kernel for OneHotEncoder {
    const NAME: &'static str = "OneHotEncoder";

    fn facts(&self, shape: &[TDim]) -> TractResult<TVec<(DatumType, TVec<TDim>)>> {
        ensure!(self.count > 0, "a OneHotEncoder needs categories");
        let mut shape: TVec<TDim> = shape.into();
        shape.push(self.count.to_dim());
        Ok(tvec!((f32::datum_type(), shape)))
    }

    fn run(&self, input: &Tensor) -> TractResult<TVec<Tensor>> {
        let ones = match &self.categories {
            Categories::Texts(places) => self.encode(input.try_as_plain_ram()?.as_slice::<String>()?, places)?,
            Categories::Ints(places) => {
                self.encode(input.cast_to::<i64>()?.try_as_plain_ram()?.as_slice::<i64>()?, places)?
            }
        };
        Ok(tvec!(tensor(&[input.shape(), &[self.count]].concat(), ones)?))
    }
}

/// One value becomes another, as a list says; one that the list does not have becomes the default.
#[derive(Debug)]
pub struct LabelEncoder {
    keys: Keys,
    values: Values,
}

/// Where each key stands in the list.
#[derive(Debug)]
enum Keys {
    Texts(HashMap<String, usize>),
    Ints(HashMap<i64, usize>),
    /// By their bits; all NaN are one key.
    Floats(HashMap<u32, usize>),
}

/// What stands there, and the default.
#[derive(Debug)]
enum Values {
    Texts(Vec<String>, String),
    Ints(Vec<i64>, i64),
    Floats(Vec<f32>, f32),
}

impl LabelEncoder {
    pub fn read(node: &NodeProto) -> TractResult<Self> {
        let texts = node.get_attr_opt_vec::<String>("keys_strings")?.map(|keys| Keys::Texts(places(keys)));
        let ints = node.get_attr_opt_vec::<i64>("keys_int64s")?.map(|keys| Keys::Ints(places(keys)));
        let floats = node.get_attr_opt_vec::<f32>("keys_floats")?;
        let floats = floats.map(|keys| Keys::Floats(places(keys.into_iter().map(bits))));
        let Some(keys) = texts.or(ints).or(floats) else {
            bail!("a LabelEncoder needs keys_strings, keys_int64s or keys_floats");
        };
        let encoder = Self { keys, values: Values::read(node)? };
        ensure!(encoder.keys.len() <= encoder.values.len(), "a LabelEncoder needs a value for each key");
        Ok(encoder)
    }

    fn places(&self, input: &Tensor) -> TractResult<Vec<Option<usize>>> {
        Ok(match &self.keys {
            Keys::Texts(map) => find(map, input.try_as_plain_ram()?.as_slice::<String>()?.iter().cloned()),
            Keys::Ints(map) => {
                find(map, input.cast_to::<i64>()?.try_as_plain_ram()?.as_slice::<i64>()?.iter().copied())
            }
            Keys::Floats(map) => {
                find(map, input.cast_to::<f32>()?.try_as_plain_ram()?.as_slice::<f32>()?.iter().copied().map(bits))
            }
        })
    }
}

impl Keys {
    fn len(&self) -> usize {
        match self {
            Self::Texts(map) => map.len(),
            Self::Ints(map) => map.len(),
            Self::Floats(map) => map.len(),
        }
    }
}

impl Values {
    fn read(node: &NodeProto) -> TractResult<Self> {
        if let Some(texts) = node.get_attr_opt_vec("values_strings")? {
            let default = node.get_attr_opt("default_string")?.unwrap_or_else(|| "_Unused".to_owned());
            return Ok(Self::Texts(texts, default));
        }
        if let Some(ints) = node.get_attr_opt_vec("values_int64s")? {
            return Ok(Self::Ints(ints, node.get_attr_opt("default_int64")?.unwrap_or(-1)));
        }
        let floats = node.get_attr_opt_vec("values_floats")?;
        let Some(floats) = floats else {
            bail!("a LabelEncoder needs values_strings, values_int64s or values_floats");
        };
        Ok(Self::Floats(floats, node.get_attr_opt("default_float")?.unwrap_or(-0.0)))
    }

    fn len(&self) -> usize {
        match self {
            Self::Texts(values, _) => values.len(),
            Self::Ints(values, _) => values.len(),
            Self::Floats(values, _) => values.len(),
        }
    }
}

impl Kernel for LabelEncoder {
    const NAME: &'static str = "LabelEncoder";

    fn facts(&self, shape: &[TDim]) -> TractResult<TVec<(DatumType, TVec<TDim>)>> {
        let kind = match &self.values {
            Values::Texts(..) => String::datum_type(),
            Values::Ints(..) => i64::datum_type(),
            Values::Floats(..) => f32::datum_type(),
        };
        Ok(tvec!((kind, shape.into())))
    }

    fn run(&self, input: &Tensor) -> TractResult<TVec<Tensor>> {
        let places = self.places(input)?;
        Ok(tvec!(match &self.values {
            Values::Texts(values, default) => tensor(input.shape(), pick(&places, values, default))?,
            Values::Ints(values, default) => tensor(input.shape(), pick(&places, values, default))?,
            Values::Floats(values, default) => tensor(input.shape(), pick(&places, values, default))?,
        }))
    }
}

fn find<T: Eq + Hash>(places: &HashMap<T, usize>, values: impl Iterator<Item = T>) -> Vec<Option<usize>> {
    values.map(|value| places.get(&value).copied()).collect()
}

fn pick<T: Clone>(places: &[Option<usize>], values: &[T], default: &T) -> Vec<T> {
    places.iter().map(|place| place.map_or(default, |place| &values[place]).clone()).collect()
}

/// Where each value stands; of two that are alike the first counts.
fn places<T: Eq + Hash>(values: impl IntoIterator<Item = T>) -> HashMap<T, usize> {
    let mut map = HashMap::new();
    for (place, value) in values.into_iter().enumerate() {
        map.entry(value).or_insert(place);
    }
    map
}

/// A number as a key: both noughts are one, and so is every NaN.
fn bits(value: f32) -> u32 {
    if value.is_nan() {
        f32::NAN.to_bits()
    } else if value == 0.0 {
        0
    } else {
        value.to_bits()
    }
}
