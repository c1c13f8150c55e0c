//! The `data` of a tensor in JSON: arrays in arrays, read into one list without a tree in between.

use serde::de::{self, DeserializeSeed, SeqAccess, Visitor};

use super::element::Element;
use crate::refusal::Refusal;

/// The elements of a tensor, in the order of its memory.
pub fn read<T: Element>(shape: &[usize], count: usize, data: &str) -> Result<Vec<T>, Refusal> {
    // No more is set aside than the text can hold: an element takes two characters, but for the last.
    let mut elements: Vec<T> = Vec::with_capacity(count.min(data.len() / 2 + 1));
    let mut reader = Nested { shape, count, elements: &mut elements, scalars_at: None };
    let mut json = serde_json::Deserializer::from_str(data);
    Level { reader: &mut reader, depth: 0 }.deserialize(&mut json).map_err(|cause| Refusal::bad(plain(&cause)))?;
    if elements.len() != count {
        let have = elements.len();
        return Err(Refusal::bad(format!("its data has {have} elements, but its shape {shape:?} has {count}")));
    }
    Ok(elements)
}

/// The cause without its position, which counts from the start of the tensor's data.
fn plain(cause: &serde_json::Error) -> String {
    let text = cause.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
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
