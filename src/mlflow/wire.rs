//! How MLflow's messages are written in JSON: numbers that may be texts, instants in milliseconds, absence by leaving out.

use chrono::{DateTime, Utc};
use serde::de::{Deserializer, Error as _, Visitor};
use serde::{Deserialize, Serialize};

/// A whole number, sent as a number or as a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Int(pub i64);

impl<'de> Deserialize<'de> for Int {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Int;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a whole number")
            }
            fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Int, E> {
                Ok(Int(value))
            }
            fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Int, E> {
                i64::try_from(value).map(Int).map_err(E::custom)
            }
            #[expect(clippy::cast_possible_truncation, reason = "only whole numbers within bounds come through")]
            fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Int, E> {
                let whole = value.fract() == 0.0 && value.abs() < 9e15;
                if whole { Ok(Int(value as i64)) } else { Err(E::custom("this is no whole number")) }
            }
            fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Int, E> {
                value.trim().parse().map(Int).map_err(|_| E::custom("this is no whole number"))
            }
        }
        from.deserialize_any(Reader)
    }
}

/// What was measured: a number, or what JSON has no number for, as a text. None is not a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Real(pub Option<f64>);

impl Real {
    /// The number as it is kept: beyond all bounds is the bound, as MLflow has it.
    #[must_use]
    pub fn of(value: f64) -> Self {
        Self((!value.is_nan()).then(|| value.clamp(f64::MIN, f64::MAX)))
    }
}

impl<'de> Deserialize<'de> for Real {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // The text itself: the JSON reader's own way to a number may miss the last bit.
        let raw = Box::<serde_json::value::RawValue>::deserialize(from)?;
        match raw.get().trim_matches('"') {
            "NaN" | "nan" => Ok(Self(None)),
            "Infinity" | "inf" => Ok(Self(Some(f64::MAX))),
            "-Infinity" | "-inf" => Ok(Self(Some(f64::MIN))),
            text => text.parse().map(Self::of).map_err(|_| D::Error::custom("this is no number")),
        }
    }
}

impl Serialize for Real {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(value) => to.serialize_f64(value),
            None => to.serialize_str("NaN"),
        }
    }
}

/// A name with its value: a tag or a parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// Its name.
    pub key: String,
    /// Its value.
    #[serde(default)]
    pub value: String,
}

/// A list as clients send it: absent, or null, is empty.
#[derive(Debug, Clone, PartialEq)]
pub struct List<T>(pub Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self(Option::<Vec<T>>::deserialize(from)?.unwrap_or_default()))
    }
}

/// An answer that says nothing but that it was done.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Done {}

/// An instant as MLflow writes it.
#[must_use]
pub fn millis(at: DateTime<Utc>) -> i64 {
    at.timestamp_millis()
}

/// An instant as MLflow sent it; the nearest that can be kept.
#[must_use]
pub fn instant(millis: i64) -> DateTime<Utc> {
    // Beyond these no calendar of either engine goes.
    DateTime::from_timestamp_millis(millis.clamp(-62_135_596_800_000, 253_402_300_799_999)).unwrap_or_default()
}
